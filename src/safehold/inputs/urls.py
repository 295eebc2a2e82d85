"""URLs of strangers: read in one way only, and to destinations that are public.

A text that two readers could split differently is refused: user names, backslashes, spaces,
percents and letters beyond ASCII in the host, numbers that are not four decimal ones. Names are
looked up when the connection is made, in `safehold.inputs.fetching`, and not by the type.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from safehold.errors import InputRefused
from safehold.inputs._schema import checked
from safehold.inputs.addresses import Address, Network, is_in, is_public
from safehold.inputs.rules import DESTINATION

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

_LONGEST = 2048
_PORTS: Final = {"http": 80, "https": 443}
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>(?:[/?#][!-\[\]-~]*)?)"  # printable ASCII without the backslash
)
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_INSIDE = ("localhost", "local", "internal", "intranet", "home", "lan", "corp", "private", "arpa")


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where requests for a stranger may go: public addresses, and `networks` besides.

    `hosts` are the only ones where they are given; a leading dot stands for every name below.
    """

    schemes: tuple[str, ...] = ("https", "http")
    ports: tuple[int, ...] = (443, 80)
    networks: tuple[Network, ...] = ()
    hosts: tuple[str, ...] = ()

    def allows(self, address: Address) -> bool:
        """Whether a connection to an address may be made."""
        return is_public(address) or is_in(address, self.networks)


PUBLIC: Final = Destinations()


class Parts(NamedTuple):
    """What a URL says; the host in lower case and without brackets."""

    scheme: str
    host: str
    port: int
    rest: str

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL and in the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS.get(self.scheme) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL as it is read."""
        return f"{self.scheme}://{self.authority}{self.rest}"


def refused(why: str) -> InputRefused:
    """Return the refusal of a URL."""
    return InputRefused(why, rule=DESTINATION.id)


def parse_url(url: str, allowed: Destinations = PUBLIC) -> Parts:
    """Read a URL; nothing is looked up.

    Raises:
        InputRefused: it can be read in more than one way, or leads where it must not already by
            what it says.
    """
    found = _URL.fullmatch(url) if len(url) <= _LONGEST else None
    if found is None:
        raise refused(
            "a URL has a scheme, a host in ASCII and maybe a port, no user name, backslash or space"
        )
    scheme, host = found["scheme"].lower(), found["host"].lower().strip("[]")
    if scheme not in allowed.schemes:
        raise refused(f"a URL begins with one of {', '.join(allowed.schemes)}")
    port = int(found["port"]) if found["port"] else _PORTS.get(scheme, 0)
    if port not in allowed.ports:
        raise refused(f"a URL has one of the ports {', '.join(map(str, allowed.ports))}")
    _check_host(host, allowed, is_literal=found["host"].startswith("["))
    return Parts(scheme, host, port, found["rest"])


def _check_host(host: str, allowed: Destinations, *, is_literal: bool) -> None:
    if allowed.hosts and not any(_is_host(host, one) for one in allowed.hosts):
        raise refused("a URL names a host that is not listed")
    labels = host.removesuffix(".").split(".")
    # Whatever ends in a number is an address to browsers and resolvers, also 127.1 and 0x7f.1.
    if is_literal or labels[-1].isdigit() or labels[-1].startswith("0x"):
        try:
            address: Address | None = ipaddress.ip_address(host)
        except ValueError:
            address = None
        if address is None or is_literal != (address.version == 6):
            raise refused("a URL has an address in another form than the usual one")
        if not allowed.allows(address):
            raise refused("a URL leads to an address that is not public")
        return
    if len(host) > 253 or not all(_NAME.fullmatch(label) for label in labels):
        raise refused("a URL has a host that is no name")
    if not allowed.networks and (labels[-1] in _INSIDE or len(labels) == 1):
        raise refused("a URL has a host that is known inside only")


def _is_host(host: str, listed: str) -> bool:
    host, listed = host.removesuffix("."), listed.lower()
    return host.endswith(listed) if listed.startswith(".") else host == listed


def resolve(parts: Parts, allowed: Destinations = PUBLIC) -> tuple[Address, ...]:
    """Return the addresses of a host, every one of which may be connected to.

    Raises:
        InputRefused: one of them may not. OSError: the name has none.
    """
    rows = socket.getaddrinfo(parts.host, parts.port, type=socket.SOCK_STREAM)
    return checked_addresses((str(row[4][0]) for row in rows), allowed)


def checked_addresses(found: Iterable[str], allowed: Destinations) -> tuple[Address, ...]:
    """Return addresses that a name was resolved to; as `resolve`."""
    # A name that has public addresses and others besides is how checks are slipped by.
    addresses = tuple(dict.fromkeys(ipaddress.ip_address(text) for text in found))
    if not addresses or not all(allowed.allows(address) for address in addresses):
        raise refused("a URL leads to an address that is not public")
    return addresses


@dataclass(frozen=True, slots=True)
class Link:
    """Metadata of `URL`, for destinations of one's own: ``Annotated[str, Link(...)]``."""

    allowed: Destinations = PUBLIC

    def check(self, value: str) -> str:
        """Return the URL as it is read; raise InputRefused where it leads elsewhere."""
        return parse_url(value, self.allowed).url

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        return checked(self.check, min_length=1, max_length=_LONGEST)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        found = handler(schema)
        found["format"] = "uri"
        found["pattern"] = f"^(?:{'|'.join(map(_any_case, self.allowed.schemes))})://"
        return found


def _any_case(word: str) -> str:
    return "".join(
        f"[{char.upper()}{char}]" if char.isalpha() else re.escape(char) for char in word
    )


URL = Annotated[str, Link()]
"""A URL of http or https to a host outside; fetch it by `open_url`, which looks at addresses."""
