"""`logging.config`: configurations that came from elsewhere name factories and hold expressions."""

from __future__ import annotations

import ast
import logging
import sys
from types import ModuleType
from typing import Any

from safehold import dangers
from safehold.guard.adapters import in_place_of
from safehold.guard.gate import Gate
from safehold.guard.grants import UNTRUSTED

# What the arguments of a handler compute with, in files that people write, and whose members.
_CALLED = ("os.getenv", "os.environ.get")
_OWNERS = ("os.path", "logging", "handlers", "logging.handlers")
_PARTS = (logging.Handler, logging.Formatter, logging.Filter)


def apply(module: ModuleType, gate: Gate) -> None:
    """Refuse to listen, factories that act on the system, and expressions that call them."""
    found: Any = module
    raw_listen, raw_resolve = found.listen, found.BaseConfigurator.resolve

    def listen(*args: Any, **options: Any) -> Any:
        message = "logging.config.listen evaluates what it receives; read a file of your own"
        _refuse(gate, message, "listen")
        return raw_listen(*args, **options)

    def resolve(self: Any, text: str) -> Any:
        what = raw_resolve(self, text)
        why = _why_not(what)
        if why:
            _refuse(gate, f"the configuration names {text}, which {why}", text)
        return what

    def evaluate(text: str, space: dict[str, Any]) -> Any:
        called = _called(text)
        if called:
            _refuse(gate, f"the configuration calls {called}", called)
        return eval(text, space)  # noqa: S307  (as logging.config does)

    found.listen = in_place_of(raw_listen, listen)
    found.BaseConfigurator.resolve = in_place_of(raw_resolve, resolve)
    # Its own code finds this before the builtin.
    found.eval = evaluate


def _refuse(gate: Gate, message: str, name: str) -> None:
    frame = sys._getframe(2)  # noqa: SLF001
    gate.refuse(message, UNTRUSTED, frame, name, loader="logging.config", rule="SH176")


def _why_not(what: Any) -> str:
    if not callable(what) or (isinstance(what, type) and issubclass(what, _PARTS)):
        return ""
    home = getattr(what, "__module__", None), getattr(what, "__qualname__", None)
    if not all(type(part) is str for part in home):
        return ""
    danger = dangers.lookup(*home)  # type: ignore[arg-type]
    return "" if danger is None else danger.why


def _called(text: str) -> str:
    """Return what an expression calls that no configuration needs, or ``""``."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""  # it cannot be evaluated either
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            # Members alone: each of these modules has imported others that act.
            if called not in _CALLED and called.rpartition(".")[0] not in _OWNERS:
                return called
    return ""
