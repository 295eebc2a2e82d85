from __future__ import annotations

import io
import json

import pytest

from safehold.events import Event
from tests.observe.formats.exporting import EVENTS, exported, lines, odd_events

pytestmark = pytest.mark.extras


def rows(found):
    from pyarrow import parquet

    return parquet.read_table(io.BytesIO(exported("parquet", found)))


def test_rows_are_the_events(tmp_path):
    found = lines(tmp_path)
    table = rows(found)
    assert table.num_rows == len(EVENTS)
    for row, line in zip(table.to_pylist(), found, strict=True):
        assert row["time"].isoformat(timespec="microseconds") == line.time.replace("Z", "+00:00")
        assert (row["writer"], row["sequence"]) == (line.writer, line.sequence)
        for name in ("action", "reason", "artifact", "caller", "rule"):
            assert (row[name] or "") == getattr(line.event, name)
        assert dict(row["request"] or ()) == line.event.request
        assert json.loads(row["detail"] or "{}") == line.event.detail
    assert [row["severity"] for row in table.to_pylist()][:2] == [None, "critical"]


def test_the_schema_is_the_same_whatever_is_written(tmp_path):
    assert rows([]).schema == rows(lines(tmp_path)).schema


def test_many_rows_are_written_in_groups(tmp_path, monkeypatch):
    from safehold.observe.formats import parquet

    monkeypatch.setattr(parquet, "_GROUP", 7)
    found = lines(tmp_path, list(odd_events(8, 100)))
    assert rows(found).num_rows == 100


def test_numbers_that_do_not_fit_are_left_out(tmp_path):
    found = lines(tmp_path, [Event(action="x", outcome="done", size=2**63, generation=5)])
    assert rows(found).to_pylist()[0]["size"] is None
