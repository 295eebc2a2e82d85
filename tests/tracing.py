"""Every system call of an action: killed before it, killed after it, failed, cut short.

    trace = every_system_call(action, check, prepare=put_back)

`prepare()` puts the state back, in this process, before each run. `action()` runs in a forked
child, which is disturbed at one system call; what it raises must be an OSError or a
SafeholdError. `check(run)` then asserts, in this process, what must hold whatever happened:
`run.fault` and `run.call` say what was done to which call, `run.raised` is the error's class
name ("" if the action ended, "killed" if the child did not). `trace.calls` are the names of the
calls that an undisturbed action makes, `trace.runs` counts the disturbed ones.

The action runs once in this process before, so that what it imports is not counted. System calls
of threads and children of the action run undisturbed.

The parent traces the child with ptrace, of which it needs the standard library alone. Where that
is not permitted the functions of `os` and `fcntl` are replaced in the child instead: `WAY` says
which of the two it is, and why; pytest prints it in its header.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import gc
import os
import platform
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from safehold.errors import SafeholdError

# What only concerns memory, time or the process itself: nothing of it survives a kill.
_PRIVATE = frozenset(
    "brk clock_gettime clock_nanosleep clone3 futex getegid geteuid getgid getpid getrandom gettid "
    "gettimeofday getuid madvise mmap mprotect mremap munmap prctl prlimit64 rseq rt_sigaction "
    "rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield set_robust_list sysinfo "
    "urandom".split()
)
# What changes a file or a directory; by the kernel's names and by those of `os`.
_CHANGES = frozenset(
    "copy_file_range fallocate fchmod fchmodat fchown fchownat fdatasync flock fsync ftruncate "
    "link linkat mkdir mkdirat open openat pwrite64 rename renameat renameat2 sendfile unlink "
    "unlinkat write writev pwrite posix_fallocate".split()
)
_LENGTH = {"write": 2, "pwrite64": 2, "read": 2, "pread64": 2, "copy_file_range": 4, "sendfile": 3}
_FULL = (errno.ENOSPC, errno.EIO, errno.EINTR, errno.EDQUOT, errno.EROFS)
_FAILED = (errno.EIO, errno.EINTR)


class Fault(NamedTuple):
    """What happens at a system call: "kill", "kill after", "short", or "fail" with a code."""

    what: str
    code: int = 0

    def __str__(self) -> str:
        return f"{self.what} {errno.errorcode[self.code]}" if self.code else self.what


@dataclass
class Run:
    """One disturbed action."""

    number: int
    call: str
    fault: Fault
    raised: str = ""
    text: str = ""

    def __str__(self) -> str:
        return f"{self.fault} at call {self.number} ({self.call}): {self.raised or 'done'}"


@dataclass
class Trace:
    """What an undisturbed action calls, and how many runs were disturbed."""

    calls: list[str]
    runs: int = 0
    reached: dict[str, int] = field(default_factory=dict)


def faults_of(name: str) -> Iterator[Fault]:
    """Yield what can happen at a call, by its name; nothing for a call that touches no file."""
    if name in _PRIVATE:
        return
    yield Fault("kill")
    if name in _CHANGES:
        yield Fault("kill after")
    for code in _FULL if name in _CHANGES else _FAILED:
        yield Fault("fail", code)
    if name in _LENGTH or name in {"pread", "pwrite"}:
        yield Fault("short")


def few_faults_of(name: str) -> Iterator[Fault]:
    """Yield the faults that differ in kind, for what largely does the same as another action."""
    again = {errno.EINTR, errno.EDQUOT, errno.EROFS}
    return (fault for fault in faults_of(name) if fault.code not in again)


def every_system_call(
    action: Callable[[], object],
    check: Callable[[Run], None],
    *,
    prepare: Callable[[], object] = lambda: None,
    faults: Callable[[str], Iterable[Fault]] = faults_of,
) -> Trace:
    """Run an action once for each fault at each of its system calls; see the module.

    Raises:
        AssertionError: from `check`, with the run named; also when the action itself raises
            something that is neither an OSError nor a SafeholdError.
    """
    prepare()
    action()
    prepare()
    calls: list[str] = []
    _one(action, None, calls.append)
    trace = Trace(calls)
    for number, name in enumerate(calls):
        for fault in faults(name):
            prepare()
            run = _one(action, Run(number, name, fault))
            trace.runs += 1
            trace.reached[name] = trace.reached.get(name, 0) + 1
            try:
                assert run.raised != "defect", run.text
                check(run)
            except BaseException as error:
                error.add_note(f"{run}\n{run.text}")
                raise
    assert trace.runs, "no system call was seen"
    return trace


def _one(
    action: Callable[[], object], run: Run | None, seen: Callable[[str], object] = lambda name: None
) -> Run:
    """Fork, act, disturb; return how it ended."""
    run = run or Run(-1, "", Fault("none"))
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(out)
        _child(action, run, into)
    os.close(into)
    try:
        status = _follow(pid, run, seen) if _TRACED else os.waitpid(pid, 0)[1]
        with open(out, "rb") as file:
            said = file.read().decode(errors="replace")
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)  # only if following it failed
            os.waitpid(pid, 0)
    calls, _, said = said.partition("\0")
    for name in calls.split():
        seen(name)
    run.raised, _, run.text = said.partition("\n")
    if status:
        run.raised = "killed"
    planned = run.fault.what.startswith("kill")
    assert (run.raised == "killed") == planned, f"{run}, status {status}\n{run.text}"
    return run


def _child(action: Callable[[], object], run: Run, into: int) -> None:
    """Act between two marks, tell how it ended, and end without any clean-up."""
    says, calls = "\n", ""
    gc.disable()  # what it would close, it would close at any call
    try:
        if _TRACED:
            _ptrace(_TRACEME, 0, 0, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            os.getppid()
        else:
            patched = _Patched(run)
        try:
            action()
        finally:
            if _TRACED:
                os.getppid()
            else:
                patched.undo()
                calls = " ".join(patched.calls) if run.number < 0 else ""
    except (OSError, SafeholdError) as error:
        says = type(error).__name__ + "\n" + traceback.format_exc()
    except BaseException:  # noqa: BLE001  told to the parent, which raises it
        says = "defect\n" + traceback.format_exc()
    os.write(into, f"{calls}\0{says}".encode(errors="replace"))
    os._exit(0)


# --- ptrace --------------------------------------------------------------------------------

_TRACEME, _CONT, _SYSCALL = 0, 7, 24
_GETREGSET, _SETREGSET, _SETOPTIONS, _SYSCALL_INFO = 0x4204, 0x4205, 0x4200, 0x420E
_OPTIONS = 0x1 | 0x100000  # TRACESYSGOOD: a stop at a call is told apart; EXITKILL
_STOP = signal.SIGTRAP | 0x80
_ENTRY, _EXIT = 1, 2
_INFO = struct.Struct("<B3xIQQQ6Q")  # operation, architecture, two pointers, number, arguments
_REGISTERS, _NUMBER = 1, 0x404  # NT_PRSTATUS, NT_ARM_SYSTEM_CALL


class _Machine(NamedTuple):
    """Registers by their place in the set: call number, result, six arguments; call numbers."""

    count: int
    number: int | None
    result: int
    arguments: tuple[int, ...]
    calls: dict[int, str]


def _numbered(text: str) -> dict[int, str]:
    words = text.split()
    return {int(number): name for name, number in zip(words[::2], words[1::2], strict=True)}


_MACHINES = {
    "x86_64": _Machine(27, 15, 10, (14, 13, 12, 7, 9, 8), _numbered("""
        read 0 write 1 open 2 close 3 stat 4 fstat 5 lstat 6 lseek 8 mmap 9 mprotect 10 munmap 11
        brk 12 rt_sigaction 13 rt_sigprocmask 14 rt_sigreturn 15 ioctl 16 pread64 17 pwrite64 18
        readv 19 writev 20 access 21 sched_yield 24 mremap 25 madvise 28 getpid 39 sendfile 40
        fcntl 72 flock 73 fsync 74 fdatasync 75 truncate 76 ftruncate 77 getdents 78 getcwd 79
        chdir 80 rename 82 mkdir 83 rmdir 84 creat 85 link 86 unlink 87 symlink 88 readlink 89
        chmod 90 fchmod 91 chown 92 fchown 93 lchown 94 umask 95 gettimeofday 96 sysinfo 99
        getuid 102 getgid 104 geteuid 107 getegid 108 getppid 110 statfs 137 fstatfs 138 prctl 157
        gettid 186 futex 202 sched_getaffinity 204 getdents64 217 clock_gettime 228
        clock_nanosleep 230 exit_group 231 openat 257 mkdirat 258 fchownat 260 newfstatat 262
        unlinkat 263 renameat 264 linkat 265 symlinkat 266 readlinkat 267 fchmodat 268
        faccessat 269 set_robust_list 273 fallocate 285 preadv 295 pwritev 296
        preadv2 327 pwritev2 328 prlimit64 302
        renameat2 316 getrandom 318 copy_file_range 326 statx 332 rseq 334 clone3 435 openat2 437
        faccessat2 439""")),
    "aarch64": _Machine(34, None, 0, (0, 1, 2, 3, 4, 5), _numbered("""
        getcwd 17 fcntl 25 ioctl 29 flock 32 mkdirat 34 unlinkat 35 symlinkat 36 linkat 37
        renameat 38 statfs 43 fstatfs 44 truncate 45 ftruncate 46 fallocate 47 faccessat 48
        chdir 49 fchmod 52 fchmodat 53 fchownat 54 fchown 55 openat 56 close 57 getdents64 61
        lseek 62 read 63 write 64 readv 65 writev 66 pread64 67 pwrite64 68 preadv 69 pwritev 70
        preadv2 286 pwritev2 287
        sendfile 71 readlinkat 78 newfstatat 79 fstat 80 fsync 82 fdatasync 83 exit_group 94
        futex 98 set_robust_list 99 clock_gettime 113 clock_nanosleep 115 sched_getaffinity 123
        sched_yield 124 rt_sigaction 134 rt_sigprocmask 135 rt_sigreturn 139 prctl 167
        gettimeofday 169 getpid 172 getppid 173 getuid 174 geteuid 175 getgid 176 getegid 177
        gettid 178 sysinfo 179 brk 214 munmap 215 mremap 216 mmap 222 mprotect 226 madvise 233
        prlimit64 261 renameat2 276 getrandom 278 copy_file_range 285 statx 291 rseq 293
        clone3 435 openat2 437 faccessat2 439""")),
}  # fmt: skip
_MACHINE = _MACHINES.get(platform.machine())


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


@functools.cache
def _ptrace_call() -> Any:
    call = ctypes.CDLL(None, use_errno=True).ptrace
    call.restype = ctypes.c_long
    call.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    return call


def _ptrace(request: int, pid: int, address: int, data: int) -> None:
    if _ptrace_call()(request, pid, address, data) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), f"ptrace {request:#x}")


class _Stopped:
    """A child that stands at the entry or the exit of a system call."""

    def __init__(self, pid: int, machine: _Machine) -> None:
        self._pid = pid
        self._machine = machine
        buffer = ctypes.create_string_buffer(_INFO.size)
        _ptrace(_SYSCALL_INFO, pid, _INFO.size, ctypes.addressof(buffer))
        self.operation, _, _, _, number, *_ = _INFO.unpack(buffer.raw)
        self.name = machine.calls.get(number, f"call-{number}")

    def skip(self) -> None:
        """Let the call that is entered not happen."""
        if self._machine.number is None:
            number = ctypes.c_int(-1)
            self._registers(_SETREGSET, number, _NUMBER)
        else:
            self._set(self._machine.number, -1)

    def shorten(self, argument: int) -> None:
        """Halve a length, to one byte at the least."""
        place = self._machine.arguments[argument]
        self._set(place, lambda length: length // 2 or length)

    def answer(self, code: int) -> None:
        """Let the call that is left have failed."""
        self._set(self._machine.result, -code)

    def _set(self, place: int, value: int | Callable[[int], int]) -> None:
        registers = (ctypes.c_uint64 * self._machine.count)()
        self._registers(_GETREGSET, registers, _REGISTERS)
        registers[place] = value if isinstance(value, int) else value(registers[place])
        self._registers(_SETREGSET, registers, _REGISTERS)

    def _registers(self, request: int, buffer: Any, kind: int) -> None:
        vector = _Vector(ctypes.addressof(buffer), ctypes.sizeof(buffer))
        _ptrace(request, self._pid, kind, ctypes.addressof(vector))


def _follow(pid: int, run: Run, seen: Callable[[str], object]) -> int:
    """Let a child go from call to call and disturb the one that is meant; return its status."""
    assert _MACHINE is not None
    os.waitpid(pid, 0)
    _ptrace(_SETOPTIONS, pid, 0, _OPTIONS)
    number, marks, pending = -1, 0, 0
    counts = False
    while True:
        # Between its marks it stops at each call; what it does besides is its own affair.
        status = _go(pid, _SYSCALL if marks < 2 else _CONT, pending)
        if status is None or os.WIFEXITED(status) or os.WIFSIGNALED(status):
            return status or 0
        pending = os.WSTOPSIG(status)
        if pending != _STOP:
            continue
        pending = 0
        at = _Stopped(pid, _MACHINE)
        if at.operation == _ENTRY:
            name = at.name
            if name == "getppid":
                marks += 1
                continue
            # How memory is got differs from run to run.
            counts = marks == 1 and name not in _PRIVATE
            if counts:
                number += 1
                seen(name)
        if counts and number == run.number >= 0:
            assert name == run.call, f"call {number} is {name}, not {run.call}: not repeatable"
            if _disturb(pid, at, run.fault):
                marks = 2  # the rest runs by itself


def _go(pid: int, request: int, signal_number: int) -> int | None:
    with contextlib.suppress(ProcessLookupError):  # killed just now
        _ptrace(request, pid, 0, signal_number)
    return os.waitpid(pid, 0)[1]


def _disturb(pid: int, at: _Stopped, fault: Fault) -> bool:
    """Do what belongs to this stop; say whether that was all."""
    entry = at.operation == _ENTRY
    if fault.what == ("kill" if entry else "kill after"):
        os.kill(pid, signal.SIGKILL)
        return True
    if fault.what == "short" and entry:
        at.shorten(_LENGTH[at.name])
        return True
    if fault.what == "fail":
        if entry:
            at.skip()
        else:
            at.answer(fault.code)
        return not entry
    return False


# --- without ptrace ------------------------------------------------------------------------

_NAMES = (
    "chmod chown close copy_file_range fchmod fchown fdatasync fstat fsync ftruncate getcwd link "
    "listdir lseek lstat mkdir open posix_fallocate pread preadv pwrite read readlink rename "
    "replace rmdir scandir stat truncate unlink write"
).split()


class _Patched:
    """The functions of `os` in this process, counted and disturbed."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.calls: list[str] = []
        self._before = [(os, name, getattr(os, name)) for name in _NAMES if hasattr(os, name)]
        self._before.append((fcntl, "flock", fcntl.flock))  # type: ignore[arg-type]
        for module, name, real in self._before:
            setattr(module, name, self._wrapped(name, real))

    def undo(self) -> None:
        for module, name, real in self._before:
            setattr(module, name, real)

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def disturbed(*args: Any, **options: Any) -> Any:
            number = len(self.calls)
            self.calls.append(name)
            if number != self._run.number:
                return real(*args, **options)
            what, code = self._run.fault
            if what == "kill":
                os._exit(9)
            if what == "fail" and code != errno.EINTR:  # Python repeats a call by itself then
                raise OSError(code, os.strerror(code))
            if what == "short":
                args = _shorter(name, args)
            try:
                return real(*args, **options)
            finally:
                if what == "kill after":
                    os._exit(9)

        return disturbed


def _shorter(name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    if name in ("read", "pread"):
        return (args[0], args[1] // 2 or args[1], *args[2:])
    if name == "copy_file_range":
        return (*args[:2], args[2] // 2 or args[2], *args[3:])
    data = memoryview(args[1]).cast("B")
    return (args[0], data[: len(data) // 2 or len(data)], *args[2:])


# --- which -------------------------------------------------------------------------------


def _trace_once() -> str:
    """Return why tracing does not work here, nothing if it does."""
    if sys.platform != "linux" or _MACHINE is None:
        return f"not for {sys.platform} on {platform.machine()}"
    calls: list[str] = []
    try:
        _one(lambda: os.stat("/"), Run(-1, "", Fault("none")), calls.append)
        failed = _one(
            lambda: os.stat("/"), Run(len(calls) - 1, calls[-1], Fault("fail", errno.EIO))
        )
    except (OSError, AssertionError, IndexError) as error:
        return f"{type(error).__name__}: {error}"
    return "" if failed.raised == "OSError" else f"a call could not be failed: {failed}"


_TRACED = True
_WHY_NOT = _trace_once()
_TRACED = not _WHY_NOT
WAY = "ptrace" if _TRACED else f"functions of os replaced (no ptrace: {_WHY_NOT})"
