"""A guarded program in whose guard something goes wrong, at each point where it can, one by one.

Its arguments are the errors to raise. A trace function raises them in the guard's code: MemoryError
and RecursionError at each instruction that may want memory or a frame, KeyboardInterrupt wherever
CPython hears signals. ``nomemory`` lets the allocator fail instead. After each of them no grant may
be left, and hostile bytes must be refused. It prints what went wrong, and how many
points there were.
"""

from __future__ import annotations

import copyreg
import dis
import functools
import gc
import inspect
import io
import linecache
import mmap
import multiprocessing
import os
import pickle
import signal
import struct
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

from safehold.guard import entries, grants, importing

try:
    import _testcapi
except ImportError:  # some distributions leave it out
    _testcapi = None  # type: ignore[assignment]

_HOME = entries.__file__.rpartition(os.sep)[0]
_EVERY = 40  # so many points between two attacks, but where a grant is left
_DENSE = 60  # requests of memory, each of which fails once; of later ones some
_LACK = 7  # requests that fail
_PATIENCE = 280  # seconds
MARKS: list[str] = []


def mark() -> None:
    """Be what hostile bytes call."""
    MARKS.append("called")
    os.mkdir("MARK")


EVIL = b"c__main__\nmark\n(tR."
PLAIN = b"cdatetime\ndate\n(K\x01K\x01K\x01tR."


class Own:
    """Pickled by the program itself."""

    def __init__(self) -> None:
        self.value = [1]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class Nests(Own):
    """Loads hostile bytes while it is loaded."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        try:
            pickle.loads(EVIL)
        except pickle.UnpicklingError:
            self.value = [2]


class Acts(Own):
    """Starts a process while it is loaded."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        os.posix_spawn("/bin/false", ["false"], {})


class Finds(pickle.Unpickler):
    """Has names of its own."""

    def find_class(self, module: str, name: str) -> Any:
        return mark if name == "mark" else super().find_class(module, name)


class Stream(io.BytesIO):
    """A handle of the program's own."""


def _sends(value: Any) -> Callable[[], Any]:
    def send() -> Any:
        here, there = multiprocessing.Pipe()
        with here, there:
            there.send(value)
            return here.recv()

    return send


def _seals() -> None:
    with open("models/m.pkl", "wb") as file:
        pickle.dump({"a": [1]}, file)


def _reads(path: str) -> Callable[[], Any]:
    def read() -> Any:
        with open(path, "rb") as file:
            return pickle.load(file)

    return read


Call = tuple[Callable[[], Any], Callable[[Any], bool] | None]


def _calls() -> dict[str, Call]:
    """Return calls, each with what holds of its answer; None: it must raise."""
    own, nests, acts, bound = map(pickle.dumps, (Own(), Nests(), Acts(), [1].append))
    copyreg.add_extension("__main__", "mark", 240)
    code = b"\x80\x02\x82\xf0(tR."
    for name, data in (("plain.pkl", PLAIN), ("evil.pkl", EVIL)):
        with open(name, "wb") as file:
            file.write(data)

    def is_one(value: Any) -> bool:
        return value.value == [1]

    def is_date(value: Any) -> bool:
        return value.year == 1

    return {
        "minted": (lambda: pickle.loads(own), is_one),
        "options": (lambda: pickle.loads(own, encoding="latin-1"), is_one),
        "plain": (lambda: pickle.loads(PLAIN), is_date),
        "hostile": (lambda: pickle.loads(EVIL), None),
        "buffer": (lambda: pickle.load(io.BytesIO(own)), is_one),
        "hostile buffer": (lambda: pickle.load(io.BytesIO(EVIL)), None),
        "hostile stream": (lambda: pickle.load(Stream(EVIL)), None),
        "hostile object": (lambda: pickle.Unpickler(io.BytesIO(EVIL)).load(), None),
        "class": (lambda: Finds(io.BytesIO(own)).load(), is_one),
        "hostile class": (lambda: Finds(io.BytesIO(EVIL)).load(), None),
        "Python": (lambda: pickle._Unpickler(io.BytesIO(own)).load(), is_one),
        "hostile Python": (lambda: pickle._Unpickler(io.BytesIO(EVIL)).load(), None),
        "hostile code": (lambda: pickle.loads(code), None),
        "hostile of before": (lambda: entries._raw_loads(EVIL), None),
        "attributes": (lambda: pickle.loads(bound), lambda value: value(2) is None),
        "nested": (lambda: pickle.loads(nests), lambda value: value.value == [2]),
        "acts": (lambda: pickle.loads(acts), None),
        "channel": (_sends(Own()), is_one),
        "dumps": (lambda: pickle.loads(pickle.dumps(Own())), is_one),
        "seal": (_seals, lambda value: value is None),
        "sealed": (_reads("models/m.pkl"), lambda value: value == {"a": [1]}),
        "file": (_reads("plain.pkl"), is_date),
        "hostile file": (_reads("evil.pkl"), None),
    }


_MAY_FAIL = (
    "BEFORE_WITH", "BINARY", "BUILD", "CALL", "COMPARE_OP", "CONTAINS_OP", "DICT", "FOR_ITER",
    "FORMAT", "GET_ITER", "IMPORT", "LIST", "LOAD_ATTR", "LOAD_SPECIAL", "MAKE_FUNCTION", "RAISE",
    "SET", "STORE_ATTR", "STORE_SUBSCR", "UNPACK",
)  # fmt: skip
# What changes or removes an entry that is there wants no memory and no frame.
_CANNOT = (
    "live.pop(", "_end(", "live[thread] = before", "live[self._thread] = self._before", ".clear()",
    "if self._before is None", "_messages.pop(", "_messages[thread] = before",
)  # fmt: skip


@functools.cache
def points(code: types.CodeType) -> tuple[frozenset[int], frozenset[int]]:
    """Return the instructions that may fail, and those before which a signal is heard."""
    failing, hearing = set(), set()
    handlers = [(one.start, one.end) for one in dis._parse_exception_table(code)]
    before, nones = None, 0
    for one in dis.get_instructions(code):
        number = one.positions.lineno if one.positions else None
        line = linecache.getline(code.co_filename, number or 0)
        nones = nones + 1 if one.argval is None else nones if "CALL" in one.opname else 0
        # The end of a context manager is a call with three of them.
        sure = any(text in line for text in _CANNOT) or (nones >= 3 and "with Held(" in line)
        if before is not None and before.opname.startswith(("CALL", "JUMP_BACKWARD")):
            # A signal that comes during a call is raised by the call; a trace function cannot raise
            # after it, so where the handlers end there, it does before.
            same = all((start <= before.offset < end) == (start <= one.offset < end)
                       for start, end in handlers)  # fmt: skip
            hearing.add(one.offset if same or sure else before.offset)
        if one.opname.startswith(_MAY_FAIL) and not sure:
            failing.add(one.offset)
        before = one
    return frozenset(failing), frozenset(hearing)


class Injection:
    """Raises an error at the first point of the guard's code where none was raised before."""

    def __init__(self, error: type[BaseException], done: set[tuple[int, int]]) -> None:
        self._error, self._done = error, done
        self._heard = error is KeyboardInterrupt
        self.place = ""
        self.over = False

    def __call__(self, frame: types.FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if self.over or not code.co_filename.startswith(_HOME):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "call":
            # What its beginning had room for, its end mostly has, see Held.
            here = self._heard or code.co_name != "__exit__"
            at = -1 if here and not code.co_flags & inspect.CO_GENERATOR else None
        else:
            at = frame.f_lasti if frame.f_lasti in points(code)[self._heard] else None
        if event in ("call", "opcode") and at is not None and (id(code), at) not in self._done:
            self._done.add((id(code), at))
            self.over = True
            self.place = f"{os.path.basename(code.co_filename)}:{frame.f_lineno} {code.co_name}"
            raise self._error
        return self


def _state() -> list[Any]:
    own = {thread: grant for thread, grant in grants.live.items() if grant is not grants.OWN}
    return [own, dict(entries._messages), list(importing.adapting), sys.getrecursionlimit()]


def _attack() -> str:
    """Return what is wrong after hostile bytes, here and in a thread that begins."""
    wrong: list[str] = []

    def attack() -> None:
        for load in (pickle.loads, entries._raw_loads, pickle._loads):
            try:
                load(EVIL)
            except pickle.UnpicklingError as error:
                if getattr(error, "rule", "") != "SH171":
                    wrong.append(repr(error))
            else:
                wrong.append("loaded")

    attack()
    thread = threading.Thread(target=attack)
    thread.start()
    thread.join()
    if grants.live:
        wrong.append(f"left {grants.live}")
    return ", ".join(wrong)


PROBLEMS: dict[str, None] = {}


def _check(where: str, outcome: tuple[Any, Any], holds: Any, before: list[Any], turn: int) -> None:
    answer, raised = outcome
    after = _state()
    if after != before:
        PROBLEMS[f"{where}: {before} became {after}"] = None
        grants.live.clear()
    if MARKS:
        PROBLEMS[f"{where}: the payload ran"] = None
        MARKS.clear()
    if raised is None and (holds is None or not holds(answer)):
        PROBLEMS[f"{where}: answered {answer!r}"] = None
    if (grants.live or not turn % _EVERY) and (wrong := _attack()):
        PROBLEMS[f"{where}: {wrong} afterwards"] = None
        grants.live.clear()


def _inject(name: str, call: Call, error: type[BaseException], done: set[Any]) -> int:
    """Raise an error at each point of a call that is not `done`; return at how many."""
    before = _state()
    for turn in range(1, 1_000_000):
        injection = Injection(error, done)
        answer = raised = None
        try:
            sys.settrace(injection)
            answer = call[0]()
        except BaseException as caught:  # noqa: BLE001  (KeyboardInterrupt is among them)
            raised = caught.with_traceback(None)
        injection.over = True
        left = {**grants.live}
        grants.live.clear()  # of which settrace would be refused
        sys.settrace(None)
        grants.live.update(left)
        where = f"{name}, {error.__name__} in {injection.place}"
        _check(where, (answer, raised), call[1], before, turn)
        if not injection.place:
            if (raised is None) != (call[1] is not None):
                PROBLEMS[f"{name} without any error: {raised!r}"] = None
            return turn - 1
    return 0


def _starve(calls: dict[str, Call]) -> int:
    """Let the allocator fail at a request and at some that follow; return how often.

    Where it fails for good, CPython 3.11 hangs; where for a while, CPython or a library in Rust may
    crash. What a child has left to do then, another does.
    """
    todo = [
        (name, start)
        for name in calls
        for start in (*range(1, _DENSE), *range(_DENSE, _DENSE * 8, 17))
    ]
    shared = mmap.mmap(-1, 8)
    at = 0
    while at < len(todo):
        shared[:] = struct.pack("q", at)
        child = os.fork()
        if not child:
            _starve_from(todo, at, shared, calls)
        _, status = os.waitpid(child, 0)
        if os.path.exists("problems"):
            with open("problems", encoding="utf-8") as file:
                PROBLEMS.update(dict.fromkeys(file.read().splitlines()))
        if os.waitstatus_to_exitcode(status) not in (0, -signal.SIGSEGV, -signal.SIGABRT):
            PROBLEMS[f"{todo[at]} ended with {status}"] = None
        (at,) = struct.unpack("q", shared[:])
        at += 1
    return len(todo)


def _starve_from(todo: list[Any], at: int, shared: mmap.mmap, calls: dict[str, Call]) -> None:
    before = _state()
    for turn in range(at, len(todo)):
        shared[:] = struct.pack("q", turn)
        name, start = todo[turn]
        call, holds = calls[name]
        answer = raised = None
        _testcapi.set_nomemory(start, start + _LACK)
        try:
            answer = call()
        except BaseException as caught:  # noqa: BLE001  (KeyboardInterrupt is among them)
            _testcapi.remove_mem_hooks()
            raised = caught.with_traceback(None)
        _testcapi.remove_mem_hooks()
        _check(f"{name} without memory {start}", (answer, raised), holds, before, turn)
    with open("problems", "w", encoding="utf-8") as file:
        file.write("\n".join(PROBLEMS))
    os._exit(0)


def _trace_hook() -> None:
    for one in gc.get_objects():
        if isinstance(one, types.FunctionType) and one.__qualname__ == "install.<locals>.hook":
            one.__cantrace__ = True


def main() -> None:
    """Go through all calls."""
    signal.alarm(_PATIENCE)
    sys.unraisablehook = lambda _: None  # of generators and the like in which an error is raised
    _seals()
    calls = _calls()
    for call, holds in calls.values():  # what is loaded once is loaded
        try:
            call()
        except pickle.UnpicklingError:
            assert holds is None
    _trace_hook()
    gc.disable()
    count = 0
    for error in (MemoryError, RecursionError, KeyboardInterrupt):
        if error.__name__ in sys.argv:
            done: set[Any] = set()
            for name, call in calls.items():
                count += _inject(name, call, error, done)
    if "nomemory" in sys.argv and _testcapi is not None:
        count += _starve(calls)
    sys.stdout.write("\n".join([*PROBLEMS, str(count)]))


if __name__ == "__main__":
    main()
