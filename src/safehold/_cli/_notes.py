"""What a hardened service will meet that no change of its tree can settle: said beforehand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from safehold._cli._reads import Reads, listed
from safehold.policy import Policy
from safehold.report.assessment import Assessment
from safehold.source import FileAudit

_TEMPORARY = re.compile(rb"\b(?:tmp_path|tmp_path_factory|tmpdir|TemporaryDirectory|mkdtemp)\b")


def notes_on(
    before: Assessment,
    policy: Policy,
    reads: Reads,
    changed: Sequence[str],
    refused: frozenset[str],
) -> Iterator[str]:
    """Yield the notes. `changed` are the artifacts that are sealed, `refused` names of classes."""
    if reads.foreign:
        yield (
            f"{listed(reads.foreign)}: reads bytes that come from elsewhere (a database, cache, "
            f"queue, another program); what was pickled before is refused there. Empty it or "
            f"write it again, and migrate the other program too"
        )
    if unsure := [path for path in changed if reads.is_as_bytes(path) is None]:
        yield (
            f"{listed(unsure)}: sealed for its path, but {listed(reads.contents)} reads the "
            f"content of files that the source does not show, and refuses what is sealed for a "
            f"path. Read such a file with load and a handle or path"
        )
    if refused:
        yield (
            f"{listed(sorted(refused))}: loading runs code of these classes, so that artifacts "
            f"which hold them are refused; vouch for those that the service stores: --allow NAME"
        )
    if tests := list(_tests_in_temporaries(before)):
        yield (
            f"{listed(tests)}: temporary directories are outside the zones, so models are refused "
            f"there; run such tests with: mkdir -p cache; pytest --basetemp=cache/tests"
        )
    if outside := list(_links_outside(before.root, before.sources)):
        yield (
            f"{listed(outside)}: leads out of the tree, so that what lies there is not sealed and "
            f"is refused by the hardened service; give a policy whose root is above both"
        )
    if (before.root / ".git").exists():
        yield f"keep {policy.trail} and {policy.marks} out of version control"


def _tests_in_temporaries(before: Assessment) -> Iterator[str]:
    """Yield the tests that use temporary directories, in a tree that writes artifacts."""
    audits = before.sources
    if not any(item.detail.get("use") == "write" for audit in audits for item in audit.findings):
        return
    for audit in audits:
        name = PurePosixPath(audit.path).name
        if name.startswith("test_") or name in ("conftest.py", "tests.py"):
            try:
                text = (before.root / audit.path).read_bytes()
            except OSError:
                continue  # reported by the audit itself
            if _TEMPORARY.search(text):
                yield audit.path


def _links_outside(root: Path, audits: Iterable[FileAudit]) -> Iterator[str]:
    """Yield the links to directories that lie elsewhere, as a volume of models may."""
    for audit in audits:
        path = root / audit.path
        if path.is_symlink() and path.is_dir() and not path.resolve().is_relative_to(root):
            yield f"{audit.path} -> {path.resolve()}"
