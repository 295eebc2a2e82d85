"""The list of plain files that are still read while a fleet changes: by digest, until a day.

    # Plain files that are still read, see docs: how-to/migrate
    [[file]]
    path = "models/fraud.joblib"
    sha256 = "…"
    form = "joblib"
    until = 2026-12-31

    # sealed by k2026: …

The last line authenticates every byte before it, and nothing is parsed before that holds: an HMAC
under a subkey of the key that it names, or that pair's signature. Who can write the data files and
has no key can add nothing. An older list that is put back lists what it listed, until its days.
"""

from __future__ import annotations

import hmac
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from safehold.artifacts.codecs import CODECS
from safehold.errors import ConfigError, Tampered
from safehold.keys import Key, Keyring
from safehold.sfh1 import SUITES

OBJECTS = "npy-objects"
"""Form of a npy file of objects; the other forms are codecs."""
_INFO = b"safehold/unsealed/v1"
_HEAD = "# Plain files that are still read, see docs: how-to/migrate\n"
_SEAL = b"# sealed by "
_DIGITS = frozenset("0123456789abcdef")
_FIELDS = ("path", "sha256", "form", "until", "generation", "unpacked", "several", "in_memory")


@dataclass(frozen=True, slots=True)
class Pin:
    """One plain file that may be read: its digest, how, and the last day, as UTC has it.

    ``unpacked``: the digest of what a service that opens its compression reads. ``generation``: the
    newest sealed one of that name when it was listed; later ones end it. ``several``: it holds more
    than one pickle. ``in_memory``: its bytes are read, and then loaded as bytes without a path.
    """

    path: str
    sha256: str
    form: str
    until: date
    generation: int = 0
    unpacked: str = ""
    several: bool = False
    in_memory: bool = False

    def is_of(self, digest: str) -> bool:
        """Say whether it is of bytes with this digest."""
        return any(hmac.compare_digest(digest, own) for own in (self.sha256, self.unpacked) if own)


def merged(before: Sequence[Pin], new: Iterable[Pin], gone: Iterable[str]) -> tuple[Pin, ...]:
    """Return a list with new entries, without those of some paths or of days that passed."""
    today = datetime.now(UTC).date()
    found = {pin.path: pin for pin in before if pin.until >= today}
    for path in gone:
        found.pop(path, None)
    return tuple({**found, **{pin.path: pin for pin in new}}.values())


def render(pins: Iterable[Pin], keyring: Keyring) -> bytes:
    """Return the list as a file, sealed with the signing key. Raises ConfigError."""
    key = keyring.signing
    lines = [_HEAD, "version = 1\n"]
    for pin in sorted(pins, key=lambda pin: pin.path):
        lines.append("\n[[file]]\n")
        for name in _FIELDS:
            value = getattr(pin, name)
            if value not in (0, "", False):
                lines.append(f"{name} = {_spelled(value)}\n")
    body = ("".join(lines) + "\n").encode()
    return body + _SEAL + f"{key.id}: {_mac(key, body).hex()}\n".encode()


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return "true"
    if isinstance(value, str):
        # TOML has no other escapes than these forms, and a name may hold any character.
        return '"' + "".join(
            char if char.isprintable() and char not in '"\\' else f"\\U{ord(char):08x}"
            for char in value
        ) + '"'  # fmt: skip
    return str(value)


def verified_text(data: bytes, path: Path, keyring: Keyring) -> bytes:
    """Return what the last line authenticates. Raises Tampered, UnknownKey."""
    start = data.rfind(_SEAL)
    body, line = data[: max(start, 0)], data[max(start, 0) + len(_SEAL) :]
    name, _, text = line.rpartition(b": ")
    try:
        mac = bytes.fromhex(text.decode("ascii").removesuffix("\n"))
        key_id = name.decode()
    except ValueError:
        mac, key_id = b"", ""
    if start >= 0 and key_id and mac:
        key = keyring.by_tag(keyring.by_id(key_id).tag)  # a machine's own key seals no list
        if SUITES[key.suite].signs:
            holds = key.is_signature(mac, _INFO + b"\0" + body)
        else:
            holds = hmac.compare_digest(_mac(key, body), mac)
        if holds:
            return body
    message = (
        f"the list of unsealed files {path} was changed; remove it, and list the files again with: "
        f"safehold migrate PATH --data DIR --unsealed-until DAY --write"
    )
    raise Tampered(message)


def _mac(key: Key, body: bytes) -> bytes:
    if SUITES[key.suite].signs:
        return key.sign(_INFO + b"\0" + body)
    return hmac.digest(key.derive(_INFO), body, "sha256")


def parse_pins(body: bytes, path: Path) -> Iterator[Pin]:
    """Yield the entries of an authentic list. Raises ConfigError for one of another version."""
    try:
        table = tomllib.loads(body.decode())
        if table.pop("version") != 1:
            raise ValueError("version")
        for row in table.pop("file", []):
            yield _pin(row)
        if table:
            raise ValueError("unknown")
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        message = f"{path} is no list that this safehold reads: {error}"
        raise ConfigError(message) from error


def _pin(row: dict[str, Any]) -> Pin:
    pin = Pin(**row)
    digests = [pin.sha256, *([pin.unpacked] if pin.unpacked else [])]
    if (
        not all(len(digest) == 64 and set(digest) <= _DIGITS for digest in digests)
        or (pin.form not in CODECS and pin.form != OBJECTS)
        or type(pin.until) is not date
    ):
        raise ValueError(pin.path)
    return pin
