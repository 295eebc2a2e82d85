"""Names that untrusted bytes may carry: the classes of plain values."""

from __future__ import annotations

from safehold.allow import preset, stand_in

# Called through a stand-in where their arguments can be seen. CPython's unpickler calls the thing
# itself; of these, one encodes text with a codec of the standard library, and no more.
_HARMLESS = frozenset({("_codecs", "encode")})
# What reads attributes by name, and what reaches files of the system.
_NOT_PLAIN = frozenset(
    {("builtins", "getattr"), ("builtins", "type"), ("zoneinfo", "ZoneInfo._unpickle")}
)


def plain_names() -> frozenset[tuple[str, str]]:
    """Return (module, qualified name) of every class and function of the preset ``builtins``."""
    names = set()
    builtin = preset("builtins")
    for spelled in builtin.classes | builtin.functions:
        module, _, name = spelled.partition(":")
        if stand_in(module, name) is None:
            names.add((module, name))
    return frozenset(names | _HARMLESS) - _NOT_PLAIN
