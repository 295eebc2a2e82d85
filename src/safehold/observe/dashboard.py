"""A dashboard for Grafana over the metrics of a service."""

from __future__ import annotations

from typing import Any, Final

_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
_WIDTH, _HEIGHT = 12, 8
_RATE: Final = "[$__rate_interval]"


def dashboard(job: str) -> dict[str, Any]:
    """Return the dashboard; it asks for the data source when it is imported."""
    here = f'job="{job}"'
    counted = f"safehold_operations_total{{{here}}}{_RATE}"
    broken = f"safehold_violations_total{{{here}}}{_RATE}"
    panels = [
        ("Operations", f"sum by (op, outcome) (rate({counted}))", "{{op}} {{outcome}}", "ops"),
        ("Violations", f"sum by (rule, severity) (increase({broken}))",
         "{{rule}} {{severity}}", "none"),
        ("Time of operations, p99", _p99("safehold_operation_seconds", here), "p99", "s"),
        ("Time of the trail, p99", _p99("safehold_audit_append_seconds", here), "p99", "s"),
        ("Events that the trail did not take",
         f"sum by (instance) (increase(safehold_audit_write_errors_total{{{here}}}{_RATE}))",
         "{{instance}}", "none"),
        ("Problems in the trail", "safehold_audit_verify_findings", "{{instance}}", "none"),
        ("Seconds since the trail was found whole",
         "time() - safehold_audit_verify_last_success_timestamp_seconds", "{{instance}}", "s"),
        ("Findings in the policy", f"max by (severity) (safehold_config_findings{{{here}}})",
         "{{severity}}", "none"),
    ]  # fmt: skip
    return {
        "title": "safehold",
        "uid": "safehold",
        "schemaVersion": 39,
        "tags": ["safehold"],
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "templating": {
            "list": [{"name": "source", "type": "datasource", "query": "prometheus",
                      "label": "Data source"}]
        },
        "panels": [_panel(number, *panel) for number, panel in enumerate(panels)],
    }  # fmt: skip


def _p99(metric: str, here: str) -> str:
    return f"histogram_quantile(0.99, sum by (le) (rate({metric}_bucket{{{here}}}{_RATE})))"


def _panel(number: int, title: str, expression: str, legend: str, unit: str) -> dict[str, Any]:
    return {
        "id": number + 1,
        "title": title,
        "type": "timeseries",
        "datasource": _SOURCE,
        "gridPos": {
            "h": _HEIGHT,
            "w": _WIDTH,
            "x": number % 2 * _WIDTH,
            "y": number // 2 * _HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": "A", "expr": expression, "legendFormat": legend, "datasource": _SOURCE}
        ],
    }
