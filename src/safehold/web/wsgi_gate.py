"""The gate before a WSGI application: requests, bodies, reports and cookies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from safehold.errors import LimitExceeded
from safehold.inputs.requests import hold_inputs
from safehold.web.gate import Gate
from safehold.web.limits import Meter
from safehold.web.origins import HEADERS, Request
from safehold.web.refusals import PHRASES, Refusal
from safehold.web.reports import MOST_BYTES
from safehold.web.values import RequestInputs, charset_of, header_values, query_values

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], object]]
App = Callable[[Environ, Start], Iterable[bytes]]

_NAMES: Final = {
    name: name.upper().replace("-", "_")
    if name in ("content-length", "content-type")
    else f"HTTP_{name.upper().replace('-', '_')}"
    for name in HEADERS
}


class GatedWSGI:
    """Calls the application with the requests that the gate lets in."""

    def __init__(self, app: App, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer a request, or let the application do so."""
        gate = self._gate
        request = request_of(environ)
        if gate.is_report(request):
            return _answer(self._report(request, environ), start)
        refusal = gate.check(request)
        if refusal is not None:
            return _answer(refusal, start)
        inputs = None
        if gate.keeps_inputs:
            inputs = RequestInputs(lambda: _parts(environ), request.headers.get("content-type", ""))
        measured = MeasuredInput(environ["wsgi.input"], gate.meter(request), inputs)
        environ["wsgi.input"] = measured
        hold_inputs(inputs)
        later = False
        try:
            result = self._called(request, environ, start, measured)
            wrapper = environ.get("wsgi.file_wrapper")
            is_file = isinstance(wrapper, type) and isinstance(result, wrapper)
            later = inputs is not None and not is_file and not isinstance(result, (list, tuple))
        finally:
            if not later:
                hold_inputs(None)
        return _Held(result) if later else result

    def _called(
        self, request: Request, environ: Environ, start: Start, measured: MeasuredInput
    ) -> Iterable[bytes]:
        def starting(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            if measured.refusal is not None:
                return _discard
            return start(status, headers, *rest)

        try:
            result = self._app(environ, starting)
        except Exception:
            if measured.refusal is None:
                raise
            return self._refused(measured.refusal, request, start)
        if measured.refusal is None:
            return result
        close = getattr(result, "close", None)
        if close is not None:
            close()
        return self._refused(measured.refusal, request, start)

    def _refused(self, refusal: Refusal, request: Request, start: Start) -> list[bytes]:
        return _answer(self._gate.refused(refusal, request), start)

    def _report(self, request: Request, environ: Environ) -> Refusal | int:
        refusal = self._gate.check_report(request)
        if refusal is not None:
            return refusal
        declared = request.headers.get("content-length", "")
        if not declared and not environ.get("wsgi.input_terminated"):
            return 400
        # What is not there is not waited for.
        most = int(declared) if declared else MOST_BYTES + 1
        body = bytearray()
        while len(body) < most and (piece := environ["wsgi.input"].read(most - len(body))):
            body += piece
        if len(body) > MOST_BYTES:
            return 413
        kind = request.headers.get("content-type", "")
        return self._gate.reports.take(kind, bytes(body), self._gate.client(request))


class _Held:
    """A body that is made while it is sent, and may send statements until it is at its end."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield from self._body
        hold_inputs(None)  # tests do not close

    def close(self) -> None:
        hold_inputs(None)
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


# By these a body could be read past what measures it.
_PAST: Final = frozenset(
    ("peek", "getvalue", "getbuffer", "raw", "buffer", "detach", "fileno", "readall")
)


class MeasuredInput:
    """The body of a request, which ends in `LimitExceeded` where it is too large or too deep."""

    def __init__(self, stream: Any, meter: Meter, inputs: RequestInputs | None = None) -> None:
        self._stream = stream
        self._inputs = inputs
        self._meter = meter

    @property
    def refusal(self) -> Refusal | None:
        """Why the body was refused, None if it was not."""
        return self._meter.refusal

    def read(self, *size: Any) -> bytes:
        """Return the next bytes. Raises LimitExceeded."""
        if not size or size[0] is None or size[0] < 0:
            return b"".join(self._pieces())
        return self._measured(self._stream.read(self._most(size)))

    def read1(self, *size: Any) -> bytes:
        """Return the next bytes. Raises LimitExceeded."""
        return self.read(*size)

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, which werkzeug reads by; return how far. Raises LimitExceeded."""
        data = self._measured(self._stream.read(self._most((len(buffer),))))
        buffer[: len(data)] = data
        return len(data)

    readinto1 = readinto

    def readline(self, *size: Any) -> bytes:
        """Return the next line. Raises LimitExceeded."""
        return self._measured(self._stream.readline(self._most(size)))

    def readlines(self, *hint: Any) -> list[bytes]:
        """Return the lines that are left, or some. Raises LimitExceeded."""
        lines, size = [], 0
        for line in self:
            lines.append(line)
            size += len(line)
            if hint and hint[0] is not None and 0 < hint[0] <= size:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        """Yield lines. Raises LimitExceeded."""
        while line := self.readline():
            yield line

    def _most(self, size: tuple[Any, ...]) -> int:
        # A body that is too large is not read first and measured then.
        left = max(self._meter.left, 1)
        return min(size[0], left) if size and size[0] is not None and size[0] >= 0 else left

    def __getattr__(self, name: str) -> Any:
        if name in _PAST:
            raise AttributeError(name)
        return getattr(self._stream, name)

    def _pieces(self) -> Iterator[bytes]:
        # Never more at once than a little beyond the limit.
        while piece := self._measured(self._stream.read(64 * 1024)):
            yield piece

    def _measured(self, data: bytes) -> bytes:
        refusal = self._meter.feed(data)
        if refusal is None:
            if self._inputs is not None:
                self._inputs.feed(data)
            return data
        raise LimitExceeded(f"the body of the request was refused: {refusal.reason}")


def request_of(environ: Environ) -> Request:
    """Return the parts of an environment that are looked at."""
    headers = {name: value for name, key in _NAMES.items() if (value := environ.get(key))}
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return Request(
        environ["REQUEST_METHOD"],
        environ.get("wsgi.url_scheme", "http"),
        path.encode("latin-1").decode("utf-8", "replace"),
        environ.get("QUERY_STRING", ""),
        environ.get("REMOTE_ADDR", ""),
        headers,
    )


def _parts(environ: Environ) -> Iterator[str]:
    """Yield what the sender wrote into an environment."""
    path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
    text = path.decode("utf-8", "replace")
    yield text
    yield from text.split("/")
    # A router may take less than what is between two slashes; werkzeug leaves what it took.
    taken = getattr(environ.get("werkzeug.request"), "view_args", None)
    yield from map(str, (taken or {}).values())
    kind = environ.get("CONTENT_TYPE", "")
    yield kind
    yield from query_values(environ.get("QUERY_STRING", ""), charset_of(kind))
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield from header_values(name[5:].lower().replace("_", "-"), value)


def _answer(what: Refusal | int, start: Start) -> list[bytes]:
    if isinstance(what, Refusal):
        start(f"{what.status} {PHRASES[what.status]}", what.headers)
        return [what.body]
    start(f"{what} {PHRASES[what]}", [] if what == 204 else [("Content-Length", "0")])
    return []


def _discard(_data: bytes) -> None:
    pass
