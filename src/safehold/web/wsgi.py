"""The outermost layer of a WSGI application: every answer leaves with the headers, once."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from safehold.context import Context
from safehold.web.changes import Change
from safehold.web.exchange import KEY, Exchange
from safehold.web.gate import Gate
from safehold.web.site import Site
from safehold.web.wsgi_gate import GatedWSGI

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Start = Callable[..., Callable[[bytes], object]]
App = Callable[[Environ, Start], Iterable[bytes]]

_FAILED = b"Internal Server Error"
_PLAIN = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(_FAILED)))]


class SecurityHeaders:
    """Wraps an application.

    An error that nobody handled before the first byte becomes a plain 500 with the headers, and
    its trace goes to ``wsgi.errors``: a server that got the error would answer without them.
    """

    def __init__(
        self,
        app: App,
        hold: Context,
        *,
        route: Callable[[Environ], Change | None] | None = None,
        raises: Callable[[], bool] = lambda: False,
    ) -> None:
        """Wrap `app` under the ``[web]`` and ``[requests]`` tables of a Context's policy.

        `route` finds what a route was decorated with. Where `raises`, errors go on to the caller,
        which is a test.

        Raises:
            ConfigError: the table is weaker than the default and gives no reason.
        """
        self.app = app
        self._site: Site[str] = Site(hold, str)
        self._gated = GatedWSGI(app, Gate(hold))
        self._route = route
        self._raises = raises

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        """Serve one request."""
        if KEY in environ:  # another layer of ours is outside
            return self.app(environ, start_response)
        answer = _Answer(self._site, environ, start_response, self._route)
        try:
            body = self._gated(environ, answer.start)
        except Exception:
            if self._raises():
                raise
            return answer.fail()
        wrapper = environ.get("wsgi.file_wrapper")
        ready = answer.started and isinstance(body, (list, tuple))
        if ready or (isinstance(wrapper, type) and isinstance(body, wrapper)):
            return body
        return _Body(body, answer, self._raises)


class _Answer:
    """One answer: `start` is what the application calls."""

    def __init__(
        self,
        site: Site[str],
        environ: Environ,
        start_response: Start,
        route: Callable[[Environ], Change | None] | None,
    ) -> None:
        self.exchange = environ[KEY] = Exchange()
        self.started = False
        self.sent = False
        self._environ, self._site, self._route = environ, site, route
        self._start_response = start_response

    def start(
        self, status: str, headers: Headers, exc_info: Any = None
    ) -> Callable[[bytes], object]:
        if not status.isprintable():
            message = "the status has the end of a line in it"  # as in the headers
            raise ValueError(message)
        change = self.exchange.change
        if change is None and self._route is not None:
            change = self._route(self._environ)
        out = self._site.over(headers, int(status[:3]), self.exchange, change)
        more = (exc_info,) if exc_info else ()
        write = self._start_response(status, out, *more)
        self.started = True

        def written(data: bytes) -> object:
            self.sent = True
            return write(data)

        return written

    def fail(self) -> list[bytes]:
        """Answer 500 for the error in flight. Raises it when the answer has begun already."""
        kind, error, trace = sys.exc_info()
        if self.sent and error is not None:
            raise error
        errors = self._environ.get("wsgi.errors")
        if errors is not None and error is not None:
            errors.write("".join(traceback.format_exception(error)))
        out = self._site.over(_PLAIN, 500, self.exchange)
        more = ((kind, error, trace),) if self.started else ()
        self._start_response("500 Internal Server Error", out, *more)
        self.started = True
        return [_FAILED]


class _Body:
    """A body that is made while it is sent, and may fail before its first byte."""

    def __init__(self, body: Iterable[bytes], answer: _Answer, raises: Callable[[], bool]) -> None:
        self._body, self._answer, self._raises = body, answer, raises

    def __iter__(self) -> Iterator[bytes]:
        answer = self._answer
        try:
            for data in self._body:
                if data:
                    if not answer.started:  # its start was for a request that is refused
                        break
                    answer.sent = True
                yield data
            if not answer.started:
                yield from answer.fail()
        except Exception:
            if self._raises():
                raise
            yield from answer.fail()

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
