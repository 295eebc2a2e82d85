"""What makes a payload on its way out: segments in pieces, cut into chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from safehold.sfh1 import CHUNK, Buffer, gap_at

Segment = tuple[int, Iterable[Buffer]]
"""Length in bytes and the pieces that make it."""


def payload_of(segments: Sequence[Segment]) -> Iterator[Buffer]:
    """Yield the pieces of a payload, gaps included.

    Raises:
        ValueError: a segment's pieces do not have the announced length.
    """
    position = 0
    for length, pieces in segments:
        if gap := gap_at(position):
            yield bytes(gap)
            position += gap
        before = position
        for piece in pieces:
            position += len(piece)
            yield piece
        if position - before != length:
            message = f"a segment of {length} bytes gave {position - before}; it changed meanwhile"
            raise ValueError(message)


def chunks_of(pieces: Iterable[Buffer]) -> Iterator[Buffer]:
    """Cut pieces into chunks; one that lies within a piece is not copied."""
    waiting = bytearray()
    for piece in pieces:
        view = memoryview(piece)
        if waiting:
            room = CHUNK - len(waiting)
            waiting += view[:room]
            view = view[room:]
            if len(waiting) == CHUNK:
                yield waiting
                waiting = bytearray()
        whole = len(view) - len(view) % CHUNK
        for start in range(0, whole, CHUNK):
            yield view[start : start + CHUNK]
        waiting += view[whole:]
    if waiting:
        yield waiting
