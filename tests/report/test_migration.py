"""A migration as SARIF and HTML: complete, valid, applicable, and nothing in it acts."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from safehold.policy import default_policy
from safehold.report import migration_page, migration_sarif
from safehold.report.migration import Migration
from safehold.source import audit_tree, comment_line, with_comment

SCHEMA = Path(__file__).parent / "data" / "sarif-2.1.0-rtm.5.json"
HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202e##[error]{0}](javascript:1).py"
SOURCES = {
    "app.py": b"import pickle, torch\r\npickle.loads(b'')\r\ntorch.load('m')  # \xc3\xa4\r\n",
    "clean.py": b"x = 1\n",
    "left.py": b"import pickle\npickle._loads(b'')\n",
    "latin.py": b"# coding: latin-1\n'\xe4'; import pickle as p; x = '\xe4'\np.loads(b'')\n",
    HOSTILE: b"import pickle  # </pre><script>alert(1)</script>##[a]\npickle.loads(b'')\n",
}


@pytest.fixture
def root(tmp_path):
    for name, data in SOURCES.items():
        (tmp_path / name.replace("/", "_")).write_bytes(data)
    return tmp_path


def migration(root, *, written=False, comment="") -> Migration:
    audits = tuple(audit_tree(root, policy=default_policy(root), migrated_alone=True))
    if comment:
        audits = tuple(with_comment(audit, comment_line(comment)) for audit in audits)
    return Migration(audits, str(root), str(root), written=written)


def run_of(made: Migration):
    (run,) = json.loads(migration_sarif.render(made))["runs"]
    return run


@pytest.mark.extras
@pytest.mark.parametrize("written", [False, True])
def test_sarif_is_valid_by_the_schema(root, written):
    from jsonschema import Draft4Validator

    schema = json.loads(SCHEMA.read_text())
    validator = Draft4Validator(schema, format_checker=Draft4Validator.FORMAT_CHECKER)
    text = migration_sarif.render(migration(root, written=written))

    assert list(validator.iter_errors(json.loads(text))) == []
    assert list(validator.iter_errors(json.loads(text.replace('"replacements"', '"x"')))) or written


def test_every_edit_and_diagnostic_is_a_result_with_its_rule(root):
    made = migration(root)
    run = run_of(made)
    rules = run["tool"]["driver"]["rules"]

    expected = sum(len(audit.edits) + len(audit.diagnostics) for audit in made.audits)
    assert len(run["results"]) == expected > 5
    for row in run["results"]:
        assert rules[row["ruleIndex"]]["id"] == row["ruleId"]
    outcomes = [item["properties"]["outcome"] for item in run["artifacts"]]
    assert outcomes == [audit.outcome for audit in made.audits]
    prints = [(row["locations"][0]["physicalLocation"]["artifactLocation"]["index"],
               *row["partialFingerprints"].values()) for row in run["results"]]  # fmt: skip
    assert len(set(prints)) == len(prints)


def applied(source: bytes, encoding: str, replacements) -> bytes:
    """Make the replacements as SARIF defines them, in a text of lines."""
    lines = source.decode(encoding).splitlines(keepends=True)
    for item in replacements:
        region = item["deletedRegion"]
        assert region["startLine"] == region["endLine"]
        line = lines[region["startLine"] - 1]
        start, end = region["startColumn"] - 1, region["endColumn"] - 1
        lines[region["startLine"] - 1] = line[:start] + item["insertedContent"]["text"] + line[end:]
    return "".join(lines).encode(encoding)


@pytest.mark.parametrize("comment", ["", "words"])
def test_the_fix_of_a_file_gives_what_migration_writes(root, comment):
    made = migration(root, comment=comment)
    fixes = [fix for row in run_of(made)["results"] for fix in row.get("fixes", ())]

    assert len(fixes) == sum(audit.after is not None for audit in made.audits) == 3
    for fix in fixes:
        (change,) = fix["artifactChanges"]
        audit = made.audits[change["artifactLocation"]["index"]]
        encoding = "latin-1" if audit.path == "latin.py" else "utf-8"
        assert applied(audit.before, encoding, change["replacements"]) == audit.after


def test_what_is_written_has_no_fix_and_is_no_failure(root):
    rows = run_of(migration(root, written=True))["results"]

    edits = [row for row in rows if row["properties"]["kind"] == "edit"]
    assert {row["kind"] for row in edits} == {"informational"}
    assert not any("fixes" in row for row in rows)
    assert {row["level"] for row in rows if row not in edits} == {"error"}


def test_nothing_in_sarif_acts(root):
    text = migration_sarif.render(migration(root))

    assert text.isascii()
    assert "##" not in text
    assert "\x1b" not in text
    for row in json.loads(text)["runs"][0]["results"]:
        assert "](" not in row["message"]["text"]


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("written", [False, True])
def test_the_page_shows_diffs_outcomes_and_remedies(root, written):
    made = migration(root, written=written)
    reader = Reader()
    reader.feed(migration_page.render(made))

    for outcome in ("Migrated: 3 files", "Diagnosed: 1 file", "Unchanged: 1 file"):
        assert outcome in reader.text
    assert "-import pickle, torch\n" in reader.text
    assert "+import safehold.compat.pickle as pickle, torch" in reader.text
    for audit in made.audits:
        for item in audit.diagnostics:
            assert item.message in reader.text
            assert item.remedy in reader.text


def test_nothing_in_the_page_acts(root):
    page = migration_page.render(migration(root))
    reader = Reader()
    reader.feed(page)

    assert not {"script", "img", "a", "link"} & reader.tags
    assert "default-src 'none'" in page
    assert "</pre><script>" not in page
    assert "##[" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_the_same_migration_gives_the_same_bytes(root):
    for render in (migration_sarif.render, migration_page.render):
        assert render(migration(root)) == render(migration(root))
