"""SH331: dependencies and images that are another thing at the next build."""

from __future__ import annotations

import re
from collections.abc import Iterator

from safehold.deploy.checks.row import OWASP_COMPONENTS, Check, Example, found
from safehold.deploy.settings import Origin, Setting, Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH331",
    name="unpinned-dependency",
    title="A dependency or image has no fixed version",
    why="What is tested and what is deployed differ, and a package that was taken over is installed "
    "at the next build.",
    remedy="Lock versions with hashes (pip-compile --generate-hashes, uv lock), and images with a "
    "version or a digest.",
    severity=Severity.LOW,
    cwe=1357,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=7.7,
    references=(OWASP_COMPONENTS,),
)
_PINNED = re.compile(
    r"===?\s*[^*\s,]+(?:\s*[;\\].*|\s+--.*|\s*)$|@\s*\S+(?:@[0-9a-f]{40}|#sha256=|[._-]\d+\S*\.whl)|--hash="
)
_OPEN = re.compile(r"--(?:extra-index-url|trusted-host|pre)\b")


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.all:
        if setting.origin is Origin.REQUIREMENT or setting.name.split(".")[-1] == "image":
            problem = _problem(setting)
            if problem:
                yield found(RULE, setting, problem)


def _problem(setting: Setting) -> str:
    text = setting.text
    if setting.name.split(".")[-1] in ("image", "FROM"):
        return _problem_of_image(text)
    if _OPEN.match(text):
        return "takes packages from a second place, or without a check of it"
    if text.startswith("-"):
        return ""
    return "" if _PINNED.search(text) else "has no fixed version"


def _problem_of_image(text: str) -> str:
    if (
        not text
        or "@sha256:" in text
        or text == "scratch"
        or "$" in text
        or not isinstance(text, str)
    ):
        return ""
    tag = text.rsplit("/", 1)[-1].partition(":")[2]
    return "" if tag and tag not in ("latest", "stable", "edge", "main", "nightly") else (
        "has no fixed version"
    )  # fmt: skip


PINS = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("flask\n", "requirements.txt"),
        Example("flask>=2\n", "requirements.txt"),
        Example("FROM python:latest\nUSER app\n", "Dockerfile"),
        Example("--extra-index-url https://pypi.example.org/simple\nflask==3.0.3\n",
                "requirements.txt"),
    ),
    good=(
        Example("flask==3.0.3\n# a remark\njinja2==3.1.4 ; python_version > '3.8'\n",
                "requirements.txt"),
        Example("FROM python:3.12.4-slim\nUSER app\n", "Dockerfile"),
    ),
)  # fmt: skip
