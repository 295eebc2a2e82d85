"""SH302: debugging that is switched on in the source.

Settings whose file is named for development or tests are not found, nor are tests.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from safehold.facts import DEBUG as RULE
from safehold.findings import Confidence, Severity
from safehold.source.entries import last_name, literal
from safehold.source.row import Example, Hint, Item, SourceRule
from safehold.source.unit import Unit

_FRAMEWORKS = frozenset(
    "flask quart bottle dash sanic fastapi starlette tornado uvicorn litestar aiohttp_debugtoolbar "
    "werkzeug hypercorn flask_socketio responder falcon nicegui".split()
)
_STARTS = frozenset(
    "run run_server run_simple serve FastAPI Starlette Application Flask Quart Litestar Dash Sanic "
    "create_app App update from_mapping".split()
)
_DJANGO = frozenset({"INSTALLED_APPS", "ROOT_URLCONF", "MIDDLEWARE", "DATABASES", "TEMPLATES"})
_ELSEWHERE = re.compile(
    r"(?i)(^|[_/.-])(dev|develop|development|local|test|tests|testing|debug)(?![A-Za-z])"
)
_VARIABLES = frozenset({"FLASK_DEBUG", "DJANGO_DEBUG", "WERKZEUG_DEBUG"})

# Nothing is found but in programs and settings of these.
_BESIDE = "|".join(sorted({*_FRAMEWORKS, *_DJANGO, "SECRET_KEY"}))
_SWITCHED = r"debug['\"]?\]?\s*=\s*(?:True|['\"]|[^=\n]*(?:get|env|config|bool))"


def _check(unit: Unit) -> Iterator[Item]:
    """Yield the places that switch debugging on."""
    if unit.imported & _FRAMEWORKS:
        for call, _ in unit.module.calls:
            yield from _started(call, unit)
        for assign in unit.nodes(ast.Assign):
            yield from _configured(assign)
    yield from _settings(unit)


def _started(call: ast.Call, unit: Unit) -> Iterator[Item]:
    last = last_name(call.func)
    for item in call.keywords:
        on = isinstance(item.value, ast.Constant) and item.value.value is True
        if not on:
            continue
        if item.arg in ("debug", "DEBUG") and last in _STARTS:
            yield Item(item.value, f"{last} is given {item.arg}=True", detail={"call": last})
        elif item.arg in ("use_debugger", "evalex"):
            yield Item(item.value, f"{last} serves a console that runs what is typed into it",
                       detail={"call": last})  # fmt: skip
        elif item.arg == "reload" and last == "run" and "uvicorn" in unit.imported:
            yield Item(item.value, "the server reloads the source whenever a file changes",
                       severity=Severity.LOW, detail={"call": last})  # fmt: skip
    if last == "DebuggedApplication" and not any(
        item.arg == "evalex" and isinstance(item.value, ast.Constant) for item in call.keywords
    ):
        message = "DebuggedApplication shows variables and source to whoever causes an error"
        yield Item(call, message, detail={"call": last})


def _configured(assign: ast.Assign) -> Iterator[Item]:
    """`app.debug = True`, `app.config["DEBUG"] = True`, `os.environ["FLASK_DEBUG"] = "1"`."""
    value = assign.value.value if isinstance(assign.value, ast.Constant) else None
    for target in assign.targets:
        if isinstance(target, ast.Attribute) and target.attr == "debug" and value is True:
            if last_name(target.value) in ("app", "application", "server"):
                yield Item(assign, f"{ast.unparse(target)} is switched on")
        elif isinstance(target, ast.Subscript):
            key = literal(target.slice)
            in_config = last_name(target.value) == "config" and key == "DEBUG" and value is True
            in_environment = key in _VARIABLES and value in ("1", "true", "True", "on")
            if in_config or in_environment:
                yield Item(assign, f"{key} is switched on")


def _settings(unit: Unit) -> Iterator[Item]:
    """Yield `DEBUG = True` of settings for Django or Flask."""
    names = unit.module.scope.bindings
    path = PurePosixPath(unit.path)
    is_settings = path.stem in ("settings", "config", "production", "prod", "base") and (
        "SECRET_KEY" in names or "DATABASES" in names
    )
    if not (is_settings or len(_DJANGO.intersection(names)) > 1):
        return
    if _ELSEWHERE.search(path.with_suffix("").as_posix()):
        return
    for node in unit.module.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(item, ast.Name) and item.id == "DEBUG" for item in targets):
            value = node.value if isinstance(node, ast.Assign) else None
            value = value.left if isinstance(value, ast.Compare) else value
            if isinstance(value, ast.Constant) and value.value is True:
                yield Item(node, "DEBUG is switched on in the settings")
            elif isinstance(value, ast.Call) and _is_on_by_default(value):
                message = "DEBUG is on in the settings unless the environment says otherwise"
                yield Item(node, message, confidence=Confidence.MEDIUM)


def _is_on_by_default(call: ast.Call) -> bool:
    values = [item.value for item in call.keywords if item.arg == "default"]
    if last_name(call.func) in ("get", "getenv", "config", "env", "bool"):
        values += call.args[1:2]
    return any(
        isinstance(item, ast.Constant) and item.value in (True, "True", "true", "1", 1)
        for item in values
    )


DEBUG = SourceRule(
    rule=RULE,
    check=_check,
    migrates=False,
    in_tests=False,
    hints=(
        Hint.of("debug", _SWITCHED, any_case=True, beside=_BESIDE),
        Hint.of("debug", r"debug(?:ger\s*=\s*True|gedapplication)", any_case=True),
        Hint.of("eval", r"evalex\s*=\s*True"),
        Hint.of("reload", r"reload\s*=\s*True"),
    ),
    bad=(
        Example("from flask import Flask\n\napp = Flask(__name__)\napp.run(debug=True)\n", (4,)),
        Example("from flask import Flask\n\napp = Flask(__name__)\napp.debug = True\n"
                "app.config['DEBUG'] = True\n", (4, 5)),
        Example("DEBUG = True\nINSTALLED_APPS = []\nMIDDLEWARE = []\n", (1,)),
        Example("import os\n\nDEBUG = os.environ.get('DEBUG', 'True') == 'True'\n"
                "DEBUG = os.getenv('DEBUG', True)\nINSTALLED_APPS = []\nROOT_URLCONF = 'urls'\n",
                (3, 4)),
        Example("from fastapi import FastAPI\n\napp = FastAPI(debug=True)\n", (3,)),
        Example("import uvicorn\n\nuvicorn.run('app:app', reload=True)\n", (3,)),
        Example("from werkzeug.serving import run_simple\n\n"
                "run_simple('0.0.0.0', 80, app, use_debugger=True)\n", (3,)),
    ),
    good=(
        Example("import os\nfrom flask import Flask\n\napp = Flask(__name__)\n"
                "app.run(debug=os.environ.get('DEBUG') == '1')\n"),
        Example("DEBUG = True\nlogger = None\nverbose(debug=True)\n"),
        Example("DEBUG = False\nINSTALLED_APPS = []\nMIDDLEWARE = []\n"),
        Example("from flask import Flask\n\nFlask(__name__).run(debug=False)\n"),
        Example("import asyncio\n\nasyncio.run(main(), debug=True)\n"),
    ),
)  # fmt: skip
