"""Bytes outside an edit stay as they are, whatever the encoding and the newlines."""

from __future__ import annotations

import ast
import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.policy import default_policy
from safehold.source import audit_source, diff
from safehold.source.rewrite import Change, NotProvenError, Span, apply, digest, parse
from safehold.source.text import Lines, decode, is_ascii_based, parse_encoding

POLICY = default_policy("/nowhere")
OLD, NEW = b"import pickle", b"import safehold.compat.pickle as pickle"


def migrated(data: bytes) -> bytes | None:
    return audit_source(data, "m.py", POLICY).after


@pytest.mark.parametrize(
    "data",
    [
        b"import pickle\r\npickle.loads(b'')\r\n",
        b"import pickle\rpickle.loads(b'')\r",
        b"import pickle\npickle.loads(b'')\r\nx = 1\ry = 2",
        b"\xef\xbb\xbfimport pickle\npickle.loads(b'')",
        b"\xef\xbb\xbf# coding: utf-8\nimport pickle\npickle.loads(b'')\n\n\n",
        b"# -*- coding: latin-1 -*-\nx = '\xe9\xff'\nimport pickle\npickle.loads(b'')\n",
        (
            b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n"
            b"import pickle # \x80\npickle.loads(b'')\n"
        ),
        "# coding: gbk\n名 = '漬物'; import pickle; pickle.loads(b'')\n".encode("gbk"),
        "# coding: shift_jis\ns = 'ソ表'\nimport pickle\npickle.loads(b'')\n".encode("shift_jis"),
        "# coding: utf-8-unix\ns = 'é'; import pickle; pickle.loads(b'')\n".encode(),
        b"if 1:\n\timport pickle\n\tpickle.loads(b'')\n",
        b"\x0cimport pickle\n\x0c\npickle.loads(b'')\n",
        b"x = '''\r\n\n\r'''\nimport pickle\npickle.loads(b'')",
        "s = '\u2028\x0b\x1c\x85'\nimport pickle\npickle.loads(b'')\n".encode(),
        b"import pickle   # trailing  \t \n\n\n    # odd\npickle.loads(  b''  )  ;\n",
        b"x = '\\d'\nimport pickle\npickle.loads(b'')\n",
    ],
)
def test_only_the_planned_bytes_change(data):
    assert migrated(data) == data.replace(OLD, NEW, 1)


def test_a_stateful_codec_is_left_alone_unless_its_bytes_come_back():
    data = "# coding: hz\n# 泡菜\nimport pickle\npickle.loads(b'')\n".encode("hz")
    audit = audit_source(data, "m.py", POLICY)
    assert [finding.location.line for finding in audit.findings] == [4]
    assert audit.after in (None, data.replace(OLD, NEW, 1))


_newlines = st.sampled_from(["\n", "\r\n", "\r"])
_statements = st.sampled_from(
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads  # noqa",
        "try:{nl}\timport cPickle as pickle{nl}except ImportError:{nl}\timport pickle",
        "pickle.loads(b'')",
        "x = 'é ü 漬'",
        "def f(a,{nl}      b):{nl}    return pickle.load(a)",
        "y = '''{nl}import pickle{nl}'''",
        "# import pickle",
        "\f",
        "",
        "class C:{nl}\timport pickle{nl}\tz = pickle.loads",
        "import joblib, os ; joblib.dump(1, 'data/x')",
    ]
)


@given(
    parts=st.lists(st.tuples(_statements, _newlines), min_size=1, max_size=12),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16"]),
    ends=st.booleans(),
)
def test_migration_keeps_lines_encoding_and_is_idempotent(parts, encoding, ends):
    source = "".join(text.replace("{nl}", newline) + newline for text, newline in parts)
    source = source if ends else source.rstrip("\r\n")
    if encoding == "gb18030":
        source = "# coding: gb18030\n" + source
    data = source.encode(encoding)
    audit = audit_source(data, "m.py", POLICY)
    after = audit.after
    if encoding == "utf-16":
        assert after is None
        return
    if after is None:
        return
    assert after.startswith(codecs.BOM_UTF8) == data.startswith(codecs.BOM_UTF8)
    old, new = decode(data).utf8, decode(after).utf8
    assert Lines(old).count == Lines(new).count
    changed = {edit.line for edit in audit.edits}
    for line in range(1, Lines(old).count + 1):
        if line not in changed:
            assert Lines(old).text(line) == Lines(new).text(line)
    ast.parse(new.decode())
    again = audit_source(after, "m.py", POLICY)
    assert again.after is None
    assert {finding.rule.id for finding in again.findings} <= {"SH158"}  # `pickle` not imported


@given(st.binary(max_size=300))
def test_any_bytes_give_a_result(data):
    audit = audit_source(data, "m.py", POLICY)
    assert audit.outcome in ("migrated", "diagnosed", "unchanged")


@given(st.text(max_size=200), st.sampled_from(["pickle", "joblib", "import pickle\n"]))
def test_any_text_around_a_name_gives_a_result(text, name):
    data = (text + name + text).encode("utf-8", "surrogatepass")
    audit = audit_source(data, "m.py", POLICY)
    if audit.after is not None:
        ast.parse(audit.after)


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (Span(7, 13, "pickle as q"), "planned"),
        (Span(7, 13, "pickle as pickle\nx = 1"), "planned"),
        (Span(7, 13, "pickle as"), "parse"),
        (Span(0, 13, "pass"), "planned"),
        (Span(7, 13, "pickle as pickle #"), "planned"),
    ],
)
def test_an_edit_that_does_more_than_planned_is_refused(span, said):
    text = decode(b"import pickle; y = 1\n")
    tree = parse(text.utf8)

    def transform() -> None:
        tree.body[0].names[0].asname = "pickle"

    with pytest.raises(NotProvenError, match=said):
        apply(text, tree, [Change("SH151", (span,), transform)])


def test_overlapping_edits_are_refused():
    text = decode(b"import pickle\n")
    changes = [Change("SH151", (Span(0, 9, "import x"), Span(7, 13, "y")), lambda: None)]
    with pytest.raises(NotProvenError, match="overlap"):
        apply(text, parse(text.utf8), changes)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 0.0", "x = -0.0"),
        ("x = 'a'", "x = b'a'"),
        ("x = 1", "x = True"),
        ("a; b", "a"),
        ("a\nb", "a\n\nb"),
        ("import a", "import a as a"),
        ("f'{x}'", "f'{x!r}'"),
    ],
)
def test_trees_that_differ_are_told_apart(one, other):
    assert digest(ast.parse(one)) == digest(ast.parse(one))
    assert digest(ast.parse(one)) != digest(ast.parse(other))


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (b"", "utf-8"),
        (b"# coding: latin-1\n", "iso8859-1"),
        (b"# coding=latin_1-unix\n", "iso8859-1"),
        (b"#!x\n# -*- coding: cp1252 -*-\n", "cp1252"),
        (b"\n\n# coding: latin-1\n", "utf-8"),
        (b"x = 1\n# coding: latin-1\n", "utf-8"),
        (b"#!x\r# coding: latin-1\r", "iso8859-1"),
        (b"\x0c # coding: latin-1\n", "iso8859-1"),
        (b"x = '# coding: latin-1'\n", "utf-8"),
        (b"#" * 5000 + b" coding: latin-1\n", "iso8859-1"),
    ],
)
def test_the_encoding_is_the_one_that_python_reads(data, codec):
    assert parse_encoding(data) == codec


@pytest.mark.parametrize("codec", ["utf-7", "unicode_escape", "raw_unicode_escape", "utf-16"])
def test_codecs_that_spell_ascii_differently_are_known(codec):
    assert not is_ascii_based(codecs.lookup(codec).name)


@pytest.mark.parametrize("codec", ["utf-8", "latin-1", "gbk", "shift_jis", "euc-jp", "koi8-r"])
def test_codecs_based_on_ascii_are_known(codec):
    name = codecs.lookup(codec).name
    assert is_ascii_based(name)
    letters = "import pickle, cPickle, joblib"
    assert letters.encode(name) == letters.encode("ascii")


def test_the_diff_is_a_unified_diff():
    data = b"".join(b"line%d = 1\n" % n for n in range(9)) + b"import pickle\npickle.loads(b'')\n"
    assert list(diff(audit_source(data, "m.py", POLICY))) == [
        "--- a/m.py",
        "+++ b/m.py",
        "@@ -7,5 +7,5 @@",
        " line6 = 1",
        " line7 = 1",
        " line8 = 1",
        "-import pickle",
        "+import safehold.compat.pickle as pickle",
        " pickle.loads(b'')",
    ]
