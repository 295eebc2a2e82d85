"""`safehold migrate --data`: what the calls read is converted, proved, kept, and made final."""

from __future__ import annotations

import collections
import gzip
import json
import os
import pickle
import shelve
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from safehold._cli import _data, main
from safehold._cli._same_value import is_same_value
from safehold.artifacts import Store
from safehold.keys import generate_key
from tests.cli.migrating import malicious, snapshot

POLICY = """\
version = 1
[[zone]]
name = "models"
paths = ["models/**"]
trust = "internal"
codecs = ["pickle", "joblib", "msgpack"]
allow = ["sklearn", "numpy"]
[[zone]]
name = "data"
paths = ["data/**"]
codecs = ["msgpack", "npy", "npz"]
[[zone]]
name = "plain"
paths = ["plain/**"]
trust = "internal"
codecs = ["pickle"]
sidecar = true
"""
SOURCE = """\
import gzip
import pickle
import shelve


def model():
    with open("models/m.pkl", "rb") as file:
        return pickle.load(file)


def rows():
    with open("data/rows.pkl", "rb") as file:
        return pickle.load(file)


def packed():
    with gzip.open("models/packed.pkl.gz", "rb") as file:
        return pickle.load(file)


def several():
    with open("models/several.pkl", "rb") as file:
        return [pickle.load(file), pickle.load(file)]


def beyond():
    with open("elsewhere/named.pkl", "rb") as file:
        return pickle.load(file)


def shared(name):
    with shelve.open("models/shelf", "r") as found:
        return found[name]
"""
MODEL = collections.OrderedDict(weights=[1.5, float("nan")], name="fraud")
ROWS = {"rows": [(1, "a"), (2, "b")], "seen": {"x"}}
READS = {
    "model": MODEL,
    "rows": ROWS,
    "packed": {"packed": 1},
    "several": [1, {"two": 2}],
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", generate_key())
    root = tmp_path / "service"
    for name in ("app", "models", "data", "plain", "elsewhere"):
        (root / name).mkdir(parents=True)
    (root / "safehold.toml").write_text(POLICY)
    (root / "app" / "io.py").write_text(SOURCE)
    (root / "models" / "m.pkl").write_bytes(pickle.dumps(MODEL))
    (root / "models" / "m.pkl").chmod(0o640)
    (root / "models" / "packed.pkl.gz").write_bytes(gzip.compress(pickle.dumps({"packed": 1})))
    (root / "models" / "several.pkl").write_bytes(pickle.dumps(1) + pickle.dumps({"two": 2}))
    (root / "data" / "rows.pkl").write_bytes(pickle.dumps(ROWS))
    return root


def migrate(root: Path, *options: str) -> int:
    return main(["migrate", str(root), *options])


def written(root: Path, *more: str) -> int:
    return migrate(root, "--data", str(root / "models"), str(root / "data"), "--write", *more)


def document(root: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, dict]:
    capsys.readouterr()
    migrate(root, "--format", "json", *options)
    found = json.loads(capsys.readouterr().out)
    return {file["path"]: file for file in found["data"]}


def reads(root: Path, code: str) -> str:
    """Run code beside the service's modules, as the service is started."""
    environment = os.environ | {"SAFEHOLD_POLICY": str(root / "safehold.toml")}
    words = [sys.executable, "-B", "-c", f"from app import io\n{code}"]
    done = subprocess.run(
        words, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_without_write_nothing_changes_and_no_key_is_needed(tree, monkeypatch, capsys):
    monkeypatch.delenv("SAFEHOLD_SECRET_KEY")
    before = snapshot(tree)

    assert migrate(tree, "--data", str(tree / "models"), str(tree / "data")) == 1

    out = capsys.readouterr().out
    assert snapshot(tree) == before
    assert not (tree / ".safehold").exists()
    assert "seal models/m.pkl: clean pickle" in out
    assert "convert data/rows.pkl: plain data" in out
    assert "4 data files: 4 to seal, convert or list, 0 left" in out


def test_what_was_read_before_is_read_after(tree, capsys):
    originals = {name: (tree / name).read_bytes() for name in ("models/m.pkl", "data/rows.pkl")}

    assert written(tree) == 0

    assert "sealed models/m.pkl: clean pickle; original in models/m.pkl.unsealed" in (
        capsys.readouterr().out
    )
    for name, data in originals.items():
        assert (tree / name).read_bytes().startswith(b"SFH1")
        assert (tree / f"{name}.unsealed").read_bytes() == data
    assert stat.S_IMODE((tree / "models/m.pkl").stat().st_mode) == 0o640
    assert "safehold.compat.pickle" in (tree / "app/io.py").read_text()
    for name, value in READS.items():
        assert reads(tree, f"print(io.{name}())") == f"{value!r}\n"


def test_a_flipped_byte_and_a_planted_pickle_are_refused_afterwards(tree, tmp_path):
    written(tree)
    path = tree / "models/m.pkl"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert "Tampered" in reads(tree, "io.model()")
    path.write_bytes(malicious(tmp_path / "ran"))
    assert "NotSealed" in reads(tree, "io.model()")
    assert not (tmp_path / "ran").exists()


def test_a_file_that_a_call_names_needs_no_place(tree, capsys):
    (tree / "elsewhere/named.pkl").write_bytes(pickle.dumps([1, 2]))
    found = document(tree, capsys, "--data", str(tree / "data"))
    assert set(found) == {
        "data/rows.pkl", "elsewhere/named.pkl", "models/m.pkl", "models/packed.pkl.gz",
        "models/several.pkl",
    }  # fmt: skip
    assert found["elsewhere/named.pkl"]["outcome"] == "convert"


def test_what_sources_read_is_known_when_they_were_migrated_before(tree, capsys):
    migrate(tree, "--write")
    (tree / "elsewhere/named.pkl").write_bytes(pickle.dumps([1, 2]))

    assert "elsewhere/named.pkl" in document(tree, capsys, "--data", str(tree / "data"))


def test_a_second_run_finds_nothing_to_do(tree, capsys):
    written(tree)
    before = snapshot(tree)
    assert written(tree) == 0
    assert snapshot(tree) == before
    assert document(tree, capsys, "--data", str(tree / "models")) == {}


def test_rollback_restores_every_byte_mode_and_time(tree):
    before = snapshot(tree)
    written(tree)
    assert snapshot(tree) != before
    assert migrate(tree, "--rollback") == 0
    assert snapshot(tree) == before


def test_data_and_sources_are_one_run(tree):
    written(tree)
    assert migrate(tree, "--rollback") == 0
    assert migrate(tree, "--rollback") == 0
    assert not (tree / ".safehold").exists()


def test_a_planted_pickle_is_left_reported_and_never_loaded(tree, tmp_path, capsys):
    marker = tmp_path / "ran"
    (tree / "models/planted.pkl").write_bytes(malicious(marker))
    (tree / "data/planted.pkl").write_bytes(malicious(marker))

    assert written(tree) == 1

    out = capsys.readouterr().out
    assert not marker.exists()
    assert "left models/planted.pkl: malicious: SH101" in out
    assert "left data/planted.pkl: malicious: SH101" in out
    assert (tree / "models/planted.pkl").read_bytes() == malicious(marker)
    assert (tree / "models/m.pkl").read_bytes().startswith(b"SFH1")


def test_a_pickle_that_is_planted_between_plan_and_act_is_not_loaded(tree, tmp_path, monkeypatch):
    marker = tmp_path / "ran"
    plan = _data.plan_data

    def planted(*args, **options):
        steps = plan(*args, **options)
        for name in ("models/m.pkl", "data/rows.pkl"):
            (tree / name).write_bytes(malicious(marker))
        return steps

    monkeypatch.setattr("safehold._cli._migrating.plan_data", planted)
    assert written(tree) == 1
    assert not marker.exists()
    assert (tree / "models/m.pkl").read_bytes() == malicious(marker)
    assert (tree / "data/rows.pkl").read_bytes() == malicious(marker)
    assert not list(tree.rglob("m*.unsealed"))


def test_a_name_beyond_the_list_is_left_with_what_to_do(tree, capsys):
    (tree / "models/own.pkl").write_bytes(b"\x80\x04\x8c\napp.shapes\x8c\x05Shape\x93)\x81.")
    assert written(tree) == 1
    out = capsys.readouterr().out
    assert "left models/own.pkl: suspicious: SH102" in out
    assert "add what it names to the allow list of its zone" in out


def test_objects_in_an_external_zone_are_left(tree, capsys):
    (tree / "data/objects.pkl").write_bytes(pickle.dumps([complex, 1]))
    found = document(tree, capsys, "--data", str(tree / "data"))
    assert found["data/objects.pkl"]["outcome"] == "leave"
    assert "give it an internal zone" in found["data/objects.pkl"]["reason"]


def test_a_codec_that_the_zone_lacks_is_told_before(tree, capsys):
    (tree / "safehold.toml").write_text(POLICY.replace('"msgpack", "npy"', '"npy"'))
    found = document(tree, capsys, "--data", str(tree / "data"))
    assert "does not have the codec 'msgpack'" in found["data/rows.pkl"]["reason"]


def test_a_read_only_file_is_left(tree, capsys):
    path = tree / "models/m.pkl"
    path.chmod(0o444)
    before = path.read_bytes()
    assert written(tree) == 1
    assert "left models/m.pkl: the file is read-only" in capsys.readouterr().out
    assert path.read_bytes() == before


def test_links_out_of_the_tree_are_refused(tree, tmp_path, capsys):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "o.pkl").write_bytes(pickle.dumps({"a": 1}))
    (tree / "models/link.pkl").symlink_to(outside / "o.pkl")
    (tree / "far").symlink_to(outside)

    assert migrate(tree, "--data", str(tree / "far"), "--write") == 2
    assert "leads out of" in capsys.readouterr().err
    assert written(tree) == 1
    assert "left models/link.pkl: a link that leads out of the tree" in capsys.readouterr().out
    assert (outside / "o.pkl").read_bytes() == pickle.dumps({"a": 1})
    assert [path.name for path in outside.iterdir()] == ["o.pkl"]


def test_a_link_within_the_tree_is_its_file_once(tree):
    (tree / "models/latest.pkl").symlink_to("m.pkl")
    assert written(tree) == 0
    assert (tree / "models/latest.pkl").is_symlink()
    assert not (tree / "models/latest.pkl.unsealed").exists()


def test_a_file_that_vanishes_keeps_nobody_from_the_others(tree, monkeypatch, capsys):
    plan = _data.plan_data

    def vanishing(*args, **options):
        steps = plan(*args, **options)
        (tree / "models/m.pkl").unlink()
        return steps

    monkeypatch.setattr("safehold._cli._migrating.plan_data", vanishing)
    assert written(tree) == 1
    out = capsys.readouterr().out
    assert "failed models/m.pkl" in out
    assert (tree / "data/rows.pkl").read_bytes().startswith(b"SFH1")


def test_a_value_that_does_not_come_back_is_put_back(tree, monkeypatch, capsys):
    before = snapshot(tree)
    real = Store.dump
    monkeypatch.setattr(
        Store, "dump", lambda self, value, path, **more: real(self, [value], path, **more)
    )
    assert written(tree) == 1
    assert "failed data/rows.pkl: EncodeError" in capsys.readouterr().out
    assert snapshot(tree)["data/rows.pkl"] == before["data/rows.pkl"]
    assert not (tree / "data/rows.pkl.unsealed").exists()
    assert migrate(tree, "--rollback") == 0
    assert snapshot(tree) == before


def test_other_bytes_than_the_original_are_put_back(tree, monkeypatch, capsys):
    before = snapshot(tree)

    def seal(self, path, **_):
        self.dump({"other": 1}, path, codec="pickle")

    monkeypatch.setattr(Store, "seal", seal)
    assert written(tree) == 1
    assert "what was sealed is not what the original holds" in capsys.readouterr().out
    assert snapshot(tree)["models/m.pkl"] == before["models/m.pkl"]


def test_in_a_zone_of_sidecars_the_file_stays_for_old_readers(tree):
    path = tree / "plain/s.pkl"
    path.write_bytes(pickle.dumps({"a": 1}))
    assert migrate(tree, "--data", str(tree / "plain"), "--write") == 0
    assert path.read_bytes() == pickle.dumps({"a": 1})
    assert (tree / "plain/s.pkl.sfh").exists()
    assert not (tree / "plain/s.pkl.unsealed").exists()
    assert migrate(tree, "--finalize") == 0
    assert (tree / "plain/s.pkl.sfh").exists()


def test_rollback_removes_sidecars(tree):
    (tree / "plain/s.pkl").write_bytes(pickle.dumps({"a": 1}))
    before = snapshot(tree)
    migrate(tree, "--data", str(tree / "plain"), "--write")
    assert migrate(tree, "--rollback") == 0
    assert snapshot(tree) == before


# --- the policy ----------------------------------------------------------------------------


def test_without_a_policy_file_nothing_is_converted(tree, capsys):
    (tree / "safehold.toml").unlink()
    before = snapshot(tree)
    assert written(tree) == 2
    assert "no policy: give --policy FILE, or write one with" in capsys.readouterr().err
    assert snapshot(tree) == before


def test_without_a_key_nothing_changes(tree, monkeypatch, capsys):
    monkeypatch.delenv("SAFEHOLD_SECRET_KEY")
    before = snapshot(tree)
    assert written(tree) == 2
    assert snapshot(tree) == before


def test_a_found_policy_that_runs_a_command_is_not_followed(tree, capsys):
    found = '[keys]\nsource = "cmd:touch ran"\nid = "k1"\n'
    (tree / "safehold.toml").write_text(POLICY.replace("[[zone]]", f"{found}[[zone]]", 1))
    assert written(tree) == 2
    assert "name it: --policy" in capsys.readouterr().err


def test_another_root_is_told(tree, capsys):
    assert migrate(tree / "app", "--policy", str(tree / "safehold.toml"),
                   "--data", str(tree / "models")) == 2  # fmt: skip
    assert "name that as PATH" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["sarif", "html"])
def test_data_is_told_as_text_or_json(tree, output, capsys):
    assert migrate(tree, "--data", str(tree / "models"), "--format", output) == 2
    assert "text or json" in capsys.readouterr().err


# --- shelves -------------------------------------------------------------------------------


def fill(path: Path, **values: object) -> None:
    with shelve.open(str(path)) as found:
        found.update(values)


def test_a_shelf_is_sealed_value_by_value(tree):
    fill(tree / "models/shelf", one=MODEL, two={"b": {1}})
    before = snapshot(tree)

    assert written(tree) == 0

    assert reads(tree, "print(io.shared('one')); print(io.shared('two'))").splitlines() == [
        repr(MODEL),
        repr({"b": {1}}),
    ]
    with (
        shelve.open(str(tree / "models/shelf"), "r") as found,
        pytest.raises(pickle.UnpicklingError),
    ):
        found["one"]
    assert migrate(tree, "--rollback") == 0
    assert snapshot(tree) == before


def test_values_of_a_shelf_cannot_be_exchanged_afterwards(tree):
    fill(tree / "models/shelf", one=1, two=2)
    written(tree)
    import dbm

    with dbm.open(str(tree / "models/shelf"), "w") as found:
        found["one"] = found["two"]
    assert "WrongContext" in reads(tree, "io.shared('one')")
    assert migrate(tree, "--finalize") == 1


def test_one_bad_value_leaves_the_whole_shelf(tree, tmp_path, capsys):
    import dbm

    fill(tree / "models/shelf", one=1)
    marker = tmp_path / "ran"
    with dbm.open(str(tree / "models/shelf"), "w") as found:
        found["two"] = malicious(marker)
    before = snapshot(tree)
    assert written(tree) == 1
    assert "left models/shelf: the value of 'two' is malicious" in capsys.readouterr().out
    assert not marker.exists()
    assert all(snapshot(tree)[name] == was for name, was in before.items() if "shelf" in name)


def test_a_shelf_with_a_damaged_index_is_left(tree, capsys):
    fill(tree / "models/shelf", one=1)
    (tree / "models/shelf.dir").write_bytes(b"'one', (0, 5, 7)\n'two', 5\n((((\n")
    assert written(tree) == 1
    assert "left models/shelf: a database of dbm that cannot be read" in capsys.readouterr().out


def test_finalize_ends_a_shelf(tree):
    fill(tree / "models/shelf", one=MODEL)
    written(tree)
    assert migrate(tree, "--finalize") == 0
    assert not list(tree.rglob("*.unsealed"))
    assert reads(tree, "print(io.shared('one'))").strip() == repr(MODEL)


# --- the end -------------------------------------------------------------------------------


def test_finalize_removes_the_originals_and_the_journal(tree, capsys):
    written(tree)
    assert migrate(tree, "--finalize") == 0
    assert "cannot be rolled back any more" in capsys.readouterr().out
    assert not list(tree.rglob("*.unsealed"))
    assert not (tree / ".safehold").exists()
    assert reads(tree, "print(io.model())").strip() == repr(MODEL)
    assert migrate(tree, "--rollback") == 0
    assert "nothing to roll back" in capsys.readouterr().out
    assert migrate(tree, "--finalize") == 0
    assert "nothing to finalize" in capsys.readouterr().out


def test_finalize_refuses_an_original_that_changed_and_removes_nothing(tree, capsys):
    written(tree)
    original = tree / "models/m.pkl.unsealed"
    original.unlink()
    original.write_bytes(b"other")
    assert migrate(tree, "--finalize") == 1
    out = capsys.readouterr().out
    assert "not removed: models/m.pkl.unsealed: is not the original any more" in out
    assert original.read_bytes() == b"other"
    assert (tree / "data/rows.pkl.unsealed").exists()


@pytest.mark.parametrize("change", ["flipped", "gone", "plain"])
def test_finalize_refuses_when_what_took_its_place_does_not_verify(tree, change, capsys):
    written(tree)
    path = tree / "models/m.pkl"
    data = path.read_bytes()
    path.unlink()
    if change != "gone":
        path.write_bytes(data[:-1] + b"?" if change == "flipped" else pickle.dumps(MODEL))
    assert migrate(tree, "--finalize") == 1
    assert "not removed: models/m.pkl" in capsys.readouterr().out
    assert (tree / "models/m.pkl.unsealed").read_bytes() == pickle.dumps(MODEL)
    assert (tree / "data/rows.pkl.unsealed").exists()


def test_finalize_takes_what_the_service_has_written_since(tree):
    written(tree)
    code = "import safehold.compat.pickle as p\np.dump({'new': 1}, 'models/m.pkl')"
    assert reads(tree, code) == ""
    assert migrate(tree, "--finalize") == 0
    assert reads(tree, "print(io.model())").strip() == "{'new': 1}"


def test_an_original_that_somebody_changed_stays_after_a_rollback(tree, capsys):
    written(tree)
    original = tree / "models/m.pkl.unsealed"
    original.unlink()
    original.write_bytes(b"other")
    assert migrate(tree, "--rollback") == 1
    assert "kept: models/m.pkl.unsealed" in capsys.readouterr().out
    assert (tree / "models/m.pkl").read_bytes() == pickle.dumps(MODEL)


# --- equal values --------------------------------------------------------------------------


class Shape:
    def __init__(self, side: object) -> None:
        self.side = side


CYCLE: list[object] = []
CYCLE.append(CYCLE)
OTHER: list[object] = []
OTHER.append([OTHER])


@pytest.mark.parametrize(
    ("one", "two", "equal"),
    [
        (1, 1.0, False),
        (float("nan"), float("-nan"), False),
        ([float("nan")], [float("nan")], True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
        ({1, 2, "x"}, {"x", 2, 1}, True),
        ({1}, {True}, False),
        ({(1, float("nan"))}, {(1, float("nan"))}, True),
        (frozenset({(1, 2)}), frozenset({(1, 3)}), False),
        (Shape([1]), Shape([1]), True),
        (Shape([1]), Shape([True]), False),
        (Shape, Shape, True),
        (Shape, int, False),
        (collections.OrderedDict(a=1), {"a": 1}, False),
        (collections.deque([1], 3), collections.deque([1], 4), False),
        (CYCLE, CYCLE[:], True),
        (CYCLE, OTHER, True),
        (len, len, True),
        (len, abs, False),
    ],
)
def test_equal_values(one, two, equal):
    assert is_same_value(one, two) is equal
