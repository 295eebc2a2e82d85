"""Paths as references: any name gives a valid one, and two names give two."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.report.names import is_below, member_uri, uri_of

_REFERENCE = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=@/-]|%[0-9A-F]{2})+")
_NAME = st.binary(min_size=1, max_size=40).filter(
    lambda name: b"\0" not in name and b"/" not in name
)


@given(_NAME)
def test_any_name_comes_back_from_its_reference(name):
    path = os.path.join("/base", os.fsdecode(name))

    uri = uri_of(path, "/base")

    assert _REFERENCE.fullmatch(uri)
    if name not in (b".", b".."):
        assert unquote_to_bytes(uri) == name


@given(st.text(max_size=30))
def test_any_member_has_a_reference(member):
    assert _REFERENCE.fullmatch(member_uri(member))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/base/a/b.pkl", "a/b.pkl"),
        ("/base/./a/../b.pkl", "b.pkl"),
        ("/base", "."),
        ("/basement/x", "file:///basement/x"),
        ("/other/a b", "file:///other/a%20b"),
        ("/base/..x", "..x"),
        ("/base/c:d", "c%3Ad"),
        ("/base/a?b#c%20", "a%3Fb%23c%2520"),
        ("s3://bucket/a%20b c", "s3://bucket/a%20b%20c"),
    ],
)
def test_reference(path, expected):
    assert uri_of(path, "/base") == expected


def test_a_relative_path_is_one_of_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")

    assert uri_of("a.pkl", str(tmp_path)) == "sub/a.pkl"
    assert uri_of("a.pkl", str(Path.cwd())) == "a.pkl"


@pytest.mark.parametrize(
    ("uri", "root", "expected"),
    [
        ("a/b", "a", True),
        ("a", "a", True),
        ("ab", "a", False),
        ("a/b", ".", True),
        ("file:///x", ".", False),
        ("file:///x/y", "file:///x", True),
    ],
)
def test_below(uri, root, expected):
    assert is_below(uri, root) is expected
