"""SH326: headers of proxies that are believed from anybody, and a WAF that is off."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.credentials.names import words_of
from safehold.deploy.checks.row import OWASP_CONFIGURATION, Check, Example, found
from safehold.deploy.settings import Setting, Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH326",
    name="proxy-trust",
    title="Headers of proxies are believed from anybody",
    why="Whoever sends X-Forwarded-For or -Host then chooses the address that limits, logs and "
    "allow-lists see, and the host that links are made of.",
    remedy="List the addresses of the proxies (--forwarded-allow-ips, [requests] proxies), and let "
    "them overwrite the headers.",
    severity=Severity.MEDIUM,
    cwe=348,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=6.3,
    references=(OWASP_CONFIGURATION,),
)
_ANYBODY = frozenset("* 0.0.0.0/0 ::/0 all any 0.0.0.0 loopback,* true".split())
_WEAK_WAF = frozenset(
    "off false 0 no disabled detection detectiononly monitor log count report".split()
)


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("proxy-trust"):
        if _is_open(setting):
            yield found(RULE, setting, "believes them from anybody")
    for setting in settings.about("waf"):
        words = {*words_of(setting.name)}
        is_against = bool(words & {"disable", "disabled", "skip", "bypass"})
        off = setting.flag is True if is_against else setting.text.lower() in _WEAK_WAF
        if off or (setting.value is False and not is_against):
            yield found(RULE, setting, "leaves the firewall of the application off")


def _is_open(setting: Setting) -> bool:
    words = words_of(setting.name)
    if (words[-2:-1] == ("x",) and "fix" in words) or words[-1:] == ("count",):
        return (setting.number or 0) > 3
    if "SECURE_PROXY_SSL_HEADER" in setting.name:
        return bool(setting.items) and not setting.items[0].startswith("HTTP_")
    if isinstance(setting.value, bool):
        return setting.value
    if any(item.lower() in _ANYBODY for item in setting.items):
        return True
    is_flag = (
        words[:1] == ("use",)
        or "trust" in words
        or words[-1:]
        in (
            ("proxy",),
            ("headers",),
            ("host",),
            ("port",),
        )
    )
    return is_flag and setting.flag is True


PROXIES = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("FORWARDED_ALLOW_IPS=*\n"),
        Example("web: uvicorn app:app --proxy-headers --forwarded-allow-ips='*'\n", "Procfile"),
        Example("TRUSTED_PROXIES=0.0.0.0/0\n"),
        Example("USE_X_FORWARDED_HOST = True\n", "settings.py"),
        Example("WAF_ENABLED=false\n"),
    ),
    good=(Example("FORWARDED_ALLOW_IPS=10.0.0.5\nTRUSTED_PROXIES=10.0.0.0/8\n"),),
)
