"""Rules on how artifacts are kept: sealed or not, in which zone, set aside."""

from __future__ import annotations

from safehold.findings import Rule, Severity

_UNSEALED_VECTOR = "CVSS:4.0/AV:N/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"

UNSEALED = Rule(
    id="SH111",
    name="unsealed-artifact",
    title="A code-carrying artifact is not sealed",
    why="Whoever can write the file chooses what the service loads: nothing tells the trained "
    "model from another one, from an older one or from a changed one.",
    remedy="Seal it: safehold seal PATH, or safehold harden PATH --write for the whole tree.",
    severity=Severity.HIGH,
    cwe=345,
    cvss=_UNSEALED_VECTOR,
    score=7.7,
    fix="safe",
)
QUARANTINED = Rule(
    id="SH112",
    name="quarantined-artifact",
    title="An artifact was set aside because the scanner did not find it clean",
    why="The file keeps its bytes under another name, so that nothing loads it by accident.",
    remedy="Find out where it came from; delete it, or make it again from its source.",
    severity=Severity.INFO,
    cwe=502,
    cvss="CVSS:4.0/AV:L/AC:H/AT:P/PR:H/UI:A/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=1.0,
)
BROKEN_SEAL = Rule(
    id="SH113",
    name="broken-seal",
    title="A seal does not verify",
    why="The file was changed, cut, replaced by an older one or moved, or its key is unknown.",
    remedy="Restore the file from its source; safehold verify PATH says what is wrong.",
    severity=Severity.HIGH,
    cwe=354,
    cvss=_UNSEALED_VECTOR,
    score=7.7,
)
EXTERNAL_CODE = Rule(
    id="SH114",
    name="pickle-in-external-zone",
    title="A pickle lies where the policy expects plain data",
    why="Files of an external zone come from anywhere, and a pickle is a program.",
    remedy="Store plain data: safehold harden PATH --write converts what has a lossless form.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=9.2,
    fix="safe",
)
MODELS_IN_EXTERNAL = Rule(
    id="SH116",
    name="models-in-external-directory",
    title="Models are stored in a directory that the policy calls external",
    why="The directory's zone allows plain data only, but the service keeps objects there; they "
    "need an internal zone of their own, sealed like every model.",
    remedy="Keep models and data in separate directories; until then the policy that harden "
    "writes has an internal zone for exactly these files.",
    severity=Severity.LOW,
    cwe=668,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:L/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=2.3,
)
UNTRUSTED_CALLER = Rule(
    id="SH117",
    name="untrusted-caller",
    title="Code outside [code] trusted loads a code-carrying artifact",
    why="A gadget anywhere in the process could load models; only listed files may.",
    remedy="Add the source file to trusted in the policy's [code] table if it should load models.",
    severity=Severity.LOW,
    cwe=749,
    cvss="CVSS:4.0/AV:L/AC:H/AT:P/PR:L/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=2.0,
)

RULES = (
    UNSEALED,
    QUARANTINED,
    BROKEN_SEAL,
    EXTERNAL_CODE,
    MODELS_IN_EXTERNAL,
    UNTRUSTED_CALLER,
)
