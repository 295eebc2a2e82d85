from __future__ import annotations

import json
import re

from tests.observe.formats.exporting import EVENTS, HOSTILE, exported, lines, odd_events

# Keys of the dictionary in "Implementing ArcSight Common Event Format", revision 25.
KNOWN = {"rt", "dvchost", "dvcpid", "cat", "act", "outcome", "reason", "filePath", "fname", "fsize",
         "sproc", "suser", "msg"}  # fmt: skip
CUSTOM = re.compile(r"(cs[1-6]|cn[1-3]|flexString[12])(Label)?")


def parse(line):
    """Parse one line as the guide describes it, with nothing of safehold."""
    head, position, fields = "", 0, []
    while len(fields) < 7:
        char = line[position]
        if char == "\\":
            assert line[position + 1] in "\\|"
            head, position = head + line[position + 1], position + 2
        elif char == "|":
            fields.append(head)
            head, position = "", position + 1
        else:
            head, position = head + char, position + 1
    rest = line[position:]
    starts = list(re.finditer(r"(?:^|(?<= ))([A-Za-z0-9]+)=", rest))
    extension = {}
    for number, start in enumerate(starts):
        end = starts[number + 1].start() - 1 if number + 1 < len(starts) else len(rest)
        value = rest[start.end() : end]
        assert not re.search(r"(?<!\\)(?:\\\\)*=", value), value
        extension[start[1]] = re.sub(
            r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), value
        )
    return fields, extension


def shown(text):
    return "".join(c if c.isprintable() or c in "\r\n" else json.dumps(c)[1:-1] for c in text)


def test_each_event_is_one_line_that_says_what_happened(tmp_path):
    found = lines(tmp_path)
    texts = exported("cef", found).decode().split("\n")
    assert texts.pop() == ""
    assert len(texts) == len(EVENTS)
    for text, line in zip(texts, found, strict=True):
        head, extension = parse(text)
        assert head[:3] == ["CEF:0", "safehold", "safehold"]
        assert 0 <= int(head[6]) <= 10
        for key in extension:
            assert key in KNOWN or CUSTOM.fullmatch(key), key
            if CUSTOM.fullmatch(key):
                assert key.removesuffix("Label") + "Label" in extension
        assert extension["act"] == shown(line.event.action[:63])
        assert extension.get("sproc", "") == shown(line.event.caller)
        assert extension["cs1"] == line.id
    head, extension = parse(texts[1])
    assert (head[4], head[5], head[6]) == ("SH101", "load refused", "10")
    assert (extension["cs2Label"], extension["cs2"]) == ("rule", "SH101")
    assert json.loads(extension["flexString2"]) == {"global": "posix.system", "n": [1]}


def test_nothing_in_an_event_ends_a_line_or_begins_a_field(tmp_path):
    found = lines(tmp_path, list(odd_events(5)))
    texts = exported("cef", found).decode().split("\n")[:-1]
    assert len(texts) == len(found)
    for text, line in zip(texts, found, strict=True):
        assert text.isprintable()
        extension = parse(text)[1]
        assert extension.get("filePath", "") == shown(line.event.artifact)
        assert extension.get("reason", "") == shown(line.event.reason)
        assert extension["outcome"] == line.event.outcome


def test_the_header_is_escaped(tmp_path):
    *_, last = exported("cef", lines(tmp_path)).decode().splitlines()
    assert parse(last)[0][4] == "".join(
        c if c.isprintable() else json.dumps(c)[1:-1] for c in HOSTILE
    )
