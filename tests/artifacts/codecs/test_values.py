"""Plain values in both data codecs: exactly the same comes back, or an error names the place."""

from __future__ import annotations

import contextlib
import io
import math
import struct
import sys
import uuid
import warnings
from collections import Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType, SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading
from safehold.errors import DecodeError, EncodeError, LimitExceeded, TypeNotAllowed
from tests.exact import same

DEPTH = 64
READING = Reading(AllowList.of(), DEPTH)
NAMES = ("json", "msgpack")
CODECS = [import_module(f"safehold.artifacts.codecs.{name}") for name in NAMES]


def encoded(codec, value: object, depth: int = DEPTH) -> bytes:
    (segment,) = codec.encode(value, depth).segments
    return bytes(segment)


def there_and_back(codec, value: object, depth: int = DEPTH) -> object:
    data = memoryview(encoded(codec, value, depth))
    return codec.decode([data], Reading(AllowList.of(), depth))


@pytest.fixture(params=CODECS, ids=NAMES)
def codec(request):
    return request.param


def bits(text: str) -> float:
    return struct.unpack(">d", bytes.fromhex(text))[0]


ZONE = ZoneInfo("Europe/Berlin")
VALUES = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "one": 1,
    "minus": -1,
    "int64 least": -(2**63),
    "beyond int64": -(2**63) - 1,
    "uint64 most": 2**64 - 1,
    "beyond uint64": 2**64,
    "huge": 10**5000,
    "huge minus": -(10**5000),
    "half": 0.5,
    "whole float": 1.0,
    "large float": 1e16,
    "largest float": sys.float_info.max,
    "least float": 5e-324,
    "minus zero": -0.0,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "nan": math.nan,
    "minus nan": bits("fff8000000000000"),
    "nan with payload": bits("7ff8000000abcdef"),
    "complex": 1.5 - 2j,
    "complex zeros": complex(-0.0, 0.0),
    "complex nan": complex(math.nan, -math.inf),
    "text": "ünï\0code 模",
    "no text": "",
    "lone surrogate": "a\udcff\ud800b",
    "emoji": "😀",
    "bytes": bytes(range(256)),
    "no bytes": b"",
    "bytearray": bytearray(b"abc"),
    "list": [1, [2, [3]]],
    "empty list": [],
    "tuple": (1, (2,), ()),
    "set": {1, 2, 3},
    "set of tuples": {(1, "a"), (2, "b")},
    "set of many types": {1, "a", None, 2.5},
    "set of decimals": {Decimal("NaN"), Decimal(1)},
    "frozenset": frozenset({"a"}),
    "nested set": frozenset({frozenset({1}), frozenset()}),
    "deque": deque([1, 2, 3]),
    "deque with limit": deque([1, 2], maxlen=5),
    "dict": {"b": 1, "a": 2},
    "empty dict": {},
    "dict of ints": {1: "a", 2: "b"},
    "dict of tuples": {(1, 2): [3], None: 4, 2.5: 5, True: 6},
    "dict of mixed": {"1": "a", 1: "b"},
    "dict of surrogates": {"\udcff": 1},
    "dict of dicts": {"a": {1: {"b": {2: 3}}}},
    "ordered": OrderedDict([("b", 1), ("a", 2)]),
    "counter": Counter("abracadabra"),
    "counter of tuples": Counter({(1, 2): -3}),
    "defaultdict": defaultdict(list, {"a": [1]}),
    "defaultdict of int keys": defaultdict(int, {1: 2}),
    "defaultdict without": defaultdict(None, {"a": 1}),
    "like a tag": {"$tuple": [1, 2]},
    "like a tag in a list": [{"$bytes": "AA=="}],
    "like an unknown tag": {"$whatever": 1},
    "dollar": {"$": 1, "a": 2},
    "dollar key in a dict of ints": {1: {"$set": [1]}},
    "datetime": datetime(2026, 11, 25, 1, 2, 3, 456789),  # noqa: DTZ001  (naive values exist)
    "datetime least": datetime.min,  # noqa: DTZ901
    "datetime utc": datetime(2026, 1, 1, tzinfo=UTC),
    "datetime offset": datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    "datetime odd offset": datetime(
        2026, 1, 1, tzinfo=timezone(timedelta(seconds=1, microseconds=5))
    ),
    "datetime zone": datetime(2026, 7, 1, tzinfo=ZONE),
    "datetime fold": datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZONE),
    "datetime fold without zone": datetime(2026, 10, 25, 2, 30, fold=1),  # noqa: DTZ001
    "datetime zone utc": datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")),
    "date": date(1, 1, 1),
    "time": time(23, 59, 59, 999999),
    "time fold": time(2, 30, fold=1, tzinfo=ZONE),
    "time utc": time(1, tzinfo=UTC),
    "timedelta": timedelta(days=-1, seconds=5, microseconds=7),
    "timedelta most": timedelta.max,
    "utc": UTC,
    "offset": timezone(timedelta(hours=5)),
    "zone": ZONE,
    "decimal": Decimal("1.10"),
    "decimal exponent": Decimal("-0E+10"),
    "decimal nan": Decimal("-sNaN123"),
    "decimal infinity": Decimal("-Infinity"),
    "decimal long": Decimal("1" * 200),
    "fraction": Fraction(-(10**40), 3),
    "uuid": uuid.UUID(int=5),
    "uuid safe": uuid.UUID(int=6, is_safe=uuid.SafeUUID.safe),
    "range": range(10, -5, -3),
    "huge range": range(2**70),
    "slice": slice(None, 5, (1, 2)),
    "ellipsis": ...,
    "path": Path("a/../b"),
    "path of bytes": Path("\udcff"),
    "pure path": PurePosixPath("//a/b"),
    "windows path": PureWindowsPath("C:\\a\\b"),
    "deep": [{"a": ({1: [deque([{"b": (None,)}])]},)}],
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_comes_back_exactly(value, codec):
    assert same(there_and_back(codec, value), value)
    assert same(there_and_back(codec, [value, {"k": value}]), [value, {"k": value}])


def test_a_decimal_does_not_depend_on_the_context(codec):
    from decimal import localcontext

    with localcontext(prec=3):
        assert same(there_and_back(codec, Decimal("1.23456789")), Decimal("1.23456789"))


def test_equal_sets_encode_alike(codec):
    words = [f"word{number}" for number in range(50)]
    backwards = words[::-1]
    assert encoded(codec, set(words)) == encoded(codec, set(backwards))


def test_the_order_of_keys_stays(codec):
    keys = list("zyxabc")
    assert list(there_and_back(codec, dict.fromkeys(keys))) == keys


def test_what_is_shared_comes_back_as_copies(codec):
    inner = [1]
    one, two = there_and_back(codec, [inner, inner])
    assert one == two
    assert one is not two


# --- properties ----------------------------------------------------------------------------

texts = st.text(st.characters(), max_size=8)  # lone surrogates too
zones = st.one_of(
    st.none(),
    st.just(UTC),
    st.timezones(),
    st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_subnormal=True),
    st.binary(min_size=8, max_size=8).map(lambda data: struct.unpack(">d", data)[0]),
    st.complex_numbers(),
    texts,
    st.binary(max_size=8),
    st.datetimes(timezones=zones),
    st.dates(),
    st.times(timezones=zones),
    st.timedeltas(),
    st.decimals(),
    st.fractions(),
    st.uuids(),
    st.builds(range, st.integers(), st.integers(), st.integers().filter(bool)),
    st.sampled_from([..., UTC, ZONE, Path("x/y"), PurePosixPath("/"), PureWindowsPath("c:/")]),
)


def hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return value == value  # a NaN as a key is equal to nothing  # noqa: PLR0124


keys = scalars.filter(hashable)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.lists(inner, max_size=4).map(deque),
        st.dictionaries(texts | st.sampled_from(["$tuple", "$", "$x"]), inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(keys, inner, max_size=3).map(OrderedDict),
        st.dictionaries(texts, inner, max_size=3).map(lambda found: defaultdict(dict, found)),
        st.binary(max_size=5).map(bytearray),
        st.builds(slice, inner, inner, inner),
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("codec", CODECS, ids=NAMES)
@given(value=values)
def test_any_value_comes_back_exactly(codec, value):
    assert same(there_and_back(codec, value), value)


@pytest.mark.parametrize("codec", CODECS, ids=NAMES)
@given(value=st.sets(keys, max_size=5))
def test_any_set_comes_back(codec, value):
    assert there_and_back(codec, value) == value
    assert there_and_back(codec, frozenset(value)) == value


@pytest.mark.parametrize("codec", CODECS, ids=NAMES)
@given(value=values)
def test_encoding_what_came_back_gives_the_same_bytes(codec, value):
    data = encoded(codec, value)
    assert encoded(codec, codec.decode([memoryview(data)], READING)) == data


# --- what has no form ----------------------------------------------------------------------


class Text(str):
    __slots__ = ()


class MyDict(dict):
    pass


class MyZone(tzinfo):
    def utcoffset(self, when: object) -> timedelta:
        return timedelta()

    def tzname(self, when: object) -> str:
        return "X"


class OddModule:
    __module__ = 5  # type: ignore[assignment]


class FakeNumpy:
    __module__ = "numpy"


@dataclass
class Row:
    a: int = 1


Point = namedtuple("Point", "x y")  # noqa: PYI024
with Path(ZoneInfo("UTC").key) if False else io.BytesIO() as _:
    pass

HOMELESS = {
    "text subclass": Text("a"),
    "dict subclass": MyDict(a=1),
    "named tuple": Point(1, 2),
    "dataclass": Row(),
    "object": object(),
    "function": same,
    "lambda": lambda: None,
    "class": int,
    "own class": Row,
    "module": sys,
    "builtin": len,
    "memoryview": memoryview(b"a"),
    "user dict": UserDict(),
    "mapping proxy": MappingProxyType({}),
    "namespace": SimpleNamespace(),
    "generator": (x for x in ()),
    "dict view": {}.keys(),
    "not implemented": NotImplemented,
    "exception": ValueError(),
    "own zone": MyZone(),
    "odd module": OddModule(),
    "fake numpy": FakeNumpy(),
}


@pytest.mark.parametrize("value", HOMELESS.values(), ids=HOMELESS)
def test_any_other_type_is_refused_and_named(value, codec):
    with pytest.raises(EncodeError, match="which this codec cannot hold without loss") as caught:
        codec.encode({"a": [1, value]}, DEPTH)
    assert str(caught.value).startswith("value['a'][1] is a ")
    assert type(value).__qualname__ in str(caught.value)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (object(), "value "),
        ([0, object()], "value[1] "),
        ({"a": {"b": [object()]}}, "value['a']['b'][0] "),
        ((0, (1, object())), "value[1][1] "),
        ({1: {"b": object()}}, "value[1]['b'] "),
        ({"$a": object()}, "value['$a'] "),
        ({"a": 1, 2: 3, b"c": object()}, "value[b'c'] "),
        ({object(): 1}, "value['key object'] "),
        (OrderedDict(a=1, b=object()), "value['b'] "),
        ([datetime(2026, 1, 1, tzinfo=MyZone())], "value[0] has the time zone"),
        ({"t": time(tzinfo=timezone(timedelta(), "NAME"))}, "value['t'] has the time zone"),
        ({"d": defaultdict(lambda: 1)}, "value['d'] is a defaultdict of"),
        ({"x" * 500: object()}, "value['xxxx"),
    ],
    ids=range(13),
)
def test_the_error_names_the_place(value, place, codec):
    with pytest.raises(EncodeError) as caught:
        codec.encode(value, DEPTH)
    assert str(caught.value).startswith(place)
    assert len(str(caught.value)) < 400


def test_a_zone_that_was_read_from_a_file_is_refused(codec):
    from importlib import resources

    try:
        data = resources.files("tzdata.zoneinfo.Europe").joinpath("Berlin").read_bytes()
    except ModuleNotFoundError:
        data = Path("/usr/share/zoneinfo/Europe/Berlin").read_bytes()
    zone = ZoneInfo.from_file(io.BytesIO(data), key="Europe/Paris")
    with pytest.raises(EncodeError, match="has the time zone"):
        codec.encode([datetime(2026, 1, 1, tzinfo=zone)], DEPTH)
    with pytest.raises(EncodeError, match="has the time zone"):
        codec.encode(zone, DEPTH)


def test_a_factory_that_only_has_the_name_of_a_builtin_is_refused(codec):
    def list_() -> list[int]:
        return []

    list_.__name__ = "list"
    with pytest.raises(EncodeError, match="defaultdict of"):
        codec.encode(defaultdict(list_), DEPTH)


# --- depth ---------------------------------------------------------------------------------


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def test_the_depth_limit_is_exact(codec):
    assert there_and_back(codec, nested(DEPTH)) == nested(DEPTH)
    with pytest.raises(LimitExceeded, match="deeper than 64"):
        codec.encode(nested(DEPTH + 1), DEPTH)


@pytest.mark.parametrize(
    "wrap",
    [lambda v: (v,), lambda v: {"a": v}, lambda v: {1: v}, lambda v: deque([v]),
     lambda v: OrderedDict(a=v), lambda v: defaultdict(int, a=v), slice],
    ids=range(7),
)  # fmt: skip
def test_what_was_encoded_within_the_limit_is_decoded_within_it(wrap, codec):
    value: object = "\udcff"
    while True:
        following = wrap(value)
        try:
            codec.encode(following, DEPTH)
        except LimitExceeded:
            break
        value = following
    assert same(there_and_back(codec, value), value)


def test_a_limit_beyond_the_interpreter_is_still_a_typed_error(codec):
    with pytest.raises(LimitExceeded):
        codec.encode(nested(50_000), 10**6)
    holding: list[object] = []
    holding.append(holding)
    with pytest.raises(LimitExceeded):
        codec.encode(holding, 10**6)


# --- hostile bytes -------------------------------------------------------------------------


@pytest.mark.parametrize("codec", CODECS, ids=NAMES)
@given(data=st.binary(max_size=64))
def test_any_bytes_end_in_a_value_or_a_typed_error(codec, data):
    with contextlib.suppress(DecodeError, LimitExceeded):
        codec.decode([memoryview(data)], READING)


trees = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(), st.text(max_size=6),
        st.binary(max_size=6),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab$", max_size=3), inner),
    max_leaves=8,
)  # fmt: skip


@given(tag=st.sampled_from(import_module("safehold.artifacts.codecs.values").TAGS), plain=trees)
def test_any_tag_with_any_content_ends_in_a_value_or_a_typed_error(tag, plain):
    values_module = import_module("safehold.artifacts.codecs.values")
    with warnings.catch_warnings(), contextlib.suppress(DecodeError, TypeNotAllowed, ImportError):
        warnings.simplefilter("ignore")  # NumPy has words on some names of dtypes
        values_module.rebuild(tag, plain)


@pytest.mark.parametrize(
    ("tag", "plain"),
    [
        ("set", [1, 2, 1]), ("frozenset", ["a", "a"]), ("set", [1, True]),
        ("pairs", [[1, "a"], [1, "b"]]), ("ordered", [["a", 1], ["b", 2], ["a", 3]]),
        ("counter", [["a", 1], ["a", 1]]), ("defaultdict", ["int", [["a", 1], ["a", 2]]]),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_repeated_is_refused_and_not_lost(tag, plain):
    rebuild = import_module("safehold.artifacts.codecs.values").rebuild
    with pytest.raises(DecodeError, match="stands there twice"):
        rebuild(tag, plain)


@pytest.mark.parametrize("tag", ["nothing", "", "__class__", "$tuple"])
def test_an_unknown_tag_is_refused(tag):
    with pytest.raises(DecodeError, match="holds an invalid value"):
        import_module("safehold.artifacts.codecs.values").rebuild(tag, [])


def test_the_codes_of_tags_never_change():
    """Files hold the position; a new tag goes to the end."""
    from safehold.artifacts.codecs.values import TAGS

    assert TAGS == (
        "tuple", "set", "frozenset", "deque", "ordered", "counter", "defaultdict", "pairs",
        "bytes", "bytearray", "complex", "int", "float", "str", "datetime", "date", "time",
        "timedelta", "timezone", "zoneinfo", "decimal", "fraction", "uuid", "range", "slice",
        "ellipsis", "posixpath", "windowspath", "path", "ndarray", "npscalar", "npdtype", "pandas",
        "enum",
    )  # fmt: skip
