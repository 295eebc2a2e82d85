"""The guard of a whole environment: a ``.pth`` file that turns it on where the policy says so.

``site`` runs the line of such a file in each Python process of the environment. It imports one
small module beside it, which looks at one variable and, only if that is set, asks the policy.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from safehold.policy import Policy

_LINE_FILE: Final = "safehold-guard.pth"
_MODULE_FILE: Final = "_safehold_guard.py"
_LINE: Final = "import _safehold_guard\n"
_TEMPLATE: Final = '''\
"""Written by `safehold guard enable`; `safehold guard disable` removes it."""

POLICY = {policy!r}
VARIABLE = {variable!r}


def _start():
    import os
    import sys

    if not os.environ.get(VARIABLE) and not os.environ.get("{mode}"):
        return
    try:
        from safehold.guard.activation import activate

        activate(POLICY, os.environ)
    except BaseException as error:
        # `site` reports an Exception and goes on unguarded; SystemExit ends the process.
        sys.stderr.write("safehold: the guard could not be turned on: %s\\n" % error)
        raise SystemExit(70) from error


_start()
'''


def files(directory: Path | None = None) -> tuple[Path, Path]:
    """Return the two files of an environment, in its site-packages if not told otherwise."""
    place = Path(sysconfig.get_path("purelib")) if directory is None else directory
    return place / _LINE_FILE, place / _MODULE_FILE


def enable(policy: Policy, directory: Path | None = None) -> tuple[Path, Path]:
    """Write the two files; the module first, as the line needs it.

    Raises:
        ConfigError: the policy is no file, or the place cannot be written to.
    """
    from safehold.errors import ConfigError
    from safehold.guard.starting import MODE

    if policy.path is None:
        message = "a policy file is needed, as each process reads it: give --policy FILE"
        raise ConfigError(message)
    line, module = files(directory)
    variable = policy.activation.variable
    text = _TEMPLATE.format(policy=str(policy.path), variable=variable, mode=MODE)
    try:
        _replace(module, text)
        _replace(line, _LINE)
    except OSError as error:
        message = f"{error.filename} cannot be written: {error.strerror}"
        raise ConfigError(message) from error
    return line, module


def disable(directory: Path | None = None) -> list[Path]:
    """Remove the two files, the line first; return those that were there.

    Raises:
        ConfigError: one cannot be removed.
    """
    from safehold.errors import ConfigError

    removed = []
    for path in files(directory):
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            message = f"{path} cannot be removed: {error.strerror}"
            raise ConfigError(message) from error
        removed.append(path)
    return removed


def enabled_policy(directory: Path | None = None) -> tuple[str, str] | None:
    """Return policy and variable of an environment's files, None if it has not both."""
    line, module = files(directory)
    if not line.is_file() or not module.is_file():
        return None
    space: dict[str, str] = {}
    for row in module.read_text("utf-8").splitlines():
        name, equals, value = row.partition(" = ")
        if equals and name in ("POLICY", "VARIABLE"):
            space[name] = value.strip("'\"")
    return space.get("POLICY", ""), space.get("VARIABLE", "")


def holds(policy: Policy, environ: MutableMapping[str, str]) -> bool:
    """Say whether the policy's ``[activation]`` holds in an environment."""
    return environ.get(policy.activation.variable) in policy.activation.values


def activate(path: str, environ: MutableMapping[str, str]) -> None:
    """Turn the guard on if the policy's activation holds, or if the parent process had it on.

    Raises:
        ConfigError: the policy or its keys cannot be used, where the guard is to be on.
    """
    from safehold.guard.starting import MODE, environment, start

    if environ.get(MODE):
        start(environ)
        return
    from safehold.policy import Policy

    policy = Policy.load(path)
    if holds(policy, environ):
        environ.update(environment(environ, path, policy.mode, strict=policy.guard.strict))
        start(environ)


def _replace(path: Path, text: str) -> None:
    from safehold.replacing import replace_file

    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        replace_file(directory, path.name, [text.encode()])
    finally:
        os.close(directory)
