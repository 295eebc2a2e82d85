from __future__ import annotations

import json
import pickle

import pytest

from safehold import dangers
from safehold.findings import Finding, Location
from safehold.scan import RULES, Scan, Verdict, scan_path
from tests.bypasses.payloads import named, stream

DANGER = dangers.lookup("posix", "system")
WITH = {rule.id: Finding.of(rule, "message", Location("x")) for rule in RULES}


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([], "clean"),
        (["SH102"], "suspicious"),
        (["SH103"], "suspicious"),
        (["SH105"], "suspicious"),
        (["SH107"], "suspicious"),
        (["SH109"], "suspicious"),
        (["SH106"], "error"),
        (["SH106", "SH102"], "error"),
        (["SH101"], "malicious"),
        (["SH104"], "malicious"),
        (["SH108"], "malicious"),
        (["SH106", "SH101"], "malicious"),
    ],
)
def test_verdict_is_the_worst_of_the_findings(ids, expected):
    assert Verdict.of(WITH[name] for name in ids) == expected


def test_json_is_what_the_contract_says(tmp_path):
    (tmp_path / "m.pkl").write_bytes(stream(named("posix", "system")))
    (tmp_path / "n.pkl").write_bytes(pickle.dumps(1))
    found = json.loads(json.dumps(scan_path(tmp_path).as_json()))
    assert found == {
        "schema": 1,
        "files": [
            {
                "path": str(tmp_path / "m.pkl"),
                "format": "pickle",
                "verdict": "malicious",
                "findings": [
                    {
                        "rule": "SH101",
                        "severity": "critical",
                        "confidence": "high",
                        "message": f"names posix.system, which {DANGER.why}",
                        "location": {"offset": 2, "member": None, "line": None},
                        "detail": {
                            "global": "posix.system",
                            "powers": "process",
                            "cwe": DANGER.cwe,
                        },
                    }
                ],
            },
            {
                "path": str(tmp_path / "n.pkl"),
                "format": "pickle",
                "verdict": "clean",
                "findings": [],
            },
        ],
        "summary": {"files": 2, "clean": 1, "suspicious": 0, "malicious": 1, "error": 0},
    }


def test_empty_scan():
    assert Scan(()).as_json() == {
        "schema": 1,
        "files": [],
        "summary": {"files": 0, "clean": 0, "suspicious": 0, "malicious": 0, "error": 0},
    }
