"""Rules of the guard: what it refuses while a program runs."""

from __future__ import annotations

from safehold.findings import Rule, Severity

_REMOTE = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
_LOCAL = "CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"

NAMED = Rule(
    id="SH171",
    name="untrusted-name",
    title="An unpickle named what its bytes may not name",
    why="Bytes of unknown origin that name a class or function choose what the process runs.",
    remedy="Store plain data, or seal the artifact: safehold seal PATH; in memory: "
    "safehold.Store.dumps and loads.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss=_REMOTE,
    score=9.3,
)
UNSEALED_LOAD = Rule(
    id="SH172",
    name="unsealed-load",
    title="A file of an internal zone was loaded without a seal",
    why="Whoever can write the file would choose what the process runs.",
    remedy="If you vouch for the file: safehold seal PATH.",
    severity=Severity.HIGH,
    cwe=345,
    cvss=_LOCAL,
    score=7.3,
)
CONTAINED = Rule(
    id="SH173",
    name="contained-action",
    title="An unpickle acted on the system",
    why="Loading makes values. One that starts a process, opens a socket or writes a file while "
    "it loads is an attack that no name gave away.",
    remedy="Find out where the bytes come from. A class that has to act when it is loaded can do "
    "so at its first use instead.",
    severity=Severity.CRITICAL,
    cwe=913,
    cvss=_REMOTE,
    score=9.3,
)
INTERPRETER = Rule(
    id="SH174",
    name="unguarded-interpreter",
    title="A sub-interpreter was started in a guarded process",
    why="Audit hooks of one interpreter are not called in another, so nothing would be refused "
    "there.",
    remedy="Use a process, or a thread.",
    severity=Severity.LOW,
    cwe=693,
    cvss="CVSS:4.0/AV:L/AC:H/AT:P/PR:L/UI:N/VC:L/VI:L/VA:L/SC:N/SI:N/SA:N",
    score=2.0,
)
EXTERNAL_DUMP = Rule(
    id="SH175",
    name="pickle-to-external-zone",
    title="A pickle was written where the policy expects plain data",
    why="What reads it would have to unpickle bytes that anybody may have put there.",
    remedy="Write it with safehold.compat.data, or name an internal zone for it in the policy.",
    severity=Severity.LOW,
    cwe=502,
    cvss="CVSS:4.0/AV:L/AC:H/AT:P/PR:L/UI:N/VC:L/VI:L/VA:L/SC:N/SI:N/SA:N",
    score=2.0,
)
UNSAFE_LOADER = Rule(
    id="SH176",
    name="unsafe-loader",
    title="Another loader would have run what untrusted bytes name",
    why="YAML tags, marshalled code, jsonpickle and their like make objects of any class, too.",
    remedy="Use the safe form of the loader (yaml.safe_load, plain JSON), or a sealed artifact.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss=_REMOTE,
    score=9.3,
)

RULES = (NAMED, UNSEALED_LOAD, CONTAINED, INTERPRETER, EXTERNAL_DUMP, UNSAFE_LOADER)
