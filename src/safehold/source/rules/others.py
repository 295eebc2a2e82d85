"""SH155: calls that pickle through a library for which there is no facade yet.

They are found, reported and left as they are. What they read has to stay plain as well, so
`safehold harden` leaves the files that are shown here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from safehold.findings import Rule, Severity
from safehold.source.calls import dotted_names
from safehold.source.row import Argument, Example, SourceRule, Use
from safehold.source.scopes import Module, Scope

RULE = Rule(
    id="SH155",
    name="no-facade",
    title="A library without a facade reads or writes bytes that run as code",
    why="pandas.read_pickle, shelve, dill, cloudpickle and numpy.load with allow_pickle unpickle "
    "what they find, as pickle.load does; migration does not reach them.",
    remedy="Store the data in a format that names no class (Parquet, JSON, a database), or load "
    "it with safehold.compat.pickle; files that such calls read are left unsealed.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    score=10.0,
    fix="none",
    references=("https://pandas.pydata.org/docs/reference/api/pandas.read_pickle.html",),
)

_FILE = Argument(0, ("filepath_or_buffer", "file", "filename", "path"))
_SECOND = Argument(1, ("file",))
_READS: dict[str, Argument | None] = {
    "pandas.read_pickle": _FILE,
    "shelve.open": _FILE,
    "shelve.DbfilenameShelf": _FILE,
    "shelve.Shelf": None,
    "dill.load": _FILE,
    "dill.loads": None,
    "dill.Unpickler": _FILE,
    "cloudpickle.load": _FILE,
    "cloudpickle.loads": None,
}
_WRITES: dict[str, Argument | None] = {
    "pandas.to_pickle": _SECOND,
    "dill.dump": _SECOND,
    "dill.dumps": None,
    "dill.Pickler": _FILE,
    "cloudpickle.dump": _SECOND,
    "cloudpickle.dumps": None,
    "cloudpickle.Pickler": _FILE,
}
_NUMPY = "numpy.load"
_METHOD = "to_pickle"  # of DataFrame and Series; nobody else's method is called so


@dataclass(frozen=True, slots=True)
class Other:
    """One such call, and the argument that names its file."""

    call: ast.Call
    scope: Scope
    name: str
    use: Use
    file: Argument | None

    @property
    def message(self) -> str:
        """Say what the call does."""
        does = "runs what it reads" if self.use is Use.READ else "writes what runs when it is read"
        return f"{self.name} {does}; it has no facade and stays as it is"

    @property
    def remedy(self) -> str:
        """Say what to do instead."""
        if self.name == _NUMPY:
            return "Save arrays without objects and load them with allow_pickle=False."
        return RULE.remedy


def check_others(module: Module) -> Iterator[Other]:
    """Yield every call that reads or writes pickles through such a library."""
    for call, scope in module.calls:
        names = list(dotted_names(call.func, scope))
        found = next((item for name in names if (item := _known(name, call, scope))), None)
        if found is not None:
            yield found
        elif isinstance(call.func, ast.Attribute) and call.func.attr == _METHOD:
            yield Other(call, scope, _METHOD, Use.WRITE, Argument(0, ("path",)))


def _known(name: str, call: ast.Call, scope: Scope) -> Other | None:
    if name in _READS:
        return Other(call, scope, name, Use.READ, _READS[name])
    if name in _WRITES:
        return Other(call, scope, name, Use.WRITE, _WRITES[name])
    if name == _NUMPY and any(
        item.arg == "allow_pickle" and getattr(item.value, "value", True) for item in call.keywords
    ):
        return Other(call, scope, name, Use.READ, _FILE)
    return None


OTHERS = SourceRule(
    rule=RULE,
    names=("read_pickle", "to_pickle", "shelve", "dill", "cloudpickle", "allow_pickle"),
    bad=(
        Example("import pandas as pd\n\nframe = pd.read_pickle('data/prices.pkl')\n", (3,)),
        Example("from pandas import read_pickle\n\nread_pickle('data/prices.pkl')\n", (3,)),
        Example("def keep(frame):\n    frame.to_pickle('data/prices.pkl')\n", (2,)),
        Example("import shelve\n\nwith shelve.open('data/jobs') as jobs:\n    print(jobs)\n", (3,)),
        Example("import dill\n\nmodel = dill.load(open('models/m.pkl', 'rb'))\n", (3,)),
        Example("from cloudpickle import loads\n\nloads(b'N.')\n", (3,)),
        Example("import numpy as np\n\nnp.load('x.npy', allow_pickle=True)\n", (3,)),
    ),
    good=(
        Example("import pandas as pd\n\nframe = pd.read_parquet('data/prices.parquet')\n"),
        Example("from .frames import read_pickle\n\nread_pickle('data/prices.pkl')\n"),
        Example("import numpy as np\n\nnp.load('x.npy', allow_pickle=False)\n"),
        Example("import numpy as np\n\nnp.save('x.npy', [1], allow_pickle=False)\n"),
        Example("shelve = {}\nprint(shelve.get('open'))\n"),
        Example("import dill\n\nprint(dill.__version__)\n"),
    ),
)
