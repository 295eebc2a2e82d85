"""Ways to get a payload run by a deserializer: each is a small program that leaves a marker.

A family is a module with the text of its ways. Each begins with a line of the form

    ### name needs=numpy,joblib start=install outside=reason

``needs`` names modules that must be importable; ``start=install`` is for a program that turns the
guard on itself, by the `guard()` of the prelude, after it took what it attacks with; ``outside``
says why the threat model leaves a way out, in the rest of the line. Ways of a template are spelled
out by `each`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module

FAMILIES = (
    "entry", "copies", "unpicklers", "captured", "raw", "context", "callbacks", "extremes", "children",
    "gadgets", "natives", "reached", "trust", "channels", "library", "stores", "loaders", "services",
)  # fmt: skip

PRELUDE = r'''
import io, os, pickle, sys

MARK = os.environ["MARK"]
"""Where the payload leaves its marker: a path in a directory that is empty before."""


class Part(bytes):
    """Opcodes that leave one value on the stack."""


def part(value):
    if isinstance(value, Part):
        return value
    if isinstance(value, int):
        return Part(b"I%d\n" % value)
    data = value.encode()
    return Part(b"X" + len(data).to_bytes(4, "little") + data)


def named(module, name, proto=0):
    if proto < 4:
        return Part(f"c{module}\n{name}\n".encode())
    return Part(part(module) + part(name) + b"\x93")


def called(what, *args):
    return Part(what + b"(" + b"".join(map(part, args)) + b"tR")


def raw(module, name, *args, proto=0):
    """Bytes that call something; they are written by hand, so nobody pickled them here."""
    head = bytes([0x80, proto]) if proto >= 2 else b""
    return head + called(named(module, name, proto), *args) + b"."


# mkfifo raises no audit event: nothing but a judgement of the name stops it.
EVIL = raw("posix", "mkfifo", MARK)


class P:
    """What pickles to a call."""

    def __init__(self, *reduced):
        self.reduced = reduced or (os.mkfifo, (MARK,))

    def __reduce__(self):
        return self.reduced


def guard():
    """Turn the guard on, where the program is not to show what happens without."""
    policy = os.environ.get("WAYS_POLICY")
    if policy:
        import safehold.guard

        safehold.guard.install(safehold.Context.load(policy))


def file(data=None, path="evil.bin"):
    with open(path, "wb") as opened:
        opened.write(EVIL if data is None else data)
    return path
'''

_HEAD = re.compile(r"^### (?P<name>\S+)(?P<options>(?: (?:needs|start)=\S+)*)"
                   r"(?: outside=(?P<outside>.+))?$", re.MULTILINE)  # fmt: skip


@dataclass(frozen=True)
class Way:
    """One program that gets a payload run by a deserializer."""

    family: str
    name: str
    text: str
    needs: tuple[str, ...] = ()
    start: str = "run"
    outside: str = ""

    @property
    def script(self) -> str:
        """Return the program."""
        return f"{PRELUDE}\n{self.text}"

    def __str__(self) -> str:
        return f"{self.family}-{self.name}"


def ways(family: str, text: str) -> list[Way]:
    """Return the ways of a family's text."""
    found = []
    heads = list(_HEAD.finditer(text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    for head, end in zip(heads, ends, strict=True):
        options = dict(pair.split("=", 1) for pair in head["options"].split())
        found.append(
            Way(
                family,
                head["name"],
                text[head.end() : end].strip("\n") + "\n",
                tuple(filter(None, options.get("needs", "").split(","))),
                options.get("start", "run"),
                head["outside"] or "",
            )
        )
    return found


def each(template: str, rows: Mapping[str, str], prefix: str = "") -> str:
    """Spell out a template, which has ``@`` where a row's text goes, under each row's heading."""
    return "\n".join(
        f"### {prefix}{head}\n{template.replace('@', text)}" for head, text in rows.items()
    )


def all_ways() -> Iterator[Way]:
    """Yield the ways of all families."""
    for family in FAMILIES:
        yield from import_module(f"tests.guard.ways.{family}").WAYS
