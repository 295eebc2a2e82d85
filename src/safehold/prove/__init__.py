"""Attacks that are really tried on a copy of a service, on this machine alone: what got in?

Payloads touch a marker file and do nothing else. A probe that could not be tried is "not tried" and
says why. Not covered: what a login hides unless the hints name one, stored scripts, and whatever
the probes of `probes` do not try; "held" says that these attempts failed, no more.
"""

from __future__ import annotations

from safehold.prove.probe import Result
from safehold.prove.proving import Plan, Proof, prove
from safehold.prove.result import Said, Tried

__all__ = ["Plan", "Proof", "Result", "Said", "Tried", "prove"]
