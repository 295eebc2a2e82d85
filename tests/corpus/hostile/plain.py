"""Each gadget by itself: what a stream calls, in the form that picklers write."""

from __future__ import annotations

from pathlib import Path

from tests.bypasses.payloads import Gadget, stream
from tests.corpus.cases import Case
from tests.corpus.hostile import (
    gadgets_code,
    gadgets_file,
    gadgets_indirect,
    gadgets_nested,
    gadgets_process,
    gadgets_tools,
)

FAMILIES = {
    "process": gadgets_process.GADGETS,
    "code": gadgets_code.GADGETS,
    "file": gadgets_file.GADGETS,
    "indirect": gadgets_indirect.GADGETS,
    "nested": gadgets_nested.GADGETS,
    "tools": gadgets_tools.GADGETS,
}


def protocol_of(identity: str) -> int:
    """Python 2 names are mapped below protocol 3 alone."""
    return 2 if "py2" in identity else 4


def _case(family: str, identity: str, gadget: Gadget, needs: tuple[str, ...]) -> Case:
    protocol = protocol_of(identity)

    def build(canary: Path) -> bytes:
        return stream(gadget(canary), protocol=protocol)

    return Case(f"{family}-{identity}", f"gadget-{family}", build, needs=needs)


CASES = [
    _case(family, identity, gadget, needs)
    for family, gadgets in FAMILIES.items()
    for identity, (gadget, needs) in gadgets.items()
]
