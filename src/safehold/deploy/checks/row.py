"""What one check is: its rule, what it yields of settings, and examples of both kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from safehold.deploy.settings import Setting, Settings
from safehold.findings import Confidence, Finding, Rule, Severity

OWASP_CONFIGURATION: Final = "https://owasp.org/Top10/A05_2021-Security_Misconfiguration/"
OWASP_CRYPTOGRAPHY: Final = "https://owasp.org/Top10/A02_2021-Cryptographic_Failures/"
OWASP_ACCESS: Final = "https://owasp.org/Top10/A01_2021-Broken_Access_Control/"
OWASP_AUTHENTICATION: Final = (
    "https://owasp.org/Top10/A07_2021-Identification_and_Authentication_Failures/"
)
OWASP_INTEGRITY: Final = "https://owasp.org/Top10/A08_2021-Software_and_Data_Integrity_Failures/"
OWASP_LOGGING: Final = "https://owasp.org/Top10/A09_2021-Security_Logging_and_Monitoring_Failures/"
OWASP_COMPONENTS: Final = "https://owasp.org/Top10/A06_2021-Vulnerable_and_Outdated_Components/"


@dataclass(frozen=True, slots=True)
class Example:
    """A text that stands in a file of some name; the name says how it is read."""

    text: str
    file: str = ".env"


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``always``: it is also about a service that is not in production."""

    rule: Rule
    check: Callable[[Settings], Iterator[Finding]]
    bad: tuple[Example, ...]
    good: tuple[Example, ...]
    always: bool = False


def found(
    rule: Rule,
    setting: Setting,
    message: str,
    *,
    shown: bool = True,
    severity: Severity | None = None,
    confidence: Confidence = Confidence.HIGH,
) -> Finding:
    """Return a finding about one setting; ``shown``: its value may be seen."""
    detail: dict[str, Any] = {"setting": setting.name, "origin": setting.origin.value}
    if shown and isinstance(setting.value, str | int | float | bool | None):
        detail["value"] = setting.value if not isinstance(setting.value, str) else setting.text[:80]
    if setting.default:
        message += ", which is the default"
    return Finding.of(
        rule, f"{setting.name} {message}", setting.where,
        severity=severity, confidence=confidence, detail=detail,
    )  # fmt: skip
