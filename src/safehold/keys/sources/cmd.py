"""``cmd:COMMAND``: what a command prints; no shell reads it, and it gets no input.

It is ended when it prints too much or takes too long; what it has started itself is not.
"""

from __future__ import annotations

import io
import os
import selectors
import shlex
import subprocess
import time

from safehold.errors import ConfigError
from safehold.keys.sources import MAX_BYTES, Wanted

_SECONDS = 30


def read(wanted: Wanted) -> bytes:
    """Return what the command prints. Raises ConfigError."""
    command = wanted.place
    try:
        words = shlex.split(command)
    except ValueError as error:
        message = f"key command {command!r} cannot be split into words: {error}"
        raise ConfigError(message) from error
    if not words:
        message = "key source cmd: names no command"
        raise ConfigError(message)
    result = _output(words, wanted)
    if isinstance(result, bytes):
        return result
    message = f"key command {command!r} {result}; run it by hand to see why"
    raise ConfigError(message)


def _output(words: list[str], wanted: Wanted) -> bytes | str:
    """Return what a command prints, or in words why there is nothing to return."""
    try:
        process = subprocess.Popen(  # noqa: S603  (the operator's own policy names it)
            words,
            cwd=wanted.root,
            env=dict(wanted.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except (OSError, ValueError) as error:
        return f"did not start ({getattr(error, 'strerror', None) or type(error).__name__})"
    deadline = time.monotonic() + _SECONDS
    printed = io.BytesIO()  # its repr shows no content, should an interrupt raise here
    try:
        if not _read(process, printed, deadline):
            return f"printed more than {MAX_BYTES} bytes, which is no key"
        code = process.wait(max(deadline - time.monotonic(), 0.1))
    except (TimeoutError, subprocess.TimeoutExpired):
        return f"took longer than {_SECONDS} seconds"
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
            if not into.write(os.read(process.stdout.fileno(), MAX_BYTES)):
                return True
            if into.tell() > MAX_BYTES:
                return False
    raise TimeoutError
