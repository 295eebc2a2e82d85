"""Hostile bytes at small sizes: a scan ends with a report; `bench hostile_bytes` has the costs."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from safehold.scan import budget, inert, scan_bytes, sizes
from tests.fuzz.families import FAMILIES

FLOODS = [name for name in FAMILIES if name.startswith("byte ")]
OTHERS = [name for name in FAMILIES if name not in FLOODS]
SIZE = 600


@pytest.fixture(autouse=True)
def one_reader(monkeypatch):
    """The second reader has tests of its own, and takes a process for each file."""
    monkeypatch.setattr(inert, "_ask", lambda *_: None)


def check(name):
    family = FAMILIES[name]
    data = family.build(SIZE)
    assert family.build(SIZE) == data
    suffix = family.suffix
    report = scan_bytes(data, f"a{suffix}" if suffix.startswith(".") else f"a/{suffix}")
    messages = [finding.message for finding in report.findings]
    assert not [message for message in messages if "scanner failed" in message]
    assert report.verdict in ("clean", "suspicious", "malicious", "error")
    assert family.clean or report.verdict != "clean"
    # Only floods of what a pickle may hold have nothing wrong with them.
    assert report.verdict == "clean" or messages


@pytest.mark.parametrize("name", OTHERS)
def test_a_scan_ends_with_a_report(name):
    check(name)


def test_a_scan_of_a_flood_of_each_byte_ends_with_a_report():
    assert len(FLOODS) == 256
    for name in FLOODS:
        check(name)


@pytest.mark.parametrize(
    "name",
    [
        "byte 28",
        "nested tuples",
        "none memoize",
        "puts",
        "distinct texts",
        "tuples of 1000 copies",
        "dicts of 50 copies",
        "states",
        "names",
        "lists, then what they put",
    ],
)
def test_what_is_kept_takes_no_more_memory_than_is_counted(name, monkeypatch):
    monkeypatch.setattr(budget, "STRIDE", 100)
    monkeypatch.setattr(sizes, "MAX_KEPT", 2**20)
    # What other tests left to be freed, or runs on, would be taken for room of this scan.
    monkeypatch.setattr(sizes.threading, "active_count", lambda: 1)
    data = FAMILIES[name].build(400_000)
    scan_bytes(data[:1000], "a.pkl")  # patterns
    gc.collect()
    tracemalloc.start()
    report = scan_bytes(data, "a.pkl")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert any("keeps more than 1 MiB" in finding.message for finding in report.findings)
    assert peak < 6 * 2**20
