"""Builds harmless payloads (they create one file) and shows that loading them runs them."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safehold.scan import FileReport, scan_bytes

# Each loads the file named by its first argument the way a victim would; errors come too late.
LOADERS = {
    "pickle": "import pickle; pickle.load(open(path, 'rb'))",
    "latin1": "import pickle; pickle.load(open(path, 'rb'), encoding='latin1')",
    "stream": "import io, pickle; pickle.load(io.BytesIO(open(path, 'rb').read()))",
    "twice": "import pickle; f = open(path, 'rb'); pickle.load(f); pickle.load(f)",
    "five times": "import pickle; f = open(path, 'rb'); [pickle.load(f) for _ in range(5)]",
    "six times": (
        "import pickle; f = open(path, 'rb')\n"
        "class U(pickle.Unpickler): persistent_load = lambda self, name: None\n"
        "for _ in range(6): U(f).load()"
    ),
    "one unpickler": "import pickle; u = pickle.Unpickler(open(path, 'rb')); u.load(); u.load()",
    "python": "import pickle; pickle._Unpickler(open(path, 'rb')).load()",
    "extension": (
        "import copyreg, os, pickle; copyreg.add_extension('posix', 'system', 240);"
        "pickle.load(open(path, 'rb'))"
    ),
    "joblib": "import joblib; joblib.load(path)",
    "numpy": "import numpy; numpy.load(path, allow_pickle=True)['a']",
    "npy": "import numpy; numpy.load(path, allow_pickle=True)",
    "torch": "import torch; torch.load(path, weights_only=False)",
    "gzip": "import gzip, pickle; pickle.load(gzip.open(path))",
}


def runs(data: bytes, marker: Path, loader: str = "pickle", wait: float = 60) -> bool:
    """Load the bytes in a process of its own and return whether the payload ran."""
    path = marker.with_name("victim.bin")
    path.write_bytes(data)
    program = f"import sys; path = sys.argv[1]\n{LOADERS[loader]}"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=False,
        cwd=marker.parent,
    )
    until = time.monotonic() + wait
    while not marker.exists() and time.monotonic() < until:
        time.sleep(0.01)  # a started process may take a moment
    ran = marker.exists()
    marker.unlink(missing_ok=True)
    return ran


def assert_caught(
    data: bytes,
    marker: Path,
    loader: str = "pickle",
    *,
    verdict: str = "malicious",
    name: str = "model.pkl",
) -> FileReport:
    """Show that loading runs the payload, and that scanning finds it without running it."""
    assert runs(data, marker, loader), "the payload does not run: this test shows nothing"
    report = scan_bytes(data, name)
    assert not marker.exists(), "scanning ran the payload"
    assert report.verdict == verdict, report
    return report


# Pieces of streams


def value(obj: Any) -> bytes:
    """Opcodes that push a value, protocol 2 without memo."""
    if isinstance(obj, Raw):
        return obj.opcodes
    if isinstance(obj, tuple):
        return b"(" + b"".join(value(item) for item in obj) + b"t"
    if isinstance(obj, list):
        return b"](" + b"".join(value(item) for item in obj) + b"e"
    if isinstance(obj, bytes):
        return b"B" + struct.pack("<I", len(obj)) + obj
    if isinstance(obj, str):
        raw = obj.encode()
        return b"X" + struct.pack("<I", len(raw)) + raw
    if isinstance(obj, dict) and not obj:
        return b"}"
    return pickle.dumps(obj, 0)[:-1]


class Raw:
    """Opcodes that push one value."""

    def __init__(self, opcodes: bytes) -> None:
        self.opcodes = opcodes


def named(module: str, name: str) -> Raw:
    """A global, by GLOBAL, or by STACK_GLOBAL if the name has dots."""
    if "." in name:
        return Raw(value(module) + value(name) + b"\x93")
    return Raw(f"c{module}\n{name}\n".encode())


def call(function: Raw, *args: Any) -> Raw:
    """A call by REDUCE."""
    return Raw(function.opcodes + value(args) + b"R")


def stream(*values: Raw, protocol: int | None = 4) -> bytes:
    """A whole stream: the values, all but the last popped."""
    head = b"" if protocol is None else bytes([0x80, protocol])
    return head + b"0".join(one.opcodes for one in values) + b"."


def system(marker: Path, module: str = "posix") -> Raw:
    """The plain payload."""
    return call(named(module, "system"), f"touch {marker}")


def source(marker: Path) -> str:
    """Python text that creates the marker."""
    return f"open({str(marker)!r}, 'w').close()"


Gadget = Callable[[Path], Raw]
