"""Content-Security-Policy: the strict policy, its text for one request, and how to judge one.

A page gets a nonce and `strict-dynamic`; an answer that is no page may load nothing at all.
What is judged is one policy, as browsers read it: the first of two equal directives counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from safehold.policy.web import NONCE, Web

Sources = Mapping[str, tuple[str, ...]]

_SELF: Final = ("'self'",)
_NOTHING: Final = ("'none'",)
STRICT: Final[Sources] = {
    "default-src": _NOTHING,
    "script-src": (NONCE, "'strict-dynamic'"),
    "style-src": ("'self'", NONCE),
    "img-src": ("'self'", "data:"),
    "font-src": _SELF,
    "connect-src": _SELF,
    "media-src": _SELF,
    "manifest-src": _SELF,
    "worker-src": _SELF,
    "object-src": _NOTHING,
    "base-uri": _NOTHING,
    "form-action": _SELF,
    "frame-ancestors": _NOTHING,
}
"""The policy of a page."""
CLOSED: Final[Sources] = {
    "default-src": _NOTHING,
    "base-uri": _NOTHING,
    "form-action": _NOTHING,
    "frame-ancestors": _NOTHING,
}
"""The policy of what is no page: JSON, files, redirects."""

_FALLS_BACK: Final = frozenset(
    name for name in (
        "script-src", "style-src", "img-src", "font-src", "connect-src", "media-src",
        "manifest-src", "worker-src", "child-src", "frame-src", "object-src",
        "script-src-elem", "script-src-attr", "style-src-elem", "style-src-attr",
    )
)  # fmt: skip
_PARENTS: Final = {
    "script-src-elem": "script-src",
    "script-src-attr": "script-src",
    "style-src-elem": "style-src",
    "style-src-attr": "style-src",
    "worker-src": "child-src",
    "frame-src": "child-src",
}
_WIDE: Final = frozenset(("*", "http:", "https:", "ws:", "wss:", "data:", "blob:", "filesystem:"))
_UNSAFE: Final = ("'unsafe-inline'", "'unsafe-eval'", "'unsafe-hashes'")
_HASH: Final = re.compile(r"'sha(?:256|384|512)-[A-Za-z0-9+/_-]+={0,2}'", re.IGNORECASE)
_NONCED: Final = re.compile(r"'nonce-([A-Za-z0-9+/_-]+={0,2})'", re.IGNORECASE)
_LEAST_NONCE: Final = 22  # characters of base64 for 128 bits


def directives(web: Web) -> dict[str, tuple[str, ...]]:
    """Return the directives of a page under a policy, with `NONCE` where the nonce goes."""
    found = dict(STRICT)
    if web.scripts:
        hashes = tuple(f"'{one}'" for one in web.scripts)
        found["script-src"] = (*hashes, *found["script-src"])
    if web.frame == "SAMEORIGIN":
        found["frame-ancestors"] = _SELF
    if web.trusted_types:
        found["require-trusted-types-for"] = ("'script'",)
    return {**found, **written(web.csp)}


def written(pairs: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    """Return directives as somebody gave them, `'none'` for a list without sources."""
    return {name: sources or (() if name == "sandbox" else _NOTHING) for name, sources in pairs}


def text(policy: Sources, report: str = "") -> str:
    """Return a policy as one line, with `NONCE` where the nonce goes."""
    parts = [" ".join((name, *sources)) for name, sources in policy.items()]
    if report:
        parts += [f"report-uri {report}", "report-to safehold"]
    return "; ".join(parts)


def without_nonce(policy: Sources) -> dict[str, tuple[str, ...]]:
    """Return a policy for a page that has no nonce: what only a nonce allowed is not allowed."""
    out = {}
    for name, sources in policy.items():
        left = tuple(source for source in sources if source != NONCE)
        if left != sources and not any(map(_HASH.fullmatch, left)):
            left = tuple(source for source in left if source != "'strict-dynamic'")
        out[name] = left or _NOTHING
    return out


def parse(value: str) -> dict[str, tuple[str, ...]]:
    """Return the directives of one policy, lower-case names; of two equal ones the first."""
    found: dict[str, tuple[str, ...]] = {}
    for part in value.split(";"):
        words = part.split()
        if words:
            found.setdefault(words[0].lower(), tuple(words[1:]))
    return found


def effective(policy: Mapping[str, tuple[str, ...]], name: str) -> tuple[str, ...] | None:
    """Return the sources that count for a directive, None if nothing limits it."""
    if name in policy:
        return policy[name]
    if name not in _FALLS_BACK:
        return None
    return (
        effective(policy, _PARENTS.get(name, "default-src"))
        if name != "child-src"
        else (policy.get("default-src"))
    )


def weaker(new: Sources, base: Sources) -> list[str]:
    """Return the directives of `new` that allow what `base` does not."""
    return [name for name in dict.fromkeys((*base, *new)) if _allows_more(name, new, base)]


def _allows_more(name: str, new: Sources, base: Sources) -> bool:
    if name == "require-trusted-types-for":
        return not set(base.get(name, ())) <= set(new.get(name, ()))
    if name == "sandbox":  # its words allow something; without it everything is allowed
        return name in base and (name not in new or not set(new[name]) <= set(base[name]))
    was, now = effective(base, name), effective(new, name)
    if was is None:
        return False
    if now is None:
        return True
    return not set(_plain(now)) <= set(_plain(was))


def _plain(sources: tuple[str, ...]) -> tuple[str, ...]:
    """Return what allows something: no `'none'`; a host without a scheme stays as it is."""
    return tuple(source.lower() if source[:1] == "'" and not _HASH.fullmatch(source)
                 and not _NONCED.fullmatch(source) else source
                 for source in sources if source.lower() not in _QUIET)  # fmt: skip


_QUIET: Final = frozenset(("'none'", "'report-sample'"))


def problems(value: str, *, page: bool) -> Iterator[str]:
    """Yield what is weak about a policy."""
    policy = parse(value)
    if not page:
        if effective(policy, "script-src") not in (_NOTHING, ()):
            yield from _scripts(policy)
        return
    yield from _scripts(policy)
    if set(_plain(effective(policy, "object-src") or ("*",))):
        yield "object-src is not 'none': plug-ins run what they load"
    if set(_plain(policy.get("base-uri", ("*",)))) - {"'self'"}:
        yield "base-uri is not 'none' or 'self': an injected <base> moves every relative script"
    if "frame-ancestors" not in policy:
        yield "frame-ancestors is missing: any site may put the page into a frame"
    elif set(policy["frame-ancestors"]) & _WIDE:
        yield "frame-ancestors lets any site put the page into a frame"
    if "form-action" not in policy:
        yield "form-action is missing: an injected form sends what is typed to any site"
    elif set(policy["form-action"]) & _WIDE:
        yield "form-action lets forms be sent to any site"
    style = effective(policy, "style-src") or ("*",)
    if "'unsafe-inline'" in _plain(style) and not _vouched(style):
        yield "style-src allows inline styles, which can read a page's values out"
    for name, sources in policy.items():
        if any(source.lower().startswith("http://") for source in sources):
            yield f"{name} names a source without encryption"


def _scripts(policy: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for name in ("script-src", "script-src-elem", "script-src-attr"):
        if name != "script-src" and name not in policy:
            continue
        sources = effective(policy, name)
        if sources is None:
            yield f"neither {name} nor default-src is there: any script runs"
            continue
        plain = _plain(sources)
        for word in _UNSAFE:
            # Browsers ignore 'unsafe-inline' beside a nonce or a hash.
            if word in plain and not (word == "'unsafe-inline'" and _vouched(sources)):
                yield f"{name} allows {word}"
        strict = "'strict-dynamic'" in plain
        if strict and not _vouched(sources):
            yield f"{name} has 'strict-dynamic' and no nonce: no script can run"
        if not strict:
            if wide := sorted(set(plain) & _WIDE):
                yield f"{name} allows scripts from {', '.join(wide)}"
            elif hosts := [one for one in plain if one[:1] != "'" and one not in _WIDE]:
                yield f"{name} trusts whole hosts: {', '.join(hosts[:5])}"
        for source in sources:
            nonce = _NONCED.fullmatch(source)
            if nonce and len(nonce[1].rstrip("=")) < _LEAST_NONCE:
                yield f"{name} has a nonce of fewer than 128 bits"


def _vouched(sources: tuple[str, ...]) -> bool:
    return any(_HASH.fullmatch(source) or _NONCED.fullmatch(source) or source == NONCE
               for source in sources)  # fmt: skip
