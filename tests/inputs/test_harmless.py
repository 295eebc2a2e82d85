from __future__ import annotations

import pytest

pytestmark = pytest.mark.extras

from pydantic import TypeAdapter, ValidationError

from safehold import inputs
from tests.inputs import harmless


def refused(kind, texts):
    check = TypeAdapter(kind).validate_python
    found = []
    for text in texts:
        try:
            assert check(text) == text
        except ValidationError:
            found.append(text)
    return found


def test_no_line_that_people_write_is_refused():
    lines = harmless.lines()
    assert len(lines) > 7000
    assert refused(inputs.PlainText[2000], lines) == []


def test_no_text_of_several_lines_is_refused():
    texts = [*harmless.texts(), *harmless.lines()[:3000]]
    assert len(texts) > 3500
    assert refused(inputs.MultilineText[5000], texts) == []
    assert refused(inputs.MultilineText[9000], [text.replace("\n", "\r\n") for text in texts]) == []
