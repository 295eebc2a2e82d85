"""Typed inputs and confinement: what each costs beside the plain call."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench._clocks import in_turn
from bench._rows import Row, ratio, value
from safehold import inputs

_NAME = "Zoë O'Brien-Müller"
_OTHERS = (
    ("Filename", "report (1).pdf"),
    ("RelativePath", "a/b/report.pdf"),
    ("URL", "https://example.com/a?b=c"),
    ("HTML", "<p>a <b>b</b></p>"),
)
_GOAL = 10e-6


def rows() -> Iterator[Row]:
    """Yield types first, then files."""
    yield from _types()
    yield from _json()
    with tempfile.TemporaryDirectory(prefix="safehold-bench-") as name:
        yield from _files(Path(name))


def _types() -> Iterator[Row]:
    from pydantic import BaseModel, TypeAdapter

    class Bare(BaseModel):
        first: str
        last: str
        city: str
        note: str

    class Typed(BaseModel):
        first: inputs.PlainText[50]
        last: inputs.PlainText[50]
        city: inputs.PlainText[80]
        note: inputs.PlainText[200]

    typed, bare = TypeAdapter(inputs.PlainText[200]), TypeAdapter(str)
    for text, goal in ((_NAME, 2.0), (_NAME * 10, None)):
        pairs = in_turn(partial(typed.validate_python, text), partial(bare.validate_python, text),
                        repeat=20_000)  # fmt: skip
        yield ratio(f"PlainText of {len(text)} characters", pairs, against="str", goal=goal)
    data = {"first": "Zoë", "last": "O'Brien", "city": "København", "note": _NAME * 3}
    pairs = in_turn(partial(Typed.model_validate, data), partial(Bare.model_validate, data),
                    repeat=10_000)  # fmt: skip
    yield ratio("a model of four PlainText", pairs, against="four str", goal=2.0)
    raw = json.dumps(data).encode()
    pairs = in_turn(partial(Typed.model_validate_json, raw), partial(Bare.model_validate_json, raw),
                    repeat=10_000)  # fmt: skip
    yield ratio("the same from JSON", pairs, against="four str", goal=2.0)
    for kind, text in _OTHERS:
        check = TypeAdapter(getattr(inputs, kind)).validate_python
        pairs = in_turn(partial(check, text), partial(bare.validate_python, text), repeat=1000)
        yield ratio(kind, pairs, against="str")


def _json() -> Iterator[Row]:
    raw = json.dumps([{"name": _NAME, "n": number, "tags": ["a"]} for number in range(200)])
    pairs = in_turn(partial(inputs.parse_json, raw.encode()), partial(json.loads, raw), repeat=20)
    yield ratio(f"parse_json of {len(raw)} B", pairs, against="json.loads")


def _files(root: Path) -> Iterator[Row]:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file.txt").write_bytes(b"x")
    full = str(root / "a" / "b" / "file.txt")
    with inputs.confine(root) as confined:

        def opened() -> None:
            os.close(confined.open_fd("a/b/file.txt"))

        def opened_as_file() -> None:
            confined.open("a/b/file.txt").close()

        def plain() -> None:
            fd = os.open(full, os.O_RDONLY | os.O_CLOEXEC)
            os.fstat(fd)
            os.close(fd)

        def plain_file() -> None:
            open(full, "rb").close()

        def resolved() -> None:
            path = os.path.realpath(full)
            if os.path.commonpath((path, root)) == str(root):
                open(path, "rb").close()

        pairs = in_turn(opened, plain, repeat=5000)
        yield value("confine: open a descriptor, cpu", pairs.medians("cpu")[0], goal=_GOAL)
        yield ratio("confine: open a descriptor", pairs, against="os.open, fstat")
        pairs = in_turn(opened_as_file, plain_file, repeat=5000)
        yield value("confine: open a file, cpu", pairs.medians("cpu")[0], goal=_GOAL)
        yield ratio("confine: open a file", pairs, against="open")
        pairs = in_turn(opened_as_file, resolved, repeat=2000)
        yield ratio("confine: open a file", pairs, against="realpath, commonpath, open")
