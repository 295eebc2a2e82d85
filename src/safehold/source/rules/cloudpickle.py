"""SH165: cloudpickle, whose bytes hold code as well as values."""

from __future__ import annotations

from safehold.findings import Rule, Severity
from safehold.source.row import Argument, Example, Library, SourceRule

RULE = Rule(
    id="SH165",
    name="cloudpickle",
    title="cloudpickle reads or writes bytes that run as code",
    why="What cloudpickle writes is a pickle that builds functions and classes from code in it; "
    "whoever can write what is loaded runs any command in the service.",
    remedy="Run `safehold migrate PATH --write`: the import is pointed at "
    "safehold.compat.cloudpickle, which loads sealed files and allowed types alone; functions that "
    "are kept by value are refused when they are written: keep them in a module.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    score=10.0,
    fix="safe",
    references=("https://github.com/cloudpipe/cloudpickle",),
)

LIBRARY = Library(
    name="cloudpickle",
    modules=("cloudpickle",),
    facade="safehold.compat.cloudpickle",
    reads={"load": Argument(0, ("file",)), "loads": Argument(0, ("data",))},
    writes={
        "dump": Argument(1, ("file",)),
        "dumps": Argument(0, ("obj",)),
        "Pickler": Argument(0, ("file",)),
        "CloudPickler": Argument(0, ("file",)),
    },
    value=Argument(0, ("obj",)),
    memory=frozenset({"loads", "dumps"}),
    beyond=frozenset({"cloudpickle", "cloudpickle_fast"}),
    same={
        f"{module}.{name}": name
        for module in ("cloudpickle", "cloudpickle_fast")
        for name in ("load", "loads", "dump", "dumps", "CloudPickler")
    },
)

CLOUDPICKLE = SourceRule(
    rule=RULE,
    names=("cloudpickle",),
    library=LIBRARY,
    bad=(
        Example(
            "from cloudpickle import loads\n\nloads(b'N.')\n",
            (3,),
            "from safehold.compat.cloudpickle import loads\n\nloads(b'N.')\n",
        ),
        Example(
            "import cloudpickle as cp\n\n\ndef keep(value, file):\n    cp.dump(value, file)\n",
            (5,),
            "import safehold.compat.cloudpickle as cp\n\n\n"
            "def keep(value, file):\n    cp.dump(value, file)\n",
        ),
    ),
    good=(
        Example("import app, cloudpickle\n\ncloudpickle.register_pickle_by_value(app)\n"),
        Example("cloudpickle = None\nprint(cloudpickle)\n"),
    ),
)
