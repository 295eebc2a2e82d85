"""What Prometheus, Alertmanager and Grafana need to watch a service: made from its policy.

All of it is JSON, which is YAML: nothing has to be quoted by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from safehold.findings import Severity
from safehold.observe.dashboard import dashboard
from safehold.policy import Policy

_WINDOW: Final = "10m"
JOB: Final = "safehold"
"""The job under which Prometheus scrapes the service, unless another one is named."""


def render(policy: Policy, *, job: str = JOB, webhook: str = "") -> Mapping[str, str]:
    """Return file names and their texts. `webhook` is where Alertmanager sends what it collects."""
    return {
        "safehold.rules.yml": _text(rules(policy, job)),
        "safehold.rules.test.yml": _text(rule_tests(policy, job)),
        "alertmanager.yml": _text(alertmanager(policy, webhook)),
        "grafana-dashboard.json": _text(dashboard(job)),
    }


def rules(policy: Policy, job: str = JOB) -> dict[str, Any]:
    """Return the rule file of Prometheus."""
    return {"groups": [{"name": "safehold", "rules": list(_rules(policy, job))}]}


def grown(metric: str, matching: str = "") -> str:
    """Return when a counter has grown, also one that was never seen before.

    `increase` knows nothing of a series that is first scraped at 1.
    """
    series = f"{metric}{{{matching}}}"
    return f"increase({series}[{_WINDOW}]) > 0 or ({series} > 0 unless {series} offset {_WINDOW})"


def _rules(policy: Policy, job: str) -> Iterator[dict[str, Any]]:
    here = f'job="{job}"'
    for severity in sorted(Severity, reverse=True):
        yield _rule(
            f"SafeholdViolation{severity.label.capitalize()}",
            grown("safehold_violations_total", f'{here},severity="{severity.label}"'),
            severity.label,
            "{{ $labels.instance }}: policy broken, rule {{ $labels.rule }}",
            "`safehold trail tail` shows what was refused, for which file and caller.",
        )
    yield _rule(
        "SafeholdTrailWriteErrors",
        grown("safehold_audit_write_errors_total", here),
        "critical",
        "{{ $labels.instance }}: the trail does not take events",
        "Operations are refused until [trail] path can be written: look at space and permissions.",
    )
    yield _rule(
        "SafeholdTrailChanged",
        "safehold_audit_verify_findings > 0",
        "critical",
        "{{ $labels.instance }}: the trail does not verify",
        "`safehold trail verify` names the first bad line. Keep the files as they are.",
    )
    yield _rule(
        "SafeholdTrailNotVerified",
        f"time() - safehold_audit_verify_last_success_timestamp_seconds > {policy.alerts.verify}"
        f" or absent(safehold_audit_verify_last_success_timestamp_seconds)",
        "high",
        f"no check of the trail has found it whole for {policy.alerts.verify} seconds",
        "Run the job that calls `safehold trail verify --metrics`.",
        wait="5m",
    )
    yield _rule(
        "SafeholdExportsLost",
        grown("safehold_operations_total", f'{here},op="export",reason="ExportError"'),
        "high",
        "{{ $labels.instance }}: events or alerts do not reach an exporter",
        "The trail has them; its events `export` name the exporter and what failed.",
    )
    yield _rule(
        "SafeholdConfigFindings",
        f'safehold_config_findings{{{here},severity=~"high|critical"}} > 0',
        "high",
        "{{ $labels.instance }}: {{ $value }} findings in the policy",
        "`safehold policy show` lists them.",
        wait="5m",
    )
    yield _rule(
        "SafeholdAbsent",
        f"up{{{here}}} == 0 or absent(up{{{here}}})",
        "critical",
        f"{job}: no process answers, or none has its metrics",
        "A service that is down records nothing; one without metrics raises no other alert.",
        wait="2m",
    )


def _rule(
    name: str, expression: str, severity: str, summary: str, remedy: str, *, wait: str = ""
) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": name, "expr": expression}
    if wait:
        rule["for"] = wait
    rule["labels"] = {"severity": severity, "source": "safehold"}
    rule["annotations"] = {"summary": summary, "description": remedy}
    return rule


def alertmanager(policy: Policy, webhook: str = "") -> dict[str, Any]:
    """Return a configuration of Alertmanager: what is critical goes out at once."""
    repeat = f"{policy.alerts.repeat}s"
    receiver: dict[str, Any] = {"name": "safehold"}
    if webhook:
        receiver["webhook_configs"] = [{"url": webhook, "send_resolved": True}]
    return {
        "route": {
            "receiver": "safehold",
            "group_by": ["alertname", "job", "severity"],
            "group_wait": f"{max(policy.alerts.group, 1)}s",
            "group_interval": "5m",
            "repeat_interval": repeat,
            "routes": [
                {
                    "matchers": ['severity="critical"'],
                    "receiver": "safehold",
                    "group_wait": "1s",
                    "group_interval": "1m",
                }
            ],
        },
        # Where nothing answers, what its metrics would say says nothing.
        "inhibit_rules": [
            {
                "source_matchers": ['alertname="SafeholdAbsent"'],
                "target_matchers": ['alertname=~"SafeholdConfigFindings|SafeholdTrailNotVerified"'],
                "equal": ["job"],
            }
        ],
        "receivers": [receiver],
    }


def rule_tests(policy: Policy, job: str = JOB) -> dict[str, Any]:
    """Return the file of `promtool test rules`: each alert once raised and once not."""
    named = {rule["alert"]: rule for rule in _rules(policy, job)}
    labels = f'job="{job}",instance="a:1"'
    late = policy.alerts.verify
    violations = f'safehold_violations_total{{{labels},rule="SH110",severity="critical"}}'
    cases = [
        # A counter that is first seen at 1, one that grows, one that stands still.
        (violations, "_ _ _ _ _ 1x60", "SafeholdViolationCritical", "6m", True),
        (violations, "0x20 1x60", "SafeholdViolationCritical", "22m", True),
        (violations, "3x60", "SafeholdViolationCritical", "30m", False),
        (f"safehold_audit_write_errors_total{{{labels}}}", "_ _ 1x60",
         "SafeholdTrailWriteErrors", "3m", True),
        (f"safehold_audit_write_errors_total{{{labels}}}", "0x60",
         "SafeholdTrailWriteErrors", "30m", False),
        (f"safehold_audit_verify_findings{{{labels}}}", "0x5 2x60",
         "SafeholdTrailChanged", "10m", True),
        (f"safehold_audit_verify_findings{{{labels}}}", "0x60", "SafeholdTrailChanged", "10m",
         False),
        (f"safehold_audit_verify_last_success_timestamp_seconds{{{labels}}}", f"{-late}x60",
         "SafeholdTrailNotVerified", "10m", True),
        (f"safehold_audit_verify_last_success_timestamp_seconds{{{labels}}}", "600x60",
         "SafeholdTrailNotVerified", "10m", False),
        (f'safehold_operations_total{{{labels},op="export",reason="ExportError"}}', "_ 1x60",
         "SafeholdExportsLost", "3m", True),
        (f'safehold_operations_total{{{labels},op="export",reason="none"}}', "_ 1x60",
         "SafeholdExportsLost", "3m", False),
        (f'safehold_config_findings{{{labels},severity="high"}}', "2x60",
         "SafeholdConfigFindings", "10m", True),
        (f'safehold_config_findings{{{labels},severity="low"}}', "2x60",
         "SafeholdConfigFindings", "10m", False),
        (f"up{{{labels}}}", "0x60", "SafeholdAbsent", "5m", True),
        (f"up{{{labels}}}", "1x60", "SafeholdAbsent", "5m", False),
    ]  # fmt: skip
    return {
        "rule_files": ["safehold.rules.yml"],
        "evaluation_interval": "1m",
        "tests": [_case(named, *case) for case in cases],
    }


def _case(
    named: Mapping[str, Any], series: str, values: str, alert: str, at: str, *raised: bool
) -> dict[str, Any]:
    found = []
    if all(raised):
        rule = named[alert]
        labels = dict(item.split("=") for item in series.split("{")[1][:-1].split(","))
        given = {name: text.strip('"') for name, text in labels.items()} | rule["labels"]
        number = values.rpartition(" ")[2].partition("x")[0]
        found.append(
            {
                "exp_labels": given,
                "exp_annotations": {
                    key: _filled(text, given, number) for key, text in rule["annotations"].items()
                },
            }
        )
    return {
        "interval": "1m",
        "input_series": [{"series": series, "values": values}],
        "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": found}],
    }


def _filled(text: str, labels: Mapping[str, str], number: str) -> str:
    for name, value in labels.items():
        text = text.replace("{{ $labels." + name + " }}", value)
    return text.replace("{{ $value }}", number)


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=True) + "\n"
