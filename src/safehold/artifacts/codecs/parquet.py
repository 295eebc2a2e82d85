"""The `parquet` codec: a pandas DataFrame, Series or Index as a Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from safehold.artifacts.codecs import Encoded, Reading
from safehold.artifacts.codecs.arrays import NoFormError
from safehold.artifacts.codecs.frames import from_parquet, is_table, to_parquet
from safehold.errors import EncodeError


def encode(value: object, depth: int) -> Encoded:  # noqa: ARG001  (tables have no depth)
    """Encode a table. Raises EncodeError."""
    kind = type(value)
    if not is_table(kind):
        message = (
            f"parquet holds a DataFrame, Series or Index of pandas, not a "
            f"{kind.__module__}.{kind.__qualname__}"
        )
        raise EncodeError(message)
    try:
        data = to_parquet(value)
    except NoFormError as error:
        message = f"value {error}"
        raise EncodeError(message) from error
    return Encoded([data], {name: version(name) for name in ("pandas", "pyarrow")})


def decode(segments: Sequence[memoryview], reading: Reading) -> object:
    """Decode verified bytes. Raises DecodeError, LimitExceeded."""
    return from_parquet(segments[0], reading)
