"""XML, and the models in it (PMML): what its parser would fetch, and what its reader would run.

A parser that follows document types reads files and talks to machines (CWE-611), or multiplies
text (CWE-776). Nothing is resolved here: reading ends where entities are declared.
"""

from __future__ import annotations

import re
from typing import Any, Final
from xml.parsers import expat

from safehold.scan import rules
from safehold.scan.documents import encoding_of
from safehold.scan.visit import Source, Visit

# In UTF-8 or UTF-16, with a mark or not.
FIRSTS: Final = b"< \t\r\n\x00\xef\xfe\xff"
_SUFFIXES: Final = (".pmml", ".xml")
_BEGIN: Final = re.compile(r"\s*<(?:\?|[A-Za-z_:]|!--|!DOCTYPE\s+(?!html\b))", re.IGNORECASE)
_MODEL: Final = re.compile(r"<(?:[\w.-]+:)?PMML[\s>]")
_DECLARED: Final = re.compile(r"""<\?xml\s[^>]*?\bencoding\s*=\s*["']([^"']*)""")
# Those that expat decodes itself; for others it would ask Python's codecs by the name in the file.
_ENCODINGS: Final = {
    "utf-8": "utf-8", "utf8": "utf-8", "utf-16": "utf-16", "us-ascii": "us-ascii",
    "ascii": "us-ascii", "iso-8859-1": "iso-8859-1", "latin-1": "iso-8859-1",
    "latin1": "iso-8859-1",
}  # fmt: skip
_REFERENCE: Final = re.compile(r"&([^\s;&#]+);|%([^\s;&#]+);")
_USE: Final = re.compile(rb"&([^\s;&#]{1,100});")
_CHUNK: Final = 2**16
_LONGEST_TOKEN: Final = 2**20
_HEAD: Final = 4096
_MOST_ELEMENTS: Final = 2_000_000
_DEEPEST: Final = 10_000
_MOST_ENTITIES: Final = 10_000
_MOST_EXPANDED: Final = 16 * 2**20
_KEPT: Final = 1000
# An element takes as long as so many steps of the budget, and so do so many bytes of text.
_STEPS: Final = 5
_TOGETHER: Final = 100

_INCLUDE: Final = "http://www.w3.org/2001/XInclude include"
_STYLES: Final = "http://www.w3.org/1999/XSL/Transform "
# Elements in which a reader finds a program.
_SCRIPTS: Final = frozenset("script javascript groovy x-script pythonscript".split())
_CLASS: Final = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)+")


class _Stop(Exception):
    """Nothing more is read."""


def read(source: Source, visit: Visit) -> str | None:
    """Read PMML, or any XML that is asked for; None for anything else."""
    head = bytes(source.data[:_HEAD]).decode(encoding_of(source.data), "ignore")
    if not _BEGIN.match(head.removeprefix("\ufeff")):
        return None
    is_model = _MODEL.search(head) is not None
    called = source.name.lower().endswith(_SUFFIXES) or "<?xml" in head[:64]
    if not is_model and not (source.wanted and called):
        return None
    encoding = _encoding(source, head)
    if encoding is None:
        message = "in an encoding that is not read here"
        visit.note(source, rules.UNREADABLE_STREAM, message)
        return "pmml" if is_model else "xml"
    reader = _Reader(source, visit, encoding)
    reader.read()
    return "pmml" if reader.is_model else "xml"


def _encoding(source: Source, head: str) -> str | None:
    """Return the encoding that a parser takes, None if it is not one of a few."""
    found = encoding_of(source.data)
    if found.startswith("utf-16"):
        return found.replace("utf-16-", "utf-16")
    declared = _DECLARED.search(head)
    if found.startswith("utf-32") or declared is None:
        return None if found.startswith("utf-32") else "utf-8"
    return _ENCODINGS.get(declared[1].lower())


class _Reader:
    def __init__(self, source: Source, visit: Visit, encoding: str) -> None:
        self._source = source
        self._visit = visit
        self._left = _MOST_ELEMENTS
        self._depth = 0
        self._entities: dict[str, str] = {}
        self._functions: set[str] = set()
        self._applied: set[str] = set()
        self.is_model = False
        parser: Any = expat.ParserCreate(encoding, " ")
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EndDoctypeDeclHandler = self._end_doctype
        parser.EntityDeclHandler = self._entity
        parser.ExternalEntityRefHandler = self._reference
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.ProcessingInstructionHandler = self._instruction
        self._parser = parser

    def read(self) -> None:
        """Feed everything to the parser, up to entities or an error."""
        data = self._source.data
        try:
            for start in range(0, len(data), _CHUNK):
                chunk = bytes(data[start : start + _CHUNK])
                self._parser.Parse(chunk, False)  # noqa: FBT003  more follows
                self._visit.budget.spend(len(chunk) // _TOGETHER)
                self._check_pace(start + len(chunk))
            self._parser.Parse(b"", True)  # noqa: FBT003  this is the end
        except _Stop:
            pass
        except expat.ExpatError as error:
            text = expat.ErrorString(error.code)
            message = f"the document is broken: {text}"
            self._note(rules.UNREADABLE_STREAM, message, self._parser.ErrorByteIndex)
        for name in sorted(self._applied - self._functions):
            message = f"the function {name[:200]}, a class that its reader looks for"
            self._note(rules.UNKNOWN_GLOBAL, message, None, {"function": name[:200]})

    def _check_pace(self, fed: int) -> None:
        """End at a tag or comment of any length: expat begins anew at its start with each piece."""
        if fed - max(0, self._parser.CurrentByteIndex) > _LONGEST_TOKEN:
            message = "a tag, comment or declaration longer than any model needs"
            self._note(rules.LIMIT_EXCEEDED, message)
            raise _Stop

    def _note(self, rule: Any, message: str, offset: int | None = None, detail: Any = None) -> None:
        self._visit.note(self._source, rule, message, offset, detail)

    def _doctype(self, name: str, system: str | None, public: str | None, inner: int) -> None:
        detail = {"name": name[:100], "system": (system or "")[:200]}
        if system or public:
            message = "a document type in another file, which parsers fetch"
            self._note(rules.EXTERNAL_ENTITY, message, None, detail)
        else:
            self._note(rules.UNREADABLE_STREAM, "a document type, which no model needs")
        if inner == 0:
            raise _Stop

    def _entity(
        self,
        name: str,
        is_parameter: int,
        value: str | None,
        base: str | None,
        system: str | None,
        public: str | None,
        notation: str | None,
    ) -> None:
        del base, notation
        if system is not None or public is not None:
            detail = {"entity": name[:100], "system": (system or public or "")[:200]}
            self._note(rules.EXTERNAL_ENTITY, "an entity in another file", None, detail)
        if len(self._entities) >= _MOST_ENTITIES:
            self._note(rules.ENTITY_EXPANSION, "more entities than any document needs")
            raise _Stop
        self._entities[f"%{name}" if is_parameter else name] = value or ""

    def _end_doctype(self) -> None:
        """Nothing behind the declarations is read: it would be another text with them."""
        size = self._expanded()
        if size > _MOST_EXPANDED:
            message = "entities that stand for far more than the file holds"
            self._note(rules.ENTITY_EXPANSION, message, None, {"bytes": min(size, 2**63 - 1)})
        raise _Stop

    def _expanded(self) -> int:
        """Return how long the entities are together, with those in them, wherever they are used."""
        sizes: dict[str, int] = {}
        for name in self._entities:
            self._size(name, sizes)
        uses = 0
        for found in _USE.finditer(self._source.data, 0, _MOST_EXPANDED):
            uses += sizes.get(found[1].decode("utf-8", "replace"), 0)
            if uses > _MOST_EXPANDED:
                break
        return max(uses, max(sizes.values(), default=0))

    def _size(self, top: str, sizes: dict[str, int]) -> None:
        """Reckon one entity, those in it first; one in itself has no end."""
        waiting = [top]
        while waiting:
            name = waiting[-1]
            if name in sizes and sizes[name] >= 0:
                waiting.pop()
                continue
            value = self._entities.get(name, "")
            self._visit.budget.spend(_STEPS + len(value))
            inner = [one or f"%{two}" for one, two in _REFERENCE.findall(value)]
            missing = [one for one in set(inner) if one not in sizes and one in self._entities]
            if name not in sizes and missing:
                sizes[name] = -1
                waiting += missing
                continue
            total = len(value)
            for one in inner:
                total += 2**62 if sizes.get(one, 0) < 0 else sizes.get(one, 0)
            sizes[name] = min(total, 2**62)
            waiting.pop()

    def _reference(self, *_: object) -> int:
        self._note(rules.EXTERNAL_ENTITY, "an entity in another file")
        raise _Stop

    def _instruction(self, target: str, text: str) -> None:
        if target == "xml-stylesheet":
            message = "a style sheet in another file"
            self._note(rules.EXTERNAL_ENTITY, message, None, {"text": text[:200]})

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._visit.budget.spend(_STEPS)
        self._left -= 1
        self._depth += 1
        if self._left < 0 or self._depth > _DEEPEST:
            self._note(rules.LIMIT_EXCEEDED, "more elements than any model needs")
            raise _Stop
        local = name.rpartition(" ")[2]
        if self._depth == 1:
            self.is_model = local == "PMML"
            if local == "java" and "XMLDecoder" in attributes.get("class", ""):
                message = "calls of Java, which java.beans.XMLDecoder makes"
                self._note(rules.DANGEROUS_GLOBAL, message, self._parser.CurrentByteIndex)
        if local == "Apply":
            function = attributes.get("function", "")
            if _CLASS.fullmatch(function) and len(self._applied) < _KEPT:
                self._applied.add(function)
        elif local == "DefineFunction" and len(self._functions) < _KEPT:
            self._functions.add(attributes.get("name", ""))
        elif name == _INCLUDE:
            detail = {"href": attributes.get("href", "")[:200]}
            self._note(rules.EXTERNAL_ENTITY, "a part in another file", None, detail)
        elif name.startswith(_STYLES) or local.lower() in _SCRIPTS:
            message = f"the element {local[:100]}, which holds a program"
            self._note(rules.EMBEDDED_CODE, message, self._parser.CurrentByteIndex)

    def _end(self, name: str) -> None:
        del name
        self._depth -= 1
