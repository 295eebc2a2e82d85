"""Files that are unpickled or pickled to: in an internal zone they are sealed, or refused."""

from __future__ import annotations

import _pickle
import io
import os
import stat

from safehold.guard import moving
from safehold.guard.grants import OWN, STREAM, UNTRUSTED, Grant, Held
from safehold.magic import MAGIC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, Final

    from safehold.guard.gate import Gate
    from safehold.paths import Place

_C_FILES: Final = (io.BufferedReader, io.BufferedRandom, io.FileIO)
OUTSIDE_NAME: Final = "external"
_SYSTEM: Final = ("/dev/", "/proc/")


def is_verified_next(gate: Gate, file: Any) -> bool:
    """Say whether a handle is the Store's to read: sealed there, or on the list of unsealed files.

    Its position stays.
    """
    if _is_sealed_next(file):
        return True
    fd = _regular(file)
    if fd is None:
        return False
    with Held(OWN):
        return _is_listed(gate, gate.hold.root.place(fd))


def _is_listed(gate: Gate, place: Place) -> bool:
    """Say whether an internal zone's file is listed: the Store then compares what it reads.

    Not in the mode monitor, where what is refused afterwards has to load as well.
    """
    policy, name = gate.hold.policy, place.relative
    if gate.mode != "enforce" or not os.path.lexists(os.path.join(policy.root, policy.unsealed)):
        return False
    internal = policy.zone_for(name).trust == "internal"
    return name is not None and internal and gate.store.unsealed.lists(name)


def _is_sealed_next(file: Any) -> bool:
    try:
        start = file.tell()
        head = file.read(len(MAGIC))
        file.seek(start)
    except (AttributeError, OSError, ValueError, TypeError):
        return False
    return isinstance(head, bytes) and head == MAGIC


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


def is_verified_path(gate: Gate, path: str | os.PathLike[str]) -> bool:
    """Say whether a file is sealed or listed; False where it cannot be opened: its loader tells."""
    with Held(OWN):
        try:
            fd, _, place = gate.hold.root.open_file(path)
        except (OSError, ValueError):
            return False
        try:
            sealed = os.pread(fd, len(MAGIC), 0) == MAGIC
        finally:
            os.close(fd)
        return sealed or _is_listed(gate, place)


def load_sealed_path(gate: Gate, path: str | os.PathLike[str], mmap_mode: str | None) -> Any:
    """Verify and load a file. Raises as `safehold.Store.load`."""
    store = gate.store
    with Held(OWN):
        mapped = mmap_mode if mmap_mode in ("r", "c") and store.maps(path) else None
        return store.load(path, mmap_mode=mapped)


def grant_of_plain(gate: Gate, file: Any, frame: FrameType | None) -> Grant:
    """Return the grant of a handle; a file of an internal zone is not read unsealed.

    Raises:
        Blocked: with the command that seals it.
    """
    fd = _regular(file)
    if fd is None:
        return STREAM
    with Held(OWN):
        place = gate.hold.root.place(fd)
    zone = _check_unsealed(gate, place, frame)
    contained = type(file) in _C_FILES  # another's own code may act while it reads
    return Grant("untrusted", contained=contained, zone=zone, artifact=place.relative or place.real)


def check_plain_path(gate: Gate, path: str | os.PathLike[str], frame: FrameType | None) -> None:
    """Refuse an unsealed file of an internal zone. Raises as grant_of_plain."""
    with Held(OWN):
        try:
            fd, _, place = gate.hold.root.open_file(path)
        except (OSError, ValueError):
            return
        os.close(fd)
    _check_unsealed(gate, place, frame)


def _check_unsealed(gate: Gate, place: Place, frame: FrameType | None) -> str:
    zone = gate.hold.policy.zone_for(place.relative)
    if zone.trust == "internal":
        message = f"{place.real} is not sealed; if you vouch for it: safehold seal {place.real}"
        gate.refuse(message, UNTRUSTED, frame, zone=zone.name, artifact=place.relative or "",
                    rule="SH172", action="load")  # fmt: skip
    return zone.name


def is_to_be_sealed(gate: Gate, file: Any, frame: FrameType | None, obj: object) -> bool:
    """Say whether what is written to a handle is to be sealed. Raises Blocked: external zone."""
    fd = _regular(file)
    if fd is None:
        return False
    with Held(OWN):
        place = gate.hold.root.place(fd)
    return _is_to_be_sealed(gate, place, frame, obj)


def is_path_to_be_sealed(
    gate: Gate, path: str | os.PathLike[str], frame: FrameType | None, obj: object
) -> bool:
    """Say whether a file is to be sealed when it is written. Raises Blocked: external zone."""
    with Held(OWN):
        try:
            with gate.hold.root.open_parent(path) as (_, _, place):
                pass
        except (OSError, ValueError):
            return False
    return _is_to_be_sealed(gate, place, frame, obj)


def _is_to_be_sealed(gate: Gate, place: Place, frame: FrameType | None, obj: object) -> bool:
    zone = gate.hold.policy.zone_for(place.relative)
    if place.real.startswith(_SYSTEM):
        return False
    if zone.trust == "internal":
        return gate.mode == "enforce"
    if zone.name == OUTSIDE_NAME and is_plain(gate, obj):
        return False  # no zone was named for it, and what is loaded from it is plain data
    message = (
        f"{place.real} is in zone {zone.name!r}, which keeps plain data: write it with "
        f"safehold.compat.data, or name an internal zone for it in the policy"
    )
    gate.refuse(message, UNTRUSTED, frame, zone=zone.name, artifact=place.relative or place.real,
                rule="SH175", action="dump")  # fmt: skip
    return False


class _Checking(_pickle.Pickler):
    """Pickles to nowhere, and stops at the first thing that is not plain data."""

    def __init__(self, plain: set[tuple[str, str]]) -> None:
        super().__init__(io.BytesIO(), 4)
        self._plain = plain

    def reducer_override(self, obj: Any) -> Any:
        named = obj if isinstance(obj, type) or callable(obj) else type(obj)
        home = getattr(named, "__module__", None), getattr(named, "__qualname__", None)
        if home not in self._plain:
            raise _NotPlainError
        return NotImplemented


class _NotPlainError(Exception):
    pass


def is_plain(gate: Gate, obj: object) -> bool:
    """Say whether a value is plain data all through, as untrusted bytes may hold it."""
    try:
        _Checking(gate.plain).dump(obj)
    except Exception:  # noqa: BLE001  (what cannot be pickled is not plain data either)
        return False
    return True


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
    if not is_to_be_sealed(gate, file, frame, obj):
        return False
    store, start = gate.store, file.tell()
    with Held(OWN):
        from safehold.artifacts.codecs import Encoded

        def encode() -> Encoded:
            with Held(STREAM):  # what an object does to be pickled is the program's own business
                return Encoded([encoded()]) if encoded is not None else Encoded([])

        store.dump_to(obj, file, prefer="pickle", encode=encode if encoded else None)
        if start == 0:
            moving.note(file.fileno())
    return True


def refuse_unsealed(gate: Gate, zone: tuple[str, str], frame: FrameType | None) -> None:
    """Refuse a value that stands unsealed in a file: (zone's name, path). Raises Blocked."""
    name, path = zone
    message = f"a value in {path} is not sealed; store it again with the guard on"
    gate.refuse(message, UNTRUSTED, frame, zone=name, artifact=path, rule="SH172", action="load")
