"""A key source as a cloud service's would be: a client with a token, and a service to ask."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading

from safehold.errors import ConfigError
from safehold.keys.sources import MAX_BYTES, Wanted

_SECONDS = 60


def read(wanted: Wanted) -> bytes:
    """Return the secret of a key id. Raises ConfigError."""
    host, slash, path = wanted.place.partition("/")
    audience = (wanted.root / "audience").read_text()
    headers = {"Token": wanted.environ.get("SERVICE_TOKEN", ""), "Audience": audience}
    connection = http.client.HTTPConnection(host, timeout=_SECONDS)
    try:
        connection.request("GET", f"{slash}{path}/{wanted.key_id}", headers=headers)
        answer = connection.getresponse()
        secret = answer.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"key service {host!r} cannot be reached ({error}); is it running?"
        raise ConfigError(message) from error
    finally:
        connection.close()
    if answer.status == 200 and path == "text":
        return secret.decode()  # a source with a mistake
    if answer.status == 200 and path == "raises":
        raise KeyError(secret)  # a client's error that quotes what it has read
    if answer.status == 200:
        return secret
    del secret
    message = (
        f"key service {host!r} answered {answer.status} for {wanted.key_id!r}; set SERVICE_TOKEN "
        f"to a token that may read it"
    )
    raise ConfigError(message)


@contextlib.contextmanager
def serving(secret: bytes, *, token: str):
    """Serve a secret on loopback; yield the address."""

    class Service(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.path.split("/")[1] in ("v1", "large", "text", "raises")
            allowed = self.headers["Token"] == token
            allowed = allowed and self.headers["Audience"] == "root-of-the-policy"
            self.send_response(200 if known and allowed else 404 if allowed else 401)
            self.end_headers()
            if known and allowed:
                self.wfile.write(secret * (2000 if "large" in self.path else 1))

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
