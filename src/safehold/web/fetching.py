"""Pages of a running site, fetched as they are: every redirect, what the certificate is worth."""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urljoin, urlsplit

from safehold._version import __version__

_MOST_HOPS: Final = 10
_MOST_BYTES: Final = 2 * 2**20
_SECONDS: Final = 10.0
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_HEADERS: Final = {
    "User-Agent": f"safehold/{__version__} (check)",
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
}


@dataclass(frozen=True, slots=True)
class Page:
    """One answer. ``hops`` are the redirects that led to it, ``problem`` why there is none.

    ``certificate`` says why the certificate does not verify; the answer was fetched nevertheless.
    """

    url: str
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    certificate: str = ""
    problem: str = ""
    hops: tuple[Page, ...] = ()

    def all(self, name: str) -> list[str]:
        """Return the values of a header."""
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def encrypted(self) -> bool:
        """Whether it came over HTTPS."""
        return self.url.startswith("https:")

    @property
    def is_html(self) -> bool:
        """Whether browsers show it as a page."""
        kind = next(iter(self.all("content-type")), "").partition(";")[0].strip().lower()
        return kind in ("text/html", "application/xhtml+xml")

    @property
    def text(self) -> str:
        """The body as text, of which markup alone is looked at."""
        return self.body.decode("utf-8", "replace")


class Fetcher:
    """Fetches pages; certificates are checked against the system's authorities, or those of `ca`.

    Raises:
        OSError: `ca` cannot be read.
    """

    def __init__(self, ca: str | None = None, seconds: float = _SECONDS) -> None:
        self._checked = ssl.create_default_context(cafile=ca)
        self._unchecked = ssl.create_default_context()
        self._unchecked.check_hostname = False
        self._unchecked.verify_mode = ssl.CERT_NONE  # only after the finding is made
        self._seconds = seconds

    def fetch(self, url: str) -> Page:
        """Return what a browser would end at; never raises for what a server does."""
        hops: list[Page] = []
        while True:
            page = self.once(url)
            to = next(iter(page.all("location")), "")
            if page.status not in _REDIRECTS or not to:
                return replace(page, hops=tuple(hops))
            hops.append(page)
            try:
                url = urljoin(url, to)
            except ValueError as error:
                return Page(to[:200], problem=_said(error), hops=tuple(hops))
            if len(hops) > _MOST_HOPS:
                return Page(url, problem=f"more than {_MOST_HOPS} redirects", hops=tuple(hops))

    def once(self, url: str) -> Page:
        """Return one answer, a redirect as it is."""
        try:
            return self._ask(url, self._checked)
        except ssl.SSLCertVerificationError as error:
            why = error.verify_message or str(error)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Page(url, problem=_said(error))
        try:
            return replace(self._ask(url, self._unchecked), certificate=why)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Page(url, problem=_said(error), certificate=why)

    def _ask(self, url: str, context: ssl.SSLContext) -> Page:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            message = "is no address that begins with http:// or https://"
            raise ValueError(message)
        host, port = parts.hostname, parts.port
        connection = (
            http.client.HTTPSConnection(host, port, timeout=self._seconds, context=context)
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=self._seconds)
        )
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", path, headers=_HEADERS)
            answer = connection.getresponse()
            body = answer.read(_MOST_BYTES)
            return Page(url, answer.status, tuple(answer.getheaders()), body)
        finally:
            connection.close()


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300] if str(error) else type(error).__name__
