"""What an artifact is bound to: its zone, its logical name, its position in a stream."""

from __future__ import annotations

import os
import re
import time
from typing import Any, NamedTuple, Self

from safehold.artifacts.codecs import CODECS
from safehold.artifacts.container import Header
from safehold.context import Context
from safehold.errors import ConfigError, DecodeError, EncodeError, SafeholdError
from safehold.events import Event, Recorder
from safehold.paths import Place
from safehold.policy import MEMORY, Zone

# Names that programs write under before they rename: those of `tempfile`, the usual endings, and
# what `time.time()` prints, as Whoosh has it.
_TEMPORARY = re.compile(
    r"(?:.*/)?(?:\.?tmp[a-z0-9_]{8}[^/]*"
    r"|(?:[^/]*[._-])?(?:tmp|temp)(?:[._-][^/]*)?"
    r"|[^/]+(?:\.(?:part|partial|new|swp)|\.\d{10}\.\d{1,7}|~))"
)


class Target(NamedTuple):
    """The context that a seal must match. `name` is empty for bytes without a path.

    `real` is the path that the name was made of, as the kernel has it.
    """

    zone: Zone
    name: str
    at: int = 0
    real: str = ""

    @property
    def has_mark(self) -> bool:
        """Say whether it has generations of its own: a file's first container.

        Those that follow in the same file carry the generation of the first.
        """
        return bool(self.name) and self.at == 0

    def __str__(self) -> str:
        return self.name or "bytes in memory"


def target_of_place(hold: Context, place: Place, at: int = 0) -> Target:
    """Bind a real path to its zone; outside the root the name is the absolute path.

    In a zone that allows every class, a temporary name is none: the file may be renamed.
    """
    zone = hold.policy.zone_for(place.relative)
    name = _text(place.real if place.relative is None else place.relative)
    if follows_renames(zone) and _TEMPORARY.fullmatch(name):
        name = ""
    return Target(zone, name, at, place.real)


def follows_renames(zone: Zone) -> bool:
    """Say whether a seal may come from a temporary name: in zones of caches, ``allow = ["*"]``."""
    return zone.name != MEMORY.name and "*" in zone.allow


def target_named(zone: str, name: str) -> Target:
    """Name a file of a policy that may be another's, by zone and path below its root.

    Raises:
        ConfigError: no file can have that zone or name.
    """
    parts = name.removeprefix("/").split("/")
    if zone in ("", MEMORY.name):
        message = f"no file has the zone {zone!r}; name the zone of the path that it is for"
        raise ConfigError(message)
    if "\0" in name or not {"", ".", ".."}.isdisjoint(parts):
        message = (
            f"{name!r} is not the name of a file; give its path below the policy's root, such as "
            f"models/fraud.joblib"
        )
        raise ConfigError(message)
    return Target(Zone(zone), _text(name))


def target_of_handle(hold: Context, file: Any) -> Target:
    """Bind an open handle: by its descriptor's real path, or to memory if it has none."""
    try:
        fd = file.fileno()
        place = hold.root.place(fd)
        at = file.tell()
        unnamed = os.fstat(fd).st_nlink == 0 and os.path.basename(place.real).startswith("#")
    except (AttributeError, OSError, ValueError):  # BytesIO, sockets, pipes
        return Target(hold.policy.memory, "")
    if unnamed or not place.real.startswith("/"):  # O_TMPFILE; pipe:[…], socket:[…]
        return Target(hold.policy.memory, "")
    return target_of_place(hold, place, at)


def codec_for(target: Target, prefer: str | tuple[str, ...] = "") -> str:
    """Choose the codec of a new artifact among those of its zone.

    The first of `prefer` that the zone has, else the one whose suffix the name has, else
    pickle where code-carrying files are allowed, else msgpack.

    Raises:
        ConfigError: this version has none of the zone's codecs.
    """
    usable = [name for name in target.zone.codecs if name in CODECS]
    for name in (prefer,) if isinstance(prefer, str) else prefer:
        if name in usable:
            return name
    for name in usable:
        if target.name.endswith(CODECS[name].suffixes):
            return name
    for name in ("pickle", "msgpack", *usable):
        if name in usable:
            return name
    message = f"zone {target.zone.name!r} has no codec that this version knows; add one of: "
    raise ConfigError(message + ", ".join(CODECS))


def check_codec(zone: Zone, codec: str) -> None:
    """Raise ConfigError when a zone does not have a codec."""
    if codec not in zone.codecs:
        message = (
            f"zone {zone.name!r} does not have the codec {codec!r} (it has: "
            f"{', '.join(zone.codecs)}); change the path or the policy"
        )
        raise ConfigError(message)


def _text(name: str) -> str:
    """Make a file name that is not UTF-8 encodable, and keep all names distinct."""
    if name.isascii() or not any("\ud800" <= char <= "\udfff" for char in name):
        return name
    # No name of the kernel begins with two slashes, so what is escaped stays apart from them.
    return "//" + name.replace("\\", "\\\\").encode("utf-8", "backslashreplace").decode()


class Recorded:
    """Records an operation once: allowed when the block ends, refused or failed when it raises.

    What changes something calls `allow` before it does: an event that cannot be recorded must
    leave everything as it is.
    """

    def __init__(self, recorder: Recorder, action: str, target: Target) -> None:
        self._recorder = recorder
        self.fields: dict[str, Any] = {
            "action": action,
            "zone": target.zone.name,
            "artifact": target.name,
        }
        self.reason = ""
        self._allowed = False
        self._started = time.perf_counter()

    def allow(self, reason: str = "") -> None:
        """Record that the operation goes on, now. Raises TrailError."""
        why = reason or self.reason
        event = Event(outcome="allowed", reason=why, seconds=self._seconds(), **self.fields)
        self._recorder.record(event)
        self._allowed = True

    def _seconds(self) -> float:
        return round(time.perf_counter() - self._started, 6)

    def header(self, header: Header) -> None:
        """Take what a verified header says."""
        fields = self.fields
        fields["codec"] = header.codec
        fields["key"] = header.key
        fields["generation"] = header.generation

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if error is None:
            if not self._allowed:
                self.allow()
        elif isinstance(error, SafeholdError):
            detail = self.fields.pop("detail", {}) | _message(error)
            event = Event(
                outcome="refused",
                reason=_public_name(type(error)),
                rule=getattr(error, "rule", ""),
                caller=getattr(error, "caller", ""),
                seconds=self._seconds(),
                detail=detail,
                **self.fields,
            )
            self._recorder.refuse(event, error)
        elif isinstance(error, Exception):
            # Whatever else a library or the system raises: the trail tells of the attempt.
            reason = type(error).__name__
            seconds = self._seconds()
            event = Event(outcome="failed", reason=reason, seconds=seconds, **self.fields)
            self._recorder.record(event)


def _public_name(kind: type) -> str:
    return next(cls.__name__ for cls in kind.__mro__ if not cls.__name__.startswith("_"))


def _message(error: SafeholdError) -> dict[str, str]:
    # What a codec says may quote the value, and the trail holds no content.
    if isinstance(error, DecodeError | EncodeError) and not hasattr(error, "rule"):
        return {}
    return {"message": str(error)[:512]}
