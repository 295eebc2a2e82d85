"""Where keys come from: ``env:NAME``, ``file:PATH`` and ``cmd:COMMAND``.

No frame that raises holds a secret in a local variable, and no error is chained to one that
carries what a command had printed: tracebacks with locals go to logs and error trackers.
"""

from __future__ import annotations

import io
import os
import re
import selectors
import shlex
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from safehold.errors import ConfigError

_COMMAND_SECONDS = 30
_MAX_BYTES = 64 * 2**10  # a PEM file of several keys fits; a log file or /dev/zero does not
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NO_WAIT = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY  # a FIFO must not block


class Environment(Mapping[str, str]):
    """Environment variables whose ``repr`` shows none of them; by default the process's own."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = os.environ if values is None else values

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Environment({len(self)} variables)"


def read_source(key_id: str, source: str, root: Path, environ: Environment) -> bytes:
    """Return the secret that a source names, without the line end of a text.

    Raises:
        ConfigError: the source is missing, unreadable or of no known scheme; says what mends it.
    """
    scheme, colon, rest = source.partition(":")
    read = _SOURCES.get(scheme)
    if read is None or not colon or not rest.strip():
        # The source is not shown: some write the key itself there.
        schemes = ", ".join(f"{name}:" for name in _SOURCES)
        message = (
            f"key source of {key_id!r} must start with one of {schemes} and name a place, as "
            f"env:SAFEHOLD_SECRET_KEY does"
        )
        raise ConfigError(message)
    return _trimmed(read(rest, root, environ))


def _trimmed(secret: bytes) -> bytes:
    """Take white space off both ends of a text; random bytes stay as they are."""
    text = secret.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    return text.encode() if text.isprintable() and "\ufffd" not in text else secret


def _from_env(name: str, root: Path, environ: Environment) -> bytes:  # noqa: ARG001
    if not _VARIABLE.fullmatch(name):
        message = f"key source env: must name an environment variable, not {name!r}"
        raise ConfigError(message)
    value: object = environ.get(name)
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass" if _odd(value) else "surrogateescape")
    del value  # a mapping may hold other things than strings; they are not shown either
    message = (
        f'environment variable {name} holds no key; set it with: export {name}="$(safehold keygen)"'
    )
    raise ConfigError(message)


def _odd(value: str) -> bool:
    """Say whether there are surrogates that no byte of an environment was decoded to."""
    return any("\ud800" <= char <= "\udfff" and not "\udc80" <= char <= "\udcff" for char in value)


def _from_file(name: str, root: Path, environ: Environment) -> bytes:  # noqa: ARG001
    try:
        fd = os.open(root / Path(name).expanduser(), _NO_WAIT)
    except (OSError, ValueError, RuntimeError) as error:  # NUL in the name; "~" without a home
        reason = getattr(error, "strerror", None) or str(error)
        message = (
            f"key file {name!r} cannot be read ({reason}); make one with: "
            f"safehold keygen --output {shlex.quote(name)}"
        )
        raise ConfigError(message) from error
    try:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) and status.st_size <= _MAX_BYTES:
            return os.read(fd, _MAX_BYTES)
    except OSError as error:
        message = f"key file {name!r} cannot be read ({error.strerror})"
        raise ConfigError(message) from error
    finally:
        os.close(fd)
    message = (
        f"key file {name!r} is not a regular file of at most {_MAX_BYTES} bytes; make one with: "
        f"safehold keygen --output NEWFILE"
    )
    raise ConfigError(message)


def _from_command(command: str, root: Path, environ: Environment) -> bytes:
    try:
        words = shlex.split(command)
    except ValueError as error:
        message = f"key command {command!r} cannot be split into words: {error}"
        raise ConfigError(message) from error
    if not words:
        message = "key source cmd: names no command"
        raise ConfigError(message)
    result = _output(words, root, environ)
    if isinstance(result, bytes):
        return result
    message = f"key command {command!r} {result}; run it by hand to see why"
    raise ConfigError(message)


def _output(words: list[str], root: Path, environ: Environment) -> bytes | str:
    """Return what a command prints, or in words why there is nothing to return."""
    try:
        process = subprocess.Popen(  # noqa: S603  (the operator's own policy names it)
            words,
            cwd=root,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except (OSError, ValueError) as error:
        return f"did not start ({getattr(error, 'strerror', None) or type(error).__name__})"
    deadline = time.monotonic() + _COMMAND_SECONDS
    printed = io.BytesIO()  # its repr shows no content, should an interrupt raise here
    try:
        if not _read(process, printed, deadline):
            return f"printed more than {_MAX_BYTES} bytes, which is no key"
        code = process.wait(max(deadline - time.monotonic(), 0.1))
    except (TimeoutError, subprocess.TimeoutExpired):
        return f"took longer than {_COMMAND_SECONDS} seconds"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    return f"ended with exit code {code}" if code else printed.getvalue()


def _read(process: subprocess.Popen[bytes], into: io.BytesIO, deadline: float) -> bool:
    """Read to the end. False when it is too much. Raises TimeoutError."""
    if process.stdout is None:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(max(deadline - time.monotonic(), 0)):
            if not into.write(os.read(process.stdout.fileno(), _MAX_BYTES)):
                return True
            if into.tell() > _MAX_BYTES:
                return False
    raise TimeoutError


_SOURCES: Mapping[str, Callable[[str, Path, Environment], bytes]] = {
    "env": _from_env,
    "file": _from_file,
    "cmd": _from_command,
}
