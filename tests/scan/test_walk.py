"""Directories, links, special files, and files that nobody may read."""

from __future__ import annotations

import os
import pickle
import socket

import pytest

from safehold.scan import scan_bytes, scan_path, scan_paths
from safehold.scan.formats import pickle as pickle_format
from tests.bypasses.payloads import named, stream

EVIL = stream(named("os", "system"))
GOOD = pickle.dumps([1])


def verdicts(path, **options):
    scan = scan_path(path, **options)
    return {os.path.relpath(one.path, path): str(one.verdict) for one in scan.files}


def test_directory_is_read_to_its_depths(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "m.pkl").write_bytes(EVIL)
    (tmp_path / "a" / "n.pkl").write_bytes(GOOD)
    (tmp_path / "readme.md").write_text("text")
    assert verdicts(tmp_path) == {"a/b/m.pkl": "malicious", "a/n.pkl": "clean"}


def test_order_is_that_of_the_names(tmp_path):
    for name in ("c.pkl", "a.pkl", "b.pkl"):
        (tmp_path / name).write_bytes(GOOD)
    assert list(verdicts(tmp_path)) == ["a.pkl", "b.pkl", "c.pkl"]


@pytest.mark.parametrize("pattern", ["*.pkl", "sub", "sub/*", "[m]*"])
def test_exclude(tmp_path, pattern):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "m.pkl").write_bytes(EVIL)
    assert verdicts(tmp_path, exclude=[pattern]) == {}
    assert verdicts(tmp_path, exclude=["other"]) == {"sub/m.pkl": "malicious"}


def test_version_control_is_left_out(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "m.pkl").write_bytes(EVIL)
    assert verdicts(tmp_path) == {}
    assert scan_path(tmp_path / ".git").summary["malicious"] == 1


def test_loops_of_links_end(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to("..")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "m.pkl").write_bytes(EVIL)
    assert verdicts(tmp_path) == {"m.pkl": "malicious"}


def test_link_to_a_file_is_followed(tmp_path):
    """As in the cache of Hugging Face, where every name is a link to a blob."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "0a1b").write_bytes(EVIL)
    (tmp_path / "m.bin").symlink_to("blobs/0a1b")
    assert verdicts(tmp_path) == {"blobs/0a1b": "malicious", "m.bin": "malicious"}


def test_link_to_a_directory_outside_is_never_passed_over_in_silence(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "m.pkl").write_bytes(EVIL)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "models").symlink_to(outside)
    assert verdicts(tree) == {"models": "error"}
    (tree / "near").mkdir()
    (tree / "inside").symlink_to("near")
    assert verdicts(tree) == {"models": "error"}


def test_dangling_link(tmp_path):
    (tmp_path / "m.pkl").symlink_to("missing")
    (tmp_path / "notes").symlink_to("missing")
    assert verdicts(tmp_path) == {"m.pkl": "error"}


def test_pipes_and_sockets_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "m.pkl")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        assert verdicts(tmp_path) == {"m.pkl": "error"}
        assert scan_path(tmp_path / "s").files[0].verdict == "error"
    assert scan_path(tmp_path / "pipe").files[0].verdict == "error"
    assert scan_path("/dev/null").files[0].verdict == "error"


def test_missing_path_is_an_error(tmp_path):
    [report] = scan_path(tmp_path / "missing").files
    assert report.verdict == "error"
    assert [finding.rule.id for finding in report.findings] == ["SH106"]


def test_unreadable_file_and_directory(tmp_path, monkeypatch):
    (tmp_path / "m.pkl").write_bytes(EVIL)
    (tmp_path / "sub").mkdir()
    real_open, real_scandir = os.open, os.scandir

    def refuse_file(path, *args, **options):
        if str(path).endswith("m.pkl"):
            raise PermissionError(13, "Permission denied")
        return real_open(path, *args, **options)

    def refuse_directory(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return real_scandir(path)

    monkeypatch.setattr(os, "open", refuse_file)
    monkeypatch.setattr(os, "scandir", refuse_directory)
    assert verdicts(tmp_path) == {"m.pkl": "error", "sub": "error"}


@pytest.mark.parametrize(("reader", "data"), [
    ("safehold.scan.formats.tar.read", pickle.dumps({1, 2}, 0)),
    ("safehold.scan.formats.joblib.read", pickle.dumps({1, 2}, 0)),
    ("safehold.scan.plain.is_plain", GOOD),
])  # fmt: skip
def test_reader_that_fails_is_an_error_and_not_the_end(tmp_path, monkeypatch, reader, data):
    def fail(*given):
        raise KeyError("a defect")

    monkeypatch.setattr(reader, fail)
    (tmp_path / "m.pkl").write_bytes(data)
    assert verdicts(tmp_path) == {"m.pkl": "error"}
    assert scan_bytes(data).verdict == "error"


def test_file_with_an_odd_name(tmp_path):
    name = os.fsdecode(b"m\xff\n.pkl")
    (tmp_path / name).write_bytes(EVIL)
    assert list(verdicts(tmp_path).values()) == ["malicious"]


def test_large_file_is_mapped(tmp_path):
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps(bytes(20 * 2**20))[:-1] + b"0" + EVIL[2:])
    assert verdicts(tmp_path) == {"m.pkl": "malicious"}


def test_progress_sees_every_report(tmp_path):
    for name in ("a.pkl", "b.pkl"):
        (tmp_path / name).write_bytes(GOOD)
    seen = []
    reports = list(scan_paths([tmp_path, tmp_path / "a.pkl"], progress=seen.append))
    assert seen == reports
    assert len(seen) == 3


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind(kind):
    assert scan_bytes(kind(EVIL), "x").verdict == "malicious"
    assert scan_bytes(kind(GOOD)).verdict == "clean"


def test_bytes_with_gaps():
    doubled = bytes(byte for byte in EVIL for _ in range(2))
    assert scan_bytes(memoryview(doubled)[::2]).verdict == "malicious"


def test_nothing_is_imported_or_called(tmp_path):
    marker = tmp_path / "marker"
    (tmp_path / "victim.py").write_text(f"open({str(marker)!r}, 'w')")
    data = stream(named("victim", "x"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        assert scan_bytes(data, "a.pkl").verdict == "suspicious"
    assert not marker.exists()
    assert pickle_format is not None
