"""`safehold scan` on Python sources: the calls that load what could run code."""

from __future__ import annotations

import json
import pickle
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
