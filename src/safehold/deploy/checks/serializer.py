"""SH335: sessions, tasks and caches that are kept as pickles."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.deploy.checks.row import OWASP_INTEGRITY, Check, Example, found
from safehold.deploy.settings import Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH335",
    name="pickle-setting",
    title="Sessions, tasks or caches are kept as pickles",
    why="Whoever writes into the broker, the cache or, with the key, a cookie runs code in the "
    "service.",
    remedy="json: SESSION_SERIALIZER, CELERY_TASK_SERIALIZER and accept_content; for models "
    "safehold.Store.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=9.2,
    references=(OWASP_INTEGRITY,),
)
_CODE = ("pickle", "dill", "marshal", "jsonpickle", "yaml.unsafe")


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("serializer"):
        name = setting.name.lower()
        items = [item.lower() for item in setting.items]
        if any(word in item for item in items for word in _CODE):
            yield found(RULE, setting, "names a format that runs code")
        elif setting.flag and ("pickl" in name or "deserialization" in name):
            yield found(RULE, setting, "allows formats that run code")


SERIALIZER = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("CELERY_TASK_SERIALIZER=pickle\n"),
        Example("SESSION_SERIALIZER = 'django.contrib.sessions.serializers.PickleSerializer'\n",
                "settings.py"),
        Example("accept_content = ['json', 'pickle']\n", "celeryconfig.py"),
    ),
    good=(Example("CELERY_TASK_SERIALIZER=json\nCELERY_ACCEPT_CONTENT=json\n"),),
)  # fmt: skip
