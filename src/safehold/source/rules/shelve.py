"""SH166: shelve, a database file whose values are pickles."""

from __future__ import annotations

from safehold.findings import Rule, Severity
from safehold.source.row import Argument, Example, Library, SourceRule

RULE = Rule(
    id="SH166",
    name="shelve",
    title="shelve reads or writes values that run as code",
    why="Each value of a shelf is a pickle: whoever can write the file runs any command in the "
    "service that reads a key of it.",
    remedy="Run `safehold migrate PATH --write`: the import is pointed at safehold.compat.shelve, "
    "whose values are sealed one by one, each with its key.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    score=10.0,
    fix="safe",
    references=("https://docs.python.org/3/library/shelve.html#shelve.open",),
)

LIBRARY = Library(
    name="shelve",
    modules=("shelve",),
    facade="safehold.compat.shelve",
    reads={
        "open": Argument(0, ("filename",)),
        "DbfilenameShelf": Argument(0, ("filename",)),
        "Shelf": Argument(0, ("dict",)),
        "BsdDbShelf": Argument(0, ("dict",)),
    },
    writes={},
    value=Argument(0, ()),
    memory=frozenset({"Shelf", "BsdDbShelf"}),
    files="kept",
    offered=frozenset({"open", "Shelf", "BsdDbShelf", "DbfilenameShelf", "__all__", "__doc__"}),
)

SHELVE = SourceRule(
    rule=RULE,
    names=("shelve",),
    library=LIBRARY,
    bad=(
        Example(
            "import shelve\n\nwith shelve.open('data/jobs') as jobs:\n    print(jobs)\n",
            (3,),
            "import safehold.compat.shelve as shelve\n\n"
            "with shelve.open('data/jobs') as jobs:\n    print(jobs)\n",
        ),
        Example(
            "from shelve import Shelf\n\n\nclass Own(Shelf):\n    pass\n",
            (4,),
            "from safehold.compat.shelve import Shelf\n\n\nclass Own(Shelf):\n    pass\n",
        ),
        Example("import shelve\n\nprint(shelve.Unpickler)\nshelve.open('jobs')\n", (4,)),
    ),
    good=(
        Example("shelve = {}\nprint(shelve.get('open'))\n"),
        Example("from .shelve import open\n\nopen('jobs')\n"),
    ),
)
