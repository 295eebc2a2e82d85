from __future__ import annotations

import dataclasses
import functools
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.errors import ConfigError
from safehold.policy import MEMORY, OUTSIDE, Limits, Policy, Zone, default_policy
from tests.work import an_end

NAMES = st.sampled_from(["a", "b", "ab", "aa", "models", "x.pkl", "é", "A", ".a"])
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)
SEGMENTS = st.one_of(
    NAMES, st.sampled_from(["**", "**", "*", "a*", "*b", "a*b*", "?", "?b", "*.pkl"])
)
PATTERNS = st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join)


def zoned(*zones):
    return Policy(root=Path("/root"), zones=zones)


# --- an independent matcher: slow, by recursion over segments and characters ---------------


def slow_text(pattern, text):
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(slow_text(pattern[1:], text[cut:]) for cut in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and slow_text(pattern[1:], text[1:])


def slow_match(pattern, path):
    if not pattern:
        return not path
    if pattern[0] == "**":
        least = 1 if len(pattern) == 1 else 0
        return any(slow_match(pattern[1:], path[cut:]) for cut in range(least, len(path) + 1))
    return bool(path) and slow_text(pattern[0], path[0]) and slow_match(pattern[1:], path[1:])


def more_specific(one, other):
    """Compare by the sentence in docs/reference/policy.md."""

    def rank(pattern):
        segments = pattern.split("/")
        literal = 0
        while literal < len(segments) and not set(segments[literal]) & set("*?"):
            literal += 1
        plain = pattern.replace("*", "").replace("?", "")
        return (literal, len(plain), -segments.count("**"), len(plain) - len(pattern))

    return (rank(one) > rank(other)) - (rank(one) < rank(other))


def slow_zone(zones, path):
    found = [
        (pattern, zone)
        for zone in zones
        for pattern in zone.paths
        if slow_match(collapsed(pattern), path.split("/"))
    ]
    if not found:
        return {OUTSIDE.name}
    best = max(found, key=functools.cmp_to_key(lambda a, b: more_specific(a[0], b[0])))
    equals = [zone for pattern, zone in found if more_specific(pattern, best[0]) == 0]
    external = [zone for zone in equals if zone.trust == "external"]
    return {zone.name for zone in external or equals}


def collapsed(pattern):
    out = []
    for segment in pattern.split("/"):
        if segment != "**" or not out or out[-1] != "**":
            out.append(segment)
    return out


@given(PATTERNS, PATHS)
def test_matches_what_the_slow_matcher_matches(pattern, path):
    policy = zoned(Zone("z", (pattern,)))
    assert (policy.zone_for(path).name == "z") == slow_match(collapsed(pattern), path.split("/"))


@given(st.lists(st.tuples(PATTERNS, st.sampled_from(["internal", "external"])), max_size=5), PATHS)
def test_most_specific_zone_wins(raw, path):
    zones = [Zone(f"z{index}", (item[0],), item[1]) for index, item in enumerate(raw)]
    found = zoned(*zones).zone_for(path)
    assert found.name in slow_zone(zones, path)


@given(st.lists(st.tuples(PATTERNS, st.sampled_from(["internal", "external"])), max_size=5), PATHS)
def test_order_in_the_file_makes_no_zone_more_trusted(raw, path):
    zones = [Zone(f"z{index}", (item[0],), item[1]) for index, item in enumerate(raw)]
    there, back = zoned(*zones).zone_for(path), zoned(*reversed(zones)).zone_for(path)
    assert there.trust == back.trust


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("models/**", "models/a", True),
        ("models/**", "models/a/b/c.pkl", True),
        ("models/**", "models", False),
        ("models/**", "models_evil/x", False),
        ("models/**", "xmodels/x", False),
        ("models/**", "a/models/x", False),
        ("models/**", "Models/x", False),
        ("models/*", "models/a/b", False),
        ("models/*.pkl", "models/a.pkl", True),
        ("models/*.pkl", "models/.pkl", True),
        ("models/*.pkl", "models/a.pkl.bak", False),
        ("models/*.pkl", "models/a.pkl\n", False),
        ("models/**/m.pkl", "models/m.pkl", True),
        ("models/**/m.pkl", "models/a/b/m.pkl", True),
        ("models/**/m.pkl", "models/am.pkl", False),
        ("**/m.pkl", "m.pkl", True),
        ("**", "x", True),
        ("**/**", "x", True),
        ("a/**/b/**/c", "a/b/c", True),
        ("a/**/b/**/c", "a/x/b/y/b/z/c", True),
        ("a/**/b/**/c", "a/c/b", False),
        ("?", "é", True),
        ("?", "e\u0301", False),
        ("\u00fcber/**", "u\u0308ber/x", False),
        ("a.c/**", "abc/x", False),
        ("a+/**", "aa/x", False),
        ("(a|b)/**", "a/x", False),
        ("a\nb/**", "a\nb/x", True),
        ("a/**", "a/x\ny", True),
        ("a/**", "a/x\udcff", True),
    ],
)
def test_pattern(pattern, path, expected):
    assert (zoned(Zone("z", (pattern,))).zone_for(path).name == "z") is expected


IRREGULAR = [
    "", ".", "..", "/", "models/", "/models/x", "models//x", "models/./x", "./models/x",
    "models/../data/x", "models/x/..", "../models/x", "data/../models/x", "models/.",
]  # fmt: skip


@pytest.mark.parametrize("path", IRREGULAR, ids=repr)
def test_name_that_no_kernel_gives_is_in_no_zone_and_not_trusted(path):
    policy = Policy(root=Path("/root"), zones=(Zone("all", ("**",), "internal"),), trusted=("**",))
    assert policy.zone_for(path) is OUTSIDE
    assert not policy.is_trusted(path)


def test_path_outside_the_root_is_external():
    policy = zoned(Zone("all", ("**",), "internal"))
    assert policy.zone_for(None) is OUTSIDE
    assert OUTSIDE.trust == "external"
    assert policy.zone_for("any/where").name == "all"


def test_names_that_begin_with_dots_are_ordinary():
    policy = zoned(Zone("all", ("**",), "internal"))
    for path in (".hidden", "a/.hidden/b", "...", "a/.../b", "..a", "a.."):
        assert policy.zone_for(path).name == "all"


@pytest.mark.parametrize(
    ("general", "special"),
    [
        ("models/**", "models/untrusted/**"),
        ("**", "models/**"),
        ("models/**", "models/*"),
        ("models/*", "models/x.pkl"),
        ("models/**", "models/**/x.pkl"),
        ("models/*", "models/*.pkl"),
        ("**/x.pkl", "models/**"),
    ],
)
def test_special_pattern_wins_over_the_general(general, special):
    path = "models/untrusted/x.pkl" if "untrusted" in special else "models/x.pkl"
    for zones in (
        (Zone("general", (general,), "internal"), Zone("special", (special,))),
        (Zone("special", (special,)), Zone("general", (general,), "internal")),
    ):
        assert zoned(*zones).zone_for(path).name == "special"


def test_of_equally_special_patterns_the_external_zone_wins():
    internal, external = Zone("in", ("a/*b",), "internal"), Zone("out", ("a/b*",))
    assert zoned(internal, external).zone_for("a/bb").name == "out"
    assert zoned(external, internal).zone_for("a/bb").name == "out"


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a*a*a*a*a*a*a*a*a*b", "a" * 4000),
        ("**/a/**/a/**/a/**/a/**/b", "a/" * 2000 + "a"),
        ("**/*a*/**/*a*/**/*a*/**/b", "aaaa/" * 800 + "a"),
        ("**/**/**/**/**/**/b", "a/" * 2000 + "a"),
    ],
)
def test_no_path_makes_matching_slow(pattern, path):
    policy = zoned(Zone("z", (pattern,)))
    with an_end():
        assert policy.zone_for(path) is OUTSIDE


def test_callers_are_all_trusted_until_the_policy_lists_them():
    policy = default_policy("/root")
    assert policy.is_trusted("anything.py")
    assert policy.is_trusted(None)
    listed = dataclasses.replace(policy, trusted=("src/**",))
    assert listed.is_trusted("src/app.py")
    assert not listed.is_trusted("src_evil/app.py")
    assert not listed.is_trusted("scripts/app.py")
    assert not listed.is_trusted(None)
    assert not dataclasses.replace(policy, trusted=()).is_trusted("src/app.py")


def test_zone_by_name():
    policy = default_policy("/root")
    assert policy.zone_named("models").trust == "internal"
    assert policy.zone_named("memory") is MEMORY
    assert policy.zone_named("external") is OUTSIDE
    with pytest.raises(ConfigError, match="data, external, memory, models"):
        policy.zone_named("model")


def test_only_zones_that_allow_every_type_are_questionable():
    policy = default_policy("/root")
    assert list(policy.check()) == []
    wide = dataclasses.replace(MEMORY, allow=("numpy", "*"))
    zone = Zone("cache", ("cache/**",), "internal", ("pickle",), ("*",))
    found = list(dataclasses.replace(policy, zones=(*policy.zones, zone), memory=wide).check())
    assert [item.rule.id for item in found] == ["SH115", "SH115"]
    assert "'cache'" in found[0].message
    assert "'memory'" in found[1].message


@pytest.mark.parametrize("value", [default_policy("/r"), Limits(), Zone("z"), OUTSIDE])
def test_nothing_can_be_changed(value):
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, "other")
    with pytest.raises(dataclasses.FrozenInstanceError):
        delattr(value, name)


def test_no_field_is_a_mutable_container():
    policy = default_policy("/root")
    for holder in (policy, policy.limits, policy.activation, policy.key, *policy.zones):
        for field in dataclasses.fields(holder):
            assert not isinstance(getattr(holder, field.name), (list, dict, set))
    with pytest.raises(TypeError):
        policy.origins["mode"] = "elsewhere"
    assert hash(policy) == hash(default_policy("/root"))


# --- the file ------------------------------------------------------------------------------


def written(tmp_path, data):
    file = tmp_path / "safehold.toml"
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return file


def test_reads_a_file_and_anchors_it_there(tmp_path):
    policy = Policy.load(written(tmp_path, "version = 1\n"))
    assert policy.root == tmp_path.resolve()
    assert policy.path == tmp_path.resolve() / "safehold.toml"
    assert policy.mode == "enforce"
    assert policy.zones == ()


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_byte_order_mark_and_windows_line_ends(tmp_path, mark, ending):
    lines = [b"version = 1", b"", b"[trail]", b'path = "log"', b""]
    policy = Policy.load(written(tmp_path, mark + ending.join(lines)))
    assert policy.trail == "log"
    assert policy.origins["trail.path"] == "safehold.toml:4"


@pytest.mark.parametrize("name", ["missing.toml", "", ".", "a\x00b", "x" * 5000, "file/below"])
def test_unreadable_policy_says_what_to_do(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="safehold harden PATH --write") as caught:
        Policy.load(f"{tmp_path}/{name}")
    assert "cannot be read" in str(caught.value)


def test_fifo_and_device_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for place in (tmp_path / "fifo", "/dev/zero", "/dev/null"):
        with pytest.raises(ConfigError, match="not a regular file"):
            Policy.load(place)


def test_forbidden_file_is_a_typed_error(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ConfigError, match="Permission denied"):
        Policy.load(tmp_path / "safehold.toml")


def test_huge_file_is_not_read(tmp_path):
    file = written(tmp_path, "version = 1\n")
    os.truncate(file, 2**40)
    tracemalloc.start()
    with pytest.raises(ConfigError, match="more than"), an_end():
        Policy.load(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_policy_that_is_not_utf_8_names_the_byte(tmp_path):
    with pytest.raises(ConfigError, match="not UTF-8 at byte 14"):
        Policy.load(written(tmp_path, b"version = 1 # \xe9\n"))


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff\xfe\x00", b"\x80\x04K\x01.", b"PK\x03\x04"])
def test_other_files_are_typed_errors(tmp_path, data):
    with pytest.raises(ConfigError):
        Policy.load(written(tmp_path, data))
