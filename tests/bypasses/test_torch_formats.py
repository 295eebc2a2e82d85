"""torch's three formats; the pickles are built by hand, torch itself is not needed."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import zipfile

import pytest

from safehold.allow import AllowList
from safehold.scan import scan_bytes
from tests.bypasses.payloads import Raw, assert_caught, named, runs, stream, system, value

MAGIC = 0x1950A86A20F9469CFC6C


def storage(key="0", count=4):
    return Raw(
        value(("storage",))[:-1]
        + named("torch", "FloatStorage").opcodes
        + value(key)
        + value("cpu")
        + value(count)
        + b"tQ"
    )


def tensor(**about):
    rebuild = named("torch._utils", "_rebuild_tensor_v2").opcodes
    hooks = named("collections", "OrderedDict").opcodes + b")R"
    args = storage(**about).opcodes + value(0) + value((2, 2)) + value((2, 1)) + b"\x89" + hooks
    return Raw(rebuild + b"(" + args + b"tR")


def legacy(obj, tail=None, keys=("0",)):
    parts = [pickle.dumps(part, 2) for part in (MAGIC, 1001, {"little_endian": True})]
    parts += [stream(obj, protocol=2), pickle.dumps(list(keys), 2)]
    raw = struct.pack("<q4f", 4, 1, 2, 3, 4) if tail is None else tail
    return b"".join(parts) + raw


def archive(obj, extra=()):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", stream(obj, protocol=2))
        file.writestr("archive/data/0", struct.pack("<4f", 1, 2, 3, 4))
        file.writestr("archive/version", b"3\n")
        for name, data in extra:
            file.writestr(name, data)
    return buffer.getvalue()


def old_tar(storages_tail=b"", obj=None):
    buffer = io.BytesIO()
    members = {
        "sys_info": pickle.dumps({"protocol_version": 1000}, 2),
        "pickle": stream(obj or Raw(b"}"), protocol=2),
        "storages": stream(Raw(b"K\x01"), protocol=2)
        + stream(
            Raw(b"(" + value("0") + value("cpu") + named("torch", "FloatStorage").opcodes + b"t"),
            protocol=2,
        )
        + struct.pack("<q4f", 4, 1, 2, 3, 4)
        + (storages_tail or pickle.dumps([], 2)),
        "tensors": pickle.dumps(0, 2),
    }
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("build", [archive, legacy, lambda obj: old_tar()])
def test_plain_weights_are_clean(build):
    report = scan_bytes(build(tensor()), "m.pt")
    assert report.verdict == "clean", report
    assert report.format == "torch"


def test_payload_in_the_object_of_the_legacy_format(marker):
    assert_caught(legacy(system(marker)), marker, "five times", name="m.pt")


def test_payload_in_the_list_of_keys(marker):
    parts = legacy(Raw(b"}"), tail=b"").split(pickle.dumps(["0"], 2))
    data = parts[0] + stream(system(marker), protocol=2)
    assert_caught(data, marker, "five times", name="m.pt")


@pytest.mark.parametrize(
    ("tail", "rule"), [(b"", "SH103"), (struct.pack("<q5f", 4, 1, 2, 3, 4, 5), "SH107")]
)
def test_storage_bytes_must_be_as_announced(tail, rule):
    report = scan_bytes(legacy(tensor(), tail=tail), "m.pt")
    assert [finding.rule.id for finding in report.findings] == [rule]


def test_payload_in_the_storages_of_the_tar_format(marker):
    evil = stream(system(marker), protocol=2)
    assert runs(evil, marker)
    assert scan_bytes(old_tar(storages_tail=evil), "m.pt").verdict == "malicious"


def test_payload_in_the_object_of_the_tar_format(marker):
    assert scan_bytes(old_tar(obj=system(marker)), "m.pt").verdict == "malicious"


def test_unknown_bytes_in_the_storages_of_the_tar_format():
    assert scan_bytes(old_tar(storages_tail=b"\0" * 30), "m.pt").verdict == "suspicious"


@pytest.mark.parametrize(
    "name", ["archive/code/__torch__.py", "archive/code/__torch__/module.py", "code/a.py"]
)
def test_torchscript_is_code(name):
    report = scan_bytes(archive(tensor(), [(name, b"def forward(self): pass")]), "m.pt")
    assert report.verdict == "suspicious"
    assert {finding.rule.id for finding in report.findings} == {"SH109"}


def test_persistent_ids_belong_to_torch_alone():
    report = scan_bytes(stream(storage()), "m.pkl")
    assert "SH103" in {finding.rule.id for finding in report.findings}


def test_names_of_torch_count_in_torch_files_alone():
    data = stream(named("torch._utils", "_rebuild_tensor_v2"))
    report = scan_bytes(data, "m.pkl", allow=AllowList.of(["numpy"]))
    assert report.verdict == "suspicious"
