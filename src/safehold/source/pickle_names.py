"""The interface of pickle and of its facades, which three rules share.

What is not offered (private names, modules that pickle happens to import) would be an
AttributeError after migration, so a use of it keeps the import as it is.
"""

from __future__ import annotations

import pickle

from safehold.source.row import Argument, Library

_OFFERED = frozenset(pickle.__all__) | {
    "bytes_types",
    "compatible_formats",
    "decode_long",
    "encode_long",
    "format_version",
    "whichmodule",
    "__all__",
    "__doc__",
    "__file__",
    "__name__",
}
_DATA = frozenset(
    {
        "load",
        "dump",
        "DEFAULT_PROTOCOL",
        "HIGHEST_PROTOCOL",
        "PickleError",
        "PicklingError",
        "UnpicklingError",
    }
)

PICKLE = Library(
    name="pickle",
    modules=("pickle", "six.moves.pickle"),
    facade="safehold.compat.pickle",
    reads={
        "load": Argument(0, ("file",)),
        "loads": Argument(0, ("data",)),
        "Unpickler": Argument(0, ("file",)),
    },
    writes={
        "dump": Argument(1, ("file",)),
        "dumps": Argument(0, ("obj",)),
        "Pickler": Argument(0, ("file",)),
    },
    value=Argument(0, ("obj",)),
    memory=frozenset({"loads", "dumps"}),
    offered=_OFFERED,
    data_facade="safehold.compat.data",
    data_names=_DATA,
)
