"""The ``safehold`` command: picks the verb, turns errors into messages and exit codes.

Each verb is one module beside this one with ``HELP``, ``arguments(parser)`` and
``run(options) -> int``. Only the chosen verb is imported, so ``--version`` stays quick.

Exit codes: 0 clean, 1 findings or refusal, 2 error.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from safehold._version import __version__
from safehold.errors import Blocked, SafeholdError, TypeNotAllowed, VerificationError

CLEAN = 0
FINDINGS = 1
ERROR = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
TERMINATED = 143  # 128 + SIGTERM
BROKEN_PIPE = 141  # 128 + SIGPIPE: the reader left, so the result is not known to be clean

# Verb -> the line that `safehold --help` shows; the module beside this one has the rest.
VERBS = {
    "harden": "harden a service's checkout: report, migrate, seal, write the policy, report",
    "scan": "look for what could run code in artifacts and sources",
    "migrate": "rewrite source away from unsafe formats, or roll that back",
    "seal": "seal artifacts, so that a changed one is refused",
    "unseal": "give back the plain file that a sealed artifact holds",
    "inspect": "show what a sealed artifact says about itself, once verified",
    "verify": "check the seals of artifacts",
    "rename": "give a sealed artifact another name or zone",
    "export": "copy a sealed artifact for another zone, name or service",
    "import": "put an exported artifact in its place",
    "rotate": "seal artifacts of an older key under the newest one",
    "sign": "write a model-signing signature of a sealed artifact",
    "keygen": "make a key",
    "run": "start a Python program with the guard on",
    "guard": "turn the guard on for an environment, or see what it would refuse",
    "policy": "show the effective policy and where each value comes from",
    "prove": "try attacks on a copy of a service and say which got in",
    "check": "judge the settings of a service, or the headers of a running site",
    "secrets": "look for keys, tokens and passwords in files and in git's history",
    "report": "score what is open, proved, accepted and closed, for people and auditors",
    "alerts": "write the rules, routes and dashboard that watch a service",
    "db": "migrate a database: one runner at a time, recorded, judged beforehand",
    "trail": "verify or follow the trail of decisions",
    "rules": "list every rule with its reason and remedy",
}

# What the policy or a seal refuses is a result, not a failure of the command.
REFUSALS = (VerificationError, TypeNotAllowed, Blocked)


def build_parser(verbs: Iterable[str] = VERBS) -> argparse.ArgumentParser:
    """Build the parser of the command; only the given verbs get their arguments (and import)."""
    parser = argparse.ArgumentParser(
        prog="safehold",
        description="Hardens Python ML and data services.",
        epilog="exit codes: 0 clean, 1 findings or refusal, 2 error",
    )
    parser.add_argument("--version", action="version", version=f"safehold {__version__}")
    commands = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    wanted = frozenset(verbs)
    for verb, line in VERBS.items():
        command = commands.add_parser(verb, help=line)
        if verb in wanted:
            module = import_module(f"{__name__}.{verb}")
            command.description = module.HELP
            module.arguments(command)
            command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; usage errors raise SystemExit(2)."""
    _replace_closed_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    # No option before the verb takes a value, so the verb is the first word without a dash.
    verb = next((word for word in arguments if not word.startswith("-")), "")
    options = build_parser({verb}).parse_args(arguments)
    try:
        with _terminable():
            code: int = options.run(options)
        sys.stdout.flush()  # a reader that has left shows here, not in the interpreter's exit
    except KeyboardInterrupt:
        return INTERRUPTED
    except _Terminated:
        return TERMINATED
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    except REFUSALS as error:
        return _say("refused", error, FINDINGS)
    except (SafeholdError, OSError) as error:
        _give_up_unwritable()
        return _say("error", error, ERROR)
    except Exception:  # noqa: BLE001  the edge: Python's own exit code would be 1, "findings"
        import traceback

        from safehold._cli._text import printable

        for line in traceback.format_exc().splitlines():
            print(printable(line), file=sys.stderr)
        return ERROR
    return code


def _give_up_unwritable() -> None:
    """Drop what standard output does not take, as on a full disk.

    Else the interpreter tries once more at its end, and exits with a code of its own.
    """
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()


class _Terminated(BaseException):
    """SIGTERM came: no error, and nothing may go on after it."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind as Ctrl+C does: workers end, and half-written files go."""
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        raise _Terminated

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _replace_closed_streams() -> None:
    """Put the null device where a stream was closed, as by ``>&-``: the exit code still tells.

    Else messages would go to standard output in place of standard error, and a file that is
    opened later would get the number of the closed stream.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  open until the end


def _say(kind: str, error: BaseException, code: int) -> int:
    from safehold._cli._text import printable  # messages name files, as hostile as they are

    print(printable(f"safehold: {kind}: {error}"), file=sys.stderr)
    return code


def _discard_output() -> None:
    """Point standard output at nothing, so that the interpreter's last flush stays quiet."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
