"""The reading order, once for files, handles and bytes.

The order of safety is the order of lines in `Reader.read`: verify, same name and position,
codec of the zone, time, trusted caller, fresh, allowed types, decode.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from safehold.allow import AllowList
from safehold.artifacts import container, streams
from safehold.artifacts.callers import calling_file, is_genuine, relative_file
from safehold.artifacts.codecs import CODECS, Reading, codec_named
from safehold.artifacts.container import Expected, Header, Sealed
from safehold.artifacts.marks import Mark, Marks
from safehold.artifacts.rules import UNTRUSTED_CALLER
from safehold.artifacts.sidecar import SUFFIX
from safehold.artifacts.target import Recorded, Target, follows_renames
from safehold.artifacts.unsealed import Listed, listed_zone
from safehold.context import Context
from safehold.errors import (
    Blocked,
    NotSealed,
    Rollback,
    SafeholdError,
    Tampered,
    TypeNotAllowed,
    UnknownKey,
    WrongContext,
)
from safehold.events import Event
from safehold.policy import OUTSIDE
from safehold.replacing import remove_temporary

_OVERTAKEN = 20  # times that writers may replace a file before its reader gives up
_RENEW = "safehold seal --renew"
_LIST = "safehold migrate PATH --data DIR --unsealed-until DAY --write"
CLOCK_SKEW = 300  # seconds by which the clocks of two machines may differ

Verify = Callable[[Expected], Sealed]
# Opens the file once more: what verifies it, None if it is the one from before.
Again = Callable[[], Verify | None]
Decode = Callable[[Sealed, Reading], Any]


def decoding(decode: Callable[..., Any], *args: Any) -> Any:
    """Decode what is verified. Code of the listed classes runs here, so the guard contains it."""
    return decode(*args) if contain is None else contain(decode, *args)


# Set by the guard: calls a decoder, with what it may do contained.
contain: Callable[..., Any] | None = None


class Reader:
    """Verifies and decodes under one Context."""

    def __init__(self, hold: Context, marks: Marks) -> None:
        """Keeps the newest generations seen by this process besides the marks on disk."""
        self._hold = hold
        self._marks = marks
        self.seen: dict[tuple[str, str], Mark] = {}
        self._allow: dict[tuple[str, ...], AllowList] = {}
        self._trusted: dict[str, bool] = {}
        names = [zone.name for zone in (*hold.policy.zones, hold.policy.memory, OUTSIDE)]
        limit = hold.policy.limits.artifact
        refused = frozenset(map(bytes.fromhex, hold.revoked.artifacts))
        self._expected = {
            own: Expected(
                hold.keyring, own, limit, [name for name in names if name != own], refused
            )
            for own in names
        }

    def read(
        self,
        target: Target,
        verify: Verify,
        *,
        allow: Iterable[str] | None = None,
        min_generation: int = 0,
        options: Mapping[str, Any] | None = None,
        decode: Decode | None = None,
        again: Again | None = None,
    ) -> Any:
        """Verify, then decode; nothing is parsed before its seal holds. Raises as Store.load.

        `options` go to the unpickler. `decode` takes the place of the codec's own decoder.
        """
        with Recorded(self._hold.recorder, "load", target) as entry:
            sealed = self._verified(target, verify, entry, min_generation, again)
            reading = self.reading(sealed.header, target, allow, options)
            check_declared(sealed.header, reading.allow)
            if decode is not None:
                return decoding(decode, sealed, reading)
            codec = codec_named(sealed.header.codec)
            return decoding(codec.decode, sealed.segments, reading)

    def opened(
        self,
        target: Target,
        verify: Verify,
        *,
        allow: Iterable[str] | None = None,
        min_generation: int = 0,
        again: Again | None = None,
    ) -> Reading:
        """Check a file whose payload is read later as `read` does. Raises as Store.load."""
        with Recorded(self._hold.recorder, "open", target) as entry:
            sealed = self._verified(target, verify, entry, min_generation, again)
            reading = self.reading(sealed.header, target, allow)
            check_declared(sealed.header, reading.allow)
            return reading

    def _verified(
        self,
        target: Target,
        verify: Verify,
        entry: Recorded,
        min_generation: int,
        again: Again | None,
    ) -> Sealed:
        try:
            newest = self.newest(target)  # before what may take long: writers go on meanwhile
        except UnknownKey:
            verify(self.expected(target))  # what is wrong with the file itself comes first
            raise
        for left in reversed(range(_OVERTAKEN)):
            try:
                sealed = verify(self.expected(target))
                self._check(sealed, target, entry, min_generation, newest)
                break
            except (Rollback, NotSealed, Tampered):
                # A writer may have replaced the file since it was opened, or its sidecar, or stored
                # the mark of another one; then there is another one now.
                following = again() if again is not None and left else None
                if following is None:
                    raise
                verify, newest = following, self.newest(target)
        if not isinstance(sealed, Listed):
            self._remember(sealed, target)
        return sealed

    def _check(
        self,
        sealed: Sealed,
        target: Target,
        entry: Recorded,
        min_generation: int,
        newest: Mark | None,
    ) -> None:
        """Hold what is verified to its context, time, caller and generation; record what it is."""
        header = sealed.header
        if isinstance(sealed, Listed):  # found by its name, and no artifact of its own
            entry.reason = f"unsealed, listed until {header.meta['until']}"
            entry.fields["detail"] = {"sha256": header.meta["sha256"]}
            newest = None if newest is None else newest._replace(artifact=sealed.artifact)
        else:
            entry.reason = ""
            entry.fields.pop("detail", None)
            self.check_context(header, target)
        entry.header(header)
        check_time(header)
        self._check_caller(header, target)
        remedy = _LIST if isinstance(sealed, Listed) else _RENEW
        check_generation(sealed, target, min_generation, newest, remedy)

    def expected(self, target: Target, *, revoked: bool = False) -> Expected:
        """Return what a container must match to be of this target.

        With `revoked` the keys that are revoked count, to seal anew what they sealed.
        """
        expected = self._expected[target.zone.name]
        return replace(expected, revoked=True) if revoked else expected

    def reading(
        self,
        header: Header,
        target: Target,
        allow: Iterable[str] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Reading:
        """Return what the decoder may do; `allow` replaces the zone's list."""
        own = listed_zone(target).zone if not header.suite else target.zone
        names = own.allow if allow is None else tuple(allow)
        if header.codec == "joblib":
            names = (*names, "joblib")  # the names of joblib's own array wrapper
        known = self._allow.get(names)
        if known is None:
            known = self._allow[names] = AllowList.of(names)
        limits = self._hold.policy.limits
        # What an external zone's data names must be there already.
        imports = target.zone.trust == "internal"
        return Reading(known, limits.depth, header.raw, options or {}, limits, imports=imports)

    def check_context(self, header: Header, target: Target) -> None:
        """Raise WrongContext for another name, position or a codec the zone does not have."""
        if header.at != target.at or not self._is_named(header, target):
            message = (
                f"sealed as {header.name or 'bytes in memory'} at position {header.at}, read as "
                f"{target} at position {target.at}"
            )
            raise WrongContext(message)
        if header.codec not in target.zone.codecs or header.codec not in CODECS:
            message = f"codec {header.codec!r} is not one of zone {target.zone.name!r}"
            raise WrongContext(message)

    def _is_named(self, header: Header, target: Target) -> bool:
        """Whether the seal is the file's, or one without a name that a rename brought there.

        A file that was ever sealed under its own name has to be so.
        """
        if header.name == target.name:
            return True
        renamed = not header.name and follows_renames(target.zone)
        return renamed and self.newest(target) is None

    def _check_caller(self, header: Header, target: Target) -> None:
        policy = self._hold.policy
        if policy.trusted is None or policy.mode == "off":
            return
        if not CODECS[header.codec].carries_code:
            return
        caller = calling_file()
        trusted = self._trusted.get(caller)
        if trusted is None:
            trusted = policy.is_trusted(relative_file(caller, self._hold.root.path))
            self._trusted[caller] = trusted
        if trusted and is_genuine():
            return
        message = (
            f"{caller} is not trusted to load {target}; add it to trusted in the policy's "
            f"[code] table if it should be"
        )
        error = Blocked(message, rule=UNTRUSTED_CALLER.id, zone=target.zone.name, caller=caller)
        if policy.mode == "enforce":
            raise error
        self._hold.recorder.record(
            Event(
                action="load",
                outcome="allowed",
                reason="mode monitor",
                rule=error.rule,
                zone=error.zone,
                artifact=target.name,
                caller=caller,
            )
        )

    def check_fresh(
        self,
        sealed: Sealed,
        target: Target,
        min_generation: int,
        remedy: str = _RENEW,
        *,
        revoked: bool = False,
    ) -> None:
        """Raise Rollback for an artifact older than what was asked for or seen before."""
        newest = self.newest(target, revoked=revoked)
        check_generation(sealed, target, min_generation, newest, remedy)

    def newest(self, target: Target, *, revoked: bool = False) -> Mark | None:
        """Return the newest generation of a file that the marks or this process know.

        With `revoked` a mark that was made with a revoked key counts.
        """
        if not target.name:
            return None
        key = (target.zone.name, target.name)
        mark, seen = self._marks.read(*key, revoked=revoked), self.seen.get(key)
        if seen is None or (mark is not None and mark.generation > seen.generation):
            return mark
        return seen

    def unmarked(self, directory: int, name: str, target: Target) -> int:
        """Return the generation of a file whose writer was killed before it stored the mark.

        0 if the file's mark is there, or if it is none that would load. Call it under the lock.
        """
        try:
            fd, status, _ = self._hold.root.open_in(directory, name)
        except OSError:  # no file yet
            return 0
        try:
            start = os.pread(fd, container.PREFIX_BYTES, 0)
            newest = self.newest(target)
            if newest is not None and container.artifact_of(start) == newest.artifact:
                return 0
            expected = self.expected(target)
            if streams.is_single(fd, status.st_size, expected):
                header, _ = container.verified_header(fd, status.st_size, expected)
            else:
                header = next(streams.verify_all(fd, status.st_size, expected))[1].header
            self.check_context(header, target)
        except (SafeholdError, OSError):
            return 0
        finally:
            os.close(fd)
        return header.generation

    def _remember(self, sealed: Sealed, target: Target) -> None:
        header = sealed.header
        if not target.has_mark or not header.name:
            return
        key, mark = (header.zone, header.name), Mark(header.generation, sealed.artifact)
        if self.seen.get(key) == mark:
            return  # this process has stored or seen the mark
        self.seen[key] = mark
        try:
            with self._marks.lock(*key):
                self._tidy(target)
                known = self._marks.read(*key)
                if known is None or known.generation < mark.generation:
                    self._marks.write(*key, mark)
        except OSError as error:
            # A read-only deployment: the check holds within this process, and the trail says so.
            self._hold.recorder.record(
                Event(
                    action="mark",
                    outcome="failed",
                    reason=error.strerror or type(error).__name__,
                    zone=header.zone,
                    artifact=header.name,
                    generation=header.generation,
                )
            )

    def _tidy(self, target: Target) -> None:
        """Remove what a killed writer left of a file that lies where it did, under its lock."""
        with (
            contextlib.suppress(OSError),  # the directory is gone, or not to be opened
            self._hold.root.open_parent(target.real) as (directory, name, place),
        ):
            if place.real == target.real:
                remove_temporary(directory, name)
                remove_temporary(directory, name + SUFFIX)


def check_generation(
    sealed: Sealed, target: Target, at_least: int, newest: Mark | None, remedy: str = _RENEW
) -> None:
    """Raise Rollback for an artifact older than what was asked for or than the newest known."""
    header = sealed.header
    if header.generation < at_least:
        message = f"generation {header.generation} is older than {at_least} asked for"
        raise Rollback(message)
    if newest is None:
        return
    if header.generation < newest.generation:
        message = (
            f"generation {header.generation} of {target} is older than {newest.generation}, "
            f"which was seen before; take it back into service with: {remedy}"
        )
        raise Rollback(message)
    same = header.generation == newest.generation and sealed.artifact != newest.artifact
    if same and target.at == 0:
        message = (
            f"another artifact with generation {header.generation} of {target} was seen; if "
            f"this one is to replace it: {remedy}"
        )
        raise Rollback(message)


def check_time(header: Header) -> None:
    """Raise WrongContext for an artifact of another time: expired, or made in the future."""
    now = time.time()
    if header.expires and now >= header.expires:
        message = f"{header.name or 'the artifact'} expired at {_date(header.expires)}"
        raise WrongContext(message)
    if header.created > now + CLOCK_SKEW:
        message = (
            f"{header.name or 'the artifact'} was made at {_date(header.created)}, which is to "
            f"come; is the clock right?"
        )
        raise WrongContext(message)


def _date(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (OverflowError, ValueError, OSError):  # far beyond what a calendar has
        return f"{seconds} seconds after 1970"


def check_declared(header: Header, allow: AllowList) -> None:
    """Raise TypeNotAllowed if a sealed artifact declares a name that the list does not permit."""
    for name in header.globals:
        if not allow.permits_dotted(name):
            message = (
                f"{header.name or 'the artifact'} names {name}, which is not in the allow list"
            )
            raise TypeNotAllowed(message, name=name)
