"""`safehold scan -`: artifacts and sources from a pipe."""

from __future__ import annotations

import io
import json
import pickle
import sys
import tempfile
from types import SimpleNamespace

import pytest

from safehold.scan import spool
from safehold.source.rules.unreadable import LARGEST
from tests.bypasses.payloads import named, stream

EVIL = stream(named("posix", "system"))
UNSAFE = b"import pickle\n\ndef read(data):\n    return pickle.loads(data)\n"


@pytest.fixture
def scan(call, monkeypatch):
    def run(data, *arguments):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        done = call("scan", "-", *arguments, "--format", "json")
        files = json.loads(done.out)["files"]
        return done.code, {(one["path"], one["format"], one["verdict"]) for one in files}

    return run


def test_it_has_the_name_that_is_given(scan):
    assert scan(EVIL, "--stdin-name", "m.pkl") == (1, {("m.pkl", "pickle", "malicious")})
    assert scan(EVIL) == (1, {("<stdin>", "pickle", "malicious")})


def test_a_source(scan):
    assert scan(UNSAFE, "--stdin-name", "a.py") == (1, {("a.py", "python", "suspicious")})
    assert scan(b"import json\n", "--stdin-name", "a.py") == (0, {("a.py", "python", "clean")})


def test_a_source_that_is_cut_off_by_its_limit_is_not_clean(scan):
    data = b"#\n" * (LARGEST // 2 + 1) + UNSAFE
    assert scan(data, "--stdin-name", "a.py") == (2, {("a.py", "python", "error")})


def test_an_artifact_that_is_called_like_a_source(scan, call, tmp_path):
    code, found = scan(EVIL, "--stdin-name", "a.py")
    assert code == 2  # nor is it Python
    assert ("a.py", "pickle", "malicious") in found
    path = tmp_path / "a.py"
    path.write_bytes(EVIL)
    assert "malicious" in call("scan", path).out


def test_much_goes_to_a_temporary_file(scan, monkeypatch):
    made = []
    real = tempfile.TemporaryFile

    def temporary(*arguments, **options):
        made.append(options)
        return real(*arguments, **options)

    monkeypatch.setattr(spool.tempfile, "TemporaryFile", temporary)
    assert scan(pickle.dumps(bytes(2**20)))[0] == 0
    assert not made
    assert scan(pickle.dumps(bytes(9 * 2**20)))[0] == 0
    assert len(made) == 1


def test_a_full_disk_is_an_error(scan, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool.tempfile, "TemporaryFile", full)
    assert scan(pickle.dumps(bytes(9 * 2**20))) == (2, {("<stdin>", "unknown", "error")})
