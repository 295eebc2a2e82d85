"""Tensors in a pickle that is not torch's own: each storage is a file of torch, as bytes."""

from __future__ import annotations

import io
import pickle

import joblib
import pytest

from safehold.scan import scan_bytes
from tests.bypasses.payloads import Raw, assert_caught, call, named, stream, system, value
from tests.bypasses.test_torch_formats import legacy

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.extras

LOAD = named("torch.storage", "_load_from_bytes")
# A text that stands for bytes, as protocols below 3 write them.
WEIGHTS = legacy(Raw(b"K\x01"), tail=b"", keys=())


def state() -> dict[str, torch.Tensor]:
    return {"weight": torch.ones(3, 2), "bias": torch.zeros(3, dtype=torch.float64)}


@pytest.mark.parametrize("protocol", range(2, 6))
def test_tensors_are_clean(protocol):
    net = torch.nn.Linear(2, 2)
    for thing in (torch.ones(3), state(), net.state_dict(), net):
        data = pickle.dumps(thing, protocol)
        assert scan_bytes(data, "m.pkl").verdict == "clean", thing


@pytest.mark.parametrize("compress", [0, "zlib", "gzip", "bz2", "lzma", "xz"])
def test_tensors_of_joblib_are_clean(compress):
    buffer = io.BytesIO()
    joblib.dump([state(), torch.ones(2).numpy()], buffer, compress=compress)
    assert scan_bytes(buffer.getvalue(), "m.joblib").verdict == "clean"


@pytest.mark.parametrize("inner", [2, 4])
def test_pickle_in_the_bytes(marker, inner):
    payload = call(LOAD, stream(system(marker), protocol=inner))
    assert_caught(stream(payload), marker)


def test_payload_in_the_object_of_the_inner_file(marker):
    payload = call(LOAD, legacy(system(marker), tail=b"", keys=()))
    assert_caught(stream(payload), marker)


def test_payload_in_the_second_of_two(marker):
    bad = call(LOAD, legacy(system(marker), tail=b"", keys=()))
    assert_caught(stream(call(LOAD, WEIGHTS), bad), marker)


def test_payload_in_a_later_stream(marker):
    bad = stream(call(LOAD, legacy(system(marker), tail=b"", keys=())))
    assert_caught(stream(call(LOAD, WEIGHTS)) + bad, marker, "twice")


def test_payload_in_bytes_spelled_as_a_text(marker):
    inner = legacy(system(marker), tail=b"", keys=())
    spelled = call(named("_codecs", "encode"), inner.decode("latin-1"), "latin1")
    assert_caught(stream(call(LOAD, spelled), protocol=2), marker)


def test_payload_two_files_deep(marker):
    deep = call(LOAD, stream(system(marker)))
    assert_caught(stream(call(LOAD, legacy(deep, tail=b"", keys=()))), marker)


MADE = call(named("builtins", "bytes"), [46])
OTHER_USES = {
    "an argument that is made": call(LOAD, MADE),
    "bytes that are no file of torch": call(LOAD, b"text"),
    "a pickle that is no file of torch": call(LOAD, pickle.dumps(1)),
    "two arguments": call(LOAD, WEIGHTS, 1),
    "held": Raw(b"]" + LOAD.opcodes + b"a"),
    "an argument of another call": call(named("collections", "OrderedDict"), LOAD),
    "a class": Raw(LOAD.opcodes + value((WEIGHTS,)) + b"\x81"),
    "only named": LOAD,
}


@pytest.mark.parametrize("use", OTHER_USES)
def test_any_other_use_is_dangerous_even_beside_a_harmless_one(use):
    for data in (stream(OTHER_USES[use]), stream(call(LOAD, WEIGHTS), OTHER_USES[use])):
        verdict = scan_bytes(data, "m.pkl").verdict
        harmless = use == "only named" and data != stream(OTHER_USES[use])
        assert verdict == ("clean" if harmless else "malicious"), use


def test_weights_alone_are_clean():
    assert scan_bytes(stream(call(LOAD, WEIGHTS)), "m.pkl").verdict == "clean"
