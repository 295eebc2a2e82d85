"""Parquet: a footer and page headers that the bytes bear out, and schemas that run nothing."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import parquet

from safehold.policy import Limits
from safehold.scan import pages, scan_bytes
from tests.work import calls

pytestmark = pytest.mark.extras


def written(table: pa.Table, **options: object) -> bytes:
    out = io.BytesIO()
    parquet.write_table(table, out, **options)
    return out.getvalue()


TABLE = pa.table(
    {
        "number": list(range(1000)),
        "text": ["x", None] * 500,
        "list": [[1, 2], []] * 500,
        "struct": [{"a": 1, "b": [1.5]}] * 1000,
        "map": pa.array([[("k", 1)]] * 1000, pa.map_(pa.string(), pa.int64())),
        "nothing": pa.nulls(1000),
    }
)
WRITTEN = {
    "plain": written(TABLE),
    "groups": written(TABLE, row_group_size=100),
    "small pages": written(TABLE, data_page_size=64, write_batch_size=16),
    "second pages": written(TABLE, data_page_version="2.0"),
    "old": written(TABLE, version="1.0"),
    "no dictionary": written(TABLE, use_dictionary=False),
    "no statistics": written(TABLE, write_statistics=False),
    "index": written(TABLE, write_page_index=True),
    "checksums": written(TABLE, write_page_checksum=True),
    "no schema": written(TABLE, store_schema=False),
    "no rows": written(TABLE.slice(0, 0)),
    "no columns": written(pa.table({})),
    **{
        f"packed by {name}": written(TABLE, compression=name)
        for name in ("none", "snappy", "gzip", "brotli", "zstd", "lz4")
    },
    **{
        f"stored as {name}": written(
            pa.table({"a": ["x", "xy"]}), use_dictionary=False, column_encoding=name
        )
        for name in ("PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY")
    },
}


@pytest.mark.parametrize("data", WRITTEN.values(), ids=WRITTEN)
def test_what_arrow_writes_is_clean(data):
    report = scan_bytes(data)
    assert (report.verdict, report.format, report.findings) == ("clean", "parquet", ())
    found = pages.parse(data)
    metadata = parquet.read_metadata(pa.BufferReader(data))
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    chunks = [group.column(at) for group in groups for at in range(group.num_columns)]
    assert found.rows == metadata.num_rows
    assert [chunk.name for chunk in found.chunks] == [chunk.path_in_schema for chunk in chunks]
    assert [chunk.packed for chunk in found.chunks] == [c.total_compressed_size for c in chunks]
    assert found.unpacked == sum(chunk.total_uncompressed_size for chunk in chunks)
    assert not list(found.gaps(len(data)))


DATA = WRITTEN["plain"]
SIZE = int.from_bytes(DATA[-8:-4], "little")
FOOTER = DATA[-8 - SIZE : -8]


def with_footer(footer: bytes, start: bytes = DATA[: -8 - SIZE]) -> bytes:
    return start + footer + len(footer).to_bytes(4, "little") + b"PAR1"


BROKEN = {
    "magics alone": b"PAR1" + bytes(4) + b"PAR1",
    "footer beyond the file": b"PAR1" + b"\xff\xff\xff\x7f" + b"PAR1",
    "empty footer": with_footer(b""),
    "zeros": with_footer(bytes(100)),
    "cut footer": with_footer(FOOTER[:-1]),
    "bytes after the footer": with_footer(FOOTER + b"x"),
    "nested lists": with_footer(b"\x19" + b"\x19" * 5000),
    "nested structs": with_footer(b"\x1c" * 5000),
    "long list": with_footer(b"\x19\xf8\xff\xff\xff\xff\x0f"),
    "long text": with_footer(b"\x18\xff\xff\xff\xff\x0f"),
    "long number": with_footer(b"\x16" + b"\xff" * 100),
    "long map": with_footer(b"\x1b\xff\xff\xff\xff\x0f\x88"),
    "unknown type": with_footer(b"\x1d\x00"),
    "a field twice": with_footer(b"\x15\x02\x05\x02\x02\x00"),
    "pages of zeros": bytes(4).join((b"PAR1", bytes(len(DATA) - SIZE - 16))) + DATA[-8 - SIZE :],
    "pages cut out": with_footer(FOOTER, b"PAR1"),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_footer_that_lies_is_reported_and_costs_nothing(data):
    def refuse():
        with contextlib.suppress(pages.BrokenError):
            pages.parse(data)
            pytest.fail("it is not broken")

    assert calls(refuse).total() < calls(lambda: pages.parse(DATA)).total()
    assert scan_bytes(data).verdict != "clean"


def test_bytes_that_are_signed_are_read_as_well():
    """An Arrow buffer's are, and so is its view."""
    assert pages.parse(memoryview(DATA).cast("b")) == pages.parse(DATA)


SMALL = written(
    pa.table({"a": [1, 2, 3]}), use_dictionary=False, compression="none", write_statistics=False
)
COUNT = b"\x2c\x15\x06"  # three values in the header of the page


@pytest.mark.parametrize("count", [4, 6, 8, 0x7E])
def test_a_page_has_the_values_that_its_column_says(count):
    assert SMALL.count(COUNT) == 1
    data = SMALL.replace(COUNT, b"\x2c\x15" + bytes([count]))
    if count == 6:
        pages.parse(data)
        return
    with pytest.raises(pages.BrokenError, match="pages of a column"):
        pages.parse(data)


def test_bytes_that_no_column_covers_are_reported_and_read():
    hidden = b"cos\nsystem\n(S'true'\ntR."
    data = with_footer(FOOTER, DATA[: -8 - SIZE] + hidden)
    report = scan_bytes(data)
    assert report.verdict == "malicious"
    assert {"SH107", "SH101"} <= {finding.rule.id for finding in report.findings}


def test_a_type_that_carries_a_pickle_is_reported():
    note = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": "x"}
    schema = pa.schema([pa.field("a", pa.int64(), metadata=note)])
    report = scan_bytes(written(pa.table({"a": [1]}, schema=schema)))
    assert report.verdict == "malicious"
    assert [finding.rule.id for finding in report.findings] == ["SH104"]


def test_a_bomb_is_reported():
    zeros = written(pa.table({"a": np.zeros(2**23)}), use_dictionary=False)
    assert len(zeros) < 2**22
    assert scan_bytes(zeros).verdict == "clean"
    for limits in (Limits(artifact=2**25), Limits(expansion=2, artifact=2**25)):
        report = scan_bytes(zeros, limits=limits)
        assert [finding.rule.id for finding in report.findings] == ["SH105"]


@example(b"\x004\x01", 1999)  # a number where the name of a column belongs
@given(st.binary(min_size=1, max_size=6), st.integers(0, SIZE + 7))
def test_any_change_of_the_footer_ends_in_a_report(noise, back):
    data = bytearray(DATA)
    at = len(data) - 1 - back
    data[at : at + len(noise)] = noise
    with contextlib.suppress(pages.BrokenError):
        pages.parse(bytes(data))
    scan_bytes(bytes(data))


@given(st.binary(max_size=200))
def test_any_footer_ends_in_a_typed_error(noise):
    with pytest.raises(pages.BrokenError):
        pages.parse(with_footer(noise))
