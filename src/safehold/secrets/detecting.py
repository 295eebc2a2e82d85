"""Secrets in a text of any kind: by the shape of a token, or by the name of what is assigned.

Names are looked at line by line. Not looked at: names in lock files and in tests, lines that are
longer than a person writes, values that code computes; own keys and addresses in tests. A value
on another line than its name is found by its shape alone.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from safehold.credentials.names import Kind, kind_of
from safehold.credentials.shapes import SHAPES
from safehold.source.credentials import PLACED, entropy, fingerprint, is_random, is_secret
from safehold.source.unit import is_test

URL: Final = "a URL with a password"
PEM: Final = "a private key"
_MADE_FOR_TESTS: Final = frozenset({URL, PEM, "a signed web token"})
_SHAPES: Final = tuple((shape, re.compile(shape.for_files)) for shape in SHAPES)
_NAMED: Final = re.compile(r"(?i)pass|pwd|secret|token|key")
_ASSIGNED: Final = re.compile(
    r"(?P<name>[A-Za-z_][\w.\-]{0,80})[\"'`]?\]?"
    r"(?:[ \t]{0,8}(?:=>|:=|=|:)[ \t]{0,8}|>|(?<=ENV )[ \t]|(?<!\w)[ \t]{1,8}(?=[\"']))"
    r"(?:[bBrRuUfF]{0,2}(?P<quote>[\"'`])(?P<quoted>[^\"'`\n]{3,300})(?P=quote)"
    r"|(?P<bare>[^\s\"'`#;,(){}\[\]<>]{3,300}))"
)
_OPTION: Final = re.compile(
    r"(?<![\w-])--(?P<name>[a-z][\w-]{2,40})[ =](?P<bare>[^\s\"'`$(<{-]\S{2,300})"
)
_IGNORED: Final = re.compile(r"safehold:\s*ignore\[([^\]]*)\]\s*[^\s*<>/-]")
_LONGEST_LINE: Final = 2000
_CODE: Final = frozenset(
    ".py .pyi .js .mjs .cjs .ts .jsx .tsx .vue .java .kt .scala .go .rs .rb .php .c .h .cc .cpp "
    ".hpp .cs .swift .m .lua .pl .r .ipynb .md .rst .txt .html .htm .css .sql .tex".split()
)
_LOCKS: Final = frozenset(
    "package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml poetry.lock uv.lock pdm.lock "
    "Pipfile.lock Cargo.lock composer.lock Gemfile.lock go.sum flake.lock bun.lock".split()
)
_UUID: Final = re.compile(r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX: Final = re.compile(r"(?i)[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128}")
_OF_HASH: Final = re.compile(r"(?i)sha-?\d|md5|digest|checksum|integrity|hash|etag|commit|revision")
_MADE: Final = re.compile(
    r"\$\(|\$\{|\$(?:2[abxy]?|5|6|argon2\w*|pbkdf2[\w-]*|scrypt|y)\$|pbkdf2_|sha\d{1,3}[-:$]|md5[-:$]|ssh-|ecdsa-"
    r"|ENC\[|AQICAH|data:|\{(?:SSHA|SHA|CRYPT)|age1|arn:|vault:|secretsmanager:|keyring:|op://"
)
"""How values begin that are hashes, public keys, ciphertexts or places of secrets."""
_PLACE: Final = re.compile(
    r"\$\{|\{\{|://|\.\w{2,5}$|^[\w-]+(?:\.[\w-]+)+$|(?i:example|your|change)"
)
_USER: Final = re.compile(r"(?i)\b\w*(?:user|username|login|account|host)\w*[\"']?\s*[:=]")


@dataclass(frozen=True, slots=True)
class Hit:
    """One secret: where it stands, what it is, and by what it is known again."""

    line: int
    what: str
    name: str
    value: str
    anchor: str

    @property
    def fingerprint(self) -> str:
        """Digits of a digest; empty for what can be guessed."""
        return fingerprint(self.value)

    @property
    def identity(self) -> bytes:
        """What makes it the same secret elsewhere; never shown."""
        return hashlib.sha256(self.value.encode("utf-8", "surrogatepass")).digest()


def hits_of(text: str, path: str, rules: frozenset[str], first: int = 1) -> Iterator[Hit]:
    """Yield the secrets of a text whose first line has a number, but for those somebody ignores.

    Any of ``rules`` in a comment `safehold: ignore[RULE] reason` of the line keeps them back.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    starts = _starts(lines)
    taken: dict[int, list[tuple[int, int]]] = {}
    tested, config = is_test(path), _is_configuration(path)
    for number, what, begin, end, value in _shaped(text, starts):
        if tested and what in _MADE_FOR_TESTS:
            continue
        if not _is_ignored(lines, number, rules):
            taken.setdefault(number, []).append((begin, end))
            at = begin - starts[number]
            yield Hit(first + number, what, "", value, _anchor(lines[number], at, end - begin))
    if tested or os.path.basename(path) in _LOCKS:
        return
    for number, line in enumerate(lines):
        if len(line) > _LONGEST_LINE or not _NAMED.search(line):
            continue
        for name, kind, begin, value in _assigned(lines, number, config=config):
            at = starts[number] + begin
            over = taken.get(number, ())
            if any(low < at + len(value) and at < high for low, high in over):
                continue
            if not _is_ignored(lines, number, rules):
                yield Hit(first + number, kind, name, value, _anchor(line, begin, len(value)))


def _starts(lines: list[str]) -> list[int]:
    starts, at = [], 0
    for line in lines:
        starts.append(at)
        at += len(line) + 1
    return starts


def _shaped(text: str, starts: list[int]) -> Iterator[tuple[int, str, int, int, str]]:
    from bisect import bisect_right

    lower = text.lower()
    for shape, pattern in _SHAPES:
        if not any(needle in lower for needle in shape.needles):
            continue
        for found in pattern.finditer(text):
            begin, end = found.span(found.lastindex or 0)
            value = found[found.lastindex or 0]
            if shape.name == PEM:
                body = text[found.end() : found.end() + 400]
                value = found[0] + body.partition("-----")[0]
            if _is_shown(shape.name, value):
                continue
            yield bisect_right(starts, found.start()) - 1, shape.name, begin, end, value


def _is_shown(what: str, value: str) -> bool:
    """Say whether a token stands for one in a text about it."""
    if what == URL:
        lower = value.lower()
        is_empty = set(value) <= set("*.xX-") or value.startswith(("%", "${", "<"))
        return is_empty or lower in PLACED or not value.strip("%")
    return "EXAMPLE" in value or entropy(value) < 3.0 or bool(re.search(r"(?i)x{6}|\.\.\.", value))


def _assigned(
    lines: list[str], number: int, *, config: bool
) -> Iterator[tuple[str, str, int, str]]:
    """Yield (name, kind, where the value begins, value) of a line."""
    line = lines[number]
    for found in (*_ASSIGNED.finditer(line), *_OPTION.finditer(line)):
        parts = found.groupdict()
        name, quoted = parts["name"], parts.get("quoted")
        kind = kind_of(name)
        if kind is None or (quoted is None and not config and found.re is _ASSIGNED):
            continue
        value = quoted if quoted is not None else parts["bare"]
        if _is_look_alike(value, line, found.start()):
            continue
        around = lines[max(number - 3, 0) : number] + lines[number + 1 : number + 4]
        paired = config and kind is Kind.PASSWORD and any(map(_USER.search, around))
        if kind is Kind.KEY and quoted is None and not is_random(value, 12):
            continue
        if _is_drawn(value) or is_secret(value.removeprefix("-"), kind, name, paired=paired):
            yield name, f"a {kind.value}", found.start("quoted" if quoted else "bare"), value


def _is_drawn(value: str) -> bool:
    """Say whether a value is long and mixed as no path and no option is, whatever begins it."""
    if len(value) < 32 or " " in value or _PLACE.search(value) or entropy(value) < 4.3:
        return False
    return all(any(map(kind, value)) for kind in (str.isupper, str.islower, str.isdigit))


def _is_look_alike(value: str, line: str, at: int) -> bool:
    """Say whether a value is an identifier, a hash, a public key, or the place of a secret."""
    if _MADE.match(value) or _UUID.fullmatch(value):
        return True
    return (
        _HEX.fullmatch(value) is not None and _OF_HASH.search(line[max(at - 40, 0) :]) is not None
    )


def _is_configuration(path: str) -> bool:
    """Say whether values without quotes are values, and not names in a program or words."""
    return os.path.splitext(path)[1].lower() not in _CODE


def _is_ignored(lines: list[str], number: int, rules: frozenset[str]) -> bool:
    found = _IGNORED.search(lines[number]) if "safehold:" in lines[number] else None
    return found is not None and not rules.isdisjoint(re.split(r"[\s,]+", found[1].strip()))


def _anchor(line: str, begin: int, length: int) -> str:
    """Return a digest of the line without the secret, by which a baseline knows it again."""
    without = " ".join((line[: max(begin, 0)] + line[max(begin, 0) + length :]).split())
    return hashlib.sha256(without.encode("utf-8", "surrogatepass")).hexdigest()[:32]
