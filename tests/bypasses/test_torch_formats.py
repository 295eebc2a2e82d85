"""torch's three formats; the pickles are built by hand, torch itself is not needed."""

from __future__ import annotations

import io
import pathlib
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


def tensor_of(count):
    """The object of a file with one storage of so many items, by its persistent id alone."""
    return storage(count=count).opcodes


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


def ran(data, marker):
    """Whether six loads that know persistent ids run it, as readers of the old format do."""
    return runs(data, marker, "six times")


def test_sixth_load_on_the_handle_of_the_old_format(marker):
    """`pickle.load` takes the bytes of the storages for opcodes."""
    data = legacy(Raw(b"}"), tail=stream(system(marker), protocol=2), keys=())
    assert ran(data, marker)
    assert scan_bytes(data, "m.pt").verdict == "malicious"


def test_storages_that_are_a_stream(marker):
    """A size that is opcodes, and bytes that go on with them: torch itself sees plain weights."""
    pytest.importorskip("torch")  # whose storage the object names
    evil = stream(system(marker), protocol=2)
    count = -(-(len(evil) - 8) // 4)
    tail = evil.ljust(8 + 4 * count, b"\0")
    data = legacy(Raw(tensor_of(count)), tail=tail)
    assert ran(data, marker)
    assert scan_bytes(data, "m.pt").verdict == "malicious"


def test_files_of_the_old_format_in_a_row():
    one = legacy(tensor())
    report = scan_bytes(one * 3, "m.pt")
    assert (report.verdict, report.format) == ("clean", "torch")
    second = scan_bytes(one + legacy(system(pathlib.Path("x"))), "m.pt")
    assert second.verdict == "malicious"
    assert "SH107" in {finding.rule.id for finding in scan_bytes(one + b"rest", "m.pt").findings}


def test_pickle_behind_the_storages(marker):
    data = legacy(tensor()) + stream(system(marker))
    assert scan_bytes(data, "m.pt").verdict == "malicious"


def test_weights_that_look_like_opcodes_are_clean():
    for item in (b"(", b"]", b"K", b"c", b"\x80", b"."):
        tail = struct.pack("<q", 4) + item * 16
        assert scan_bytes(legacy(tensor(), tail=tail), "m.pt").verdict == "clean", item


def test_class_of_a_layer_in_an_id():
    """torch before zip wrote ``('module', class, file, source)`` where the class stands."""
    linear = named("torch.nn.modules.linear", "Linear").opcodes
    kept = b"(" + value("module") + linear + value("linear.py") + value("class Linear:") + b"tQ"
    made = Raw(kept + b")\x81}b")
    assert scan_bytes(legacy(made, tail=b"", keys=()), "a.pt").verdict == "clean"


def test_dangerous_function_in_an_id(marker):
    pytest.importorskip("torch")  # which calls it
    kept = b"(" + value("module") + named("posix", "system").opcodes + b"NNtQ"
    payload = Raw(kept + value((f"touch {marker}",)) + b"R")
    assert_caught(legacy(payload, tail=b"", keys=()), marker, "torch", name="a.pt")
