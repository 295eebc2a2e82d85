"""A journal that came with the checkout: it must not reach beyond the tree."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace

import pytest

from safehold.errors import ConfigError
from safehold.source import Journal, finalize, records, rollback, runs
from safehold.source.records import ENTRIES, JournalEntry

RUN = "20200101T000000Z-000"


@pytest.fixture
def outside(tmp_path):
    """What belongs to somebody else."""
    place = tmp_path / "home"
    (place / "documents").mkdir(parents=True)
    (place / "documents" / "letter").write_bytes(b"dear")
    return place


@pytest.fixture
def root(tmp_path):
    tree = tmp_path / "checkout"
    tree.mkdir()
    return tree


def plant(root, *entries, finished=True):
    directory = root / ".safehold" / "journal" / RUN
    directory.mkdir(parents=True)
    lines = [entry.line() for entry in (JournalEntry("begin"), *entries)]
    if finished:
        lines.append(JournalEntry("commit").line())
    (directory / ENTRIES).write_bytes(b"".join(lines))
    return directory


def assert_untouched(outside):
    assert os.listdir(outside) == ["documents"]
    assert (outside / "documents" / "letter").read_bytes() == b"dear"


@pytest.mark.parametrize("form", ["absolute", "upwards", "inner"])
@pytest.mark.parametrize("operation", ["create", "directory", "replace", "rename"])
def test_entry_that_leads_out_of_the_tree(root, outside, form, operation):
    paths = {
        "absolute": str(outside / "documents"),
        "upwards": "../home/documents",
        "inner": "a/../../home/documents",
    }
    (root / "a").mkdir()
    (root / "kept").write_bytes(b"x")
    to = "kept" if operation == "rename" else None
    backup = "000001" if operation == "replace" else None
    run = plant(root, JournalEntry(operation, paths[form], 1, backup, to=to))
    (run / "000001").write_bytes(b"planted")
    with pytest.raises(ConfigError, match="does not write"):
        rollback(root)
    assert_untouched(outside)


def test_rename_from_outside(root, outside):
    plant(root, JournalEntry("rename", "letter", 1, to="../home/documents/letter"))
    with pytest.raises(ConfigError, match="does not write"):
        rollback(root)
    assert_untouched(outside)


def test_backup_outside(root, outside):
    backup = "../../../../home/documents/letter"
    plant(root, JournalEntry("replace", "letter", 1, backup))
    with pytest.raises(ConfigError, match="does not write"):
        rollback(root)
    assert_untouched(outside)


def test_backup_that_is_a_link(root, outside):
    run = plant(root, JournalEntry("replace", "letter", 1, "000001"))
    (run / "000001").symlink_to(outside / "documents" / "letter")
    assert rollback(root).problems == ["letter: its backup is not a regular file"]
    assert_untouched(outside)


@pytest.mark.parametrize(
    "entry",
    [
        JournalEntry("create", "home/documents", 1),
        JournalEntry("rename", "home/documents/other", 1, to="home/documents/letter"),
        JournalEntry("rename", "kept", 1, to="home/documents/letter"),
    ],
)
def test_link_on_the_way(root, outside, entry):
    (root / "home").symlink_to(outside)
    plant(root, entry)
    assert "a link on the way there" in rollback(root).problems[0]
    assert_untouched(outside)


@pytest.mark.parametrize(
    "line",
    [b"[1]", b'{"operation":"explode"}', b'{"operation":"create","path":7}', b"{", b'{"a":1}'],
)
def test_line_of_another_form(root, line):
    run = plant(root)
    (run / ENTRIES).write_bytes(line + b" " + records._checksum(line) + b"\n")
    with pytest.raises(ConfigError, match="does not write"):
        runs(root)


@pytest.mark.parametrize("link", [".safehold", ".safehold/journal"])
def test_journal_that_is_a_link(root, outside, link):
    """What it leads to would be taken for runs without entries, and removed."""
    target = outside
    if link == ".safehold":
        (outside / "journal").mkdir()
        shutil.move(outside / "documents", outside / "journal" / "documents")
    (root / link).parent.mkdir(exist_ok=True)
    (root / link).symlink_to(target)
    with pytest.raises(ConfigError, match="remove the link"):
        rollback(root)
    with pytest.raises(ConfigError, match="remove the link"):
        Journal.begin(root)
    assert len(list(outside.rglob("letter"))) == 1
    assert not list(outside.rglob(".gitignore"))


def test_directory_of_another_name_is_no_run(root):
    other = root / ".safehold" / "journal" / "documents"
    other.mkdir(parents=True)
    (other / "letter").write_bytes(b"dear")
    gone = other.with_name("documents.gone")
    gone.mkdir()
    rollback(root)
    assert (other / "letter").exists()
    assert gone.exists()


def test_ignore_file_that_is_a_link(root, outside):
    home = root / ".safehold" / "journal"
    home.mkdir(parents=True)
    (home / ".gitignore").symlink_to(outside / "documents" / "letter")
    with Journal.begin(root):
        pass
    assert_untouched(outside)


@pytest.mark.parametrize("to", ["../home/documents/letter", "other", "m", "m/../other", None])
@pytest.mark.parametrize("undo", [rollback, lambda root: finalize(root, lambda _: None)])
def test_an_original_lies_beside_its_file(root, outside, to, undo):
    (root / "m").write_bytes(b"m")
    (root / "other").write_bytes(b"dear")
    digest = hashlib.sha256(b"dear").hexdigest()
    plant(root, JournalEntry("keep", "m", 1, to=to, after=digest))
    with pytest.raises(ConfigError, match="does not write"):
        undo(root)
    assert (root / "other").read_bytes() == b"dear"
    assert_untouched(outside)


@pytest.mark.parametrize("undo", [rollback, lambda root: finalize(root, lambda _: None)])
def test_an_original_behind_a_link_is_not_removed(root, outside, undo):
    (root / "documents").symlink_to(outside / "documents")
    os.rename(outside / "documents/letter", outside / "documents/letter.unsealed")
    digest = hashlib.sha256(b"dear").hexdigest()
    entry = JournalEntry("keep", "documents/letter", 1, to="documents/letter.unsealed")
    plant(root, replace(entry, after=digest))
    assert undo(root).problems
    assert (outside / "documents/letter.unsealed").read_bytes() == b"dear"
