"""SH155: calls that pickle through a library for which there is no facade yet.

They are found, reported and left as they are. What they read has to stay plain as well, so
`safehold harden` leaves the files that are shown here.
"""

from __future__ import annotations

from collections.abc import Iterator

from safehold.findings import Rule, Severity
from safehold.source.calls import Called
from safehold.source.row import Argument, Example, Item, SourceRule, Use
from safehold.source.unit import Unit

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
_ARRAYS = "Save arrays without objects and load them with allow_pickle=False."
_METHOD = "to_pickle"  # of DataFrame and Series; nobody else's method is called so


def _check(unit: Unit) -> Iterator[Item]:
    """Yield every call that reads or writes pickles through such a library."""
    for called in unit.calls(*_READS):
        yield _item(unit, called, Use.READ, _READS[called.name])
    for called in unit.calls(*_WRITES):
        yield _item(unit, called, Use.WRITE, _WRITES[called.name])
    for called in unit.calls(_NUMPY):
        if any(
            item.arg == "allow_pickle" and getattr(item.value, "value", True)
            for item in called.keywords
        ):
            yield _item(unit, called, Use.READ, _FILE)
    for called in unit.methods(_METHOD):
        if not any(name in _WRITES for name in unit.names(called)):
            yield _item(unit, called, Use.WRITE, Argument(0, ("path",)))


def _item(unit: Unit, called: Called, use: Use, file: Argument | None) -> Item:
    does = "runs what it reads" if use is Use.READ else "writes what runs when it is read"
    artifact = None if file is None else unit.accesses.of_call(called, use, file)
    return Item(
        called.node,
        f"{called.name} {does}; it has no facade and stays as it is",
        _ARRAYS if called.name == _NUMPY else "",
        severity=Severity.MEDIUM if use is Use.WRITE else None,
        detail={"call": called.name, "path": None if artifact is None else artifact.pattern},
        artifact=artifact,
    )


OTHERS = SourceRule(
    rule=RULE,
    check=_check,
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
