"""What looks like an attack in a text. It is told, and nothing is blocked: looks are no proof."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote, unquote_plus

from safehold.events import Event, Recorder
from safehold.findings import Confidence, Finding, Location
from safehold.inputs.requests import Inputs
from safehold.inputs.tripwires import TRIPWIRES

_LONGEST: Final = 1_000_000
_COMMENT: Final = re.compile(r"/\*[^*]{0,200}\*/")


def detect(text: str) -> list[Finding]:
    """Return what tripwires find in a text, each rule once.

    The text is looked at as it is, and decoded: from URLs twice, from HTML, without comments.
    Beyond a million characters nothing is looked at.
    """
    text = text[:_LONGEST]
    found: dict[str, Finding] = {}
    for layer, form in _layers(text):
        low = form.lower()
        for row in TRIPWIRES:
            if row.rule.id in found or (row.is_raw and layer != "as it is"):
                continue
            if row.ignores_ascii and form.isascii():
                continue
            if row.hints and not any(hint in low for hint in row.hints):
                continue
            match = row.pattern.search(form)
            if match is not None:
                detail = {"layer": layer, "offset": match.start()}
                found[row.rule.id] = Finding.of(
                    row.rule,
                    f"{row.rule.title} ({layer}, at character {match.start()})",
                    Location(offset=match.start()),
                    confidence=Confidence.LOW,
                    detail=detail,
                )
    return list(found.values())


def record_tripwires(inputs: Inputs, recorder: Recorder) -> list[Finding]:
    """Record what tripwires find among the inputs of a request, each rule once; let it pass.

    Raises:
        TrailError: an event could not be recorded.
    """
    found: dict[str, Finding] = {}
    for text in inputs.texts:
        for finding in detect(text):
            found.setdefault(finding.rule.id, finding)
    for finding in found.values():
        recorder.record(
            Event(
                action="tripwire",
                outcome="allowed",
                rule=finding.rule.id,
                reason=finding.rule.name,
                detail=dict(finding.detail),
            )
        )
    return list(found.values())


def _layers(text: str) -> Iterator[tuple[str, str]]:
    """Yield a text, then what it is decoded, each form once."""
    seen = {text}
    yield "as it is", text
    forms = [("decoded", unquote_plus(text) if "%" in text else text)]
    forms.append(("decoded twice", unquote(forms[0][1])))
    forms.append(("HTML", html.unescape(forms[-1][1])))
    forms.append(("without comments", _COMMENT.sub(" ", forms[-1][1])))
    for layer, form in forms:
        if form not in seen:
            seen.add(form)
            yield layer, form
