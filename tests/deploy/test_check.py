from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from safehold import deploy
from safehold.deploy import check, check_settings, require, settings_from
from safehold.deploy.checks.row import Check
from safehold.deploy.names import _ROWS, topic_of
from safehold.deploy.reading import read_text
from safehold.errors import ConfigError
from safehold.events import Recorder
from safehold.findings import Severity
from safehold.policy import Policy, Zone
from safehold.policy.deploy import TOPICS, Deploy
from tests.deploy.table import ENVIRONMENT, KEY, PASSWORD


class Kept:
    def __init__(self):
        self.events = []

    def export(self, event):
        self.events.append(event)


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def hold(tmp_path, kept):
    return SimpleNamespace(policy=Policy(root=tmp_path), recorder=Recorder(kept))


def ids(findings):
    return {finding.rule.id for finding in findings}


# -- start-up


def test_does_nothing_to_a_service_that_is_fit(hold, kept):
    assert require(ENVIRONMENT, hold=hold) == []
    (event,) = kept.events
    assert (event.action, event.outcome, event.reason) == ("check", "allowed", "production")


def test_a_critical_finding_stops_the_service_and_is_recorded(hold, kept):
    with pytest.raises(ConfigError, match=r"SH310 SECRET_KEY is weak.*keygen"):
        require({**ENVIRONMENT, "SECRET_KEY": "changeme"}, hold=hold)
    first, whole = kept.events
    assert (first.outcome, first.rule, first.detail["setting"]) == (
        "refused",
        "SH310",
        "SECRET_KEY",
    )
    assert (whole.outcome, whole.detail["findings"]) == ("refused", {"critical": 1})


def test_all_that_stops_is_listed():
    with pytest.raises(ConfigError) as caught:
        require({"SECRET_KEY": "changeme", "CELERY_TASK_SERIALIZER": "pickle", "DEBUG": "1"})
    assert all(rule in str(caught.value) for rule in ("SH310", "SH335"))
    assert "SH302" not in str(caught.value)


def test_what_is_less_than_critical_is_returned():
    assert ids(require({"DEBUG": "1"})) == {"SH302"}


def test_a_service_may_stop_for_less():
    with pytest.raises(ConfigError, match="SH302"):
        require({"DEBUG": "1"}, stop=Severity.HIGH)


def test_elsewhere_than_in_production_little_is_found():
    bad = {"SECRET_KEY": "changeme", "DEBUG": "1"}
    assert check(bad, "development") == []
    assert require(bad, target="development") == []
    assert ids(check({"SECRET_KEY": KEY, "OTHER_SECRET_KEY": "x", "JWT_SECRET": KEY}, "dev")) == {
        "SH311"
    }


def test_a_trail_that_takes_nothing_stops_the_service(hold):
    class Full:
        def export(self, event):
            raise OSError(28, "no space")

    hold.recorder = Recorder(Full())
    with pytest.raises(deploy.ConfigError.__mro__[1], match="could not be recorded"):
        require(ENVIRONMENT, hold=hold)


# -- nothing shows a secret


@pytest.mark.parametrize(
    "environment",
    [
        {"SECRET_KEY": "hunter2hunter2"},
        {"DATABASE_URL": "postgresql://postgres:hunter2hunter2@db.example.org/app"},
        {"SECRET_KEY": "hunter2hunter2", "JWT_SECRET": "hunter2hunter2"},
        {"DB_PASSWORD": "hunter2hunter2"},
    ],
)
def test_no_finding_shows_a_secret(environment):
    findings = check(environment)
    assert findings
    for finding in findings:
        assert "hunter2" not in repr(finding) + json.dumps(finding.as_json()) + finding.message


def test_settings_do_not_show_their_values():
    assert KEY not in repr(settings_from({"SECRET_KEY": KEY}))


# -- names


def test_every_topic_of_the_table_is_one_that_a_policy_may_name():
    assert {topic for topic, _ in _ROWS} | {"secret", "password"} == set(TOPICS)


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("PYNOMALY_SECRET_KEY", "secret"), ("SERIALIZATION_SECRET_KEY", "secret"),
        ("CRYPTOSMARTTRADER_ENV", "environment"), ("auth.secretKey", "secret"),
        ("sslMode", "database-tls"), ("SSLMODE", "database-tls"), ("services.web.reload", "reload"),
        ("PWD", ""), ("TOKEN_TYPE", ""), ("NOTHING", ""), ("", ""),
    ],
)  # fmt: skip
def test_topics(name, topic):
    assert topic_of(name, "x") == topic


def test_a_long_name_takes_no_time():
    assert topic_of("_".join(["allow", "origin"] * 5000)) in TOPICS


def test_a_policy_names_what_no_phrase_fits(tmp_path):
    names = (("SIGNER", "secret"), ("DEBUG", "ignored"))
    policy = Policy(root=tmp_path, deploy=Deploy(names))
    assert check({"SIGNER": "short"}) == []
    findings = check({"SIGNER": "short", "DEBUG": "1"}, policy=policy)
    assert [finding.rule.id for finding in findings] == ["SH310"]


def test_the_activation_variable_of_the_policy_has_to_turn_the_guard_on(tmp_path):
    policy = Policy(root=tmp_path)
    assert check({"SAFEHOLD_ENV": "production"}, policy=policy) == []
    assert "SH322" in ids(check({"SAFEHOLD_ENV": "prod"}, policy=policy))


# -- keys, files, zones


def test_an_old_key_is_found_by_its_date_and_by_its_file(tmp_path):
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o600)
    settings = settings_from({"SECRET_KEY_FILE": str(file), "API_KEY_CREATED": "2026-01-01"})
    early = deploy.Settings(settings.all, today=date(2026, 6, 1))
    late = deploy.Settings(settings.all, today=date(2036, 6, 1))
    assert ids(check_settings(early)) == set()
    assert [one.rule.id for one in check_settings(late)] == ["SH312", "SH312"]


@pytest.mark.parametrize(
    ("mode", "severity"),
    [(0o600, None), (0o400, None), (0o640, "low"), (0o644, "high"), (0o622, "high")],
)
def test_permissions_of_a_key_file(tmp_path, mode, severity):
    file = tmp_path / "service.key"
    file.write_text(KEY)
    file.chmod(mode)
    found = [one.severity.label for one in check({"SECRET_KEY_FILE": str(file)})]
    assert found == ([severity] if severity else [])


def test_a_key_file_in_a_directory_where_everybody_writes(tmp_path):
    file = tmp_path / "open" / "service.key"
    file.parent.mkdir()
    file.write_text(KEY)
    file.chmod(0o600)
    file.parent.chmod(0o777)
    assert ids(check({"SECRET_KEY_FILE": str(file)})) == {"SH323"}


def test_a_zone_where_everybody_writes(tmp_path):
    zone = tmp_path / "models" / "new"
    zone.mkdir(parents=True)
    policy = Policy(root=tmp_path, zones=(Zone("models", ("models/**",)),))
    assert check(policy) == []
    zone.chmod(0o777)
    assert ids(check(policy)) == {"SH324"}


def test_a_trail_on_a_temporary_path(tmp_path):
    assert ids(check(Policy(root=Path("/srv/app"), trail="/tmp/trail"))) == {"SH321"}
    assert check(Policy(root=tmp_path, trail=str(tmp_path / "trail"))) == []


# -- directories, committed files


def test_a_directory_is_searched_and_files_for_development_are_left_out(tmp_path):
    (tmp_path / ".env").write_text("DEBUG=true\n")
    (tmp_path / ".env.example").write_text("SECRET_KEY=changeme\n")
    (tmp_path / ".env.development").write_text("SECRET_KEY=changeme\n")
    (tmp_path / "shop" / "settings").mkdir(parents=True)
    (tmp_path / "shop" / "settings" / "production.py").write_text("ALLOWED_HOSTS = ['*']\n")
    (tmp_path / "shop" / "settings" / "dev.py").write_text("ALLOWED_HOSTS = ['*']\nDEBUG = True\n")
    found = {(one.rule.id, os.path.basename(one.location.path)) for one in check(tmp_path)}
    assert found == {("SH302", ".env"), ("SH320", "production.py")}


def test_files_of_a_service_are_found_below_other_directories(tmp_path):
    places = {"services/api/.env": "DEBUG=1\n", "deploy/docker/Dockerfile": "FROM a:1.2\n",
              "services/api/config/prod.toml": "debug = true\n",
              "services/api/data/config.json": '{"debug": true}',
              "tests/.env": "DEBUG=1\n", "services/api/words.json": '{"debug": true}'}  # fmt: skip
    for name, text in places.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = {os.path.relpath(one.location.path, tmp_path) for one in check(tmp_path)}
    assert found == {*list(places)[:3]}


def test_a_file_that_git_keeps_is_committed(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".env").write_text(f"SECRET_KEY={KEY}\n")
    assert check(tmp_path) == []
    entry = bytes(60) + len(b".env").to_bytes(2, "big") + b".env\0"
    (tmp_path / ".git" / "index").write_bytes(b"DIRC\0\0\0\2\0\0\0\1" + entry)
    assert ids(check(tmp_path)) == {"SH301"}
    entry = bytes(60) + len(b"a/.env").to_bytes(2, "big") + b"a/.env\0"
    (tmp_path / ".git" / "index").write_bytes(b"DIRC\0\0\0\2\0\0\0\1" + entry)
    assert check(tmp_path) == []


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="is not there"):
        check(tmp_path / "absent.env")


def test_what_is_no_file_of_settings_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(ConfigError, match="none of the files"):
        check(tmp_path / "a.png")


@pytest.mark.parametrize("text", ["[", "a = [", "\0", "{", "[[" * 50_000])
@pytest.mark.parametrize("name", ["a.toml", "a.json", "settings.py", ".env", "a.ini", "Dockerfile"])
def test_broken_text_is_an_error_or_nothing(name, text):
    try:
        check_settings(read_text(text, name))
    except ConfigError as error:
        assert len(str(error)) < 500  # noqa: PT017


def test_a_source_is_read_and_never_run(tmp_path):
    marker = tmp_path / "marker"
    text = f"open({str(marker)!r}, 'w').close()\nDEBUG = True\n"
    assert ids(check_settings(read_text(text, "settings.py"))) == {"SH302"}
    assert not marker.exists()


# -- command lines and objects


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        ("uvicorn app:app --reload", "SH313"),
        ("DEBUG=1 gunicorn app:app", "SH302"),
        (["gunicorn", "-b", "0.0.0.0:80", "app:app"], "SH314"),
        ("gunicorn --bind=0.0.0.0:80 app:app", "SH314"),
        ("python manage.py runserver 0.0.0.0:8000", "SH314"),
        ("flask --app x run --debug", "SH302"),
        ("fastapi dev main.py", "SH313"),
        ("celery -A app worker -l debug", "SH328"),
        ("jupyter lab --ip=0.0.0.0 --allow-root", "SH330"),
    ],
)
def test_command_lines(command, rule):
    assert rule in ids(check(command))


def test_nested_mappings_and_modules_and_classes():
    assert ids(check({"server": {"debug": True}})) == {"SH302"}

    class Production:
        DEBUG = False
        SESSION_COOKIE_SECURE = False

    assert ids(check(Production)) == {"SH317"}
    with pytest.raises(ConfigError, match="are not known"):
        check(object())


def test_services_of_one_compose_file_reach_each_other_without_tls():
    text = f"services:\n  db: {{image: 'p:1.2', user: a, mem_limit: 1g}}\n  web: {{image: 'a:1.2', user: a, mem_limit: 1g, environment: ['DATABASE_URL=postgresql://app:{PASSWORD}@HOST/app']}}\n"
    pytest.importorskip("yaml")
    inner, outer = (
        ids(check_settings(read_text(text.replace("HOST", host), "compose.yaml")))
        for host in ("db", "db.example.org")
    )
    assert "SH251" not in inner
    assert "SH251" in outer


def test_a_check_is_a_row():
    assert all(isinstance(row, Check) for row in deploy.CHECKS)
    assert len({id(row.rule) for row in deploy.CHECKS}) == len(deploy.CHECKS)


def test_it_is_a_name_of_the_package():
    import safehold

    assert safehold.deploy.check({"DEBUG": "0"}) == []
