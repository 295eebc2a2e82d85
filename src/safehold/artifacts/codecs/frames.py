"""pandas tables as Parquet, with what Parquet forgets beside it; exactly the same comes back.

Every file that is written is read again before it counts: a table that would come back in
any other way has no form. Not kept: the bits of a NaN beyond that it is one.

A note in the schema's metadata says which pandas type it was, the frequencies of its index,
and which columns of objects Parquet holds as text. Files without one are read as pandas does.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from importlib import import_module
from typing import Any, Literal

import msgspec

from safehold.artifacts.codecs import Buffer, Reading
from safehold.artifacts.codecs.arrays import NoFormError
from safehold.errors import DecodeError, LimitExceeded, MissingExtra

TAG = "pandas"
_NOTE = b"safehold"
_ONLY = "0"
"""The column of a Series without a name, and of a table that has no column of its own."""
_EXTENSIONS = frozenset({"pandas.interval", "pandas.period"})
_OLDEST_PYARROW = 15  # before 14.0.1 a schema could name a pickle, CVE-2023-47248
_INVALID = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError,
            NotImplementedError, OSError, RecursionError)  # fmt: skip
"""What pyarrow and pandas raise; pyarrow's own errors derive from these."""

Kind = Literal["frame", "series", "index"]


class Note(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What Parquet forgets.

    ``only``: the column `_ONLY` is not the table's. ``freq`` and ``column_freq``: frequencies
    of the two axes; ``columns``: start, stop and step of a RangeIndex. ``number``: the name of
    a Series. By the position of a column: ``objects``, and what a gap in them is; ``seconds``,
    which Parquet does not count in; ``categories`` that are no text, and whether in order.
    """

    kind: Kind = "frame"
    only: bool = False
    freq: str | None = None
    column_freq: str | None = None
    columns: tuple[int, int, int] | None = None
    number: int | None = None
    objects: dict[int, Literal["nan", "none"]] = {}
    seconds: dict[int, str] = {}
    categories: dict[int, tuple[bytes, bool]] = {}


_note_decoder = msgspec.json.Decoder(Note)


def is_table(kind: type) -> bool:
    """Say whether a type is one that pandas has for tables; subclasses of a caller's are not."""
    pandas = sys.modules.get("pandas")
    if pandas is None or str(kind.__module__).partition(".")[0] != "pandas":
        return False
    return kind in (pandas.DataFrame, pandas.Series) or issubclass(kind, pandas.Index)


def take(value: Any, kind: type) -> tuple[str, bytes] | None:
    """Return (tag, Parquet) of a table, None for any other value. Raises NoFormError."""
    return (TAG, bytes(to_parquet(value))) if is_table(kind) else None


# --- writing -------------------------------------------------------------------------------


def to_parquet(value: Any) -> Buffer:
    """Return a Parquet file from which `from_parquet` makes exactly the same table.

    Raises:
        NoFormError: there is none. MissingExtra: pyarrow is not installed.
    """
    pyarrow, parquet, pandas = _libraries()
    kind = type(value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # attrs that are no JSON; found by the comparison
            frame, note = _as_frame(value, pandas)
            _note_columns(frame, note)
            table = pyarrow.Table.from_pandas(frame)
            held = {**(table.schema.metadata or {}), _NOTE: msgspec.json.encode(note)}
            out = pyarrow.BufferOutputStream()
            parquet.write_table(table.replace_schema_metadata(held), out)
            data = memoryview(out.getvalue())
            again = from_parquet(data, None)
        exact = _same(value, again, pandas)
    except (*_INVALID, DecodeError) as error:
        message = f"is a pandas {kind.__name__} that Parquet cannot hold: {error}"
        raise NoFormError(message[:400]) from error
    if not exact:
        message = (
            f"is a pandas {kind.__name__} that would not come back from Parquet as it is "
            f"(objects, or labels of several types); give its columns plain types"
        )
        raise NoFormError(message)
    return data


def _as_frame(value: Any, pandas: Any) -> tuple[Any, Note]:
    if isinstance(value, pandas.Index):
        return _column_for(value, pandas), Note("index", only=True, freq=_freq(value))
    note = Note(freq=_freq(value.index))
    if isinstance(value, pandas.Series):
        note.kind, note.only = "series", value.name is None
        note.number = value.name if type(value.name) is int else None
        return value.to_frame(_ONLY if note.only else value.name), note
    columns = value.columns
    note.column_freq = _freq(columns)
    if type(columns) is pandas.RangeIndex:
        note.columns = (columns.start, columns.stop, columns.step)
    if len(columns):
        return value, note
    note.only = True
    frame = _column_for(value.index, pandas)
    frame.attrs = value.attrs
    return frame, note


def _column_for(index: Any, pandas: Any) -> Any:
    """Return a table of this index: pandas' metadata describes indexes of tables alone."""
    return pandas.DataFrame({_ONLY: False}, index=index)


def _freq(index: Any) -> str | None:
    freq = getattr(index, "freq", None)
    # That of a PeriodIndex is in its dtype.
    return None if freq is None or index.dtype.kind not in "Mm" else freq.freqstr


def _note_columns(frame: Any, note: Note) -> None:
    """Note what comes back as another type; the comparison sees whatever is not noted."""
    for at, dtype in enumerate(frame.dtypes):
        categories = getattr(dtype, "categories", None)
        if dtype.kind == "O" and type(dtype).__module__.startswith("numpy"):
            gaps = any(item is None for item in frame.iloc[:, at])
            note.objects[at] = "none" if gaps else "nan"
        elif categories is not None and categories.dtype != "str":
            note.categories[at] = (bytes(to_parquet(categories)), bool(dtype.ordered))
        elif dtype.kind in "Mm" and getattr(dtype, "unit", str(dtype)[-2:-1]) == "s":
            note.seconds[at] = str(dtype)


# --- comparing -----------------------------------------------------------------------------


def _same(one: Any, two: Any, pandas: Any) -> bool:
    """Say whether two tables are the same in values, types, labels, names and notes."""
    if type(one) is not type(two):
        return False
    if isinstance(one, pandas.Index):
        return _same_index(one, two, pandas)
    notes = (one.attrs, one.flags.allows_duplicate_labels)
    if repr(notes) != repr((two.attrs, two.flags.allows_duplicate_labels)):
        return False
    if not _same_index(one.index, two.index, pandas):
        return False
    if isinstance(one, pandas.Series):
        return _same_labels([one.name], [two.name]) and _same_column(one, two)
    return _same_index(one.columns, two.columns, pandas) and all(
        _same_column(one.iloc[:, at], two.iloc[:, at]) for at in range(len(one.columns))
    )


def _same_index(one: Any, two: Any, pandas: Any) -> bool:
    if type(one) is not type(two) or not _same_labels(one.names, two.names):
        return False
    if len(one) != len(two) or _freq(one) != _freq(two):
        return False
    if isinstance(one, pandas.MultiIndex):
        return one.nlevels == two.nlevels and all(
            _same_index(one.get_level_values(at), two.get_level_values(at), pandas)
            for at in range(one.nlevels)
        )
    return _same_column(one, two)


def _same_column(one: Any, two: Any) -> bool:
    if not _same_dtype(one.dtype, two.dtype) or not one.equals(two):
        return False
    return one.dtype != object or _same_labels(one, two)


def _same_dtype(one: Any, two: Any) -> bool:
    if type(one) is not type(two) or one != two or repr(one) != repr(two):
        return False
    categories = getattr(one, "categories", None)
    return categories is None or _same_column(categories, two.categories)


def _same_labels(one: Any, two: Any) -> bool:
    """Compare objects one by one: 1, True and 1.0 are equal, None and NaN both missing."""
    return all(type(a) is type(b) and repr(a) == repr(b) for a, b in zip(one, two, strict=True))


# --- reading -------------------------------------------------------------------------------


def from_parquet(data: Buffer, reading: Reading | None) -> Any:
    """Return the table of a Parquet file; without `reading` the size is not limited.

    Raises:
        DecodeError, LimitExceeded, MissingExtra
    """
    pyarrow, parquet, pandas = _libraries()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = _table(pyarrow, parquet, data, reading)
            raw = (table.schema.metadata or {}).get(_NOTE)
            note = Note() if raw is None else _note_decoder.decode(raw)
            return _mended(table.to_pandas(), note, reading, pandas)
    except (*_INVALID, msgspec.MsgspecError) as error:
        message = f"not a table in Parquet: {error}"[:400]
        raise DecodeError(message) from error


def _table(pyarrow: Any, parquet: Any, data: Buffer, reading: Reading | None) -> Any:
    """Read the columns when what they unpack to is within the limits."""
    from safehold.scan import pages  # large, as pandas is

    try:
        found = pages.parse(memoryview(data))
    except pages.BrokenError as error:
        raise DecodeError(str(error)) from error
    whole = pyarrow.py_buffer(data)
    file = parquet.ParquetFile(pyarrow.BufferReader(whole))
    schema = file.schema_arrow
    for field in schema:
        if not _is_plain(field.type, pyarrow):
            message = f"column {field.name[:80]!r} is a {field.type}"
            raise DecodeError(message[:200])
    if reading is None:
        return file.read()
    budget = reading.budget(len(memoryview(data)))
    least = found.rows * sum(_width(field.type) for field in schema)
    _check_size(max(least, found.unpacked), budget)
    texts = {chunk.name: chunk.encodings for chunk in found.chunks
             if chunk.kind == pages.TEXT and chunk.rows * chunk.unpacked > budget}  # fmt: skip
    if not texts:
        return file.read()
    if any(pages.DIFFERENCES in encodings for encodings in texts.values()):
        message = "a column of texts is stored by their differences, which may be any length"
        raise DecodeError(message)
    # Few bytes of a dictionary can stand for many values: count before they are unfolded.
    file = parquet.ParquetFile(pyarrow.BufferReader(whole), read_dictionary=sorted(texts))
    table = file.read()
    _check_size(sum(_unfolded(table.column(name)) for name in texts), budget)
    return table.cast(schema)


def _check_size(least: int, budget: int) -> None:
    if least > budget:
        message = f"the table unpacks to {least} bytes or more, the limit for it is {budget}"
        raise LimitExceeded(message)


def _is_plain(kind: Any, pyarrow: Any) -> bool:
    """Say whether a column's type is one whose size a row bounds and that runs nothing."""
    types = pyarrow.types
    if isinstance(kind, pyarrow.BaseExtensionType):
        return kind.extension_name in _EXTENSIONS
    if types.is_dictionary(kind):
        return _is_plain(kind.value_type, pyarrow)
    return not types.is_nested(kind) and not types.is_run_end_encoded(kind)


def _width(kind: Any) -> int:
    """Return the least that a value of this type takes as one of pandas."""
    with contextlib.suppress(ValueError):  # texts have no width of their own
        return max(int(kind.bit_width) // 8, 1 if kind.bit_width else 8)
    return 8


def _unfolded(column: Any) -> int:
    """Return how many bytes of text a column of dictionary indices stands for."""
    compute = import_module("pyarrow.compute")
    total = 0
    for chunk in column.chunks:
        lengths = compute.binary_length(chunk.dictionary).cast("int64")
        total += compute.sum(lengths.take(chunk.indices)).as_py() or 0
    return total


def _mended(frame: Any, note: Note, reading: Reading | None, pandas: Any) -> Any:
    """Put back what Parquet forgot."""
    for at, gap in note.objects.items():
        column = frame.iloc[:, at].astype(object)
        frame.isetitem(at, column.where(column.notna(), None) if gap == "none" else column)
    for at, (data, ordered) in note.categories.items():
        dtype = pandas.CategoricalDtype(from_parquet(data, reading), ordered)
        frame.isetitem(at, frame.iloc[:, at].astype(dtype))
    for at, name in note.seconds.items():
        frame.isetitem(at, frame.iloc[:, at].astype(name))
    if note.freq is not None:
        _set_freq(frame.index, note.freq)
    if note.kind == "index":
        return frame.index
    if note.kind == "series":
        series = frame.iloc[:, 0]
        series.attrs = frame.attrs
        return series.rename(note.number) if note.only or note.number is not None else series
    if note.only:
        frame = frame.drop(columns=_ONLY)
    if note.columns is not None:
        frame.columns = pandas.RangeIndex(*note.columns, name=frame.columns.name)
    if note.column_freq is not None:
        _set_freq(frame.columns, note.column_freq)
    return frame


def _set_freq(index: Any, freq: str) -> None:
    if not hasattr(index, "freq"):
        message = "an index without frequency has one"
        raise ValueError(message)
    index.freq = freq


def _libraries() -> tuple[Any, Any, Any]:
    try:
        import pandas  # noqa: ICN001  (handed on under its name)
        import pyarrow  # noqa: ICN001
        from pyarrow import parquet
    except ImportError as error:
        missing = (error.name or "pyarrow").partition(".")[0]
        raise MissingExtra(missing, "pandas") from error
    if int(pyarrow.__version__.partition(".")[0]) < _OLDEST_PYARROW:
        missing = f"pyarrow {_OLDEST_PYARROW} or newer"
        raise MissingExtra(missing, "pandas")
    with contextlib.suppress(ImportError):  # registers pandas' types of periods and intervals
        import_module("pandas.core.arrays.arrow.extension_types")
    return pyarrow, parquet, pandas
