"""Members of enumerations within `json` and `msgpack`: class and member by their names.

A class counts only if the allow list has its name, and is looked up, not made: data can choose
among the members that the service has, and nothing else.
"""

from __future__ import annotations

import sys
from enum import Enum, Flag
from typing import Any, NamedTuple

from safehold.allow import AllowList
from safehold.artifacts.codecs.arrays import NoFormError
from safehold.errors import DecodeError, TypeNotAllowed

TAG = "enum"


class Naming(NamedTuple):
    """Which classes data may name, and whether their modules are imported for that."""

    allow: AllowList
    imports: bool = False


NOTHING = Naming(AllowList.of())


def name_of(kind: type) -> str:
    """Return the dotted name of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def take(value: Any, kind: type[Enum], allow: AllowList | None) -> list[Any]:
    """Return [class, member], or [class, members, other bits] for a combination of flags.

    Raises:
        NoFormError: its class is not allowed, or it would not come back.
    """
    name = name_of(kind)
    if allow is None or not allow.permits_dotted(name):
        message = f"is a member of {name}, which is not in the zone's allow list; add it there"
        raise NoFormError(message)
    member = value._name_
    plain = [name, member]
    if kind.__members__.get(member) is not value and isinstance(value, Flag):
        bits = [one for one in kind if one._value_ & value._value_ == one._value_]
        rest = value._value_
        for one in bits:
            rest &= ~one._value_
        plain = [name, [one._name_ for one in bits], rest]
    try:
        again = put(plain, Naming(allow))
    except (DecodeError, TypeNotAllowed, LookupError, TypeError, ValueError):
        again = None
    if type(again) is not kind or again._value_ != value._value_:
        message = f"is a member of {name} that cannot be found again by its name"
        raise NoFormError(message)
    return plain


def put(plain: Any, naming: Naming) -> Enum:
    """Return the member. Raises TypeNotAllowed, DecodeError."""
    name, member, *rest = plain
    kind = _class(name, naming)
    if not rest:
        return _member(kind, member)
    (value,) = rest
    if not issubclass(kind, Flag) or type(value) is not int:
        message = f"{name} has no combinations"
        raise DecodeError(message)
    for one in member:
        value |= _member(kind, one)._value_
    found = kind(value)
    if type(found) is not kind or found._value_ != value:
        message = f"{name} does not keep the bits {value:#x}"
        raise DecodeError(message)
    return found


def _member(kind: type[Enum], name: str) -> Enum:
    found = kind.__members__.get(name)
    if found is None:
        message = f"{name_of(kind)} has no member {name!r}; was it renamed?"
        raise DecodeError(message)
    return found


def _class(name: str, naming: Naming) -> type[Enum]:
    """Look a class up at every place where the module's part of its name could end."""
    if not naming.allow.permits_dotted(name):
        message = f"{name} is not in the allow list"
        raise TypeNotAllowed(message, name=name)
    parts = name.split(".")
    # With "*" the data alone would choose what is imported.
    imports = naming.imports and not naming.allow.everything
    for border in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:border])
        if module not in sys.modules and not imports:
            continue
        try:
            found = naming.allow.resolve(module, ".".join(parts[border:]))
        except TypeNotAllowed:  # the module's part ends elsewhere
            continue
        if isinstance(found, type) and issubclass(found, Enum):
            return found
        message = f"{name} is no enumeration"
        raise DecodeError(message)
    message = f"{name} cannot be found; import its module first, as data does not"
    if imports:
        message = f"{name} cannot be found in the installed version"
    raise DecodeError(message)
