"""Migrations that are killed at random moments, and many runners at once.

    python -m tests.db.killing [--kills 200] [--runners 50] [--url URL]

Without a URL, on a new SQLite database; with one, on that database, whose tables it drops.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import sqlalchemy as sa

from safehold.errors import MigrationError
from tests.db.projects import holding, migrator, project

REVISIONS = 5
# Several statements a revision, and time between them, so that a kill falls in the middle.
STEP = """
import time
op.create_table("one_{n}", sa.Column("id", sa.Integer, primary_key=True))
time.sleep(0.004)
op.execute("INSERT INTO one_{n} VALUES (1)")
op.create_table("two_{n}", sa.Column("id", sa.Integer, primary_key=True))
time.sleep(0.004)
op.create_index("two_{n}_index", "two_{n}", ["id"])
op.execute("INSERT INTO two_{n} VALUES (1)")
"""
BACK = 'op.drop_table("two_{n}")\nop.drop_table("one_{n}")'


def build(directory: Path) -> Path:
    rows = [(f"r{n}", STEP.format(n=n), BACK.format(n=n)) for n in range(REVISIONS)]
    return project(directory, rows)


def state(url: str) -> tuple[int, str]:
    """Return how many revisions have run, and what is wrong with that."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        names = set(sa.inspect(connection).get_table_names())
        ran = 0
        if "alembic_version" in names:
            found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
            ran = 0 if found is None else int(found[1:]) + 1
        expected = {f"{kind}_{n}" for n in range(ran) for kind in ("one", "two")}
        there = {name for name in names if name[:4] in ("one_", "two_")}
        if there != expected:
            return ran, f"{ran} revisions, and tables {sorted(there ^ expected)}"
        for name in sorted(there):
            if connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() != 1:
                return ran, f"{name} is not filled"
        recorded = 0
        if "safehold_migrations" in names:
            count = "SELECT count(*) FROM safehold_migrations"
            recorded = connection.exec_driver_sql(count).scalar()
        return ran, "" if recorded == ran else f"{ran} revisions, {recorded} recorded"


def child(directory: Path, url: str, patience: float) -> tuple[int, int]:
    """Upgrade in a child; return its id, and a pipe that has a byte when it begins.

    It exits with the number of revisions that it ran.
    """
    begun, begins = os.pipe()
    pid = os.fork()
    if pid:
        os.close(begins)
        return pid, begun
    code = 99
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        with migrator(directory, url, patience=patience) as (one, _):
            os.write(begins, b".")
            code = len(one.upgrade())
    except MigrationError:
        code = 98
    finally:
        os._exit(code)


def killed(directory: Path, url: str, rounds: int, rng: random.Random) -> tuple[Counter[str], list]:
    """Kill so many upgrades; return how they ended, and what was wrong."""
    ended: Counter[str] = Counter()
    wrong = []
    for _ in range(rounds):
        with migrator(directory, url) as (one, _events):
            try:
                started = time.monotonic()
                one.upgrade()
                whole = time.monotonic() - started
                one.verify()
                if state(url) != (REVISIONS, ""):
                    wrong.append(f"not resumed: {state(url)}")
                one.downgrade("base")
            except Exception as error:  # noqa: BLE001  (it is what is measured)
                wrong.append(f"not resumable: {error}")
                break
        pid, begun = child(directory, url, 30.0)
        os.read(begun, 1)
        os.close(begun)
        time.sleep(rng.uniform(0, whole))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        ran, problem = state(url)
        ended[f"{ran} of {REVISIONS}" if os.WIFSIGNALED(status) else "not killed"] += 1
        if problem:
            wrong.append(problem)
    with migrator(directory, url) as (one, _events):
        one.upgrade()
        one.downgrade("base")
    return ended, wrong


def together(directory: Path, url: str, runners: int) -> list[int]:
    """Start so many upgrades at once; return how many revisions each ran."""
    with holding(directory):
        pass
    children = [child(directory, url, 120.0) for _ in range(runners)]
    for _, begun in children:
        os.close(begun)
    return sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid, _ in children)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--runners", type=int, default=50)
    parser.add_argument("--url")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = build(Path(name) / "app")
        url = options.url or f"sqlite:///{name}/a.db"
        ran = together(directory, url, options.runners)
        say(f"runners: {dict(Counter(ran))} (revisions that each ran, and how many did)")
        with migrator(directory, url) as (one, _):
            one.downgrade("base")
        ended, wrong = killed(directory, url, options.kills, random.Random(options.seed))
        say(f"seed {options.seed}: {dict(sorted(ended.items()))}; wrong: {len(wrong)} {wrong[:3]}")
    return int(bool(wrong) or ran != [0] * (options.runners - 1) + [REVISIONS])


if __name__ == "__main__":
    sys.exit(main())
