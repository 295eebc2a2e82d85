"""Each gadget again, in two of the carriers: a gadget that is known must be known everywhere."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bypasses.payloads import Gadget, Raw, call, named, stream, value
from tests.corpus.cases import Case
from tests.corpus.hostile.arrays import npy_header, wrapper
from tests.corpus.hostile.packed import tarred, zipped
from tests.corpus.hostile.plain import FAMILIES, protocol_of
from tests.corpus.hostile.streams import frame


def _in_list(raw: Raw, protocol: int) -> bytes:
    return stream(Raw(b"](" + raw.opcodes + b"e"), protocol=protocol)


def _in_instance(raw: Raw, protocol: int) -> bytes:
    """The state of an object that is harmless otherwise."""
    state = b"}" + value("a") + raw.opcodes + b"s"
    return stream(Raw(b"ctypes\nSimpleNamespace\n)R" + state + b"b"), protocol=protocol)


def _nested(raw: Raw, protocol: int) -> bytes:
    return stream(call(named("_pickle", "loads"), stream(raw, protocol=protocol)))


def _behind_array(raw: Raw, protocol: int) -> bytes:
    head = bytes([0x80, protocol]) + wrapper((64,)) + b"." * 64 + b"0"
    return head + raw.opcodes + b"."


def _framed(raw: Raw, protocol: int) -> bytes:
    del protocol
    return b"\x80\x04" + frame(raw.opcodes + b".")


def _zip(raw: Raw, protocol: int) -> bytes:
    return zipped([("a/model", stream(raw, protocol=protocol))], zipfile.ZIP_DEFLATED)


Carrier = tuple[str, str, Callable[[Raw, int], bytes]]
# name -> (loader, suffix, carrier)
CARRIERS: dict[str, Carrier] = {
    "popped": ("pickle", ".pkl", lambda raw, p: stream(raw, Raw(b"}"), protocol=p)),
    "in-list": ("pickle", ".pkl", _in_list),
    "in-instance": ("pickle", ".pkl", _in_instance),
    "framed": ("pickle", ".pkl", _framed),
    "broken": ("pickle", ".pkl", lambda raw, p: stream(raw, protocol=p)[:-1] + b"\xff"),
    "second": ("all", ".pkl", lambda raw, p: b"K\x01." + stream(raw, protocol=p)),
    "nested": ("pickle", ".pkl", _nested),
    "gzip": ("gzip", ".pkl.gz", lambda raw, p: gzip.compress(stream(raw, protocol=p), mtime=0)),
    "bz2": ("bz2", ".pkl.bz2", lambda raw, p: bz2.compress(stream(raw, protocol=p))),
    "xz": ("lzma", ".pkl.xz", lambda raw, p: lzma.compress(stream(raw, protocol=p))),
    "zlib": ("zlib", ".bin", lambda raw, p: zlib.compress(stream(raw, protocol=p))),
    "zip": ("zip", ".zip", _zip),
    "tar": ("tar", ".tar", lambda raw, p: tarred([("a.pkl", stream(raw, protocol=p))])),
    "joblib": ("joblib", ".joblib", _behind_array),
    "npy": ("numpy", ".npy", lambda raw, p: npy_header("(1,)", "'|O'") + stream(raw, protocol=p)),
}
# pip and large libraries take their time; a listener that is let go of removes its socket.
_LEFT_OUT = (
    "pip",
    "asyncio",
    "pygments",
    "sympy",
    "sklearn",
    "scipy",
    "torch",
    "networkx",
    "listener",
)


def _case(identity: str, gadget: Gadget, needs: tuple[str, ...], carrier: str) -> Case:
    loader, suffix, wrap = CARRIERS[carrier]
    protocol = protocol_of(identity)
    if protocol < 4 and carrier == "framed":
        carrier, (loader, suffix, wrap) = "in-list", CARRIERS["in-list"]
    name = f"crossed-{identity}-{carrier}"

    def build(canary: Path) -> bytes:
        return wrap(gadget(canary), protocol)

    return Case(name, f"crossed-{carrier}", build, loader, suffix, needs)


def _cases() -> Iterator[Case]:
    names = list(CARRIERS)
    number = 0
    for family, gadgets in FAMILIES.items():
        for identity, (gadget, needs) in gadgets.items():
            if any(word in identity for word in _LEFT_OUT):
                continue
            for step in (0, 7):
                carrier = names[(number + step) % len(names)]
                yield _case(f"{family}-{identity}", gadget, needs, carrier)
            number += 1


CASES = list(_cases())
