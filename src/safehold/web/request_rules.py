"""Rules of requests, cookies, reports and running sites, SH420 and up."""

from __future__ import annotations

from safehold.findings import Rule, Severity

_SESSION = "CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:P/VC:H/VI:L/VA:N/SC:N/SI:N/SA:N"
_STALL = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:L/SC:N/SI:N/SA:N"

HOST = Rule(
    id="SH420",
    name="host-refused",
    title="A request names a host that the service is not",
    why="What is built of the Host header, such as a link in a mail or a redirect, leads to where "
    "whoever wrote the header wants; a cache keeps it for others.",
    remedy="Name the service's hosts in [requests] hosts, and let the proxy pass on Host as it is.",
    severity=Severity.LOW,
    cwe=644,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:P/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=2.3,
)
CROSS_SITE = Rule(
    id="SH421",
    name="cross-site-request",
    title="A page of another site made a request",
    why="The browser sends it with the cookies of whoever looks at that page.",
    remedy="Name origins that may use the service in [requests] origins, and paths that any site "
    "may load in shared.",
    severity=Severity.MEDIUM,
    cwe=352,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:A/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=5.1,
    references=("https://web.dev/articles/fetch-metadata",),
)
UNENCRYPTED = Rule(
    id="SH422",
    name="unencrypted",
    title="The service answers over HTTP",
    why="Whoever is on the way reads what is sent, and changes the answer.",
    remedy="Send every request over HTTP to HTTPS: [requests] https, or the proxy's setting.",
    severity=Severity.MEDIUM,
    cwe=319,
    cvss=_SESSION,
    score=6.0,
)
LARGE_BODY = Rule(
    id="SH423",
    name="large-body",
    title="A request has a larger body than is allowed",
    why="Most applications read a body into memory before they look at it.",
    remedy="If the request is meant, raise [requests] body, or bodies for its path.",
    severity=Severity.LOW,
    cwe=770,
    cvss=_STALL,
    score=6.9,
)
DEEP_JSON = Rule(
    id="SH424",
    name="deep-json",
    title="A request has JSON that is nested too deeply, or is no UTF-8",
    why="Parsers and what walks over their result use stack for each level; text in another "
    "encoding passes checks that look at bytes.",
    remedy="If the request is meant, raise [requests] depth.",
    severity=Severity.LOW,
    cwe=674,
    cvss=_STALL,
    score=6.9,
)
COOKIE = Rule(
    id="SH425",
    name="cookie-flags",
    title="A cookie goes further than it has to",
    why="Without Secure it is sent in the clear, without HttpOnly every script of the page reads "
    "it, without SameSite other sites' requests carry it.",
    remedy="Set Secure, HttpOnly and SameSite=Lax, and name a session's cookie __Host-….",
    severity=Severity.MEDIUM,
    cwe=614,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:A/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N",
    score=5.9,
)
VIOLATION = Rule(
    id="SH426",
    name="violation-reported",
    title="A browser reported what a page's policy does not allow",
    why="Either a page has something that the policy forgot, or somebody injected it. Anybody can "
    "send such a report.",
    remedy="Look at the page and the directive: mend the page, or search for the injection.",
    severity=Severity.LOW,
    cwe=79,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:P/VC:L/VI:L/VA:N/SC:L/SI:L/SA:N",
    score=2.3,
)
CERTIFICATE = Rule(
    id="SH427",
    name="certificate",
    title="The certificate does not verify",
    why="Who accepts it accepts one of whoever is on the way as well.",
    remedy="Get a certificate for the name from an authority that clients know; send the whole "
    "chain, and renew it in time.",
    severity=Severity.HIGH,
    cwe=295,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N",
    score=9.1,
)
MIXED = Rule(
    id="SH428",
    name="mixed-content",
    title="An encrypted page loads or sends something without encryption",
    why="Whoever is on the way can change a script or read a form.",
    remedy="Use https:// or a path without scheme and host.",
    severity=Severity.MEDIUM,
    cwe=319,
    cvss=_SESSION,
    score=6.0,
)
UNREACHABLE = Rule(
    id="SH429",
    name="unreachable",
    title="A page could not be fetched",
    why="Nothing is known about it.",
    remedy="Check the address, and that the service runs.",
    severity=Severity.INFO,
    cwe=693,
    cvss=_SESSION,
    score=6.0,
)
LOOSENED_CHECK = Rule(
    id="SH430",
    name="loosened-check",
    title="A check of requests or a flag of a cookie is off",
    why="Somebody gave a reason for it, which may have gone since.",
    remedy="Take the exception out of [requests] together with what needs it.",
    severity=Severity.LOW,
    cwe=693,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:P/VC:L/VI:L/VA:N/SC:L/SI:L/SA:N",
    score=2.3,
)

RULES = (
    HOST, CROSS_SITE, UNENCRYPTED, LARGE_BODY, DEEP_JSON, COOKIE, VIOLATION, CERTIFICATE, MIXED,
    UNREACHABLE, LOOSENED_CHECK,
)  # fmt: skip
