"""What was fetched in place of an artifact: a pointer of Git LFS, or a page of a web server."""

from __future__ import annotations

import re
from typing import Final

from safehold.scan import rules
from safehold.scan.visit import Source, Visit, is_artifact_name

_POINTER: Final = re.compile(rb"version https?://(?:git-lfs\.github|hawser\.github)\.com/spec/")
_PAGE: Final = re.compile(
    rb"\s*+(?:\xef\xbb\xbf)?\s*+<(?:!doctype\s+html|html|head)\b", re.IGNORECASE
)
_LONGEST_POINTER: Final = 1024
FIRSTS: Final = b"v< \t\n\r\f\v\xef"


def read(source: Source, visit: Visit) -> str | None:
    """Say what stands where an artifact is expected; None for anything else."""
    if not source.wanted:
        return None
    if len(source.data) < _LONGEST_POINTER and _POINTER.match(source.data):
        message = "a pointer of Git LFS, not the file itself; fetch it with: git lfs pull"
        visit.note(source, rules.UNREADABLE_STREAM, message)
        return "git-lfs"
    if is_artifact_name(source.name) and _PAGE.match(source.data):
        message = "a web page, not the file itself; the download was refused or needs a login"
        visit.note(source, rules.UNREADABLE_STREAM, message)
        return "html"
    return None
