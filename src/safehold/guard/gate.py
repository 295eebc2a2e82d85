"""The gate: decides about one name or one file, records the decision, refuses.

What it needs to decide about plain data, it has in memory; the policy, its keys and its trail are
loaded when something is to be recorded for the first time, so that a program that loads nothing
unsafe starts as fast as before. If they cannot be loaded, everything is refused.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock, start_new_thread

from safehold.guard.grants import OWN, UNTRUSTED, Grant, Held
from safehold.guard.recording import Deep, Recording

TYPE_CHECKING = False  # at run time each import here is one of every guarded process
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType
    from typing import Any, Final, Literal

    from safehold.artifacts import Store
    from safehold.context import Context

    Mode = Literal["off", "monitor", "enforce"]

_PATIENCE: Final = 30.0  # seconds
# Rules whose next step depends on the library that loads; the others' messages have theirs.
_ADVISED: Final = ("SH171", "SH176")
_NAMED_KINDS: Final = (type, type(lambda: 0), type(len), type(str.join), type(object.__init__))


class Gate:
    """Decides for one process."""

    def __init__(
        self,
        mode: Mode,
        load: Callable[[], Context],
        *,
        strict: bool = False,
        environ: Mapping[str, str],
    ) -> None:
        """`load` makes the Context when it is first needed; `strict`: as its policy says.

        `environ`: the variables that this process started with.
        """
        self.mode: Mode = mode
        self.failed: BaseException | None = None
        self._load = load
        self.strict = strict
        self._hold: Context | None = None
        self._store: Store | None = None
        # Filled at first use, and the same object from the beginning: the hook looks into it.
        self.known_plain: set[tuple[str, str]] = set()
        self.known_minted: dict[tuple[str, str], Any] = {}
        self.recording = Recording(environ, self._loaded)
        self._armed = False

    # What it decides with

    @property
    def hold(self) -> Context:
        """Return the Context. Raises Blocked where it cannot be loaded; that is recorded."""
        try:
            return self._loaded()
        except Exception as error:  # no Context: recorded as undecided, and raised
            self.refuse_undecided(error, UNTRUSTED, sys._getframe(1), "")  # noqa: SLF001
            raise

    def _loaded(self) -> Context:
        if self._hold is None:
            with Held(OWN):
                self._hold = self._load()
        return self._hold

    @property
    def store(self) -> Store:
        """Return the Store of the Context."""
        if self._store is None:
            with Held(OWN):
                from safehold.artifacts import Store

                self._store = Store(self.hold)
        return self._store

    @property
    def plain(self) -> set[tuple[str, str]]:
        """Names of plain data: whatever calls them with whatever, they make values and no more."""
        if not self.known_plain:
            with Held(OWN):
                from safehold.guard.plain import plain_names

                names = plain_names()
            try:
                self.known_plain.update(names)
            except BaseException:
                self.known_plain.clear()  # all of them next time, or none
                raise
        return self.known_plain

    def arm(self) -> None:
        """Load what refusing needs, as long as the program has not limited itself.

        What fails here is tried again, and fails, where it is needed.
        """
        if self._armed:
            return
        self._armed = True
        try:
            self._why_not_plain("posix", "system")
            with Held(OWN):
                from safehold import errors  # noqa: F401  (for later)
                from safehold.guard import builders  # noqa: F401
            self.recording.arm()
        except Exception as error:  # noqa: BLE001  (shown with the refusal that it keeps off)
            self.failed = error

    # Decisions

    def check_strict(self, grant: Grant, frame: FrameType | None) -> None:
        """Refuse untrusted bytes altogether where the policy says so. Raises Blocked."""
        if self.strict and grant.kind == "untrusted":
            self.refuse("untrusted bytes are not unpickled under a strict policy", grant, frame)

    def check_name(
        self,
        module: Any,
        name: Any,
        grant: Grant,
        frame: FrameType | None,
        *,
        loader: str = "pickle",
    ) -> None:
        """Decide whether an unpickle may name something. Raises Blocked."""
        if grant.unrestricted:
            return
        try:
            self._check_name(module, name, grant, frame, loader)
        except Exception as error:  # a decision that failed is a refusal
            if hasattr(error, "rule"):
                raise
            self.refuse_undecided(error, grant, frame, f"{module}.{name}")

    def refuse_undecided(
        self, error: Exception, grant: Grant, frame: FrameType | None, name: str
    ) -> None:
        """Refuse because the decision itself failed. Raises Blocked; in mode monitor, nothing."""
        if isinstance(error, RecursionError):
            self._failed(error, grant, frame, name)
            return
        self.recording.give_up_memory()
        self._refuse(_undecided(error), grant, caller_of(frame), name)

    def _failed(
        self, error: BaseException, grant: Grant, frame: FrameType | None, name: str
    ) -> None:
        """Refuse in a thread whose stack is empty: a violation in no trail would go unseen."""
        raised: list[BaseException] = []
        done = allocate_lock()
        done.acquire()

        def refuse() -> None:
            try:
                with Deep():
                    self._refuse(_undecided(error), grant, caller_of(frame), name)
            except BaseException as refusal:  # noqa: BLE001  (handed to the thread that waits)
                raised.append(refusal)
            finally:
                done.release()

        start_new_thread(refuse, ())
        done.acquire(timeout=_PATIENCE)
        if raised:
            raise raised[0] from error
        if self.mode != "monitor":
            raise error

    def _check_name(
        self, module: Any, name: Any, grant: Grant, frame: FrameType | None, loader: str
    ) -> None:
        if type(module) is not str or type(name) is not str:
            self.refuse("names something that is no text", grant, frame, repr((module, name)))
            return
        if (module, name) in self.plain:
            return
        if grant.kind == "minted":
            why = self._why_not_minted(module, name)
        else:
            why = self._why_not_plain(module, name)
        if why:
            self.refuse(f"{module}.{name} {why}", grant, frame, f"{module}.{name}", loader=loader)

    def check_object(
        self, found: Any, module: Any, name: Any, grant: Grant, frame: FrameType | None
    ) -> None:
        """Decide about an object that the program itself gave to an unpickle. Raises Blocked.

        ``module`` and ``name``: what was asked for, None where nothing was. The object's own word
        for where it is from counts only if that very object is there.
        """
        if grant.unrestricted or (type(found) is dict and grant.kind == "minted"):
            return
        if grant.kind == "minted":
            with Held(OWN):
                from safehold.dangers import homes, makers
            for place in (*homes(found), *makers(found)):  # what was asked for says nothing
                self.check_name(*place, grant, frame)
            return
        home: Any = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
        if isinstance(found, _NAMED_KINDS) and all(type(part) is str for part in home):
            if resolved(*home) is not found:
                what = f"an object that calls itself {home[0]}.{home[1]}"
                self.refuse(f"{what} and is not", grant, frame, f"{home[0]}.{home[1]}")
                return
            self.check_name(home[0], home[1], grant, frame)
        elif name is None:
            self.refuse(f"calls an object of {type(found)!r}", grant, frame, repr(type(found)))
        else:
            self.check_name(module, name, grant, frame)

    def _why_not_plain(self, module: str, name: str) -> str:
        with Held(OWN):
            from safehold import dangers

            if dangers.modern(module, name) in self.plain and not _exists(module):
                return ""
            danger = dangers.lookup(module, name)
        return "is not plain data" if danger is None else danger.why

    def _why_not_minted(self, module: str, name: str) -> str:
        known = self.known_minted.get((module, name), self)
        if known is not self and resolved(module, name) is known:
            return ""
        with Held(OWN):
            from safehold import dangers
            from safehold.guard.builders import only_builds, why_never

            module, name = dangers.modern(module, name)
            danger = dangers.lookup(module, name)
            if danger is not None and not only_builds(module, name, danger.powers):
                return danger.why
            found = _imported(module, name)
            if why := why_never(found, name):
                return why
            for home in (*dangers.homes(found), *dangers.makers(found)):
                real = dangers.lookup(*home)
                if real is not None and not only_builds(*home, real.powers):
                    return f"is {home[0]}.{home[1]}, which {real.why}"
        self.known_minted[module, name] = found
        return ""

    def refuse(  # noqa: PLR0913  (the fields of an event, by keyword)
        self,
        message: str,
        grant: Grant,
        frame: FrameType | None,
        name: str = "",
        *,
        loader: str = "pickle",
        zone: str = "",
        artifact: str = "",
        rule: str = "SH171",
        action: str = "unpickle",
    ) -> None:
        """Record a violation; in mode enforce, raise it. Raises Blocked."""
        caller, frame = caller_of(frame), _outer(frame)
        module = frame.f_globals.get("__name__", "") if frame is not None else ""
        fields = {
            "loader": loader, "zone": zone, "artifact": artifact, "rule": rule, "action": action,
            "module": module if type(module) is str else "",
        }  # fmt: skip
        try:
            if name and rule in _ADVISED:
                with Held(OWN):
                    from safehold.guard.advice import advice

                fields["advice"] = advice(loader, fields["module"], grant, message)
        except Exception as error:  # noqa: BLE001  (nothing can be imported: refused without it)
            self.failed = error
        try:
            self._refuse(message, grant, caller, name, **fields)
        except Exception as error:  # only deep recursion is tried again
            if not isinstance(error.__cause__, RecursionError):
                raise
            self._failed(error.__cause__, grant, frame, name)

    def _refuse(  # noqa: PLR0913  (as refuse)
        self,
        message: str,
        grant: Grant,
        caller: str,
        name: str,
        *,
        loader: str = "pickle",
        zone: str = "",
        artifact: str = "",
        rule: str = "SH171",
        action: str = "unpickle",
        module: str = "",
        advice: str = "",
    ) -> None:
        zone, artifact = zone or grant.zone, artifact or grant.artifact
        told = f"{message} ({grant.kind} bytes)" if name else message
        if advice:
            told = f"{told}; {advice}"
        try:
            with Held(OWN):
                from safehold.errors import Blocked
        except RecursionError:
            raise
        except Exception as missing:  # noqa: BLE001  (nothing is imported any more)
            error: Any = _Stopped(told)
            error.rule, error.__cause__ = rule, missing
        else:
            error = Blocked(told, rule=rule, zone=zone, caller=caller)
        fields = {
            "action": action,
            "outcome": "allowed" if self.mode == "monitor" else "refused",
            "reason": "mode monitor" if self.mode == "monitor" else "Blocked",
            "rule": rule,
            "zone": zone,
            "artifact": artifact,
            "caller": caller,
            "detail": {
                "global": name,
                "provenance": grant.kind,
                "loader": loader,
                "module": module,
                "message": message,
            },
        }
        try:
            self.recording.record(fields)
        except Exception as lost:  # whatever fails here, the name stays refused
            self.failed = lost
            error.add_note(f"this refusal could not be recorded: {type(lost).__name__}: {lost}")
            raise error from lost
        if self.mode != "monitor":
            raise error


class _Stopped(Exception):
    """A refusal where the program has taken away what `safehold.errors` is imported with."""

    rule = ""


def _undecided(error: BaseException) -> str:
    return f"the guard could not decide ({type(error).__name__}: {error})"


def caller_of(frame: FrameType | None) -> str:
    """Return file and line of the nearest frame that is neither ours nor the loader's."""
    frame = _outer(frame)
    return "<none>" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _outer(frame: FrameType | None) -> FrameType | None:
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_OWN) and not file.endswith(_LOADERS):
            return frame
        frame = frame.f_back
    return None


_OWN: Final = __file__.rpartition("guard")[0]
_LOADERS: Final = ("/pickle.py", "<frozen importlib._bootstrap>")


def _exists(module: str) -> bool:
    """Say whether a module has the name that Python 2 had for another.

    Only protocols below 3 map names, and which protocol asks is not known here.
    """
    if module in ("builtins", "copyreg"):
        return False
    try:
        from importlib.util import find_spec

        return module in sys.modules or find_spec(module) is not None
    except (ImportError, ValueError):
        return True


def resolved(module: str, name: str) -> Any:
    found: Any = sys.modules.get(module)
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError:
        return None
    return found


def _imported(module: str, name: str) -> Any:
    """Import as the unpickler is about to; what fails here, fails there as well."""
    try:
        __import__(module)
    except ImportError:
        return None
    return resolved(module, name)
