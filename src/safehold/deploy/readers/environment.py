"""Environment variables, and files that hold them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from safehold.deploy.settings import Origin, Setting, settings_of

_LINE: Final = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][\w.-]*)[ \t]*=[ \t]*
    (?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>[^']*)'|(?P<bare>[^\r\n]*?))
    [ \t]*(?:[ \t]\#[^\r\n]*)?\r?$""",
    re.VERBOSE | re.MULTILINE,
)


def of_mapping(environ: Mapping[str, Any]) -> Iterator[Setting]:
    """Yield the settings of an environment."""
    return settings_of(environ.items(), Origin.ENVIRONMENT)


def of_env_file(text: str, path: str, *, committed: bool = False) -> Iterator[Setting]:
    """Yield the settings of a `.env` file; of a name that stands twice the last counts."""
    pairs = dict(parse_env(text))
    lines = dict(_places(text))
    return settings_of(pairs.items(), Origin.ENV_FILE, path, lines.get, committed=committed)


def parse_env(text: str) -> Iterator[tuple[str, str]]:
    """Yield names and values; what is no assignment is passed over."""
    for match in _LINE.finditer(text.removeprefix("\ufeff")):
        if match["double"] is not None:
            value = re.sub(r"\\(.)", r"\1", match["double"])
        else:
            value = match["bare"] if match["single"] is None else match["single"]
        if match["bare"] is not None and value.startswith("#"):
            value = ""
        yield match["name"], value


def _places(text: str) -> Iterator[tuple[str, int]]:
    line, last = 1, 0
    for match in _LINE.finditer(text):
        line += text.count("\n", last, match.start())
        last = match.start()
        yield match["name"], line
