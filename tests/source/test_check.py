from __future__ import annotations

import sys
import time

import pytest

from safehold.findings import Severity
from safehold.policy import default_policy
from safehold.source import audit_source
from safehold.source.rewrite import is_slow
from tests.work import is_linear

PICKLE = "import safehold.compat.pickle as pickle\n"


USED = "\nimport pickle\nprint(pickle.HIGHEST_PROTOCOL)\n"  # not imported for others


def after(audit) -> str | None:
    return None if audit.after is None else audit.after.decode()


def lines(audit) -> list[int]:
    return [finding.location.line for finding in audit.findings]


@pytest.mark.parametrize(
    "source",
    [
        "# pickle.load(file) is dangerous\n",
        '"""import pickle"""\n',
        "NAME = 'pickle'\n",
        "from .pickle import load\nload(f)\n",
        "from . import joblib\njoblib.load(f)\n",
        "from garden import pickle\npickle.load(f)\n",
        "def f(pickle):\n    return pickle.load(1)\n",
        "f = lambda pickle: pickle.load(1)\n" + USED,
        "[pickle.load(1) for pickle in jars]\n" + USED,
        "def f():\n    for pickle in jars:\n        pickle.load(1)\n" + USED,
        "def f():\n    with jar() as pickle:\n        pickle.load(1)\n" + USED,
        "def f():\n    try:\n        pass\n    except E as pickle:\n        pickle.load(1)\n"
        + USED,
        "def f(x):\n    match x:\n        case [pickle]:\n            pickle.load(1)\n" + USED,
        "def f():\n    def pickle(): ...\n    pickle.load(1)\n" + USED,
        "import pickle\nclass C:\n    def pickle(self): ...\n    x = pickle.HIGHEST_PROTOCOL\n",
        "self.pickle.load(f)\n",
        "class C:\n    pickle = Jar()\n    def f(self):\n        self.pickle.load(1)\n",
        "joblib = Jobs()\njoblib.load(1)\n",
        "import joblib\njoblib.Parallel(2)\njoblib.delayed(f)\njoblib.cpu_count()\n",
        "from joblib import hash, wrap_non_picklable_objects\nhash(1)\n",
        "import pickle\ntry:\n    f()\nexcept pickle.PicklingError:\n    pass\n",
        "import pickle\ndef f(p: pickle.Pickler) -> pickle.Unpickler: ...\n",
        "import pickle\nisinstance(x, pickle.Pickler)\nisinstance(x, (int, pickle.Unpickler))\n",
        "import pickle\nif pickle and pickle.HIGHEST_PROTOCOL > 4:\n    pass\n",
        "import pickletools\npickletools.dis(b'')\n",
        "import pickleshare, joblibspark\n",
        "def f():\n    import pickle\n",
    ],
)
def test_does_nothing_to(source, look):
    audit = look(source)
    assert audit.findings == ()
    assert audit.edits == ()
    assert audit.diagnostics == ()


@pytest.mark.parametrize(
    ("source", "expected", "found"),
    [
        ("import pickle as p\np.load(f)\n", "import safehold.compat.pickle as p\np.load(f)\n", [2]),
        (
            "import os,pickle,sys\npickle.load(f)\n",
            "import os,safehold.compat.pickle as pickle,sys\npickle.load(f)\n",
            [2],
        ),
        (
            "from joblib import load as l, dump\nl(f); dump(1, f)\n",
            "from safehold.compat.joblib import load as l, dump\nl(f); dump(1, f)\n",
            [2, 2],
        ),
        (
            "if old:\n    import cPickle as P\nelse:\n    import pickle as P\nP.load(f)\n",
            (
                "if old:\n    import safehold.compat.pickle as P\n"
                "else:\n    import safehold.compat.pickle as P\nP.load(f)\n"
            ),
            [5],
        ),
        (
            "try: from cPickle import load\nexcept ImportError: from pickle import load\nload(f)\n",
            (
                "try: from safehold.compat.pickle import load\n"
                "except ImportError: from safehold.compat.pickle import load\nload(f)\n"
            ),
            [3],
        ),
        (
            "class C:\n    import pickle\n    x = pickle.loads(b'')\n",
            "class C:\n    import safehold.compat.pickle as pickle\n    x = pickle.loads(b'')\n",
            [3],
        ),
        (
            "class C:\n    import pickle\n",
            "class C:\n    import safehold.compat.pickle as pickle\n",
            [2],
        ),
        (
            "def f():\n    global pickle\n    import pickle\ndef g():\n    pickle.load(h)\n",
            (
                "def f():\n    global pickle\n    import safehold.compat.pickle as pickle\n"
                "def g():\n    pickle.load(h)\n"
            ),
            [5],
        ),
        (
            (
                "def f():\n    p = None\n    def g():\n        nonlocal p\n"
                "        import pickle as p\n"
                "    g()\n    p.load(h)\n"
            ),
            (
                "def f():\n    p = None\n    def g():\n        nonlocal p\n"
                "        import safehold.compat.pickle as p\n    g()\n    p.load(h)\n"
            ),
            [7],
        ),
        (
            "import pickle\np = q = pickle\nq.load(p)\n",
            PICKLE + "p = q = pickle\nq.load(p)\n",
            [3, 3],
        ),
        (
            "import pickle\na, b = pickle, 1\na.load(f)\n",
            PICKLE + "a, b = pickle, 1\na.load(f)\n",
            [3],
        ),
        ("import pickle\n(p := pickle).load(f)\n", PICKLE + "(p := pickle).load(f)\n", [2]),
        (
            "import pickle\nif (load := pickle.load):\n    load(f)\n",
            PICKLE + "if (load := pickle.load):\n    load(f)\n",
            [3],
        ),
        (
            "import pickle, json\nl = pickle.load if old else json.load\nl(f)\n",
            (
                "import safehold.compat.pickle as pickle, json\n"
                "l = pickle.load if old else json.load\nl(f)\n"
            ),
            [3],
        ),
        (
            "import pickle\n[pickle.load(f) for f in g]\n",
            PICKLE + "[pickle.load(f) for f in g]\n",
            [2],
        ),
        (
            "import pickle\nf = lambda x: pickle.load(x)\n",
            PICKLE + "f = lambda x: pickle.load(x)\n",
            [2],
        ),
        ("import pickle\nmap(pickle.loads, x)\n", PICKLE + "map(pickle.loads, x)\n", [2]),
        ("import pickle\nTABLE = {'p': pickle}\n", PICKLE + "TABLE = {'p': pickle}\n", [2]),
        ("import pickle\ngetattr(pickle, n)(f)\n", PICKLE + "getattr(pickle, n)(f)\n", [2]),
        ("import pickle\nload = pickle.load\n", PICKLE + "load = pickle.load\n", [2]),
        (
            "import pickle\nclass C:\n    load = staticmethod(pickle.load)\n",
            PICKLE + "class C:\n    load = staticmethod(pickle.load)\n",
            [3],
        ),
        (
            "import pickle\nclass C:\n    def __init__(self):\n        self.p = pickle\n",
            PICKLE + "class C:\n    def __init__(self):\n        self.p = pickle\n",
            [4],
        ),
        (
            (
                "import pickle\n@register(pickle.dumps)\n"
                "async def f():\n    await g(pickle.loads(b''))\n"
            ),
            PICKLE + "@register(pickle.dumps)\nasync def f():\n    await g(pickle.loads(b''))\n",
            [2, 4],
        ),
        ("import pickle\nx = f'{pickle.loads(b)}'\n", PICKLE + "x = f'{pickle.loads(b)}'\n", [2]),
        (
            "import pickle\nmatch pickle.loads(b):\n    case {'a': _, **pickle}: ...\n",
            PICKLE + "match pickle.loads(b):\n    case {'a': _, **pickle}: ...\n",
            [2],
        ),
        (
            "from pickle \\\n    import load\nload(f)\n",
            "from safehold.compat.pickle \\\n    import load\nload(f)\n",
            [3],
        ),
        (
            "import pickle # noqa: S403\npickle.load(f) # nosec\n",
            "import safehold.compat.pickle as pickle # noqa: S403\npickle.load(f) # nosec\n",
            [2],
        ),
        (
            "import pickle;pickle.load(f)\n",
            "import safehold.compat.pickle as pickle;pickle.load(f)\n",
            [1],
        ),
        ("from joblib import*\nload(f)\n", "from safehold.compat.joblib import*\nload(f)\n", [2]),
        (
            "import \uff50ickle\npickle.load(f)\n",
            "import safehold.compat.pickle as pickle\npickle.load(f)\n",
            [2],
        ),
        ("import pickle\n", PICKLE, []),  # other modules may take it from here
        ("from joblib import load\n", "from safehold.compat.joblib import load\n", []),
    ],
)
def test_import_forms(source, expected, found, look):
    audit = look(source)
    assert after(audit) == expected
    assert lines(audit) == found
    again = look(audit.after)
    assert again.findings == ()
    assert again.after is None


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import pickle\npickle._loads(b'')\n", 2),
        ("import pickle\nclass C(pickle._Unpickler): ...\n", 2),
        ("from pickle import _Unpickler\n_Unpickler(f).load()\n", 2),
        ("import joblib.numpy_pickle as jn\njn.load(f)\n", 2),
        ("from joblib import numpy_pickle as jn\njn.load(f)\n", 2),
        ("from joblib.memory import Memory, MemorizedFunc\nMemory('x')\n", 2),
        ("import six\nsix.moves.cPickle.load(f)\n", 2),
        ("__import__('joblib').load(f)\n", 1),
        ("import importlib\nimportlib.import_module('''pickle''').load(f)\n", 2),
        ("joblib = pytest.importorskip('joblib')\njoblib.load(f)\n", 2),
        ("from unittest.mock import patch\npatch('pickle' '.load')\n", 2),
        ("import pickle\npickle.loads(b'')\nx = pickle._getattribute\n", 2),
        ("from six.moves import (\n  cPickle,\n  range)\ncPickle.load(f)\n", 4),
    ],
)
def test_what_cannot_be_rewritten_is_diagnosed_and_left_as_it_is(source, line, look):
    audit = look(source)
    assert audit.after is None
    assert audit.outcome == "diagnosed"
    diagnostic = audit.diagnostics[0]
    assert diagnostic.rule == "SH158"
    assert diagnostic.line == line
    assert diagnostic.message
    assert diagnostic.remedy


def test_half_a_fallback_is_never_migrated(look):
    audit = look(
        "try:\n    import cPickle as pickle\nexcept ImportError:\n    import pickle\n"
        "pickle._loads(b'')\npickle.loads(b'')\n"
    )
    assert audit.after is None
    assert lines(audit) == [5, 6]
    assert [item.line for item in audit.diagnostics] == [5, 6]


def test_reads_weigh_more_than_writes(look):
    audit = look("import pickle\npickle.dump(a, b)\npickle.load(c)\n")
    assert [finding.severity for finding in audit.findings] == [Severity.MEDIUM, Severity.CRITICAL]


def test_a_call_that_is_found_says_what_it_reads_and_where(look):
    (finding,) = look("import joblib\nm = joblib.load('models/a.joblib')\n").findings
    assert finding.rule.id == "SH154"
    assert finding.location.path == "app/module.py"
    assert finding.location.line == 2
    assert finding.location.column == 5
    assert finding.detail == {
        "call": "joblib.load",
        "use": "read",
        "input": "file",
        "path": "models/a.joblib",
        "zone": "models",
    }


def test_an_alias_counts_once_for_each_call_through_it(look):
    audit = look("import pickle\np = pickle\np.load(f)\np.load(g)\npickle.load(h)\n")
    assert lines(audit) == [3, 4, 5]


def test_a_default_argument_counts_where_it_is_called(look):
    used = look("import pickle\ndef f(x, load=pickle.load):\n    return load(x)\n")
    unused = look("import pickle\ndef f(x, load=pickle.load):\n    return g(x)\n")
    assert lines(used) == [3]
    assert lines(unused) == [2]


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\nx = (" + "(" * 300 + ")" * 300 + ")\n",
        "import pickle\nx = " + "-" * 50_000 + "1\n",
        "import pickle\nx = 1" + "+1" * 20_000 + "\n",
        "import pickle\nx = a" + ".b" * 20_000 + "\n",
        "import pickle\nx = " + "[" * 5_000 + "]" * 5_000 + "\n",
        "import pickle\n" + "".join(" " * n + "if x:\n" for n in range(120)) + " " * 120 + "pass\n",
    ],
)
def test_extreme_nesting_is_a_finding_not_a_crash(source, look):
    audit = look(source)
    assert [finding.rule.id for finding in audit.findings] == ["SH159"]
    assert audit.outcome == "diagnosed"


def test_a_long_chain_that_python_compiles_is_migrated(look):
    audit = look("import pickle\nx = 1" + "+1" * 2_000 + "\npickle.loads(b'')\n")
    assert audit.after is not None
    assert lines(audit) == [3]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"import pickle\nprint 'x'\n", "Python 2"),
        (b"import pickle\nexcept (:\n", "line 2"),
        (b"import pickle\nx = '\xe9'\n", "line 2 is not utf-8"),
        (b"# coding: no-such\nimport pickle\n", "no-such"),
        (b"\xef\xbb\xbf# coding: latin-1\nimport pickle\n", "byte order mark"),
        (b"x = 1\0\n", "NUL"),
        ("import pickle\n".encode("utf-16"), "NUL"),
        (b"# coding: rot13\nvzcbeg cvpxyr\n", "rot-13"),
        (b"import pickle\n" + b"#" * (9 * 2**20), "larger than"),
    ],
)
def test_unreadable_source_is_a_finding(data, said, look):
    audit = look(data)
    assert [finding.rule.id for finding in audit.findings] == ["SH159"]
    assert said in audit.findings[0].message
    assert audit.after is None


@pytest.mark.parametrize(
    "data",
    [
        b"# coding: utf-7\n+AGk-mport pickle\npickle.loads(b'')\n",
        b"# coding: utf-7\nimport p+AGk-ckle as p\np.loads(b'')\n",
        b"# coding: unicode_escape\n\\x69mport pickl\\x65\\npickle.loads(b'')\\n\n",
    ],
)
def test_a_codec_in_which_names_look_different_is_seen_through_and_left_alone(data, look):
    audit = look(data)
    assert "SH151" in [finding.rule.id for finding in audit.findings]
    assert audit.after is None
    assert any("same bytes" in item.message for item in audit.diagnostics)


def test_a_codec_with_shift_states_is_edited_when_its_bytes_come_back(look):
    data = "# coding: iso-2022-jp\n# 漬物\nimport pickle\npickle.loads(b'')\n"
    audit = look(data.encode("iso-2022-jp"))
    expected = data.replace("import pickle", PICKLE.strip(), 1)
    assert audit.after == expected.encode("iso-2022-jp")


@pytest.mark.parametrize("name", ["\uff50ickle", "pic\U0001d5c4le", "\uff4aoblib"])
def test_letters_that_python_normalises_do_not_slip_through(name, look):
    audit = look(f"from {name} import load\nload(f)\n")
    assert lines(audit) == [2]
    assert audit.after is not None


def test_a_name_of_a_class_body_is_not_seen_from_its_methods(look):
    audit = look("class C:\n    import pickle\n    def f(self):\n        pickle.load(x)\n")
    assert [finding.rule.id for finding in audit.findings] == ["SH151", "SH158"]
    assert "never imported" in audit.diagnostics[0].message


def test_one_branch_that_cannot_move_keeps_the_other_in_place(look):
    audit = look(
        "try:\n    import joblib.numpy_pickle as p\nexcept ImportError:\n    import pickle as p\n"
        "p.load(f)\n"
    )
    assert audit.after is None
    assert audit.diagnostics[0].line == 5


def test_a_deep_attribute_chain_around_a_path_does_not_crash(look):
    audit = look("import joblib\njoblib.load(a" + ".b" * 900 + ".get('x', 'y'))\n")
    assert lines(audit) == [2]


def test_twice_the_lines_take_twice_the_steps(look):
    def make(size):
        body = "".join(f"def f{n}(a):\n    c = a + {n}\n    return a.x(c)\n" for n in range(size))
        source = "import pickle\n" + body + "pickle.loads(b'')\n" * (size // 10)

        def work():
            audit = look(source)
            assert audit.after == source.replace("import pickle", PICKLE.strip(), 1).encode()

        return work

    assert is_linear(make, 500)


def test_a_subclass_that_writes_gets_a_note_about_its_readers(look):
    audit = look("import pickle\nclass P(pickle.Pickler): ...\nclass U(pickle.Unpickler): ...\n")
    (note,) = audit.diagnostics
    assert (note.line, note.is_open) == (2, False)
    assert audit.outcome == "migrated"


# --- calls without a facade, and how reads get their input ---------------------------------


@pytest.mark.parametrize(
    ("source", "pattern", "kind"),
    [
        ("import marshal\nmarshal.load(open('data/a.bin', 'rb'))\n", "data/a.bin", "read"),
        ("import shelve\nshelve.open(filename='data/jobs')\n", "data/jobs", "read"),
        ("import marshal\nmarshal.dump(1, open('x.bin', 'wb'))\n", "x.bin", "write"),
        ("from gensim.utils import unpickle\nunpickle('data/a.pkl')\n", "data/a.pkl", "read"),
    ],
)
def test_the_file_of_a_call_without_a_facade_is_known(look, source, pattern, kind):
    (use,) = look(source).artifacts
    assert (use.pattern, use.kind) == (pattern, kind)
    assert use.without_facade


@pytest.mark.parametrize(
    ("source", "pattern", "kind"),
    [
        ("import pandas as pd\npd.read_pickle('data/a.pkl')\n", "data/a.pkl", "read"),
        ("import dill\ndill.load(open('models/a.pkl', 'rb'))\n", "models/a.pkl", "read"),
        ("import os\ndef keep(frame):\n    frame.to_pickle('data/a.pkl')\n", "data/a.pkl", "write"),
        ("import cloudpickle\ncloudpickle.dump(1, open('x.pkl', 'wb'))\n", "x.pkl", "write"),
        ("import torch\ntorch.load('models/a.pt')\n", "models/a.pt", "read"),
    ],
)
def test_the_file_of_a_call_with_a_facade_is_known(look, source, pattern, kind):
    (use,) = look(source).artifacts
    assert (use.pattern, use.kind) == (pattern, kind)
    assert not use.without_facade


def test_a_document_is_no_artifact(look):
    assert look("import yaml\nyaml.unsafe_load(open('c.yml'))\n").artifacts == ()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("pickle.load(x)", "file"),
        ("pickle.Unpickler(x)", "file"),
        ("pickle.loads(x.read_bytes())", "content"),
        ("data = x.read()\n    pickle.loads(data)", "content"),
        ("pickle.loads(x)", "bytes"),
        ("pickle.loads(decompress(x[0]))", "bytes"),
        ("pickle.loads(pickle.dumps(x))", "own"),
    ],
)
def test_what_a_read_is_given_is_told_by_its_function(look, body, expected):
    audit = look(f"import pickle\n\ndef read(x):\n    {body}\n")
    reads = [item for item in audit.findings if item.detail["use"] == "read"]
    assert [item.detail["input"] for item in reads] == [expected]


@pytest.mark.parametrize(
    ("move", "is_found"),
    [
        ("os.replace(part, path)", True),
        ("os.rename(part, path)", True),
        ("shutil.move(part, path)", True),
        ("part.replace(path)", True),
        ("part.replace('a', 'b')", False),
        ("part.replace({'a': 'b'})", False),
        ("part.unlink()", False),
    ],
)
def test_a_move_in_the_function_of_a_write_is_found(look, move, is_found):
    source = (
        "import os\nimport shutil\nimport safehold.compat.joblib as joblib\n\n"
        f"def keep(value, part, path):\n    joblib.dump(value, part)\n    {move}\n\n"
        "def other(part, path):\n    os.replace(part, path)\n"
    )
    assert [item.rule.id for item in look(source).findings] == ["SH156"] * is_found


FORMATTED = b"f'" + b"{a}" * 100_000 + b"'"


@pytest.mark.parametrize(
    "source",
    [
        FORMATTED,
        b"x = 1\n" + FORMATTED.replace(b"f'", b"F'"),
        b'rb = rf"""' + b"{a}\n" * 100_000 + b'"""',
        b'# f""" isn\'t\n' + FORMATTED,
        b"'f' " + FORMATTED,
        b"f'{b}'" * 10 + FORMATTED,
        b"fr" + FORMATTED[1:],
    ],
)
def test_formatted_strings_that_take_too_long_are_seen(source):
    assert is_slow(source)


@pytest.mark.parametrize(
    "source",
    [
        b"f'{a}'\n" * 200_000,
        b"{'a': {1: 2}}\n" * 100_000,
        b"f'''" + b"x" * 2**20 + b"{a}'''",
        b"b'" + b"{a}" * 100_000 + b"'",
    ],
)
def test_what_is_quickly_parsed_is_parsed(source):
    assert not is_slow(source)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python parses it at once")
def test_a_source_that_takes_too_long_is_unreadable():
    [finding] = audit_source(b"import pickle\n" + FORMATTED, "a.py", default_policy(".")).findings
    assert finding.rule.id == "SH159"
    assert "formatted strings" in finding.message


def test_what_is_harmless_in_a_test_is_not_found_there(look):
    source = "import os\n\n\ndef run(path):\n    os.system('cat ' + path)\n    eval(path)\n"
    assert {item.rule.id for item in look(source, "app/run.py").findings} == {"SH501", "SH502"}
    assert look(source, "app/tests/run.py").findings == ()
    assert look("import pickle\npickle.load(x)\n", "app/tests/run.py").findings


def test_names_that_stand_for_each_other_many_ways_end_soon(look):
    names = [f"n{number}" for number in range(30)]
    lines = [
        f"{a} = {b} if k else {c}" for a, b, c in zip(names, names[1:], names[2:], strict=False)
    ]
    lines += [f"{a} = {b} or {c}" for b, a, c in zip(names, names[1:], names[2:], strict=False)]
    source = "import os\nn29 = os.system\n" + "\n".join(lines) + "\nn0(text)\n"
    started = time.process_time()
    assert [item.rule.id for item in look(source).findings] == ["SH502"]
    assert time.process_time() - started < 5
