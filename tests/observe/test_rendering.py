"""Rules, routes and dashboard: as the tools of Prometheus and Alertmanager read them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from safehold.observe.rendering import render
from safehold.policy import Policy
from safehold.policy.alerts import Alerts

POLICY = Policy(root=Path("/srv/app"))
NAMES = re.compile(r"safehold_[a-z_]+")


def tool(name):
    """Return a tool of Debian's prometheus or prometheus-alertmanager."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name.upper()} IS NOT INSTALLED, so what it would check IS NOT CHECKED HERE: "
                    f"apt-get install prometheus prometheus-alertmanager")  # fmt: skip
    return path


def written(folder, policy=POLICY, **options):
    for name, text in render(policy, **options).items():
        (folder / name).write_text(text)
    return folder


def passes(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False,
                          **options)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("job", ["safehold", "trader/live"])
@pytest.mark.parametrize("verify", [60, 93_600])
def test_rules_are_valid_and_raise_what_they_shall(tmp_path, job, verify):
    policy = Policy(root=tmp_path, alerts=Alerts(verify=verify))
    written(tmp_path, policy, job=job)
    passes(tool("promtool"), "check", "rules", "safehold.rules.yml", cwd=tmp_path)
    passes(tool("promtool"), "test", "rules", "safehold.rules.test.yml", cwd=tmp_path)


def test_counter_first_seen_at_1_needs_the_second_half_of_the_rule(tmp_path):
    written(tmp_path)
    rules = tmp_path / "safehold.rules.yml"
    text = rules.read_text()
    halved = re.sub(r" or \(safehold_\w+_total.*? offset 10m\)", "", text)
    assert halved != text
    rules.write_text(halved)
    command = [tool("promtool"), "test", "rules", "safehold.rules.test.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "SafeholdViolationCritical" in done.stdout + done.stderr


@pytest.mark.parametrize("webhook", ["", "http://127.0.0.1:9/hook"])
def test_routes_are_valid(tmp_path, webhook):
    written(tmp_path, webhook=webhook)
    passes(tool("amtool"), "check-config", str(tmp_path / "alertmanager.yml"))


@pytest.mark.extras
def test_exposition_is_valid(tmp_path):
    from prometheus_client import generate_latest

    from safehold.events import Event
    from safehold.observe.metrics import Metrics

    metrics = Metrics()
    metrics.export(Event(action="load", outcome="refused", rule="SH110", seconds=0.1))
    metrics.set_verified(0, 1.0)
    metrics.set_config([])
    passes(tool("promtool"), "check", "metrics", input=generate_latest(metrics.served()).decode())


@pytest.mark.extras
def test_rules_and_dashboard_name_metrics_that_there_are():
    from safehold.observe.metrics import Metrics

    metrics = Metrics()
    metrics.set_verified(0, 1.0)
    known = {metric.name for metric in metrics.registry.collect()}
    files = render(POLICY)
    used = set(NAMES.findall(files["safehold.rules.yml"] + files["grafana-dashboard.json"]))
    assert {re.sub(r"_(total|bucket)$", "", name) for name in used} <= known
    assert len(used) >= 7


def test_each_metric_has_a_panel_and_each_panel_a_place():
    panels = json.loads(render(POLICY)["grafana-dashboard.json"])["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels) == 8
    assert len({panel["id"] for panel in panels}) == 8


def test_policy_decides_when_a_check_is_overdue():
    text = render(Policy(root=Path("/srv"), alerts=Alerts(verify=4321)))["safehold.rules.yml"]
    assert "> 4321 or absent" in text


def test_what_watches_holds_no_secret_and_no_channel():
    from safehold.policy.alerts import Channel

    channel = Channel("hook", "webhook", "https://h.example/x", "env:HOOK_KEY")
    policy = Policy(root=Path("/srv"), alerts=Alerts(channels=(channel,)))
    text = "".join(render(policy).values())
    assert "HOOK_KEY" not in text
    assert "h.example" not in text
