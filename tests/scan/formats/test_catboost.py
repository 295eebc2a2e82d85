"""Bytes by catboost's own schemas; the reader was also held against files of catboost 1.2.10."""

from __future__ import annotations

import struct

import pytest

from safehold.scan import flatbuffer, scan_bytes
from tests.bypasses.payloads import named, stream
from tests.scan.formats.damage import clean_prefixes, flip, replace
from tests.scan.formats.flats import Number, Row, build

VERSION = "FlabuffersModel_v1"
TREES = [
    Number(4, 1), Row(4, [0, 1]), Row(4, [2]), Row(4, [0]), ([Number(4, 0), None, "city"],),
    ([Number(1, 1), Number(4, 0), Number(4, 0), Row(4, [1, 2]), "age"],),
    ([Number(4, 0), Row(4, [7]), ("a", "b")],), ([None, Row(4, [1])],), Row(8, [1, 2, 3, 4]),
    Row(8, [1]), Row(4, [1]), Row(4, [1]),
]  # fmt: skip


def rules(report):
    return {finding.rule.id for finding in report.findings}


def model(*parts: str, version=VERSION, tail=b"", trees=TREES):
    core = build([version, trees, (["params", '{"loss": "x"}'],), parts or None])
    return b"CBM1" + struct.pack("<I", len(core)) + core + tail


TABLES = struct.pack("<IIII", 2, 3, 0, 5)[:8] + b"abc" + struct.pack("<I", 5) + b"12345"


def test_model_is_clean_to_its_last_byte_and_not_before():
    for data in (model(), model("static_provider_v1", tail=TABLES)):
        report = scan_bytes(data, "a.cbm")
        assert (report.format, report.verdict) == ("catboost", "clean"), report.findings
        assert clean_prefixes(data, "a.cbm") == []


def test_damage_is_no_failure():
    flip(model(), "a.cbm", 400)
    signs = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f", b"")
    replace(model(), "a.cbm", lambda rng: rng.choice(signs), 400)


@pytest.mark.parametrize(
    "data",
    [
        model(version="other"),
        model("own_part"),
        model("text_process_v2", tail=b"text_process_v2\0" + bytes(50)),
        model("static_provider_v1", tail=struct.pack("<I", 2**31)),
        model("static_provider_v1", tail=struct.pack("<II", 1, 2**31)),
        b"CBM1" + struct.pack("<IQ", 0xFFFFFFFF, 2**62),
        b"CBM1" + struct.pack("<I", 8) + b"\xff" * 8,
    ],
)
def test_what_is_not_read_is_not_clean(data):
    assert rules(scan_bytes(data, "a.cbm")) == {"SH103"}


def test_a_pickle_behind_a_model_is_found():
    assert rules(scan_bytes(model(tail=stream(named("os", "system"))), "a.cbm")) == {
        "SH101", "SH107",
    }  # fmt: skip


def test_parts_are_bounded_and_shared_ones_seen_once(monkeypatch):
    pair = ["k", "v"]
    data = build([VERSION, None, tuple([pair] * 5000)])
    monkeypatch.setattr(flatbuffer, "_MOST_STEPS", 3000)
    whole = b"CBM1" + struct.pack("<I", len(data)) + data
    assert rules(scan_bytes(whole, "a.cbm")) == {"SH105"}
