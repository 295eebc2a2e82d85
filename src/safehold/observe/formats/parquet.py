"""Apache Parquet, one row for each event. The schema only grows: columns are added at the end."""

from __future__ import annotations

import json
from datetime import datetime
from typing import IO, Any, Final

from safehold.errors import MissingExtra
from safehold.observe.labels import is_violation, severity
from safehold.observe.lines import Line

try:
    import pyarrow as pa
    from pyarrow import parquet
except ModuleNotFoundError as error:
    package = "pyarrow"
    raise MissingExtra(package, "pandas") from error

_GROUP: Final = 10_000
_LARGEST: Final = 2**63 - 1
_TEXTS: Final = ("action", "outcome", "reason", "rule", "zone", "artifact", "codec", "key",
                 "caller")  # fmt: skip
SCHEMA: Final = pa.schema(
    [
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("writer", pa.string(), nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),
        *(pa.field(name, pa.string()) for name in _TEXTS),
        pa.field("generation", pa.int64()),
        pa.field("size", pa.int64()),
        pa.field("seconds", pa.float64()),
        pa.field("severity", pa.string()),
        pa.field("request", pa.map_(pa.string(), pa.string())),
        pa.field("detail", pa.string()),
        pa.field("mac", pa.string()),
        pa.field("host", pa.string()),
    ],
    metadata={"safehold.schema": "1"},
)


def writer(file: IO[bytes], host: str) -> Rows:
    """Return what writes to the file."""
    return Rows(file, host)


class Rows:
    """Writes rows in groups."""

    def __init__(self, file: IO[bytes], host: str) -> None:
        self._writer = parquet.ParquetWriter(file, SCHEMA, compression="zstd")
        self._host = host
        self._rows: list[dict[str, Any]] = []

    def write(self, line: Line) -> None:
        """Write one line, together with others."""
        self._rows.append(_row(line, self._host))
        if len(self._rows) >= _GROUP:
            self._flush()

    def close(self) -> None:
        """Write the last rows and the schema, without which the file cannot be read."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA))
            self._rows = []


def _row(line: Line, host: str) -> dict[str, Any]:
    event = line.event
    return {
        "time": datetime.fromisoformat(line.time),
        "writer": line.writer,
        "sequence": line.sequence,
        **{name: getattr(event, name) or None for name in _TEXTS},
        "generation": _number(event.generation),
        "size": _number(event.size),
        "seconds": event.seconds or None,
        "severity": severity(event).label if is_violation(event) else None,
        "request": list(event.request.items()) or None,
        "detail": json.dumps(event.detail) if event.detail else None,
        "mac": line.mac,
        "host": host,
    }


def _number(value: int) -> int | None:
    return value if value and abs(value) <= _LARGEST else None
