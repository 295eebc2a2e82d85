"""Secrets in texts: what is found in which file, what only looks like one, how it is told."""

from __future__ import annotations

import random

import pytest

from safehold.credentials.shapes import SHAPES
from safehold.secrets.detecting import hits_of
from tests.credentials import leaked

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
RULES = frozenset({"SH340"})


def found(text: str, path: str = "app.yaml") -> list[tuple[int, str, str]]:
    return [(hit.line, hit.what, hit.name) for hit in hits_of(text, path, RULES)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "password:\n",
        "password: ${DB_PASSWORD}\n",
        "export KEY=$(make-a-key --now1)\nSECRET_KEY=$(make-a-key1)\n",
        "token: 123e4567-e89b-12d3-a456-426614174000\n",
        "password_hash: $2b$12$abcdefghijklmnopqrstuv1234567890abcdefghijklm\n",
        "# the password is told by the administrator\n",
        "AKIAIOSFODNN7EXAMPLE\n",
        "https://user:password@localhost/\n",
    ],
)
def test_does_nothing_to_what_holds_no_secret(text):
    assert not found(text)


def test_does_nothing_to_names_in_programs():
    assert not found("password = read_password1\nself.token = tokens2.next\n", "a.py")


def test_no_kind_is_missed_and_no_look_alike_is_found():
    missed, alarms, total = leaked.measure(count=15, like=408)
    assert total == 15 * (len(leaked.SHAPED) + len(leaked.NAMED))
    assert len(leaked.SHAPED) + len(leaked.NAMED) >= 20
    assert not missed
    assert not alarms


def test_a_secret_stands_in_its_line():
    assert found(f"a: 1\nb: {TOKEN}\r\nc: 2\n") == [(2, "a token of GitHub", "")]


def test_a_name_and_a_shape_in_one_line_are_one_secret():
    assert len(found(f"github_token: {TOKEN}\n")) == 1


def test_a_private_key_is_found_and_a_public_one_is_not():
    key = leaked.pem(random.Random(3))
    assert found(f"x\n{key}\n", "server.pem") == [(2, "a private key", "")]
    assert not found(key.replace("PRIVATE", "PUBLIC"), "server.pem")


def test_values_without_quotes_count_in_settings_only():
    line = "DB_PASSWORD=hq7!x92LmZ4\n"
    assert found(line, ".env")
    assert not found(line, "notes.md")


def test_a_plain_word_beside_a_user_is_a_password():
    assert found("user: app\npassword: winter\n")
    assert not found("password: winter\n")


def test_tests_have_made_up_passwords_but_no_tokens_of_services():
    line = "password: hq7!x92LmZ4\nurl: postgresql://a:hq7x92LmZ4@db/x\n"
    assert len(found(line, "app.yaml")) == 2
    assert not found(line, "tests/app.yaml")
    assert found(TOKEN, "tests/app.yaml")


def test_lock_files_hold_no_named_secrets():
    line = '"resolved_token": "hq7x92LmZ4hq7x92LmZ4abcd"\n'
    assert found(line, "x.json")
    assert not found(line, "package-lock.json")


@pytest.mark.parametrize("comment", ["# ", "// ", "; ", "<!-- ", "-- "])
def test_a_comment_with_rule_and_reason_keeps_one_back(comment):
    assert not found(f"a: {TOKEN}  {comment}safehold: ignore[SH340] of a closed account\n")


@pytest.mark.parametrize("words", ["ignore", "ignore[SH340]", "ignore[SH999] why", "ignore[] why"])
def test_a_comment_without_rule_or_reason_keeps_nothing_back(words):
    assert found(f"a: {TOKEN}  # safehold: {words}\n")


def test_what_can_be_guessed_has_no_fingerprint():
    (weak,) = hits_of("user: a\npassword: winter\n", "a.yaml", RULES)
    (drawn,) = hits_of(TOKEN, "a.yaml", RULES)
    assert not weak.fingerprint
    assert len(drawn.fingerprint) == 12
    assert weak.anchor == next(iter(hits_of("user: a\npassword: summer\n", "a.yaml", RULES))).anchor


def test_every_shape_can_be_looked_for_in_files():
    assert all(shape.for_files and shape.needles for shape in SHAPES)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "a+" * 500_000,
        "://" * 300_000,
        "-----BEGIN PRIVATE KEY-----" * 40_000,
        "password=" * 200_000,
        "eyJ" * 400_000,
        "token " * 300_000,
        "sk-ant-" * 100_000,
        "eyJ-" * 300_000,
        "x://a:" * 200_000,
        ":AA" * 300_000,
        ("password: '" + "a" * 1900 + "\n") * 100,
    ],
    ids=lambda text: text[:10],
)
def test_hostile_texts_end(text):
    list(hits_of(text, "a.yaml", RULES))
