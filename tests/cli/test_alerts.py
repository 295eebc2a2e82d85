from __future__ import annotations

import json

import pytest

POLICY = "version = 1\n[alerts]\nverify = 777\n"


@pytest.fixture
def policy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "safehold.toml").write_text(POLICY)


def test_writes_what_the_policy_says(policy, call, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "alertmanager.yml").write_text("old")
    done = call("alerts", "render", "--output", "out", "--job", "trader",
                "--webhook", "http://127.0.0.1:9/x", "--policy", "safehold.toml")  # fmt: skip
    assert done.code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "alertmanager.yml", "grafana-dashboard.json", "safehold.rules.test.yml",
        "safehold.rules.yml",
    ]  # fmt: skip
    rules = (tmp_path / "out" / "safehold.rules.yml").read_text()
    assert "> 777 or" in rules
    assert 'job=\\"trader\\"' in rules
    routes = json.loads((tmp_path / "out" / "alertmanager.yml").read_text())
    assert routes["receivers"][0]["webhook_configs"][0]["url"] == "http://127.0.0.1:9/x"
    assert "out/alertmanager.yml" in done.out


@pytest.mark.parametrize(
    "wrong",
    [["--job", 'a"} or up{b="'], ["--job", ""], ["--webhook", "http://example.org/"],
     ["--webhook", "nonsense"]],
)  # fmt: skip
def test_words_that_would_change_the_files_are_refused(policy, call, tmp_path, wrong):
    with pytest.raises(SystemExit) as caught:
        call("alerts", "render", "--output", "out", "--policy", "safehold.toml", *wrong)
    assert caught.value.code == 2
    assert not (tmp_path / "out").exists()
