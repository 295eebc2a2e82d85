"""Which rules a source is parsed for: never fewer than could find something."""

from __future__ import annotations

import pytest

from safehold.policy import default_policy
from safehold.source.check import MIGRATED_ALONE, PREFILTER, audit_source
from safehold.source.row import Hint
from safehold.source.rules import MIGRATED, RULES
from tests.source.raw_forms import FAMILIES, FORMS
from tests.source.sql_cases import CASES


class Everything:
    """Parses each source for every rule."""

    def wanted(self, data: bytes):
        return RULES


def missed(source: str, tmp_path) -> set[str]:
    """Return the rules that find something in a source and would not be asked about it."""
    policy = default_policy(tmp_path)
    audit = audit_source(source.encode(), "app/m.py", policy, prefilter=Everything())
    found = {item.rule.id for item in audit.findings} | {item.rule for item in audit.diagnostics}
    return (found | {item.rule for item in audit.edits}) - ids(PREFILTER.wanted(source.encode()))


def ids(rows):
    return {row.rule.id for row in rows}


@pytest.mark.parametrize("row", RULES, ids=lambda row: row.rule.id)
def test_every_bad_example_is_parsed_for_its_rule(row, tmp_path):
    for example in row.bad:
        assert row in PREFILTER.wanted(example.before.encode())
        assert not missed(example.before, tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_form_of_a_call_is_parsed(family, tmp_path):
    for form in FORMS.values():
        assert not missed(FAMILIES[family].fill(form), tmp_path), form


def test_every_way_to_build_a_statement_is_parsed(tmp_path):
    head = "import sqlite3\n\n\ndef run(conn: sqlite3.Connection, a, b=None):\n"
    for case in CASES:
        body = "".join(f"    {line}\n" for line in case.body.splitlines())
        assert not missed(head + body, tmp_path), case.name


def test_nothing_is_parsed_for_prose_and_other_names():
    source = b"# evaluation, executing, system of shells\nmodel.evaluate(retrieve_password)\n"
    assert PREFILTER.wanted(source) == ()


def test_a_hint_brings_its_own_rule_alone():
    assert ids(PREFILTER.wanted(b"import os\nos.system(x)\n")) == {"SH502"}


def test_a_name_brings_the_rules_without_hints():
    wanted = ids(PREFILTER.wanted(b"import pickle\n"))
    assert wanted == {row.rule.id for row in RULES if not row.hints}


def test_full_width_letters_are_read_as_python_reads_them():
    assert "SH501" in ids(PREFILTER.wanted("\uff45\uff56\uff41\uff4c(x)\n".encode()))


@pytest.mark.parametrize("data", [b"x\0", b"# coding: utf-7\n", b"# coding: none\n", b"\xff"])
def test_what_cannot_be_searched_is_parsed_for_all(data):
    assert PREFILTER.wanted(data) == RULES
    assert MIGRATED_ALONE.wanted(data) == MIGRATED


def test_a_hint_holds_at_any_of_its_places():
    assert "SH501" in ids(PREFILTER.wanted(b"retrieval, medieval\nx = eval(y)\n"))


@pytest.mark.parametrize(
    "source",
    [
        "import torch\n\nprint(torch.zeros(2))  # loading, saved_tensors\n",
        "import yaml\n\nprint(yaml.safe_load('a: 1'))\n",
        "def fit(n_jobs):\n    'In a joblib.parallel_backend context.'\n",
        "class Pool:\n    def run(self, plan):\n        return self.backend.execute(plan)\n",
        "import ast\n\n\ndef eval(node):\n    return model.eval(node)\n",
        "def solve(system, rhs):\n    'Solves the system, as given.'\n    return system @ rhs\n",
        "def next_token(self, token: str) -> Iterator[Token]:\n    'Yields what follows it.'\n",
        "colors = {'seashell': 'FFF5EE'}\n",
        "with open(path, 'wb') as file:\n    file.write(data)\n",
    ],
)
def test_nothing_is_parsed_for_words_that_mean_something_else(source):
    assert PREFILTER.wanted(source.encode()) == ()


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("import builtins as b\n\nb.eval(x)\n", "SH501"),
        ("from os import (\n    path,\n    system as run,\n)\n", "SH502"),
        ("import os\n\ngetattr(os, 'popen')(x)\n", "SH502"),
        ("import sys\n\nsys.modules['torch'] = fake\n", "SH158"),
        ("from joblib import Parallel, load\n", "SH152"),
        ("def run(db, q):\n    db.execute('\\n  -- all\\n  /* of */ (SELECT ' + q)\n", "SH201"),
        ("from app import db\n\ndb.text('x' + y)\n", "SH201"),
        ("token: 'str' = 'q9Zf3mB7xT2kLw8Rv5Yd'\n", "SH301"),
        ("config['API_KEY'] = (\n    'q9Zf3mB7xT2kLw8Rv5Yd'\n)\n", "SH301"),
        ("os.environ.setdefault('DB_PASSWORD',\n    'winter99')\n", "SH301"),
    ],
)
def test_what_stands_for_a_call_or_a_value_is_parsed(source, rule):
    assert rule in ids(PREFILTER.wanted(source.encode()))


def test_a_hint_that_needs_another_word_is_looked_for_once(monkeypatch):
    asked = []
    monkeypatch.setattr(Hint, "is_accompanied", lambda hint, text: asked.append(hint) or False)
    PREFILTER.wanted(b"import torch\n" + b"torch.nn(torch.zeros)\n" * 50)
    assert asked
    assert len(asked) == len(set(asked))
