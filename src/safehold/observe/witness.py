"""Checkpoints: what a whole trail was at a moment, signed, for somebody else to keep.

Whoever can put manifest, state and writers back to an older copy together, or delete all of
them, cannot do the same to a file on another volume, or on another machine. A checkpoint has the
end of the manifest and of each writer; a check compares it with what is there.
"""

from __future__ import annotations

import hmac
import http.client
import os
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from safehold.errors import ConfigError, UnknownKey
from safehold.keys import Key, Keyring
from safehold.observe.check_manifest import Listed
from safehold.observe.manifest import NAME
from safehold.observe.problems import Problem, Verified

_SECONDS: Final = 10
_LONGEST: Final = 2**20
_ANSWER: Final = 64 * 2**10
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SIGNED: Final = b"safehold trail checkpoint v1\n"


class End(msgspec.Struct, frozen=True):
    """Where a chain ended: lines and the mac of the last."""

    n: int
    mac: str


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One line; ``proof`` is an Ed25519 signature or a mac of the line without it."""

    v: int
    t: str
    k: str
    manifest: End
    writers: dict[str, End]
    proof: str = ""


def checkpoint(directory: Path, keyring: Keyring) -> bytes:
    """Return a line that says what a trail is now. Nothing is verified: a check does that.

    It is signed by the keyring's pair if it has one, else it has a mac of the trail's key.

    Raises:
        OSError: a file cannot be read.
    """
    signer = keyring.signing if keyring.signing.suite == "ED25519" else keyring.local
    said = Checkpoint(
        v=1,
        t=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        k=signer.id,
        manifest=_end_of([directory / NAME], "n"),
        writers={
            home.name: _end_of(sorted(home.glob("*.jsonl")), "seq") for home in _homes(directory)
        },
    )
    proof = _proof(signer, msgspec.json.encode(said))
    return msgspec.json.encode(msgspec.structs.replace(said, proof=proof.hex())) + b"\n"


def _proof(key: Key, body: bytes) -> bytes:
    if key.suite == "ED25519":
        return key.sign(_SIGNED + body)
    return blake2b(_SIGNED + body, key=_witness_key(key), digest_size=32).digest()


def _witness_key(key: Key) -> bytes:
    return key.derive(b"safehold/trail/v1/witness")


def _homes(directory: Path) -> Iterator[Path]:
    for home in sorted(directory.iterdir()):
        if not home.name.startswith(".") and home.is_dir():
            yield home


def _end_of(files: list[Path], number: str) -> End:
    """Return the end of the last complete line, which is no longer than a line may be."""
    for file in reversed(files):
        try:
            with open(file, "rb", opener=_regular) as handle:
                handle.seek(max(0, os.fstat(handle.fileno()).st_size - _LONGEST))
                lines = [line for line in handle if line.endswith(b"\n")]
        except FileNotFoundError:
            continue
        if lines:
            try:
                row = msgspec.json.decode(lines[-1], type=dict[str, object])
                return End(int(str(row[number])) + 1, str(row["mac"]))
            except (msgspec.DecodeError, KeyError, ValueError):
                return End(0, "")  # damaged: a check names it
    return End(0, "")


def _regular(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def compare(
    lines: Iterable[bytes],
    source: str,
    directory: Path,
    keyring: Keyring,
    results: Iterable[Verified],
) -> Iterator[Problem]:
    """Yield what checkpoints show to be wrong with a trail whose writers were verified.

    Each checkpoint that holds is compared. One that does not is a problem of the witness; a torn
    last line is none.
    """
    listed = Listed(directory, keyring)
    writers = {result.writer: result for result in results}
    for number, line in enumerate(lines, start=1):
        if not line.endswith(b"\n"):
            return
        place = Path(source)
        said = _authentic(line, keyring)
        if said is None:
            message = "the checkpoint is none of these keys': it was changed, or is another trail's"
            yield Problem(place, number, "witness", message)
            continue
        if not listed.has(said.manifest.n, said.manifest.mac):
            message = f"the manifest had {said.manifest.n} lines at {said.t}, which are not there"
            yield Problem(place, number, "witness", message)
        for writer, end in said.writers.items():
            if end.n and not _has(directory, listed, writer, end, writers.get(writer)):
                message = f"{writer} had {end.n} lines at {said.t}, which are not there"
                yield Problem(place, number, "witness", message)


def _authentic(line: bytes, keyring: Keyring) -> Checkpoint | None:
    try:
        said = msgspec.json.decode(line, type=Checkpoint)
        proof = bytes.fromhex(said.proof)
        body = msgspec.json.encode(msgspec.structs.replace(said, proof=""))
        if len(proof) == 64:
            return said if keyring.by_id(said.k).is_signature(proof, _SIGNED + body) else None
        return (
            said if hmac.compare_digest(_proof(keyring.local_by_id(said.k), body), proof) else None
        )
    except (msgspec.DecodeError, ValueError, UnknownKey, ConfigError):
        return None


def _has(directory: Path, listed: Listed, writer: str, end: End, found: Verified | None) -> bool:
    """Whether a writer has, or had when retention removed it, the lines of a checkpoint."""
    entry = listed.entry(writer)
    if entry is not None and entry.what == "removed":
        return entry.lines > end.n or (entry.lines, entry.last) == (end.n, end.mac)
    if found is None or found.lines < end.n:
        return False
    start = b'{"v":1,"seq":%d,' % (end.n - 1)
    mac = b',"mac":"%b"}\n' % end.mac.encode()
    for file in sorted((directory / writer).glob("*.jsonl")):
        with open(file, "rb", opener=_regular) as handle:
            for line in handle:
                if line.startswith(start):
                    return line.endswith(mac)
    return False


def send(line: bytes, witness: str, environ: Mapping[str, str]) -> None:
    """Give a checkpoint to a witness: ``file:PATH``, ``cmd:PROGRAM ARG...`` or ``https://...``.

    A file gets a line more, and is on disk when this returns; a program gets it on its standard
    input; an address by POST, without following a redirect (``http`` on this machine alone).

    Raises:
        ConfigError: no such kind of witness.
        OSError: it did not take it; the message says why.
    """
    kind, _, rest = witness.partition(":")
    if kind == "file" and rest:
        fd = os.open(rest, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            if os.write(fd, line) != len(line):
                message = f"witness {witness!r}: the line was not written in full"
                raise OSError(message)
            os.fsync(fd)
        finally:
            os.close(fd)
    elif kind == "cmd" and shlex.split(rest):
        try:
            subprocess.run(  # noqa: S603  (the policy names it)
                shlex.split(rest), input=line, check=True, timeout=_SECONDS, env=dict(environ)
            )
        except subprocess.SubprocessError as error:
            message = f"witness {witness!r}: {type(error).__name__}"
            raise OSError(message) from error
    elif kind in ("https", "http"):
        _post(line, witness)
    else:
        message = f"witness {witness!r} is none of: file:PATH, cmd:PROGRAM ARG..., https://..."
        raise ConfigError(message)


def _post(line: bytes, url: str) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "http" and host not in _LOOPBACK:
        message = f"witness {url!r}: http is for this machine alone; use https"
        raise ConfigError(message)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, parts.port, timeout=_SECONDS)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", path, line, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read(_ANSWER)
    except http.client.HTTPException as error:
        message = f"witness {url!r}: {type(error).__name__}"
        raise OSError(message) from error
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        message = f"witness {url!r}: answer {answer.status}"
        raise OSError(message)
