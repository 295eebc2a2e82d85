"""SH164: dill, whose files hold code as well as values."""

from __future__ import annotations

from dataclasses import replace

from safehold.findings import Rule, Severity
from safehold.source import pickle_names
from safehold.source.row import Argument, Example, SourceRule

RULE = Rule(
    id="SH164",
    name="dill",
    title="dill reads or writes bytes that run as code",
    why="dill reads pickles, and builds functions, classes and modules from what they hold; "
    "whoever can write what is loaded runs any command in the service.",
    remedy="Run `safehold migrate PATH --write`: the import is pointed at safehold.compat.dill, "
    "which loads sealed files and allowed types alone; functions that are kept by value are "
    "refused when they are written: keep them in a module.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    score=10.0,
    fix="safe",
    references=("https://dill.readthedocs.io/en/latest/",),
)

LIBRARY = replace(
    pickle_names.PICKLE,
    name="dill",
    modules=("dill",),
    facade="safehold.compat.dill",
    reads={**pickle_names.PICKLE.reads, "loads": Argument(0, ("str",))},
    offered=None,
    data_facade=None,
    data_names=frozenset(),
    beyond=frozenset(
        {"dump_module", "load_module", "load_module_asdict", "dump_session", "load_session",
         "_dill", "session"}
    ),
    same={f"_dill.{name}": name for name in ("load", "loads", "dump", "dumps")},
)  # fmt: skip

DILL = SourceRule(
    rule=RULE,
    names=("dill",),
    library=LIBRARY,
    bad=(
        Example(
            "import dill\n\nmodel = dill.load(open('models/m.pkl', 'rb'))\n",
            (3,),
            "import safehold.compat.dill as dill\n\n"
            "model = dill.load(open('models/m.pkl', 'rb'))\n",
        ),
        Example(
            "from dill import dumps, loads\n\nprint(loads(dumps([1])))\n",
            (3, 3),
            "from safehold.compat.dill import dumps, loads\n\nprint(loads(dumps([1])))\n",
        ),
        Example("import dill\n\ndill.load_session('s.pkl')\n", (3,)),
    ),
    good=(
        Example("import dill\n\nprint(dill.__version__)\n"),
        Example("from .dill import load\n\nload('pickles.txt')\n"),
    ),
)
