"""A short run of the fuzzer, and that it sees what it is there for."""

from __future__ import annotations

import sys

import pytest

from safehold.scan import machine, opcodes
from tests.fuzz.children import Loader
from tests.fuzz.compare import read
from tests.fuzz.generator import streams
from tests.fuzz.running import CHUNK, differs, run_chunk

pytestmark = [pytest.mark.bare, pytest.mark.forking]


@pytest.fixture
def loader():
    with Loader() as child:
        yield child


@pytest.mark.parametrize("slow", [False, True], ids=["C", "Python"])
def test_machine_and_loader_agree(slow):
    for seed in range(4):
        counts, found = run_chunk(seed, sys.executable, slow)
        assert not found, "\n".join(map(str, found))
        assert counts["streams"] == CHUNK
        assert counts["read to the end"] > CHUNK // 5
        assert counts["events"] > CHUNK


def test_the_same_seed_gives_the_same_streams():
    assert list(streams(7, 50)) == list(streams(7, 50)) != list(streams(8, 50))


@pytest.mark.parametrize("opcode", b"0q\x94\x93R")
def test_a_machine_that_misses_an_opcode_is_found(monkeypatch, opcode):
    """The comparison itself is tested: with one opcode that does nothing, seeds differ."""
    table = list(opcodes.TABLE)
    table[opcode] = lambda m: m.take(1) if opcode == 0x71 else None
    monkeypatch.setattr(opcodes, "TABLE", tuple(table))
    _, found = run_chunk(0, sys.executable, slow=False)
    assert found
    assert min(len(one.data) for one in found) < 100


def test_streams_that_once_differed(loader):
    for data in (b"c\xff\na\n.", b"(I\0\nt.", b"\x80\x02\x8b\xff\xff\xff\xff.", b"N0(0."):
        assert differs(loader, data) is None


def test_call_at_the_end_of_a_file_without_newline(loader):
    """The Python loader calls what the last line names, though the line has no end."""
    assert differs(loader, b"(S'true'\nios\nsystem!", slow=True) is None
    watcher = read(b"(S'true'\nios\nsystem!", python=True)[0].watcher
    assert ("find", "os", "system") in watcher.events


def test_sizes_that_reserve_memory_do_not_reach_the_loader(loader):
    assert machine.MAX_NAME < 2**30
    assert differs(loader, b"Nr\xff\xff\xff\x7f.") is None
