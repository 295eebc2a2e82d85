from __future__ import annotations

import json

from tests.observe.formats.exporting import EVENTS, exported, lines, odd_events

# Attributes of OCSF 1.3.0, https://schema.ocsf.io/1.3.0: required ones first, then those in use.
BASE = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
OPTIONAL = {"activity_name", "message", "severity", "status", "status_id", "status_detail",
            "unmapped"}  # fmt: skip
CLASSES = {
    0: (BASE, OPTIONAL),
    1001: (BASE | {"actor", "device", "file"}, OPTIONAL),
    2004: (BASE | {"finding_info"}, OPTIONAL | {"evidences", "action", "action_id", "disposition",
                                                "disposition_id"}),
}  # fmt: skip
OBJECTS = {
    "metadata": ({"version", "product"}, {"profiles", "uid", "sequence", "event_code", "log_name",
                                          "original_time"}),
    "product": ({"name", "vendor_name"}, {"version"}),
    "actor": (set(), {"app_name", "process"}),
    "process": (set(), {"pid"}),
    "device": ({"type_id"}, {"type", "hostname"}),
    "file": ({"name", "type_id"}, {"path", "type", "size"}),
    "finding_info": ({"uid", "title"}, {"created_time", "analytic"}),
    "analytic": ({"type_id"}, {"type", "uid", "name"}),
}  # fmt: skip


def check_object(name, value):
    required, optional = OBJECTS[name]
    assert required <= set(value) <= required | optional, name
    for key, item in value.items():
        if isinstance(item, dict):
            check_object(key, item)


def check(document):
    required, optional = CLASSES[document["class_uid"]]
    assert required <= set(document) <= required | optional
    assert document["category_uid"] == document["class_uid"] // 1000
    assert document["type_uid"] == document["class_uid"] * 100 + document["activity_id"]
    assert document["severity_id"] in range(1, 6)
    assert isinstance(document["time"], int)
    for name, value in document.items():
        if name in OBJECTS:
            check_object(name, value)
    for evidence in document.get("evidences", ()):
        for name, value in evidence.items():
            check_object(name, value)


def documents(found):
    return [json.loads(line) for line in exported("ocsf", found).decode("ascii").splitlines()]


def test_every_event_has_what_its_class_requires_and_nothing_else(tmp_path):
    found = documents(lines(tmp_path))
    assert len(found) == len(EVENTS)
    for document in found:
        check(document)
    assert [document["class_uid"] for document in found] == [1001, 2004, 2004, 0, 0, 2004]


def test_events_are_mapped(tmp_path):
    load, refused, monitored, failed, *_ = documents(lines(tmp_path))
    assert (load["activity_id"], load["status_id"]) == (2, 1)
    assert load["file"] == {"name": "a b.pkl", "path": "models/a b.pkl", "type_id": 1,
                            "type": "Regular File", "size": 7}  # fmt: skip
    assert load["device"]["hostname"] == "host1"
    assert load["unmapped"]["request"] == {"user": "u1", "trace": "t1", "request": "r1"}
    assert (refused["action_id"], refused["disposition_id"], refused["severity_id"]) == (2, 2, 5)
    assert refused["finding_info"]["analytic"]["uid"] == "SH101"
    assert (monitored["action_id"], monitored["disposition_id"]) == (1, 1)
    assert (failed["status_id"], failed["status_detail"]) == (2, "OSError")


def test_odd_texts_stay_within_their_attribute(tmp_path):
    found = lines(tmp_path, list(odd_events(6)))
    for document, line in zip(documents(found), found, strict=True):
        check(document)
        assert document.get("status_detail", "") == line.event.reason
