"""SH162: pandas' pickles: read_pickle, to_pickle and the method of a frame."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from safehold.findings import Rule, Severity
from safehold.source.calls import Called
from safehold.source.imports import facade_name, import_facade
from safehold.source.rewrite import Change, NotProvenError, Span
from safehold.source.row import Argument, Example, Item, Library, SourceRule, Use
from safehold.source.unit import Unit
from safehold.source.uses import put

RULE = Rule(
    id="SH162",
    name="pandas",
    title="pandas reads or writes pickles",
    why="read_pickle unpickles what it finds, also in a compressed file or from a URL: whoever can "
    "write it runs any command in the service.",
    remedy="Run `safehold migrate PATH --write`: read_pickle and to_pickle get the names of "
    "safehold.compat.pandas, which loads sealed files and allowed types alone; or keep tables as "
    "Parquet.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    score=10.0,
    fix="safe",
    references=("https://pandas.pydata.org/docs/reference/api/pandas.read_pickle.html",),
)

_METHOD: Final = "to_pickle writes what must be read back by running it"
_BETWEEN: Final = re.compile(rb"[ \t]*\.[ \t]*to_pickle[ \t]*\(")
_FILE = ("filepath_or_buffer", "path")

LIBRARY = Library(
    name="pandas",
    modules=("pandas",),
    facade="safehold.compat.pandas",
    reads={"read_pickle": Argument(0, _FILE)},
    writes={"to_pickle": Argument(1, _FILE)},
    value=Argument(0, ("obj",)),
    same={f"io.pickle.{name}": name for name in ("read_pickle", "to_pickle")}
    | {f"io.api.{name}": name for name in ("read_pickle", "to_pickle")},
    by_use=True,
)


def _check(unit: Unit) -> Iterator[Item]:
    """Yield the calls of the method: `frame.to_pickle(path)`; nobody else's is called so."""
    for called in unit.methods("to_pickle"):
        names = unit.names(called)
        if any(name.startswith(("pandas.", "safehold.compat.")) for name in names):
            continue
        artifact = unit.accesses.of_call(called, Use.WRITE, Argument(0, ("path",)))
        detail = {"call": "to_pickle", "path": None if artifact is None else artifact.pattern}
        item = partial(Item, called.node, _METHOD, severity=Severity.MEDIUM, detail=detail)
        try:
            if LIBRARY.facade in unit.refused:
                raise NotProvenError("its other half is left")
            needed = import_facade(RULE.id, LIBRARY.facade, unit)
            mended = None if artifact is None else replace(artifact, without_facade="")
            yield item(change=_as_function(called, unit), needs=needed, artifact=mended)
        except NotProvenError as error:
            remedy = f"Call {LIBRARY.facade}.to_pickle(frame, path): not rewritten, as {error}."
            yield item(remedy=remedy, artifact=artifact)


def _as_function(called: Called, unit: Unit) -> Change:
    """Write `f(x).to_pickle(path)` as `facade.to_pickle(f(x), path)`."""
    call, func = called.node, called.node.func
    if not isinstance(func, ast.Attribute) or called.args != tuple(call.args):
        raise NotProvenError("it is handed on")
    start = unit.lines.offset(call.lineno, call.col_offset)
    receiver = unit.lines.offset(func.value.end_lineno or 0, func.value.end_col_offset or 0)
    text = unit.text.utf8
    between = _BETWEEN.match(text, receiver)
    if between is None or text[start : start + 1] == b"(":
        raise NotProvenError("it is written over several lines or in parentheses")
    name = facade_name(LIBRARY.facade)
    spans = (
        Span(start, start, f"{name}.to_pickle("),
        Span(receiver, between.end(), ", " if call.args or call.keywords else ""),
    )

    def rewrite() -> None:
        new = ast.Attribute(ast.Name(id=name, ctx=ast.Load()), "to_pickle", ast.Load())
        call.args.insert(0, func.value)
        put(unit.module, func, new)

    return Change(RULE.id, spans, rewrite)


PANDAS = SourceRule(
    rule=RULE,
    names=("read_pickle", "to_pickle"),
    library=LIBRARY,
    check=_check,
    bad=(
        Example(
            "import pandas as pd\n\nframe = pd.read_pickle('data/prices.pkl')\n"
            "frame.head(2).to_pickle('data/head.pkl')\n",
            (3, 4),
            "import pandas as pd, safehold.compat.pandas as safehold_pandas\n\n"
            "frame = safehold_pandas.read_pickle('data/prices.pkl')\n"
            "safehold_pandas.to_pickle(frame.head(2), 'data/head.pkl')\n",
        ),
        Example(
            "from pandas import DataFrame, read_pickle\n\n\n"
            "def read(path) -> DataFrame:\n    return read_pickle(path)\n",
            (5,),
            "from safehold.compat.pandas import DataFrame, read_pickle\n\n\n"
            "def read(path) -> DataFrame:\n    return read_pickle(path)\n",
        ),
        Example(
            "from __future__ import annotations\nfrom pathlib import Path\n\n\n"
            "def keep(frame, path: Path):\n    frame.to_pickle(path, protocol=4)\n",
            (6,),
            "from __future__ import annotations\n"
            "from pathlib import Path; import safehold.compat.pandas as safehold_pandas\n\n\n"
            "def keep(frame, path: Path):\n"
            "    safehold_pandas.to_pickle(frame, path, protocol=4)\n",
        ),
        Example("def keep(frame):\n    frame.to_pickle('data/prices.pkl')\n", (2,)),
        Example(
            "import os\n\n\ndef keep(frame):\n    (\n        frame.head()\n"
            "        .to_pickle('data/prices.pkl')\n    )\n",
            (6,),
        ),
    ),
    good=(
        Example("import pandas as pd\n\nframe = pd.read_parquet('data/prices.parquet')\n"),
        Example("from .frames import read_pickle\n\nread_pickle('data/prices.pkl')\n"),
        Example("import pandas as pd\n\npd.DataFrame().to_parquet('read_pickle')\n"),
    ),
)
