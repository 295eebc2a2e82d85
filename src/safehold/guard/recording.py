"""Takes refusals down, also where the program has lost what that needs.

A record needs the policy, its keys and the trail, and modules that are imported for them. A program
may have emptied ``sys.path`` or ``sys.modules``, have no descriptor or memory left, or be at its
end, where nothing is imported any more. What was kept back for that is given up then; if that is
not enough, a process that starts anew takes the refusal down, with the environment of this one's
start (`late`). A process that was given no key has a lent one, see `safehold.observe.chain`.
"""

from __future__ import annotations

import os
import posix
import sys

from safehold.guard.grants import OWN, Held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

    from safehold.context import Context
    from safehold.credentials.redaction import Redactor
    from safehold.events import Recorder
    from safehold.guard.standby import Standby
    from safehold.observe.trail import Trail

LENT: Final = "SAFEHOLD_LENT"
"""Variable of a key for the trail that a parent process lent to one without its own variables."""
PYTHON: Final = "SAFEHOLD_PYTHON"
"""Variable of the Python that takes refusals down for a process that cannot: one that was started
by a false name finds neither its packages nor itself."""
_POLICY: Final = "SAFEHOLD_POLICY"
_MODE: Final = "SAFEHOLD_GUARD"
_SPARE: Final = 8  # descriptors: an import takes two, the trail three, a process two
_LONGEST: Final = 4608  # characters of a text: what is looked at before the trail cuts it
_SMALL, _LARGE = 480, 8192  # bytes, below and above what Python's own allocator serves
# Times 24 KiB: for starting a process, and for a record in this one.
_FEW: Final = 3
_MANY: Final = 256
_DEPTH: Final = 1000  # frames, as CPython allows where a program changes nothing
_BLOCK: Final = 2**20  # bytes of address space; no page of it is touched


class Recording:
    """Takes down the refusals of one process."""

    def __init__(self, environ: Mapping[str, str], hold: Callable[[], Context]) -> None:
        """`environ` is that of the process's start; `hold` gives its Context."""
        self._hold = hold
        self._environ = {**environ, _MODE: "off"}
        self._executable = environ.get(PYTHON) or sys.executable
        self._means: tuple[Recorder, Any] | None = None
        self._standby: Standby | None = None
        self._memory = _kept_back(_FEW)
        self._block: bytearray | None = bytearray(_BLOCK)
        self._descriptors, self._inode = _descriptors()

    def record(self, fields: dict[str, Any]) -> None:
        """Take an event down, given its fields.

        Raises:
            Exception: what kept it from being recorded. RecursionError: it wants a stack of its
                own.
        """
        try:
            self._record_here(fields)
        except RecursionError:
            raise
        except Exception as error:  # noqa: BLE001  (raised if nothing else helps)
            try:
                if not self._retry(fields) and not self._record_elsewhere(fields):
                    raise error from None
            finally:
                self._descriptors, self._inode = _descriptors()

    def arm(self) -> None:
        """Load and open what a record needs, and keep memory back for it. Raises as `record`."""
        self._record_here({"action": "limit", "outcome": "done", "reason": "resource limits"})
        self._memory += _kept_back(_MANY)

    def stand_by(self) -> None:
        """Start what records once this process may write no file any more, if that can be."""
        if self._standby is not None or _POLICY not in self._environ:
            return
        try:
            with Held(OWN):
                from safehold.guard.standby import Standby

                self._standby = Standby(self._environ)
        except Exception:  # noqa: BLE001  (a refusal tells that it could not be recorded)
            self._standby = None

    def give_up_memory(self) -> None:
        """Free what was kept back, but for a few pieces that hold the rest for this process.

        The block goes back to the system, which starts no process without some memory.
        """
        self._block = None
        memory = self._memory
        for position in range(0, len(memory) - 1, 2):
            memory[position] = None

    def _record_here(self, fields: dict[str, Any]) -> None:
        with Held(OWN):
            if self._means is None:
                from safehold.events import Event

                self._means = self._recorder(), Event
            recorder, event = self._means
            recorder.record(event(**fields))

    def _recorder(self) -> Recorder:
        try:
            return self._hold().recorder
        except Exception:  # whatever failed, what the parent lent may do
            if LENT not in self._environ:
                raise
            from safehold.events import Recorder

            trail, redactor = lent_trail(self._environ)
            return Recorder(trail, redactor=redactor)

    def _retry(self, fields: dict[str, Any]) -> bool:
        self.give_up_memory()
        _give_up(self._descriptors, self._inode)
        try:
            self._record_here(fields)
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001  (another process does it)
            return False
        return True

    def lent(self) -> str:
        """Return a key for the trail of a child that has none, ``""`` if there is none to lend."""
        try:
            with Held(OWN):
                from safehold.observe.chain import lend

                return lend(self._hold().keyring.local)
        except Exception:  # noqa: BLE001  (then the child's refusals are on its standard error)
            return self._environ.get(LENT, "")

    # Everything that it calls stands in the defaults: modules are emptied at the end.
    def _record_elsewhere(
        self,
        fields: dict[str, Any],
        _pipe: Any = posix.pipe,
        _close: Any = posix.close,
        _write: Any = posix.write,
        _spawn: Any = posix.posix_spawn,
        _wait: Any = posix.waitpid,
        _actions: tuple[Any, ...] = (
            (posix.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (posix.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ),
        _dup2: int = posix.POSIX_SPAWN_DUP2,
        _held: Any = Held,
        _own: Any = OWN,
        _longest: int = _LONGEST,
        _needed: str = _POLICY,
    ) -> bool:
        """Start a process that takes an event down; say whether it did."""
        if not self._executable or _needed not in self._environ:
            return False
        short = {
            name: {key: value[:_longest] for key, value in text.items()}
            if isinstance(text, dict)
            else text[:_longest]
            for name, text in fields.items()
        }
        data = ascii(short).encode()
        opened: list[int] = []
        try:
            with _held(_own):
                if self._standby is not None:
                    return self._standby.record(data)
                while len(opened) < 2 or opened[-2] <= 2:  # no number of a standard stream
                    opened += _pipe()
                reading, writing = opened[-2:]
                command = [self._executable, "-P", "-m", "safehold.guard.late"]
                actions = ((_dup2, reading, 0), *_actions)
                pid = _spawn(self._executable, command, self._environ, file_actions=actions)
                opened.remove(reading)
                _close(reading)
                while data:
                    data = data[_write(writing, data) :]
                opened.remove(writing)
                _close(writing)
                return bool(_wait(pid, 0)[1] == 0)
        except OSError:
            return False
        finally:
            for fd in opened:
                _close(fd)


def lent_trail(environ: Mapping[str, str]) -> tuple[Trail, Redactor]:
    """Return the trail, opened with a lent key, and what takes secrets out of its events."""
    from safehold.observe.chain import LentKey
    from safehold.observe.trail import Trail
    from safehold.policy import Policy

    policy = Policy.load(environ[_POLICY])
    key = LentKey(environ[LENT])
    return Trail(policy.root / policy.trail, key, policy.recording), policy.redaction.redactor(
        key.traces()
    )


class Deep:
    """While it is held, a program's lower limit of recursion does not keep a refusal off."""

    def __enter__(self) -> None:
        self._before = sys.getrecursionlimit()
        sys.setrecursionlimit(max(self._before, _DEPTH))

    def __exit__(self, *_: object) -> None:
        sys.setrecursionlimit(self._before)


def _kept_back(count: int) -> list[bytes | None]:
    """Take memory of both of Python's allocators, so much as `count` says."""
    taken: list[bytes | None] = []
    for _ in range(count):
        taken += [bytes(_LARGE), bytes(_LARGE)]
        taken += [bytes(_SMALL) for _ in range(16)]
    return taken


def _descriptors() -> tuple[list[int], int]:
    """Open descriptors that can be given up later, and tell by what they are known again."""
    taken: list[int] = []
    inode = 0
    try:
        if hasattr(os, "memfd_create"):
            taken.append(os.memfd_create("safehold"))
            inode = os.fstat(taken[0]).st_ino
            while len(taken) < _SPARE:
                taken.append(os.dup(taken[0]))
    except OSError:
        pass  # so many there are
    return taken, inode


def _give_up(descriptors: list[int], inode: int) -> None:
    """Close descriptors, if the program has not put something else in their place."""
    while descriptors:
        fd = descriptors.pop()
        try:
            if os.fstat(fd).st_ino == inode:
                os.close(fd)
        except OSError:
            continue
