"""Rules about secrets outside of sources in Python; those have SH301."""

from __future__ import annotations

from typing import Final

from safehold.findings import Rule, Severity

_KNOWN_TO_READERS: Final = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N"
_REFERENCES: Final = (
    "https://cheatsheetseries.owasp.org/cheatsheets/Secrets_Management_Cheat_Sheet.html",
)

IN_FILE = Rule(
    id="SH340",
    name="secret-in-file",
    title="A file of the tree holds a secret",
    why="Whoever can read the repository, an image or a backup has the secret, and a secret that "
    "several people have is nobody's to revoke.",
    remedy="Make a new secret and revoke this one; keep it in a secret store or in a file that is "
    "neither committed nor shipped.",
    severity=Severity.CRITICAL,
    cwe=798,
    cvss=_KNOWN_TO_READERS,
    score=9.3,
    references=_REFERENCES,
)
IN_HISTORY = Rule(
    id="SH341",
    name="secret-in-history",
    title="A commit holds a secret",
    why="Git keeps what a later commit deletes, and every clone has it.",
    remedy="Make a new secret and revoke this one; only then does rewriting the history help, and "
    "it does not reach the clones.",
    severity=Severity.CRITICAL,
    cwe=540,
    cvss=_KNOWN_TO_READERS,
    score=9.3,
    references=_REFERENCES,
)
OLD = Rule(
    id="SH342",
    name="secret-due-for-rotation",
    title="A secret is older than it may be",
    why="The longer a secret is in use, the more people, machines and backups have it.",
    remedy="Make a new secret, have everything use it, revoke this one; where it came to light, do "
    "so today.",
    severity=Severity.MEDIUM,
    cwe=324,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=6.3,
    references=_REFERENCES,
)
RULES: Final = (IN_FILE, IN_HISTORY, OLD)
