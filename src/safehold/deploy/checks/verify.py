"""SH505: connections of the service whose other end is not checked."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.credentials.names import words_of
from safehold.deploy.checks.row import Check, Example, found
from safehold.deploy.settings import Settings
from safehold.facts import UNVERIFIED
from safehold.findings import Finding

_AGAINST = frozenset("skip insecure no allow disable trust ignore".split())
_NONE = frozenset({"cert_none", "none", "ssl.cert_none", "never"})


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("verify"):
        if isinstance(setting.value, list | tuple | dict) or setting.text == "":
            continue
        is_against = not _AGAINST.isdisjoint(words_of(setting.name))
        if setting.flag is is_against or setting.text.lower() in _NONE:
            yield found(UNVERIFIED, setting, "leaves out the check of the other end")


VERIFY = Check(
    rule=UNVERIFIED,
    check=_check,
    bad=(Example("VERIFY_SSL=false\n"), Example("PYTHONHTTPSVERIFY=0\n")),
    good=(Example("VERIFY_SSL=true\n"),),
)
