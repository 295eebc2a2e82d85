"""Names of files and relative paths that every system can have and none reads as another.

What Windows takes for a device or cannot store is refused on every system, as files move. Letters
are composed (NFC), as macOS sends them apart. Nothing is decoded: ``%2e`` is a name with a percent.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from safehold.errors import InputRefused
from safehold.inputs._schema import checked
from safehold.inputs.rules import REFUSED

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

_LONGEST_NAME = 255  # bytes, on Linux and macOS
_LONGEST_PATH = 4095
_REFUSED = "\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_NO_CHARACTER = re.compile(rf'[{_REFUSED}/\\:*?"<>|]')
# Also with any suffix, and with spaces before it; COM¹ is COM1 to Windows.
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9¹²³])[ ]*(?:\.|\Z)", re.IGNORECASE
)
# For clients; what a name is beyond that, only the check says.
_IN_SCHEMA = r'\u0000-\u001f\u007f-\u009f\\:*?"<>|'
_NAME_IN_SCHEMA = rf"^[^{_IN_SCHEMA}/]+$"
_PATH_IN_SCHEMA = rf"^[^{_IN_SCHEMA}/][^{_IN_SCHEMA}]*$"


def check_name(name: str, *, hidden: bool = False) -> str:
    """Return the name of a file in NFC.

    Raises:
        InputRefused: it is no name that every system can have; or begins with a dot and `hidden`
            ones are not asked for, or with a dash, which programs read as an option.
    """
    why = _fault(name, hidden=hidden)
    if not why:
        name = unicodedata.normalize("NFC", name)
        if len(name.encode()) > _LONGEST_NAME:
            why = f"a name has at most {_LONGEST_NAME} bytes"
    if why:
        raise InputRefused(why, rule=REFUSED.id)
    return name


def _fault(name: str, *, hidden: bool) -> str:
    if name in ("", ".", ".."):
        return "a name is neither empty nor made of dots"
    if len(name) > _LONGEST_NAME:  # before anything that looks at each character
        return f"a name has at most {_LONGEST_NAME} bytes"
    if _NO_CHARACTER.search(name):
        return 'a name has no separators, control characters or any of :*?"<>|'
    if name[-1] in ". " or name[0] == " ":
        return "a name does not end in a dot, and neither begins nor ends with a space"
    if name[0] == "-" or (name[0] == "." and not hidden):
        return "a name does not begin with a dash or a dot"
    if _DEVICE.match(name):
        return "a name is none of the devices of Windows"
    return ""


def check_relative(path: str, *, hidden: bool = False) -> str:
    """Return a relative path in NFC whose every part is a name by `check_name`.

    Raises:
        InputRefused: it is absolute, has empty parts or dots, or a part is no name.
    """
    if len(path) > _LONGEST_PATH:
        raise InputRefused(f"a path has at most {_LONGEST_PATH} bytes", rule=REFUSED.id)
    path = "/".join(check_name(part, hidden=hidden) for part in path.split("/"))
    if len(path.encode()) > _LONGEST_PATH:
        raise InputRefused(f"a path has at most {_LONGEST_PATH} bytes", rule=REFUSED.id)
    return path


@dataclass(frozen=True, slots=True)
class Name:
    """Metadata of `Filename` and, with `parts`, of `RelativePath`."""

    parts: bool = False
    hidden: bool = False

    def check(self, value: str) -> str:
        """Return the name or path in NFC; raise InputRefused for what is none."""
        check = check_relative if self.parts else check_name
        return check(value, hidden=self.hidden)

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        most = _LONGEST_PATH if self.parts else _LONGEST_NAME
        return checked(self.check, min_length=1, max_length=most)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        found = handler(schema)
        found["pattern"] = _PATH_IN_SCHEMA if self.parts else _NAME_IN_SCHEMA
        return found


Filename = Annotated[str, Name()]
"""One name of a file, as uploads carry it."""
RelativePath = Annotated[str, Name(parts=True)]
"""Names with slashes between; what it leads to is for `confine` to say."""
