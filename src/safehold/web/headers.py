"""THE table of headers: one row builds a header, judges one, and says which of two is weaker."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from safehold.findings import Finding, Location, Rule, Severity
from safehold.policy import web as settings
from safehold.policy.web import Web
from safehold.web import csp, rules

Kind = Literal["nonced", "page", "data"]
"""A page with a nonce, a page without one, or no page."""

_YEAR: Final = 365 * 86400


@dataclass(frozen=True, slots=True)
class Answer:
    """What a header is judged by: whose answer it is in."""

    url: str = ""
    kind: Kind = "page"

    @property
    def where(self) -> Location:
        """Where findings point to."""
        return Location(path=self.url)


@dataclass(frozen=True, slots=True)
class Row:
    """One header.

    ``build`` returns what is sent, "" for nothing. ``problems`` yields what is weak about a value.
    ``weaker`` yields what the first of two values allows and the second does not. ``needed``:
    the kinds of answers that have to have it.
    """

    name: str
    rule: Rule
    build: Callable[[Web, Kind], str]
    problems: Callable[[str, Answer], Iterable[str]]
    weaker: Callable[[str, str], Iterable[str]]
    needed: tuple[Kind, ...] = ("nonced", "page", "data")

    def judge(self, values: Sequence[str], answer: Answer) -> Iterator[Finding]:
        """Yield findings about the values that an answer has of this header."""
        detail = {"header": self.name}
        if not values and answer.kind in self.needed:
            severity = self.rule.severity if answer.kind != "data" else Severity.INFO
            message = f"{self.name} is missing"
            yield Finding.of(self.rule, message, answer.where, severity=severity, detail=detail)
        if len(values) > 1 and self.name not in _LISTS:
            message = f"{self.name} is sent {len(values)} times"
            yield Finding.of(rules.TWICE, message, answer.where, detail=detail)
        for value in values[:_MOST]:
            for problem in self.problems(value, answer):
                shown = {**detail, "value": value[:_SHOWN]}
                yield Finding.of(
                    self.rule, f"{self.name}: {problem}", answer.where, detail=shown
                )  # fmt: skip


_MOST: Final = 4  # values of one header that are looked at
_SHOWN: Final = 200
_LISTS: Final = frozenset(("Cache-Control", "Permissions-Policy", "Reporting-Endpoints"))


# -- rows


def _build_policy(web: Web, kind: Kind) -> str:
    return _policy_text(web, csp.directives(web), kind)


def _policy_text(web: Web, directives: csp.Sources, kind: Kind) -> str:
    if kind == "data":
        directives = csp.CLOSED
    elif kind == "page":
        directives = csp.without_nonce(directives)
    return csp.text(directives, web.report)


def _build_second(web: Web, kind: Kind) -> str:
    if not web.report_only or kind == "data":
        return ""
    return _policy_text(web, {**csp.directives(web), **csp.written(web.report_only)}, kind)


def _policy_problems(value: str, answer: Answer) -> Iterator[str]:
    # Several policies in one header all hold: the strictest would do, the first is looked at.
    yield from csp.problems(value.split(",", 1)[0], page=answer.kind != "data")


def _policy_weaker(new: str, base: str) -> Iterator[str]:
    yield from csp.weaker(csp.parse(new), csp.parse(base))


def _build_transport(web: Web, _: Kind) -> str:
    flags = ("; includeSubDomains" if web.subdomains else "") + ("; preload" if web.preload else "")
    return f"max-age={web.hsts}{flags}"


def _transport(value: str) -> tuple[int, set[str]]:
    words = [word.strip().lower() for word in value.split(";")]
    ages = [re.fullmatch(r'max-age\s*=\s*"?(\d{1,18})"?', word) for word in words]
    age = next((int(found[1]) for found in ages if found), -1)
    return age, {word for word in words if "=" not in word and word}


def _transport_problems(value: str, _: Answer) -> Iterator[str]:
    age, flags = _transport(value)
    if age < 0:
        yield "has no max-age, so browsers ignore it"
    elif age < _YEAR:
        yield f"holds for {age // 86400} days; a year is the least that preload lists take"
    if "preload" in flags and "includesubdomains" not in flags:
        yield "asks for preload without includeSubDomains, which no list takes"


def _transport_weaker(new: str, base: str) -> Iterator[str]:
    (age, flags), (was, had) = _transport(new), _transport(base)
    if age < was:
        yield f"max-age={age}"
    yield from (f"without {flag}" for flag in sorted(had - flags))


def _choice(
    name: str, rule: Rule, key: str, order: Sequence[str], accepted: int, *, data: bool = True
) -> Row:
    """Return a row of a header with one word, ordered from the strictest to the weakest.

    The first `accepted` words are no finding. Without `data`, only pages need it.
    """

    def word(value: str) -> str:
        # Of a list, browsers take the last word that they know.
        known = [one.strip().lower() for one in value.split(";", maxsplit=1)[0].split(",")]
        known = [one for one in known if one in lower]
        return known[-1] if known else ""

    def problems(value: str, _: Answer) -> Iterator[str]:
        found = word(value)
        if not found:
            yield f"is none of {', '.join(order[:accepted])}"
        elif lower.index(found) >= accepted:
            yield f"is weaker than {order[accepted - 1]}"

    def weaker(new: str, base: str) -> Iterator[str]:
        if lower.index(word(new)) > lower.index(word(base)):
            yield new

    lower = [one.lower() for one in order]
    needed: tuple[Kind, ...] = ("nonced", "page", "data") if data else ("nonced", "page")
    return Row(name, rule, lambda web, _: str(getattr(web, key)), problems, weaker, needed)


def _build_features(web: Web, _: Kind) -> str:
    allowed = set(web.permissions)
    return ", ".join(f"{one}={'(self)' if one in allowed else '()'}" for one in settings.FEATURES)


def _features(value: str) -> dict[str, str]:
    pairs = [part.strip().partition("=") for part in value.split(",")]
    return {name: given.strip() for name, sign, given in pairs if sign}


_POWERFUL: Final = ("camera", "geolocation", "microphone", "payment", "usb")


def _features_problems(value: str, answer: Answer) -> Iterator[str]:
    found = _features(value)
    if answer.kind == "data":
        return
    if wide := sorted(name for name in _POWERFUL if "*" in found.get(name, "")):
        yield f"gives every site {', '.join(wide)}"
    if open_ := sorted(name for name in _POWERFUL if name not in found):
        yield f"says nothing about {', '.join(open_)}"


def _features_weaker(new: str, base: str) -> Iterator[str]:
    now = _features(new)
    for name, was in _features(base).items():
        if was == "()" and now.get(name) != "()":
            yield name


def _nothing(_new: object, _other: object) -> Iterator[str]:
    yield from ()


def _store_problems(value: str, answer: Answer) -> Iterator[str]:
    if answer.kind == "nonced" and "no-store" not in value.lower():
        yield "lets a page with a nonce be stored"


ROWS: Final = (
    Row("Content-Security-Policy", rules.POLICY, _build_policy, _policy_problems, _policy_weaker),
    Row("Content-Security-Policy-Report-Only", rules.POLICY, _build_second, _nothing, _nothing, ()),
    Row(
        "Strict-Transport-Security", rules.TRANSPORT, _build_transport, _transport_problems,
        _transport_weaker,
    ),
    _choice("X-Frame-Options", rules.FRAMING, "frame", settings.FRAME, 2, data=False),
    Row(
        "X-Content-Type-Options", rules.SNIFFING, lambda _web, _kind: "nosniff",
        lambda value, _: () if value.strip().lower() == "nosniff" else ("is not nosniff",),
        _nothing,
    ),
    _choice("Referrer-Policy", rules.REFERRER, "referrer", settings.REFERRER, 4, data=False),
    _choice("Cross-Origin-Opener-Policy", rules.OPENER, "opener", settings.OPENER, 3, data=False),
    _choice(
        "Cross-Origin-Embedder-Policy", rules.EMBEDDER, "embedder", settings.EMBEDDER, 2, data=False
    ),
    _choice("Cross-Origin-Resource-Policy", rules.RESOURCE, "resource", settings.RESOURCE, 2),
    Row(
        "Permissions-Policy", rules.FEATURES, _build_features, _features_problems,
        _features_weaker, ("nonced", "page"),
    ),
    Row(
        "Reporting-Endpoints", rules.REPORTING,
        lambda web, _: f'safehold="{web.report}"' if web.report else "",
        lambda value, _: () if "=" in value else ("names no endpoint",),
        _nothing, ("nonced", "page"),
    ),
    Row(
        "Cache-Control", rules.STORED,
        lambda _, kind: "no-store" if kind == "nonced" else "",
        _store_problems, _nothing, ("nonced",),
    ),
)  # fmt: skip
"""Every header. One that an application sends itself gives way, but for Cache-Control."""

NINE: Final = tuple(row.name for row in ROWS if row.name not in (
    "Content-Security-Policy-Report-Only", "Reporting-Endpoints", "Cache-Control",
))  # fmt: skip
"""The headers that every answer has, whatever it is."""

BANNERS: Final = (
    "Server", "X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version", "X-Generator",
    "X-Runtime", "X-Version", "X-Served-By",
)  # fmt: skip
"""Headers that name the software; an application's own are taken away."""

_OUTDATED: Final = (
    "X-XSS-Protection", "X-Content-Security-Policy", "X-WebKit-CSP", "Feature-Policy",
    "Public-Key-Pins", "Expect-CT", "Report-To",
)  # fmt: skip

DROPPED: Final = frozenset(
    name.lower()
    for name in (*(row.name for row in ROWS if row.name != "Cache-Control"), *BANNERS, *_OUTDATED)
)
"""What an application's own answer loses, in lower case."""


def build(web: Web, kind: Kind) -> list[tuple[str, str]]:
    """Return the headers of an answer; `NONCE` in a policy stands for the nonce."""
    rows = ((row.name, row.build(web, kind)) for row in ROWS)
    return [(name, value) for name, value in rows if value]


def judge(headers: Iterable[tuple[str, str]], answer: Answer) -> Iterator[Finding]:
    """Yield findings about the headers of an answer that somebody made."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    for row in ROWS:
        yield from row.judge(found.get(row.name.lower(), ()), answer)
    for name in BANNERS:
        for value in found.get(name.lower(), [])[:1]:
            detail = {"header": name, "value": value[:_SHOWN]}
            yield Finding.of(
                rules.BANNER, f"{name} names {value[:_SHOWN]!r}", answer.where, detail=detail
            )


def weaker(web: Web, base: Web) -> Iterator[tuple[Row, str]]:
    """Yield the rows of which a page of `web` allows more than one of `base`, and what."""
    for row in ROWS:
        new, was = row.build(web, "nonced"), row.build(base, "nonced")
        if new != was and was:
            yield from ((row, what) for what in row.weaker(new, was))
