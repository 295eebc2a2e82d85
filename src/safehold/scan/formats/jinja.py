"""Chat templates in files of their own, as models of Hugging Face have them."""

from __future__ import annotations

import re
from typing import Final

from safehold.scan import rules
from safehold.scan.templates import check_template
from safehold.scan.visit import Source, Visit

_SUFFIXES: Final = (".jinja", ".jinja2", ".j2")
ENDS: Final = _SUFFIXES
_CHAT: Final = re.compile(r"(?:^|/)(?:chat_template[^/]*|(?:additional_)?chat_templates/.*)$")
_LARGEST: Final = 4 * 2**20


def read(source: Source, visit: Visit) -> str | None:
    """Check a chat template by its name, or any template that is asked for; None for others."""
    name = source.name.replace("\\", "/")
    if not name.endswith(_SUFFIXES) or not (source.named or _CHAT.search(name)):
        return None
    if len(source.data) > _LARGEST:
        visit.note(source, rules.LIMIT_EXCEEDED, "a template larger than any prompt needs")
        return "jinja"
    try:
        text = bytes(source.data).decode()
    except UnicodeDecodeError:
        visit.note(source, rules.UNREADABLE_STREAM, "a template that is no text in UTF-8")
        return "jinja"
    check_template(source, visit, text, "the template")
    return "jinja"
