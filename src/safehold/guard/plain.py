"""Names that untrusted bytes may carry: what makes plain values, and cannot be changed itself.

A stream may set attributes of what it names. So these are types of CPython that take none,
and functions of C: a class of the standard library in Python, as `uuid.UUID` is, would be
another one for the whole process afterwards.
"""

from __future__ import annotations

from safehold.allow import preset, stand_in

# Called through a stand-in where their arguments can be seen. CPython's unpickler calls the thing
# itself; of these, one encodes text with a codec of the standard library, and no more.
_HARMLESS = frozenset({("_codecs", "encode")})
# What reads attributes by name.
_NOT_PLAIN = frozenset({("builtins", "getattr"), ("builtins", "type")})
# Modules of the preset all of whose names are such types or functions, and names of others.
_MODULES = frozenset({"array", "builtins", "datetime"})
_NAMES = frozenset(
    {
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("collections", "deque"),
        ("decimal", "Decimal"),
        ("types", "SimpleNamespace"),
    }
)


def plain_names() -> frozenset[tuple[str, str]]:
    """Return (module, qualified name) of these."""
    builtin = preset("builtins")
    names = set()
    for spelled in builtin.classes | builtin.functions:
        module, _, name = spelled.partition(":")
        if stand_in(module, name) is None and (module in _MODULES or (module, name) in _NAMES):
            names.add((module, name))
    return frozenset(names | _HARMLESS) - _NOT_PLAIN
