from __future__ import annotations

import re
import unicodedata

import pytest

pytestmark = pytest.mark.extras

from pydantic import TypeAdapter, ValidationError

from safehold.inputs import Filename, InputRefused, RelativePath
from safehold.inputs.names import check_name, check_relative

NAME, PATH = TypeAdapter(Filename), TypeAdapter(RelativePath)

GOOD = [
    "a", "report.pdf", "report (1).pdf", "Übersicht 2024.xlsx", "O'Brien & Sons.txt", "日本語.txt",
    "a..b", "a.tar.gz", "~$doc.docx", "#1.md", "100%.txt", "%2e%2e", "console.log", "com.txt",
    "COM10.txt", "nuls", "auxiliary.h", "con1", "lpt", "a-b", "é", "$HOME", "`id`", "x" * 255,
    "Привет.docx", "😀.png", "؟.txt", "a,b;c=d+e@f!.txt", "[1]{2}^3", "１：２.txt",
]  # fmt: skip
BAD = [
    "", ".", "..", "...", "a/b", "/a", "a\\b", "..\\a", "C:", "a:b", "a\0", "a\n", "\x7f", "a\x85",
    "a.", "a ", " a", "a. ", ".hidden", "..a", "-rf", "--", "a*", "a?", 'a"', "a<", "a>", "a|",
    "con", "CON", "nul.txt", "NUL.tar.gz", "Aux", "prn.", "com1", "COM9.txt", "lpt0", "com¹",
    "LPT³.x", "conin$", "CONOUT$", "nul .txt", "clock$", "x" * 256, "é" * 128, "a\u202egnp.exe",
    "a\u2028b", "\u2066a",
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD, ids=ascii)
def test_does_nothing_to_names_of_files(name):
    assert NAME.validate_python(name) == PATH.validate_python(name) == name
    assert PATH.validate_python(f"{name}/{name}") == f"{name}/{name}"
    assert re.search(NAME.json_schema()["pattern"], name)
    assert re.search(PATH.json_schema()["pattern"], f"{name}/{name}")


@pytest.mark.parametrize("name", BAD, ids=ascii)
def test_what_some_system_cannot_have_or_reads_otherwise_is_refused(name):
    with pytest.raises(ValidationError):
        NAME.validate_python(name)
    with pytest.raises(InputRefused) as caught:
        check_name(name)
    assert caught.value.rule == "SH551"
    if name != "a/b":
        for path in (name, f"{name}/a", f"a/{name}", f"a/{name}/b"):
            with pytest.raises(ValidationError):
                PATH.validate_python(path)


@pytest.mark.parametrize("path", ["a/b", "a/b/c.txt", "a b/c", "/".join("ab" * 1000)])
def test_does_nothing_to_relative_paths(path):
    assert PATH.validate_python(path) == path


@pytest.mark.parametrize("path", ["a//b", "a/", "a/../b", "./a", "a/.", "/".join("ab" * 1025)])
def test_paths_with_dots_or_empty_parts_are_refused(path):
    with pytest.raises(ValidationError):
        PATH.validate_python(path)


def test_letters_are_composed():
    apart = unicodedata.normalize("NFD", "é.txt")
    assert NAME.validate_python(apart) == PATH.validate_python(apart) == "é.txt"
    assert NAME.validate_python("e\u0301" * 85) == "é" * 85  # 255 bytes before, 170 after


def test_hidden_names_are_there_for_who_asks():
    assert check_name(".env", hidden=True) == ".env"
    assert check_relative(".git/config", hidden=True) == ".git/config"
    for name in (".", "..", "..."):
        with pytest.raises(InputRefused):
            check_name(name, hidden=True)


def test_half_characters_are_refused():
    with pytest.raises(InputRefused):
        check_name("a\ud800")
    with pytest.raises(ValidationError):
        NAME.validate_python("a\ud800")


def test_message_shows_nothing_of_the_name():
    with pytest.raises(ValidationError) as caught:
        NAME.validate_python("<b>{x}")
    (error,) = caught.value.errors()
    assert error["type"] == "input_refused"
    assert "{x}" not in error["msg"]
    assert error["msg"].startswith("Input is refused: a name has no separators")


def test_schema_says_the_lengths():
    assert NAME.json_schema()["maxLength"] == 255
    assert PATH.json_schema()["maxLength"] == 4095
