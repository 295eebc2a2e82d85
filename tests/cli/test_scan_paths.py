"""`safehold scan`: each file is read and told once, however often it is named."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest

from safehold._cli import _sources, main
from tests.bypasses.payloads import named, stream

GOOD = pickle.dumps([1])
EVIL = stream(named("posix", "system"))
UNSAFE = "import pickle\npickle.load(open('a', 'rb'))\n"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("d/e").mkdir(parents=True)
    Path("d/a.pkl").write_bytes(EVIL)
    Path("d/e/b.pkl").write_bytes(GOOD)
    Path("d/e/x.py").write_text(UNSAFE)
    Path("d/note").write_text("no artifact")
    return tmp_path


def scanned(capsys, *arguments: str) -> list[tuple[str, str]]:
    main(["scan", "--format", "json", *arguments])
    files = json.loads(capsys.readouterr().out)["files"]
    return [(file["path"], file["verdict"]) for file in files]


WHOLE = [("d/a.pkl", "malicious"), ("d/e/b.pkl", "clean"), ("d/e/x.py", "suspicious")]


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["d", "d"], WHOLE),
        (["d", "d/", "./d", "d/e/.."], WHOLE),
        (["d", "d/e"], WHOLE),
        (["d/a.pkl", "d/a.pkl", "./d/a.pkl"], WHOLE[:1]),
        (["d", "d/a.pkl"], [WHOLE[1], WHOLE[0], WHOLE[2]]),
        (["d/e/x.py", "d/e/x.py", "d/e"], WHOLE[1:]),
        (["none", "none"], [("none", "error")]),
    ],
)
def test_a_file_that_is_named_twice_counts_once(tree, capsys, paths, found):
    assert scanned(capsys, *paths) == found


def test_the_smaller_directory_may_come_first(tree, capsys):
    assert sorted(scanned(capsys, "d/e", "d")) == sorted(WHOLE)


def test_a_name_that_is_given_counts_as_one_also_below_a_directory_that_is(tree, capsys):
    assert scanned(capsys, "d", "d/note")[-2:] == [("d/note", "error"), WHOLE[2]]
    assert scanned(capsys, "d", "d/e/b.pkl", "--exclude", "e") == [WHOLE[0], WHOLE[1]]


def test_links_are_files_of_their_own(tree, capsys):
    Path("l.pkl").symlink_to("d/a.pkl")
    assert scanned(capsys, "l.pkl", "d/a.pkl") == [("l.pkl", "malicious"), WHOLE[0]]


def test_the_same_url_counts_once(tree, capsys):
    url = f"file://{tree}/d/a.pkl"
    assert len(scanned(capsys, url, url)) == 1


def test_a_link_to_a_directory_outside_is_told_once(tree, capsys):
    Path("o").mkdir()
    Path("o/c.pkl").write_bytes(EVIL)
    Path("d/out").symlink_to("../o")
    assert scanned(capsys, "d") == [("d/a.pkl", "malicious"), ("d/out", "error"), *WHOLE[1:]]


@pytest.mark.parametrize("name", ["shut", "x2.py"])
def test_what_may_not_be_read_is_told_once(tree, capsys, monkeypatch, name):
    path = tree / "d" / name
    path.mkdir() if name == "shut" else path.write_text(UNSAFE)
    real_open, real_list = os.open, os.scandir

    def refuse(real):
        def ask(what, *arguments, **options):
            if str(what).endswith(name):
                raise PermissionError(13, "Permission denied", what)
            return real(what, *arguments, **options)

        return ask

    monkeypatch.setattr(os, "open", refuse(real_open))
    monkeypatch.setattr(os, "scandir", refuse(real_list))
    found = scanned(capsys, "d")
    assert [row for row in found if row[0] == f"d/{name}"] == [(f"d/{name}", "error")]
    assert set(WHOLE) <= set(found)


def test_sources_behind_links_are_read(tree, capsys):
    Path("other").write_text("#!/usr/bin/env python3\n" + UNSAFE)
    Path("other.py").write_text(UNSAFE)
    Path("d/one.py").symlink_to("../other.py")
    Path("d/two").symlink_to("../other")
    Path("d/nowhere").symlink_to("../none")
    Path("d/data").symlink_to("../d/note")
    assert scanned(capsys, "d")[3:] == [("d/one.py", "suspicious"), ("d/two", "suspicious")]


def test_a_source_that_leads_nowhere_is_an_error(tree, capsys):
    Path("d/gone.py").symlink_to("../none.py")
    assert ("d/gone.py", "error") in scanned(capsys, "d")


@pytest.mark.parametrize("pattern", ["e", "e/", "d/e*"])
def test_a_pattern_for_a_directory_may_end_with_a_slash(tree, capsys, pattern):
    assert scanned(capsys, "d", "--exclude", pattern) == (
        [WHOLE[0]] if pattern != "d/e*" else WHOLE
    )


def test_sources_that_did_not_change_are_not_looked_at(tree, capsys, monkeypatch):
    from tests.cli.test_scan_since import commit, git

    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    git(tree, "init", "-q", "-b", "main")
    Path("d/new.py").write_text(UNSAFE)
    commit(tree)
    Path("d/new.py").write_text(UNSAFE + "\n")
    looked: list[str] = []
    real = _sources.audit_tree

    def audit_tree(*arguments, **options):
        for audit in real(*arguments, **options):
            looked.append(audit.path)
            yield audit

    monkeypatch.setattr(_sources, "audit_tree", audit_tree)
    assert scanned(capsys, "--since", "HEAD", "d") == [("d/new.py", "suspicious")]
    assert looked == ["new.py"]


def test_a_link_to_nothing_is_told_as_one(tree, capsys):
    Path("d/gone.pkl").symlink_to("none.pkl")
    main(["scan", "d"])
    assert "d/gone.pkl: error  SH106 medium could not be read: a link to nothing\n" in (
        capsys.readouterr().out
    )
