"""What an artifact is bound to, and what the trail says of it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import socket
import tempfile
import zipfile

import pytest

from safehold.artifacts.target import (
    Recorded,
    Target,
    check_codec,
    codec_for,
    target_of_handle,
    target_of_place,
)
from safehold.errors import ConfigError, DecodeError, EncodeError, Tampered, TrailError
from safehold.paths import Place
from safehold.policy import Zone


def handle_target(world, file) -> tuple[str, str, int]:
    target = target_of_handle(world.hold, file)
    return target.zone.name, target.name, target.at


def test_a_place_has_its_zone_and_its_name_below_the_root(world):
    target = target_of_place(world.hold, Place("/r/models/a.pkl", "models/a.pkl"))
    assert (target.zone.name, target.name) == ("models", "models/a.pkl")


def test_outside_the_root_the_name_is_absolute_and_the_zone_external(world):
    target = target_of_place(world.hold, Place("/tmp/a.pkl", None))
    assert (target.zone.name, target.zone.trust, target.name) == (
        "external", "external", "/tmp/a.pkl",
    )  # fmt: skip


def test_names_that_are_not_text_stay_distinct(world):
    names = ["\udcff", "\\udcff", "\\\\udcff", "\udcfe", "ÿ", "\\udcff\udcff"]
    found = {target_of_place(world.hold, Place("/", f"models/{name}")).name for name in names}
    assert len(found) == len(names)
    for name in found:
        name.encode()


def test_a_handle_of_a_file_is_bound_to_the_file_and_the_position(world):
    path = world.root / "models" / "a.pkl"
    with path.open("wb") as file:
        assert handle_target(world, file) == ("models", "models/a.pkl", 0)
        file.write(b"x" * 100)
        assert handle_target(world, file) == ("models", "models/a.pkl", 100)
    with path.open("ab") as file:
        assert handle_target(world, file) == ("models", "models/a.pkl", 100)
    with open(path, "rb", buffering=0) as file:
        file.read(7)
        assert handle_target(world, file) == ("models", "models/a.pkl", 7)
    (world.root / "data" / "link").symlink_to(path)
    with (world.root / "data" / "link").open("rb") as file:
        assert handle_target(world, file) == ("models", "models/a.pkl", 0)


@pytest.mark.parametrize("opened", [gzip.open, bz2.open, lzma.open])
def test_a_compressed_handle_counts_its_own_bytes(opened, world):
    path = world.root / "models" / "a.pkl.gz"
    with opened(path, "wb") as file:
        file.write(b"x" * 100)
        assert handle_target(world, file) == ("models", "models/a.pkl.gz", 100)
    with opened(path, "rb") as file:
        file.read(40)
        assert handle_target(world, file) == ("models", "models/a.pkl.gz", 40)


def test_what_has_no_path_belongs_to_memory(world, tmp_path):
    memory = ("memory", "", 0)
    assert handle_target(world, io.BytesIO(b"x")) == memory
    assert handle_target(world, object()) == memory
    with tempfile.TemporaryFile() as file:
        assert handle_target(world, file) == memory
    read, write = os.pipe()
    with open(read, "rb") as reader, open(write, "wb") as writer:
        assert handle_target(world, reader) == memory
        assert handle_target(world, writer) == memory
    one, two = socket.socketpair()
    with one, two, one.makefile("rb") as file:
        assert handle_target(world, file) == memory
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("a", b"x")
    with zipfile.ZipFile(tmp_path / "z.zip") as archive, archive.open("a") as member:
        assert handle_target(world, member) == memory


def test_a_handle_whose_file_was_replaced_keeps_its_name(world):
    path = world.root / "models" / "a.pkl"
    path.write_bytes(b"old")
    with path.open("rb") as file:
        (world.root / "models" / "b").write_bytes(b"new")
        os.rename(world.root / "models" / "b", path)
        assert handle_target(world, file) == ("models", "models/a.pkl", 0)


def test_only_the_first_container_of_a_file_has_generations(world):
    zone = world.hold.policy.zones[0]
    assert Target(zone, "models/a").has_mark
    assert not Target(zone, "models/a", 64).has_mark
    assert not Target(zone, "").has_mark


# --- codecs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codecs", "name", "prefer", "expected"),
    [
        (("joblib", "pickle", "json"), "m/a.joblib", "", "joblib"),
        (("joblib", "pickle", "json"), "m/a.pkl", "", "pickle"),
        (("joblib", "pickle", "json"), "m/a.json", "", "json"),
        (("joblib", "pickle", "json"), "m/a.bin", "", "pickle"),
        (("joblib", "pickle", "json"), "m/a.pkl", "joblib", "joblib"),
        (("json", "msgpack"), "m/a.bin", "pickle", "msgpack"),
        (("json", "msgpack"), "m/a.pkl", "pickle", "msgpack"),
        (("json", "msgpack"), "m/a.json", "pickle", "json"),
        (("json",), "m/a.pkl", "", "json"),
        (("skops", "json"), "m/a.skops", "", "skops"),
        (("unheard-of", "json"), "m/a.heard", "", "json"),
        (("parquet", "json"), "m/a.parquet", "", "parquet"),
        (("msgpack", "npy"), "m/a.bin", ("npz", "npy", "msgpack"), "npy"),
        (("msgpack", "npy"), "m/a.npy", ("npz",), "npy"),
    ],
)
def test_the_codec_follows_from_zone_and_name(codecs, name, prefer, expected):
    assert codec_for(Target(Zone("z", codecs=codecs), name), prefer) == expected


def test_a_zone_without_a_known_codec_is_a_configuration_error():
    with pytest.raises(ConfigError, match="no codec that this version knows; add one of"):
        codec_for(Target(Zone("z", codecs=("unheard-of",)), "a"))
    with pytest.raises(ConfigError, match="does not have the codec 'pickle'"):
        check_codec(Zone("z", codecs=("json",)), "pickle")


# --- records -------------------------------------------------------------------------------


def run(world, error: BaseException | None) -> None:
    with Recorded(world.hold.recorder, "load", Target(world.hold.policy.zones[0], "models/a")):
        if error is not None:
            raise error


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (None, "allowed", ""),
        (Tampered("changed"), "refused", "Tampered"),
        (ZeroDivisionError("x"), "failed", "ZeroDivisionError"),
        (OSError(28, "No space left on device"), "failed", "OSError"),
    ],
)
def test_an_operation_is_recorded_once(error, outcome, reason, world):
    if error is None:
        run(world, None)
    else:
        with pytest.raises(type(error)) as caught:
            run(world, error)
        assert caught.value is error
    (event,) = world.events.rows
    assert (event.action, event.outcome, event.reason) == ("load", outcome, reason)
    assert (event.zone, event.artifact) == ("models", "models/a")


def test_a_private_error_is_recorded_under_its_public_name(world):
    class _Special(Tampered):
        pass

    with pytest.raises(_Special):
        run(world, _Special("x"))
    assert world.events.rows[0].reason == "Tampered"


@pytest.mark.parametrize("error", [DecodeError("secret"), EncodeError("secret")])
def test_content_that_an_error_may_quote_is_not_recorded(error, world):
    with pytest.raises(type(error)):
        run(world, error)
    assert "secret" not in repr(world.events.rows)
    assert world.events.rows[0].reason == type(error).__name__


def test_what_is_not_recorded_is_not_allowed(world):
    world.events.broken = True
    with pytest.raises(TrailError):
        run(world, None)
    with pytest.raises(Tampered) as caught:
        run(world, Tampered("x"))
    assert "could not be recorded" in caught.value.__notes__[0]
    with pytest.raises(TrailError):
        run(world, ValueError("x"))


def test_an_interrupt_is_not_taken_for_a_decision(world):
    with pytest.raises(KeyboardInterrupt):
        run(world, KeyboardInterrupt())
    assert not world.events.rows
