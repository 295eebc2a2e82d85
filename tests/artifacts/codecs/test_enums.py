"""Enumerations in data: the allow list names the class, the data chooses among its members."""

from __future__ import annotations

import enum
import sys
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from uuid import uuid4

import pytest

from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading
from safehold.errors import DecodeError, EncodeError, TypeNotAllowed
from tests.holding import ZONES, make_world


class Colour(enum.Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796  (an alias)
    BLUE = [1, 2]  # noqa: RUF012  (unhashable on purpose)


class Level(enum.IntEnum):
    LOW = 1


class Mode(enum.StrEnum):
    FAST = "fast"


class Power(enum.Flag):
    RUN = 1
    READ = 2
    WRITE = 8
    BOTH = 10


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


class Outer:
    class Kind(enum.Enum):
        A = object()


class Named(enum.Enum):
    """Whose members have a property in the place of their name."""

    A = 1
    B = 2

    @property
    def name(self):
        return "B"


class Drops(enum.Flag, boundary=enum.CONFORM):
    A = 1


class Leaves(enum.IntFlag, boundary=enum.EJECT):
    A = 1


class NoEnum:
    RED = 1
    __members__ = {"RED": 1}  # noqa: RUF012  (as an enumeration has it)


ALL = (Colour, Level, Mode, Power, Bits, Outer.Kind, Named, Drops, Leaves)
NAMES = [f"{kind.__module__}.{kind.__qualname__}" for kind in ALL]
ALLOW = AllowList.of(NAMES)
HERE = __name__


@pytest.fixture(params=["json", "msgpack"])
def codec(request):
    return import_module(f"safehold.artifacts.codecs.{request.param}")


def decode(codec, encoded, allow=ALLOW, *, imports=False):
    (segment,) = encoded.segments
    return codec.decode([memoryview(bytes(segment))], Reading(allow, 64, imports=imports))


def raw(codec, tag, plain):
    """Encode a tag with any plain form."""
    from safehold.artifacts.codecs import Encoded

    return Encoded([codec._encode(codec._tag(tag, plain))])


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED, Colour.CRIMSON, Colour.BLUE, Level.LOW, Mode.FAST, Power.RUN, Power.BOTH,
        Power.RUN | Power.WRITE, Power(0), ~Power.RUN, Bits.ONE | Bits.TWO, Bits(0), Bits(12),
        Bits.ONE | 64, Outer.Kind.A, Named.A,
    ],
    ids=repr,
)  # fmt: skip
def test_members_come_back_themselves(value, codec):
    for outer in (value, [value], {"k": value}, {value} if value.__hash__ else [value]):
        found = decode(codec, codec.encode(outer, 64, ALLOW))
        inner = found["k"] if type(outer) is dict else found
        inner = next(iter(inner)) if type(outer) in (list, set) else inner
        assert type(inner) is type(value)
        assert inner is value
        assert type(found) is type(outer)


def test_as_keys_they_stay_what_they_are(codec):
    value = {Mode.FAST: 1, "fast ": 2, Level.LOW: 3}
    found = decode(codec, codec.encode(value, 64, ALLOW))
    assert [type(key) for key in found] == [Mode, str, Level]
    assert found == value


def test_their_form_is_written_down():
    codec = import_module("safehold.artifacts.codecs.json")
    encode = lambda value: bytes(codec.encode(value, 64, ALLOW).segments[0]).decode()  # noqa: E731
    assert encode(Colour.CRIMSON) == f'{{"$enum":["{HERE}.Colour","RED"]}}'
    assert encode(Power.RUN | Power.WRITE) == f'{{"$enum":["{HERE}.Power",["RUN","WRITE"],0]}}'
    assert encode(Bits(12)) == f'{{"$enum":["{HERE}.Bits",[],12]}}'
    assert import_module("safehold.artifacts.codecs.msgpack")._CODES["enum"] == 33


def test_the_names_of_the_classes_are_given(codec):
    assert codec.encode([Level.LOW, {"a": Colour.RED}, Level.LOW], 64, ALLOW).names == [
        f"{HERE}.Colour", f"{HERE}.Level",
    ]  # fmt: skip
    assert codec.encode([1], 64, ALLOW).names == []


@pytest.mark.parametrize("allow", [None, AllowList.of(), AllowList.of([f"{HERE}.Level"])])
def test_a_class_that_is_not_listed_is_refused_with_its_place(allow, codec):
    with pytest.raises(EncodeError, match=r"^value\['k'\]\[1\] is a member of .*\.Colour, which"):
        codec.encode({"k": [0, Colour.RED]}, 64, allow)


def test_a_class_that_its_name_does_not_lead_to_is_refused(codec, monkeypatch):
    class Local(enum.Enum):
        A = 1

    with pytest.raises(EncodeError, match="cannot be found again"):
        codec.encode(Local.A, 64, AllowList.of(["*"]))
    value = Level.LOW
    other = enum.IntEnum("Level", "LOW", module=HERE)
    monkeypatch.setattr(sys.modules[HERE], "Level", other)
    with pytest.raises(EncodeError, match="cannot be found again"):
        codec.encode(value, 64, AllowList.of([f"{HERE}.Level"]))


def test_what_the_reader_does_not_allow_is_refused(codec):
    encoded = codec.encode([Colour.RED], 64, ALLOW)
    with pytest.raises(TypeNotAllowed, match="Colour") as caught:
        decode(codec, encoded, AllowList.of([f"{HERE}.Level"]))
    assert caught.value.name == f"{HERE}.Colour"


@pytest.mark.parametrize(
    "plain",
    [
        [f"{HERE}.Colour", "GREEN"], [f"{HERE}.Colour", "__class__"], [f"{HERE}.Colour", "mro"],
        [f"{HERE}.Colour", 1], [f"{HERE}.Colour", None], [f"{HERE}.Colour", ["RED"], 0],
        [f"{HERE}.Power", ["RUN", "GONE"], 0], [f"{HERE}.Power", [], 64],
        [f"{HERE}.Power", ["RUN"], True], [f"{HERE}.Power", ["RUN"], "1"], [f"{HERE}.Power", 1, 2],
        [f"{HERE}.Colour"], [], None, 5, [f"{HERE}.Colour", "RED", 0, 0], [None, "RED"],
        [f"{HERE}.NoEnum", "RED"], [f"{HERE}.Drops", ["A"], 64],
        [f"{HERE}.Leaves", ["A"], 64], [5, "RED"], [f"{HERE}.Missing", "RED"],
    ],
    ids=repr,
)  # fmt: skip
def test_other_forms_are_decode_errors(plain, codec):
    """A renamed member, too."""
    allow = AllowList.of([*NAMES, f"{HERE}.NoEnum", f"{HERE}.Missing"])
    with pytest.raises(DecodeError):
        decode(codec, raw(codec, "enum", plain), allow)


@pytest.mark.parametrize("name", ["os.system", "Colour", "", ".", f"{HERE}..Colour", "sys.exit"])
def test_other_names_are_not_allowed(name, codec):
    for allow in (ALLOW, AllowList.of(["*"])):
        with pytest.raises((TypeNotAllowed, DecodeError)):
            decode(codec, raw(codec, "enum", [name, "RED"]), allow, imports=True)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A package that is installed and not imported; lists remember what they resolved."""
    package = f"shop_{uuid4().hex}"
    folder = tmp_path / package
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    text = "import enum\nclass State(enum.Enum):\n    NEW = 1\n    class_ = 2\n"
    (folder / "models.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield f"{package}.models.State"
    forget(package)


def forget(package):
    """Return whether it was imported, which it is not any more."""
    found = [name for name in sys.modules if name.partition(".")[0] == package.partition(".")[0]]
    for name in found:
        del sys.modules[name]
    return bool(found)


def test_only_a_listed_module_is_imported_and_only_where_that_may_be(shop, codec):
    encoded = raw(codec, "enum", [shop, "NEW"])
    own = AllowList.of([shop])
    for allow, imports in ((own, False), (AllowList.of(["*"]), True), (ALLOW, True)):
        with pytest.raises((DecodeError, TypeNotAllowed)):
            decode(codec, encoded, allow, imports=imports)
        assert not forget(shop)
    found = decode(codec, encoded, own, imports=True)
    assert found is sys.modules[shop.removesuffix(".State")].State.NEW


def test_what_is_imported_already_is_found_without(shop, codec):
    module = import_module(shop.removesuffix(".State"))
    encoded = raw(codec, "enum", [shop, "NEW"])
    assert decode(codec, encoded, AllowList.of([shop])) is module.State.NEW
    assert decode(codec, encoded, AllowList.of(["*"])) is module.State.NEW


def worlds(tmp_path, *allow):
    zones = [replace(zone, allow=allow) if zone.name == "data" else zone for zone in ZONES]
    return make_world(tmp_path, zones=tuple(zones))


def test_a_zone_that_lists_the_class_stores_and_loads_it(tmp_path, codec):
    """An external zone, in which nothing is imported."""
    world = worlds(tmp_path, f"{HERE}.Colour")
    path = world.root / "data" / f"a.{codec.__name__.rpartition('.')[2]}"
    info = world.store.dump({"k": Colour.RED}, path)
    assert info.globals == (f"{HERE}.Colour",)
    assert world.store.load(path) == {"k": Colour.RED}
    with pytest.raises(EncodeError, match="Level"):
        world.store.dump({"k": Level.LOW}, path)
    with pytest.raises(TypeNotAllowed):
        worlds(tmp_path).store.load(path)
    with pytest.raises(TypeNotAllowed):
        world.store.load(path, allow=[])
    world.store.renew(path)
    assert world.store.inspect(path).globals == (f"{HERE}.Colour",)


def test_a_zone_decides_whether_modules_are_imported(shop, tmp_path, codec):
    """Not in an external one, though the list has the name."""
    module = import_module(shop.removesuffix(".State"))
    value = module.State.NEW
    zones = tuple(replace(zone, allow=(shop,)) for zone in ZONES)
    world = make_world(tmp_path, zones=zones)
    name = f"a.{codec.__name__.rpartition('.')[2]}"
    for folder in ("models", "data"):
        world.store.dump(value, world.root / folder / name)
    assert forget(shop)
    again = make_world(tmp_path, zones=zones)
    AllowList.of([shop])._resolved.clear()
    with pytest.raises(DecodeError, match="import its module first"):
        again.store.load(world.root / "data" / name)
    assert again.store.load(world.root / "models" / name).name == "NEW"
    assert again.store.load(world.root / "data" / name).name == "NEW"


def test_a_module_that_only_claims_to_be_one_is_not_taken(codec, monkeypatch):
    """What stands in sys.modules under a name must be the module of that name."""
    fake = ModuleType("another")
    fake.Colour = Colour
    monkeypatch.setitem(sys.modules, "fake_of_test", fake)
    encoded = raw(codec, "enum", ["fake_of_test.Colour", "RED"])
    with pytest.raises(DecodeError):
        decode(codec, encoded, AllowList.of(["fake_of_test.Colour"]))


def test_the_suggested_list_has_them(tmp_path, codec):
    from safehold.artifacts.suggesting import suggest_allow

    world = worlds(tmp_path, f"{HERE}.Colour")
    path = world.root / "data" / f"a.{codec.__name__.rpartition('.')[2]}"
    world.store.dump([Colour.RED], path)
    assert suggest_allow([str(path)], world.store).allow == (f"{HERE}.Colour",)
