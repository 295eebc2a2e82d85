"""SH151: the standard library's pickle."""

from __future__ import annotations

from dataclasses import replace

from safehold.findings import Rule, Severity
from safehold.source import pickle_names
from safehold.source.row import Example, SourceRule

RULE = Rule(
    id="SH151",
    name="pickle",
    title="pickle reads or writes bytes that run as code",
    why="A pickle is a program: whoever can write the file, cache entry or message that is "
    "loaded runs any command in the service. Nothing in the format says who wrote it.",
    remedy="Run `safehold migrate PATH --write`: the import is pointed at "
    "safehold.compat.pickle, which loads sealed files and allowed types alone; the calls stay.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    score=10.0,
    fix="safe",
    references=("https://docs.python.org/3/library/pickle.html",),
)

LIBRARY = replace(
    pickle_names.PICKLE,
    beyond=frozenset({"_load", "_loads", "_dump", "_dumps", "_Unpickler", "_Pickler"}),
)

PICKLE = SourceRule(
    rule=RULE,
    names=("pickle",),
    library=LIBRARY,
    bad=(
        Example(
            "import pickle\n\n\ndef read(file):\n    return pickle.load(file)\n",
            (5,),
            "import safehold.compat.pickle as pickle\n\n\n"
            "def read(file):\n    return pickle.load(file)\n",
        ),
        Example(
            "import os, pickle as pkl, sys\ndata = pkl.loads(sys.stdin.buffer.read())\n",
            (2,),
            "import os, safehold.compat.pickle as pkl, sys\n"
            "data = pkl.loads(sys.stdin.buffer.read())\n",
        ),
        Example(
            "from pickle import (\n    dump,  # noqa: S403\n    load as ld,\n)\n\n"
            "ld(open('m.pkl', 'rb'))\n",
            (6,),
            "from safehold.compat.pickle import (\n    dump,  # noqa: S403\n    load as ld,\n)\n\n"
            "ld(open('m.pkl', 'rb'))\n",
        ),
        Example(
            "from pickle import *\n\nvalue = loads(b'N.')\n",
            (3,),
            "from safehold.compat.pickle import *\n\nvalue = loads(b'N.')\n",
        ),
        Example(
            "def restore(file):\n    import pickle\n    p = pickle\n    return p.load(file)\n",
            (4,),
            "def restore(file):\n    import safehold.compat.pickle as pickle\n"
            "    p = pickle\n    return p.load(file)\n",
        ),
        Example(
            "import pickle\n\n\nclass Reader(pickle.Unpickler):\n    pass\n",
            (4,),
            "import safehold.compat.pickle as pickle\n\n\n"
            "class Reader(pickle.Unpickler):\n    pass\n",
        ),
        Example(
            "import pickle\n\n\ndef read(file, loader=pickle.load):\n    return loader(file)\n",
            (5,),
            "import safehold.compat.pickle as pickle\n\n\n"
            "def read(file, loader=pickle.load):\n    return loader(file)\n",
        ),
        Example(
            "import pickle\n\nwith open('data/limits.pkl', 'wb') as file:\n"
            "    pickle.dump({'daily': 3}, file)\n",
            (4,),
            "import safehold.compat.data as pickle\n\nwith open('data/limits.pkl', 'wb') as file:\n"
            "    pickle.dump({'daily': 3}, file)\n",
        ),
        Example("import pickle\n\nvalue = pickle._loads(b'N.')\n", (3,)),
    ),
    good=(
        Example("import pickle\n\nVERSION = pickle.HIGHEST_PROTOCOL\n"),
        Example("'''Reads no pickle.load at all.'''\n# import pickle\n"),
        Example("from . import pickle\n\npickle.load(open('cucumber.txt'))\n"),
        Example(
            "import pickle\n\n\ndef write(pickle, file):\n    return pickle.load(file)\n\n\n"
            "print(pickle.DEFAULT_PROTOCOL)\n"
        ),
        Example("class Shop:\n    def open(self):\n        return self.pickle.load()\n"),
        Example("pickle = {'load': 1}\nprint(pickle['load'])\n"),
        Example("import safehold.compat.pickle as pickle\n\npickle.loads(b'')\n"),
    ),
)
