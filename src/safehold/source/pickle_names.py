"""Names of the facades for pickle, which three rules share.

What is not offered (private names, modules that pickle happens to import) would be an
AttributeError after migration, so a use of it keeps the import as it is.
"""

from __future__ import annotations

import pickle

OFFERED = frozenset(pickle.__all__) | {
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
DATA = frozenset(
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
