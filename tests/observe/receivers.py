"""Servers on loopback that take what alert channels send."""

from __future__ import annotations

import contextlib
import http.server
import socketserver
import threading
from collections.abc import Iterator


class Received:
    """What came, and what is answered: `answers` are used up one by one, the last stays."""

    def __init__(self, *answers):
        self.requests = []
        self.answers = list(answers) or [200]
        self.headers = {}
        self.port = 0
        self.came = threading.Event()

    def answer(self):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextlib.contextmanager
def http_server(*answers, wrap=None, headers=None) -> Iterator[Received]:
    received = Received(*answers)
    received.headers = headers or {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            received.requests.append((self.path, dict(self.headers), body))
            answer = received.answer()
            if callable(answer):
                answer = answer()
            self.send_response(answer)
            for name, value in received.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()
            received.came.set()

        def log_message(self, *given):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *given: None
    if wrap:
        server.socket = wrap(server.socket)
    received.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def mail_server() -> Iterator[Received]:
    """Speak just enough SMTP: no TLS, which only loopback may have."""
    received = Received()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 test\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(self.rfile.readline, b".\r\n")
                    received.requests.append(b"".join(lines))
                    received.came.set()
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
                if word == b"QUIT":
                    return

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    received.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
