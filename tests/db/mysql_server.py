"""A stand-in for a server of MySQL: it speaks the protocol, notes what it is sent and runs nothing.

What it answers is what a test has said for the beginning of a text: rows, and what goes wrong amid
them, or an error. Otherwise a SELECT has one row, and anything else is well.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

_GREETING = (
    b"\x0a8.0.40\0" + struct.pack("<I", 1) + b"12345678\0" + struct.pack("<H", 0xF7FF) + b"\x2d"
    + struct.pack("<HH", 2, 0x000F | 0x0008) + b"\x15" + bytes(10) + b"123456789012\0"
    b"mysql_native_password\0"
)  # fmt: skip
_EOF = b"\xfe\0\0\x02\0"


def _text(value: str) -> bytes:
    data = value.encode()
    assert len(data) < 251
    return bytes([len(data)]) + data


def _ok(rows: int = 1) -> bytes:
    return b"\0" + bytes([rows]) + b"\0\x02\0\0\0"


def error(code: int, state: str, message: str) -> bytes:
    """Return the packet of an error."""
    return b"\xff" + struct.pack("<H", code) + b"#" + state.encode() + message.encode()


class Server:
    """What was sent, and what is answered."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.answers: dict[str, bytes | list[str | bytes]] = {}
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as reading:
            self._send(client, 0, _GREETING)
            self._read(reading)
            self._send(client, 2, _ok(0))
            while (packet := self._read(reading)) and packet[0] != 1:
                self._answer(client, packet)

    def _answer(self, client: socket.socket, packet: bytes) -> None:
        if packet[0] != 3:  # COM_QUERY
            self._send(client, 1, _ok(0))
            return
        text = packet[1:].decode()
        self.sent.append(text)
        usual: bytes | list[str | bytes] = ["1"] if text.startswith("SELECT") else _ok()
        found = next((value for key, value in self.answers.items() if text.startswith(key)), usual)
        if isinstance(found, bytes):
            self._send(client, 1, found)
            return
        column = b"".join(_text(part) for part in ("def", "", "t", "t", "a", "a"))
        column += b"\x0c\x2d\0" + struct.pack("<IBHB", 255, 253, 0, 0) + b"\0\0"
        rows = [row if isinstance(row, bytes) else _text(row) for row in found]
        packets = [b"\x01", column, _EOF, *rows, _EOF]
        for at, one in enumerate(packets, 1):
            self._send(client, at, one)

    @staticmethod
    def _send(client: socket.socket, number: int, packet: bytes) -> None:
        client.sendall(struct.pack("<I", len(packet))[:3] + bytes([number]) + packet)

    @staticmethod
    def _read(reading: object) -> bytes:
        head = reading.read(4)  # type: ignore[attr-defined]
        if len(head) < 4:
            return b""
        return reading.read(int.from_bytes(head[:3], "little"))  # type: ignore[attr-defined]


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Run one for the time of the block."""
    server = Server()
    try:
        yield server
    finally:
        server.close()
