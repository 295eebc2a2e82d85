"""Takes the network from this process and its children, but for a loopback of their own.

Files are not confined: the service runs as the user who proves it, with the rights of that user.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import socket
import struct
from typing import Final

_NEW_USER: Final = 0x10000000
_NEW_NET: Final = 0x40000000
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  # linux/sockios.h, linux/if.h
_DEATH_SIGNAL: Final = 1  # linux/prctl.h
_LARGEST_FILE: Final = 8 * 2**30


def confine_network() -> str:
    """Leave the network for an empty one with its own loopback; return why that is impossible.

    Raises:
        OSError: the network is gone and the new loopback does not come up.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    unshare = getattr(libc, "unshare", None)
    if unshare is None:
        return "this system has no network namespaces"
    uid, gid = os.geteuid(), os.getegid()
    if unshare(_NEW_NET) != 0:
        # Who is not root may do it as a user of its own, with the same number.
        if unshare(_NEW_USER | _NEW_NET) != 0:
            return os.strerror(ctypes.get_errno())
        for name, text in (
            ("setgroups", b"deny"),
            ("uid_map", b"%d %d 1" % (uid, uid)),
            ("gid_map", b"%d %d 1" % (gid, gid)),
        ):
            with open(f"/proc/self/{name}", "wb") as file:
                file.write(text)
    _raise_loopback()
    return ""


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        answer = fcntl.ioctl(any_socket, _GET_FLAGS, request)
        flags = struct.unpack("16sh14x", answer)[1]
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))


def limit_child(seconds: int) -> None:
    """Bound the process that is about to become the service; it ends with its parent."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, _LARGEST_FILE),
    ):
        hard = resource.getrlimit(kind)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))
