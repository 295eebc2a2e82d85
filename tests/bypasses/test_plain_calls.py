"""The payloads everybody starts with, in every protocol and every form of a call."""

from __future__ import annotations

import os
import pickle

import pytest

from tests.bypasses.payloads import Raw, assert_caught, call, named, source, stream, system, value


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_reduce_method(marker, protocol):
    report = assert_caught(pickle.dumps({"a": [Evil(marker)]}, protocol), marker)
    [finding] = report.findings
    assert finding.rule.id == "SH101"
    assert str(marker)[:20] in finding.detail["call"]


@pytest.mark.parametrize("module", ["os", "posix"])
def test_global_reduce(marker, module):
    assert_caught(stream(system(marker, module), protocol=None), marker)


def test_inst(marker):
    argument = value(f"touch {marker}")
    assert_caught(b"(" + argument + b"iposix\nsystem\n.", marker)


def test_obj(marker):
    argument = value(f"touch {marker}")
    assert_caught(b"(" + named("posix", "system").opcodes + argument + b"o.", marker)


@pytest.mark.parametrize("name", ["eval", "exec"])
@pytest.mark.parametrize(("module", "protocol"), [("builtins", 4), ("__builtin__", 2)])
def test_builtins_under_both_names(marker, name, module, protocol):
    assert_caught(stream(call(named(module, name), source(marker)), protocol=protocol), marker)


def test_newobj_of_a_process(marker):
    # The C loader takes __new__ alone, so the call is hidden in the state of another class.
    made = call(named("subprocess", "Popen"), ["touch", str(marker)])
    data = stream(Raw(b"}" + value("key") + made.opcodes + b"s"))
    assert_caught(data, marker)
