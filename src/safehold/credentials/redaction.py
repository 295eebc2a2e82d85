"""Redaction: what is secret in a text or under a name gives way to `[redacted:kind]`.

A text is first asked for letters without which it can hold none; most end there. Equal secrets
are not told apart: a tag by which they were known again would also tell a right guess.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from typing import NoReturn

from safehold.credentials.assigned import without_assigned
from safehold.credentials.names import Label, label_of, words_of
from safehold.credentials.shapes import SHAPES
from safehold.credentials.traces import is_free, without

Pass = Callable[[str], str]
Gates = tuple[tuple[str, tuple[tuple[str, list[Pass]], ...]], ...]

WINDOW = 4096 + 512
"""So much of a text is looked at; what is recorded of it is far less."""
_REMEMBERED = 4096
_SHORT = 512
_OF_NUMBERS = "0123456789abcdef-\n"
"""What UUIDs and digests are made of; no needle is, so they are not searched for any."""
_UNSURE = 512  # at the end of a text that was cut: what begins there cannot be judged
_PEM = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [^-\n]*-----|\Z)",
    re.DOTALL,
)
_URL = re.compile(
    r"(?<=://)(?P<user>[^\s/:@'\"<>]{0,256}):(?!\[redacted|\d{1,5}[/?#])(?P<word>[^\s/@'\"<>]{1,2048}"
    r"(?:[/'\"<>][^\s/@'\"<>]{0,2048}){0,8})(?=@[\w.\[%-])"
)
_TOKEN_IN_URL = re.compile(r"(?<=://)(?!\[redacted)(?P<word>[A-Za-z0-9_~.-]{20,256})(?=@[\w.\[-])")
_SCHEME = re.compile(
    r"(?i)(?<![A-Za-z])(bearer|basic)((?:\s|%20|\+|\\t)+)([\w.~+/%-]{6,}={0,2})(?![\w=])"
)
_USER = re.compile(r"""( -u ["']?[^\s:"']{1,64}:)(?!\[redacted)[^\s"']+""")  # of curl
_WORD = re.compile(r"[A-Za-z]?[a-z]+(?:[-_/.,][a-z]+)*[.,]?")
_AWS_SECRET = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_AWS_NEEDLES = ("akia", "asia")
_NAMES = (
    "pass", "pw", "jwt", "secret", "token", "key", "auth", "cookie", "sess", "cred", "bearer",
    "sig=", "signature=",
)  # fmt: skip
"""One of these is in every name that `names` knows, and in those that are secret in URLs."""


def marker(kind: str) -> str:
    """Return what stands in the place of a secret."""
    return f"[redacted:{kind}]"


class Redactor:
    """Takes secrets out of texts: by their shape, by their name, and one's own by their traces."""

    __slots__ = ("_clean", "_extra", "_gates", "_names", "_skipped", "_traces")

    def __init__(
        self,
        *,
        names: Iterable[str] = (),
        patterns: Iterable[str] = (),
        traces: frozenset[int] = frozenset(),
    ) -> None:
        """`names` and `patterns` are what a policy adds; `traces` those of its own keys."""
        self._names = frozenset(words_of(name) for name in names)
        self._traces = traces
        needles: dict[str, list[Pass]] = {}
        for needle in (*_NAMES, *(words[-1] for words in self._names)):
            needles.setdefault(needle, []).append(self._without_assigned)
        for shape in SHAPES:
            if shape.label:
                step = _replacing(re.compile(shape.in_text), marker(shape.label))
                for needle in shape.needles:
                    needles.setdefault(needle, []).append(step)
        needles["key"].append(_without_pem)
        needles["://"].append(_without_url_password)
        for needle in _AWS_NEEDLES:
            needles[needle].append(_without_aws_secret)
        for needle in ("bearer", "basic"):
            needles.setdefault(needle, []).append(_without_scheme)
        needles.setdefault(" -u ", []).append(_without_user)
        self._extra = tuple(
            (pattern_needle(pattern), _replacing(pattern_expression(pattern), marker("policy")))
            for pattern in patterns
        )
        self._gates = _gated(needles)
        # Unless a policy names what is made of the same.
        self._skipped = _OF_NUMBERS if all(one.strip(_OF_NUMBERS) for one in needles) else ""
        self._clean: set[str] = set()

    def is_clean(self, text: str) -> bool:
        """Say whether a short text of ASCII holds nothing that has to go; no to any other.

        Those that do are remembered: the same zones, callers and artifacts come again and again.
        """
        if text in self._clean:
            return True
        if len(text) > _SHORT or not text.isascii() or self.passes(text):
            return False
        if len(self._clean) >= _REMEMBERED:
            self._clean.clear()
        self._clean.add(text)
        return True

    def passes(self, text: str) -> list[Pass]:
        """Return what has to go over a text, or over texts that were joined; empty if nothing."""
        found: list[Pass] = []
        if text.strip(self._skipped):
            lower = text.lower()
            for gate, rows in self._gates:
                if gate in lower:
                    for needle, steps in rows:
                        if needle in lower:
                            found += steps
        for needle, step in self._extra:
            if needle in text:
                found.append(step)
        if self._traces and not is_free(text, self._traces):
            found.append(self._without_own)
        return sorted(set(found), key=_order) if found else found

    def label(self, name: str) -> Label | None:
        """Say what the value of a name is that must not be recorded; None if it may be."""
        found = label_of(name)
        if found is None and self._names:
            words = words_of(name)
            if any(words[-len(own) :] == own for own in self._names):
                return _OF_POLICY
        return found

    def _without_assigned(self, text: str) -> str:
        return without_assigned(text, self.label)

    def _without_own(self, text: str) -> str:
        return without(text, self._traces, marker("key"))

    def __getstate__(self) -> NoReturn:
        message = "a Redactor cannot be pickled or copied: from its traces a key can be had"
        raise TypeError(message)


_OF_POLICY = Label("policy")


def apply(passes: Iterable[Pass], text: str) -> str:
    """Return a text with markers in the place of secrets."""
    was_cut = len(text) >= WINDOW
    text = text[:WINDOW]
    for step in passes:
        text = step(text)
    # A secret whose end was cut off has no shape any more.
    return text[:-_UNSURE] + "…" if was_cut else text


_GATES = ("_", "x", "z", "j", ":", "=", "ss", "ke", "cre", "ia", "h", "w", "-", ".")
"""What several needles share, or what few texts have, which is found in a third of the time."""


def _gated(needles: dict[str, list[Pass]]) -> Gates:
    """Group needles by their gates, so that most are not searched for."""
    groups: dict[str, list[tuple[str, list[Pass]]]] = {"": []}
    for needle, steps in needles.items():
        gate = next((gate for gate in _GATES if gate in needle), "")
        groups.setdefault(gate, []).append((needle, steps))
    return tuple((gate, tuple(rows)) for gate, rows in groups.items())


def _order(step: Pass) -> int:
    """One's own keys and PEM first, whose pieces have other shapes; names last."""
    name = getattr(step, "__name__", "")
    ranks = {"_without_own": 0, "_without_pem": 1, "_without_scheme": 3, "_without_assigned": 4}
    return ranks.get(name, 2)


def _replacing(expression: re.Pattern[str], by: str) -> Pass:
    def step(text: str) -> str:
        return expression.sub(by, text)

    return step


def _without_pem(text: str) -> str:
    return _PEM.sub(marker("private-key"), text)


def _without_url_password(text: str) -> str:
    text = _URL.sub(lambda found: f"{found['user']}:{marker('url-password')}", text)
    return _TOKEN_IN_URL.sub(
        lambda found: marker("url-password") if _is_drawn(found["word"]) else found[0], text
    )


def _is_drawn(text: str) -> bool:
    return any(map(str.isdigit, text)) and any(map(str.isalpha, text))


def _without_aws_secret(text: str) -> str:
    """Forty characters beside an access key are its secret, unless they are a digest."""
    return _AWS_SECRET.sub(
        lambda found: marker("aws") if re.search("[g-zG-Z/+]", found[0]) else found[0], text
    )


def _without_scheme(text: str) -> str:
    return _SCHEME.sub(_sent, text)


def _sent(found: re.Match[str]) -> str:
    scheme, space, word = found.groups()
    if _WORD.fullmatch(word) or (scheme.lower() == "basic" and not _is_pair(word)):
        return found[0]
    return scheme + space + marker(scheme.lower())


def _without_user(text: str) -> str:
    if "curl" not in text and "http" not in text:
        return text
    return _USER.sub(lambda found: found[1] + marker("password"), text)


def _is_pair(word: str) -> bool:
    """Say whether a word is a user and a password in base64."""
    try:
        return b":" in base64.b64decode(word.rstrip("=") + "=" * (-len(word.rstrip("=")) % 4))
    except binascii.Error:
        return False


_SIGNS = {"#": "[0-9]", "?": "[A-Za-z0-9]", "*": "[A-Za-z0-9_-]{1,64}"}
_LITERAL = re.compile(r"[^#?*]+")
_LEAST_LITERAL = 3
_MOST_STARS = 2
_LONGEST_PATTERN = 128


def pattern_problem(pattern: str) -> str:
    """Say why a policy's pattern cannot be used; empty if it can."""
    if len(pattern) > _LONGEST_PATTERN or not pattern.isprintable():
        return f"is longer than {_LONGEST_PATTERN} characters or holds control characters"
    if len(pattern_needle(pattern)) < _LEAST_LITERAL:
        return f"needs {_LEAST_LITERAL} characters in a row that stand for themselves"
    if pattern.count("*") > _MOST_STARS:
        return f"has more than {_MOST_STARS} stars"
    return ""


def pattern_needle(pattern: str) -> str:
    """Return the longest part of a pattern that stands for itself."""
    return max(_LITERAL.findall(pattern), key=len, default="")


def pattern_expression(pattern: str) -> re.Pattern[str]:
    """Compile a pattern: `#` a digit, `?` a letter or digit, `*` up to 64 of those, `_` and `-`."""
    return re.compile("".join(_SIGNS.get(char, re.escape(char)) for char in pattern))
