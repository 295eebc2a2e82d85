"""SH302: debugging, or a mode for tests, that is switched on."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.deploy.checks.row import Check, Example, found
from safehold.deploy.settings import Settings
from safehold.facts import DEBUG
from safehold.findings import Finding, Severity


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("debug"):
        if "pin" in setting.name.lower():
            if setting.flag is False:
                yield found(DEBUG, setting, "leaves the console of the debugger without a PIN")
        elif setting.flag is not False and not setting.is_nothing and _is_switch(setting.value):
            yield found(DEBUG, setting, "is on")
    for setting in settings.about("testing"):
        if setting.flag:
            yield found(DEBUG, setting, "is on", severity=Severity.MEDIUM)
    for setting in settings.about("environment"):
        if setting.name.upper() == "FLASK_ENV" and setting.text.lower().startswith("dev"):
            yield found(DEBUG, setting, "switches debugging on")
    yield from _installed(settings)


def _installed(settings: Settings) -> Iterator[Finding]:
    for setting in settings.all:
        if setting.name.split(".")[-1] in ("INSTALLED_APPS", "MIDDLEWARE"):
            for item in setting.items:
                if item.split(".")[0] in ("debug_toolbar", "silk", "django_extensions_shell"):
                    message = f"has {item}"
                    yield found(DEBUG, setting, message, severity=Severity.MEDIUM)


def _is_switch(value: object) -> bool:
    return isinstance(value, bool | int | str)


DEBUGGING = Check(
    rule=DEBUG,
    check=_check,
    bad=(
        Example("DEBUG=true\n"),
        Example("FLASK_DEBUG=1\n"),
        Example("DEBUG = True\n", "settings.py"),
        Example("CMD: flask run --debug\n", "Procfile"),
        Example("app:\n  debug: yes\n", "config.yaml"),
        Example("import flask\n\napp = flask.Flask(__name__)\napp.run(debug=True)\n", "app.py"),
    ),
    good=(Example("DEBUG=false\nFLASK_DEBUG=0\nDEBUG_TOOLBAR_PANELS=x\n"),),
)
