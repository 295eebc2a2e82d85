"""Rules of headers, SH401 to SH419: what an answer has to say to the browser.

Rules of requests, cookies and reports begin at SH420.
"""

from __future__ import annotations

from safehold.findings import Rule, Severity

_SCRIPT = "CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:P/VC:L/VI:L/VA:N/SC:L/SI:L/SA:N"
_READ = "CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:P/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N"

POLICY = Rule(
    id="SH401",
    name="content-security-policy",
    title="The content security policy is missing or lets injected scripts run",
    why="A page that echoes hostile text runs it as a script of the site, with the session of "
    "whoever looks at it, unless the browser was told which scripts are meant.",
    remedy="Wrap the application in safehold.web.SecurityHeaders and give scripts the nonce of "
    "the request.",
    severity=Severity.LOW,
    cwe=1021,
    cvss=_SCRIPT,
    score=2.3,
    references=("https://www.w3.org/TR/CSP3/", "https://web.dev/articles/strict-csp"),
)
TRANSPORT = Rule(
    id="SH402",
    name="strict-transport-security",
    title="Browsers are not told to use HTTPS alone",
    why="The first request of a visit goes out in the clear, and whoever is on the way answers it.",
    remedy="Serve HTTPS and send Strict-Transport-Security with a max-age of a year or more.",
    severity=Severity.MEDIUM,
    cwe=319,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:P/VC:H/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=6.0,
    references=("https://www.rfc-editor.org/rfc/rfc6797",),
)
FRAMING = Rule(
    id="SH403",
    name="framing",
    title="Other sites may put the page into a frame",
    why="A frame below a picture turns a click on the picture into a click on the page.",
    remedy="Send X-Frame-Options: DENY, and frame-ancestors 'none' in the policy.",
    severity=Severity.MEDIUM,
    cwe=1021,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:A/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=5.1,
)
SNIFFING = Rule(
    id="SH404",
    name="content-type-options",
    title="The browser may guess a content type",
    why="An upload that looks like a script or a page is taken for one.",
    remedy="Send X-Content-Type-Options: nosniff.",
    severity=Severity.LOW,
    cwe=430,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:A/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=2.1,
)
REFERRER = Rule(
    id="SH405",
    name="referrer-policy",
    title="Addresses of pages are told to other sites",
    why="Paths and queries hold names, ids and sometimes tokens.",
    remedy="Send Referrer-Policy: strict-origin-when-cross-origin, or a stricter one.",
    severity=Severity.LOW,
    cwe=200,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:A/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N",
    score=2.1,
)
OPENER = Rule(
    id="SH406",
    name="cross-origin-opener-policy",
    title="Windows of other sites can reach the page",
    why="A page that was opened by another site shares a process and a handle with it.",
    remedy="Send Cross-Origin-Opener-Policy: same-origin.",
    severity=Severity.LOW,
    cwe=346,
    cvss=_READ,
    score=2.3,
)
EMBEDDER = Rule(
    id="SH407",
    name="cross-origin-embedder-policy",
    title="The page embeds what has not agreed to it",
    why="Without it a page cannot be isolated from what it loads, which side channels can read.",
    remedy="Send Cross-Origin-Embedder-Policy: require-corp, or credentialless.",
    severity=Severity.LOW,
    cwe=346,
    cvss=_READ,
    score=2.3,
)
RESOURCE = Rule(
    id="SH408",
    name="cross-origin-resource-policy",
    title="Other sites can embed the answer",
    why="What is loaded into another site's process can be read by side channels, with the "
    "cookies of whoever looks at that site.",
    remedy="Send Cross-Origin-Resource-Policy: same-origin.",
    severity=Severity.LOW,
    cwe=346,
    cvss=_READ,
    score=2.3,
)
FEATURES = Rule(
    id="SH409",
    name="permissions-policy",
    title="Injected or embedded code may ask for the camera and the like",
    why="A request of a frame appears under the site's name.",
    remedy="Send a Permissions-Policy that turns off what the pages do not use.",
    severity=Severity.LOW,
    cwe=276,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:A/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=2.1,
)
REPORTING = Rule(
    id="SH410",
    name="reporting-endpoints",
    title="Nobody hears of violations of the policy",
    why="A blocked script is the first sign of an injection, and browsers tell it if asked.",
    remedy="Send Reporting-Endpoints, and report-to in the policy.",
    severity=Severity.INFO,
    cwe=778,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:P/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=2.3,
)
STORED = Rule(
    id="SH411",
    name="stored-nonce",
    title="A page with a nonce may be stored",
    why="A nonce that a cache hands out twice can be known before a page is made, and used in it.",
    remedy="Send Cache-Control: no-store with every page that has a nonce.",
    severity=Severity.LOW,
    cwe=525,
    cvss=_SCRIPT,
    score=2.3,
)
BANNER = Rule(
    id="SH412",
    name="server-banner",
    title="The answer names the software that made it",
    why="A version tells which published holes to try.",
    remedy="Remove the header; uvicorn has --no-server-header, gunicorn and proxies have settings.",
    severity=Severity.INFO,
    cwe=200,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:P/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N",
    score=2.3,
)
LOOSENED = Rule(
    id="SH413",
    name="loosened-header",
    title="A header is weaker than it is by default",
    why="Somebody gave a reason for it, which may have gone since.",
    remedy="Take allow_unsafe away together with what it allows.",
    severity=Severity.LOW,
    cwe=693,
    cvss=_SCRIPT,
    score=2.3,
)
TWICE = Rule(
    id="SH414",
    name="header-twice",
    title="A header is sent twice",
    why="Browsers take the first, the last, both or none, each header in its own way.",
    remedy="Let one place send it: what is outermost.",
    severity=Severity.LOW,
    cwe=436,
    cvss=_SCRIPT,
    score=2.3,
)

RULES = (
    POLICY, TRANSPORT, FRAMING, SNIFFING, REFERRER, OPENER, EMBEDDER, RESOURCE, FEATURES,
    REPORTING, STORED, BANNER, LOOSENED, TWICE,
)  # fmt: skip
