from __future__ import annotations

import struct

import pytest

from safehold.scan import scan_bytes
from tests.bypasses.payloads import named, stream


def rules(report):
    return {finding.rule.id for finding in report.findings}


def text(value, order="<"):
    raw = value.encode()
    return struct.pack(f"{order}Q", len(raw)) + raw


def pair(key, kind, raw, order="<"):
    return text(key, order) + struct.pack(f"{order}I", kind) + raw


def tensor(name, shape, offset, kind=0, order="<"):
    head = text(name, order) + struct.pack(f"{order}I", len(shape))
    return head + struct.pack(f"{order}{len(shape)}QIQ", *shape, kind, offset)


def gguf(pairs=(), tensors=(), data=b"", order="<", version=3):
    out = b"GGUF" + struct.pack(f"{order}IQQ", version, len(tensors), len(pairs))
    out += b"".join(pairs) + b"".join(tensors)
    return out + bytes(-len(out) % 32) + data


TEMPLATE = "{% for m in messages %}<|{{ m['role'] }}|>{{ m.content | trim }}{% endfor %}"
TOKENS = struct.pack("<IQ", 8, 3) + text("<s>") + text("__init__") + text("{{")
PAIRS = [
    pair("general.architecture", 8, text("llama")),
    pair("general.alignment", 4, struct.pack("<I", 32)),
    pair("tokenizer.ggml.tokens", 9, TOKENS),
    pair("tokenizer.ggml.scores", 9, struct.pack("<IQ3f", 6, 3, 1, 2, 3)),
    pair("tokenizer.chat_template", 8, text(TEMPLATE)),
    pair("x.bool", 7, b"\1"),
    pair("x.double", 12, bytes(8)),
]
TENSORS = [tensor("a", (4, 2), 0), tensor("b", (64,), 32, 8)]


def test_model_is_clean():
    report = scan_bytes(gguf(PAIRS, TENSORS, bytes(32 + 68)), "a.gguf")
    assert (report.format, report.verdict) == ("gguf", "clean"), report.findings
    padded = gguf(PAIRS, TENSORS, bytes(32 + 96))
    assert scan_bytes(padded, "a.gguf").verdict == "clean"
    assert scan_bytes(gguf(PAIRS), "vocabulary.gguf").verdict == "clean"


def test_model_of_the_other_byte_order_is_clean():
    pairs = [pair("general.architecture", 8, text("llama", ">"), ">")]
    data = gguf(pairs, [tensor("a", (4,), 0, order=">")], bytes(16), ">")
    assert scan_bytes(data, "a.gguf").verdict == "clean"


ATTACK = "{% for c in [].__class__.__base__.__subclasses__() %}{{ c }}{% endfor %}"


@pytest.mark.parametrize(
    "key", ["tokenizer.chat_template", "tokenizer.chat_template.tool_use", "any.other"]
)
def test_hostile_template(key):
    # CVE-2024-34359
    data = gguf([pair(key, 8, text(ATTACK.ljust(80)))])
    assert rules(scan_bytes(data, "a.gguf")) == {"SH122"}
    listed = struct.pack("<IQ", 8, 1) + text(ATTACK.ljust(80))
    assert rules(scan_bytes(gguf([pair(key, 9, listed)]), "a.gguf")) == {"SH122"}


@pytest.mark.parametrize(
    "data",
    [
        b"GGUF",
        b"GGUF" + bytes(100),
        gguf(PAIRS, TENSORS, bytes(32 + 67)),
        gguf(PAIRS, [tensor("a", (2**32, 2**32), 0)], bytes(64)),
        gguf(PAIRS, [tensor("a", (2**62, 2**2), 0)], bytes(64)),
        gguf(PAIRS, [tensor("a", (1,), 2**64 - 32)], bytes(64)),
        gguf(PAIRS, [tensor("a", (1,), 1)], bytes(64)),
        gguf(PAIRS, [tensor("a", (1,) * 9, 0)], bytes(64)),
        gguf([pair("x", 8, struct.pack("<Q", 2**63))]),
        gguf([pair("x", 9, struct.pack("<IQ", 0, 2**63))]),
        gguf([pair("x", 9, struct.pack("<IQ", 8, 2**63))]),
        gguf([pair("x", 9, struct.pack("<IQ", 9, 1) * 10)]),
        gguf([pair("x", 99, b"")]),
        gguf([PAIRS[0], PAIRS[0]]),
        gguf([pair("general.alignment", 4, struct.pack("<I", 0))]),
        gguf([pair("general.alignment", 4, struct.pack("<I", 48))]),
        gguf(version=9),
    ],
)
def test_sizes_that_do_not_fit(data):
    assert rules(scan_bytes(data, "a.gguf")) == {"SH103"}


def test_broken_model_is_not_clean():
    data = gguf(PAIRS, TENSORS, bytes(32 + 68))
    for end in range(4, len(data)):
        assert scan_bytes(data[:end], "a.gguf").verdict == "suspicious", end


def test_bytes_after_the_last_tensor():
    data = gguf(PAIRS, TENSORS, bytes(32 + 68) + stream(named("os", "system")).rjust(100, b"\0"))
    report = scan_bytes(data, "a.gguf")
    assert "SH107" in rules(report)


def test_values_are_counted(monkeypatch):
    monkeypatch.setattr("safehold.scan.formats.gguf._MOST_ITEMS", 5)
    assert rules(scan_bytes(gguf(PAIRS), "a.gguf")) == {"SH103"}
