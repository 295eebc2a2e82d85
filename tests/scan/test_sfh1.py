"""Containers as the scanner sees them: without a key, by their payload."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import pytest

import safehold
from safehold.artifacts import container
from safehold.artifacts.container import Header
from safehold.keys import generate_key
from safehold.policy import Policy, Zone
from safehold.scan import scan_bytes, scan_path

ZONE = Zone("models", ("**",), "internal", ("pickle", "msgpack"))


@pytest.fixture
def store(tmp_path: Path) -> safehold.Store:
    policy = Policy(root=tmp_path, zones=(ZONE,))
    hold = safehold.Context.load(policy, environ={"SAFEHOLD_SECRET_KEY": generate_key()})
    return safehold.Store(hold)


def test_a_sealed_value_is_clean_and_named_by_its_format(store, tmp_path):
    store.dump({"a": [1, 2]}, tmp_path / "value.pkl")

    (report,) = scan_path(tmp_path / "value.pkl").files

    assert (report.format, report.verdict) == ("sfh1", "clean")


def test_data_codecs_are_clean(store, tmp_path):
    store.dump({"a": (1, 2)}, tmp_path / "value.msgpack", codec="msgpack")

    (report,) = scan_path(tmp_path / "value.msgpack").files

    assert (report.format, report.verdict) == ("sfh1", "clean")


def test_a_payload_that_runs_code_is_found_although_it_is_framed(store, tmp_path):
    store.dump(b"x" * 400, tmp_path / "value.pkl")
    data = bytearray((tmp_path / "value.pkl").read_bytes())
    payload = b"cposix\nsystem\n(S'true'\ntR."
    start = data.index(pickle.dumps(b"x" * 400, protocol=5)[:8])
    data[start : start + len(payload)] = payload

    report = scan_bytes(bytes(data), "value.pkl")

    assert report.verdict == "malicious"
    assert report.findings[0].location.member == "payload.pkl"


@pytest.mark.parametrize("cut", [9, 47, 48, 60, 300, -1])
def test_a_cut_container_is_not_clean(store, tmp_path, cut):
    store.dump({"a": list(range(300))}, tmp_path / "value.pkl")

    report = scan_bytes((tmp_path / "value.pkl").read_bytes()[:cut], "value.pkl")

    assert report.verdict != "clean"


def test_a_header_that_lies_about_its_segments_is_not_clean(store, tmp_path):
    store.dump({"a": 1}, tmp_path / "value.pkl")
    data = (tmp_path / "value.pkl").read_bytes()
    changed = data.replace(b"segments\x91", b"segments\x90", 1)

    assert changed != data
    assert scan_bytes(changed, "value.pkl").verdict != "clean"


def test_what_stands_behind_a_container_is_not_overlooked(store, tmp_path):
    store.dump({"a": 1}, tmp_path / "value.pkl")
    data = (tmp_path / "value.pkl").read_bytes()

    assert scan_bytes(data + b"cposix\nsystem\n(S'true'\ntR.", "value.pkl").verdict != "clean"


def zipped(member: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", member)
        archive.writestr("archive/version", "3\n")
    return out.getvalue()


RUNS = b"cposix\nsystem\n(S'true'\ntR."


def test_an_archive_that_is_the_payload_is_read_without_its_frame(store, tmp_path):
    harmless = pickle.dumps("x" * 60)
    (tmp_path / "a.pkl").write_bytes(zipped(harmless))
    store.seal(tmp_path / "a.pkl", codec="pickle")
    data = (tmp_path / "a.pkl").read_bytes()

    assert scan_bytes(data).verdict == "clean"
    changed = data.replace(harmless, RUNS.ljust(len(harmless), b"."))
    assert scan_bytes(changed).verdict == "malicious"


def test_an_archive_within_a_value_of_plain_data_is_still_read(store, tmp_path):
    """A reader of archives takes what stands before one for a stub."""
    store.dump({"a": zipped(RUNS)}, tmp_path / "a.msgpack", codec="msgpack")

    assert scan_bytes((tmp_path / "a.msgpack").read_bytes()).verdict == "malicious"


def test_an_archive_among_the_buffers_of_a_pickle_is_still_read(store, tmp_path):
    value = pickle.PickleBuffer(bytearray(zipped(RUNS)))
    store.dump([value], tmp_path / "a.pkl", codec="pickle")

    assert scan_bytes((tmp_path / "a.pkl").read_bytes()).verdict == "malicious"


def detached(store: safehold.Store) -> bytes:
    key = store._hold.keyring.signing
    header = Header(
        v=1, suite=key.suite, key=key.id, zone="models", name="a.pkl", generation=1,
        created=1, codec="pickle", segments=[5], raw=True,
    )  # fmt: skip
    head, _, tail = container.sealed_chunks(
        header, [(5, [b"12345"])], key, bytes(16), align=64, detached=True
    )
    return bytes(head) + bytes(tail)


def test_a_sidecar_is_known_and_clean(store):
    for data in (detached(store), detached(store) * 2):
        report = scan_bytes(data, "a.pkl.sfh")
        assert (report.format, report.verdict) == ("sidecar", "clean")


@pytest.mark.parametrize("cut", [9, 47, 60, -1])
def test_a_cut_sidecar_is_not_clean(store, cut):
    assert scan_bytes(detached(store)[:cut], "a.pkl.sfh").verdict != "clean"


def test_what_stands_behind_a_sidecar_is_not_overlooked(store, tmp_path):
    data = detached(store)
    assert scan_bytes(data + RUNS, "a.pkl.sfh").verdict != "clean"
    store.dump({"a": 1}, tmp_path / "value.pkl")
    whole = (tmp_path / "value.pkl").read_bytes()
    assert scan_bytes(data + whole).verdict != "clean"
    assert scan_bytes(whole + data).verdict != "clean"
