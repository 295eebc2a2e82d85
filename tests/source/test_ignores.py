"""Comments that ignore findings: what they keep back, and what they do not."""

from __future__ import annotations

import pytest

from safehold.policy import default_policy
from safehold.source.check import MIGRATED_ALONE, audit_source


def rules(audit):
    return [(item.location.line, item.rule.id) for item in audit.findings]


@pytest.fixture
def migrated(tmp_path):
    def look(source):
        policy = default_policy(tmp_path)
        return audit_source(source.encode(), "app/m.py", policy, prefilter=MIGRATED_ALONE)

    return look


def test_the_comment_keeps_back_its_own_line_alone(look):
    line = "    eval(text)"
    audit = look(f"def run(text):\n{line}  # safehold: ignore[SH501] own text\n{line}\n")
    assert rules(audit) == [(3, "SH501")]


def test_other_rules_of_the_line_are_found(look):
    source = "import os\ndef run(a):\n    os.system(eval(a))  # safehold: ignore[SH501] own text\n"
    assert rules(look(source)) == [(3, "SH502")]


def test_one_comment_names_several_rules(look):
    source = (
        "import os\ndef run(a):\n    os.system(eval(a))  # safehold: ignore[SH501, SH502] own\n"
    )
    assert rules(look(source)) == []


@pytest.mark.parametrize("comment", ["# safehold: ignore[SH501]", "# safehold: ignore[SH501] -"])
def test_without_a_reason_nothing_is_kept_back(look, comment):
    assert rules(look(f"def run(a):\n    eval(a)  {comment}\n")) == [(2, "SH501"), (2, "SH157")]


def test_without_rules_nothing_is_kept_back(look):
    source = "def run(a):\n    eval(a)  # safehold: ignore because\n"
    assert rules(look(source)) == [(2, "SH501"), (2, "SH157")]


def test_the_first_line_of_a_statement_stands_for_all_of_it(look):
    source = (
        "def run(a):\n    return (  # safehold: ignore[SH501] own text\n        1,\n"
        "        eval(a),\n    )\n"
    )
    assert rules(look(source)) == []


def test_the_line_of_a_block_does_not_stand_for_what_is_in_it(look):
    source = "def run(a):  # safehold: ignore[SH501] own text\n    return eval(a)\n"
    assert rules(look(source)) == [(1, "SH157"), (2, "SH501")]
    source = (
        "def run(a):\n    if a and (  # safehold: ignore[SH501] own\n        eval(a)\n    ):\n"
        "        eval(a)\n"
    )
    assert rules(look(source)) == [(5, "SH501")]


def test_a_string_is_no_comment(look):
    source = "def run(a):\n    eval('# safehold: ignore[SH501] x' + a)\n"
    assert rules(look(source)) == [(2, "SH501")]
    source = "def run(a):\n    eval(a + '''\n# safehold: ignore[SH501] x\n''')\n"
    assert rules(look(source)) == [(2, "SH501")]


def test_lines_count_as_python_counts_them(look):
    source = "x = '''\x0c\r\n'''\r\ndef run(a):\r\n    eval(a)  # safehold: ignore[SH501] own\r\n"
    assert rules(look(source)) == []
    assert rules(look(source.replace("\r\n", "\r"))) == []


def test_a_comment_in_a_file_without_anything_else_is_idle(look):
    assert rules(look("x = 1  # safehold: ignore[SH151] gone\n")) == [(1, "SH157")]


def test_a_rule_about_artifacts_is_none_about_sources(look):
    assert rules(look("x = 1  # safehold: ignore[SH101] gone\n")) == [(1, "SH157")]


def test_migration_says_nothing_of_idle_comments(migrated):
    assert migrated("import pickle  # safehold: ignore[SH501] x\n").findings == ()


IMPORT = "import pickle{}\n\n\ndef read(file):\n    return pickle.load(file){}\n"
WHY = "  # safehold: ignore[SH151] own bytes"


def test_a_comment_at_the_import_leaves_it(look, migrated):
    audit = migrated(IMPORT.format(WHY, ""))
    assert audit.outcome == "unchanged"
    assert audit.diagnostics == ()
    assert rules(look(IMPORT.format(WHY, ""))) == [(5, "SH151")]


def test_a_comment_at_a_call_does_not_leave_the_import(look, migrated):
    assert (
        migrated(IMPORT.format("", WHY)).after
        == (
            IMPORT.format("", WHY).replace(
                "import pickle", "import safehold.compat.pickle as pickle"
            )
        ).encode()
    )
    assert rules(look(IMPORT.format("", WHY))) == []


def test_what_cannot_be_migrated_and_is_ignored_is_not_diagnosed(look, migrated):
    source = IMPORT.format("", WHY) + "\n\npickle._dumps(1)\n"
    lines = [item.line for item in migrated(source).diagnostics]
    assert lines == [8]
    source = IMPORT.format("", WHY) + "\n\npickle._dumps(1)" + WHY + "\n"
    assert migrated(source).diagnostics == ()
    assert rules(look(source)) == []


def test_a_single_use_that_is_ignored_is_not_rewritten(migrated):
    source = (
        "import torch\n\nnet = torch.load('a.pt')  # safehold: ignore[SH160] from the image\n"
        "torch.save(net, 'b.pt')\n"
    )
    after = migrated(source).after.decode()
    assert "net = torch.load('a.pt')" in after
    assert "safehold_torch.save(net, 'b.pt')" in after
    alone = source.rpartition("torch.save")[0]
    assert migrated(alone).outcome == "unchanged"
    assert migrated(alone).diagnostics == ()


def test_an_ignored_statement_of_sql_stays(migrated, look):
    source = (
        "import sqlite3\n\n\ndef find(name):\n    base = sqlite3.connect('a.db')\n"
        "    base.execute(f\"SELECT 1 FROM t WHERE n = '{name}'\")%s\n"
    )
    assert migrated(source % "").after
    ignored = migrated(source % "  # safehold: ignore[SH201] a constant of the caller")
    assert ignored.after is None
    assert ignored.diagnostics == ()
