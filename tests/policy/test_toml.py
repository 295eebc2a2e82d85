from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.allow import PRESETS
from safehold.errors import ConfigError
from safehold.policy import (
    CODE_CODECS,
    DATA_CODECS,
    MEMORY,
    Activation,
    KeySource,
    Limits,
    Policy,
    Redaction,
    Zone,
    default_policy,
)
from safehold.policy.lines import key_lines
from safehold.policy.rendering import render_policy
from safehold.policy.revoked import Revocations
from safehold.policy.toml import _TABLES, parse_policy
from safehold.sfh1 import SUITES
from tests.work import an_end, calls

HERE = Path("/srv/app/safehold.toml")
ZONE = '[[zone]]\nname = "z"\npaths = ["z/**"]\n'

# The example of the design, whole.
EXAMPLE = """\
version = 1
mode = "enforce"                      # off | monitor | enforce

[activation]                          # the guard turns itself on when this holds
variable = "SAFEHOLD_ENV"             # a service may name its own
values = ["production"]

[keys]
source = "env:SAFEHOLD_SECRET_KEY"    # env: | file: | cmd:
id = "k2026"                          # newest signs; [[keys.previous]] still verify

[[keys.previous]]
source = "file:old.key"
id = "k2025"

[[zone]]
name = "models"
paths = ["models/**", "ml/**"]
trust = "internal"                    # code-carrying codecs allowed, only sealed and verified
codecs = ["joblib", "pickle", "skops", "safetensors", "json", "msgpack"]
allow = ["sklearn", "numpy", "scipy", "pandas", "app.models.Fraud"]

[[zone]]
name = "data"
paths = ["data/**", "configs/**"]
trust = "external"                    # data codecs only
codecs = ["json", "msgpack", "parquet", "npy", "safetensors"]

[memory]
allow = ["numpy"]

[code]
trusted = ["src/**", "ml/**"]         # callers that may load code-carrying artifacts at all

[limits]
artifact = "4 GiB"
depth = 64

[trail]
path = "var/safehold/trail"
"""


def parse(text, path=HERE):
    return parse_policy(text, path)


def refused(text, path=HERE):
    with pytest.raises(ConfigError) as caught:
        parse_policy(text, path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert len(message) < 1000
    assert message.isprintable()
    return message


def answer(text):
    """Return the path of the policy that was read, or the error's text."""
    try:
        return f"{parse(text).path} "
    except ConfigError as error:
        return str(error)


def test_example_of_the_design():
    policy = parse(EXAMPLE)
    assert policy.mode == "enforce"
    assert policy.key_sources == (
        ("k2026", "env:SAFEHOLD_SECRET_KEY", "HS256"),
        ("k2025", "file:old.key", "HS256"),
    )
    assert [zone.name for zone in policy.zones] == ["models", "data"]
    assert policy.zones[0].allow[-1] == "app.models.Fraud"
    assert policy.memory.allow == ("numpy",)
    assert policy.memory.codecs == MEMORY.codecs
    assert policy.trusted == ("src/**", "ml/**")
    assert policy.limits.artifact == 4 * 2**30
    assert policy.root == HERE.parent


@pytest.mark.parametrize("mode", ["off", "monitor", "enforce"])
def test_modes(mode):
    assert parse(f'version = 1\nmode = "{mode}"').mode == mode


# --- unknown keys --------------------------------------------------------------------------

PLACES = {
    "": ("version = 1\n{}", 2, ""),
    "activation": ("version = 1\n\n[activation]\n{}", 4, "activation."),
    "keys": ("version = 1\n[keys]\n{}", 3, "keys."),
    "keys.previous": (
        'version = 1\n[[keys.previous]]\nsource = "env:A"\nid = "a"\n[[keys.previous]]\n{}',
        6,
        "keys.previous[1].",
    ),
    "keys.local": ("version = 1\n[keys.local]\n{}", 3, "keys.local."),
    "zone": (f"version = 1\n{ZONE}[[zone]]\n{{}}", 6, "zone[1]."),
    "memory": ("version = 1\n[memory]\n{}", 3, "memory."),
    "code": ("version = 1\n[code]\n{}", 3, "code."),
    "limits": ("version = 1\n[limits]\n{}", 3, "limits."),
    "guard": ("version = 1\n[guard]\n{}", 3, "guard."),
    "trail": ("version = 1\n[trail]\n{}", 3, "trail."),
    "marks": ("version = 1\n[marks]\n{}", 3, "marks."),
    "unsealed": ("version = 1\n[unsealed]\n{}", 3, "unsealed."),
    "revoked": ("version = 1\n[revoked]\n{}", 3, "revoked."),
    "alerts": ("version = 1\n[alerts]\n{}", 3, "alerts."),
    "alerts.channel": ("version = 1\n[[alerts.channel]]\n{}", 3, "alerts.channel[0]."),
    "redaction": ("version = 1\n[redaction]\n{}", 3, "redaction."),
    "web": ("version = 1\n[web]\n{}", 3, "web."),
    "requests": ("version = 1\n[requests]\n{}", 3, "requests."),
    "requests.cookie": ("version = 1\n[[requests.cookie]]\n{}", 3, "requests.cookie[0]."),
    "deploy": ("version = 1\n[deploy]\n{}", 3, "deploy."),
}


def test_every_table_has_a_place_here():
    assert set(PLACES) == set(_TABLES)


@pytest.mark.parametrize("table", PLACES)
@pytest.mark.parametrize("name", ["unknown", "Version", "NAME", "paths_", "trusted2", '"a b"'])
def test_unknown_key_is_refused_everywhere_with_line_and_allowed_keys(table, name):
    text, line, prefix = PLACES[table]
    message = refused(text.format(f"{name} = 1"))
    assert message.startswith(f"{HERE}:{line}: {prefix}{name.strip(chr(34))} is not a policy key")
    for allowed in _TABLES[table]:
        assert allowed in message


@pytest.mark.parametrize("table", [name for name in PLACES if name])
def test_unknown_table_inside_a_table_is_refused(table):
    text, _, prefix = PLACES[table]
    assert f"{prefix}sub is not a policy key" in refused(text.format("sub = { a = 1 }"))


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ('version = 1\nactivation = { variable = "A", xvalues = [] }', 2, "activation.xvalues"),
        ("version = 1\nlimits.xdepth = 3", 2, "limits.xdepth"),
        ('version = 1\n\nkeys = { previous = [\n  { source = "env:A", xid = "a" },\n] }', 4,
         "keys.previous[0].xid"),
        ('version = 1\nzone = [\n{ name = "z", paths = ["z"] },\n{ xname = "y" }]', 4,
         "zone[1].xname"),
        ('version = 1\nmode = """\nenforce"""\nxmode = 1', 4, "xmode"),
    ],
)  # fmt: skip
def test_line_is_right_in_every_way_of_writing_it(text, line, key):
    assert refused(text).startswith(f"{HERE}:{line}: {key} ")


def test_unknown_key_with_control_characters_is_shown_harmlessly():
    message = refused('version = 1\n"\\u001b[31m\\n" = 1')
    assert "\\x1b[31m" in message


# --- version -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "# nothing", 'mode = "off"', "[limits]\ndepth = 3"])
def test_missing_version_is_refused(text):
    assert "add: version = 1" in refused(text)


@pytest.mark.parametrize(
    "version", ["2", "0", "-1", "1.0", "true", '"1"', "[1]", "{a=1}", "1979-05-27", "9" * 4000]
)
def test_other_version_is_refused(version):
    assert "this safehold reads version 1" in refused(f"version = {version}")


# --- types ---------------------------------------------------------------------------------

STRINGS = ["mode", "root", "activation.variable", "keys.source", "keys.id", "trail.path",
           "marks.path", "memory.trust"]  # fmt: skip
LISTS = ["activation.values", "memory.codecs", "memory.allow", "code.trusted"]
TABLES = ["activation", "keys", "memory", "code", "limits", "trail", "marks"]
NUMBERS = ["limits.artifact", "limits.depth", "limits.expansion", "limits.members"]


@pytest.mark.parametrize("key", STRINGS)
@pytest.mark.parametrize("value", ["1", "true", "[]", '["a"]', "{}", "1.5", '""', '"a\\u0000b"'])
def test_string_must_be_a_string(key, value):
    assert f"{HERE}:2: {key} " in refused(f"version = 1\n{key} = {value}")


@pytest.mark.parametrize("key", LISTS)
@pytest.mark.parametrize("value", ["1", '"a"', "{}", "[1]", '["a", 1]', '[["a"]]', '["\\u0000"]'])
def test_list_must_be_a_list_of_strings(key, value):
    assert f"{HERE}:2: {key} must be a list of strings" in refused(f"version = 1\n{key} = {value}")


@pytest.mark.parametrize("key", TABLES)
@pytest.mark.parametrize("value", ["1", '"a"', "[]", "true"])
def test_table_must_be_a_table(key, value):
    assert f"{HERE}:2: {key} must be a table" in refused(f"version = 1\n{key} = {value}")


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize(
    "value",
    ["0", "-1", "true", "1.5", "nan", "inf", "[]", '""', '"many"', '"-4 GiB"', '"4 XB"', '"1e9"',
     '"4 GiB GiB"', '"٤ GiB"', f'"{"9" * 5000} B"'],
)  # fmt: skip
def test_number_must_be_positive(key, value):
    assert f"{HERE}:2: {key} must be a positive" in refused(f"version = 1\n{key} = {value}")


@pytest.mark.parametrize(
    "value", ["0", "-1.5", "0.09", "1_000_001", "nan", "inf", "true", '"8"', "[]", "9" * 400]
)
def test_seconds_are_a_number_within_reason(value):
    said = refused(f"version = 1\nlimits.seconds = {value}")
    assert f"{HERE}:2: limits.seconds must be a number of seconds" in said


@pytest.mark.parametrize(("text", "seconds"), [("2", 2.0), ("0.5", 0.5), ("1e3", 1000.0)])
def test_seconds(text, seconds):
    assert parse(f"version = 1\nlimits.seconds = {text}").limits.seconds == seconds


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ('"1"', 1),
        ('"4 GiB"', 4 * 2**30),
        ('"4gib"', 4 * 2**30),
        ('" 4 GB "', 4 * 10**9),
        ('"512 KiB"', 512 * 2**10),
        ('"1 TiB"', 2**40),
        ('"7 B"', 7),
        ("1_000", 1000),
    ],
)
def test_sizes(text, number):
    assert parse(f"version = 1\nlimits.artifact = {text}").limits.artifact == number


@pytest.mark.parametrize("text", ["zone = 1", "[zone]\nname = 'z'", "zone = {}", "zone = [1]"])
def test_zones_must_be_tables(text):
    assert "zone" in refused(f"version = 1\n{text}")


def test_old_keys_must_be_tables():
    assert "[[keys.previous]]" in refused("version = 1\n[keys]\nprevious = 'k1'")


# --- keys ----------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["9c1d5e27f0a8b346", "SECRET", "env", "env:", ":x", "Env:A"])
def test_key_source_must_name_a_place_and_is_not_shown(source):
    message = refused(f'version = 1\n[keys]\nsource = "{source}"')
    assert "keys.source must name a place" in message
    assert "9c1d5e27f0a8b346" not in message


@pytest.mark.parametrize("missing", ["source", "id"])
def test_old_key_needs_source_and_id(missing):
    given = {"source": '"env:A"', "id": '"a"'}
    del given[missing]
    rest = "\n".join(f"{key} = {value}" for key, value in given.items())
    assert f"keys.previous[0].{missing} must be" in refused(
        f"version = 1\n[[keys.previous]]\n{rest}"
    )


@pytest.mark.parametrize("first", ['id = "a"\n', ""])
def test_key_id_is_used_once(first):
    used = "a" if first else "k1"
    text = f'version = 1\n[keys]\n{first}[[keys.previous]]\nsource = "env:A"\nid = "{used}"'
    assert "another key has" in refused(text)


# --- zones ---------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", CODE_CODECS)
@pytest.mark.parametrize("trust", ['trust = "external"\n', ""])
def test_external_zone_carries_no_code(codec, trust):
    message = refused(f'version = 1\n{ZONE}{trust}codecs = ["json", "{codec}"]')
    assert f"zone[0].codecs has '{codec}'" in message
    assert all(name in message for name in DATA_CODECS)
    message = refused(f'version = 1\n[memory]\ntrust = "external"\ncodecs = ["{codec}"]')
    assert "memory.codecs" in message


def test_external_memory_loses_the_codecs_that_carry_code():
    memory = parse('version = 1\n[memory]\ntrust = "external"').memory
    assert memory.trust == "external"
    assert not set(memory.codecs) & set(CODE_CODECS)


@pytest.mark.parametrize("codec", ["yaml", "Pickle", "", "pickle ", "PICKLE"])
def test_unknown_codec_is_refused(codec):
    text = f'version = 1\n{ZONE}trust = "internal"\ncodecs = ["{codec}"]'
    assert "zone[0].codecs has" in refused(text)


@pytest.mark.parametrize("trust", ["", "Internal", "trusted", "internal "])
def test_unknown_trust_is_refused(trust):
    assert "zone[0].trust" in refused(f'version = 1\n{ZONE}trust = "{trust}"')


@pytest.mark.parametrize("flag", ["mmap", "sidecar"])
def test_a_flag_is_a_truth_value_of_a_zone_with_paths_and_false_by_default(flag):
    zones = (
        *parse(f"version = 1\n{ZONE}{flag} = true").zones,
        *parse(f"version = 1\n{ZONE}").zones,
    )
    assert [getattr(zone, flag) for zone in zones] == [True, False]
    for value in ("1", '"true"', "[]", "0"):
        message = refused(f"version = 1\n{ZONE}{flag} = {value}")
        assert f"zone[0].{flag} must be true or false" in message
    text = f"version = 1\n[memory]\n{flag} = true"
    assert f"memory.{flag} is not a policy key" in refused(text)


def test_every_type_is_possible_in_internal_zones_only():
    assert parse(f'version = 1\n{ZONE}trust = "internal"\nallow = ["*"]').zones[0].allow == ("*",)
    assert "only in a zone of trust 'internal'" in refused(f'version = 1\n{ZONE}allow = ["*"]')
    assert "only in a zone" in refused(
        'version = 1\n[memory]\ntrust = "external"\nallow = ["numpy", "*"]'
    )


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "numpyy",
        "os",
        "**",
        "numpy.*",
        "*.x",
        "a..b",
        ".a",
        "a.",
        "a b.c",
        "1a.b",
        "a-b.c",
        "a.b\\n",
    ],
)
def test_allow_takes_presets_and_exact_names_only(entry):
    message = refused(f'version = 1\n{ZONE}trust = "internal"\nallow = ["{entry}"]')
    assert "zone[0].allow has" in message
    assert all(name in message for name in PRESETS)


def test_zone_is_external_and_carries_data_by_default():
    zone = parse(f"version = 1\n{ZONE}").zones[0]
    assert zone == Zone("z", ("z/**",), "external", DATA_CODECS, ())


@pytest.mark.parametrize("name", ["memory", "external"])
def test_reserved_zone_names(name):
    assert "reserved" in refused(f'version = 1\n[[zone]]\nname = "{name}"\npaths = ["a"]')


def test_zone_name_is_used_once():
    assert "used twice" in refused(f"version = 1\n{ZONE}{ZONE}")


def test_pattern_belongs_to_one_zone():
    other = ZONE.replace('"z"', '"y"')
    message = refused(f"version = 1\n{ZONE}{other}")
    assert message.startswith(f"{HERE}:7: zone[1].paths has 'z/**', which is in two zones")


@pytest.mark.parametrize("missing", ["name", "paths"])
def test_zone_needs_name_and_paths(missing):
    text = "\n".join(line for line in ZONE.splitlines() if not line.startswith(missing))
    assert f"zone[0].{missing}" in refused(f"version = 1\n{text}")
    assert "zone[0].paths" in refused('version = 1\n[[zone]]\nname = "z"\npaths = []')


BAD_PATTERNS = [
    "", "/", "/etc/**", "..", "../x", "a/../b", "a/..", ".", "./a", "a/./b", "a//b", "a/", "a**",
    "**a", "a/b**/c", "a***", "[ab]", "a[", "a\\u0000b",
]  # fmt: skip


@pytest.mark.parametrize("pattern", BAD_PATTERNS)
@pytest.mark.parametrize("key", ["zone", "code"])
def test_pattern_must_stay_below_the_root_and_be_plain(pattern, key):
    zone = f'[[zone]]\nname = "z"\npaths = ["ok", "{pattern}"]'
    code = f'[code]\ntrusted = ["ok", "{pattern}"]'
    message = refused(f"version = 1\n{zone if key == 'zone' else code}")
    assert message.startswith(f"{HERE}:{4 if key == 'zone' else 3}: ")


@pytest.mark.parametrize(
    "pattern", ["**", "*", "a", "a/**", "**/a", "a/**/b/*.p?l", "...", "a b", "é"]
)
def test_good_patterns(pattern):
    text = f'version = 1\n[[zone]]\nname = "z"\npaths = ["{pattern}"]'
    assert parse(text).zones[0].paths == (pattern,)


# --- pyproject.toml ------------------------------------------------------------------------

PYPROJECT = Path("/srv/app/pyproject.toml")


def test_pyproject_holds_the_same_schema():
    text = '[project]\nname = "x"\nversion = "7"\n[tool.safehold]\nversion = 1\n'
    text += (
        '[[tool.safehold.zone]]\nname = "z"\npaths = ["z/**"]\n[tool.safehold.limits]\ndepth = 3\n'
    )
    policy = parse(text, PYPROJECT)
    assert policy.zones[0].name == "z"
    assert policy.origins["zone[0].paths"] == "pyproject.toml:8"
    assert policy.origins["limits.depth"] == "pyproject.toml:10"


@pytest.mark.parametrize("text", ["", "[tool]\n", "[tool.safehold]\n", "tool = 3", "safehold = 1"])
def test_pyproject_without_the_table_is_refused(text):
    assert "no [tool.safehold] table" in refused(text, PYPROJECT)


def test_other_tables_of_pyproject_lend_no_lines():
    text = "[tool.safehold]\nversion = 1\nlimits.xdepth = 3\n[tool.otherone]\nlimits.xdepth = 1\n"
    assert refused(text, PYPROJECT).startswith(f"{PYPROJECT}:3: limits.xdepth")


def test_pyproject_table_must_be_a_table():
    assert "must be a table" in refused("[tool]\nsafehold = 3", PYPROJECT)


# --- text that is not meant well -----------------------------------------------------------

HOSTILE = {
    "no TOML": "version = = 1",
    "key twice": "version = 1\nversion = 1",
    "deep list": "a = " + "[" * 50_000,
    "deep closed list": "a = " + "[" * 900 + "]" * 900,
    "deep table": "a = " + "{a = " * 50_000,
    "deep name": "a." * 60_000 + "a = 1",
    "deep quoted name": '"a" . ' * 40_000 + "a = 1",
    "deep header": "[" + "a." * 60_000 + "a]",
    "large": "# " + "x" * 2**20,
    "long number": "version = " + "1" * 10_000,
    "long string": "version = 1\nmode = '" + "x" * 200_000 + "'",
    "many keys": "version = 1\n" + "".join(f"k{i} = 1\n" for i in range(20_000)),
    "bad date": "version = 2024-99-99",
    "control character": "version = 1 # \x01",
    "escape": 'version = 1\nmode = "\\u001b[2J\\n\\u202e"',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_a_typed_error_after_few_steps(name):
    text = HOSTILE[name]
    with an_end():
        counts = calls(lambda: refused(text))
    assert counts.total() < 5000 + 5 * len(text)
    # It copies the parts of a name for each of them, which no count shows.
    assert ("loads" in counts) == (not name.startswith(("deep name", "deep q", "deep h", "large")))


def test_text_is_bounded():
    assert "more than 256 KiB" in refused("version = 1\n#" + "x" * 300_000)


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_a_typed_error(text):
    assert answer(text).startswith(str(HERE))


@given(st.lists(st.sampled_from([*"[]{}=,.#\"'\n \\", "a", "zone", '"""', "'''", "keys.previous"])))
def test_lines_come_to_an_end_on_any_text(pieces):
    text = "".join(pieces)
    found = key_lines(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())


JSONLIKE = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["version", "zone", "name", "x"]), inner, max_size=3),
    ),
    max_leaves=8,
)


def as_toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        escaped = "".join(f"\\U{ord(char):08x}" for char in value)
        return f'"{escaped}"'
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return "{" + ", ".join(f"{key} = {as_toml(item)}" for key, item in value.items()) + "}"


@given(st.sampled_from([*STRINGS, *LISTS, *TABLES, *NUMBERS, "zone", "keys.previous"]), JSONLIKE)
def test_any_value_at_any_key_is_a_policy_or_a_typed_error(key, value):
    text = f"version = 1\n{key} = {as_toml(value)}"
    tomllib.loads(text)
    assert answer(text).startswith((f"{HERE}:2: ", f"{HERE} "))


# --- origins -------------------------------------------------------------------------------


def test_origins_cannot_be_changed():
    with pytest.raises(TypeError):
        parse(EXAMPLE).origins["mode"] = "elsewhere"


WRITTEN = """\
# c [x]
first = 1
text = '''
[zone]
x = 1
''' # "
"root" = 'a = b'
inline = { variable = "A", values = [ "a",
  "b" ] }
dotted.depth = 3
dotted . "members" = 4
keys = {source="x:y", previous = [
   {source = "1", id = '2'},
   { source = "3", id="4" } ]}
 [[ zone ]]  # ]
name = "x"
paths = [
  "a]", # x = 1
  'b',
]
[[zone]]
paths=["=#"]
[zone.sub]
key = 1
[a]
  [[a.b]]
  c = 1
  [a.b.d]
  e.f = 2
  [[a.b]]
  c = 2
"""


def test_lines_in_every_way_of_writing():
    tomllib.loads(WRITTEN)
    assert key_lines(WRITTEN) == {
        "first": 2, "text": 3, "root": 7,
        "inline": 8, "inline.variable": 8, "inline.values": 8,
        "dotted": 10, "dotted.depth": 10, "dotted.members": 11,
        "keys": 12, "keys.source": 12, "keys.previous": 12,
        "keys.previous[0]": 13, "keys.previous[0].source": 13, "keys.previous[0].id": 13,
        "keys.previous[1]": 14, "keys.previous[1].source": 14, "keys.previous[1].id": 14,
        "zone": 15, "zone[0]": 15, "zone[0].name": 16, "zone[0].paths": 17,
        "zone[1]": 21, "zone[1].paths": 22, "zone[1].sub": 23, "zone[1].sub.key": 24,
        "a": 25, "a.b": 26, "a.b[0]": 26, "a.b[0].c": 27,
        "a.b[0].d": 28, "a.b[0].d.e": 29, "a.b[0].d.e.f": 29, "a.b[1]": 30, "a.b[1].c": 31,
    }  # fmt: skip


def test_origins_are_lines_of_the_file_or_default():
    origins = parse(EXAMPLE).origins
    lines = EXAMPLE.splitlines()
    for key, origin in origins.items():
        last = key.rpartition(".")[2]
        if origin != "default":
            name, _, number = origin.partition(":")
            assert name == "safehold.toml"
            assert lines[int(number) - 1].split("=")[0].strip() == last
    assert origins["zone[1].paths"] == "safehold.toml:25"
    assert origins["keys.previous[0].id"] == "safehold.toml:14"
    assert origins["limits.members"] == "default"
    assert origins["memory.codecs"] == "default"
    assert origins["root"] == "default"


# --- writing -------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
WORDS = st.text("abcdefghij", min_size=1, max_size=6)
PLAIN_PATTERNS = st.lists(
    st.one_of(WORDS, TEXTS.filter(lambda text: not set(text) & set("/[*.")), st.just("**")),
    min_size=1,
    max_size=3,
).map("/".join)


@st.composite
def zones(draw):
    names = draw(st.lists(TEXTS, max_size=3, unique=True))
    names = [name for name in names if name not in ("memory", "external")]
    patterns = draw(
        st.lists(PLAIN_PATTERNS, min_size=2 * len(names), max_size=2 * len(names), unique=True)
    )
    return tuple(
        Zone(
            name,
            tuple(patterns[2 * index : 2 * index + 2]),
            *draw(trusts()),
            mmap=draw(st.booleans()),
            sidecar=draw(st.booleans()),
        )
        for index, name in enumerate(names)
    )


@st.composite
def trusts(draw):
    trust = draw(st.sampled_from(["internal", "external"]))
    internal = trust == "internal"
    known = DATA_CODECS + CODE_CODECS if internal else DATA_CODECS
    codecs = tuple(draw(st.lists(st.sampled_from(known), unique=True)))
    entries = [*PRESETS, "app.models.Fraud", "é.ü"] + (["*"] if internal else [])
    return trust, codecs, tuple(draw(st.lists(st.sampled_from(entries), unique=True)))


@st.composite
def revocations(draw):
    artifacts = st.text("0123456789abcdefABCDEF", min_size=32, max_size=32)
    lists = draw(st.lists(TEXTS, max_size=3)), draw(st.lists(artifacts, max_size=3))
    return Revocations(*map(tuple, lists), draw(st.just("") | TEXTS))


@st.composite
def policies(draw):
    ids = draw(st.lists(TEXTS, min_size=1, max_size=3, unique=True))
    suites = st.sampled_from(sorted(SUITES))
    key, *previous = [KeySource("env:" + draw(WORDS), name, draw(suites)) for name in ids]
    counts = st.integers(1, 2**50)
    return Policy(
        root=HERE.parent / draw(st.sampled_from([".", "sub", "a b"])),
        mode=draw(st.sampled_from(["off", "monitor", "enforce"])),
        activation=Activation(draw(TEXTS), tuple(draw(st.lists(TEXTS, max_size=3)))),
        key=key,
        previous=tuple(previous),
        zones=draw(zones()),
        memory=Zone("memory", (), *draw(trusts())),
        trusted=draw(st.none() | st.lists(PLAIN_PATTERNS, max_size=3).map(tuple)),
        limits=Limits(*(draw(counts) for _ in range(4)), draw(st.floats(0.1, 1e6))),
        trail=draw(TEXTS),
        marks=draw(TEXTS),
        revoked=draw(revocations()),
        redaction=draw(
            st.builds(
                Redaction,
                st.lists(st.from_regex("[A-Za-z][A-Za-z0-9_-]{0,9}", fullmatch=True)).map(tuple),
                st.lists(st.from_regex('abc[#?a-z \\"]{0,9}', fullmatch=True)).map(tuple),
            )
        ),
        path=HERE,
    )


@given(policies())
def test_policy_written_and_read_is_the_same(policy):
    assert parse(render_policy(policy)) == policy


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('names = ["a b"]', "redaction.names has 'a b'; a name is of letters"),
        ('names = [""]', "redaction.names has ''"),
        ('names = "iban"', "redaction.names must be a list"),
        ('patterns = ["*"]', "which needs 3 characters in a row"),
        ('patterns = ["ab#cd"]', "which needs 3 characters in a row"),
        ('patterns = ["abc***"]', "which has more than 2 stars"),
        ('patterns = ["abc\\u0007"]', "or holds control characters"),
        ('words = ["x"]', "redaction.words is not a policy key; allowed: names, patterns"),
    ],
)
def test_redaction_that_cannot_work_is_refused(line, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse(f"version = 1\n[redaction]\n{line}\n")


def test_default_policy_written_and_read_is_the_same():
    policy = default_policy(HERE.parent)
    again = parse(render_policy(policy))
    assert dataclasses.replace(again, path=None) == policy
    assert render_policy(again) == render_policy(policy)


KEY_TABLES = """version = 1
[keys]
source = "file:trainer.pub"
id = "t1"
suite = "ED25519"
[[keys.previous]]
source = "env:OLD"
id = "k1"
suite = "GMAC"
[keys.local]
source = "env:OWN"
id = "here"
"""


def test_a_key_has_one_suite_and_a_machine_its_own_key():
    policy = parse(KEY_TABLES)
    assert policy.key_sources == (
        ("t1", "file:trainer.pub", "ED25519"),
        ("k1", "env:OLD", "GMAC"),
    )
    assert policy.local_key == ("here", "env:OWN")
    again = parse_policy(render_policy(policy), policy.path)
    assert (again.key_sources, again.local_key) == (policy.key_sources, policy.local_key)


@pytest.mark.parametrize("suite", ["none", "", "hs256", "0", "EdDSA", "HS256 "])
def test_an_unknown_suite_is_refused_with_those_that_there_are(suite):
    message = refused(f'version = 1\n[keys]\nsuite = "{suite}"\n')
    assert ":3: keys.suite" in message
    assert not suite or "HS256, GMAC, AES256GCM, ED25519" in message


def test_the_local_key_has_an_id_of_its_own():
    assert "which another key has" in refused(KEY_TABLES.replace('"here"', '"t1"'))


def test_name_that_is_not_utf_8_cannot_be_written():
    policy = Policy(root=HERE.parent, zones=(Zone("z", ("models\udcff/**",)),))
    with pytest.raises(ConfigError, match=r"cannot name 'models\\udcff/\*\*'"):
        render_policy(policy)


PAGE = Path(__file__).parents[2].joinpath("docs/reference/policy.md").read_text("utf-8")
KEYS = [
    f"{table}.{key}" if table else key
    for table, keys in _TABLES.items()
    for key in keys
    if (f"{table}.{key}" if table else key) not in _TABLES
]


@pytest.mark.parametrize("key", KEYS)
def test_every_key_has_a_row_in_the_reference(key):
    assert PAGE.count(f"| `{key}` | ") == 1


def test_the_reference_has_no_other_rows():
    assert PAGE.count("\n| `") == len(KEYS)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mode", "enforce"),
        ("activation.variable", Activation().variable),
        ("keys.source", KeySource().source),
        ("keys.id", KeySource().id),
        ("keys.suite", KeySource().suite),
        ("limits.depth", str(Limits().depth)),
        ("limits.expansion", str(Limits().expansion)),
        ("limits.members", f"{Limits().members:,}"),
        ("limits.seconds", f"{Limits().seconds:g}"),
        ("limits.artifact", "4 GiB"),
        ("trail.path", default_policy("/").trail),
        ("marks.path", default_policy("/").marks),
        *(("memory.codecs", codec) for codec in MEMORY.codecs),
        *(("zone.codecs", codec) for codec in DATA_CODECS),
    ],
)
def test_the_reference_names_the_default(key, value):
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{key}` | "))
    assert value in row.split("|")[2]


def test_the_example_of_the_reference_is_a_policy():
    assert parse(PAGE.partition("```toml\n")[2].partition("```")[0]).zones


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "subprocess.Popen"])
def test_a_dangerous_name_is_refused_when_the_policy_is_read(tmp_path, name):
    zone = '[[zone]]\nname = "m"\npaths = ["m/**"]\ntrust = "internal"\n'
    text = f'version = 1\n{zone}allow = ["{name}"]\n'

    with pytest.raises(ConfigError, match=r":6: zone\[0\]\.allow .*cannot be allowed"):
        parse_policy(text, tmp_path / "safehold.toml")


def test_the_place_of_the_list_of_unsealed_files_comes_back():
    assert parse("version = 1").unsealed == "unsealed.toml"
    policy = parse('version = 1\n[unsealed]\npath = "/etc/app/unsealed.toml"')
    assert policy.unsealed == "/etc/app/unsealed.toml"
    assert parse(render_policy(policy)) == policy
