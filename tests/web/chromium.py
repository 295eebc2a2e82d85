"""A headless Chromium, driven over a pipe: pages are opened, values asked for."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.web.serving import Certificate

PROGRAM = shutil.which("chromium") or ""
_SHELL = shutil.which("bash") or "/bin/bash"
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--disable-extensions", "--remote-debugging-pipe",
    "--short-reporting-delay", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
)  # fmt: skip
_SECONDS = 30.0
# `violations` has what the policy of a page has forbidden, from its first byte on.
_LISTENS = """window.violations = []; document.addEventListener("securitypolicyviolation",
event => violations.push(event.effectiveDirective + " " + event.blockedURI));"""


class Chromium:
    """One browser with one page."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._poll = select.poll()  # select() knows no descriptor beyond 1023
        self._poll.register(back, select.POLLIN)
        self._rest = b""
        self._number = 0
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        given = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = given["sessionId"]
        self.call("Page.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=_LISTENS)

    def call(self, method: str, **params: Any) -> Any:
        """Call a method of the DevTools protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        ends = time.monotonic() + _SECONDS
        while True:
            answer = self._next(ends)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url: str) -> None:
        """Open a page and wait until it has loaded."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def ask(self, expression: str) -> Any:
        """Return the value of an expression, in which promises are awaited."""
        given = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        return given["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true."""
        ends = time.monotonic() + _SECONDS
        while not self.ask(expression):
            assert time.monotonic() < ends, expression
            time.sleep(0.02)

    def _next(self, ends: float) -> Any:
        while b"\0" not in self._rest:
            ready = self._poll.poll(max(ends - time.monotonic(), 0) * 1000)
            data = os.read(self._back, 65536) if ready else b""
            assert data, "the browser does not answer"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


@contextlib.contextmanager
def chromium(folder: Path, tls: Certificate) -> Iterator[Chromium]:
    """Start a browser that knows the certificate, and end it."""
    there, to = os.pipe()
    back, here = os.pipe()
    found = x509.load_pem_x509_certificate(tls.path.read_bytes())
    key = found.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
    words = [
        PROGRAM, *_FLAGS, f"--user-data-dir={folder}",
        f"--ignore-certificate-errors-spki-list={pin}",
    ]  # fmt: skip
    # The browser reads from 3 and writes to 4.
    program = f'exec "$@" 3<&{there} 4>&{here}'
    process = subprocess.Popen(
        [_SHELL, "-c", program, "chromium", *words],
        pass_fds=(there, here), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    os.close(there)
    os.close(here)
    try:
        browser = Chromium(to, back)
        yield browser
        browser._session = ""
        with contextlib.suppress(AssertionError, OSError):
            browser.call("Browser.close")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
        os.close(to)
        os.close(back)
