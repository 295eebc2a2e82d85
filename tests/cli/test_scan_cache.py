"""`safehold scan --cache`: what it prints, where it keeps results, and that it hides nothing."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import safehold._cli
from safehold._cli import _paths
from safehold.scan import cache_files
from tests.bypasses.payloads import named, stream

GOOD = pickle.dumps([1])
EVIL = stream(named("posix", "system"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("SAFEHOLD_POLICY", raising=False)
    Path("models").mkdir()
    for name, data in {"good.pkl": GOOD, "evil.pkl": EVIL}.items():
        (Path("models") / name).write_bytes(data)
    return tmp_path


@pytest.fixture
def scan(capsys):
    def run(*arguments):
        """Return exit code, lines on standard output, lines on standard error."""
        try:
            code = safehold._cli.main(["scan", *arguments])
        except SystemExit as stop:
            code = stop.code
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return run


def test_the_summary_says_how_many_results_are_old(here, scan):
    first = scan("models", "--cache")
    then = scan("models", "--cache")
    assert first[0] == then[0] == 1
    assert first[1][:-1] == then[1][:-1]
    assert first[1][-1] == "2 files: 1 clean, 1 malicious"
    assert then[1][-1] == "2 files: 1 clean, 1 malicious; from the cache: 2"
    assert first[2] == then[2] == []


@pytest.mark.parametrize("form", ["json", "sarif", "cyclonedx", "html", "codequality"])
def test_documents_are_the_same(form, here, scan):
    plain = scan("models", "--format", form)
    for _ in range(2):
        assert scan("models", "--cache", "c", "--format", form) == plain


def test_a_baseline_is_compared_with_old_results_as_with_new_ones(here, scan):
    scan("models", "--write-baseline", "b.json", "--reason", "known", "--cache")
    plain = scan("models", "--baseline", "b.json")
    found = scan("models", "--baseline", "b.json", "--cache")
    assert plain[0] == found[0] == 0
    assert found[1][-1] == plain[1][-1] + "; from the cache: 2"


def test_without_a_directory_it_is_the_users(here, scan):
    scan("models", "--cache")
    assert (here / "xdg" / "safehold" / "scan" / "CACHEDIR.TAG").exists()


@pytest.mark.parametrize("base", ["", "relative"])
@pytest.mark.parametrize(("platform", "place"), [("linux", ".cache"), ("darwin", "Library/Caches")])
def test_where_a_users_caches_are(base, platform, place, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setattr(_paths, "sys", SimpleNamespace(platform=platform))
    assert _paths.results() == f"/home/somebody/{place}/safehold/scan"


def test_without_the_option_nothing_is_kept(here, scan):
    scan("models")
    assert not (here / "xdg").exists()


@pytest.mark.parametrize("wrong", ["models", "models/good.pkl"])
def test_what_may_have_been_meant_to_be_scanned_is_an_error(wrong, here, scan):
    code, out, err = scan("models/evil.pkl", "--cache", wrong)
    assert (code, out) == (2, [])
    assert err[0].startswith("safehold: error: cache:")


@pytest.mark.parametrize("path", ["models", ".", "models/good.pkl"])
def test_a_cache_in_what_is_scanned_is_an_error(path, here, scan):
    code, out, err = scan(path, "--cache", "models/../models/c")
    wrong = path != "models/good.pkl"
    assert (code, bool(out)) == ((2, False) if wrong else (0, True))
    assert wrong == any("lies in" in line for line in err)


def test_a_user_without_a_home_has_to_name_a_directory(here, scan, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    code, out, err = scan("models", "--cache")
    assert (code, out) == (2, [])
    assert "--cache DIR" in err[0]


@pytest.mark.parametrize("bits", [0o777, 0o500])
def test_a_cache_that_cannot_be_used_is_told_once_and_leaves_nothing_out(bits, here, scan):
    Path("c").mkdir(mode=0o700)
    Path("c").chmod(bits)
    if bits == 0o500:  # root may write there all the same
        Path("c/key").mkdir()
        Path("c/CACHEDIR.TAG").write_bytes(cache_files._TAG_TEXT)
    for _ in range(2):
        code, out, err = scan("models", "--cache", "c")
        assert code == 1
        assert out[-1] == "2 files: 1 clean, 1 malicious"
        assert len(err) == 1
        assert err[0].startswith("safehold: warning: cache: ")
    assert scan("models", "--cache", "c", "--quiet")[2] == []
    assert (
        scan("models", "--cache", "c", "--format", "json")[1]
        == scan("models", "--format", "json")[1]
    )


def test_a_directory_that_fills_up_is_told_once(here, scan, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    Path("models/evil.pkl").rename("evil.pkl")
    scan("models", "--cache", "c")
    Path("evil.pkl").rename("models/evil.pkl")
    monkeypatch.setattr("safehold.replacing.replace_file", fail)
    code, out, err = scan("models", "--cache", "c")
    assert (code, out[-1]) == (1, "2 files: 1 clean, 1 malicious; from the cache: 1")
    assert len(err) == 1
    assert "No space left" in err[0]


def test_standard_input_and_named_files_use_it(here, scan, monkeypatch):
    for wanted in ("", "; from the cache: 1"):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(EVIL)))
        out = scan("-", "--stdin-name", "x.pkl", "--cache")[1]
        assert out[-1] == f"1 file: 1 malicious{wanted}"
    for wanted in ("", "; from the cache: 1"):
        out = scan("models/evil.pkl", "--skip-others", "--cache")[1]
        assert out[-1] == f"1 file: 1 malicious{wanted}"


def test_sources_are_read_each_time_and_what_hides_in_them_once(here, scan):
    Path("models/a.py").write_text("import pickle\n\n\ndef f(d):\n    return pickle.loads(d)\n")
    for wanted in ("", "; from the cache: 2"):
        code, out, _ = scan("models", "--cache")
        assert code == 1
        assert out[-1] == f"3 files: 1 clean, 1 suspicious, 1 malicious{wanted}"


def test_a_policy_counts_for_what_is_kept(here, scan):
    Path("models/own.pkl").write_bytes(b"\x80\x02capp.models\nModel\n)\x81}b.")
    Path("p.toml").write_text(
        'version = 1\n[[zone]]\nname = "m"\npaths = ["**"]\nallow = ["app.models.Model"]\n'
    )
    own = "models/own.pkl"
    for _ in range(2):
        assert scan(own, "--cache", "--policy", "p.toml")[0] == 0
        assert scan(own, "--cache")[0] == 1


def test_only_what_changed(here, scan):
    def git(*words):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        subprocess.run(command, check=True)

    git("init", "-q")
    git("add", "models/good.pkl")
    git("commit", "-q", "-m", "x")
    for wanted in ("", "; from the cache: 1"):
        code, out, _ = scan("models", "--since", "HEAD", "--cache")
        assert (code, out[-1]) == (1, f"1 file: 1 malicious{wanted}")


@pytest.mark.extras
def test_several_workers(here, scan):
    pytest.importorskip("joblib")
    for wanted in ("", "; from the cache: 2"):
        code, out, err = scan(str(here / "models"), "--jobs", "2", "--cache")
        assert (code, out[-1], err) == (1, f"2 files: 1 clean, 1 malicious{wanted}", [])


@pytest.mark.extras
def test_objects_behind_urls(here, scan):
    pytest.importorskip("fsspec")
    import fsspec

    with fsspec.open("memory://bucket/evil.pkl", "wb") as file:
        file.write(EVIL)
    for wanted in ("", "; from the cache: 1"):
        code, out, _ = scan("memory://bucket/evil.pkl", "--cache")
        assert (code, out[-1]) == (1, f"1 file: 1 malicious{wanted}")


def test_the_schema_of_json_is_what_it_was(here, scan):
    scan("models", "--cache")
    found = json.loads("\n".join(scan("models", "--cache", "--format", "json")[1]))
    assert set(found["files"][0]) == {"path", "format", "verdict", "findings"}
    assert set(found) == {"schema", "files", "summary"}
