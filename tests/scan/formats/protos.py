"""Writes protocol buffers: a message is a list of (number, value)."""

from __future__ import annotations

from collections.abc import Iterable


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def message(*fields: tuple[int, object]) -> bytes:
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            raw = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(raw)) + raw
    return out


def node(operation: str, name: str, inputs: Iterable[str] = (), **attributes: bytes) -> bytes:
    rows = [(5, message((1, key), (2, value))) for key, value in attributes.items()]
    return message((1, name), (2, operation), *((3, one) for one in inputs), *rows)


def constant(name: str, text: str) -> bytes:
    return node("Const", name, value=message((8, message((1, 7), (8, text)))))


def graph(*nodes: bytes, functions: Iterable[bytes] = ()) -> bytes:
    library = message(*((1, one) for one in functions))
    return message(*((1, one) for one in nodes), (2, library), (4, message((1, 1))))


def function(*nodes: bytes) -> bytes:
    return message((1, message((1, "__inference_call_1"))), *((3, one) for one in nodes))


def saved_model(graph_def: bytes, *more: tuple[int, object]) -> bytes:
    info = message((1, ""), (4, "serve"), (5, "2.15.0"))
    return message((1, 1), (2, message((1, info), (2, graph_def), *more)))
