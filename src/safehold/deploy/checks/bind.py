"""SH314: a service that listens on every interface, and ports that are published to all."""

from __future__ import annotations

import re
from collections.abc import Iterator

from safehold.deploy.checks.row import OWASP_CONFIGURATION, Check, Example, found
from safehold.deploy.settings import Origin, Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH314",
    name="bind-everywhere",
    title="The service listens on every interface of the machine",
    why="What was meant for a proxy on the same machine is then reached past it, without its TLS, "
    "limits and logins.",
    remedy="Bind to 127.0.0.1, a socket or the address of an inner network, and let a proxy listen "
    "to the outside. In a container, where the network is its own, publish the port on one address.",
    severity=Severity.MEDIUM,
    cwe=1327,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=6.3,
    references=(OWASP_CONFIGURATION,),
)
_EVERYWHERE = re.compile(
    r"(?i)(?:\w+://)?(?:0\.0\.0\.0|0|\[?::0?\]?|\[?0:0:0:0:0:0:0:0\]?|\*|)(?::\d+)?(?:/.*)?"
)
_INNER = frozenset(
    "5432 3306 1433 1521 27017 6379 11211 9200 9300 5672 15672 2379 2375 2376 9092 8125 5984 7000 "
    "9042 8086 4369 26257 7687 50070 8500 6443 10250 5000 3000 8787 8888 4040 9000 9001 9090".split()
)
_PORT = re.compile(
    r"(?:(?P<ip>\[[^\]]*\]|\d+(?:\.\d+){3}|\*):)?(?:(?P<out>[\d-]+):)?(?P<inner>[\d-]+)(?:/\w+)?"
)


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("bind"):
        if setting.origin is Origin.CONTAINER or not isinstance(setting.value, str | list | tuple):
            continue  # a container's network is its own
        if any(item and _EVERYWHERE.fullmatch(item) for item in setting.items):
            yield found(RULE, setting, "stands for every interface")
    for setting in settings.about("privileged"):
        if setting.name.rsplit(".", 1)[-1].split("[")[0] != "ports":
            continue
        for port in setting.items:
            place = _PORT.fullmatch(port)
            if place is None or (place["out"] is None and place["ip"] is None):
                continue
            told = place["ip"] is not None and bool(_EVERYWHERE.fullmatch(place["ip"]))
            if told or (place["ip"] is None and place["inner"] in _INNER):
                yield found(RULE, setting, f"publishes {port} on every interface")


BIND = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("HOST=0.0.0.0\n"),
        Example("web: gunicorn --bind 0.0.0.0:8000 app:app\n", "Procfile"),
        Example("bind = '[::]:8000'\n", "gunicorn.conf.py"),
        Example("services:\n  db:\n    image: postgres:16.3\n    mem_limit: 1g\n    user: postgres\n"
                "    ports: ['5432:5432']\n", "compose.yaml"),
    ),
    good=(
        Example("HOST=127.0.0.1\nDB_HOST=db.internal\n"),
        Example('FROM python:3.12.4\nUSER app\nCMD ["gunicorn", "--bind", "0.0.0.0:8000", '
                '"app:app"]\n', "Dockerfile"),
        Example("services:\n  db:\n    image: postgres:16.3\n    mem_limit: 1g\n    user: postgres\n"
                "    ports: ['127.0.0.1:5432:5432']\n", "compose.yaml"),
    ),
)  # fmt: skip
