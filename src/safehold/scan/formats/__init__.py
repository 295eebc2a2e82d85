"""One row per format. The order is the order in which a file's name for its format is chosen.

A file is read in every format that accepts its bytes: one with a zip appended to a pickle is
both. A new format is one module beside this one and one row here.
"""

from __future__ import annotations

from typing import Final

from safehold.scan.formats import (
    gguf,
    hdf5,
    jinja,
    joblib,
    keras,
    legacy_torch,
    lightgbm,
    mlflow,
    notebook,
    npy,
    onnx,
    packed,
    parquet,
    pickle,
    pointer,
    safetensors,
    sevenzip,
    sfh1,
    skops,
    tar,
    tensorflow,
    text,
    torch_graph,
    xgboost,
    yaml,
)
from safehold.scan.formats import zip as zip_format
from safehold.scan.values import Data
from safehold.scan.visit import Format

FORMATS: Final[tuple[Format, ...]] = (
    sfh1,  # safehold's own containers
    zip_format,  # also npz and torch
    sevenzip,
    npy,
    tar,  # also torch's first format
    packed,  # gzip, bz2, xz, lzma, zlib; joblib's z-files
    safetensors,
    parquet,
    hdf5,
    gguf,
    legacy_torch,  # torch before zip
    joblib,
    pickle,  # after the formats that begin with a pickle
    xgboost,
    lightgbm,
    keras,  # configurations as JSON, also those of a .keras archive
    tensorflow,  # SavedModel, graphs, TFLite
    onnx,
    skops,  # schema.json of a .skops archive
    jinja,  # chat templates
    torch_graph,  # the JSON in an archive of torch.export
    pointer,  # Git LFS, web pages
    mlflow,  # MLmodel
    notebook,
    yaml,
    text,  # JSON
)
otherwise = pickle.otherwise


def _begun(first: int, *, named: bool) -> tuple[Format, ...]:
    rows = FORMATS if named else [row for row in FORMATS if not hasattr(row, "ENDS")]
    return tuple(row for row in rows if first in getattr(row, "FIRSTS", (first,)))


_ENDS: Final = tuple(name for row in FORMATS for name in getattr(row, "ENDS", ()))
_BY_FIRST: Final = tuple(_begun(first, named=False) for first in range(256))
_BY_FIRST_AND_NAME: Final = tuple(_begun(first, named=True) for first in range(256))


def possible(data: Data, name: str) -> tuple[Format, ...]:
    """Return the formats that the first byte and the name leave possible: those are asked."""
    if not len(data):
        return FORMATS
    rows = _BY_FIRST_AND_NAME if name.lower().endswith(_ENDS) else _BY_FIRST
    return rows[data[0]]
