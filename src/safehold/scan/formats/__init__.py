"""One row per format. The order is the order in which a file's name for its format is chosen.

A file is read in every format that accepts its bytes: one with a zip appended to a pickle is
both. A new format is one module beside this one and one row here.
"""

from __future__ import annotations

import re
from typing import Final

from safehold.scan import plain
from safehold.scan.formats import (
    catboost,
    coreml,
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
    pmml,
    pointer,
    safetensors,
    sevenzip,
    sfh1,
    skops,
    tar,
    tensorflow,
    text,
    torch_flat,
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
    catboost,
    coreml,
    pmml,  # and other XML
    torch_flat,  # ExecuTorch, PyTorch mobile
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


def _ends(attribute: str) -> tuple[str, ...]:
    return tuple(name for row in FORMATS for name in getattr(row, attribute, ()))


_ANY_ENDS: Final = (*_ends("ENDS"), *_ends("ENDS_TOO"))
_BY_FIRST: Final = tuple(_begun(first, named=False) for first in range(256))
_BY_FIRST_AND_NAME: Final = tuple(_begun(first, named=True) for first in range(256))


_PROTO: Final = 0x80
# Those that a plain pickle may be as well, by what is said of them.
PICKLES: Final[tuple[Format, ...]] = (legacy_torch, joblib, pickle)
_BESIDE: Final = [row for row in _BY_FIRST[_PROTO] if row not in PICKLES]
_WITH_HEAD: Final = [row for row in _BESIDE if hasattr(row, "HEAD")]
_HEADS: Final = re.compile(b"|".join(row.HEAD for row in _WITH_HEAD), re.DOTALL)
_SIGNS: Final = tuple(row.SIGN for row in _BESIDE if hasattr(row, "SIGN"))
# One that says nothing is asked about every pickle, with all others.
_SAID: Final = all(hasattr(row, "HEAD") or hasattr(row, "SIGN") for row in _BESIDE)
PLAIN: Final[tuple[Format, ...]] = (plain,)


def possible(data: Data, name: str) -> tuple[Format, ...]:
    """Return the formats that the first byte and the name leave possible: those are asked.

    Of a plain pickle that is nothing else it is `PLAIN`, of another such pickle `PICKLES`.
    """
    if not len(data):
        return FORMATS
    first = data[0]
    if name.lower().endswith(_ANY_ENDS):
        return _BY_FIRST_AND_NAME[first]
    if first == _PROTO and _is_no_other(data):
        return PLAIN if plain.is_plain(data) else PICKLES
    return _BY_FIRST[first]


def _is_no_other(data: Data) -> bool:
    """Whether a pickle is in no other format than those that begin with one."""
    if not _SAID or not isinstance(data, bytes) or len(data) > plain.LARGEST:
        return False
    for sign in _SIGNS:
        if sign in data:
            return False
    return not _HEADS.match(data) or not any(_may_be(row, data) for row in _WITH_HEAD)


def _may_be(row: Format, data: bytes) -> bool:
    """Whether a file begins as one of a format, and fits it where that can be told."""
    head, fits = getattr(row, "HEAD", b""), getattr(row, "fits", None)
    return re.match(head, data, re.DOTALL) is not None and (fits is None or fits(data))
