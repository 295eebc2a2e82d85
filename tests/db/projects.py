"""Alembic projects that tests migrate with, and the context that they run in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safehold.context import Context
from safehold.db import Migrator
from safehold.events import Recorder
from safehold.keys import Key, Keyring
from safehold.policy import Policy
from tests.holding import SECRET, Events

# What `alembic init` writes, without logging and without metadata.
ENV = """
from alembic import context
from sqlalchemy import engine_from_config, pool

config = context.config
if context.is_offline_mode():
    context.configure(url=config.get_main_option("sqlalchemy.url"), literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    section = config.get_section(config.config_ini_section, {})
    engine = engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""
INI = """
[alembic]
script_location = %(here)s/migrations
"""
USERS = 'op.create_table("users", sa.Column("id", sa.Integer, primary_key=True))'
NAMES = 'op.add_column("users", sa.Column("name", sa.String(20)))'
WITHOUT_NAMES = 'op.drop_column("users", "name")'
HOUSES = 'op.create_table("houses", sa.Column("id", sa.Integer, primary_key=True))'
THREE = (
    ("a1", USERS, 'op.drop_table("users")'),
    ("a2", NAMES, WITHOUT_NAMES),
    ("a3", HOUSES, 'op.drop_table("houses")'),
)


def project(directory: Path, revisions=THREE, env: str = ENV) -> Path:
    """Write a project whose revisions follow each other; return its directory."""
    versions = directory / "migrations" / "versions"
    versions.mkdir(parents=True)
    (directory / "alembic.ini").write_text(INI, "utf-8")
    (directory / "migrations" / "env.py").write_text(env, "utf-8")
    down = None
    for name, upgrade, downgrade in revisions:
        write(directory, name, down, upgrade, downgrade)
        down = name
    return directory


def write(directory: Path, name: str, down, upgrade: str, downgrade: str = "pass") -> Path:
    path = directory / "migrations" / "versions" / f"{name}_.py"
    path.write_text(
        f"import sqlalchemy as sa\nfrom alembic import op\n\nrevision = {name!r}\n"
        f"down_revision = {down!r}\n\n\ndef upgrade():\n{_indented(upgrade)}\n\n\n"
        f"def downgrade():\n{_indented(downgrade)}\n",
        "utf-8",
    )
    return path


def _indented(text: str) -> str:
    return re.sub("^", "    ", text, flags=re.MULTILINE)


@contextmanager
def holding(directory: Path) -> Iterator[tuple[Context, Events]]:
    """Open a context whose events are kept in a list."""
    policy = directory / "safehold.toml"
    if not policy.is_file():  # many runners read it at once
        policy.write_text('version = 1\n[keys]\nsource = "env:KEY"\nid = "k1"\n', "utf-8")
    events = Events()
    with Context(Policy.load(str(policy)), Keyring(Key("k1", SECRET)), Recorder(events)) as hold:
        yield hold, events


@contextmanager
def migrator(directory: Path, url: str, **options) -> Iterator[tuple[Migrator, Events]]:
    with holding(directory) as (hold, events):
        yield Migrator(url, directory, hold, **options), events
