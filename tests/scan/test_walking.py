"""The walk accepts what `json` accepts, finds the same keys, and takes bounded steps."""

from __future__ import annotations

import json
import random

import pytest

from safehold.scan import walking

SIGNS = b'{}[]",:0123456789-+.eE \n\t\\/utrfalsnNI\x01\xc3\xa9\xff'


def grown(rng, depth=0):
    kind = rng.randrange(8 if depth < 4 else 4)
    if kind == 0:
        return rng.choice((True, False, None, float("inf"), float("nan")))
    if kind == 1:
        return rng.choice((0, -1, 12, 1.5, -2e10, 1e-9, 10**30))
    if kind <= 3:
        return rng.choice(("", "a", "\u00e9" * 3, '\n\\"/', "x" * rng.randrange(500)))
    if kind <= 5:
        return [grown(rng, depth + 1) for _ in range(rng.randrange(6))]
    return {f"k{rng.randrange(9)}": grown(rng, depth + 1) for _ in range(rng.randrange(6))}


def document(rng):
    ascii_only = rng.random() < 0.5
    return json.dumps(grown(rng), indent=rng.choice((None, 1)), ensure_ascii=ascii_only).encode()


def accepts(read, data):
    try:
        read(data)
    except (walking.BrokenError, ValueError):
        return False
    return True


def test_it_accepts_what_json_accepts():
    rng = random.Random(5)
    refused = 0
    for _ in range(4000):
        data = bytearray(document(rng))
        for _ in range(rng.choice((0, 1, 1, 2))):
            start = rng.randrange(len(data) + 1)
            data[start : start + rng.randrange(3)] = bytes(rng.choices(SIGNS, k=rng.randrange(3)))
        data = bytes(data)
        expected = accepts(json.loads, data)
        refused += not expected
        assert accepts(walking.walk, data) == expected, data
        seen = accepts(lambda one: walking.walk(one, lambda *_: None, frozenset({"k1"})), data)
        assert seen == expected, data
    assert 1000 < refused < 3000


def test_every_prefix_is_refused():
    data = b'{"a": [1, "b\\u00e9", {"c": null}, [], {}], "d": -1.5e3}'
    json.loads(data)
    for end in range(len(data)):
        assert not accepts(walking.walk, data[:end]), data[:end]


def found(data, keys):
    places = []
    top = walking.walk(data, lambda *place: places.append(place), frozenset(keys))
    return top, [(key, json.loads(data[start:stop])) for key, start, stop in places]


def test_it_finds_the_values_of_keys():
    data = b' {"x" : {"k": [1, {"k": 2}]}, "l": [{"k": "t"}, {"py/a": {}}], "k":1} '
    top, seen = found(data, {"k", "py/"})
    assert top == {"x", "l", "k"}
    assert seen == [("k", [1, {"k": 2}]), ("k", "t"), ("py/a", {}), ("k", 1)]


def test_it_finds_as_many_keys_as_json_does():
    rng = random.Random(6)
    for _ in range(500):
        data = document(rng)
        rows = []
        json.loads(data, object_pairs_hook=rows.extend)
        _, seen = found(data, {f"k{number}" for number in range(9)})
        outer = sum(1 for _ in seen)
        assert outer == _outermost(json.loads(data, object_pairs_hook=_Pairs))


class _Pairs(list):
    pass


def _outermost(node):
    if isinstance(node, _Pairs):
        return len(node)
    return sum(map(_outermost, node)) if isinstance(node, list) else 0


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_mark_in_front(mark):
    assert walking.walk(mark + b'{"a": 1}') == {"a"}


def test_steps_are_bounded(monkeypatch):
    monkeypatch.setattr(walking, "_MOST_STEPS", 100)
    rows = (b"[" + b"1.5," * 90_000 + b"1]", b'[{"a": 1, "b": "c"}' + b',{"a": 1}' * 9000 + b"]")
    for data in rows:
        walking.walk(data)
    many = (b"[" + b"[]," * 200 + b"1]", b'["' + b"\\n" * 200_000 + b'"]', b"{" + b'"a":1,' * 200)
    for data in many:
        with pytest.raises(walking.TooMuchError):
            walking.walk(data)
    with pytest.raises(walking.TooMuchError):
        walking.walk(b"[1]".decode().encode("utf-16"))


def test_depth_is_bounded(monkeypatch):
    monkeypatch.setattr(walking, "_DEEPEST", 50)
    walking.walk(b"[" * 50 + b"]" * 50)
    for bracket in (b"[", b'{"a":', b"[1,"):
        with pytest.raises(walking.TooMuchError):
            walking.walk(bracket * 51)
