"""Secrets in the files of a tree."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from safehold.findings import Confidence, Finding, Location, Rule, Severity
from safehold.scan import FileReport, Verdict
from safehold.scan.entries import Found
from safehold.scan.one import exceeded, unreadable
from safehold.scan.walk import find_files
from safehold.secrets.detecting import URL, Hit, hits_of
from safehold.secrets.rules import IN_FILE

FORMAT: Final = "lines"
LARGEST: Final = 64 * 2**20
_LOOKED: Final = 8192
_COVERING: Final = frozenset({"SH301", IN_FILE.id})


def scan_tree(
    path: str,
    exclude: Sequence[str] = (),
    keep: Callable[[Found], bool] = lambda _found: True,
) -> Iterator[FileReport]:
    """Yield a report for each text below a path; files of bytes are left out.

    Does not find: secrets in archives, compressed files, images and other files of bytes.
    """
    for found in find_files(path, exclude, hub_names=False):
        if found.problem:
            yield unreadable(found.path, found.problem)
        elif keep(found):
            report = _report(found.path)
            if report is not None:
                yield report


def _report(path: str) -> FileReport | None:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            head = file.read(_LOOKED)
            if is_binary(head):
                return None
            data = head + file.read(LARGEST + 1 - len(head))
    except OSError as error:
        return unreadable(path, error.strerror or str(error))
    if len(data) > LARGEST:
        return exceeded(path, f"larger than {LARGEST // 2**20} MiB")
    hits = hits_of(text_of(data), path, _COVERING)
    findings = tuple(finding_of(IN_FILE, hit, path) for hit in hits)
    return FileReport(path, FORMAT, Verdict.of(findings), findings)


def is_binary(head: bytes) -> bool:
    """Say whether the first bytes of a file are of no text."""
    return b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff"))


def text_of(data: bytes) -> str:
    """Decode a text; UTF-16 where it says so."""
    coding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    return data.decode(coding, "replace")


def finding_of(rule: Rule, hit: Hit, path: str, member: str | None = None) -> Finding:
    """Return the finding of a secret; nothing in it is the secret or tells a guess from it."""
    mark = hit.fingerprint
    detail = {"kind": hit.what, "name": hit.name, "fingerprint": mark}
    weak = hit.what == URL or (hit.name and not mark)
    stands = "stands in a commit" if member else "stands in the file"
    subject = f"{hit.name} is {hit.what} that" if hit.name else hit.what
    return Finding.of(
        rule,
        f"{subject} {stands}",
        Location(path=path, line=hit.line, member=member, anchor=hit.anchor),
        severity=Severity.HIGH if weak else None,
        confidence=Confidence.MEDIUM if weak else Confidence.HIGH,
        detail={key: value for key, value in detail.items() if value},
    )
