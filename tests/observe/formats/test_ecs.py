from __future__ import annotations

import json

from tests.observe.formats.exporting import EVENTS, exported, lines, odd_events

# Fields of ECS 8.11, https://www.elastic.co/guide/en/ecs/8.11/ecs-field-reference.html.
FIELDS = {
    "@timestamp", "ecs.version", "message", "event.kind", "event.category", "event.type",
    "event.action", "event.outcome", "event.reason", "event.code", "event.id", "event.sequence",
    "event.severity", "event.duration", "event.module", "event.dataset", "rule.id", "file.path",
    "file.name", "file.size", "host.name", "process.pid", "observer.vendor", "observer.product",
    "observer.version", "user.name", "trace.id", "http.request.id",
}  # fmt: skip
OWN = {f"safehold.{name}" for name in ("zone", "codec", "key", "generation", "caller", "outcome",
                                       "request", "detail")}  # fmt: skip
# Which types the schema expects of which category.
TYPES = {
    "file": {"access", "change", "creation", "deletion", "info"},
    "api": {"access", "admin", "allowed", "change", "creation", "deletion", "denied", "end", "info",
            "start", "user"},
}  # fmt: skip


def flat(value, prefix=""):
    for name, item in value.items():
        if isinstance(item, dict):
            yield from flat(item, f"{prefix}{name}.")
        else:
            yield prefix + name, item


def documents(found):
    return [json.loads(line) for line in exported("ecs", found).decode("ascii").splitlines()]


def check(document):
    fields = dict(flat(document))
    assert set(fields) <= FIELDS | OWN
    assert fields["ecs.version"] == "8.11.0"
    assert fields["event.kind"] in ("alert", "event")
    assert fields["event.outcome"] in ("success", "failure", "unknown")
    for kind in fields["event.type"]:
        assert any(kind in TYPES[category] for category in fields["event.category"])
    assert all(isinstance(value, str | int | list) for value in fields.values())


def test_every_field_is_one_of_the_schema(tmp_path):
    found = documents(lines(tmp_path))
    assert len(found) == len(EVENTS)
    for document in found:
        check(document)


def test_events_are_mapped(tmp_path):
    found = lines(tmp_path)
    load, refused, monitored, failed, *_ = documents(found)
    assert load["@timestamp"] == found[0].time
    assert load["event"]["type"] == ["access", "allowed"]
    assert load["event"]["duration"] == 250_000_000
    assert (load["user"], load["trace"]) == ({"name": "u1"}, {"id": "t1"})
    assert load["safehold"]["zone"] == "models"
    assert (refused["event"]["kind"], refused["rule"]["id"]) == ("alert", "SH101")
    assert json.loads(refused["safehold"]["detail"]) == {"global": "posix.system", "n": [1]}
    assert monitored["event"]["kind"] == "alert"
    assert (failed["event"]["outcome"], "file" in failed) == ("failure", False)


def test_odd_texts_stay_within_their_field(tmp_path):
    found = lines(tmp_path, list(odd_events(7)))
    for document, line in zip(documents(found), found, strict=True):
        check(document)
        assert document.get("file", {}).get("path", "") == line.event.artifact
