"""Old and migrated processes over the same files, through the whole change, without a failure."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from safehold._cli import main
from safehold.keys import generate_key

POLICY = """\
version = 1
[[zone]]
name = "models"
paths = ["models/**"]
trust = "internal"
codecs = ["pickle"]
[[zone]]
name = "data"
paths = ["data/**"]
codecs = ["msgpack"]
[[zone]]
name = "shared"
paths = ["shared/**"]
trust = "internal"
codecs = ["pickle"]
sidecar = true
"""
# The service: reads until it is told to stop; what fails ends it with what failed.
SERVICE = """\
import os
import pickle
import sys


def read(path):
    with open(path, "rb") as file:
        return pickle.load(file)


def main():
    done = 0
    while not os.path.exists(sys.argv[1]):
        for path in sys.argv[2:]:
            value = read(path)
            assert value["weights"] == [1.5, 2.5], value
        done += 1
        print(done, flush=True)


if __name__ == "__main__":
    main()
"""
WRITER = """\
import os
import pickle
import sys

WRITE = {"weights": [1.5, 2.5], "rounds": 0}
while not os.path.exists(sys.argv[1]):
    WRITE["rounds"] += 1
    pickle.dump(WRITE, sys.argv[2])
    print(WRITE["rounds"], flush=True)
"""
VALUE = {"weights": [1.5, 2.5]}
LATER = (datetime.now(UTC).date() + timedelta(days=7)).isoformat()


class Process:
    """A process of the fleet that counts its rounds to a file."""

    def __init__(self, root: Path, program: str, name: str, *arguments: str) -> None:
        self.stop = root / f"{name}.stop"
        self.log = root / f"{name}.log"
        environment = os.environ | {"SAFEHOLD_POLICY": str(root / "safehold.toml")}
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-B", program, str(self.stop), *arguments],
                cwd=root, env=environment, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def goes_on(self) -> None:
        """Wait for rounds that begin from now on."""
        before = self.log.read_text().count("\n")
        end = time.monotonic() + 60
        while self.log.read_text().count("\n") < before + 4:
            assert self.child.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < end, self.log.read_text()[-2000:]
            time.sleep(0.01)

    def ends(self) -> None:
        self.stop.touch()
        assert self.child.wait(60) == 0, self.log.read_text()[-2000:]


@contextmanager
def running(root: Path, program: str, name: str, *arguments: str) -> Iterator[Process]:
    process = Process(root, program, name, *arguments)
    try:
        yield process
    finally:
        process.child.kill()
        process.child.wait()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", generate_key())
    root = tmp_path / "service"
    for name in ("app", "models", "data", "shared"):
        (root / name).mkdir(parents=True)
    (root / "safehold.toml").write_text(POLICY)
    (root / "app/service.py").write_text(SERVICE)
    (root / "app/writer.py").write_text(WRITER)
    for name in ("models/m.pkl", "data/d.pkl", "shared/s.pkl"):
        (root / name).write_bytes(pickle.dumps(VALUE))
    shutil.copy(root / "app/service.py", tmp_path / "old.py")  # what is not deployed anew yet
    return root


def migrate(root: Path, *options: str) -> None:
    assert main(["migrate", str(root), *options]) == 0


def test_code_first(root):
    """The files are listed, processes are exchanged one by one, then the files are converted."""
    paths = ("models/m.pkl", "data/d.pkl")
    places = ("--data", str(root / "models"), str(root / "data"))
    with running(root, "../old.py", "old", *paths) as old:
        old.goes_on()
        migrate(root, *places, "--unsealed-until", LATER, "--write")
        with running(root, "app/service.py", "new", *paths) as new:
            old.goes_on()
            new.goes_on()
            old.ends()
            migrate(root, *places, "--write")
            assert (root / "models/m.pkl").read_bytes().startswith(b"SFH1")
            new.goes_on()
            migrate(root, "--finalize")
            new.goes_on()
            new.ends()
    assert not (root / "unsealed.toml").exists()
    assert not list(root.rglob("*.unsealed"))


def test_data_first_where_new_code_writes(root):
    """With sidecars the files stay plain: old processes read what migrated ones write."""
    path = "shared/s.pkl"
    with running(root, "../old.py", "old", path) as old:
        old.goes_on()
        migrate(root, "--data", str(root / "shared"), "--write")
        old.goes_on()
        with (
            running(root, "app/writer.py", "writer", path) as writer,
            running(root, "app/service.py", "new", path) as new,
        ):
            for process in (writer, old, new):
                process.goes_on()
            old.ends()
            policy = root / "safehold.toml"
            policy.write_text(POLICY.replace("sidecar = true\n", ""))
            writer.ends()
            with running(root, "app/writer.py", "sealing", path) as sealing:
                sealing.goes_on()
                new.goes_on()
                sealing.ends()
            new.ends()
    assert (root / path).read_bytes().startswith(b"SFH1")


def test_files_that_are_sealed_in_place_are_none_for_old_code(root):
    """The order that does not work: data first, without sidecars."""
    migrate(root, "--data", str(root / "models"), "--write")
    with running(root, "../old.py", "old", "models/m.pkl") as old:
        assert old.child.wait(60) != 0
    assert "UnpicklingError" in old.log.read_text()
    with running(root, "../old.py", "again", "models/m.pkl.unsealed") as old:
        old.goes_on()


def test_what_old_code_writes_is_none_for_new_code(root):
    """The other one: an old writer beside a new reader."""
    places = ("--data", str(root / "models"))
    migrate(root, *places, "--unsealed-until", LATER, "--write")
    (root / "models/m.pkl").write_bytes(pickle.dumps({**VALUE, "by": "old"}))
    with running(root, "app/service.py", "new", "models/m.pkl") as new:
        assert new.child.wait(60) != 0
    assert "is another file than the one that was listed" in new.log.read_text()
    migrate(root, *places, "--unsealed-until", LATER, "--write")
    with running(root, "app/service.py", "again", "models/m.pkl") as new:
        new.goes_on()
