"""Takes from a process what it does not need to read bytes and write to one pipe.

The filter is a program of the kernel's packet filter (man 2 seccomp): it looks at the machine
first, since numbers of system calls differ between machines, then at the number, then at
arguments. What it does not know fails with EPERM.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
import sys
from typing import Any, Final

NOBODY: Final = 65534
_SET_PDEATHSIG, _SET_DUMPABLE, _SET_SECCOMP, _NO_NEW_PRIVS = 1, 4, 22, 38
_FILTER_MODE: Final = 2
_SIGKILL: Final = 9
_NEW_NETWORK: Final = 0x40000000
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _MACHINE_AT, _ARGS_AT = 0, 4, 16
_PROT_EXEC: Final = 4
# Numbers from here on are calls of the x32 kind, with meanings of their own.
_X32: Final = 0x40000000

# Machine's audit number; calls that are allowed; write, and calls whose third argument says
# whether memory may be executed.
_MACHINES: Final[dict[str, tuple[int, tuple[int, ...], int, tuple[int, ...]]]] = {
    "x86_64": (
        0xC000003E,
        # read close munmap brk rt_sigprocmask rt_sigreturn pread64 mremap madvise exit futex
        # clock_gettime exit_group preadv preadv2
        (0, 3, 11, 12, 14, 15, 17, 25, 28, 60, 202, 228, 231, 295, 327),
        1,
        (9, 10),
    ),
    "aarch64": (
        0xC00000B7,
        # the same, in the same order
        (63, 57, 215, 214, 135, 139, 67, 216, 233, 93, 98, 113, 94, 69, 286),
        64,
        (222, 226),
    ),
}


class Unconfined(Exception):
    """A limit that matters could not be set; says which."""


def system() -> Any:
    """Return the C library."""
    return ctypes.CDLL(None, use_errno=True)


def build_filter(machine: str, pipe: int) -> bytes | None:
    """Return the filter for a process that writes to ``pipe``; None if the machine is unknown."""
    row = _MACHINES.get(machine)
    if row is None:
        return None
    audit, allowed, write, mapping = row
    body: list[tuple[int, int, str, str]] = [
        (_LOAD, _MACHINE_AT, "", ""),
        (_EQUAL, audit, "", "kill"),
        (_LOAD, _NUMBER_AT, "", ""),
        (_AT_LEAST, _X32, "kill", ""),
        *((_EQUAL, number, "allow", "") for number in allowed),
        (_EQUAL, write, "write", ""),
        *((_EQUAL, number, "map", "") for number in mapping),
        (_RETURN, _REFUSE, "", ""),
    ]
    places = {"write": len(body), "map": len(body) + 2}
    body += [
        (_LOAD, _ARGS_AT, "", ""),
        (_EQUAL, pipe, "allow", "refuse"),
        (_LOAD, _ARGS_AT + 2 * 8, "", ""),
        (_ANY_BIT, _PROT_EXEC, "refuse", "allow"),
    ]
    places |= {"refuse": len(body), "kill": len(body) + 1, "allow": len(body) + 2}
    body += [(_RETURN, value, "", "") for value in (_REFUSE, _KILL, _ALLOW)]
    code = bytearray()
    for index, (operation, value, yes, no) in enumerate(body):
        jumps = [places[name] - index - 1 if name else 0 for name in (yes, no)]
        code += struct.pack("=HBBI", operation, *jumps, value)
    return bytes(code)


def drop_privileges(libc: Any) -> list[str]:
    """Become nobody, without a network, if this is root; return what could not be done."""
    if os.geteuid() != 0 and os.getuid() != 0:
        return ["another user"]
    missing = []
    if libc.unshare(_NEW_NETWORK) != 0:
        missing.append("no network")
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:
        missing.append("another user")
    return missing


def limit(memory: int, seconds: int) -> None:
    """Limit what this process may use from now on.

    Raises:
        Unconfined: a limit cannot be set.
    """
    address_space = _mapped() + memory
    rows = (
        (resource.RLIMIT_AS, address_space),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 0),
    )
    try:
        for kind, most in rows:
            resource.setrlimit(kind, (most, most))
    except (OSError, ValueError) as error:
        raise Unconfined(f"a limit of the process cannot be set: {error}") from error


def _mapped() -> int:
    """Return how much address space is in use."""
    with open("/proc/self/statm", "rb", buffering=0) as file:
        return int(file.read(64).split()[0]) * resource.getpagesize()


def seal(libc: Any, pipe: int) -> list[str]:
    """Give up all system calls but a few; return what could not be done."""
    missing = []
    if libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        missing.append("no core dumps")
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        missing.append("no new privileges")
    # A program of 32 bits has other numbers than its machine.
    code = build_filter(os.uname().machine, pipe) if sys.maxsize > 2**32 else None
    if code is None or not _install(libc, code):
        missing.append("few system calls")
    return missing


def _install(libc: Any, code: bytes) -> bool:
    program = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    given = Program(len(code) // 8, ctypes.addressof(program))
    return bool(libc.prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.byref(given), 0, 0) == 0)


def die_with_parent(libc: Any) -> None:
    """Be killed when the process that forked this one ends."""
    libc.prctl(_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
