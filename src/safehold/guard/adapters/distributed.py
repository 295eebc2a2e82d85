"""Dask clusters of this machine: processes of one user that talk over the loopback interface.

Their messages carry functions. They count as a channel as long as every connection of the process
is with a process of the same user on this machine, or is authenticated by TLS. With a stranger,
they are untrusted from then on.
"""

from __future__ import annotations

import collections
import ipaddress
import os
from types import FrameType, ModuleType
from typing import Any

from safehold.guard import channels
from safehold.guard.gate import Gate

_strangers: set[str] = set()
_connected: collections.deque[bool] = collections.deque(maxlen=1)
"""Not empty once this process is part of a cluster."""


def apply(module: ModuleType, gate: Gate) -> None:  # noqa: ARG001
    """Register the reader, or watch whom the process is connected with."""
    found: Any = module
    if module.__name__ == "dask.local":
        channels.add_relayed(found.execute_task)
        return
    if module.__name__.endswith("pickle"):
        channels.add_reader(found.loads, _is_among_relatives)
        return
    kind = found.InProc if module.__name__.endswith("inproc") else found.TCP
    raw = kind.__init__

    def start(self: Any, *args: Any, **options: Any) -> None:
        if kind is not found.__dict__.get("InProc") and not isinstance(self, found.TLS):
            stream = args[0] if args else options["stream"]
            if not _is_relative(stream.socket):
                _strangers.add(str(options.get("peer_addr", args[-1])))
        raw(self, *args, **options)
        _connected.append(True)

    kind.__init__ = start


def _is_among_relatives(_: FrameType) -> bool:
    return bool(_connected) and not _strangers


def _is_relative(end: Any) -> bool:
    """Say whether the other end of a connection is a process of this user on this machine."""
    try:
        here, there = end.getsockname(), end.getpeername()
        if not ipaddress.ip_address(there[0]).is_loopback:
            return False
        return _owner(there, here) == os.geteuid()
    except (OSError, ValueError, IndexError):
        return False


def _owner(local: Any, remote: Any) -> int | None:
    """Return the user that a connection's end belongs to, as the kernel's table has it."""
    wanted = f"{local[1]:04X}", f"{remote[1]:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:
                rows = file.read().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            parts = row.split()
            if (parts[1].rpartition(":")[2], parts[2].rpartition(":")[2]) == wanted:
                return int(parts[7])
    return None
