"""How git is asked about a checkout that may be hostile: no program of its configuration runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Final

from safehold.errors import ConfigError

_SECONDS: Final = 300
SETTINGS: Final = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "diff.external=",
    "log.showSignature=false",  # which starts a program
    "protocol.allow=never",
    "safe.bareRepository=explicit",  # a directory of the checkout may pose as a repository
)
# What a partial clone lacks is not fetched: that starts programs. Replaced objects are not those
# that the commit names.
ENVIRONMENT: Final = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_LITERAL_PATHSPECS": "1",  # names of directories are no patterns
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


class NoAnswerError(Exception):
    """What git said instead of an answer, with a colon before it."""


def command(folder: str, *arguments: str) -> list[str]:
    """Return the command that asks git about a directory. Raises ConfigError: there is no git."""
    git = shutil.which("git")
    if git is None or not os.path.isabs(git):  # a relative one may be the checkout's
        raise ConfigError("git is needed, and is not on PATH: install it")
    settings = [part for setting in SETTINGS for part in ("-c", setting)]
    return [git, "--no-pager", *settings, "-C", folder, *arguments]


def environment(folder: str) -> dict[str, str]:
    """Return the environment without what a hook's git says about its own repository."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
    }
    return {**kept, **ENVIRONMENT, "GIT_CEILING_DIRECTORIES": os.path.dirname(folder.rstrip("/"))}


def answer(folder: str, *arguments: str) -> bytes:
    """Return what git prints about the checkout whose top is a directory.

    Raises:
        ConfigError: git is missing, cannot be started or does not trust the checkout.
        NoAnswerError: git failed.
    """
    try:
        done = subprocess.run(  # noqa: S603  no shell
            command(folder, *arguments),
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        reason = type(error).__name__
        raise ConfigError(f"git cannot be run ({reason}): check the installation") from error
    if done.returncode == 0:
        return done.stdout
    raise failure(folder, done.stderr)


def failure(folder: str, stderr: bytes) -> Exception:
    """Return the error that git's words are: ConfigError if it does not trust the checkout."""
    said = stderr.decode("utf-8", "replace").strip()
    if "dubious ownership" in said:
        return ConfigError(
            f"git does not trust {folder}, which another user owns; if you do: "
            f"git config --global --add safe.directory {folder}"
        )
    return NoAnswerError(f": {said[:300]}" if said else "")
