"""`safehold harden` on trees as strangers have them."""

from __future__ import annotations

import bz2
import collections
import datetime as dt
import gzip
import lzma
import os
import pickle
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from safehold._cli import main
from safehold.keys import generate_key
from safehold.policy import Policy

SERVICE = """import pickle

def read(path):
    with open(path, "rb") as handle:
        return pickle.load(handle)
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", generate_key())
    root = tmp_path / "service"
    for name in ("app", "models", "data"):
        (root / name).mkdir(parents=True)
    (root / "app" / "io.py").write_text(SERVICE)
    (root / "models" / "weights.pkl").write_bytes(pickle.dumps(collections.OrderedDict(a=1.5)))
    (root / "data" / "cache.pkl").write_bytes(
        pickle.dumps({"at": dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), "pair": (1, 2)})
    )
    return root


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    """Content and mode of every file, without what a run keeps as evidence."""
    return {
        str(path.relative_to(root)): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and not path.is_symlink()
        and path.relative_to(root).parts[:2] != ("var", "safehold")
        and path.relative_to(root).parts[0] != ".safehold"
    }


def malicious(marker: Path) -> bytes:
    return f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode()


def test_without_write_nothing_changes_and_the_diff_is_shown(tree, capsys):
    before = snapshot(tree)

    code = main(["harden", str(tree)])

    out = capsys.readouterr().out
    assert code == 1
    assert snapshot(tree) == before
    assert sorted(path.name for path in tree.iterdir()) == ["app", "data", "models"]
    assert "+import safehold.compat.pickle as pickle" in out
    assert "seal models/weights.pkl" in out
    assert "convert data/cache.pkl" in out


def test_without_write_no_key_is_needed(tree, monkeypatch):
    monkeypatch.delenv("SAFEHOLD_SECRET_KEY")

    assert main(["harden", str(tree)]) == 1


def test_write_seals_converts_migrates_and_leaves_nothing_to_find(tree, capsys):
    assert main(["harden", str(tree), "--write"]) == 0

    out = capsys.readouterr().out
    assert "0 findings" in out
    assert (tree / "models" / "weights.pkl").read_bytes().startswith(b"SFH1")
    assert (tree / "data" / "cache.pkl").read_bytes().startswith(b"SFH1")
    assert "safehold.compat" in (tree / "app" / "io.py").read_text()
    assert Policy.load(tree / "safehold.toml").trusted == ("app/**",)


def test_the_hardened_service_reads_what_it_read_before(tree, monkeypatch):
    main(["harden", str(tree), "--write"])
    monkeypatch.setenv("SAFEHOLD_POLICY", str(tree / "safehold.toml"))
    code = (
        "from app.io import read; print(read('data/cache.pkl')); print(read('models/weights.pkl'))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tree, check=True, capture_output=True, text=True
    )

    assert done.stdout.splitlines() == [
        "{'at': datetime.datetime(2026, 1, 2, 3, 0, tzinfo=datetime.timezone.utc), 'pair': (1, 2)}",
        repr(collections.OrderedDict(a=1.5)),
    ]


def test_a_second_run_changes_nothing(tree):
    main(["harden", str(tree), "--write"])
    before = snapshot(tree)

    assert main(["harden", str(tree), "--write"]) == 0
    assert snapshot(tree) == before


def test_a_run_that_changes_nothing_does_not_stand_in_the_way_of_a_rollback(tree):
    before = snapshot(tree)
    main(["harden", str(tree), "--write"])
    main(["harden", str(tree), "--write"])

    main(["migrate", str(tree), "--rollback"])

    assert snapshot(tree) == before


def test_rollback_restores_every_byte_and_mode(tree):
    (tree / "models" / "weights.pkl").chmod(0o640)
    before = snapshot(tree)
    main(["harden", str(tree), "--write"])
    assert snapshot(tree) != before

    assert main(["migrate", str(tree), "--rollback"]) == 0
    assert snapshot(tree) == before


def test_a_planted_pickle_is_set_aside_by_name_and_never_runs(tree, tmp_path, capsys):
    marker = tmp_path / "ran"
    (tree / "models" / "planted.pkl").write_bytes(malicious(marker))

    code = main(["harden", str(tree), "--write"])

    assert code == 1
    assert not marker.exists()
    assert not (tree / "models" / "planted.pkl").exists()
    assert (tree / "models" / "planted.pkl.quarantined").read_bytes() == malicious(marker)
    assert "SH101" in capsys.readouterr().out


def test_two_planted_files_of_one_name_are_both_kept(tree, tmp_path):
    marker = tmp_path / "ran"
    (tree / "models" / "planted.pkl").write_bytes(malicious(marker))
    (tree / "models" / "planted.pkl.quarantined").write_bytes(b"older")

    main(["harden", str(tree), "--write"])

    assert (tree / "models" / "planted.pkl.quarantined").read_bytes() == b"older"
    assert (tree / "models" / "planted.pkl.2.quarantined").read_bytes() == malicious(marker)


def test_no_key_changes_nothing_and_names_the_command(tree, monkeypatch, capsys):
    monkeypatch.delenv("SAFEHOLD_SECRET_KEY")
    before = snapshot(tree)

    code = main(["harden", str(tree), "--write"])

    assert code == 2
    assert 'export SAFEHOLD_SECRET_KEY="$(safehold keygen)"' in capsys.readouterr().err
    assert snapshot(tree) == before
    assert not (tree / "safehold.toml").exists()


def test_a_weak_key_changes_nothing(tree, monkeypatch, capsys):
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", "changeme-changeme-changeme-changeme")
    before = snapshot(tree)

    assert main(["harden", str(tree), "--write"]) == 2
    assert "safehold keygen" in capsys.readouterr().err
    assert snapshot(tree) == before


def test_objects_in_a_data_directory_get_a_zone_of_their_own(tree, capsys):
    # A class of the standard preset that data codecs have no form for.
    name = "data/model.pkl"
    payload = b"\x80\x02ccopyreg\n_reconstructor\n(capp.shapes\nShape\nc__builtin__\nobject\nNtR."
    (tree / "app" / "shapes.py").write_text("class Shape:\n    side = 1\n")
    (tree / name).write_bytes(payload)

    main(["harden", str(tree), "--write"])

    policy = Policy.load(tree / "safehold.toml")
    zone = policy.zone_for(name)
    assert (zone.trust, zone.paths) == ("internal", (name,))
    assert "app.shapes.Shape" in zone.allow
    assert policy.zone_for("data/cache.pkl").trust == "external"
    assert (tree / name).read_bytes().startswith(b"SFH1")
    assert "SH116" in capsys.readouterr().out


def test_classes_that_a_writer_has_at_hand_are_allowed_before_any_file_exists(tree, monkeypatch):
    (tree / "app" / "shapes.py").write_text("class Shape:\n    side = 1\n")
    (tree / "app" / "train.py").write_text(
        "import pickle\nfrom app.shapes import Shape\n\n"
        "def save():\n    with open('models/shape.pkl', 'wb') as out:\n"
        "        pickle.dump(Shape(), out)\n"
        "def echo():\n    return pickle.loads(pickle.dumps(Shape())).side\n"
    )
    main(["harden", str(tree), "--write"])
    monkeypatch.setenv("SAFEHOLD_POLICY", str(tree / "safehold.toml"))
    code = (
        "from app.train import save, echo; from app.io import read; "
        "save(); print(read('models/shape.pkl').side, echo())"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tree, check=False, capture_output=True, text=True
    )

    assert (done.stdout, done.stderr) == ("1 1\n", "")


def test_a_class_of_the_tree_that_runs_code_when_loaded_is_not_allowed(tree):
    (tree / "app" / "shapes.py").write_text(
        "class Shape:\n    def __setstate__(self, state):\n        pass\n"
    )
    payload = b"\x80\x02ccopyreg\n_reconstructor\n(capp.shapes\nShape\nc__builtin__\nobject\nNtR."
    (tree / "models" / "shape.pkl").write_bytes(payload)

    main(["harden", str(tree), "--write"])

    assert (tree / "models" / "shape.pkl.quarantined").exists()


def test_an_operators_policy_is_followed_and_not_rewritten(tree):
    policy = tree / "safehold.toml"
    policy.write_text('version = 1\n\n[[zone]]\nname = "m"\npaths = ["models/**"]\n'
                      'trust = "internal"\n')  # fmt: skip
    text = policy.read_text()

    main(["harden", str(tree), "--write"])

    assert policy.read_text() == text
    assert (tree / "models" / "weights.pkl").read_bytes().startswith(b"SFH1")


def test_reports_are_written_and_the_report_directory_is_not_scanned(tree, tmp_path):
    main(["harden", str(tree), "--write", "--report", str(tree / "report")])

    names = sorted(path.name for path in (tree / "report").iterdir())
    assert names == ["after.html", "after.txt", "before.html", "before.txt", "changes.txt"]
    assert "SH151" in (tree / "report" / "before.txt").read_text()
    assert "SH151" not in (tree / "report" / "after.txt").read_text()


def test_excluded_names_are_left_alone(tree):
    (tree / "attacks").mkdir()
    (tree / "attacks" / "evil.py").write_text("import pickle\npickle.loads(b'')\n")
    before = snapshot(tree / "attacks")

    main(["harden", str(tree), "--write", "--exclude", "attacks"])

    assert snapshot(tree / "attacks") == before


def test_every_kind_of_broken_file_is_reported_and_none_is_lost(tree, capsys):
    (tree / "app" / "broken.py").write_text("import pickle\ndef f(:\n")
    (tree / "app" / "latin.py").write_bytes(b"import pickle\nx = '\xe9'\n")
    (tree / "app" / "old.py").write_text("import pickle\nprint pickle.load(f)\n")
    (tree / "app" / "nul.py").write_bytes(b"import pickle\n\0")
    (tree / "app" / "loop").symlink_to(tree / "app", target_is_directory=True)
    (tree / "app" / "self.py").symlink_to("self.py")
    (tree / "models" / "cut.pkl").write_bytes(pickle.dumps([1, 2, 3])[:-2])
    (tree / "models" / "empty.pkl").write_bytes(b"")
    os.mkfifo(tree / "models" / "pipe.pkl")
    read_only = tree / "app" / "frozen.py"
    read_only.write_text(SERVICE)
    read_only.chmod(0o444)
    before = snapshot(tree)

    code = main(["harden", str(tree), "--write", "--report", str(tree.parent / "report")])

    captured = capsys.readouterr()
    text = (tree.parent / "report" / "after.txt").read_text() + captured.out + captured.err
    assert code == 1
    for name in ("broken.py", "latin.py", "old.py", "nul.py", "self.py", "cut.pkl", "empty.pkl"):
        assert name in text, name
    assert "frozen.py" in captured.err
    assert "safehold.compat" in (tree / "app" / "io.py").read_text()
    main(["migrate", str(tree), "--rollback"])
    assert snapshot(tree) == before


def test_a_file_of_sixty_thousand_lines_is_migrated(tree):
    lines = "\n".join(f"value_{number} = {number}" for number in range(60_000))
    (tree / "app" / "large.py").write_text(f"import pickle\n{lines}\nx = pickle.loads(b'')\n")

    assert main(["harden", str(tree), "--write"]) == 0
    text = (tree / "app" / "large.py").read_text()
    assert text.startswith("import safehold.compat.pickle as pickle\n")
    assert text.count("\n") == 60_002


def test_a_path_that_is_no_directory_is_a_clear_error(tmp_path, capsys):
    assert main(["harden", str(tmp_path / "missing")]) == 2
    assert "not a directory" in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_some_moment_rollback_restores_every_byte(tree, seed):
    for number in range(30):
        (tree / "app" / f"module_{number}.py").write_text(SERVICE)
        (tree / "models" / f"model_{number}.pkl").write_bytes(pickle.dumps([number] * 50))
    before = snapshot(tree)
    child = subprocess.Popen(
        [sys.executable, "-m", "safehold", "harden", str(tree), "--write"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (tree / ".safehold").exists() and child.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(0.01 + 0.05 * seed)
    child.send_signal(signal.SIGKILL)
    child.wait()

    assert main(["migrate", str(tree), "--rollback"]) in (0, 2)

    assert snapshot(tree) == before


READERS = """import bz2, gzip, lzma, pickle
from pathlib import Path

OPENERS = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}

def read(path):
    with OPENERS[path.rpartition(".")[2]](path, "rb") as handle:
        return pickle.load(handle)

def write(path, value):
    with OPENERS[path.rpartition(".")[2]](path, "wb") as handle:
        pickle.dump(value, handle)

def read_state():
    return pickle.loads(Path("models/state.pkl").read_bytes())
"""


def in_service(tree: Path, code: str) -> str:
    environment = os.environ | {
        "SAFEHOLD_POLICY": str(tree / "safehold.toml"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tree, env=environment, check=False, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.parametrize("directory", ["models", "data"])
@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip), ("bz2", bz2), ("xz", lzma)])
def test_a_pickle_inside_a_compression_that_the_code_opens_is_sealed_inside_it(
    tree, directory, suffix, pack
):
    name = f"{directory}/state.pkl.{suffix}"
    (tree / "app" / "packed.py").write_text(READERS)
    (tree / name).write_bytes(pack.compress(pickle.dumps({"a": (1, 2)})))
    before = snapshot(tree)

    assert main(["harden", str(tree), "--write"]) == 0

    assert pack.decompress((tree / name).read_bytes()).startswith(b"SFH1")
    code = (
        f"from app.packed import *; name = {name!r}; print(read(name)); write(name, [3]); "
        f"print(read(name))"
    )
    assert in_service(tree, code) == "{'a': (1, 2)}\n[3]\n"
    assert main(["harden", str(tree), "--write"]) == 0
    (tree / name).write_bytes(pack.compress(pack.decompress((tree / name).read_bytes())[:-1]))
    assert main(["harden", str(tree), "--write"]) == 1
    main(["migrate", str(tree), "--rollback"])
    (tree / f"{name}.before-rollback").unlink()
    assert snapshot(tree) == before


def test_a_file_that_the_code_reads_as_bytes_is_sealed_as_bytes(tree):
    (tree / "app" / "packed.py").write_text(READERS)
    (tree / "models" / "state.pkl").write_bytes(pickle.dumps([1, 2]))

    assert main(["harden", str(tree), "--write"]) == 0

    assert in_service(tree, "from app.packed import *; print(read_state())") == "[1, 2]\n"
    assert main(["harden", str(tree), "--write"]) == 0
    data = bytearray((tree / "models" / "state.pkl").read_bytes())
    data[-20] ^= 1
    (tree / "models" / "state.pkl").write_bytes(data)
    assert main(["harden", str(tree)]) == 0  # without keys nothing is verified
    assert main(["harden", str(tree), "--write"]) == 1
    assert "Tampered" in in_service(tree, "from app.packed import *; print(read_state())")


@pytest.mark.parametrize("name", [b"a[1].pkl", b"a*.pkl", b"a\nb.pkl", b"\xff.pkl", b"a b.pkl"])
@pytest.mark.parametrize("directory", ["data", "models"])
def test_file_names_that_patterns_cannot_spell_are_hardened_all_the_same(tree, directory, name):
    (tree / "app" / "shapes.py").write_text("class Shape:\n    side = 1\n")
    payload = b"\x80\x02ccopyreg\n_reconstructor\n(capp.shapes\nShape\nc__builtin__\nobject\nNtR."
    path = tree / directory / os.fsdecode(name)
    path.write_bytes(payload)

    main(["harden", str(tree), "--write"])

    assert path.read_bytes().startswith(b"SFH1")
    code = f"from app.io import read; import os; print(read(os.fsdecode({bytes(path)!r})).side)"
    assert in_service(tree, code) == "1\n"
