"""SH152: cPickle, the C module of Python 2, still tried first by code that supported both."""

from __future__ import annotations

from dataclasses import replace

from safehold.findings import Rule, Severity
from safehold.source import pickle_names
from safehold.source.row import Example, SourceRule

RULE = Rule(
    id="SH152",
    name="cpickle",
    title="cPickle reads or writes bytes that run as code",
    why="cPickle is pickle under its Python 2 name, often in a try/except or through six.moves; "
    "whoever can write what is loaded runs any command in the service.",
    remedy="Run `safehold migrate PATH --write`: the import is pointed at "
    "safehold.compat.pickle under the same name.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    score=10.0,
    fix="safe",
    references=("https://docs.python.org/3/whatsnew/3.0.html",),
)

LIBRARY = replace(pickle_names.PICKLE, name="cPickle", modules=("cPickle", "six.moves.cPickle"))

CPICKLE = SourceRule(
    rule=RULE,
    names=("cPickle",),
    library=LIBRARY,
    bad=(
        Example(
            "import cPickle\n\ncPickle.loads(b'N.')\n",
            (3,),
            "import safehold.compat.pickle as cPickle\n\ncPickle.loads(b'N.')\n",
        ),
        Example(
            "try:\n    import cPickle as pickle\nexcept ImportError:\n    import pickle\n\n"
            "pickle.loads(b'N.')\n",
            (6,),
            "try:\n    import safehold.compat.pickle as pickle\nexcept ImportError:\n"
            "    import safehold.compat.pickle as pickle\n\npickle.loads(b'N.')\n",
        ),
        Example(
            "from six.moves import cPickle, range\n\ncPickle.loads(b'N.')\n",
            (3,),
            "from six.moves import range; import safehold.compat.pickle as cPickle\n\n"
            "cPickle.loads(b'N.')\n",
        ),
        Example(
            "from six.moves import cPickle as pickle\n\npickle.loads(b'N.')\n",
            (3,),
            "from safehold.compat import pickle as pickle\n\npickle.loads(b'N.')\n",
        ),
    ),
    good=(
        Example("NAMES = ['cPickle']\n"),
        Example("import cPickle\n\nprint(cPickle.HIGHEST_PROTOCOL)\n"),
        Example("from mypackage import cPickle\n\ncPickle.loads(b'N.')\n"),
        Example("import six\n\nprint(six.PY3, 'cPickle')\n"),
    ),
)
