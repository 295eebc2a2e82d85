"""A program with Django's settings, which can be made once in a process; prints what happened.

Its arguments: a directory, and the parameters of a PostgreSQL as JSON, or nothing.
"""

from __future__ import annotations

import json
import sys
import threading
import traceback
from pathlib import Path

import django
from django.conf import settings

from safehold import db
from safehold.errors import ConfigError, QueryRefused
from tests.db.guarding import make_hold, summary

ATTACK = "x' OR 1=1 --"
PLANTED = "Tr0ub4dor-and-three"


def configured(root, postgres):
    hold, events = make_hold(root)
    sqlite = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"timeout": 30}}
    databases = {
        "default": {**sqlite, "NAME": str(root / "one.db")},
        "other": {**sqlite, "NAME": str(root / "two.db")},
    }
    if postgres:
        databases["pg"] = {"ENGINE": "django.db.backends.postgresql", **postgres}
    settings.configure(
        INSTALLED_APPS=["safehold.db.django.Guard", "django.contrib.contenttypes"],
        DATABASES=databases,
        SAFEHOLD=hold,
        SAFEHOLD_DATABASES={"other": {"read_only": True}},
    )
    return events


def refusals(alias):
    from django.db import connections

    found = []
    with db.request_inputs([ATTACK]), connections[alias].cursor() as cursor:
        for run in (
            lambda: cursor.execute(f"SELECT id FROM users WHERE name = '{ATTACK}'"),
            lambda: connections[alias].connection.cursor().execute(f"SELECT '{ATTACK}'"),
            lambda: Users.objects.using(alias).extra(where=[f"name = '{ATTACK}'"]).first(),  # noqa: S610
        ):
            try:
                run()
                found.append("sent")
            except QueryRefused as error:
                found.append(str(error).partition("(")[2][:5])
        found.append(Users.objects.using(alias).filter(name=ATTACK).count())
    return found


def work(alias, name):
    """Do five operations: BEGIN, insert, commit; an insert that fails, read."""
    from django.db import DatabaseError, transaction

    with transaction.atomic(using=alias):
        Users.objects.using(alias).create(name=name)
    try:
        Users.objects.using(alias).bulk_create([Users(name=name)])
    except DatabaseError as error:
        shown = str(error) + "".join(traceback.format_exception(error))
        assert "Tr0ub4dor" not in shown, shown
    Users.objects.using(alias).get(name=name)


def texts_of(events):
    return {event.artifact: event.detail["text"] for event in events.rows if "text" in event.detail}


def in_threads(alias, events):
    from django.db import connections

    lock = threading.Lock()

    def run(at):
        with lock:
            connections[alias].ensure_connection()
            work(alias, f"{PLANTED} {at}")
            connections[alias].close()

    texts = texts_of(events)
    events.rows.clear()
    threads = [threading.Thread(target=run, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts |= texts_of(events)
    found = [
        name
        for event, name in zip(events.rows, summary(events), strict=True)
        # What Django says to each connection that it opens.
        if not texts.get(event.artifact, "").startswith(("pragma", "select sqlite_", "select set_"))
    ]
    assert "Tr0ub4dor" not in repr(events.rows)
    return {kind: found.count(kind) for kind in sorted(set(found))}


def wrong():
    from django.apps import apps
    from django.db import connections

    guard = apps.get_app_config("safehold_db")
    found = []
    for change in ({"nowhere": {}}, {"default": {"fast": True}}, {}):
        settings.SAFEHOLD_DATABASES = change
        try:
            guard.ready()
        except ConfigError as error:
            found.append(str(error))
    connections["default"].close()
    connections.close_all()
    settings.SAFEHOLD_DATABASES = {"other": {"read_only": True}}
    guard.ready()  # a second time changes nothing
    return found


def main():
    global Users  # noqa: PLW0603  (models are made after the settings)
    root, given = Path(sys.argv[1]), json.loads(sys.argv[2])
    events = configured(root, given)
    django.setup()
    from django.db import connections, models

    class Users(models.Model):  # noqa: DJ008
        name = models.TextField(unique=True)

        class Meta:
            app_label = "contenttypes"
            db_table = "users"

    out = {}
    alias = "pg" if given else "default"
    connection = connections[alias]
    with connection.schema_editor() as editor:
        editor.create_model(Users)
    out["refusals"] = refusals(alias)
    out["callers"] = sorted({Path(event.caller.rpartition(":")[0]).name for event in events.rows})
    out["wrong"] = wrong()
    out["threads"] = in_threads(alias, events)
    try:
        connections["other"].cursor().execute("CREATE TABLE t (a)")
        out["other"] = "sent"
    except QueryRefused as error:
        out["other"] = str(error).partition("(")[2][:5]
    with connections[alias].schema_editor() as editor:
        editor.delete_model(Users)
    connections.close_all()
    print(json.dumps(out))


if __name__ == "__main__":
    main()
