"""Scans files in a process that notes everything a scan must not do. A program, not a test.

Prints, as JSON, what the audit hook saw per file, and what the reports say.
"""

from __future__ import annotations

import codecs
import contextlib
import importlib
import json
import os
import pkgutil
import sys
import tempfile
from typing import Any

# Codecs that reading text and old strings needs, a module each.
_CODECS = (
    "ascii latin-1 utf-8 utf-8-sig utf-16 utf-32 utf-16-le utf-16-be utf-32-le utf-32-be "
    "raw-unicode-escape"
).split()
# Modules that reading unpacks with; they are loaded once, so no later import is excused.
_TOOLS = "bz2 gzip lzma tarfile tempfile zipfile zlib mmap json".split()
# Those of extras, which unpack as well.
_LIBRARIES = ("lz4.frame", "zstandard", "compression.zstd")
_NEVER = (
    "exec", "compile", "import", "os.", "subprocess.", "socket.", "ctypes.", "pty.", "shutil.",
    "pickle.", "marshal.", "code.", "function.__new__", "object.", "builtins.", "sys.", "signal.",
    "webbrowser.", "urllib.", "ftplib.", "smtplib.", "sqlite3.", "_thread.", "cpython.",
    "setopencodehook", "tempfile.", "glob.", "winreg.", "fcntl.", "resource.",
)  # fmt: skip
# Asking what is there, and memory that a large file is mapped into or unpacked to.
_FINE = frozenset(
    {"os.scandir", "os.listdir", "os.fwalk", "os.walk", "sys._getframe", "object.__getattr__"}
)
# The second reader is a process of its own, which these two start, talk to, and hand bytes over to:
# for that they ask the interpreter where in a mapping the bytes lie.
_TALKERS = tuple(os.path.join("inert", name) for name in ("process.py", "handing.py"))
_TALK = ("socket.", "fcntl.", "subprocess.", "os.", "ctypes.", "builtins.id")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """An audit hook; it notes while ``on``."""

    def __init__(self, room: str) -> None:
        self.on = False
        self.room = room
        self.seen: list[str] = []

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on or event in _FINE:
            return
        if event == "open":
            path, mode, flags = args
            writes = flags & _WRITES or (isinstance(mode, str) and set(mode) & set("wax+"))
            inside = isinstance(path, str) and path.startswith(self.room)
            if writes and not inside:
                self.seen.append(f"open {path} {mode} {flags}")
        elif event == "compile" and args[1] == "<unknown>":
            pass  # `ast.literal_eval` parses a header of numpy; running it would be `exec`
        elif event.startswith(_TALK) and self._is_talk():
            pass
        elif event.startswith(_NEVER) and not self._in_room(event, args):
            self.seen.append(f"{event} {str(args)[:200]}")

    def _is_talk(self) -> bool:
        """Whether the innermost frame of safehold is one that talks to the second reader."""
        frame = sys._getframe(2)
        while frame is not None:
            name = frame.f_code.co_filename
            if os.sep + "safehold" + os.sep in name:
                return name.endswith(_TALKERS)
            frame = frame.f_back
        return False

    def _in_room(self, event: str, args: tuple[Any, ...]) -> bool:
        """Whether it is about the folder of temporary files."""
        about = args[:1] and isinstance(args[0], str) and args[0].startswith(self.room)
        return bool(about) and event.startswith(("tempfile.", "os.remove", "os.rmdir"))


def main() -> None:
    rows = json.load(sys.stdin)
    room = tempfile.mkdtemp(prefix="room-")
    tempfile.tempdir = room
    import safehold.scan as package

    for found in pkgutil.walk_packages(package.__path__, "safehold.scan."):
        importlib.import_module(found.name)
    for name in _TOOLS:
        importlib.import_module(name)
    for name in _LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for name in (*_CODECS, "unicode-escape"):
        codecs.lookup(name)
    package.scan_path(rows[0]["path"])  # what the second reader needs is there from here on
    watch = Watch(room)
    sys.addaudithook(watch)
    result = []
    for row in rows:
        watch.seen = []
        watch.on = True
        scan = package.scan_path(row["path"])
        watch.on = False
        [report] = scan.files
        result.append(
            {
                "id": row["id"],
                "verdict": str(report.verdict),
                "format": report.format,
                "findings": [f"{one.rule.id} {one.message}" for one in report.findings],
                "events": watch.seen,
                "touched": os.path.lexists(row["canary"]),
            }
        )
    os.rmdir(room)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
