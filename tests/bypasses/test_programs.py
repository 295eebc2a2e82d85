"""Callables that no list knows: what they are given tells what they are called for."""

from __future__ import annotations

import pytest

from safehold.scan import scan_bytes
from tests.bypasses.payloads import assert_caught, call, named, source, stream, system, value

CODE = [
    "__import__('os').system('id')",
    "x = 1\nimport subprocess",
    "exec('1')",
    "().__class__.__bases__[0].__subclasses__()",
    "open('/tmp/x', 'w')",
    "touch /tmp/x",
    "sh -c 'id'",
    "a; curl https://example.org/x",
]
PROSE = [
    "import of goods", "open the window, 'w'", "touch typing", "the shell is open(ed)",
    "select sum(x) from t", "{% if a %}", "cat food", "os system", "a.b.c", "C(k) + x",
    "/usr/share/models", "https://example.org/x",
]  # fmt: skip


def report(*args: object, keywords: bytes = b""):
    made = value(args) + (keywords + b"\x92" if keywords else b"R")
    return scan_bytes(b"\x80\x04" + value("shop.tools") + value("apply") + b"\x93" + made + b".")


@pytest.mark.parametrize("text", CODE)
def test_program_for_an_unknown_callable_is_an_attack(text):
    assert report(text).verdict == "malicious"
    assert report(1, [text]).verdict == "malicious"
    assert report(text.encode()).verdict == "malicious"
    assert report(f"{'x' * 3000}\n{text}").verdict == "malicious"
    assert report(f"{'x' * 3000}\n{text}".encode()).verdict == "malicious"
    keywords = b"}" + value("code") + value(text) + b"s"
    assert report(keywords=keywords).verdict == "malicious"


@pytest.mark.parametrize("text", PROSE)
def test_prose_for_an_unknown_callable_is_merely_unknown(text):
    assert report(text).verdict == "suspicious"


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickle_for_an_unknown_callable_is_an_attack(marker, protocol):
    payload = system(marker).opcodes if protocol else b"cposix\nsystem\n(S'id'\ntR"
    assert report(b"\x80\x04" + payload + b".").verdict == "malicious"


def test_callable_of_an_installed_library(marker):
    """A function that no table lists: it runs what it is given in a namespace of its own."""
    script = marker.with_name("helper.py")
    script.write_text("def run(text):\n    exec(text)\n")
    added = call(named("sys", "path.append"), str(marker.parent))
    run = call(named("helper", "run"), source(marker))
    report = assert_caught(stream(added, run), marker)
    assert any("a program: Python" in finding.message for finding in report.findings)


def test_class_whose_state_has_special_names_is_unknown_and_no_attack():
    """statsmodels keeps the documentation of a result in it, networkx a cache."""
    state = b"}" + value("__doc__") + value("text") + value("__networkx_cache__") + b"}"
    made = value("shop.models") + value("Graph") + b"\x93)\x81" + state.replace(b"}", b"}(", 1)
    data = b"\x80\x04" + made + b"ub."
    assert scan_bytes(data, "a.pkl").verdict == "suspicious"


def test_unknown_class_whose_state_names_the_method_that_loading_calls(marker):
    state = b"}" + value("__setstate__") + named("posix", "system").opcodes + b"sb"
    made = value("argparse") + value("_ActionsContainer") + b"\x93)\x81" + state
    data = b"\x80\x04" + made + value(f"touch {marker}") + b"b."
    assert_caught(data, marker)


@pytest.mark.extras
def test_method_of_a_frame_under_the_name_of_its_subclass(marker):
    frame = call(named("pandas", "DataFrame"), [1])
    assert_caught(stream(call(named("pandas", "DataFrame.to_csv"), frame, str(marker))), marker)


@pytest.mark.extras
def test_file_written_by_a_method_of_an_array(marker):
    array = call(named("numpy", "array"), [1])
    payload = call(
        named("numpy", "matrix.tofile"), call(named("numpy", "asmatrix"), array), str(marker)
    )
    assert_caught(stream(payload), marker)


def test_more_arguments_than_are_searched_are_told():
    """A text that is named from the memo costs three bytes for each call."""
    head = b"\x80\x04" + value("shop.tools") + value("apply") + b"\x93\x94" + value("a" * 4000)
    calls = b"\x85\x940" + b"h\x00h\x01R0" * 2000
    report = scan_bytes(head + calls + b"N.", "a.pkl")
    assert report.verdict == "suspicious"
    assert "SH105" in {finding.rule.id for finding in report.findings}


MEMOS = [b"", b"\x94", b"q\x05", b"r\x05\0\0\0"]


@pytest.mark.parametrize("memo", MEMOS)
@pytest.mark.parametrize("head", [b"\x8c\x05", b"U\x05", b"X\x05\0\0\0"])
def test_hidden_stream_without_a_beginning_in_any_spelling(head, memo):
    """What is left of a stream whose first bytes another reader steps over."""
    module = head + b"posix" + memo
    name = head.replace(b"\x05", b"\x06", 1) + b"system" + memo
    data = b"\x80\x04]\xff\xff\xff" + module + name + b"\x93" + value(("id",)) + b"R."
    assert scan_bytes(data, "a.pkl").verdict == "malicious"
    harmless = data.replace(b"posix", b"shops").replace(b"system", b"basket")
    assert scan_bytes(harmless, "a.pkl").verdict == "suspicious"
