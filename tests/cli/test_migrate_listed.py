"""`safehold migrate --unsealed-until`: what old processes go on reading, and for how long."""

from __future__ import annotations

import collections
import gzip
import json
import os
import pickle
import shelve
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from safehold._cli import main
from safehold.keys import generate_key
from tests.cli.migrating import malicious, snapshot
from tests.cli.test_migrate_data import MODEL, POLICY, READS, ROWS, SOURCE

pytestmark = pytest.mark.bare

TODAY = datetime.now(UTC).date()
LATER = (TODAY + timedelta(days=30)).isoformat()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", generate_key())
    root = tmp_path / "service"
    for name in ("app", "models", "data", "plain"):
        (root / name).mkdir(parents=True)
    (root / "safehold.toml").write_text(POLICY)
    (root / "app/io.py").write_text(SOURCE)
    (root / "models/m.pkl").write_bytes(pickle.dumps(MODEL))
    (root / "models/packed.pkl.gz").write_bytes(gzip.compress(pickle.dumps({"packed": 1})))
    (root / "models/several.pkl").write_bytes(pickle.dumps(1) + pickle.dumps({"two": 2}))
    (root / "data/rows.pkl").write_bytes(pickle.dumps(ROWS))
    return root


def migrate(root: Path, *options: str) -> int:
    places = ["--data", str(root / "models"), str(root / "data"), str(root / "plain")]
    return main(["migrate", str(root), *places, *options])


def reads(root: Path, code: str, *words: str) -> str:
    environment = os.environ | {"SAFEHOLD_POLICY": str(root / "safehold.toml")}
    done = subprocess.run(
        [sys.executable, "-B", *words, "-c", f"from app import io\n{code}"],
        cwd=root, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_listed_files_stay_as_they_are_and_migrated_code_reads_them(tree, capsys):
    before = snapshot(tree)

    assert migrate(tree, "--unsealed-until", LATER, "--write") == 0

    out = capsys.readouterr().out
    assert f"listed models/m.pkl: clean pickle, until {LATER}" in out
    changed = {name for name, was in snapshot(tree).items() if before.get(name) != was}
    assert changed == {"app/io.py", "unsealed.toml"}
    for name, value in READS.items():
        assert reads(tree, f"print(io.{name}())") == f"{value!r}\n"


def test_without_write_nothing_changes(tree, capsys):
    before = snapshot(tree)
    assert migrate(tree, "--unsealed-until", LATER, "--format", "json") == 1
    told = json.loads(capsys.readouterr().out)["data"]
    assert {file["outcome"] for file in told} == {"list"}
    assert snapshot(tree) == before


def test_rollback_takes_the_list_back(tree):
    before = snapshot(tree)
    migrate(tree, "--unsealed-until", LATER, "--write")
    assert main(["migrate", str(tree), "--rollback"]) == 0
    assert snapshot(tree) == before


def test_what_is_not_clean_is_not_listed(tree, tmp_path, capsys):
    marker = tmp_path / "ran"
    (tree / "models/planted.pkl").write_bytes(malicious(marker))
    assert migrate(tree, "--unsealed-until", LATER, "--write") == 1
    assert "left models/planted.pkl: malicious" in capsys.readouterr().out
    assert "planted" not in (tree / "unsealed.toml").read_text()
    assert not marker.exists()


def test_what_is_written_later_by_old_code_is_refused_until_it_is_listed(tree):
    migrate(tree, "--unsealed-until", LATER, "--write")
    (tree / "models/m.pkl").write_bytes(pickle.dumps({"newer": 1}))
    assert "is another file than the one that was listed" in reads(tree, "io.model()")
    assert migrate(tree, "--unsealed-until", LATER, "--write") == 0
    assert reads(tree, "print(io.model())") == "{'newer': 1}\n"


def test_finalizing_takes_the_files_off_the_list(tree):
    migrate(tree, "--unsealed-until", LATER, "--write")
    original = (tree / "models/m.pkl").read_bytes()
    (tree / "plain/later.pkl").write_bytes(pickle.dumps(1))
    migrate(tree, "--unsealed-until", LATER, "--write")
    migrate(tree, "--write", "--exclude", "later.pkl")
    for name, value in READS.items():
        assert reads(tree, f"print(io.{name}())") == f"{value!r}\n"

    assert main(["migrate", str(tree), "--finalize"]) == 0

    text = (tree / "unsealed.toml").read_text()
    assert "plain/later.pkl" in text
    assert "models" not in text
    assert "rows" not in text
    (tree / "models/m.pkl").unlink()
    (tree / "models/m.pkl").write_bytes(original)
    assert "NotSealed" in reads(tree, "io.model()")


@pytest.mark.parametrize(
    ("opened", "loads", "value"),
    [
        ("open('models/m.pkl', 'rb')", 1, MODEL),
        ("gzip.open('models/packed.pkl.gz', 'rb')", 1, {"packed": 1}),
        ("open('models/several.pkl', 'rb')", 2, {"two": 2}),
    ],
)
def test_who_has_opened_a_file_when_it_is_converted_reads_it_to_its_end(tree, opened, loads, value):
    migrate(tree, "--unsealed-until", LATER, "--write")
    code = (
        f"import gzip, sys\nimport safehold.compat.pickle as pickle\nfile = {opened}\n"
        f"print('opened', flush=True)\nsys.stdin.readline()\n"
        f"print([pickle.load(file) for _ in range({loads})][-1])"
    )
    environment = os.environ | {"SAFEHOLD_POLICY": str(tree / "safehold.toml")}
    with subprocess.Popen(
        [sys.executable, "-B", "-c", code],
        cwd=tree, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as reader:  # fmt: skip
        assert reader.stdout.readline() == "opened\n"
        migrate(tree, "--write")
        assert (tree / "models/m.pkl").read_bytes().startswith(b"SFH1")
        assert reader.communicate("go on\n", timeout=60)[0] == f"{value!r}\n"


def test_the_original_is_refused_once_the_service_has_written_anew(tree):
    migrate(tree, "--unsealed-until", LATER, "--write")
    migrate(tree, "--write")
    reads(tree, "import safehold.compat.pickle as p\np.dump({'new': 1}, 'models/m.pkl')")
    os.replace(tree / "models/m.pkl.unsealed", tree / "models/m.pkl")
    assert "Rollback" in reads(tree, "io.model()")


def test_a_rollback_of_the_conversion_is_listed_again(tree):
    migrate(tree, "--unsealed-until", LATER, "--write")
    before = snapshot(tree)
    migrate(tree, "--write")
    assert main(["migrate", str(tree), "--rollback"]) == 0
    assert snapshot(tree) == before
    assert "Rollback" in reads(tree, "io.model()")  # a newer, sealed one has been seen
    assert migrate(tree, "--unsealed-until", LATER, "--write") == 0
    assert reads(tree, "print(io.model())") == f"{MODEL!r}\n"


def test_shelves_have_no_listed_form(tree, capsys):
    with shelve.open(str(tree / "models/shelf")) as found:
        found["one"] = 1
    assert migrate(tree, "--unsealed-until", LATER, "--write") == 1
    assert "has no listed form; convert it when nothing old" in capsys.readouterr().out


@pytest.mark.parametrize(
    "day",
    [
        "tomorrow",
        "2020-01-01",
        (TODAY + timedelta(days=367)).isoformat(),
        (TODAY - timedelta(days=1)).isoformat(),
    ],
)
def test_a_day_that_is_none_or_past_or_far_is_refused(tree, day, capsys):
    with pytest.raises(SystemExit):
        migrate(tree, "--unsealed-until", day, "--write")
    assert "--unsealed-until" in capsys.readouterr().err


def test_it_wants_places(tree, capsys):
    assert main(["migrate", str(tree), "--unsealed-until", LATER]) == 2
    assert "name the directories" in capsys.readouterr().err


def test_a_list_that_was_changed_stops_the_next_run(tree, capsys):
    migrate(tree, "--unsealed-until", LATER, "--write")
    file = tree / "unsealed.toml"
    file.write_bytes(file.read_bytes().replace(b"models/m.pkl", b"models/n.pkl"))
    before = snapshot(tree)
    assert migrate(tree, "--unsealed-until", LATER, "--write") != 0
    assert "remove it, and list the files again" in capsys.readouterr().err
    assert snapshot(tree) == before


# --- with the guard on ---------------------------------------------------------------------

GUARDED = """
import safehold
safehold.guard.install(safehold.Context.load("safehold.toml"))
import pickle
def old(path):
    with open(path, "rb") as file:
        return pickle.load(file)
def older(path):
    with open(path, "rb") as file:
        return pickle._Unpickler(file).load()
def subclass(path):
    class Own(pickle.Unpickler):
        pass
    with open(path, "rb") as file:
        return Own(file).load()
"""


def test_the_guard_reads_what_is_listed_and_nothing_else(tree, tmp_path):
    migrate(tree, "--unsealed-until", LATER, "--write")
    for way in ("old", "older", "subclass"):
        code = f"{GUARDED}\nprint({way}('models/m.pkl'))"
        assert reads(tree, code) == f"{MODEL!r}\n", way
    assert reads(tree, f"{GUARDED}\nprint(io.model())") == f"{MODEL!r}\n"
    (tree / "models/other.pkl").write_bytes(pickle.dumps(collections.OrderedDict(a=1)))
    assert "is not sealed" in reads(tree, f"{GUARDED}\nold('models/other.pkl')")
    (tree / "models/m.pkl").write_bytes(malicious(tmp_path / "ran"))
    for way in ("old", "older", "subclass"):
        told = reads(tree, f"{GUARDED}\n{way}('models/m.pkl')")
        assert "is another file than the one that was listed" in told, way
    assert not (tmp_path / "ran").exists()


def test_the_guard_refuses_a_list_without_the_key(tree):
    migrate(tree, "--unsealed-until", LATER, "--write")
    file = tree / "unsealed.toml"
    file.write_bytes(file.read_bytes().replace(b"until = 2", b"until = 3"))
    assert "Tampered" in reads(tree, f"{GUARDED}\nold('models/m.pkl')")
    file.unlink()
    assert "Blocked" in reads(tree, f"{GUARDED}\nold('models/m.pkl')")


# --- files that are read as bytes ----------------------------------------------------------


def test_files_that_are_read_as_bytes(tree, capsys):
    (tree / "app/blob.py").write_text(
        "import pickle\n\n\ndef blob():\n"
        "    with open('models/b.pkl', 'rb') as file:\n"
        "        return pickle.loads(file.read())\n"
    )
    (tree / "models/b.pkl").write_bytes(pickle.dumps({"b": [1]}))
    code = "from app import blob\nprint(blob.blob())"
    before = snapshot(tree)

    assert migrate(tree, "--unsealed-until", LATER, "--write") == 0
    assert "in_memory = true" in (tree / "unsealed.toml").read_text()
    assert reads(tree, code) == "{'b': [1]}\n"
    assert migrate(tree, "--write") == 0
    assert "read as bytes" in capsys.readouterr().out
    assert (tree / "models/b.pkl").read_bytes().startswith(b"SFH1")
    assert reads(tree, code) == "{'b': [1]}\n"
    for _ in range(2):
        assert main(["migrate", str(tree), "--rollback"]) == 0
    assert snapshot(tree) == before
    assert migrate(tree, "--write") == 0
    assert main(["migrate", str(tree), "--finalize"]) == 0
    assert reads(tree, code) == "{'b': [1]}\n"
