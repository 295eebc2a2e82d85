"""The first bytes of a sealed file, in a module that costs nothing to import."""

from __future__ import annotations

MAGIC = b"SFH1\r\n\x1a\n"  # the line endings show a transfer in text mode, as PNG's do
