"""Where requests are let in: the checks of one policy, wired to the trail."""

from __future__ import annotations

from safehold.context import Context
from safehold.web.limits import Limits, Meter
from safehold.web.origins import Origins, Request
from safehold.web.refusals import Refusal, Refusals
from safehold.web.reports import MOST_BYTES, Reports
from safehold.web.request_rules import HOST, LARGE_BODY, VIOLATION


class Gate:
    """Says of each request whether the application gets it; knows nothing of ASGI and WSGI."""

    def __init__(self, hold: Context) -> None:
        """Take the ``[requests]`` table of a Context's policy."""
        requests = hold.policy.requests
        self.keeps_inputs = requests.inputs
        self._report = hold.policy.web.report
        self.reports = Reports(hold.recorder)
        self._origins = Origins(requests)
        self._limits = Limits(requests)
        self._refusals = Refusals(hold.recorder)

    def is_report(self, request: Request) -> bool:
        """Say whether a request is one of the report endpoint."""
        return bool(self._report) and request.path == self._report and not request.socket

    def check(self, request: Request) -> Refusal | None:
        """Return why a request is not let in, None if it is; a refusal is recorded."""
        refusal = self._origins.check(request)
        if refusal is None and not request.socket:
            refusal = self._limits.check(request.path, request.headers)
        return None if refusal is None else self.refused(refusal, request)

    def check_report(self, request: Request) -> Refusal | None:
        """Return why a report is not read, None if it is to be; nothing of it is recorded."""
        refusal = self._origins.check(request)
        # A report is a request of the browser's own, from whichever page had the policy.
        if refusal is not None and refusal.rule is HOST:
            return refusal
        if request.method != "POST":
            return Refusal(405, VIOLATION, "no POST")
        declared = request.headers.get("content-length", "0")
        if not declared.isdigit() or len(declared) > 9 or int(declared) > MOST_BYTES:
            return Refusal(413, LARGE_BODY, "declared")
        return None

    def meter(self, request: Request) -> Meter:
        """Return what measures the body of a request."""
        return self._limits.meter(request.path, request.headers)

    def client(self, request: Request) -> str:
        """Return the address of who asked."""
        return self._origins.client(request)

    def refused(self, refusal: Refusal, request: Request) -> Refusal:
        """Record a refusal and return it."""
        self._refusals.record(refusal, request.method, request.path, self.client(request))
        return refusal
