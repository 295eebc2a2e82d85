"""Rules of statements at run time."""

from __future__ import annotations

from typing import Final

from safehold.findings import Rule, Severity

_ANYTHING: Final = "CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
_READING: Final = "CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N"
_WAITING: Final = "CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N"
_MACHINE: Final = "CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H"
_CHANGED: Final = "CVSS:4.0/AV:N/AC:L/AT:P/PR:L/UI:N/VC:N/VI:H/VA:N/SC:N/SI:N/SA:N"
_SLOWED: Final = "CVSS:4.0/AV:N/AC:L/AT:P/PR:L/UI:N/VC:N/VI:N/VA:L/SC:N/SI:N/SA:N"
_SHEET: Final = (
    "https://cheatsheetseries.owasp.org/cheatsheets/SQL_Injection_Prevention_Cheat_Sheet.html"
)
_BIND: Final = "Bind the value: execute(statement, parameters)."
_ALLOW: Final = (
    "Do it apart from the service, by another login. A program that needs it names the rule: "
    "db.guard(..., allow=[...])."
)


def _injected(number: int, name: str, title: str, why: str) -> Rule:
    return Rule(
        id=f"SH{number}", name=name, title=title, why=why, remedy=_BIND, severity=Severity.CRITICAL,
        cwe=89, cvss=_ANYTHING, score=9.2, references=(_SHEET,),
    )  # fmt: skip


STACKED: Final = _injected(
    220,
    "stacked-statements",
    "A text with an input of the request in it is several statements",
    "What stands behind the first semicolon is whatever the sender wants to run.",
)
UNION: Final = _injected(
    221,
    "union-probing",
    "A text with an input of the request in it adds rows of constants by UNION",
    "Rows of NULL and numbers are how somebody finds out how many columns a query has, before the "
    "rows of another table take their place.",
)
TAUTOLOGY: Final = _injected(
    222,
    "tautology",
    "A text with an input of the request in it has a condition that is always true",
    "With OR 1=1 behind it, a condition lets every row through.",
)
CUT_OFF: Final = _injected(
    223,
    "comment-truncation",
    "A text with an input of the request in it ends in a comment",
    "The comment hides what the program wrote behind the input: a password's check, a LIMIT.",
)
DELAY: Final = Rule(
    id="SH224",
    name="time-delay",
    title="A statement waits",
    why="Waiting tells a sender who sees no answer what is in the database, bit by bit, and a few "
    "such requests use up all connections.",
    remedy=_ALLOW,
    severity=Severity.HIGH,
    cwe=89,
    cvss=_WAITING,
    score=8.2,
)
SCHEMA: Final = Rule(
    id="SH225",
    name="schema-probing",
    title="A text with an input of the request in it reads the catalogue of the database",
    why="Names of tables, columns and logins are what the next statement of an attack is made of.",
    remedy=_BIND,
    severity=Severity.HIGH,
    cwe=89,
    cvss=_READING,
    score=8.2,
)
FILES: Final = Rule(
    id="SH226",
    name="file-access",
    title="A statement reads or writes files of the server",
    why="Keys, settings and pages of a web server are files, too.",
    remedy=_ALLOW,
    severity=Severity.CRITICAL,
    cwe=73,
    cvss=_ANYTHING,
    score=9.2,
)
PROGRAMS: Final = Rule(
    id="SH227",
    name="program-access",
    title="A statement starts a program or loads a library",
    why="It runs with the rights of the server, outside of the database.",
    remedy=_ALLOW,
    severity=Severity.CRITICAL,
    cwe=78,
    cvss=_MACHINE,
    score=9.5,
)
NETWORK: Final = Rule(
    id="SH228",
    name="network-access",
    title="A statement connects to another server",
    why="It carries data out past every firewall that the service is behind.",
    remedy=_ALLOW,
    severity=Severity.HIGH,
    cwe=918,
    cvss=_READING,
    score=8.2,
)
PRIVILEGES: Final = Rule(
    id="SH229",
    name="privilege-change",
    title="A statement changes who may do what",
    why="A service at run time uses rights and hands out none; an attacker makes a login to come "
    "back by.",
    remedy=_ALLOW,
    severity=Severity.CRITICAL,
    cwe=269,
    cvss=_ANYTHING,
    score=9.2,
)
SETTINGS: Final = Rule(
    id="SH230",
    name="limits-undone",
    title="A statement undoes a limit of the guard",
    why="A session may take back its own timeouts, and that it only reads.",
    remedy="Leave the limits to db.guard; take another login where a program needs others.",
    severity=Severity.MEDIUM,
    cwe=693,
    cvss=_CHANGED,
    score=6.0,
)
WRITES: Final = Rule(
    id="SH231",
    name="write-while-reading",
    title="A statement writes by a connection that is for reading",
    why="A service that only shows data cannot be made to change any.",
    remedy="Write by another engine, guarded without read_only; give this one's login no rights "
    "to write, which holds whatever a statement says.",
    severity=Severity.MEDIUM,
    cwe=285,
    cvss=_CHANGED,
    score=6.0,
)
UNREADABLE: Final = Rule(
    id="SH232",
    name="unreadable-statement",
    title="A statement of a request cannot be read",
    why="A quote that does not end is what injections look like before they work, and of what "
    "cannot be split into tokens nothing can be said.",
    remedy="Check the statement, and the dialect and modes that the guard was given.",
    severity=Severity.HIGH,
    cwe=89,
    cvss=_READING,
    score=8.2,
)
TOO_MANY: Final = Rule(
    id="SH233",
    name="too-many-rows",
    title="A statement has more rows than the guard lets through",
    why="One request that reads a whole table takes it out, or the memory of the service.",
    remedy="Ask for pages (LIMIT), or raise max_rows.",
    severity=Severity.LOW,
    cwe=770,
    cvss=_SLOWED,
    score=2.3,
)
SLOW: Final = Rule(
    id="SH234",
    name="slow-statement",
    title="A statement took long",
    why="Few slow statements keep every connection busy.",
    remedy="Look at the plan in the event: an index, a LIMIT, or another statement.",
    severity=Severity.LOW,
    cwe=400,
    cvss=_SLOWED,
    score=2.3,
)
UNFOLLOWED: Final = Rule(
    id="SH235",
    name="unfollowed-request",
    title="A request has more inputs than can be looked for in a statement",
    why="Of an input that is left out nothing could be said, and whoever attacks would send many.",
    remedy="Let requests be smaller ([requests] body), or send the statement outside of the "
    "request; a text that was sent in a smaller request before goes through.",
    severity=Severity.LOW,
    cwe=770,
    cvss=_SLOWED,
    score=2.3,
)

RULES: Final = (
    STACKED,
    UNION,
    TAUTOLOGY,
    CUT_OFF,
    DELAY,
    SCHEMA,
    FILES,
    PROGRAMS,
    NETWORK,
    PRIVILEGES,
    SETTINGS,
    WRITES,
    UNREADABLE,
    TOO_MANY,
    SLOW,
    UNFOLLOWED,
)
