"""SH153: _pickle, the C module beneath pickle."""

from __future__ import annotations

from dataclasses import replace

from safehold.findings import Rule, Severity
from safehold.source import pickle_names
from safehold.source.row import Example, SourceRule

RULE = Rule(
    id="SH153",
    name="underscore-pickle",
    title="_pickle reads or writes bytes that run as code",
    why="_pickle is the C implementation of pickle; imported by itself it loads the same "
    "programs, and tools that look for `pickle` pass it by.",
    remedy="Run `safehold migrate PATH --write`: the import is pointed at "
    "safehold.compat.pickle under the same name.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    score=10.0,
    fix="safe",
    references=("https://github.com/python/cpython/blob/main/Modules/_pickle.c",),
)

LIBRARY = replace(pickle_names.PICKLE, name="_pickle", modules=("_pickle",))

UNDERPICKLE = SourceRule(
    rule=RULE,
    names=("_pickle",),
    library=LIBRARY,
    bad=(
        Example(
            "import _pickle\n\n_pickle.loads(b'N.')\n",
            (3,),
            "import safehold.compat.pickle as _pickle\n\n_pickle.loads(b'N.')\n",
        ),
        Example(
            "import _pickle as cPickle\n\nHOOK = cPickle.loads\n",
            (3,),
            "import safehold.compat.pickle as cPickle\n\nHOOK = cPickle.loads\n",
        ),
        Example(
            "from _pickle import loads\n\nloads(b'N.')\n",
            (3,),
            "from safehold.compat.pickle import loads\n\nloads(b'N.')\n",
        ),
    ),
    good=(
        Example("from _pickle import PicklingError\n\nERRORS = (PicklingError,)\n"),
        Example("from ._pickle import loads\n\nloads(b'N.')\n"),
        Example("_pickle = None\nprint(_pickle)\n"),
    ),
)
