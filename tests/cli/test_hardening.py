"""What `safehold harden` says before it writes, and what a hardened service then meets."""

from __future__ import annotations

import collections
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from safehold._cli import _progress, main
from safehold.keys import generate_key
from safehold.policy import Policy

SHAPES = "class Shape:\n    side = 1\n"
# An instance of app.shapes.Shape, which data codecs have no form for.
SHAPE = b"\x80\x02ccopyreg\n_reconstructor\n(capp.shapes\nShape\nc__builtin__\nobject\nNtR."


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", generate_key())
    root = tmp_path / "service"
    for name in ("app", "models", "store/deep"):
        (root / name).mkdir(parents=True)
    (root / "app" / "shapes.py").write_text(SHAPES)
    return root


def write(tree: Path, name: str, content: str | bytes) -> Path:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def contents(tree: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(tree)): path.read_bytes()
        for path in sorted(tree.rglob("*"))
        if path.is_file() and path.relative_to(tree).parts[0] not in ("var", ".safehold")
    }


def in_service(tree: Path, code: str) -> str:
    environment = os.environ | {"SAFEHOLD_POLICY": str(tree / "safehold.toml")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tree, env=environment, check=False, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout + done.stderr


# --- calls that stay as they are -----------------------------------------------------------


def test_a_file_that_a_library_without_a_facade_reads_stays_plain_and_is_reported(tree, capsys):
    write(
        tree,
        "app/frames.py",
        "from gensim.utils import unpickle\nimport pickle\n\nframe = unpickle('models/frame.pkl')\n"
        "with open('models/other.pkl', 'rb') as file:\n    other = pickle.load(file)\n",
    )
    plain = write(tree, "models/frame.pkl", pickle.dumps([1, 2]))
    sealed = write(tree, "models/other.pkl", pickle.dumps([1, 2]))

    assert main(["harden", str(tree), "--write"]) == 1

    assert plain.read_bytes() == pickle.dumps([1, 2])
    assert sealed.read_bytes().startswith(b"SFH1")
    out = capsys.readouterr().out
    assert "left models/frame.pkl: read or written by gensim.utils.unpickle" in out
    assert "app/frames.py:4: SH155" in out
    assert "1 critical" in out.rpartition("-- after")[2]


@pytest.mark.extras
def test_a_frame_is_sealed_and_the_hardened_service_reads_it(tree):
    write(
        tree,
        "app/frames.py",
        "import pandas as pd\n\n\ndef read(p):\n    return pd.read_pickle(p)\n\n\n"
        "def keep(frame, p):\n    frame.to_pickle(p)\n",
    )
    code = "import pandas as pd, sys; pd.DataFrame({'a': [1]}).to_pickle(sys.argv[1])"
    path = tree / "models" / "frame.pkl"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)

    main(["harden", str(tree), "--write"])

    assert path.read_bytes().startswith(b"SFH1")
    code = (
        "from app.frames import keep, read; frame = read('models/frame.pkl'); "
        "keep(frame + 1, 'models/next.pkl'); print(read('models/next.pkl')['a'].tolist())"
    )
    assert in_service(tree, code) == "[2]\n"
    assert (tree / "models" / "next.pkl").read_bytes().startswith(b"SFH1")


@pytest.mark.extras
@pytest.mark.parametrize("directory", ["models", "data"])
def test_arrays_are_sealed_or_converted_and_the_hardened_service_reads_them(tree, directory):
    numpy = pytest.importorskip("numpy")
    write(
        tree,
        "app/arrays.py",
        "import numpy as np\n\n\ndef read(name):\n"
        f"    return np.load(f'{directory}/{{name}}', allow_pickle=True)\n\n\n"
        f"def keep(value):\n    np.save('{directory}/next.npy', value)\n",
    )
    (tree / directory).mkdir(exist_ok=True)
    numbers, objects = numpy.arange(6.0).reshape(2, 3), numpy.array([{"a": 1}, None], dtype=object)
    numpy.save(tree / directory / "numbers.npy", numbers)
    numpy.savez(tree / directory / "both.npz", a=numbers, b=numbers[0])
    numpy.save(tree / directory / "objects.npy", objects)
    before = contents(tree)

    main(["harden", str(tree), "--write"])

    for name in ("numbers.npy", "both.npz", "objects.npy"):
        assert (tree / directory / name).read_bytes().startswith(b"SFH1"), name
    code = (
        "from app.arrays import *; print(read('numbers.npy').tolist(), "
        "read('both.npz')['b'].tolist(), read('objects.npy').tolist()); "
        "keep(read('numbers.npy')); print(read('next.npy').shape)"
    )
    expected = "[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]] [0.0, 1.0, 2.0] [{'a': 1}, None]\n(2, 3)\n"
    assert in_service(tree, code) == expected
    (tree / directory / "next.npy").unlink()
    shutil.rmtree(tree / "app" / "__pycache__", ignore_errors=True)
    main(["migrate", str(tree), "--rollback"])
    assert contents(tree) == before


@pytest.mark.extras
def test_a_checkpoint_is_sealed_and_the_hardened_service_reads_it(tree):
    torch = pytest.importorskip("torch")
    write(
        tree,
        "app/net.py",
        "import torch\n\n\ndef read(path):\n    return torch.load(path)\n\n\n"
        "def keep(value, path):\n    torch.save(value, path)\n",
    )
    (tree / "models").mkdir(exist_ok=True)
    torch.save({"w": torch.ones(2)}, tree / "models" / "net.pt")

    main(["harden", str(tree), "--write"])

    assert (tree / "models" / "net.pt").read_bytes().startswith(b"SFH1")
    code = (
        "from app.net import *; net = read('models/net.pt'); keep(net, 'models/next.pt'); "
        "print(read('models/next.pt')['w'].tolist())"
    )
    assert in_service(tree, code) == "[1.0, 1.0]\n"


@pytest.mark.extras
def test_a_checkpoint_that_no_facade_reads_stays(tree):
    torch = pytest.importorskip("torch")
    (tree / "models").mkdir(exist_ok=True)
    torch.save({"w": torch.ones(2)}, tree / "models" / "net.pt")
    main(["harden", str(tree), "--write"])
    assert (tree / "models" / "net.pt").read_bytes().startswith(b"PK")


def test_the_blocks_of_a_shelve_database_are_left_alone(tree, capsys):
    path = write(tree, "store/jobs.dat", pickle.dumps({"a": 1}))
    write(tree, "store/jobs.dir", "'a', (0, 20)\n")

    main(["harden", str(tree), "--write"])

    assert path.read_bytes() == pickle.dumps({"a": 1})
    assert "left store/jobs.dat: belongs to a shelve or dbm database" in capsys.readouterr().out


def test_a_write_that_is_moved_afterwards_is_named_before_and_after(tree, capsys):
    write(
        tree,
        "app/save.py",
        "import os\nimport pickle\n\ndef save(value, path):\n"
        "    with open(path + '.tmp', 'wb') as file:\n        pickle.dump(value, file)\n"
        "    os.replace(path + '.tmp', path)\n",
    )

    assert main(["harden", str(tree)]) == 1
    assert "app/save.py:6: SH156" in capsys.readouterr().out

    for _ in range(2):
        assert main(["harden", str(tree), "--write"]) == 1
        assert "app/save.py:6: SH156" in capsys.readouterr().out


# --- how files are read --------------------------------------------------------------------


def test_a_file_is_sealed_as_bytes_when_the_service_reads_contents_alone(tree):
    write(
        tree,
        "app/io.py",
        "import pickle\nfrom pathlib import Path\n\n"
        "def path(name):\n    return Path('store') / name\n\n"
        "def read(name):\n    data = path(name).read_bytes()\n    return pickle.loads(data)\n",
    )
    write(tree, "store/shape.pkl", SHAPE)

    assert main(["harden", str(tree), "--write"]) == 0

    assert in_service(tree, "from app.io import read; print(read('shape.pkl').side)") == "1\n"
    assert main(["harden", str(tree), "--write"]) == 0


def test_files_that_could_be_read_either_way_are_named(tree, capsys):
    write(
        tree,
        "app/io.py",
        "import pickle\n\ndef read(path):\n    return pickle.loads(path.read_bytes())\n\n"
        "def load(file):\n    return pickle.load(file)\n",
    )
    write(tree, "models/shape.pkl", SHAPE)

    main(["harden", str(tree)])

    out = capsys.readouterr().out
    assert "note: models/shape.pkl: sealed for its path, but app/io.py:4 reads the content" in out


@pytest.mark.parametrize(
    ("argument", "is_noted"),
    [("row[0]", True), ("pickle.dumps(row)", False), ("open(row, 'rb').read()", False)],
)
def test_bytes_that_come_from_elsewhere_are_named(tree, capsys, argument, is_noted):
    write(
        tree, "app/rows.py", f"import pickle\n\ndef get(row):\n    return pickle.loads({argument})"
    )

    main(["harden", str(tree)])

    assert (
        "note: app/rows.py:4: reads bytes that come from" in capsys.readouterr().out
    ) == is_noted


# --- the policy that is written ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("store/deep/shape.pkl", "store/deep/*"), ("shape.pkl", "shape.pkl"),
     ("data/shape.pkl", "data/shape.pkl")],
)  # fmt: skip
def test_the_directory_of_objects_becomes_internal_unless_a_zone_names_it(tree, name, pattern):
    write(tree, name, SHAPE)

    main(["harden", str(tree), "--write"])

    assert Policy.load(tree / "safehold.toml").zones[0].paths == (pattern,)


@pytest.mark.parametrize(
    "line",
    [
        "joblib.dump(model, f'artifacts/{name}.joblib')",
        "joblib.dump(model, 'artifacts/' + name)",
        "memory = joblib.Memory('artifacts')",
    ],
)
def test_places_where_objects_are_written_become_internal(tree, line):
    write(tree, "app/train.py", f"import joblib\n\ndef train(model, name):\n    {line}\n")

    main(["harden", str(tree), "--write"])

    policy = Policy.load(tree / "safehold.toml")
    assert policy.zone_for("artifacts/fraud.joblib").trust == "internal"
    assert policy.zone_for("elsewhere/fraud.joblib").trust == "external"


def test_a_class_that_a_caller_of_the_writer_stores_is_allowed(tree):
    write(
        tree,
        "app/cache.py",
        "import pickle\n\ndef put(value):\n    return pickle.dumps(value)\n\n"
        "def get(data):\n    return pickle.loads(data)\n",
    )
    write(tree, "app/__init__.py", "from .cache import get, put\n")
    write(tree, "run.py", "from app import get, put\nfrom app.shapes import Shape\n"
          "print(get(put(Shape())).side)\n")  # fmt: skip

    assert main(["harden", str(tree), "--write"]) == 0

    assert in_service(tree, "import run") == "1\n"


def test_a_class_that_the_service_could_not_store_is_named(tree, capsys):
    write(
        tree,
        "app/state.py",
        "import pickle\n\nclass State:\n    def __setstate__(self, state):\n        self.x = 1\n\n"
        "def put():\n    state = State()\n    state.y = 2\n    return pickle.dumps(state)\n\n"
        "def get():\n    return pickle.loads(put()).x\n",
    )

    main(["harden", str(tree)])
    assert re.search(r"note: .*\bapp\.state\.State.*: loading runs code", capsys.readouterr().out)

    names = ("app.state.State", "state.State")
    options = [option for name in names for option in ("--allow", name)]
    main(["harden", str(tree), "--write", *options])
    assert "loading runs code" not in capsys.readouterr().out
    assert in_service(tree, "from app.state import get; print(get())") == "1\n"


def test_what_its_owner_vouches_for_is_sealed(tree, capsys):
    write(tree, "app/io.py", "import pickle\ndef read(file): return pickle.load(file)\n")
    write(
        tree, "app/own.py", "class Own:\n    def __setstate__(self, state): self.x = state['x']\n"
    )
    stored = b"\x80\x04\x8c\x07app.own\x8c\x03Own\x93)\x81}\x8c\x01xK\x05sb."
    path = write(tree, "models/own.pkl", stored)

    main(["harden", str(tree)])
    assert "vouch for what it names: --allow app.own.Own" in capsys.readouterr().out

    assert main(["harden", str(tree), "--write", "--allow", "app.own.Own"]) == 0
    assert path.read_bytes().startswith(b"SFH1")
    code = "from app.io import read; print(read(open('models/own.pkl', 'rb')).x)"
    assert in_service(tree, code) == "5\n"


def test_what_is_set_aside_can_be_made_again_by_the_service(tree, capsys):
    write(
        tree,
        "app/own.py",
        "import pickle\n\nclass Own:\n    def __init__(self, x=2): self.x = x\n\n"
        "def save():\n    with open('own.pkl', 'wb') as file:\n        pickle.dump(Own(), file)\n\n"
        "def read():\n    with open('own.pkl', 'rb') as file:\n"
        "        return pickle.load(file).x\n",
    )
    write(tree, "own.pkl", b"capp.own\nMissing\n)\x81.")

    assert main(["harden", str(tree), "--write", "--report", str(tree / "report")]) == 1

    report = (tree / "report" / "after.txt").read_text()
    assert (
        "what reads it under its old name finds no file; the scanner says: names app.own.Missing"
        in report
    )
    assert "make it again with the hardened service" in capsys.readouterr().out
    assert in_service(tree, "from app.own import *; save(); print(read())") == "2\n"


def test_names_are_not_added_to_an_operators_policy(tree, capsys):
    policy = write(tree, "safehold.toml", "version = 1\n")

    assert main(["harden", str(tree), "--write", "--allow", "app.own.Own"]) == 2

    assert "is followed and not rewritten" in capsys.readouterr().err
    assert policy.read_text() == "version = 1\n"


# --- before anything is changed ------------------------------------------------------------


def test_marks_of_another_key_are_found_before_anything_is_changed(tree, monkeypatch, capsys):
    write(tree, "app/io.py", "import pickle\ndef read(file): return pickle.load(file)\n")
    write(tree, "models/shape.pkl", SHAPE)
    before = contents(tree)
    main(["harden", str(tree), "--write"])
    main(["migrate", str(tree), "--rollback"])
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", generate_key())

    assert main(["harden", str(tree), "--write"]) == 2

    assert "set the earlier key, or, when it is lost, remove that directory" in (
        capsys.readouterr().err
    )
    assert contents(tree) == before
    for mark in (tree / "var" / "safehold" / "marks").iterdir():
        mark.unlink()
    assert main(["harden", str(tree), "--write"]) == 0


def test_the_whole_file_system_is_no_checkout(capsys):
    assert main(["harden", "/"]) == 2
    assert "whole file system" in capsys.readouterr().err


# --- long lists ----------------------------------------------------------------------------


def test_long_lists_are_cut_on_the_terminal_and_whole_in_the_report(tree, tmp_path, capsys):
    for number in range(45):
        write(tree, f"models/m{number:02}.pkl", pickle.dumps(collections.OrderedDict(a=number)))
    report = tmp_path / "report"

    for write_option in ([], ["--write"]):
        main(["harden", str(tree), "--report", str(report), *write_option])

        out = capsys.readouterr().out
        listed = re.findall(r"^seal(?:ed)? models/m\d\d\.pkl", out, re.MULTILINE)
        assert len(listed) == 20
        assert "... and 25 more; --report DIR lists all in changes.txt" in out
        changes = (report / "changes.txt").read_text()
        assert len(re.findall(r"^seal(?:ed)? models/m", changes, re.MULTILINE)) == 45
    assert "sealed 45" in out


def test_a_look_says_that_nothing_was_changed_and_how_to_change_it(tree, capsys):
    write(tree, "models/shape.pkl", SHAPE)

    main(["harden", str(tree)])

    assert capsys.readouterr().out.endswith(
        "would rewrite 0 files, seal 1\nnothing was changed; --write makes these changes\n"
    )


def test_the_commands_that_are_printed_can_be_copied(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", generate_key())
    tree = tmp_path / "my service"
    write(tree, "models/shape.pkl", SHAPE)

    main(["harden", str(tree), "--write"])

    out = capsys.readouterr().out
    assert f"undo with: safehold migrate '{tree}' --rollback" in out
    assert f"export SAFEHOLD_POLICY='{tree}/safehold.toml'" in out


def test_version_control_is_not_to_hold_the_trail(tree, capsys):
    main(["harden", str(tree)])
    assert "version control" not in capsys.readouterr().out

    (tree / ".git").mkdir()
    main(["harden", str(tree)])
    assert "note: keep var/safehold/trail and var/safehold/marks out of version control" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("source", "is_noted"),
    [("import pickle\nfile = open('m.pkl', 'wb')\npickle.dump(1, file)\n", True),
     ("import json\n", False)],
)  # fmt: skip
def test_tests_that_write_to_temporary_directories_are_named(tree, capsys, source, is_noted):
    write(tree, "app/train.py", source)
    write(tree, "tests/test_train.py", "def test_train(tmp_path):\n    pass\n")
    write(tree, "tests/test_other.py", "def test_other():\n    pass\n")

    main(["harden", str(tree)])

    shown = "note: tests/test_train.py: temporary directories are outside the zones"
    assert (shown in capsys.readouterr().out) == is_noted


def test_a_rollback_of_a_wrong_path_is_an_error(tmp_path, capsys):
    assert main(["migrate", str(tmp_path / "missing"), "--rollback"]) == 2
    assert "No such file or directory" in capsys.readouterr().err


@pytest.mark.extras
def test_progress_counts_the_files_of_each_stage(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(_progress, "_QUIET_SECONDS", -1.0)
    shown: list[str] = []
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(_progress.Line, "show", lambda _self, text: shown.append(text))
    with _progress.progress() as tell:
        for stage in ("sources", "sources", "plan"):
            tell(stage, "a.py")
    capsys.readouterr()
    assert shown == ["sources: 1 files, a.py", "sources: 2 files, a.py", "plan: 1 files, a.py"]


def test_what_lies_outside_behind_links_is_left_and_named(tree, tmp_path, capsys):
    outside = tmp_path / "volume"
    outside.mkdir()
    (outside / "shape.pkl").write_bytes(SHAPE)
    (tree / "weights").symlink_to(outside, target_is_directory=True)
    (tree / "store" / "link.pkl").symlink_to(outside / "shape.pkl")

    for option in ([], ["--write"]):
        main(["harden", str(tree), *option])

        captured = capsys.readouterr()
        assert f"note: weights -> {outside}: leads out of the tree" in captured.out
        assert "store/link.pkl: a link that leads out of the tree" in captured.out
        assert captured.err == ""
    assert (outside / "shape.pkl").read_bytes() == SHAPE


# --- libraries -----------------------------------------------------------------------------


def test_presets_of_imported_libraries_are_allowed_in_zones_of_models_alone(tree):
    write(tree, "app/train.py", "import os\nimport xgboost as xgb\n")
    write(tree, "app/net.py", "def net():\n    from torch import nn\n    return nn\n")
    write(tree, "app/notes.py", "# import lightgbm\nimport lightgbmish\n")
    write(tree, ".venv/lib/x.py", "import lightgbm\n")
    assert main(["harden", str(tree), "--write"]) == 0
    policy = Policy.load(tree / "safehold.toml")
    zones = {zone.name: zone.allow for zone in (*policy.zones, policy.memory)}
    for name in ("models", "memory"):
        assert {"sklearn", "torch", "xgboost"} <= set(zones[name])
        assert "lightgbm" not in zones[name]
    assert zones["data"] == ()


def test_an_unreadable_source_names_no_library(tree):
    write(tree, "app/train.py", "import xgboost\n")
    os.symlink("nowhere.py", tree / "app" / "broken.py")
    os.mkfifo(tree / "app" / "pipe.py")
    main(["harden", str(tree), "--write"])
    assert "xgboost" in Policy.load(tree / "safehold.toml").zones[0].allow
