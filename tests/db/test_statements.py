"""What kind of statement a text is: examples of each row, skeletons, verbs."""

from __future__ import annotations

import pytest

from safehold.db.statements import ROWS, judge, rules
from safehold.db.statements.skeletons import skeleton
from safehold.inputs.lexers import lexer

HARMFUL = [(row.rule.id, row.when, *example) for row in ROWS for example in row.harmful]
HARMLESS = [(row.rule.id, *example) for row in ROWS for example in row.harmless]


def found(verdict, when):
    rows = {"always": verdict.refused, "input": verdict.with_input, "limits": verdict.limits}
    return [rule.id for rule in rows[when]]


@pytest.mark.parametrize(("rule", "dialect", "text"), HARMLESS)
def test_does_nothing_to_what_looks_like_it(rule, dialect, text):
    verdict = judge(text, dialect)
    assert verdict.is_readable
    assert rule not in [item.id for item in verdict.refused + verdict.with_input + verdict.limits]


@pytest.mark.parametrize(("rule", "when", "dialect", "text"), HARMFUL)
def test_finds_what_a_row_is_for(rule, when, dialect, text):
    assert rule in found(judge(text, dialect), when)


def test_every_row_has_as_many_harmless_examples_as_it_needs():
    for row in ROWS:
        assert len(row.harmless) >= 3, row.rule.id
        assert len(row.harmful) >= 3, row.rule.id


@pytest.mark.parametrize(
    ("text", "is_cut"),
    [
        ("SELECT 1 -- the end\n", False),
        ("SELECT 1 /* route='/users' */", False),
        ("SELECT '--'", False),
        ("SELECT id FROM users WHERE name = 'x' --' AND pass = 'y'", True),
        ("SELECT id FROM users WHERE name = 'x' /* AND pass = 'y'", True),
    ],
)
def test_a_comment_that_hides_the_end_is_seen(text, is_cut):
    assert (rules.CUT_OFF in judge(text, "sqlite").with_input) == is_cut


@pytest.mark.parametrize(
    ("dialect", "text", "plain"),
    [
        (
            "sqlite",
            "SELECT  'a''b', 12, x'00'\nFROM t1 -- c\n WHERE a=?1",
            "select '', 0, '' from t1 where a=?1",
        ),
        ("sqlite", 'SELECT "Name", [b c], `d` FROM t', 'select "name", "b c", "d" from t'),
        (
            "sqlite",
            "SELECT a FROM t WHERE b IN (1, 2, 3) AND c IN (?,?)",
            "select a from t where b in (0, ...) and c in (?, ...)",
        ),
        (
            "sqlite",
            "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y')",
            "insert into t (a, b) values (0, ...), ...",
        ),
        (
            "postgresql",
            "SELECT $$a b$$, E'x\\'y', 1e5 FROM t WHERE a=$1",
            "select '', '', 0 from t where a=$1",
        ),
        ("postgresql", "SELECT %(a)s::INTEGER, 1.5", "select %(a)s::integer, 0"),
        ("mysql", 'SELECT "a", `b` FROM t # c\n WHERE a=%s', "select '', \"b\" from t where a=%s"),
    ],
)
def test_a_skeleton_has_no_values(dialect, text, plain):
    assert skeleton(lexer(dialect).read(text), dialect) == plain


def test_statements_that_differ_in_values_have_one_fingerprint():
    texts = (
        "SELECT a FROM t WHERE b = 'x' AND c IN (1,2)",
        "select a\nfrom t where b = 'yy' and c in (3, 4,5)",
    )
    assert len({judge(text, "sqlite").fingerprint for text in texts}) == 1
    assert (
        judge("SELECT a FROM u", "sqlite").fingerprint
        != judge("SELECT a FROM t", "sqlite").fingerprint
    )


@pytest.mark.parametrize(
    ("text", "verb", "writes"),
    [
        ("SELECT 'insert' FROM t", "select", False),
        ("(SELECT 1)", "select", False),
        ("WITH x AS (SELECT 1) SELECT * FROM x", "with", False),
        ("PRAGMA table_info(t)", "pragma", False),
        ("WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x", "with", True),
        ("SELECT a INTO b FROM t", "select", True),
        ("INSERT INTO t VALUES (1)", "insert", True),
        ("SELECT 1; DROP TABLE t", "select", True),
        ("BEGIN; DROP TABLE t", "begin", True),
        ("VACUUM", "vacuum", True),
        ("not sql at all", "not", True),
    ],
)
def test_says_whether_a_statement_writes(text, verb, writes):
    verdict = judge(text, "postgresql")
    assert (verdict.verb, verdict.writes) == (verb, writes)


def test_what_cannot_be_read_says_so():
    verdict = judge("SELECT 'x", "postgresql")
    assert not verdict.is_readable
    assert verdict.writes
