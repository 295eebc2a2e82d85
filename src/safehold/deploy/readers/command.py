"""Command lines of servers: what a service is started with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any, Final

from safehold.deploy.readers.environment import parse_env
from safehold.deploy.settings import Origin, Setting, settings_of

SERVERS: Final = frozenset(
    "uvicorn gunicorn hypercorn daphne granian waitress-serve flask fastapi uwsgi celery streamlit "
    "jupyter mlflow python python3 manage.py dagster airflow tensorboard ray dask quart sanic "
    "litestar robyn bentoml nginx postgres redis-server docker fastapi-cli gunicorn3 honcho".split()
)
_SHORT: Final = {
    "gunicorn": {"-b": "bind", "-t": "timeout", "-u": "user", "-g": "group", "-k": "worker_class"},
    "hypercorn": {"-b": "bind", "-u": "user"},
    "flask": {"-h": "host", "-p": "port"},
    "daphne": {"-b": "bind", "-p": "port", "-v": "verbosity"},
    "celery": {"-l": "loglevel", "-b": "broker_url"},
    "uwsgi": {"-s": "socket"},
    "docker": {"-p": "ports", "-u": "user", "-e": "env", "-v": "volumes"},
}
_DEVELOPMENT: Final = {("fastapi", "dev"): ("reload", True), ("flask", "--debug"): ("debug", True)}
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*=")


def of_command(
    command: str | Sequence[str], path: str = "", line: int | None = None,
    origin: Origin = Origin.COMMAND,
) -> Iterator[Setting]:  # fmt: skip
    """Yield the options of a command, and the variables that are set before it."""
    if isinstance(command, str):
        try:
            words = shlex.split(command, comments=True)
        except ValueError:
            words = command.split()
    else:
        words = [str(word) for word in command]
    return settings_of(_options(words), origin, path, lambda _: line)


def is_command(text: str) -> bool:
    """Say whether a text starts a server that is known here."""
    words = re.split(r"[\s/]+", text.strip(), maxsplit=12)
    return any(word in SERVERS for word in words)


def _options(  # noqa: PLR0912  one branch for a kind of word
    words: list[str],
) -> Iterator[tuple[str, Any]]:
    program = ""
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        base = word.rsplit("/", 1)[-1]
        if _ASSIGNMENT.match(word) and not program:
            yield next(iter(parse_env(word)), (word, ""))
        elif base in SERVERS and not word.startswith("-"):
            program = base
        elif base == "runserver":
            yield "runserver.reload", True
            if index < len(words) and ":" in words[index]:
                yield "runserver.bind", words[index]
        elif (program, word) in _DEVELOPMENT:
            option, setting = _DEVELOPMENT[program, word]
            yield f"{program}.{option}", setting
        elif word.startswith("-"):
            name, has_value, value = word.partition("=")
            is_given = bool(has_value)
            name = _SHORT.get(program, {}).get(name, name)
            if name.startswith("-") and not name.startswith("--"):
                if len(name) > 2 and name[:2] in _SHORT.get(program, {}):
                    name, value, is_given = _SHORT[program][name[:2]], name[2:], True
                else:
                    continue
            shown = name.lstrip("-")
            takes = index < len(words) and not words[index].startswith("-")
            if is_given:
                yield _pair(program, shown, value=value)
            elif takes and not _is_switch(shown):
                yield _pair(program, shown, value=words[index])
                index += 1
            else:
                yield _pair(program, shown, value=True)


def _pair(program: str, name: str, *, value: Any) -> tuple[str, Any]:
    if name == "env" and isinstance(value, str) and "=" in value:
        return next(iter(parse_env(value)), (name, value))
    if name.startswith("no-") and value is True:
        return f"{program}.{name[3:]}", False
    return f"{program}.{name}" if program else name, value


def _is_switch(name: str) -> bool:
    return name in {
        "reload", "debug", "debugger", "proxy-headers", "privileged", "preload", "no-access-log",
        "access-log", "dev", "allow-root", "factory", "daemon", "no-reload",
    }  # fmt: skip
