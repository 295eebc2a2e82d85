"""Which addresses a service may connect to because a stranger asks for it: public ones.

The tables are those of IANA's registries of special-purpose addresses (RFC 6890 and its updates),
not those of the running Python, which differ between versions. An address of IPv6 that stands for
one of IPv4 is judged as that one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NOT_PUBLIC = tuple(
    ipaddress.IPv4Network(text)
    for text in """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
    192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24
    198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
    168.63.129.16/32
    """.split()  # the last one answers inside of Azure only, by a public address
)
_GLOBAL = ipaddress.IPv6Network("2000::/3")
# Protocol assignments with Teredo, ORCHID and benchmarking; documentation; 6to4; AS112; testing.
_NOT_GLOBAL = tuple(
    ipaddress.IPv6Network(text)
    for text in "2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20 3ffe::/16".split()
)
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # NAT64: how some networks reach IPv4
_ISATAP = (0x00005EFE, 0x02005EFE)


def meant(address: Address) -> Address:
    """Return the address of IPv4 that one of IPv6 stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv6Address) and (
        address in _MAPPED or address in _TRANSLATED
    ):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether an address is one that anybody on the Internet could connect to as well."""
    address = meant(address)
    if isinstance(address, ipaddress.IPv4Address):
        return not _is_in(address, _NOT_PUBLIC)
    inner = int(address) >> 32 & 0xFFFFFFFF
    return address in _GLOBAL and not _is_in(address, _NOT_GLOBAL) and inner not in _ISATAP


def is_in(address: Address, networks: Iterable[Network]) -> bool:
    """Whether an address, or the one of IPv4 that it stands for, is in one of the networks."""
    return _is_in(meant(address), networks)


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
