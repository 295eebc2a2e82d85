"""Rules of what both a source and a setting can show, so that neither has them for itself."""

from __future__ import annotations

from typing import Final

from safehold.findings import Rule, Severity

HARD_CODED: Final = Rule(
    id="SH301",
    name="hard-coded-secret",
    title="The source holds a secret",
    why="Whoever can read the repository, an image or a package of the service has the secret, "
    "and so has everybody who ever could: git keeps what was deleted.",
    remedy="Make a new secret and revoke this one; have the service read it from the environment "
    "or a secret store, and fail to start without it.",
    severity=Severity.CRITICAL,
    cwe=798,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N",
    score=9.3,
    references=(
        "https://cheatsheetseries.owasp.org/cheatsheets/Secrets_Management_Cheat_Sheet.html",
    ),
)
DEBUG: Final = Rule(
    id="SH302",
    name="debug-on",
    title="Debugging is switched on",
    why="A debugging server shows source, settings and variables to whoever causes an error, and "
    "werkzeug's console runs what they type; a service that is started so in production does both.",
    remedy="Take the flag from the environment, off unless it is set; start the service with a "
    "production server.",
    severity=Severity.HIGH,
    cwe=489,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:L/VA:L/SC:N/SI:N/SA:N",
    score=8.3,
    references=(
        "https://docs.djangoproject.com/en/stable/ref/settings/#debug",
        "https://flask.palletsprojects.com/en/stable/debugging/",
    ),
)
DEFAULT: Final = Rule(
    id="SH303",
    name="default-secret",
    title="A secret has a default that the source holds",
    why="Where the setting is forgotten the service starts without a word, with a key or password "
    "that everybody who reads the source knows.",
    remedy="Leave out the default, as in os.environ['SECRET_KEY'], so that the service does not "
    "start without the setting; for development put a value in a file that is not shipped.",
    severity=Severity.CRITICAL,
    cwe=1392,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=9.2,
    references=("https://cwe.mitre.org/data/definitions/1392.html",),
)
UNVERIFIED: Final = Rule(
    id="SH505",
    name="unverified-peer",
    title="A connection accepts any certificate or host key",
    why="Without the check whoever is on the way to the server can answer in its place, read what "
    "is sent, credentials too, and send what they like.",
    remedy="Leave verification on; give the authority of your own certificates with verify=PATH, "
    "cafile or REQUESTS_CA_BUNDLE, and known host keys with load_host_keys.",
    severity=Severity.HIGH,
    cwe=295,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=8.3,
    references=("https://requests.readthedocs.io/en/latest/user/advanced/#ssl-cert-verification",),
)
