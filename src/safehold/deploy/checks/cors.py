"""SH319: other origins that may read answers: any of them, with or without credentials."""

from __future__ import annotations

import re
from collections.abc import Iterator

from safehold.credentials.names import words_of
from safehold.deploy.checks.row import OWASP_ACCESS, Check, Example, found
from safehold.deploy.settings import Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH319",
    name="cors-wildcard",
    title="Pages of any origin may read answers of the service",
    why="With credentials a page of anybody reads what the user sees; several frameworks answer a "
    "wildcard with the origin that asks. Without, it still reaches what only an inner network sees.",
    remedy="List the origins, from https:// on.",
    severity=Severity.HIGH,
    cwe=942,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:P/VC:H/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=7.1,
    references=(OWASP_ACCESS,),
)
_ANY = re.compile(
    r"\^?(?:(?:https?|wss?|\*|https\?)(?:://|:\\/\\/))?\(?(?:\.?[*+]|\.[*+]\$?)\)?(?::(?:\*|\d+))?\$?|null"
)


def _check(settings: Settings) -> Iterator[Finding]:
    credentials = any(
        setting.flag and "credentials" in setting.name.lower()
        for setting in settings.about("cors-credentials")
    )
    for setting in settings.about("cors-origins"):
        words = words_of(setting.name)
        told = "any" in words or "all" in words[-4:] or words[-1:] == ("cors",)
        is_any = told and setting.flag is True and "any" not in words[-1:]
        is_any = is_any or any(_ANY.fullmatch(item) for item in setting.items)
        if isinstance(setting.value, str) and setting.text.lower() == "all":
            is_any = True
        if is_any:
            severity = None if credentials or "csrf" in words else Severity.MEDIUM
            yield found(RULE, setting, "lets every origin in", severity=severity)


CORS = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("CORS_ORIGINS=*\nCORS_ALLOW_CREDENTIALS=true\n"),
        Example("CORS_ALLOW_ALL_ORIGINS = True\n", "settings.py"),
        Example("cors:\n  allow_origins: ['*']\n  allow_credentials: true\n", "config.yaml"),
        Example("from fastapi import FastAPI\nfrom fastapi.middleware.cors import CORSMiddleware\n\n"
                "app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)\n"
                "app.add_middleware(CORSMiddleware, allow_origins=['*'], allow_credentials=True)\n",
                "main.py"),
    ),
    good=(Example("CORS_ORIGINS=https://front.example.org\nCORS_ALLOW_CREDENTIALS=true\n"),),
)  # fmt: skip
