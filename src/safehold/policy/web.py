"""``[web]``: the headers of every response, and what pages may load."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from safehold.policy.alerts import Reading

FRAME: Final = ("DENY", "SAMEORIGIN")
REFERRER: Final = (
    "no-referrer",
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
    "origin",
    "origin-when-cross-origin",
    "no-referrer-when-downgrade",
    "unsafe-url",
)
OPENER: Final = ("same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none")
EMBEDDER: Final = ("require-corp", "credentialless", "unsafe-none")
RESOURCE: Final = ("same-origin", "same-site", "cross-origin")
DIRECTIVES: Final = (
    "default-src", "script-src", "script-src-elem", "script-src-attr", "style-src",
    "style-src-elem", "style-src-attr", "img-src", "font-src", "connect-src", "media-src",
    "manifest-src", "worker-src", "child-src", "frame-src", "object-src", "base-uri",
    "form-action", "frame-ancestors", "require-trusted-types-for", "trusted-types", "sandbox",
)  # fmt: skip
FEATURES: Final = (
    "accelerometer", "autoplay", "browsing-topics", "camera", "clipboard-read", "display-capture",
    "encrypted-media", "fullscreen", "geolocation", "gyroscope", "hid", "identity-credentials-get",
    "idle-detection", "local-fonts", "magnetometer", "microphone", "midi", "payment",
    "picture-in-picture", "publickey-credentials-get", "screen-wake-lock", "serial", "usb",
    "xr-spatial-tracking",
)  # fmt: skip
NONCE: Final = "'nonce'"
"""Stands in a list of sources for the nonce of the request."""

Sources = tuple[tuple[str, tuple[str, ...]], ...]
"""Directives and their sources; pairs, so that a policy can be hashed."""
_CHOICES: Final = {
    "frame": FRAME,
    "referrer": REFERRER,
    "opener": OPENER,
    "embedder": EMBEDDER,
    "resource": RESOURCE,
}
_FLAGS: Final = ("subdomains", "preload", "trusted_types")
_MOST_AGE: Final = 10 * 366 * 86400
# One source or keyword: nothing that could end a directive, a header or an attribute.
_SOURCE: Final = re.compile(r"[!#-+\--:<-~]{1,512}")
_HASH: Final = re.compile(r"sha(?:256|384|512)-[A-Za-z0-9+/]{43,86}={0,2}")
_PATH: Final = re.compile(r"/[A-Za-z0-9._~/-]{0,200}")


@dataclass(frozen=True, slots=True)
class Web:
    """What the headers say; the defaults are the strictest that a page of its own can live with.

    ``csp`` holds whole directives in place of the default ones, ``report_only`` those of a second
    policy, which browsers report but do not enforce. ``permissions``: features that the service's
    own pages may use. ``scripts``: hashes of inline scripts, or of files with an integrity.
    ``allow_unsafe`` is the reason why something is weaker than by default.
    """

    hsts: int = 2 * 365 * 86400
    subdomains: bool = True
    preload: bool = True
    frame: str = "DENY"
    referrer: str = "strict-origin-when-cross-origin"
    opener: str = "same-origin"
    embedder: str = "require-corp"
    resource: str = "same-origin"
    permissions: tuple[str, ...] = ()
    trusted_types: bool = False
    scripts: tuple[str, ...] = ()
    report: str = "/.well-known/safehold/report"
    docs: str = ""
    allow_unsafe: str = ""
    csp: Sources = ()
    report_only: Sources = ()


KEYS: Final = tuple(item.name for item in fields(Web))


def problem(key: str, value: object) -> str:
    """Say what is wrong with the value of one key, ``""`` if nothing is."""
    if key in _CHOICES:
        return "" if value in _CHOICES[key] else f"must be one of {', '.join(_CHOICES[key])}"
    if key in _FLAGS:
        return "" if isinstance(value, bool) else "must be true or false"
    if key == "hsts":
        right = type(value) is int and 0 <= value <= _MOST_AGE  # a flag is no number
        return "" if right else f"must be a whole number of seconds, 0 to {_MOST_AGE:,}"
    if key in ("csp", "report_only"):
        return _problem_of_sources(value)
    if key in ("permissions", "scripts"):
        return _problem_of_list(key, value)
    if not isinstance(value, str):
        return "must be a string"
    if key == "allow_unsafe":
        return "" if value == "" or (value.isprintable() and value.strip()) else "must be a reason"
    if value and (not _PATH.fullmatch(value) or value.startswith("//")):
        return "must be a path on this site, beginning with one /"
    return ""


def _problem_of_list(key: str, value: object) -> str:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        return "must be a list of strings"
    if key == "permissions":
        wrong = [item for item in value if item not in FEATURES]
        return f"must be of {', '.join(FEATURES)}" if wrong else ""
    wrong = [item for item in value if not _HASH.fullmatch(item)]
    return "must be hashes such as sha256-… in base64" if wrong else ""


def _problem_of_sources(value: object) -> str:
    if not isinstance(value, Mapping):
        return "must be a table of directives and lists of sources"
    for directive, sources in value.items():
        if directive not in DIRECTIVES:
            return f"has no directive of the list: {', '.join(DIRECTIVES)}"
        if not isinstance(sources, list | tuple):
            return f"must give {directive} a list of sources"
        for source in sources:
            if not isinstance(source, str) or not _SOURCE.fullmatch(source):
                return f"must give {directive} sources of printable ASCII without spaces, ; and ,"
    return ""


def frozen(value: Any) -> Any:
    """Return a value as a policy holds it."""
    if isinstance(value, Mapping):
        return tuple((name, tuple(items)) for name, items in value.items())
    return tuple(value) if isinstance(value, list) else value


def parse_web(table: object, reading: Reading) -> Web:
    """Build the section from its table. Raises ConfigError."""
    given: dict[str, Any] = {}
    for key, value in reading.table(table, "web").items():
        if wrong := problem(key, value):
            raise reading.error(f"web.{key}", wrong)
        given[key] = frozen(value)
    for key in KEYS:
        reading.noted(f"web.{key}")
    return Web(**given)


def web_lines(web: Web, quote: Callable[[str], str]) -> Iterator[str]:
    """Yield the section as TOML; nothing if everything is as by default."""
    plain = Web()
    tables = [key for key in ("csp", "report_only") if getattr(web, key)]
    changed = [
        key for key in KEYS if getattr(web, key) != getattr(plain, key) and key not in tables
    ]
    if changed or tables:
        yield from ("", "[web]")
    for key in changed:
        value = getattr(web, key)
        if isinstance(value, bool):
            yield f"{key} = {str(value).lower()}"
        elif isinstance(value, tuple):
            yield f"{key} = [{', '.join(map(quote, value))}]"
        else:
            yield f"{key} = {value if isinstance(value, int) else quote(value)}"
    for key in tables:
        yield from ("", f"[web.{key}]")
        for directive, sources in getattr(web, key):
            yield f"{directive} = [{', '.join(map(quote, sources))}]"
