"""Rules of the artifact scanner."""

from __future__ import annotations

from safehold.findings import Rule, Severity

_PICKLE_DOCS = "https://docs.python.org/3/library/pickle.html#restricting-globals"
_RUNS_CODE = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H"
# A name without a known effect needs a gadget in the loading process: AT:P, and only the vulnerable
# system itself is counted.
_MAY_RUN_CODE = "CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
_EXHAUSTS = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:P/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N"
_UNREAD = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:P/VC:L/VI:L/VA:L/SC:N/SI:N/SA:N"
_WRITES_FILES = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:P/VC:N/VI:H/VA:H/SC:N/SI:N/SA:N"
_READS_FILES = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:P/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N"
_RENDERED = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:P/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H"

DANGEROUS_GLOBAL = Rule(
    id="SH101",
    name="dangerous-global",
    title="The artifact names something that runs code or reaches the system",
    why="Loading calls what the file names, so whoever wrote it chooses what runs.",
    remedy="Do not load the file; find out who wrote it and restore it from a trusted source.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss=_RUNS_CODE,
    score=10.0,
    references=(_PICKLE_DOCS,),
)
UNKNOWN_GLOBAL = Rule(
    id="SH102",
    name="unknown-global",
    title="The artifact names something that is not known to be harmless",
    why="Only listed classes and functions are known to do nothing else while they are loaded.",
    remedy="If it is a class of your own, list its exact dotted name in the zone's `allow`.",
    severity=Severity.HIGH,
    cwe=502,
    cvss=_MAY_RUN_CODE,
    score=7.7,
    references=(_PICKLE_DOCS,),
)
UNREADABLE_STREAM = Rule(
    id="SH103",
    name="unreadable-stream",
    title="The content could not be read to its end",
    why="A loader runs everything up to the first error, and another reader may see more.",
    remedy="Write the artifact again, or remove it if nobody knows what it is.",
    severity=Severity.MEDIUM,
    cwe=20,
    cvss=_UNREAD,
    score=5.3,
)
ATTACK_CONSTRUCTION = Rule(
    id="SH104",
    name="attack-construction",
    title="The artifact is built to mislead a reader",
    why="No pickler writes this; it hides from scanners what a loader will run.",
    remedy="Do not load the file; find out who wrote it and restore it from a trusted source.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss=_RUNS_CODE,
    score=10.0,
)
LIMIT_EXCEEDED = Rule(
    id="SH105",
    name="limit-exceeded",
    title="Reading the content would exceed a limit",
    why="Small files that unpack to far more exhaust memory, disk or time of whoever loads them.",
    remedy="If the artifact is yours, raise the limit that the finding names in the policy; where "
    "it names none the limit is fixed, so write the artifact in smaller parts.",
    severity=Severity.HIGH,
    cwe=400,
    cvss=_EXHAUSTS,
    score=7.1,
)
UNREADABLE_FILE = Rule(
    id="SH106",
    name="unreadable-file",
    title="The file could not be scanned",
    why="What was not read is not known to be harmless.",
    remedy="Give the scanner read access, or name a file in a format it knows.",
    severity=Severity.MEDIUM,
    cwe=20,
    cvss=_UNREAD,
    score=5.3,
)
TRAILING_DATA = Rule(
    id="SH107",
    name="trailing-data",
    title="Bytes follow the end of the content",
    why="Another loader, or a second call of the same one, reads what the first left over.",
    remedy="Write the artifact again without the extra bytes.",
    severity=Severity.MEDIUM,
    cwe=20,
    cvss=_UNREAD,
    score=5.3,
)
ESCAPING_MEMBER = Rule(
    id="SH108",
    name="escaping-member",
    title="A member of the archive would be written outside its directory",
    why="Unpacking it replaces files elsewhere, such as code that runs later.",
    remedy="Do not unpack the archive; find out who wrote it.",
    severity=Severity.HIGH,
    cwe=22,
    cvss=_WRITES_FILES,
    score=7.2,
)
EMBEDDED_CODE = Rule(
    id="SH109",
    name="embedded-code",
    title="The artifact carries code of its own",
    why="The framework compiles and runs it when the model is loaded or used.",
    remedy="Load it only if you trust its author, or export the weights alone (safetensors).",
    severity=Severity.HIGH,
    cwe=94,
    cvss=_MAY_RUN_CODE,
    score=7.7,
)
READERS_DISAGREE = Rule(
    id="SH110",
    name="readers-disagree",
    title="Two readers see different things in the artifact",
    why="The scanner's reader and CPython's own should see the same; what misleads one hides code.",
    remedy="Do not load the file; if you trust its author, report it, as it shows a fault here.",
    severity=Severity.CRITICAL,
    cwe=436,
    cvss=_RUNS_CODE,
    score=10.0,
)
OUTSIDE_FILE = Rule(
    id="SH121",
    name="outside-file",
    title="The artifact refers to a file outside its directory",
    why="Its loader opens what the reference names, and hands out or overwrites what stands there.",
    remedy="Do not load the file; a model of your own refers to files beside it, by plain names.",
    severity=Severity.HIGH,
    cwe=73,
    cvss=_READS_FILES,
    score=7.1,
)
HOSTILE_TEMPLATE = Rule(
    id="SH122",
    name="hostile-template",
    title="A chat template reaches the objects of the program that renders it",
    why="Rendered without a sandbox it runs any Python code; prompts need none of that.",
    remedy="Do not use the template; take the one of the model's publisher.",
    severity=Severity.CRITICAL,
    cwe=1336,
    cvss=_RENDERED,
    score=9.4,
)
GRAPH_OPERATION = Rule(
    id="SH123",
    name="graph-operation",
    title="An operation of the graph reaches files, the network or Python",
    why="The runtime performs what the graph says; a graph needs no Python code to do harm.",
    remedy="Do not run the model; export it again without the operation if it is yours.",
    severity=Severity.CRITICAL,
    cwe=829,
    cvss=_RUNS_CODE,
    score=10.0,
)
EXTERNAL_ENTITY = Rule(
    id="SH124",
    name="external-entity",
    title="An XML document has its parser fetch something else",
    why="Parsers that follow document types and includes hand out files or talk to machines.",
    remedy="Do not load the file; a model needs none. Have your parser refuse document types.",
    severity=Severity.HIGH,
    cwe=611,
    cvss=_READS_FILES,
    score=7.1,
    references=("https://docs.python.org/3/library/xml.html#xml-security",),
)
ENTITY_EXPANSION = Rule(
    id="SH125",
    name="entity-expansion",
    title="Entities of an XML document stand for far more than it holds",
    why="Parsers that expand them run out of memory or time.",
    remedy="Do not load the file; a model needs none. Have your parser refuse document types.",
    severity=Severity.HIGH,
    cwe=776,
    cvss=_EXHAUSTS,
    score=7.1,
    references=("https://docs.python.org/3/library/xml.html#xml-security",),
)

RULES: tuple[Rule, ...] = (
    DANGEROUS_GLOBAL,
    UNKNOWN_GLOBAL,
    UNREADABLE_STREAM,
    ATTACK_CONSTRUCTION,
    LIMIT_EXCEEDED,
    UNREADABLE_FILE,
    TRAILING_DATA,
    ESCAPING_MEMBER,
    EMBEDDED_CODE,
    READERS_DISAGREE,
    OUTSIDE_FILE,
    HOSTILE_TEMPLATE,
    GRAPH_OPERATION,
    EXTERNAL_ENTITY,
    ENTITY_EXPANSION,
)
