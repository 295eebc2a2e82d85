"""Files that are unpickled or pickled to: in an internal zone they are sealed, or refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from safehold.guard.gate import Gate
from safehold.guard.grants import OWN, STREAM, UNTRUSTED, Held
from safehold.sfh1 import MAGIC

__all__ = ["MAGIC", "check_plain", "dump_sealed", "is_sealed_next", "load_sealed"]

_SYSTEM: Final = ("/dev/", "/proc/")


def is_sealed_next(file: Any) -> bool:
    """Say whether a handle stands before a sealed container; its position stays."""
    try:
        start = file.tell()
        head = file.read(len(MAGIC))
        file.seek(start)
    except (AttributeError, OSError, ValueError, TypeError):
        return False
    return head == MAGIC


def load_sealed(gate: Gate, file: Any, options: dict[str, Any]) -> Any:
    """Verify and load the next container. Raises as `safehold.Store.load_from`."""
    store = gate.store
    with Held(OWN):
        return store.load_from(file, options=options)


def load_sealed_bytes(gate: Gate, data: bytes, options: dict[str, Any]) -> Any:
    """Verify and load bytes of the memory zone. Raises as `safehold.Store.loads`."""
    store = gate.store
    with Held(OWN):
        return store.loads(data, options=options)


def _regular(file: Any) -> int | None:
    """Return the descriptor of a handle on a file that has a name."""
    try:
        fd = file.fileno()
        status = os.fstat(fd)
    except (AttributeError, OSError, ValueError, TypeError):
        return None
    if isinstance(fd, int) and stat.S_ISREG(status.st_mode) and status.st_nlink:
        return fd
    return None


def check_plain(gate: Gate, file: Any, frame: FrameType | None) -> None:
    """Refuse an unsealed file of an internal zone before anything is read of it.

    Raises:
        Blocked: with the command that seals it.
    """
    fd = _regular(file)
    if fd is None:
        return
    with Held(OWN):
        place = gate.hold.root.place(fd)
        zone = gate.hold.policy.zone_for(place.relative)
    if zone.trust == "internal":
        message = f"{place.real} is not sealed; if you vouch for it: safehold seal {place.real}"
        gate.refuse(message, UNTRUSTED, frame, zone=zone.name, artifact=place.relative or "",
                    rule="SH172", action="load")  # fmt: skip


def dump_sealed(
    gate: Gate,
    file: Any,
    frame: FrameType | None,
    obj: object,
    encoded: Callable[[], bytes] | None,
) -> bool:
    """Seal a value into a file of an internal zone; False where the caller is to write itself.

    Raises:
        Blocked: the file is in an external zone, where pickles have no place.
    """
    fd = _regular(file)
    if fd is None:
        return False
    with Held(OWN):
        place = gate.hold.root.place(fd)
        zone = gate.hold.policy.zone_for(place.relative)
    if place.real.startswith(_SYSTEM):
        return False
    if zone.trust != "internal":
        message = (
            f"{place.real} is in zone {zone.name!r}, which keeps plain data: write it with "
            f"safehold.compat.data, or name an internal zone for it in the policy"
        )
        gate.refuse(message, UNTRUSTED, frame, zone=zone.name, artifact=place.relative or place.real,
                    rule="SH175", action="dump")  # fmt: skip
        return False
    if gate.mode == "monitor":
        return False
    if encoded is None:
        return False
    with Held(OWN):
        from safehold.artifacts.codecs import Encoded

        def encode() -> Encoded:
            with Held(STREAM):  # what an object does to be pickled is the program's own business
                return Encoded([encoded()])

        gate.store.dump_to(obj, file, prefer="pickle", encode=encode)
    return True
