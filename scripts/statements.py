"""Capture the statements that libraries send while they work, for tests of the guard.

``python scripts/statements.py FILE`` adds to FILE what the libraries that are installed here send:
Django, SQLAlchemy, Alembic, pandas, mlflow, optuna; to SQLite, and with ``--postgresql CONNINFO``
to a server, whose default database is written to. Texts alone are kept, never values.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import sqlite3
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Seen = dict[str, None]
seen: Seen = {}


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, *rest: Any) -> Any:
        seen[sql] = None
        return super().execute(sql, *rest)

    def executemany(self, sql: str, *rest: Any) -> Any:
        seen[sql] = None
        return super().executemany(sql, *rest)


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = None) -> Any:
        if factory is None:
            return _Cursor(self)
        return type("_Both", (_Cursor, factory), {})(self)

    def execute(self, sql: str, *rest: Any) -> Any:
        return self.cursor().execute(sql, *rest)


def listen() -> None:
    """Have every connection of sqlite3 and psycopg tell what goes through it."""
    plain = sqlite3.connect

    def connect(*args: Any, **options: Any) -> Any:
        return plain(*args, **{**options, "factory": _Connection})

    sqlite3.connect = sqlite3.dbapi2.connect = connect  # type: ignore[assignment]
    if importlib.util.find_spec("psycopg") is None:
        return
    import psycopg

    for kind in (psycopg.Cursor, psycopg.ClientCursor):
        for name in ("execute", "executemany"):
            _tell(kind, name)


def _tell(kind: Any, name: str) -> None:
    original = getattr(kind, name)

    def method(self: Any, query: Any, *rest: Any, **options: Any) -> Any:
        text = query if isinstance(query, str) else None
        if text is None and not isinstance(query, bytes):
            text = query.as_string(self)
        if text is not None:
            seen[text] = None
        return original(self, query, *rest, **options)

    setattr(kind, name, method)


def django(url: str) -> None:
    """Migrate Django's own applications, and ask its tables in many ways."""
    import django as package
    from django.conf import settings

    if url.startswith("sqlite"):
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": url.removeprefix("sqlite:///")}
    else:
        from psycopg.conninfo import conninfo_to_dict
        from sqlalchemy import make_url

        made = make_url(url)
        database = {
            "ENGINE": "django.db.backends.postgresql", "NAME": made.database, "USER": made.username,
            "HOST": conninfo_to_dict().get("host") or dict(made.query).get("host", ""),
        }  # fmt: skip
    apps = (
        "auth",
        "contenttypes",
        "sessions",
        "admin",
        "messages",
        "sites",
        "redirects",
        "flatpages",
    )
    settings.configure(
        DATABASES={"default": database},
        INSTALLED_APPS=[f"django.contrib.{app}" for app in apps],
        SITE_ID=1, USE_TZ=True, SECRET_KEY="none", DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )  # fmt: skip
    package.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    _ask_django()
    call_command("migrate", "flatpages", "zero", verbosity=0)
    call_command("clearsessions")
    call_command("flush", interactive=False, verbosity=0)


def _ask_django() -> None:
    from django.contrib.admin.models import LogEntry
    from django.contrib.auth.models import Group, Permission, User
    from django.contrib.contenttypes.models import ContentType
    from django.contrib.sessions.backends.db import SessionStore
    from django.db import connection, transaction
    from django.db.models import (
        Avg,
        Case,
        Count,
        Exists,
        F,
        Max,
        OuterRef,
        Q,
        Subquery,
        Value,
        When,
        Window,
    )
    from django.db.models.functions import (
        Cast, Coalesce, Concat, ExtractYear, Greatest, Length, Lower, Now, Rank, RowNumber, Substr,
        Trim, TruncMonth, Upper,
    )  # fmt: skip
    from django.db.models import CharField

    user = User.objects.create_user("admin", "a@example.com", "x", first_name="O'Brien")
    User.objects.bulk_create(User(username=f"u{at}") for at in range(5))
    group, _ = Group.objects.get_or_create(name="editors")
    Group.objects.update_or_create(name="editors", defaults={"name": "writers"})
    user.groups.add(group)
    user.user_permissions.set(Permission.objects.all()[:3])
    user.has_perm("auth.add_user")
    user.get_all_permissions()
    User.objects.create_superuser("root", "r@example.com", "x")
    kind = ContentType.objects.get_for_model(User)
    LogEntry.objects.create(
        user=user, content_type=kind, object_id="1", object_repr="x", action_flag=1
    )
    session = SessionStore()
    session["a"] = 1
    session.save()
    SessionStore(session.session_key).load()
    session.cycle_key()
    session.flush()
    people = User.objects
    queries: list[Any] = [
        people.filter(**{f"username__{look}": "u%_1"})
        for look in ("exact", "iexact", "contains", "icontains", "startswith", "istartswith", "endswith",
                     "iendswith", "regex", "iregex", "gt", "lte")
    ]  # fmt: skip
    queries += [
        people.filter(**{f"date_joined__{part}": 1})
        for part in (
            "year",
            "month",
            "day",
            "week",
            "week_day",
            "quarter",
            "hour",
            "minute",
            "second",
            "iso_year",
        )
    ]
    queries += [
        people.order_by(*names)
        for names in (("username",), ("-id",), (F("email").desc(nulls_last=True),), ("?",))
    ]
    rank = Window(RowNumber(), partition_by=[F("is_staff")], order_by=F("id").asc())
    queries += [
        people.filter(Q(username="a") | ~Q(email="b") & Q(is_staff=True)),
        people.exclude(groups__name="writers"),
        people.filter(groups__permissions__codename="add_user").distinct(),
        people.filter(id__in=[1, 2, 3]), people.filter(id__in=[]), people.filter(id__range=(1, 5)),
        people.filter(email__isnull=True), people.filter(last_login=None), people.none(),
        people.filter(id__in=User.objects.filter(is_staff=True).values("id")),
        people.filter(Exists(Group.objects.filter(user=OuterRef("pk")))),
        people.annotate(n=Count("groups")).filter(n__gt=0),
        people.annotate(n=Count("groups", filter=Q(groups__name="x"))),
        people.annotate(last=Subquery(LogEntry.objects.filter(user=OuterRef("pk")).values("object_repr")[:1])),
        people.annotate(kind=Case(When(is_staff=True, then=Value("s")), default=Value("u"))),
        people.annotate(full=Concat("first_name", Value(" "), "last_name"), up=Upper("username")),
        people.annotate(size=Length("username"), low=Lower("email"), bare=Trim("first_name")),
        people.annotate(part=Substr("username", 1, 2), big=Greatest("id", 3), now=Now()),
        people.annotate(text=Cast("id", CharField()), any=Coalesce("email", Value("none"))),
        people.annotate(year=ExtractYear("date_joined"), month=TruncMonth("date_joined")).values("month").annotate(n=Count("id")),
        people.annotate(at=rank), people.annotate(rank=Window(Rank(), order_by="id")),
        people.values("is_staff").annotate(n=Count("id"), most=Max("id"), mean=Avg("id")).order_by("-n"),
        people.values_list("id", "username").union(Group.objects.values_list("id", "name")),
        people.values_list("id").intersection(Group.objects.values_list("id")),
        people.values_list("id").difference(Group.objects.values_list("id")),
        people.select_related().defer("password"), people.only("username")[:3], people.all()[2:4],
        LogEntry.objects.select_related("user", "content_type").prefetch_related("user__groups"),
        Permission.objects.select_related("content_type").order_by("content_type__app_label"),
        people.dates("date_joined", "month"), people.datetimes("date_joined", "hour"),
        people.extra(select={"one": "1"}, where=["1=1"]), people.raw("SELECT * FROM auth_user WHERE id = %s", [1]),
    ]  # fmt: skip
    for query in queries:
        list(query)
    for ask in (people.count, people.exists, people.first, people.last, people.filter(id=1).get):
        ask()
    people.aggregate(n=Count("id"), most=Max("id"))
    people.in_bulk([1, 2])
    people.filter(id=1).update(first_name=Concat("first_name", Value("x")), is_staff=~Q(id=2))
    people.bulk_update(list(people.all()[:2]), ["first_name", "email"])
    with transaction.atomic(), transaction.atomic():
        people.select_for_update().filter(id=1).first()
    people.bulk_create([User(username="u1", email="n")], ignore_conflicts=True)
    people.bulk_create(
        [User(username="u1", email="n")],
        update_conflicts=True,
        update_fields=["email"],
        unique_fields=["username"],
    )
    user.groups.clear()
    group.delete()
    people.filter(username="u2").delete()
    with connection.cursor() as cursor:
        for name in connection.introspection.table_names(cursor):
            connection.introspection.get_table_description(cursor, name)
            connection.introspection.get_constraints(cursor, name)
            connection.introspection.get_relations(cursor, name)
            connection.introspection.get_sequences(cursor, name)


def sqlalchemy(url: str) -> None:
    """Make tables, ask and change them, by Core and ORM; look at what there is."""
    import sqlalchemy as sa
    from sqlalchemy import orm

    base = orm.declarative_base()

    class Owner(base):  # type: ignore[misc, valid-type]
        __tablename__ = "sa_owner"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(50), unique=True, nullable=False, server_default="O'Brien; --")
        born = sa.Column(sa.Date)
        data = sa.Column(sa.JSON)
        kind = sa.Column(sa.Enum("a", "b", name="sa_kind"))
        pets = orm.relationship("Pet", back_populates="owner", cascade="all, delete-orphan")

    class Pet(base):  # type: ignore[misc, valid-type]
        __tablename__ = "sa_pet"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.Text, index=True)
        weight = sa.Column(sa.Numeric(8, 2))
        owner_id = sa.Column(sa.ForeignKey("sa_owner.id", ondelete="CASCADE"))
        owner = orm.relationship(Owner, back_populates="pets")
        __table_args__ = (sa.CheckConstraint("weight > 0 OR weight IS NULL"),)

    engine = sa.create_engine(url)
    base.metadata.drop_all(engine)
    base.metadata.create_all(engine)
    pets = orm.aliased(Pet)
    tree = sa.select(Pet.id, Pet.name).where(Pet.id == 1).cte("tree", recursive=True)
    tree = tree.union_all(sa.select(Pet.id, Pet.name).where(Pet.id == tree.c.id + 1))
    queries = [
        sa.select(Owner), sa.select(Owner.id, Owner.name).order_by(Owner.name.desc()).limit(5).offset(2),
        sa.select(sa.func.count()).select_from(Pet), sa.select(Owner).join(Owner.pets).distinct(),
        sa.select(Owner).outerjoin(Owner.pets).where(Pet.id.is_(None)),
        sa.select(Owner).options(orm.selectinload(Owner.pets)), sa.select(Owner).options(orm.joinedload(Owner.pets)),
        sa.select(Owner).options(orm.subqueryload(Owner.pets)), sa.select(Pet).options(orm.contains_eager(Pet.owner)).join(Pet.owner),
        sa.select(Owner).where(Owner.pets.any(Pet.name == "x")), sa.select(Pet).where(Pet.owner.has(Owner.name.like("a%"))),
        sa.select(Owner).where(sa.or_(Owner.name == "a", Owner.name.in_(["b", "c"]), sa.not_(Owner.id > 3))),
        sa.select(Owner).where(Owner.name.icontains("a%", autoescape=True)), sa.select(Owner).where(sa.true()),
        sa.select(Owner).where(sa.false()), sa.select(Owner).where(Owner.id.in_([])), sa.select(Owner).where(Owner.id.between(1, 2)),
        sa.select(Owner).where(Owner.name.is_distinct_from("x")), sa.select(sa.literal_column("1"), sa.literal("x"), sa.null()),
        sa.select(sa.case((Owner.id > 1, "many"), else_="one")), sa.select(sa.cast(Owner.id, sa.String), sa.type_coerce(Owner.name, sa.Text)),
        sa.select(sa.func.coalesce(Owner.name, "none"), sa.func.lower(Owner.name), sa.func.now()),
        sa.select(Pet.owner_id, sa.func.sum(Pet.weight)).group_by(Pet.owner_id).having(sa.func.count() > 1),
        sa.select(sa.func.row_number().over(partition_by=Pet.owner_id, order_by=Pet.id)), sa.select(tree),
        sa.select(Owner.name).union(sa.select(Pet.name)), sa.select(Owner.name).union_all(sa.select(Pet.name)).order_by("name"),
        sa.select(Owner.id, sa.literal(None)).union(sa.select(Pet.id, sa.literal(1))),
        sa.select(Owner.id).except_(sa.select(Pet.id)), sa.select(sa.exists().where(Pet.id == 1)),
        sa.select(pets, Pet).join(Pet, pets.id < Pet.id), sa.select(sa.extract("year", Owner.born)),
        sa.select(Owner.data["a"]["b"].as_string()), sa.select(sa.select(sa.func.max(Pet.id)).scalar_subquery()),
        sa.select(Owner).with_for_update(), sa.text("SELECT 1 WHERE 1=1 OR 'a'='a'"),
    ]  # fmt: skip
    with orm.Session(engine) as session:
        session.add_all(
            [
                Owner(name=f"o{at}", data={"a": {"b": 1}}, kind="a", pets=[Pet(name="x", weight=1)])
                for at in range(3)
            ]
        )
        session.commit()
        for query in queries:
            # (Not every server takes every one.)
            with contextlib.suppress(sa.exc.DBAPIError), session.begin_nested():
                found = session.execute(query)
                (found if isinstance(query, sa.TextClause) else found.unique()).all()
        owner = session.get(Owner, 1)
        owner.name, owner.kind = "new", "b"
        session.flush()
        with session.begin_nested():
            session.execute(sa.update(Pet).where(Pet.id == 1).values(name=Pet.name + "y"))
        session.execute(
            sa.update(Pet).values(weight=sa.select(sa.func.avg(Pet.weight)).scalar_subquery())
        )
        session.execute(sa.insert(Pet), [{"name": "a"}, {"name": "b"}])
        session.execute(sa.insert(Pet).values([{"name": "c"}, {"name": "d"}]))
        session.execute(sa.insert(Pet).from_select(["name"], sa.select(Owner.name)))
        session.scalars(sa.insert(Owner).returning(Owner.id), [{"name": "r"}]).all()
        session.execute(sa.delete(Pet).where(Pet.name.in_(["a", "b"])))
        session.delete(owner)
        session.rollback()
    look = sa.inspect(engine)
    for table in look.get_table_names():
        for what in (
            "columns",
            "pk_constraint",
            "foreign_keys",
            "indexes",
            "unique_constraints",
            "check_constraints",
        ):
            getattr(look, f"get_{what}")(table)
    look.get_view_names()
    look.get_schema_names()
    sa.MetaData().reflect(engine)
    _alembic(engine)
    base.metadata.drop_all(engine)
    engine.dispose()


def _alembic(engine: Any) -> None:
    import sqlalchemy as sa
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    with engine.begin() as connection:
        context = MigrationContext.configure(connection)
        context._ensure_version_table()  # noqa: SLF001  (what a first upgrade does)
        context.get_current_revision()
        op = Operations(context)
        op.create_table(
            "al_one",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("a", sa.String(9), server_default="x'y"),
        )
        op.add_column("al_one", sa.Column("b", sa.Boolean, server_default=sa.true()))
        op.create_index("al_ix", "al_one", ["a"])
        op.bulk_insert(sa.table("al_one", sa.column("a")), [{"a": "1"}, {"a": "2"}])
        op.execute("UPDATE al_one SET a = 'it''s; ' || id WHERE a = '1' OR 1 = 1 -- all of them")
        with op.batch_alter_table("al_one") as batch:
            batch.alter_column("a", type_=sa.Text(), nullable=False, existing_type=sa.String(9))
            batch.create_unique_constraint("al_uq", ["a"])
            batch.drop_column("b")
        op.rename_table("al_one", "al_two")
        compare_metadata(context, sa.MetaData())
        op.drop_table("al_two")
        op.drop_table("alembic_version")


def pandas(url: str) -> None:
    """Write frames and read them, by SQLAlchemy and by the driver."""
    import pandas as pd
    import sqlalchemy as sa

    frame = pd.DataFrame(
        {
            "a": [1, 2],
            "b": ["x", "y'z"],
            "c": pd.to_datetime(["2026-01-01", None]),
            "d": [1.5, None],
        }
    )
    engines: list[Any] = [sa.create_engine(url)]
    if url.startswith("sqlite"):
        engines.append(sqlite3.connect(url.removeprefix("sqlite:///")))
    for engine in engines:
        for name in ("frame", "a frame"):
            for how in ("replace", "append"):
                frame.to_sql(name, engine, if_exists=how, index=False)
            frame.to_sql(name, engine, if_exists="replace", index_label="at", chunksize=1)
            pd.read_sql(f'SELECT * FROM "{name}" WHERE a > 1', engine)
        frame.to_sql("frame", engine, if_exists="replace", index=False)
        if engine is engines[0]:
            frame.to_sql("frame", engine, if_exists="append", index=False, method="multi")
            pd.read_sql_table("frame", engine)
            pd.read_sql_query(
                sa.text("SELECT * FROM frame WHERE b = :b"), engine, params={"b": "x"}
            )
        list(pd.read_sql("SELECT a, count(*) FROM frame GROUP BY a", engine, chunksize=1))
    engines[0].dispose()
    for engine in engines[1:]:
        engine.close()


def mlflow(url: str) -> None:
    """Make a tracking store, from its first migration on, and track runs and models."""
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=url, registry_uri=url)
    made = client.create_experiment("one", tags={"a": "b"})
    for at in range(3):
        run = client.create_run(made, tags={"kind": "x"}).info.run_id
        client.log_param(run, "p", at)
        client.log_metric(run, "m", at * 0.5, step=at)
        client.log_batch(run, metrics=(), params=(), tags=())
        client.set_tag(run, "t", "it's")
        client.get_metric_history(run, "m")
        client.set_terminated(run)
    for text in ("metrics.m > 0.2", "params.p = '1'", "tags.kind LIKE 'x%'", "attributes.status = 'FINISHED'",
                 "metrics.m > 0.1 AND params.p != '7' AND tags.t ILIKE 'I%'"):  # fmt: skip
        client.search_runs([made], text, order_by=["metrics.m DESC", "params.p"])
    client.search_experiments(filter_string="name LIKE 'o%'", order_by=["name"])
    client.search_experiments(filter_string="tags.a = 'b'")
    client.rename_experiment(made, "two")
    client.delete_tag(run, "t")
    client.delete_run(run)
    client.restore_run(run)
    client.create_registered_model("model", tags={"a": "b"}, description="x")
    version = client.create_model_version("model", "nowhere", run)
    client.set_registered_model_alias("model", "best", version.version)
    client.get_model_version_by_alias("model", "best")
    client.set_model_version_tag("model", version.version, "k", "v")
    client.update_model_version("model", version.version, "y")
    client.search_model_versions("name = 'model'")
    client.search_registered_models("name ILIKE 'm%' AND tags.a = 'b'", order_by=["name ASC"])
    client.get_latest_versions("model")
    client.rename_registered_model("model", "other")
    client.delete_model_version("other", version.version)
    client.delete_registered_model("other")
    client.delete_experiment(made)
    client.restore_experiment(made)


def optuna(url: str) -> None:
    """Run studies whose storage is a database."""
    import optuna as package

    package.logging.set_verbosity(package.logging.ERROR)

    def objective(trial: Any) -> float:
        x, kind = trial.suggest_float("x", -1, 1), trial.suggest_categorical("kind", ["a", "b"])
        trial.set_user_attr("note", "it's")
        for step in range(3):
            trial.report(x * step, step)
            if trial.should_prune():
                raise package.TrialPruned
        return x if kind == "a" else x * 2

    study = package.create_study(storage=url, study_name="one", load_if_exists=True)
    study.optimize(objective, n_trials=4)
    study.set_user_attr("a", 1)
    study.enqueue_trial({"x": 0.5})
    package.create_study(
        storage=url, study_name="two", directions=["minimize", "maximize"]
    ).optimize(lambda trial: (trial.suggest_int("a", 0, 3), 1.0), n_trials=2)
    package.get_all_study_summaries(storage=url)
    package.load_study(study_name="one", storage=url).best_trials  # noqa: B018
    package.copy_study(
        from_study_name="one", from_storage=url, to_storage=url, to_study_name="three"
    )
    package.delete_study(study_name="two", storage=url)


LIBRARIES: dict[str, Callable[[str], None]] = {
    "django": django, "sqlalchemy": sqlalchemy, "pandas": pandas, "mlflow": mlflow, "optuna": optuna,
}  # fmt: skip


@contextlib.contextmanager
def _places(conninfo: str | None) -> Iterator[list[tuple[str, str]]]:
    with tempfile.TemporaryDirectory() as folder:
        found = [("sqlite", f"sqlite:///{folder}/{{}}.db")]
        if conninfo:
            words = dict(word.split("=", 1) for word in conninfo.split())
            url = f"postgresql+psycopg://{words['user']}@/{words['dbname']}?host={words['host']}"
            found.append(("postgresql", url))
        yield found


def main() -> int:
    """Capture, and say how many there are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--postgresql", metavar="CONNINFO")
    parser.add_argument("--only", nargs="*", default=list(LIBRARIES))
    wanted = parser.parse_args()
    warnings.simplefilter("ignore")
    listen()
    kept: dict[str, dict[str, list[str]]] = {}
    if wanted.file.exists():
        kept = json.loads(wanted.file.read_text("utf-8"))
    with _places(wanted.postgresql) as places:
        for dialect, url in places:
            for name in wanted.only:
                if importlib.util.find_spec(name) is None:
                    continue
                seen.clear()
                # A process can have Django configured once.
                if name != "django" or dialect == places[-1][0]:
                    LIBRARIES[name](url.format(name))
                texts = dict.fromkeys([*kept.get(dialect, {}).get(name, []), *seen])
                kept.setdefault(dialect, {})[name] = list(texts)
                print(dialect, name, len(texts))
    wanted.file.write_text(json.dumps(kept, indent=0, ensure_ascii=False) + "\n", "utf-8")
    print(sum(len(texts) for by_name in kept.values() for texts in by_name.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
