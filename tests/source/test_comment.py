"""The comment line of migrated modules: its place, its proof, and that there is only one."""

from __future__ import annotations

import ast
import codecs
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold._cli import main
from safehold.policy import default_policy
from safehold.source import FileAudit, audit_source, comment_line, diff, with_comment

POLICY = default_policy(".")
LINE = comment_line("policy safehold.toml")
CODE = "import pickle\npickle.loads(b'')\n"
NEW = CODE.replace("import pickle", "import safehold.compat.pickle as pickle")


def commented(data: bytes, line: str = LINE) -> FileAudit:
    return with_comment(audit_source(data, "m.py", POLICY), line)


@pytest.mark.parametrize(
    "head",
    [
        "",
        "#!/usr/bin/env python3\n",
        "# coding: utf-8\n",
        "#!/usr/bin/python\n# -*- coding: utf-8 -*-\n",
        "# a licence\n# coding: utf-8\n",
        '"""Says what it is."""\n',
        "#!/usr/bin/python\n# coding: utf-8\n# licence\n\n'''Says\nwhat it is.\n'''\n",
        '("in"\n "parts")\n',
    ],
)
@pytest.mark.parametrize("rest", ["", "# more\n", "from __future__ import annotations\n"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_it_stands_after_shebang_cookie_and_docstring(head, rest, newline):
    data = (head + rest + CODE).replace("\n", newline).encode()
    audit = commented(data)
    expected = (head + LINE + "\n" + rest + NEW).replace("\n", newline)
    assert audit.after == expected.encode()
    assert audit.added == head.count("\n") + 1
    assert audit_source(audit.after, "m.py", POLICY).after is None


def test_a_licence_stays_below_and_a_mark_above():
    data = codecs.BOM_UTF8 + b"# a licence\n" + CODE.encode()
    assert commented(data).after == codecs.BOM_UTF8 + f"{LINE}\n# a licence\n{NEW}".encode()


def test_what_is_not_migrated_gets_none():
    for source in ("x = 1\n", "import pickle\npickle._loads(b'')\n"):
        assert commented(source.encode()).after is None


def test_a_module_that_changes_again_keeps_the_one_it_has():
    first = commented(CODE.encode()).after
    again = commented(first + b"import joblib\njoblib.load('m')\n", comment_line("other words"))
    assert again.after is not None
    assert again.after.count(b"# Migrated by safehold: ") == 1
    assert again.added == 0


def test_a_notebook_gets_none():
    cell = '{"cell_type": "code", "source": ["import pickle\\n", "pickle.loads(b\'\')"]}'
    data = f'{{"cells": [{cell}], "metadata": {{}}, "nbformat": 4}}'.encode()
    audit = audit_source(data, "n.ipynb", POLICY)
    assert audit.after is not None
    assert with_comment(audit, LINE) is audit


@pytest.mark.parametrize(
    ("data", "text", "said"),
    [
        (b"'doc'; import pickle; pickle.loads(b'')", "x", "no line ends"),
        (b"'doc'; x = 1 + \\\n2; import pickle; pickle.loads(b'')\n", "x", "parse"),
        (b"'doc'; x = '''\n'''; import pickle; pickle.loads(b'')\n", "x", "planned"),
        (b"# coding: latin-1\nimport pickle; pickle.loads(b'')\n", "\u20ac", "encoded"),
    ],
)
def test_where_it_cannot_stand_a_note_says_so_and_the_module_is_migrated(data, text, said):
    plain = audit_source(data, "m.py", POLICY)
    audit = commented(data, comment_line(text))
    assert audit.after == plain.after is not None
    assert audit.added == 0
    (note,) = set(audit.diagnostics) - set(plain.diagnostics)
    assert said in note.message
    assert not note.is_open


@pytest.mark.parametrize(
    "text",
    ["", "  ", "a\nb", "a\rb", "a\x1b[2J", "\u202e", "x" * 201, "coding: utf-7", "fileencoding=x",
     "# safehold: ignore[SH151] x", "type: ignore"],
)  # fmt: skip
def test_words_that_would_be_obeyed_are_refused(tmp_path, text, capsys):
    with pytest.raises(ValueError, match=r"characters|meaning"):
        comment_line(text)
    (tmp_path / "a.py").write_text(CODE)
    with pytest.raises(SystemExit) as error:
        main(["migrate", str(tmp_path), "--write", "--comment", text])
    assert error.value.code == 2
    assert (tmp_path / "a.py").read_text() == CODE


def patched(before: list[str], hunks: list[str]) -> list[str]:
    """Apply the hunks of a unified diff, as strictly as `patch --fuzz=0`."""
    result: list[str] = []
    position = 0
    sizes = [0, 0]
    for line in hunks:
        if match := re.fullmatch(r"@@ -(\d+),(\d+) \+(\d+),(\d+) @@", line):
            assert sizes == [0, 0]
            start = int(match[1]) - 1
            result += before[position:start]
            position = start
            sizes = [int(match[2]), int(match[4])]
            assert len(result) == int(match[3]) - 1
            continue
        if line[0] in "- ":
            assert before[position] == line[1:]
            position += 1
            sizes[0] -= 1
        if line[0] in "+ ":
            result.append(line[1:])
            sizes[1] -= 1
    assert sizes == [0, 0]
    return result + before[position:]


_PARTS = st.sampled_from(
    ["import pickle\n", "x = pickle.loads(b'')\n", "y = 1\n", "# words\n", "\n", "z = (\n 1)\n",
     "def f():\n    import joblib\n    return joblib.load('m')\n"]
)  # fmt: skip
_HEADS = st.sampled_from(
    [
        "",
        "#!/bin/python\n",
        "# coding: utf-8\n",
        "'doc'\n",
        "\n\n\n'''doc\n\nmore'''\n",
        "'doc'; x\n",
    ]
)


@given(_HEADS, st.lists(_PARTS, max_size=14).map("".join), st.booleans())
def test_the_diff_gives_the_module_and_the_tree_is_the_same(head, body, ends):
    source = head + body + ("" if ends else "w = 1")
    data = source.encode()
    plain, audit = audit_source(data, "m.py", POLICY), commented(data)
    if plain.after is None:
        assert audit == plain
        return
    assert audit.added
    assert ast.dump(ast.parse(audit.after)) == ast.dump(ast.parse(plain.after))
    lines = audit.after.decode().splitlines()
    assert lines.pop(audit.added - 1) == LINE
    assert lines == plain.after.decode().splitlines()
    hunks = list(diff(audit))[2:]
    assert patched(source.splitlines(), hunks) == audit.after.decode().splitlines()


def test_the_verb_adds_it_once_and_rolls_back(tmp_path, capsys):
    sources = {"a.py": CODE.encode(), "b.py": b"x = 1\n", "c.py": b"'c'\r\nimport pickle\r\n"}
    for name, data in sources.items():
        (tmp_path / name).write_bytes(data)
    words = ["migrate", str(tmp_path), "--comment", "see docs/policy.md"]
    assert main(words) == 1
    assert "+# Migrated by safehold: see docs/policy.md\n" in capsys.readouterr().out
    assert main([*words, "--write"]) == 0
    first = {name: (tmp_path / name).read_bytes() for name in sources}
    assert first["a.py"].startswith(b"# Migrated by safehold: see docs/policy.md\n")
    assert first["b.py"] == sources["b.py"]
    assert first["c.py"].startswith(b"'c'\r\n# Migrated by safehold: see docs/policy.md\r\n")
    assert main([*words, "--write"]) == 0
    assert {name: (tmp_path / name).read_bytes() for name in sources} == first
    assert main(["migrate", str(tmp_path), "--rollback"]) == 0
    assert {name: (tmp_path / name).read_bytes() for name in sources} == sources


def test_without_the_option_no_line_is_added(tmp_path):
    (tmp_path / "a.py").write_text(CODE)
    assert main(["migrate", str(tmp_path), "--write"]) == 0
    assert (tmp_path / "a.py").read_text() == NEW
