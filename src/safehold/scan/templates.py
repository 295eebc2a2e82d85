"""Chat templates: Jinja text that a loader renders, often without a sandbox (CVE-2024-34359).

The whole text counts as code: where a block ends depends on strings in it, and no prompt has
these names in its words. Literals are joined and their escapes undone before names are sought.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from safehold.findings import Rule
from safehold.scan import rules
from safehold.scan.visit import Source, Visit

_LONGEST: Final = 2**20
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|N\{(LOW LINE)\})"
)
_JOINT: Final = re.compile(r"""(?<!\\)['"]\s*+[~+]?\s*+['"]""")
_REPEATED: Final = re.compile(r"""['"](_{1,8})['"]\s*\*\s*([1-8])""")
_OBJECT_MODEL: Final = re.compile(
    r"__(?:class|globals|builtins|import|init|subclasses|mro|bases?|dict|getattribute|getattr|"
    r"getitem|code|closure|func|self|module|reduce|reduce_ex|call|new|loader|spec|wrapped|"
    r"init_subclass|subclasshook|format|delattr|setattr|dir|weakref|name|qualname|kwdefaults|"
    r"defaults|annotations|objclass|context|cause|traceback)__"
)
_REACHES: Final = re.compile(
    r"\b(?:gi_frame|gi_code|cr_frame|ag_frame|f_globals|f_builtins|f_back|f_locals|tb_frame|"
    r"co_consts|func_globals|mro\s*\(|_TemplateReference)|"
    r"\b(?:lipsum|cycler|joiner|namespace)\s*(?:[.\[]|\|\s*attr)|"
    r"\.\s*(?:popen|system|spawn\w*|check_output|Popen)\s*\("
)
_ATTRIBUTE: Final = re.compile(
    r"""\|\s*attr\s*\(\s*(?:(['"])(?P<plain>[A-Za-z]\w*)\1\s*\))?|['"]attr['"]"""
)
_MAKES: Final = r"\|\s*(?:join|format|replace|reverse|lower|upper|trim|string|first|last)\b"
_BUILT: Final = re.compile(
    r"[\w)\]]\s*\[[^\[\]{}]{0,200}(?:~|" + _MAKES + r")[^\[\]{}]{0,200}\]"
    r"|\[[^\[\]{}]{0,200}\]\s*" + _MAKES + r"[^\[\]{}]{0,200}\]"
    r"|(?<![\w\])])\(\s*\)\s*[.\[|]"
)
# Parts of special names, of which a template could make one that is whole.
_PARTS: Final = re.compile(
    r"""(['"])(?:_{2,}|__[a-z]\w*|_*(?:globals|builtins|subclasses|popen|mro|getattribute)_*)\1"""
)
_OTHERS: Final = re.compile(r"\{%[-+]?\s*(?:include|import|extends|from)\b")


def check_template(source: Source, visit: Visit, text: str, where: str) -> None:
    """Note what in a template reaches beyond the messages that it is given."""
    if len(text) > _LONGEST:
        visit.note(source, rules.LIMIT_EXCEEDED, f"{where} is larger than any prompt needs")
        return
    for rule, what, evidence in _faults(text):
        detail = {"text": evidence[:200]}
        visit.note(source, rule, f"{where} {what}", None, detail)


def is_template(text: str) -> bool:
    """Whether a text has a block of Jinja in it."""
    return "{{" in text or "{%" in text


def _faults(text: str) -> Iterator[tuple[Rule, str, str]]:
    if not is_template(text):
        return
    plain = _REPEATED.sub(_repeat, _ESCAPE.sub(_character, text))
    joined = _JOINT.sub("", plain)
    for one in (plain, joined):
        for pattern in (_OBJECT_MODEL, _REACHES):
            found = pattern.search(one)
            if found:
                yield rules.HOSTILE_TEMPLATE, "reaches Python's object model", _around(one, found)
                return
    for found in _ATTRIBUTE.finditer(joined):
        if not found["plain"]:
            yield rules.EMBEDDED_CODE, "reads attributes by computed names", _around(joined, found)
            break
    for pattern, what in (
        (_BUILT, "reads items by computed names"),
        (_PARTS, "holds parts of special names"),
        (_OTHERS, "takes in other templates"),
    ):
        found_one = pattern.search(joined)
        if found_one:
            yield rules.EMBEDDED_CODE, what, _around(joined, found_one)


def _character(found: re.Match[str]) -> str:
    if found[5]:
        return "_"
    digits, base = (found[4], 8) if found[4] else (found[1] or found[2] or found[3], 16)
    value = int(digits, base)
    # Quotes and control characters are left as they are: they would change where literals end.
    if value > 0x10FFFF or (not chr(value).isalnum() and chr(value) != "_"):
        return found[0]
    return chr(value)


def _repeat(found: re.Match[str]) -> str:
    return f"'{found[1] * int(found[2])}'"


def _around(text: str, found: re.Match[str]) -> str:
    return text[max(0, found.start() - 40) : found.end() + 40]
