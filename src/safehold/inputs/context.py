"""Rules of the in-context checks: an input is more than a value of a statement or command."""

from __future__ import annotations

from safehold.findings import Rule, Severity

SQL = Rule(
    id="SH510",
    name="input-leaves-its-token",
    title="An input of the request is a part of a statement's structure",
    why="The text of the statement holds the input, and not as one literal: the database reads "
    "words, quotes or comments that the sender chose. Bound parameters are no part of the text.",
    remedy="Bind the value (execute(statement, parameters)); for the name of a table or column "
    "use a fixed set or safehold.db.ident(name, dialect).",
    severity=Severity.CRITICAL,
    cwe=89,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=9.3,
    references=(
        "https://cheatsheetseries.owasp.org/cheatsheets/SQL_Injection_Prevention_Cheat_Sheet.html",
    ),
)
COMMAND = Rule(
    id="SH511",
    name="input-leaves-its-word",
    title="An input of the request is more than one word of a command",
    why="The shell reads operators, expansions or further words that the sender chose.",
    remedy="Start the program with a list of arguments and without a shell; safehold.inputs has "
    "types for arguments.",
    severity=Severity.CRITICAL,
    cwe=78,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=9.3,
    references=(
        "https://cheatsheetseries.owasp.org/cheatsheets/OS_Command_Injection_Defense_Cheat_Sheet.html",
    ),
)
RULES = (SQL, COMMAND)
