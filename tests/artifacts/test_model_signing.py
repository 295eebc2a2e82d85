"""The model-signing package verifies what is signed here, and what it signs is verified here."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.extras

model_signing = pytest.importorskip("model_signing")

from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

from safehold.artifacts import Signature  # noqa: E402
from safehold.errors import Tampered, UnknownKey  # noqa: E402
from tests.artifacts.test_bundle import CURVES, DATA, write_pair  # noqa: E402


def check(path, signature, public) -> None:
    config = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=public)
    config.verify(path, signature)


def sign(path, signature, private, hashing=None) -> None:
    config = model_signing.signing.Config().use_elliptic_key_signer(private_key=private)
    config.set_hashing_config(hashing or model_signing.hashing.Config())
    config.sign(path, signature)


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_the_package_verifies_the_plain_file_beside_its_sidecar(world, tmp_path, curve):
    private, public = write_pair(tmp_path, curve=curve)
    path, out = world.root / "tables/m.onnx", world.root / "outside/m.sig"
    world.store.dump(DATA, path, sidecar=True)
    world.store.export_signature(path, private, out)
    check(path, out, public)
    path.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))
    with pytest.raises(ValueError, match="mismatch"):
        check(path, out, public)
    path.write_bytes(DATA)
    _, other = write_pair(tmp_path, "other", curve=curve)
    with pytest.raises(ValueError, match="Key mismatch"):
        check(path, out, other)


def test_the_package_refuses_a_changed_bundle(world, tmp_path):
    private, public = write_pair(tmp_path)
    path, out = world.root / "tables/m.onnx", world.root / "outside/m.sig"
    world.store.dump(DATA, path, sidecar=True)
    world.store.export_signature(path, private, out)
    text = out.read_text()
    at = text.index('"sig": "') + 30
    out.write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :])
    with pytest.raises(Exception):  # noqa: B017, PT011  (of cryptography, or of the package)
        check(path, out, public)


def test_the_package_verifies_what_a_sealed_file_gives_back(world, tmp_path):
    private, public = write_pair(tmp_path)
    path, out = world.root / "tables/m.onnx", world.root / "outside/m.sig"
    world.store.dump(DATA, path)
    world.store.export_signature(path, private, out)
    world.store.unseal(path)
    check(path, out, public)


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
@pytest.mark.parametrize("sidecar", [True, False])
def test_a_file_that_the_package_signed_is_verified_and_sealed(world, tmp_path, curve, sidecar):
    private, public = write_pair(tmp_path, curve=curve)
    path, signature = world.root / "tables/m.onnx", world.root / "outside/m.sig"
    path.write_bytes(DATA)
    sign(path, signature, private)
    wanted = Signature(signature, public)
    world.store.seal(path, sidecar=sidecar, signature=wanted)
    world.store.verify_signature(path, wanted)
    assert world.store.load(path) == DATA
    _, other = write_pair(tmp_path, "other", curve=curve)
    with pytest.raises(UnknownKey):
        world.store.verify_signature(path, Signature(signature, other))
    other_file = world.root / "tables/n.onnx"
    other_file.write_bytes(DATA + b"x")
    with pytest.raises(Tampered):
        world.store.seal(other_file, sidecar=sidecar, signature=wanted)


def test_a_file_of_a_directory_that_the_package_signed(world, tmp_path):
    private, public = write_pair(tmp_path, curve=ec.SECP256R1())
    folder, signature = world.root / "tables", world.root / "outside/m.sig"
    for name in ("m.onnx", "n.onnx"):
        (folder / name).write_bytes(DATA + name.encode())
    sign(folder, signature, private)
    wanted = Signature(signature, public)
    for name in ("m.onnx", "n.onnx"):
        world.store.seal(folder / name, sidecar=True, signature=wanted)
    (folder / "o.onnx").write_bytes(DATA + b"m.onnx")
    with pytest.raises(Tampered, match="0 files"):
        world.store.seal(folder / "o.onnx", sidecar=True, signature=wanted)


def test_shards_are_refused_and_blake2_is_read(world, tmp_path):
    private, public = write_pair(tmp_path)
    path, signature = world.root / "tables/m.onnx", world.root / "outside/m.sig"
    path.write_bytes(DATA)
    hashing = model_signing.hashing.Config()
    sign(path, signature, private, hashing.use_shard_serialization(shard_size=10))
    with pytest.raises(Tampered, match="file serialization"):
        world.store.seal(path, signature=Signature(signature, public))
    signature.unlink()
    hashing = model_signing.hashing.Config()
    sign(path, signature, private, hashing.use_file_serialization(hashing_algorithm="blake2"))
    world.store.seal(path, signature=Signature(signature, public))
