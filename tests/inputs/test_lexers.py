"""Tokens of each dialect, as its server reads them; what cannot be read is refused."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.errors import ConfigError, QueryRefused
from safehold.inputs.lexers import Lexer, lexer
from safehold.inputs.lexers.mysql import ANSI, PLAIN
from safehold.inputs.lexers.postgresql import OFF

DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb")

# Dialect, modes, text, and its tokens but for spaces.
READ = (
    ("sqlite", (), "SELECT a.b,'it''s'", ["SELECT", "a", ".", "b", ",", "'it''s'"]),
    ("sqlite", (), '"x""y" `z` [w ]', ['"x""y"', "`z`", "[w ]"]),
    ("sqlite", (), "x'0a' X''", ["x'0a'", "X''"]),
    ("sqlite", (), "0x1F 1_000 1.5e-3 .5 1.", ["0x1F", "1_000", "1.5e-3", ".5", "1."]),
    ("sqlite", (), "? ?12 :a @b $c::d(e) #1", ["?", "?12", ":a", "@b", "$c::d(e)", "#1"]),
    ("sqlite", (), "1--x\n2", ["1", "--x", "2"]),
    ("sqlite", (), "1/*x*/2/*open", ["1", "/*x*/", "2", "/*open"]),
    ("sqlite", (), "'a\\' 1", ["'a\\'", "1"]),
    ("sqlite", (), "a->>'b'<>-1", ["a", "->>", "'b'", "<>", "-", "1"]),
    ("sqlite", (), "ü$ex'1'", ["ü$ex", "'1'"]),
    ("postgresql", (), "E'a\\'b' e''", ["E'a\\'b'", "e''"]),
    ("postgresql", (), "'a\\' 1", ["'a\\'", "1"]),
    ("postgresql", (OFF,), "'a\\' 1'", ["'a\\' 1'"]),
    ("postgresql", (), "U&'x' u&\"y\" B'01' x'1f' N'q'", ["U&'x'", 'u&"y"', "B'01'", "x'1f'", "N'q'"]),
    ("postgresql", (), "$$a'b$$ $t$ $$ $u$ $t$", ["$$a'b$$", "$t$ $$ $u$ $t$"]),
    ("postgresql", (), "a$b$ $1", ["a$b$", "$1"]),
    ("postgresql", (), "/* a /* b */ c */ 1", ["/* a /* b */ c */", "1"]),
    ("postgresql", (), "'a' -- x\n 'b' 'c'", ["'a' -- x\n 'b'", "'c'"]),
    ("postgresql", (), "E'a'\n'\\'b'", ["E'a'\n'\\'b'"]),
    ("postgresql", (), "a::int=-1 @> b<->c", ["a", "::", "int", "=", "-", "1", "@>", "b", "<->", "c"]),
    ("postgresql", (), "a[1:2] 1..2 x=>1", ["a", "[", "1", ":", "2", "]", "1", "..", "2", "x", "=>", "1"]),
    ("postgresql", (), "\xa0x 'y'", ["\xa0x", "'y'"]),
    ("mysql", (), "'a\\'b' \"c\\\"d\"", ["'a\\'b'", '"c\\"d"']),
    ("mysql", (PLAIN,), "'a\\' 1", ["'a\\'", "1"]),
    ("mysql", (ANSI,), '"a\\" 1', ['"a\\"', "1"]),
    ("mysql", (), "`a``b` _utf8'x' 'y'", ["`a``b`", "_utf8", "'x'", "'y'"]),
    ("mysql", (), "1--1 2-- x\n3 # y", ["1", "-", "-", "1", "2", "-- x", "3", "# y"]),
    ("mysql", (), "/* a /* b */ 1", ["/* a /* b */", "1"]),
    ("mysql", (), "/*!50100 a 'b' */ c", ["/*!50100", "a", "'b'", "*/", "c"]),
    ("mysql", (), "0x1f b'01' 1e5 1ea 1.5e-3", ["0x1f", "b'01'", "1e5", "1ea", "1.5e-3"]),
    ("mariadb", (), "/*M! a */", ["/*M!", "a", "*/"]),
)  # fmt: skip

REFUSED = (
    ("sqlite", (), ("'a", '"a', "`a", "[a", "1a", "x'0'", "a ! b", "a \\ b", "a\0b", "'a\0b'", "@", "'a''")),
    ("postgresql", (), ("'a", '"a', "$$a", "$t$ $T$", "/* /* */", "a { b", "E'\\'", "'a'\n'b", "a $")),
    ("postgresql", (OFF,), ("'a\\'",)),
    ("mysql", (), ("'a\\'", '"a', "`a", "/* a", "/*! a", "/*! -- */ b", "/*! /* */ */", "a \\ b")),
)  # fmt: skip


@pytest.mark.parametrize(("dialect", "modes", "text", "tokens"), READ)
def test_tokens_are_those_of_the_server(dialect, modes, text, tokens):
    found = lexer(dialect, modes).read(text).tokens()
    assert [text[item.start : item.end] for item in found if item.kind != "space"] == tokens


@pytest.mark.parametrize(("dialect", "modes", "texts"), REFUSED)
def test_what_is_no_token_or_does_not_end_is_refused(dialect, modes, texts):
    for text in texts:
        with pytest.raises(QueryRefused):
            lexer(dialect, modes).read(text).tokens()


def test_unknown_dialects_and_modes_are_refused():
    with pytest.raises(ConfigError, match="there are: mariadb, mysql"):
        lexer("oracle")
    with pytest.raises(ConfigError, match="ANSI_QUOTES"):
        lexer("mysql", ["ANSI"])


@pytest.mark.parametrize("dialect", DIALECTS)
@given(text=st.text(alphabet="'\"`[]\\$/*-#!eExXbBuU&nN aA1.é_\n;=@:?", max_size=30))
def test_tokens_cover_the_text_or_it_is_refused(dialect, text):
    try:
        tokens = lexer(dialect).read(text).tokens()
    except QueryRefused:
        return
    assert "".join(text[item.start : item.end] for item in tokens) == text
    assert all(item.start < item.end for item in tokens)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_reading_takes_linear_time(dialect):
    pieces = (
        "'", '"', "[", "`", "$a", "$$", "/*", "*/", "-", "+", "(", "\\'", "'\n", "$a$ $b", "1_", "1e",
        "::", ":a", "/*!1 */", "@a(", "\n-- ", "'x'\n--y\n", "1.", "0x", "é", "*", "1", "x'", "E'\n'",
    )  # fmt: skip
    reader = lexer(dialect)
    started = time.process_time()
    for piece in pieces:
        for end in ("", "'", "a"):
            try:
                reader.read(piece * (100_000 // len(piece)) + end)
            except QueryRefused:
                continue
    assert time.process_time() - started < 30  # quadratic: hours


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql"])
@pytest.mark.parametrize(
    "text", ["-- " + "-" * 9000, "/*" + "x" * 9000 + "*/", "a " * 9000, "'--'"]
)
def test_a_token_is_read_once_however_often_it_is_asked_about(dialect, text, monkeypatch):
    statement = lexer(dialect).read(text)
    read = Counter()

    def counting(name, call):
        def counted(self, text, start, *rest):
            read[name, start] += 1
            return call(self, text, start, *rest)

        return counted

    for name in ("token", "is_run", "fine"):
        monkeypatch.setattr(Lexer, name, counting(name, getattr(Lexer, name)))
    for offset in range(0, len(text), 7):
        statement.at(offset)
    assert max(read.values()) == 1
