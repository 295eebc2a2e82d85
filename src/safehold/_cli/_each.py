"""Run one action on each of the named artifacts and report file by file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from safehold._cli import ERROR, FINDINGS, REFUSALS, _shared
from safehold.artifacts import Store
from safehold.artifacts.container import MAGIC, is_sealed
from safehold.errors import SafeholdError


def each(
    options: argparse.Namespace,
    act: Callable[[Store, str], str],
    *,
    sealed: bool | None = None,
) -> int:
    """Apply `act` to every file; below directories only to sealed (True) or plain (False) ones.

    Returns the exit code: 1 after a refusal, 2 after an error, else 0.
    """
    code = 0
    with _shared.load_context(options) as hold:
        store = Store(hold)
        for path in _shared.files_below(options.paths):
            name = str(path)
            if sealed is not None and name not in options.paths and _is_sealed(name) != sealed:
                continue
            try:
                line = act(store, name)
            except REFUSALS as error:
                code = max(code, FINDINGS)
                print(_shared.printable(f"{name}: refused: {_named(error)}"), file=sys.stderr)
            except (SafeholdError, OSError) as error:
                code = ERROR
                print(_shared.printable(f"{name}: error: {_named(error)}"), file=sys.stderr)
            else:
                print(_shared.printable(f"{name}: {line}"))
    return code


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _is_sealed(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return is_sealed(file.read(len(MAGIC)))
    except OSError:
        return False
