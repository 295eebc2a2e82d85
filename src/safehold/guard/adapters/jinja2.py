"""jinja2's cache of compiled templates: only what this process wrote there itself is loaded.

Where the rest is refused, jinja2 compiles the template from its source, as with an empty cache.
"""

from __future__ import annotations

import io
import sys
from types import ModuleType
from typing import Any

from safehold.errors import Blocked
from safehold.guard import minted
from safehold.guard.adapters import in_place_of, marshal
from safehold.guard.gate import Gate
from safehold.guard.grants import UNTRUSTED


def apply(module: ModuleType, gate: Gate) -> None:
    """Replace how a cache's entry is read and written."""
    found: Any = module
    bucket, magic = found.Bucket, found.bc_magic
    raw_load, raw_write = bucket.load_bytecode, bucket.write_bytecode

    def load_bytecode(self: Any, f: Any) -> None:
        data = f.read()
        if data.startswith(magic) and not minted.is_minted(data):
            frame = sys._getframe(1)  # noqa: SLF001
            message = "the bytecode cache holds code that this process did not compile"
            try:
                gate.refuse(message, UNTRUSTED, frame, "code object", loader="jinja2",
                            rule="SH176")  # fmt: skip
            except Blocked as refusal:
                if hasattr(refusal, "__notes__"):  # it is in no trail
                    raise
                self.reset()
                return
        raw_load(self, io.BytesIO(data))

    def write_bytecode(self: Any, f: Any) -> None:
        written = io.BytesIO()
        raw_write(self, written)
        minted.remember(written.getvalue())
        f.write(written.getvalue())

    marshal.add_reader(raw_load.__code__, load_bytecode.__code__)
    bucket.load_bytecode = in_place_of(raw_load, load_bytecode)
    bucket.write_bytecode = in_place_of(raw_write, write_bytecode)
