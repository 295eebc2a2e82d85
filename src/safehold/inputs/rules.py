"""Rules on typed inputs and confinement: SH550 to SH569. Tripwires have SH500 to SH549."""

from __future__ import annotations

from safehold.findings import Rule, Severity

REFUSED = Rule(
    id="SH551",
    name="input-not-of-its-type",
    title="An input is not of the type that the endpoint expects",
    why="Control characters end lines of logs and strings of C, names with separators are paths, "
    "and a text of any length is a cost that the sender chooses.",
    remedy="Nothing, if the sender is in the wrong. If the text is legitimate, give the field a "
    "type that allows it, such as MultilineText for more than one line.",
    severity=Severity.LOW,
    cwe=20,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=6.3,
)
ESCAPES = Rule(
    id="SH552",
    name="path-leaves-its-directory",
    title="A path leads out of the directory that it is confined to",
    why="A name with dots, an absolute one or a symbolic link would read or write files of the "
    "service itself.",
    remedy="Find out who sent or made it. A link that is meant to lead out has to be replaced by "
    "a directory, or by a mount.",
    severity=Severity.HIGH,
    cwe=22,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N",
    score=8.7,
)
ARCHIVE = Rule(
    id="SH553",
    name="hostile-archive",
    title="An archive would write outside, over other files, or without measure",
    why="Members name where they are written to; links among them lead elsewhere, and a few "
    "kilobytes unpack to gigabytes.",
    remedy="Refuse the upload. If the archive is legitimate, raise the limit that it names, or "
    "pack it without links.",
    severity=Severity.HIGH,
    cwe=22,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=8.8,
)
DESTINATION = Rule(
    id="SH554",
    name="url-to-inside",
    title="A URL leads to an address that the service must not reach for others",
    why="The service stands where the sender does not: metadata of the cloud, neighbours and "
    "its own ports answer it.",
    remedy="Find out who sent it. A service that is meant to be reached is listed in "
    "Destinations(networks=...).",
    severity=Severity.HIGH,
    cwe=918,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:N/VA:N/SC:H/SI:L/SA:N",
    score=9.0,
)
ARGUMENT = Rule(
    id="SH555",
    name="argument-is-an-option",
    title="An argument of a program would be an option of it",
    why="Many programs run others, or write files, when an option says so.",
    remedy="Put what is fixed into the program's part of argv, options among it; refuse the rest.",
    severity=Severity.HIGH,
    cwe=88,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=9.2,
)
JSON = Rule(
    id="SH556",
    name="json-beyond-limits",
    title="A JSON text is larger or deeper than allowed, or means different things to readers",
    why="Depth costs stack, size costs memory, and of two equal names one reader takes the first "
    "and another the last.",
    remedy="Raise the limit at the endpoint if the text is legitimate.",
    severity=Severity.MEDIUM,
    cwe=1284,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:L/SC:N/SI:N/SA:N",
    score=6.9,
)

RULES = (REFUSED, ESCAPES, ARCHIVE, DESTINATION, ARGUMENT, JSON)
