"""Notebooks: code cells are one module, and edits go back into the JSON."""

from __future__ import annotations

import json
import os

import pytest

from safehold.policy import default_policy
from safehold.source import Journal, audit_source, audit_tree, migrate_file, rollback


def notebook(*cells, **metadata):
    """Return a notebook of code cells, as Jupyter writes it."""
    return {
        "cells": [
            cell
            if isinstance(cell, dict)
            else {
                "cell_type": "code",
                "execution_count": 1,
                "id": f"c{number}",
                "metadata": {},
                "outputs": [{"text": [">>> import pickle\n", "pickle.load"]}],
                "source": cell if isinstance(cell, list) else cell.splitlines(keepends=True),
            }
            for number, cell in enumerate(cells)
        ],
        "metadata": metadata or {"kernelspec": {"language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def written(book, **options) -> bytes:
    return (json.dumps(book, **{"indent": 1, "ensure_ascii": False, **options}) + "\n").encode()


@pytest.fixture
def look(tmp_path):
    policy = default_policy(tmp_path)
    return lambda data: audit_source(data, "work.ipynb", policy)


def sources(data: bytes) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(data)["cells"]]


BOOK = notebook(
    "import pickle\nimport numpy as np",
    {"cell_type": "markdown", "metadata": {}, "source": ["import pickle, then pickle.load\n"]},
    "%matplotlib inline\nfiles = !ls\n"
    "with open('models/é.pkl', 'rb') as f:\n    m = pickle.load(f)",
    "%%bash\nimport pickle\n",
    "%%time\nprint(m.predict(np.zeros(2)))\nm?",
)


@pytest.mark.parametrize(
    "options", [{}, {"ensure_ascii": True}, {"indent": None}, {"separators": (",", ":")}]
)
def test_the_import_of_one_cell_is_rewritten_for_the_calls_of_another(look, options):
    data = written(BOOK, **options)
    audit = look(data)
    assert audit.outcome == "migrated"
    assert audit.before == data
    before, after = sources(data), sources(audit.after)
    assert after[0] == "import safehold.compat.pickle as pickle\nimport numpy as np"
    assert after[1:] == before[1:]
    old = b'"import pickle\\n'
    assert audit.after == data.replace(old, old.replace(b"pickle", NEW), 1)
    assert look(audit.after).after is None
    (finding,) = look(data).findings
    assert finding.detail["cell"] == 2
    assert b"pickle.load(f)" in data.splitlines()[finding.location.line - 1]


NEW = b"safehold.compat.pickle as pickle"


def test_a_source_that_is_one_string_stays_one(look):
    book = notebook("import torch\nnet = torch.load('models/net.pt')  # \U0001f600 'quoted \"x\"'")
    book["cells"][0]["source"] = "".join(book["cells"][0]["source"])
    for ascii_only in (True, False):
        audit = look(written(book, ensure_ascii=ascii_only))
        (source,) = (cell["source"] for cell in json.loads(audit.after)["cells"])
        assert source == (
            "import torch, safehold.compat.torch as safehold_torch\n"
            "net = safehold_torch.load('models/net.pt')  # \U0001f600 'quoted \"x\"'"
        )


def test_characters_before_an_edit_may_be_escapes(look):
    book = notebook("s = '\U0001f600\\t\\u00e9'; import pickle; pickle.loads(b'N.')")
    audit = look(written(book, ensure_ascii=True).replace(b"pickle", b"\\u0070ickle", 1))
    assert "import safehold.compat.pickle as pickle; pickle" in sources(audit.after)[0]


def test_a_cell_that_is_no_python_is_told_where_it_names_something(look):
    book = notebook("import pickle\npickle.loads(b'N.')", "for:\n", "def (:\npickle.load(f)\n")
    audit = look(written(book))
    assert audit.after is not None
    unread = [item for item in audit.findings if item.rule.id == "SH159"]
    assert [item.detail["cell"] for item in unread] == [2]
    assert any(item.rule == "SH159" for item in audit.diagnostics)


def test_a_line_for_ipython_is_not_edited(look):
    audit = look(written(notebook("!python -c 'import pickle'\n%run pickle.py\npickle?\n1")))
    assert (audit.findings, audit.after) == ((), None)


def test_other_kernels_are_not_read(look):
    book = notebook("import pickle\npickle.loads(b'N.')", kernelspec={"language": "julia"})
    assert look(written(book)).findings == ()


@pytest.mark.parametrize(
    "data",
    [
        b'{"cells": [{"cell_type": "code", "source": ["import pickle',
        b"import pickle",
        b'{"worksheets": [], "pickle": 1}',
        b'"pickle"',
        b'{"pickle": ' + b"[" * 200_000,
        b'{"cells": [], "pickle": "\xff"}',
        b"\xef\xbb\xbf" + written(notebook("import pickle\npickle.loads(b'N.')")),
    ],
    ids=["cut", "python", "nbformat 3", "text", "deep", "not UTF-8", "marked"],
)
def test_what_cannot_be_read_is_told(look, data):
    (finding,) = look(data).findings
    assert finding.rule.id == "SH159"
    assert look(data).outcome == "diagnosed"


@pytest.mark.parametrize(
    "cells",
    [
        [1, None, "x", {"cell_type": "code"}, {"cell_type": "code", "source": 3}],
        [{"cell_type": "code", "source": ["import pickle\n", 3, "pickle.loads(b'N.')"]}],
        [{"cell_type": ["code"], "source": []}],
    ],
)
def test_odd_cells_end_in_no_error(look, cells):
    book = notebook("import pickle")
    book["cells"] += cells
    look(written(book))


def test_a_key_that_stands_twice_is_never_edited_wrongly(look):
    data = written(notebook("import pickle\npickle.loads(b'N.')"))
    twice = data.replace(b'"source"', b'"source": ["import pickle"], "source"', 1)
    audit = look(twice)
    assert audit.findings
    assert audit.after is None or sources(audit.after)[0].startswith("import safehold")


def test_a_tree_is_migrated_and_rolled_back(tmp_path):
    policy = default_policy(tmp_path)
    path = tmp_path / "nb" / "work.ipynb"
    path.parent.mkdir()
    path.write_bytes(written(BOOK))
    os.chmod(path, 0o640)
    (audit,) = audit_tree(tmp_path, policy=policy)
    with Journal.begin(tmp_path) as journal:
        assert migrate_file(journal, tmp_path, audit) is None
    assert path.read_bytes() == audit.after
    assert path.stat().st_mode & 0o777 == 0o640
    rollback(tmp_path)
    assert path.read_bytes() == written(BOOK)


def test_what_is_harmless_in_tests_is_so_in_their_notebooks(tmp_path):
    shell = written(notebook("import os\ncommand = input()\nos.system(command)\n"))

    def rules(data: bytes, path: str) -> set[str]:
        audit = audit_source(data, path, default_policy(tmp_path))
        return {item.rule.id for item in audit.findings}

    assert rules(shell, "app/book.ipynb") == {"SH502"}
    assert rules(shell, "tests/book.ipynb") == set()
    assert rules(written(BOOK), "tests/book.ipynb") == {"SH151"}
