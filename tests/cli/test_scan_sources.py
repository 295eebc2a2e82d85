"""`safehold scan` on Python sources: the calls that load what could run code."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest

from safehold._cli import main

UNSAFE = "import pickle\n\ndef read(data):\n    return pickle.loads(data)\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "unsafe.py").write_text(UNSAFE)
    (tmp_path / "app" / "fine.py").write_text("import json\n")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([1]))
    return tmp_path


def scanned(capsys, *arguments: str) -> tuple[int, dict[str, str]]:
    code = main(["scan", *arguments, "--format", "json"])
    files = json.loads(capsys.readouterr().out)["files"]
    return code, {Path(file["path"]).name: file["verdict"] for file in files}


def test_sources_and_artifacts_of_a_directory_are_reported_together(tree, capsys):
    assert scanned(capsys, str(tree)) == (
        1,
        {"a.pkl": "clean", "unsafe.py": "suspicious", "fine.py": "clean"},
    )


@pytest.mark.parametrize(("name", "code"), [("unsafe.py", 1), ("fine.py", 0)])
def test_a_source_given_by_name_gets_a_verdict(tree, capsys, name, code):
    assert scanned(capsys, str(tree / "app" / name))[0] == code


def test_the_line_of_a_call_is_shown(tree, capsys):
    main(["scan", str(tree)])

    out = capsys.readouterr().out
    assert "unsafe.py: suspicious  SH151 critical" in out
    assert "(line 4)" in out
    assert "fine.py" not in out
    assert "3 files: 2 clean, 1 suspicious" in out


def test_a_source_that_does_not_parse_is_an_error(tree, capsys):
    (tree / "app" / "broken.py").write_text("import pickle\ndef f(:\n")

    code, verdicts = scanned(capsys, str(tree))

    assert code == 2
    assert verdicts["broken.py"] == "error"


def test_a_missing_source_is_an_error(tree, capsys):
    assert scanned(capsys, str(tree / "missing.py")) == (2, {"missing.py": "error"})


def test_excluded_sources_are_left_out(tree, capsys):
    assert scanned(capsys, str(tree), "--exclude", "app") == (0, {"a.pkl": "clean"})


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


MEMBERS = {"app/unsafe.py": UNSAFE.encode(), "app/fine.py": b"import json\n", "app/x.txt": b"x"}


def findings(capsys, *arguments: str) -> list[tuple[str, str | None, int | None]]:
    main(["scan", *arguments, "--format", "json"])
    [file] = json.loads(capsys.readouterr().out)["files"]
    return [
        (row["rule"], row["location"]["member"], row["location"]["line"])
        for row in file["findings"]
    ]


@pytest.mark.parametrize("options", [[], pytest.param(["--jobs", "2"], marks=pytest.mark.extras)])
@pytest.mark.parametrize(
    ("data", "member"),
    [
        (zipped(MEMBERS), "app/unsafe.py"),
        (tarred(MEMBERS), "gzip!app/unsafe.py"),
        (zipped({"in.whl": zipped(MEMBERS)}), "in.whl!app/unsafe.py"),
    ],
    ids=["zip", "tar", "zip in zip"],
)
def test_sources_in_archives_are_looked_at(tmp_path, capsys, data, member, options):
    (tmp_path / "a.bin").write_bytes(data)
    assert findings(capsys, str(tmp_path), *options) == [("SH151", member, 4)]


def test_a_source_in_an_archive_is_told_with_member_and_line(tmp_path, capsys):
    (tmp_path / "a.zip").write_bytes(zipped(MEMBERS))
    also = [f"--also={form}={tmp_path / form}" for form in ("sarif", "html", "codequality")]

    assert main(["scan", str(tmp_path / "a.zip"), *also]) == 1
    assert "a.zip: suspicious  SH151 critical" in (out := capsys.readouterr().out)
    assert "(app/unsafe.py, line 4)" in out
    [result] = json.loads((tmp_path / "sarif").read_text())["runs"][0]["results"]
    [place] = result["locations"]
    # The line is one of the member, not of the archive.
    assert place["physicalLocation"]["region"] == {"startLine": 1}
    assert place["logicalLocations"][0]["name"] == "app/unsafe.py"
    nested = result["relatedLocations"][0]["physicalLocation"]
    assert nested["region"] == {"startLine": 4, "startColumn": 12}
    assert "app/unsafe.py, line 4" in (tmp_path / "html").read_text()
    [row] = json.loads((tmp_path / "codequality").read_text())
    assert row["location"]["lines"] == {"begin": 1}
    assert "(in app/unsafe.py, line 4)" in row["description"]


def test_harmless_sources_leave_an_archive_clean(tmp_path, capsys):
    fine = {f"pkg/{number}.py": b"import json\n# pickles\n" for number in range(50)}
    skipped = {"lib/site-packages/x.py": UNSAFE.encode(), ".venv/x.py": UNSAFE.encode()}
    (tmp_path / "a.zip").write_bytes(zipped(fine | skipped))
    assert findings(capsys, str(tmp_path)) == []


def test_a_source_in_an_archive_that_does_not_parse_is_suspicious(tmp_path, capsys):
    (tmp_path / "a.zip").write_bytes(zipped({"a.py": b"import pickle\ndef f(:\n"}))
    assert main(["scan", str(tmp_path)]) == 1
    assert "SH159" in capsys.readouterr().out


@pytest.mark.parametrize(
    "members",
    [
        {"a.py": b"import pickle\n" + b"#" * 2**18},
        {"a.py": b"#" * (2**23 + 1)},
        {f"{number}.py": b"import pickle\n" + b"#" * (2**18 - 20) for number in range(5)},
    ],
    ids=["one that is large", "one that is not even searched", "many"],
)
def test_more_source_than_is_read_is_told(tmp_path, capsys, members):
    (tmp_path / "a.zip").write_bytes(zipped(members))
    assert [row[0] for row in findings(capsys, str(tmp_path))] == ["SH105"]


def test_what_is_not_parsed_may_be_much(tmp_path, capsys):
    members = {f"{number}.py": b"#" * 2**20 for number in range(5)}
    (tmp_path / "a.zip").write_bytes(zipped(members))
    assert findings(capsys, str(tmp_path)) == []


def test_the_parts_of_an_archive_are_parsed_once(tmp_path, capsys, monkeypatch):
    from safehold.source import members

    seen: list[str] = []
    real = members.audit_source

    def audit(data, name, policy, **options):
        seen.append(name)
        return real(data, name, policy, **options)

    monkeypatch.setattr(members, "audit_source", audit)
    (tmp_path / "a.zip").write_bytes(zipped(MEMBERS | {"m.pkl": pickle.dumps([1])}))
    findings(capsys, str(tmp_path))
    assert seen == ["app/unsafe.py"]
