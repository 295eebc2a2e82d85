"""7z archives around a pickle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bypasses.payloads import stream, system
from tests.corpus.cases import Case
from tests.corpus.hostile.frames import VERDICT
from tests.corpus.hostile.packed import zipped
from tests.corpus.sevenzips import METHODS, archive


def _evil(canary: Path) -> bytes:
    return stream(system(canary))


def _files(canary: Path, name: str = "b.pkl") -> list[tuple[str, bytes]]:
    return [("a.txt", b"text " * 50), (name, _evil(canary))]


def _case(
    identity: str, build: Callable[[Path], bytes], suffix: str = ".7z", loader: str = "7z", **more
) -> Case:
    return Case(f"7z-{identity}", "7z", build, loader, suffix, **more)


CASES = [
    *[
        _case(
            name,
            lambda m, name=name: archive(_files(m), name),
            verdict=VERDICT if name == "zstd" else "malicious",
        )
        for name in METHODS
    ],
    _case("packed-header", lambda m: archive(_files(m), packed_header=True)),
    _case("first", lambda m: archive([("b.pkl", _evil(m)), ("a.txt", b"text")])),
    _case("no-suffix", lambda m: archive(_files(m)), ""),
    _case("model", lambda m: archive(_files(m)), ".bin"),
    _case("member-no-suffix", lambda m: archive(_files(m, "weights"))),
    _case("member-picture", lambda m: archive(_files(m, "a.png"), "lzma")),
    _case("nested", lambda m: archive([("inner", archive(_files(m)))], "copy")),
    _case("with-zip", lambda m: archive([("a.zip", zipped(_files(m)))])),
]
