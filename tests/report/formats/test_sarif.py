"""SARIF: valid, complete within the limits of those who read it, and nothing in it acts."""

from __future__ import annotations

import gzip
import json
import random
import string
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from safehold.findings import Finding, Location
from safehold.report import sarif_run
from safehold.report.baseline import Baseline
from safehold.report.formats import sarif
from safehold.report.result import Item, Origin, Result, Suppression, entry_of
from safehold.scan import FileReport, Verdict, scan_bytes
from safehold.scan.rules import DANGEROUS_GLOBAL, UNREADABLE_STREAM
from tests.report.samples import EVIL, GOOD, HOSTILE, NAMES, NOT_UTF8, UNKNOWN, result, tree

SCHEMA = Path(__file__).parent.parent / "data" / "sarif-2.1.0-rtm.5.json"


@pytest.fixture
def whole(tmp_path):
    return result(tree(tmp_path))


def run_of(made: Result):
    (run,) = json.loads(sarif.render(made))["runs"]
    return run


def errors(text: str) -> list[str]:
    from jsonschema import Draft4Validator

    schema = json.loads(SCHEMA.read_text())
    validator = Draft4Validator(schema, format_checker=Draft4Validator.FORMAT_CHECKER)
    return [
        f"{error.json_path}: {error.message}" for error in validator.iter_errors(json.loads(text))
    ]


def result_of(*reports: FileReport, **changes) -> Result:
    return replace(Result(tuple(map(entry_of, reports)), "/base", 1), **changes)


@pytest.mark.extras
def test_valid_by_the_schema(whole):
    text = sarif.render(whole)

    assert errors(text) == []
    assert errors(text.replace('"ruleId"', '"rule"'))


@pytest.mark.extras
def test_valid_with_a_baseline_a_time_and_a_revision(tmp_path, whole):
    baseline = Baseline(str(tmp_path / "b.json"), {}, date(2026, 1, 1))
    known = baseline.renewed(whole.entries, [str(tmp_path)], "because")
    made = replace(
        result(tmp_path, known),
        stale=("no longer found: x",),
        made=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        origin=Origin("https://example.org/a/b", "0" * 40, "main"),
    )

    text = sarif.render(made)
    (run,) = json.loads(text)["runs"]

    assert errors(text) == []
    assert {len(row["suppressions"]) for row in run["results"]} == {0, 1}
    assert run["versionControlProvenance"][0]["revisionId"] == "0" * 40
    assert run["invocations"][0]["endTimeUtc"] == "2026-01-02T03:04:05Z"
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert any(
        note["level"] == "note" and "no longer found" in note["message"]["text"] for note in notes
    )


def test_every_finding_is_a_result_with_rule_level_and_fingerprints(whole):
    run = run_of(whole)
    rules = run["tool"]["driver"]["rules"]

    assert len(run["results"]) == sum(len(entry.items) for entry in whole.entries)
    for row in run["results"]:
        assert rules[row["ruleIndex"]]["id"] == row["ruleId"]
        assert len(row["partialFingerprints"]["safehold/v1"]) == 32
    levels = {row["ruleId"]: row["level"] for row in run["results"]}
    assert levels["SH101"] == "error"
    assert levels["SH106"] == "warning"


def test_rules_tell_score_weakness_and_remedy(whole):
    run = run_of(whole)
    (rule,) = (rule for rule in run["tool"]["driver"]["rules"] if rule["id"] == "SH101")
    target = rule["relationships"][0]["target"]

    assert rule["properties"]["security-severity"] == "10.0"
    assert "external/cwe/cwe-502" in rule["properties"]["tags"]
    assert DANGEROUS_GLOBAL.remedy in rule["help"]["text"]
    assert run["taxonomies"][0]["taxa"][target["index"]]["id"] == target["id"] == "502"


def test_places(whole, tmp_path):
    run = run_of(whole)
    places = {
        unquote_to_bytes(row["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]): row
        for row in run["results"]
    }

    assert {NOT_UTF8, *(name.encode() for name in NAMES)} <= places.keys()
    region = places[b"evil.pkl"]["locations"][0]["physicalLocation"]["region"]
    assert EVIL[region["byteOffset"] :].startswith((b"cposix", b"\x8c\x05posix"))
    inner = places[b"m.zip"]
    nested = inner["relatedLocations"][0]["physicalLocation"]["artifactLocation"]
    assert (
        run["artifacts"][run["artifacts"][nested["index"]]["parentIndex"]]["location"]["uri"]
        == "m.zip"
    )
    assert inner["locations"][0]["logicalLocations"][0]["name"].startswith("\\x1b")
    hashes = {row["location"]["uri"]: row.get("hashes") for row in run["artifacts"]}
    assert len(hashes["evil.pkl"]["sha-256"]) == 64


def test_a_line_of_a_source_is_a_region_of_text():
    where = Location("/base/a.py", line=7, column=3)
    report = FileReport(
        "/base/a.py", "python", Verdict.SUSPICIOUS, (Finding.of(DANGEROUS_GLOBAL, "m", where),)
    )

    (row,) = run_of(result_of(report))["results"]

    assert row["locations"][0]["physicalLocation"]["region"] == {"startLine": 7, "startColumn": 3}
    assert "primaryLocationLineHash" not in row["partialFingerprints"]


def test_fingerprints_stay_when_bytes_before_the_finding_move():
    found = [
        {
            row["ruleId"]: row["partialFingerprints"]
            for row in run_of(result_of(scan_bytes(data)))["results"]
        }["SH101"]
        for data in (EVIL, GOOD + EVIL)
    ]

    assert found[0] == found[1]


def test_what_could_not_be_read_is_told_and_the_run_did_not_succeed(whole):
    (invocation,) = run_of(whole)["invocations"]

    assert invocation["executionSuccessful"] is False
    assert invocation["exitCode"] == 2
    assert [note["level"] for note in invocation["toolExecutionNotifications"]] == ["error"]
    clean = run_of(result_of(scan_bytes(GOOD, "good.pkl"), code=0))
    assert clean["invocations"][0]["executionSuccessful"] is True
    assert clean["results"] == []


def test_nothing_of_a_name_acts_on_a_reader(whole):
    text = sarif.render(whole)
    messages = [row["message"]["text"] for row in run_of(whole)["results"]]

    assert text.isascii()
    assert "##" not in text
    assert all(message.isprintable() for message in messages)
    assert not any("](" in message or "{0}" in message.replace("{{0}}", "") for message in messages)
    assert any("a]\\x28b)" in message for message in messages)
    assert HOSTILE not in text


def test_the_same_result_gives_the_same_bytes(tmp_path):
    root = tree(tmp_path)

    assert sarif.render(result(root)) == sarif.render(result(root))


def test_a_long_message_is_cut():
    where = Location("/base/a.pkl")
    report = FileReport(
        "/base/a.pkl", "pickle", Verdict.MALICIOUS,
        (Finding.of(DANGEROUS_GLOBAL, "x" * 5000, where, detail={"call": "y" * 5000}),),
    )  # fmt: skip

    (row,) = run_of(result_of(report))["results"]

    assert len(row["message"]["text"]) <= 1024  # what GitHub shows of it
    assert len(row["properties"]["detail"]["call"]) <= 1024


def noise(rule, number, letters):
    """Return a report that would drown all others."""
    maker = random.Random(number)
    findings = tuple(
        Finding.of(
            rule,
            "".join(maker.choices(string.ascii_letters, k=letters)),
            Location(f"/base/{number}.pkl"),
        )
        for _ in range(number)
    )
    return FileReport(f"/base/{number}.pkl", "pickle", Verdict.SUSPICIOUS, findings)


def test_limits_are_below_those_of_github():
    assert sarif_run.MOST_RESULTS <= 25_000
    assert sarif_run.MOST_COMPRESSED < 10 * 10**6


@pytest.mark.parametrize(("results", "size"), [(100, 10**6), (25_000, 50_000)])
def test_no_file_keeps_what_is_worse_from_being_shown(monkeypatch, results, size):
    monkeypatch.setattr(sarif_run, "MOST_RESULTS", results)
    monkeypatch.setattr(sarif_run, "MOST_COMPRESSED", size)
    made = result_of(noise(UNREADABLE_STREAM, 300, 500), scan_bytes(EVIL, "/base/e.pkl"))

    text = sarif.render(made)
    (run,) = json.loads(text)["runs"]
    (note,) = run["invocations"][0]["toolExecutionNotifications"]

    assert run["results"][0]["ruleId"] == "SH101"
    assert len(run["results"]) <= results
    assert len(gzip.compress(text.encode(), 6)) < size + 60_000  # rules, and what is still packed
    assert f"{301 - len(run['results'])} further" in note["message"]["text"]


def test_of_equals_each_file_comes_first_with_its_first_finding():
    made = result_of(noise(DANGEROUS_GLOBAL, 50, 5), scan_bytes(EVIL, "/base/e.pkl"))

    uris = [
        row["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for row in run_of(made)["results"]
    ]

    assert uris[:2] == ["50.pkl", "e.pkl"]


def test_several_scans_of_one_revision_have_their_own_category(whole):
    assert run_of(whole)["automationDetails"]["id"] == "safehold/"
    assert run_of(replace(whole, category="a\x1b"))["automationDetails"]["id"] == "a\\x1b/"


def test_limits_of_rules(whole):
    rules = run_of(whole)["tool"]["driver"]["rules"]

    assert all(len(rule["properties"]["tags"]) <= 10 for rule in rules)
    assert all(len(rule["name"]) <= 255 for rule in rules)
    assert all(len(rule["fullDescription"]["text"]) <= 1024 for rule in rules)


def test_suppressed_results_say_why():
    report = scan_bytes(UNKNOWN, "/base/u.pkl")
    entry = entry_of(report)

    known = tuple(Item(x.finding, x.fingerprint, Suppression("old \x1b")) for x in entry.items)
    made = Result((replace(entry, items=known),), "/base", 0, compared=True)

    (row,) = run_of(made)["results"]

    assert row["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": "old \\x1b"}
    ]
