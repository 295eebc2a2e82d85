"""Streams that CPython reads and `pickletools` refuses, so that its users see nothing."""

from __future__ import annotations

import pickle
import pickletools

import pytest

from safehold.scan import scan_bytes
from tests.bypasses.payloads import Raw, assert_caught, stream, system, value

PREFIXES = {
    "hexadecimal INT": b"I0x10\n0",
    "octal INT": b"I010\n0",
    "NUL in INT": b"I1\0junk\n0",
    "blank in INT": b"I 7\n0",
    "hexadecimal LONG": b"L0x10L\n0",
    "underscore in LONG": b"L1_0L\n0",
    "infinite FLOAT": b"F-inf\n0",
    "blanks in PUT": b"Nq\x00p 1 \n0",
    "underscore in PUT": b"Np1_0\ng10\n00",
    "plus in GET": b"Np1\ng+1\n00",
    "frame that is none": b"\x95\x01\0\0\0\0\0\0\0",
    "protocol opcode in the middle": b"N0\x80\x05",
    "marks left over": b"(((",
    "POP of a mark": b"(0",
}


@pytest.mark.parametrize("name", PREFIXES)
def test_prefix_does_not_hide_the_payload(marker, name):
    data = b"\x80\x04" + PREFIXES[name] + system(marker).opcodes + b"."
    assert_caught(data, marker)


@pytest.mark.parametrize("name", ["hexadecimal INT", "NUL in INT", "hexadecimal LONG"])
def test_pickletools_is_blind_there(name):
    with pytest.raises(ValueError, match=r"invalid literal|could not convert"):
        list(pickletools.genops(PREFIXES[name] + b"."))


def test_read_across_the_end_of_a_frame(marker):
    """From a file, the C loader drops what is left of the frame and reads what follows it."""
    argument = value((f"touch {marker}",))
    frame = b"ccollections"
    data = b"\x80\x04\x95" + len(frame).to_bytes(8, "little") + frame
    assert_caught(data + b"posix\nsystem\n" + argument + b"R.", marker, "stream")


def test_second_load_begins_after_the_frame_of_the_first(marker):
    frame = b"N." + b"\x80\x04N" * 300
    data = b"\x80\x04\x95" + len(frame).to_bytes(8, "little") + frame
    assert_caught(data + stream(system(marker)), marker, "twice")


def test_frame_that_goes_on_after_the_stop_is_an_attack_by_itself():
    data = b"\x80\x04\x95\x0c\0\0\0\0\0\0\0" + b"N." + b"N0N0N0N0N."
    found = {finding.rule.id for finding in scan_bytes(data, "a.pkl").findings}
    assert "SH104" in found


def test_frame_longer_than_the_file_is_not_clean():
    data = b"\x80\x04\x95\xff\0\0\0\0\0\0\0N."
    assert scan_bytes(data, "a.pkl").verdict != "clean"
    found = {finding.message for finding in scan_bytes(data, "a.pkl").findings}
    assert "a frame is longer than the file" in found


def test_pickle_that_is_cut_off_is_broken_and_no_attack():
    whole = pickle.dumps({"weights": [1.5] * 300, "name": "a long text" * 20}, protocol=4)
    for end in range(12, len(whole), 37):
        report = scan_bytes(whole[:end], "a.pkl")
        assert report.verdict == "suspicious", end
        assert "SH104" not in {finding.rule.id for finding in report.findings}


@pytest.mark.parametrize("get", [b"h\x05", b"j\x05\0\0\0", b"g5\n"])
def test_memo_that_was_never_set_is_not_clean(get):
    assert scan_bytes(b"N" + get + b"0.", "a.pkl").verdict == "suspicious"


def test_non_ascii_string(marker):
    data = b"S'\xff'\n0" + system(marker).opcodes + b"."
    assert_caught(data, marker, "latin1")


@pytest.mark.parametrize(
    "tail",
    [b"", b"0", b"000", b"\xff", b"R", b"c", b"X\xff\xff\xff\x7f", b"h\x63", b"I\n"],
    ids=["no STOP", "empty", "underflow", "no opcode", "bad call", "cut", "long", "unset", "line"],
)
def test_stream_that_breaks_after_the_payload_ran(marker, tail):
    """GHSA-9gvj-pp9x-gcfr: an error ended the scan, but not before the payload had run."""
    data = b"\x80\x04" + system(marker).opcodes + tail
    report = assert_caught(data, marker)
    assert "SH101" in {finding.rule.id for finding in report.findings}


@pytest.mark.parametrize("first", [stream(Raw(b"N")), b"N.", stream(Raw(b"}"))])
def test_payload_in_a_second_stream(marker, first):
    assert_caught(first + stream(system(marker)), marker, "twice")


def test_memo_left_over_by_the_first_stream(marker):
    """Each stream alone is harmless; one Unpickler reads both."""
    first = b"\x80\x04" + value("posix") + b"q\x00" + value("system") + b"q\x01."
    second = b"\x80\x04h\x00h\x01\x93" + value((f"touch {marker}",)) + b"R."
    assert_caught(first + second, marker, "one unpickler")


def test_memo_left_over_that_the_second_stream_could_do_without(marker):
    """Read afresh, MEMOIZE counts from zero; read by the same Unpickler, it goes on counting."""
    first = b"\x80\x04" + value("posix") + b"\x94" + value("system") + b"\x94."
    second = (
        b"\x80\x04"
        + value("collections")
        + b"\x940"
        + value("OrderedDict")
        + b"\x940"
        + b"h\x00h\x01\x93"
        + b"("
        + value(f"touch {marker}")
        + b"tR."
    )
    assert_caught(first + second, marker, "one unpickler")


def test_payload_behind_junk_behind_a_pickle():
    hidden = b"N." + b"\xff" * 50 + stream(Raw(b"cposix\nsystem\n"))
    assert scan_bytes(hidden, "a.pkl").verdict == "malicious"
    assert scan_bytes(b"N." + b"\xff" * 50, "a.pkl").verdict == "suspicious"
