"""Names that reach a danger through something else, or that only exist on the stack."""

from __future__ import annotations

import pytest

from safehold.scan import scan_bytes
from tests.bypasses.payloads import (
    Raw,
    assert_caught,
    call,
    named,
    source,
    stream,
    system,
    value,
)

WALKS = [
    ("random", "_os.system"),
    ("logging", "os.system"),
    ("os.path", "os.system"),
    ("subprocess", "os.system"),
    ("collections", "_sys.modules.get"),
    ("copyreg", "_reconstructor.__builtins__.get"),
]


@pytest.mark.parametrize(("module", "name"), WALKS[:4])
def test_walk_through_a_module(marker, module, name):
    assert_caught(stream(call(named(module, name), f"touch {marker}")), marker)


@pytest.mark.parametrize(("module", "name"), WALKS[4:])
def test_walk_through_a_mapping(marker, module, name):
    key = "os" if "modules" in name else "exec"
    found = call(named(module, name), key)
    if key == "os":
        found = call(named("builtins", "getattr"), found, "system")
        data = stream(call(found, f"touch {marker}"))
    else:
        data = stream(call(found, source(marker)))
    assert_caught(data, marker)


def test_module_object_reached_by_its_name_in_another(marker):
    module = named("random", "_os")
    data = stream(call(call(named("builtins", "getattr"), module, "system"), f"touch {marker}"))
    assert_caught(data, marker)


def test_names_from_the_memo(marker):
    """picklescan issue 22: the memo index was not read, so the last text was taken."""
    data = (
        b"\x80\x04"
        + value("posix")
        + b"q\x05"
        + value("system")
        + b"r\x06\x00\x00\x00"
        + value("collections")
        + b"q\x07"
        + value("OrderedDict")
        + b"q\x08"
        + b"0000"
        + b"h\x05j\x06\x00\x00\x00\x93"
        + value((f"touch {marker}",))
        + b"R."
    )
    assert_caught(data, marker)


def test_memo_overwritten_between_uses(marker):
    data = (
        b"\x80\x04"
        + value("collections")
        + b"q\x00"
        + value("posix")
        + b"q\x00"
        + b"00h\x00"
        + value("system")
        + b"\x93"
        + value((f"touch {marker}",))
        + b"R."
    )
    assert_caught(data, marker)


def test_name_duplicated_on_the_stack(marker):
    """GHSA-9gvj-pp9x-gcfr: operations between the texts and STACK_GLOBAL misled the parser."""
    data = (
        b"\x80\x04"
        + value("posix")
        + b"("
        + value("decoy")
        + b"1"
        + value("system")
        + b"20"
        + b"\x93"
        + value((f"touch {marker}",))
        + b"R."
    )
    assert_caught(data, marker)


def test_name_in_an_old_string(marker):
    data = b"\x80\x04S'posix'\nS'sys\\x74em'\n\x93" + value((f"touch {marker}",)) + b"R."
    assert_caught(data, marker)


def test_name_with_unicode_escapes(marker):
    data = b"\x80\x04Vp\\u006fsix\nVsystem\n\x93" + value((f"touch {marker}",)) + b"R."
    assert_caught(data, marker)


def test_name_made_while_loading(marker):
    """The text is the result of a call, so no reader of the stream can know it."""
    made = call(Raw(value("po") + b"0" + named("builtins", "str").opcodes), "posix")
    data = b"\x80\x04" + made.opcodes + value("system") + b"\x93"
    data += value((f"touch {marker}",)) + b"R."
    report = assert_caught(data, marker)
    assert "SH104" in {finding.rule.id for finding in report.findings}


@pytest.mark.parametrize("push", [b"K\x01", b"N", b"C\x02os", b"B\x02\0\0\0os", b")", b"\x97"])
def test_name_that_is_no_text_is_an_attack_even_if_only_named(push):
    for data in (value("os") + push, push + value("system")):
        report = scan_bytes(b"\x80\x04" + data + b"\x93.", "a.pkl")
        assert report.verdict == "malicious"


def test_function_made_while_loading_is_an_attack():
    data = stream(call(call(named("datetime", "timezone"), 1), 1))
    report = scan_bytes(data, "a.pkl")
    assert report.verdict == "malicious"


def test_extension_registry(marker):
    data = b"\x80\x02\x82\xf0" + value((f"touch {marker}",)) + b"R."
    report = assert_caught(data, marker, "extension")
    assert [finding.rule.id for finding in report.findings] == ["SH104"]


@pytest.mark.parametrize("code", [b"\x82\xf0", b"\x83\xf0\xf0", b"\x84\xf0\xf0\xf0\x00"])
def test_extension_is_an_attack_even_if_only_named(code):
    assert scan_bytes(b"\x80\x02" + code + b".", "a.pkl").verdict == "malicious"


def test_result_thrown_away(marker):
    """fickling: a call whose result was popped vanished from its analysis."""
    data = stream(system(marker), Raw(b"}"))
    assert_caught(data, marker)
