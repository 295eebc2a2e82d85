"""A small service to attack: weak in every way that is probed, or strong in the same places.

``python service.py PORT weak|policy|strong``; ``python service.py renew`` writes a newer model.
``policy`` is weak but for a header that keeps injected scripts from running.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import json
import os
import pickle
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

HERE = Path(__file__).resolve().parent
MODELS = ("first.pkl", "second.pkl")
DEFAULT = "no-secret-at-all"
MODE = sys.argv[2] if len(sys.argv) > 2 else ""
STRONG = MODE == "strong"
LARGEST = 2**20
# What `safehold check` asks of an answer.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=(), "
    "browsing-topics=(), display-capture=(), serial=(), hid=(), midi=(), fullscreen=()",
}


def renew():
    """Write both models, and which bytes are the current ones."""
    digests = {}
    for name in MODELS:
        data = pickle.dumps({"name": name, "version": os.urandom(8), "weights": bytes(4096)})
        (HERE / name).write_bytes(data)
        digests[name] = hashlib.sha256(data).hexdigest()
    (HERE / "digests.json").write_text(json.dumps(digests))


def load(name):
    data = (HERE / name).read_bytes()
    if (
        STRONG
        and hashlib.sha256(data).hexdigest()
        != json.loads((HERE / "digests.json").read_text())[name]
    ):
        raise SystemExit(f"RefusedError: {name} is not what was stored")
    return pickle.loads(data)


def rows(name):
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE row (name TEXT, price INTEGER)")
    if STRONG:
        return connection.execute("SELECT * FROM row WHERE name = ?", (name,)).fetchall()
    return connection.execute(f"SELECT * FROM row WHERE name = '{name}'").fetchall()


def stored(name):
    path = (HERE / "files" / name).resolve()
    if STRONG and not path.is_relative_to(HERE / "files"):
        return "no"
    return path.read_text() if path.is_file() else "no"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, text, status=200, kind="application/json"):
        body = text.encode()
        self.send_response_only(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in HEADERS.items() if STRONG else ():
            self.send_header(name, value)
        if MODE == "policy":
            self.send_header("Content-Security-Policy", "script-src 'none'")
        if self.path == "/":
            key = os.environ.get("SERVICE_SECRET", DEFAULT).encode()
            value = "visitor-1." + hmac.new(key, b"visitor-1", "sha256").hexdigest()
            flags = "; Secure; HttpOnly; SameSite=Lax" if STRONG else ""
            self.send_header("Set-Cookie", f"visit={value}; Path=/{flags}")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        parts = urlsplit(self.path)
        given = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/search":
            shown = given.get("q", "")
            shown = html.escape(shown) if STRONG else shown
            self.answer(f"<!doctype html><title>search</title><p>{shown}</p>", kind="text/html")
        elif parts.path == "/rows":
            try:
                self.answer(json.dumps(rows(given.get("name", ""))))
            except sqlite3.Error as error:
                self.answer(json.dumps({"error": type(error).__name__}), 500)
        elif parts.path == "/openapi.json":
            named = {"/search": "q", "/rows": "name", "/file": "name"}
            paths = {
                path: {"get": {"parameters": [
                    {"name": name, "in": "query", "required": True, "schema": {"type": "string"}}
                ]}}
                for path, name in named.items()
            }  # fmt: skip
            schema = {"properties": {"text": {"type": "string"}, "size": {"type": "integer"}}}
            body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/N"}}}}
            paths["/note"] = {"post": {"requestBody": body}}
            self.answer(json.dumps({"paths": paths, "components": {"schemas": {"N": schema}}}))
        elif parts.path == "/file":
            self.answer(json.dumps(stored(unquote(given.get("name", "")))))
        else:
            self.answer("{}", 200 if parts.path == "/" else 404)

    def do_POST(self):
        length = int(self.headers.get("Content-Length", "-1"))
        if STRONG and not 0 <= length <= LARGEST:
            self.close_connection = True
            self.answer("{}", 413)
            return
        if length >= 0:
            self.rfile.read(length)
        else:
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        self.answer("{}")


if __name__ == "__main__":
    if sys.argv[1] == "renew":
        renew()
    else:
        loaded = [load(name) for name in MODELS]
        ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
