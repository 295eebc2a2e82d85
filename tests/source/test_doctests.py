"""Examples in docstrings are looked at, and edited where they import for themselves."""

from __future__ import annotations

import ast

DOC = '''"""Keeps values.

>>> import pickle, io
>>> pickle.loads(pickle.dumps([1]))
[1]
"""


def keep(value):
    """Keep a value.

    >>> from joblib import dump
    >>> for name in "ab":
    ...     dump(value, name)  # doctest: +SKIP
    """
'''


def test_the_imports_of_examples_are_rewritten(look):
    audit = look(DOC)
    assert audit.after.decode() == DOC.replace(
        "import pickle, io", "import safehold.compat.pickle as pickle, io"
    ).replace("from joblib import", "from safehold.compat.joblib import")
    assert [item.location.line for item in audit.findings] == [4, 4, 14]
    assert [item.line for item in audit.edits] == [3, 12]
    again = look(audit.after.decode())
    assert (again.findings, again.after) == ((), None)


def test_an_example_that_uses_its_modules_import_is_left(look):
    source = 'import pickle\n\n\ndef f(x):\n    """Run.\n\n    >>> pickle.loads(b"N.")\n    """\n'
    source += "    return pickle.loads(x)\n"
    audit = look(source)
    after = source.replace("import pickle", "import safehold.compat.pickle as pickle", 1)
    assert audit.after.decode() == after


def test_text_that_is_no_example_is_left(look):
    source = '"""Uses import pickle and pickle.load(f).\n\n    import pickle\n"""\n'
    assert look(source).findings == ()


def test_a_docstring_with_escapes_is_told_and_left(look):
    source = '"""A\\n>>> import pickle\n>>> pickle.loads(b\\"N.\\")\n"""\n'
    audit = look(source)
    assert audit.after is None
    assert any("docstring" in item.message for item in audit.diagnostics)


def test_an_example_that_does_not_parse_is_left(look):
    source = '"""A.\n\n>>> import pickle; def (\n>>> pickle.loads(\n"""\n'
    assert look(source).after is None


def test_characters_outside_ascii_before_an_example_do_no_harm(look):
    source = '# é\n"""Ä\n\nü >>> x\n  >>> import pickle as p; p.loads("é")\n"""\n'
    audit = look(source)
    assert "safehold.compat.pickle as p; p.loads" in audit.after.decode()
    ast.parse(audit.after)


def test_a_comment_that_ignores_stands_in_the_module(look):
    source = '"""A.\n\n>>> import yaml\n>>> yaml.unsafe_load("a")\n"""\n'
    assert [item.rule.id for item in look(source).findings] == ["SH163"]
