"""SH167: pickletools.optimize, which takes pickles for those who store them."""

from __future__ import annotations

from safehold.findings import Rule, Severity
from safehold.source.row import Argument, Example, Library, SourceRule

RULE = Rule(
    id="SH167",
    name="pickletools-optimize",
    title="pickletools.optimize writes bytes that run as code when they are read back",
    why="What is shortened is a pickle that is stored: whoever can write what is read back runs "
    "any command in the service. Sealed bytes are no pickle to it, and fail there.",
    remedy="Run `safehold migrate PATH --write`: the import is pointed at "
    "safehold.compat.pickletools, which leaves sealed bytes as they are.",
    severity=Severity.HIGH,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=7.7,
    fix="safe",
    references=("https://docs.python.org/3/library/pickletools.html#pickletools.optimize",),
)

LIBRARY = Library(
    name="pickletools",
    modules=("pickletools",),
    facade="safehold.compat.pickletools",
    reads={},
    writes={"optimize": Argument(0, ("p",))},
    value=Argument(0, ("p",)),
    memory=frozenset({"optimize"}),
)

PICKLETOOLS = SourceRule(
    rule=RULE,
    names=("pickletools",),
    library=LIBRARY,
    bad=(
        Example(
            "import pickletools\n\nshort = pickletools.optimize(b'N.')\n",
            (3,),
            "import safehold.compat.pickletools as pickletools\n\n"
            "short = pickletools.optimize(b'N.')\n",
        ),
        Example(
            "from pickletools import optimize\n\nprint(optimize(b'N.'))\n",
            (3,),
            "from safehold.compat.pickletools import optimize\n\nprint(optimize(b'N.'))\n",
        ),
    ),
    good=(
        Example("def look(data):\n    import pickletools\n\n    pickletools.dis(data)\n"),
        Example("from .pickletools import optimize\n\nprint(optimize('a'))\n"),
    ),
)
