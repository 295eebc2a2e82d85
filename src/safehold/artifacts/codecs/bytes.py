"""The `bytes` codec: a file that another tool decodes, such as ONNX or GGUF, as it stands.

Nothing of it is looked at here: the seal says where it comes from, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence

from safehold.artifacts.codecs import Encoded, Reading
from safehold.errors import EncodeError


def encode(value: object, depth: int) -> Encoded:  # noqa: ARG001  (bytes have no depth)
    """Take bytes as they are. Raises EncodeError."""
    if type(value) is not bytes:
        message = f"the codec bytes holds bytes, not a {type(value).__qualname__}"
        raise EncodeError(message)
    return Encoded([value])


def decode(segments: Sequence[memoryview], reading: Reading) -> object:  # noqa: ARG001
    """Return verified bytes, as a copy; `Store.read` makes none."""
    return bytes(segments[0])
