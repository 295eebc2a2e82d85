"""One row per format. The order is the order in which a file's name for its format is chosen.

A file is read in every format that accepts its bytes: one with a zip appended to a pickle is
both. A new format is one module beside this one and one row here.
"""

from __future__ import annotations

from typing import Final

from safehold.scan.formats import known, npy, packed, pickle, safetensors, tar, text
from safehold.scan.formats import zip as zip_format
from safehold.scan.visit import Format

FORMATS: Final[tuple[Format, ...]] = (
    Format("zip", zip_format.read),  # also npz, torch and keras
    Format("npy", npy.read),
    Format("tar", tar.read),  # also torch's first format
    Format("packed", packed.read),  # gzip, bz2, xz, lzma, zlib; joblib's z-files
    Format("safetensors", safetensors.read),
    Format("known", known.read),  # recognised, not read
    Format("pickle", pickle.read),  # also joblib and torch before zip
    Format("json", text.read),
)
otherwise = pickle.otherwise
