"""Programs that save and load in every form of import and call, for `test_migrated`.

Each form is written once and filled in for each library: `{mod}` is its module, `{dump}` and
`{load}` its functions, `{given}` what a dump is given and `{more}` what a load is given besides the
file. Each has functions `keep(value, path)` and `fetch(path)`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Library:
    """How a library is called; `dump_first`: the value before the file."""

    mod: str
    dump: str = "dump"
    load: str = "load"
    value_first: bool = True
    more: str = ""

    def fill(self, form: str) -> str:
        """Return a form as a program."""
        head = form.replace("{given}", "value, f" if self.value_first else "f, value")
        for name, text in (
            ("{root}", self.mod.partition(".")[0]), ("{mod}", self.mod), ("{dump}", self.dump),
            ("{load}", self.load), ("{more}", self.more),
        ):  # fmt: skip
            head = head.replace(name, text)
        return head.lstrip("\n")


LIBRARIES = {
    "pickle": Library("pickle"),
    "_pickle": Library("_pickle"),
    "joblib": Library("joblib"),
    "dill": Library("dill"),
    "cloudpickle": Library("cloudpickle"),
    "pandas": Library("pandas", "to_pickle", "read_pickle"),
    "torch": Library("torch", "save", "load"),
    "numpy": Library("numpy", "save", "load", value_first=False, more=", allow_pickle=True"),
}

FORMS = {
    "module": """
import {mod}

def keep(value, path):
    with open(path, "wb") as f:
        {mod}.{dump}({given})

def fetch(path):
    with open(path, "rb") as f:
        return {mod}.{load}(f{more})
""",
    "alias": """
import os, {mod} as p, sys

def keep(value, path):
    with open(path, "wb") as f:
        p.{dump}({given})

def fetch(path):
    with open(path, "rb") as f:
        return p.{load}(f{more})
""",
    "from": """
from {mod} import {dump}, {load}

def keep(value, path):
    with open(path, "wb") as f:
        {dump}({given})

def fetch(path):
    with open(path, "rb") as f:
        return {load}(f{more})
""",
    "from with names": """
from {mod} import (
    {dump} as write,  # noqa: S403
    {load} as read,
)

def keep(value, path):
    with open(path, "wb") as f:
        write({given})

def fetch(path):
    with open(path, "rb") as f:
        return read(f{more})
""",
    "function-local": """
def keep(value, path):
    import {mod}
    with open(path, "wb") as f:
        {mod}.{dump}({given})

def fetch(path):
    from {mod} import {load} as read
    with open(path, "rb") as f:
        return read(f{more})
""",
    "conditional": """
try:
    import no_such_module as p
except ImportError:
    import {mod} as p

def keep(value, path):
    with open(path, "wb") as f:
        p.{dump}({given})

def fetch(path):
    with open(path, "rb") as f:
        return p.{load}(f{more})
""",
    "missing is none": """
try:
    import {mod} as p
except ImportError:
    p = None

def keep(value, path):
    if p is None:
        raise RuntimeError
    with open(path, "wb") as f:
        p.{dump}({given})

def fetch(path):
    with open(path, "rb") as f:
        return p.{load}(f{more})
""",
    "class attributes": """
import {mod}

class Store:
    write = staticmethod({mod}.{dump})
    read = staticmethod({mod}.{load})

def keep(value, path):
    with open(path, "wb") as f:
        Store.write({given})

def fetch(path):
    with open(path, "rb") as f:
        return Store.read(f{more})
""",
    "attributes of an object": """
import {mod}

class Store:
    def __init__(self):
        self._write, self._read = {mod}.{dump}, {mod}.{load}

    def keep(self, value, path):
        with open(path, "wb") as f:
            self._write({given})

    def fetch(self, path):
        with open(path, "rb") as f:
            return self._read(f{more})

keep, fetch = Store().keep, Store().fetch
""",
    "default arguments": """
import {mod}

def keep(value, path, write={mod}.{dump}):
    with open(path, "wb") as f:
        write({given})

def fetch(path, *, read={mod}.{load}):
    with open(path, "rb") as f:
        return read(f{more})
""",
    "callbacks": """
import {mod}

def apply(function, *args, **options):
    return function(*args, **options)

def keep(value, path):
    with open(path, "wb") as f:
        apply({mod}.{dump}, {given})

def fetch(path):
    with open(path, "rb") as f:
        return apply({mod}.{load}, f{more})
""",
    "getattr": """
import {mod}

def keep(value, path):
    with open(path, "wb") as f:
        getattr({mod}, "{dump}")({given})

READ = getattr({mod}, "{load}")

def fetch(path):
    with open(path, "rb") as f:
        return READ(f{more})
""",
    "partial": """
import functools
import {mod}

write = functools.partial({mod}.{dump})
read = functools.partial({mod}.{load}{more})

def keep(value, path):
    with open(path, "wb") as f:
        write({given})

def fetch(path):
    with open(path, "rb") as f:
        return read(f)
""",
    "walrus": """
import {mod}

def keep(value, path):
    with open(path, "wb") as f:
        if (write := {mod}.{dump}) is not None:
            write({given})

def fetch(path):
    with open(path, "rb") as f:
        return found if (found := {mod}.{load}(f{more})) is not None else None
""",
    "match": """
import {mod}

def keep(value, path):
    with open(path, "wb") as f:
        match value:
            case {"a": _}:
                {mod}.{dump}({given})

def fetch(path):
    match open(path, "rb"):
        case f:
            with f:
                return {mod}.{load}(f{more})
""",
    "async": """
import asyncio, {mod}

async def put(value, path):
    with open(path, "wb") as f:
        await asyncio.sleep(0)
        {mod}.{dump}({given})

async def get(path):
    with open(path, "rb") as f:
        return await asyncio.to_thread({mod}.{load}, f{more})

def keep(value, path):
    asyncio.run(put(value, path))

def fetch(path):
    return asyncio.run(get(path))
""",
    "decorated": """
import functools
import {mod}

def opened(mode):
    def around(function):
        @functools.wraps(function)
        def inner(path, *args):
            with open(path, mode) as f:
                return function(f, *args)
        return inner
    return around

@opened("wb")
def put(f, value):
    {mod}.{dump}({given})

@opened("rb")
def fetch(f):
    return {mod}.{load}(f{more})

def keep(value, path):
    put(path, value)
""",
    "many lines": """
import {mod}  # the models

def keep(value, path):
    with open(path, "wb") as f:
        {mod}.{dump}(  # noqa: S301
            # the value and its file
            {given},
        )

def fetch(path):
    with open(path, "rb") as f:
        return (
            {mod}
            .{load}(
                f{more}  # type: ignore[no-any-return]
            )
        )
""",
    "formatted string": """
import ast
import {mod}

def keep(value, path):
    with open(path, "wb") as f:
        text = f"{{mod}.{dump}({given})}"

def fetch(path):
    with open(path, "rb") as f:
        return ast.literal_eval(f"{{mod}.{load}(f{more})!s}")
""",
    "lambda": """
import {mod}

put = lambda value, f: {mod}.{dump}({given})
get = lambda f: {mod}.{load}(f{more})

def keep(value, path):
    with open(path, "wb") as f:
        put(value, f)

def fetch(path):
    with open(path, "rb") as f:
        return get(f)
""",
    "table": """
import {mod}

TABLE = {"put": {mod}.{dump}, "get": {mod}.{load}}

def keep(value, path):
    with open(path, "wb") as f:
        TABLE["put"]({given})

def fetch(path):
    with open(path, "rb") as f:
        return TABLE["get"](f{more})
""",
    "closure": """
import {mod}

def maker():
    p = {mod}
    def put(value, path):
        with open(path, "wb") as f:
            p.{dump}({given})
    def get(path):
        with open(path, "rb") as f:
            return p.{load}(f{more})
    return put, get

keep, fetch = maker()
""",
    "global": """
write = read = None

def setup():
    global write, read
    import {mod}
    write, read = {mod}.{dump}, {mod}.{load}

def keep(value, path):
    setup()
    with open(path, "wb") as f:
        write({given})

def fetch(path):
    setup()
    with open(path, "rb") as f:
        return read(f{more})
""",
    "memory": """
import io
import {mod}

def keep(value, path):
    f = io.BytesIO()
    {mod}.{dump}({given})
    with open(path, "wb") as file:
        file.write(f.getvalue())

def fetch(path):
    with open(path, "rb") as file:
        return {mod}.{load}(io.BytesIO(file.read()){more})
""",
    "gzip": """
import gzip
import {mod}

def keep(value, path):
    with gzip.open(path, "wb") as f:
        {mod}.{dump}({given})

def fetch(path):
    with gzip.open(path, "rb") as f:
        return {mod}.{load}(f{more})
""",
    "pathlib": """
from pathlib import Path
import {mod}

def keep(value, path):
    with Path(path).open("wb") as f:
        {mod}.{dump}({given})

def fetch(path):
    with Path(path).open("rb") as f:
        return {mod}.{load}(f{more})
""",
    "comprehension": """
import {mod}

def keep(value, path):
    [{mod}.{dump}({given}) for f in [open(path, "wb")]]

def fetch(path):
    return next({mod}.{load}(f{more}) for f in [open(path, "rb")])
""",
    "spread": """
import {mod}

def keep(value, path):
    with open(path, "wb") as f:
        {mod}.{dump}(*[{given}])

def fetch(path):
    with open(path, "rb") as f:
        return {mod}.{load}(*[f], **dict(){more})
""",
    "one line": """
import {mod}; keep = lambda value, path: put(value, open(path, "wb"))
def put(value, f): {mod}.{dump}({given}); f.close()
def fetch(path): f = open(path, "rb"); return {mod}.{load}(f{more})
""",
    "type comment": """
import {mod}  # type: ignore

def keep(value, path):  # type: (object, str) -> None
    with open(path, "wb") as f:  # type: ignore[assignment]
        {mod}.{dump}({given})  # nosec

def fetch(path):
    # type: (str) -> object
    with open(path, "rb") as f:
        return {mod}.{load}(f{more})
""",
    "import_module": """
import importlib

p = importlib.import_module("{mod}")

def keep(value, path):
    with open(path, "wb") as f:
        p.{dump}({given})

def fetch(path):
    with open(path, "rb") as f:
        return p.{load}(f{more})
""",
    "handed on": """
import {mod}

def put(backend, value, f):
    backend.{dump}({given})

def keep(value, path):
    with open(path, "wb") as f:
        put({mod}, value, f)

def fetch(path, backend={mod}):
    with open(path, "rb") as f:
        return backend.{load}(f{more})
""",
}
