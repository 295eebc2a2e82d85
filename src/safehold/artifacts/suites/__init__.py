"""Suites: how chunks and root of a container are authenticated; one file and one row per suite.

To add one, write its file with `open_suite` and add its row to `safehold.sfh1.SUITES`. Which
suite is used follows from the key, never from the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Protocol

from safehold import sfh1
from safehold.sfh1 import Buffer

MODULES: Mapping[str, str] = {name: f"{__name__}.{name.lower()}" for name in sfh1.SUITES}


class Suite(Protocol):
    """The keys of one container. Threads may share it."""

    def seal(self, index: int, chunk: Buffer) -> tuple[Buffer, bytes]:
        """Return what is stored for a chunk, and its leaf."""

    def open(self, index: int, stored: memoryview, leaf: Buffer, into: memoryview) -> bool:
        """Say whether a stored chunk is genuine.

        A suite that encrypts gets room for a leaf behind the stored bytes and decrypts to
        `into`. For others the two are one.
        """

    def root(self, head: bytes, leaves: Buffer) -> bytes:
        """Return the root over the hash of the head, and the leaves."""

    def is_root(self, root: Buffer, head: bytes, leaves: Buffer) -> bool:
        """Say whether a root is genuine, in constant time."""


class Secret(Protocol):
    """What subkeys are derived from: a key of the policy, or a file's own."""

    suite: str

    def derive(self, info: bytes, salt: bytes | None = None, length: int = 32) -> bytes:
        """Return a subkey for one purpose."""


def suite_for(key: Secret, zone: str, artifact: bytes) -> Suite:
    """Return the suite that a key is bound to, with the subkeys of one container."""
    return _opener(key.suite)(key, zone, artifact)


@cache
def _opener(name: str) -> Callable[[Secret, str, bytes], Suite]:
    opener: Callable[[Secret, str, bytes], Suite] = import_module(MODULES[name]).open_suite
    return opener


def context(key: Secret, zone: str) -> bytes:
    """Return what tells the uses of a key apart."""
    return f"safehold/SFH1/{key.suite}/{zone}".encode()
