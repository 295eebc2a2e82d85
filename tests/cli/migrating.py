"""What tests of `safehold migrate --data` share."""

from __future__ import annotations

import stat
from pathlib import Path


def snapshot(root: Path) -> dict[str, tuple[bytes, int, int]]:
    """Content, mode and time of every file, without what a run keeps as evidence."""
    return {
        str(path.relative_to(root)): (
            path.read_bytes(),
            stat.S_IMODE(path.stat().st_mode),
            path.stat().st_mtime_ns,
        )
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and path.relative_to(root).parts[:2] != ("var", "safehold")
        and path.relative_to(root).parts[0] != ".safehold"
    }


def malicious(marker: Path) -> bytes:
    """Return a pickle that makes a file when it is loaded."""
    return f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode()
