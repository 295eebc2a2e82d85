"""Reports as a scan makes them, of files whose names, members and content are hostile."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

from safehold.report.baseline import Baseline
from safehold.report.result import Result, code_of, entry_of
from safehold.scan import FileReport, scan_paths
from tests.bypasses.payloads import Raw, named, stream

EVIL = stream(named("posix", "system"))
UNKNOWN = stream(named("app", "Model"))
GOOD = pickle.dumps([1])
# Escape sequences, a bidirectional mark, a link, a placeholder, markup, commands of runners.
HOSTILE = "\x1b[31m\u202e[a](b){0}<script>##[group]a##vso[b]\n::error::c"
NAMES = ("::error::x.pkl", "##[add-mask]x.pkl", "a b%20.pkl", "l\n::error::f.pkl", "c:d.pkl")
NOT_UTF8 = b"\xff.pkl"


def archive(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in members:
            file.writestr(name, data)
    return buffer.getvalue()


def tree(root: Path) -> Path:
    """Write one file of each kind and return the directory."""
    (root / "evil.pkl").write_bytes(EVIL)
    (root / "good.pkl").write_bytes(GOOD)
    (root / "unknown.pkl").write_bytes(UNKNOWN)
    (root / "m.zip").write_bytes(archive((HOSTILE.replace("/", "|") + ".pkl", EVIL)))
    line = HOSTILE.partition("\n")[0].encode()
    (root / "said.pkl").write_bytes(stream(Raw(b"c" + line + b"\nx\n")))
    for name in NAMES:
        (root / name).write_bytes(UNKNOWN)
    Path(os.fsdecode(os.fsencode(root) + b"/" + NOT_UTF8)).write_bytes(UNKNOWN)
    (root / "gone.pkl").symlink_to("nowhere")
    return root


def reports(root: Path) -> list[FileReport]:
    return list(scan_paths([root], digests=True))


def result(root: Path, baseline: Baseline | None = None) -> Result:
    mark = entry_of if baseline is None else baseline.mark
    entries = tuple(mark(report) for report in reports(root))
    return Result(entries, str(root), code_of(entries), compared=baseline is not None)
