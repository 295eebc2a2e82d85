from __future__ import annotations

import json

import pytest

from tests.deploy.table import ENVIRONMENT, KEY


def written(path, values):
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return path


def test_does_nothing_to_a_service_that_is_fit(tmp_path, call):
    result = call("check", written(tmp_path / ".env", ENVIRONMENT), "--deploy")
    assert result.code == 0


def test_findings_are_explained_and_give_one(tmp_path, call):
    file = written(tmp_path / ".env", {"SECRET_KEY": "hunter2"})
    result = call("check", tmp_path, "--deploy")
    assert result.code == 1
    assert "SH310" in result.out
    assert "remedy: Make a key with: safehold keygen" in result.out
    assert "hunter2" not in result.out + result.err
    assert call("check", file).code == 0  # in development anything goes


def test_what_is_unsafe_anywhere_is_found_without_deploy(tmp_path, call):
    (tmp_path / "Dockerfile").write_text(f"FROM a:1.2\nUSER app\nENV SECRET_KEY={KEY}\n")
    assert call("check", tmp_path).code == 1


@pytest.mark.parametrize("form", ["json", "sarif", "html"])
def test_formats(form, tmp_path, call):
    written(tmp_path / ".env", {"DEBUG": "1"})
    result = call("check", tmp_path, "--deploy", "--format", form)
    assert result.code == 1
    assert "SH302" in result.out
    if form != "html":
        json.loads(result.out)


def test_the_environment_is_read_when_asked_or_without_a_path(tmp_path, call, monkeypatch):
    monkeypatch.setenv("FLASK_DEBUG", "1")
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path / "x.env", {"A": "1"})
    assert "FLASK_DEBUG" not in call("check", file, "--deploy").out
    assert "FLASK_DEBUG" in call("check", file, "--deploy", "--environment").out
    assert "FLASK_DEBUG" in call("check", "--deploy").out


def test_env_file_of_any_name(tmp_path, call):
    file = written(tmp_path / "variables", {"DEBUG": "1"})
    assert call("check", "--deploy", "--env-file", file).code == 1


def test_policy_is_checked_and_names_settings(tmp_path, call):
    policy = tmp_path / "safehold.toml"
    policy.write_text('version = 1\n[deploy.names]\nSIGNER = "secret"\n')
    file = written(tmp_path / "a.env", {"SIGNER": "short"})
    assert call("check", file, "--deploy").code == 0
    assert call("check", file, "--deploy", "--policy", policy).code == 1


def test_errors_give_two(tmp_path, call):
    assert call("check", tmp_path / "absent").code == 2
    assert call("check", tmp_path).code == 2  # nothing was found to read
    (tmp_path / "settings.py").write_text("(")
    assert call("check", tmp_path, "--deploy").code == 2
    assert call("check", "--url", "https://localhost", "--deploy").code == 2
