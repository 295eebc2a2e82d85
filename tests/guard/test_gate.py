"""What the gate decides about names, asked directly: no loader hands it these."""

from __future__ import annotations

import collections
import importlib.util
import operator
import pickle
import socket
import sys
import types
from _thread import get_ident
from typing import Any

import pytest

from safehold.errors import Blocked
from safehold.guard import entries, grants, reaching
from safehold.guard.adapters import distributed
from safehold.guard.adapters import ray as ray_adapter
from safehold.guard.gate import Gate
from safehold.guard.grants import MINTED, UNTRUSTED, Held
from tests.guard.reachable import Asked, RefusedError


class Lying(str):
    """A text that says it is another."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash("builtins" if self == "posix" else "set")

    def __eq__(self, other: object) -> bool:
        return other in ("builtins", "set", "posix")


@pytest.mark.parametrize("grant", [UNTRUSTED, MINTED], ids=["untrusted", "minted"])
@pytest.mark.parametrize(
    ("module", "name"), [(Lying("posix"), Lying("system")), ("builtins", b"set"), (None, None)]
)
def test_a_name_that_is_no_text_is_refused(grant: Any, module: Any, name: Any) -> None:
    with pytest.raises(RefusedError, match="no text"):
        Asked().check_name(module, name, grant, None)


def test_a_module_by_its_python_2_name_is_refused() -> None:
    with pytest.raises(RefusedError, match="is a module"):
        Asked().check_name("Queue", "types", MINTED, None)
    Asked().check_name("Queue", "Queue", MINTED, None)


def test_a_python_2_name_that_cannot_be_looked_for_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Asked().check_name("exceptions", "ValueError", UNTRUSTED, None)

    def fail(name: str) -> None:
        message = f"{name}.__spec__ is not set"
        raise ValueError(message)

    monkeypatch.setattr(importlib.util, "find_spec", fail)
    with pytest.raises(RefusedError, match="not plain data"):
        Asked().check_name("exceptions", "ValueError", UNTRUSTED, None)


def test_what_cannot_be_recorded_is_refused_also_in_monitor() -> None:
    def fail() -> Any:
        message = "no policy"
        raise OSError(message)

    gate = Gate("monitor", fail, environ={})
    with pytest.raises(Blocked) as caught:
        gate.check_name("posix", "system", UNTRUSTED, None)
    assert "could not be recorded" in "".join(caught.value.__notes__)


@pytest.fixture
def _asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "gate", Asked(), raising=False)


@pytest.mark.usefixtures("_asked")
def test_a_table_of_a_dangerous_module_is_not_reached() -> None:
    with pytest.raises(RefusedError, match=r"sys\.modules"):
        reaching.reached_attribute(sys, "modules")
    assert reaching.reached_attribute(pickle, "HIGHEST_PROTOCOL") == pickle.HIGHEST_PROTOCOL


@pytest.mark.usefixtures("_asked")
def test_a_class_that_the_stream_makes_may_be_named_and_no_other() -> None:
    change: Any = reaching.stand_in(setattr)
    made = type("Made", (), {})
    change(made, "__qualname__", "Outer.Made")
    assert made.__qualname__ == "Outer.Made"
    for owner, name in ((made, "__init__"), (RefusedError, "__qualname__"), (made(), "x")):
        with pytest.raises(RefusedError):
            change(owner, name, "x")


@pytest.mark.usefixtures("_asked")
def test_what_a_load_gives_out_is_an_attrgetter() -> None:
    getter: Any = reaching.stand_in(operator.attrgetter)("real")
    assert type(reaching.given_out(getter)) is operator.attrgetter
    assert reaching.given_out(made := object()) is made


@pytest.mark.usefixtures("_asked")
def test_getters_of_unpickled_values_are_what_they_stand_for() -> None:
    getter: Any = reaching.stand_in(operator.attrgetter)("real", "imag")
    caller: Any = reaching.stand_in(operator.methodcaller)("split", sep=",")
    with Held(MINTED):
        assert (getter(3), caller("a,b")) == ((3, 0), ["a", "b"])
        with pytest.raises(RefusedError):
            reaching.stand_in(operator.attrgetter)("system")(sys.modules["os"])
    assert isinstance(getter, operator.attrgetter)
    assert isinstance(caller, operator.methodcaller)
    assert pickle.loads(pickle.dumps(getter))(3) == (3, 0)
    assert pickle.loads(pickle.dumps(caller))("a,b") == ["a", "b"]
    assert repr(getter) == "operator.attrgetter('real', 'imag')"
    with pytest.raises(TypeError):
        getter.__class__ = int


def test_a_cluster_with_a_stranger_is_no_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "_strangers", set())
    monkeypatch.setattr(distributed, "_connected", collections.deque(maxlen=1))
    frame = sys._getframe()
    assert not distributed._is_among_relatives(frame)
    distributed._connected.append(True)
    assert distributed._is_among_relatives(frame)
    distributed._strangers.add("tcp://192.0.2.1:8786")
    assert not distributed._is_among_relatives(frame)


def test_a_relative_is_of_the_same_user_over_the_loopback_interface() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as end:
            assert distributed._is_relative(end)
        assert not distributed._is_relative(end)  # closed
    here, there = socket.socketpair()
    with here, there:
        assert not distributed._is_relative(here)


@pytest.mark.parametrize(
    ("address", "mode", "own"),
    [
        ("127.0.0.1:6379", "token", True),
        ("127.0.0.1:6379", "disabled", False),
        ("192.0.2.77:6379", "token", False),
        ("head.example:6379", "token", False),
        ("[::1]:6379", None, False),
        (None, "token", False),
    ],
)
def test_a_cluster_of_ray_is_a_channel_on_this_machine_and_with_a_token(
    monkeypatch: pytest.MonkeyPatch, address: str | None, mode: str | None, own: bool
) -> None:
    modes = types.SimpleNamespace(TOKEN="token")
    raylet = types.SimpleNamespace(AuthenticationMode=modes)
    if mode is not None:
        raylet.get_authentication_mode = lambda: mode
    node = types.SimpleNamespace(gcs_address=address) if address else None
    worker = types.SimpleNamespace(_global_node=node)
    monkeypatch.setitem(sys.modules, "ray._raylet", raylet)
    monkeypatch.setitem(sys.modules, "ray._private.worker", worker)
    assert ray_adapter._is_own_cluster(sys._getframe()) is own


@pytest.mark.parametrize("before", [None, grants.UNTRUSTED])
def test_a_grant_ends_though_there_is_no_memory_for_what_follows(monkeypatch, before):
    class Full(dict):
        def clear(self) -> None:
            raise MemoryError

    def load() -> None:
        monkeypatch.setattr(entries, "_C_CACHE", Full())

    thread = get_ident()
    try:
        if before is not None:
            grants.live[thread] = before
        with pytest.raises(MemoryError):
            entries.under(grants.CHANNEL, load)
        assert grants.live.get(thread) is before
    finally:
        grants.live.pop(thread, None)
