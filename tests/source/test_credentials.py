"""Names and values of secrets, and that no report holds one."""

from __future__ import annotations

import json

import pytest

from safehold.credentials.names import Kind, kind_of
from safehold.source.credentials import fingerprint, is_random, shape_of
from safehold.source.unit import is_test

RANDOM = "q9Zf3mB7xT2kLw8Rv5Yd"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("password", Kind.PASSWORD), ("DB_PASSWORD", Kind.PASSWORD), ("dbPassword", Kind.PASSWORD),
        ("user_pwd", Kind.PASSWORD), ("pwd", None), ("password_field", None),
        ("SECRET_KEY", Kind.KEY), ("jwtSecret", Kind.KEY), ("secret-key", Kind.KEY),
        ("API_KEY", Kind.FOREIGN), ("client_secret", Kind.FOREIGN), ("apikey", Kind.FOREIGN),
        ("github_token", Kind.FOREIGN), ("token", Kind.TOKEN), ("token_type", None),
        ("tokenizer", None), ("primary_key", None), ("public_key", None), ("key", None),
        ("SECRET_KEY_DEFAULT", Kind.KEY), ("password2", Kind.PASSWORD), ("", None), ("_", None),
    ],
)  # fmt: skip
def test_a_name_says_what_its_value_is(name, kind):
    assert kind_of(name) is kind


@pytest.mark.parametrize(
    "value",
    [
        "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8", "xoxb-" + "123456789012-abcdefGHIJ12",
        "sk_" + "live_4eC39HqLyjWDarjtT1zd", "glpat-" + "x7Kq2mN9pR4tV6wY8zB1",
        "redis://:pw@h and mysql://root:Q7wert1@db/x",
    ],
)  # fmt: skip
def test_shapes_of_tokens_are_known(value):
    assert shape_of(value)


@pytest.mark.parametrize(
    "value",
    [
        "AKIA" + "IOSFODNN7EXAMPLE", "ghp_" + "x" * 36, "http://user:password@host/",
        "http://{user}:{word}@host/", "see http://a/b: c@d", "-----BEGIN PRIVATE KEY-----",
    ],
)  # fmt: skip
def test_placeholders_are_none(value):
    assert shape_of(value) == ""


def test_a_guessable_secret_has_no_fingerprint():
    assert fingerprint("correct horse") == fingerprint("Passw0rd") == ""
    assert len(fingerprint(RANDOM)) == 12
    assert fingerprint(RANDOM) != fingerprint(RANDOM[::-1])


def test_what_was_drawn_is_told_from_words():
    assert is_random(RANDOM, 16)
    assert not is_random("aaaaaaaaaaaaaaaaaaaa11", 16)
    assert not is_random("a-plain-name-of-words", 16)


@pytest.mark.parametrize("value", [RANDOM, "Tr0ub4dor&3", "changeme"])
@pytest.mark.parametrize(
    "source",
    [
        "SECRET_KEY = {0!r}\n", "connect(user='a', password={0!r})\n",
        "x = {{'jwt_secret': {0!r}}}\n",
        "import os\nos.getenv('SECRET_KEY', {0!r})\n", "def f(user, password={0!r}):\n    pass\n",
        "if password == {0!r}:\n    pass\n",
    ],
)  # fmt: skip
def test_no_finding_holds_the_secret(look, source, value):
    findings = look(source.format(value)).findings
    assert findings
    for finding in findings:
        assert value not in json.dumps(finding.as_json())
        assert value not in finding.remedy


def test_tests_have_passwords_of_their_own(look):
    source = "connect(user='a', password='Tr0ub4dor')\nKEY = 'ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8'\n"
    assert [item.location.line for item in look(source, "tests/test_a.py").findings] == [2]
    assert [item.location.line for item in look(source, "app/a.py").findings] == [1, 2]


def test_a_test_is_told_by_its_path():
    assert is_test("tests/a.py")
    assert is_test("a/test_b.py")
    assert is_test("conftest.py")
    assert not is_test("contest.py")
    assert not is_test("")


@pytest.mark.parametrize("path", ["settings.py", "app/settings/base.py"])
def test_settings_that_debug_are_found(look, path):
    assert look("DEBUG = True\nSECRET_KEY = None\n", path).findings


@pytest.mark.parametrize("path", ["settings/dev.py", "local_settings.py", "tests/settings.py"])
def test_settings_for_development_may_debug(look, path):
    assert not look("DEBUG = True\nDATABASES = {}\nMIDDLEWARE = []\n", path).findings
