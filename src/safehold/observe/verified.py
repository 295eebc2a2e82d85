"""The result of a check of the trail as a text file for node_exporter; needs no extra.

The names are those of `metrics`, which is for the process that decides; a check runs in another.
"""

from __future__ import annotations

import re
from typing import Final

FINDINGS: Final = "safehold_audit_verify_findings"
SUCCESS: Final = "safehold_audit_verify_last_success_timestamp_seconds"
_SUCCESS = re.compile(rf"^{SUCCESS} (\d{{1,12}}(?:\.\d{{1,6}})?)$", re.MULTILINE)


def text_of(findings: int, at: float, before: str) -> str:
    """Return the file after a check that ended at `at`; `before` is the file as it was.

    It keeps the time of the last check that found nothing.
    """
    last = _SUCCESS.search(before)
    success = f"{at:.3f}" if not findings else last[1] if last is not None else ""
    lines = [
        f"# HELP {FINDINGS} Problems that the last check of the trail found.",
        f"# TYPE {FINDINGS} gauge",
        f"{FINDINGS} {findings}",
    ]
    if success:
        lines += [
            f"# HELP {SUCCESS} When a check of the trail found nothing for the last time.",
            f"# TYPE {SUCCESS} gauge",
            f"{SUCCESS} {success}",
        ]
    return "\n".join(lines) + "\n"
