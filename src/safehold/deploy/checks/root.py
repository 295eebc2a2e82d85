"""SH330: a service that runs as root, or in a container that is none."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.deploy.checks.row import OWASP_CONFIGURATION, Check, Example, found
from safehold.deploy.settings import Setting, Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH330",
    name="runs-as-root",
    title="The service runs as root, or with the rights of the host",
    why="Whoever gets code to run in it has the machine at once, or is one step away.",
    remedy="USER in the Dockerfile, user: in compose, runAsNonRoot in Kubernetes; no privileged, no "
    "socket of Docker, no network of the host.",
    severity=Severity.HIGH,
    cwe=250,
    cvss="CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=7.3,
    references=(OWASP_CONFIGURATION,),
)
_ROOT = frozenset("root 0 0:0 root:root 0:root root:0 administrator containeradministrator".split())
_STRONG = frozenset(
    "all sys_admin sys_ptrace sys_module net_admin dac_override cap_sys_admin cap_all".split()
)


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("run-as"):
        if setting.text.lower() in _ROOT and not isinstance(setting.value, bool):
            yield found(RULE, setting, "is root")
    for setting in settings.about("privileged"):
        problem = _problem(setting)
        if problem:
            yield found(RULE, setting, problem)


def _problem(setting: Setting) -> str:
    last = setting.name.rsplit(".", 1)[-1].lower().replace("_", "").replace("-", "")
    if last in ("volumes", "mounts"):
        return "hands in the socket of Docker" if "docker.sock" in str(setting.value) else ""
    if last in ("capadd", "add"):
        strong = {item.lower() for item in setting.items} & _STRONG
        return "adds rights of the host" if strong else ""
    if last in ("networkmode", "pid", "ipc", "ipcmode", "usernsmode", "pidmode"):
        return "is that of the host" if setting.text.lower() == "host" else ""
    if last == "securityopt":
        return "switches confinement off" if "unconfined" in str(setting.value) else ""
    if last == "ports":
        return ""
    if last in ("runasnonroot", "readonlyrootfilesystem"):
        return "is off" if setting.flag is False else ""
    return "gives the rights of the host" if setting.flag else ""


ROOT = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example('FROM python:3.12.4\nCMD ["app"]\n', "Dockerfile"),
        Example("FROM python:3.12.4\nUSER app\nUSER root\n", "Dockerfile"),
        Example("services:\n  web:\n    image: app:1.2\n    mem_limit: 1g\n    user: root\n",
                "compose.yaml"),
        Example("services:\n  web:\n    image: app:1.2\n    mem_limit: 1g\n    privileged: true\n",
                "compose.yaml"),
        Example("user = 'root'\n", "gunicorn.conf.py"),
    ),
    good=(Example('FROM python:3.12.4\nUSER app\nCMD ["app"]\n', "Dockerfile"),),
)  # fmt: skip
