from __future__ import annotations

import array
import collections
import datetime as dt
import decimal
import fractions
import io
import ipaddress
import pathlib
import pickle
import random
import re
import sys
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold import dangers
from safehold.allow import PRESETS, AllowList
from safehold.errors import TypeNotAllowed

PLAIN = AllowList.of()


def load(data: bytes, allow: AllowList = PLAIN) -> Any:
    """Load as the codecs do: CPython's unpickler with `resolve` as find_class."""

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> Any:
            return allow.resolve(module, name)

    return Reader(io.BytesIO(data)).load()


VALUES: list[Any] = [
    [{1, 2}, frozenset({3}), bytearray(b"x"), b"", b"\xff", 1j, slice(1, 2), range(3), object],
    [Ellipsis, NotImplemented, type(None), type(...), int, float, str, list, dict, tuple, bool],
    [collections.OrderedDict(a=1), collections.defaultdict(list, a=[1]), collections.deque([1], 3)],
    [collections.Counter("ab"), collections.ChainMap({1: 2}), collections.UserDict(a=1)],
    [dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.date(2020, 1, 1)],
    [dt.timedelta(1), dt.time(1), dt.timezone(dt.timedelta(hours=1))],
    [decimal.Decimal("1.5"), fractions.Fraction(1, 3), uuid.UUID(int=7)],
    [array.array("d", [1.0]), pathlib.PurePosixPath("a/b"), pathlib.Path("a")],
    [re.compile("a+", re.IGNORECASE), ipaddress.ip_address("::1")],
    [
        zoneinfo.ZoneInfo("Europe/Paris"),
        dt.datetime(2020, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")),
    ],
]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_does_nothing_to_plain_values(value: Any, protocol: int) -> None:
    assert load(pickle.dumps(value, protocol)) == value


def test_does_nothing_to_attributes_state_and_exceptions() -> None:
    for protocol in range(6):
        space = load(pickle.dumps(types.SimpleNamespace(a=1), protocol))
        assert space.a == 1
        error = load(pickle.dumps(ValueError("x", 1), protocol))
        assert error.args == ("x", 1)
        source = random.Random(3)
        assert load(pickle.dumps(source, protocol)).random() == source.random()


class _Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def _named(module: str, qualname: str) -> bytes:
    """A pickle of protocol 4 that is nothing but a name."""
    parts = [text.encode("utf-8", "surrogatepass") for text in (module, qualname)]
    return b"\x80\x04" + b"".join(b"X" + len(p).to_bytes(4, "little") + p for p in parts) + b"\x93."


ATTACKS = [
    ("os", "system"),
    ("posix", "system"),
    ("builtins", "eval"),
    ("__builtin__", "eval"),
    ("subprocess", "Popen"),
    ("random", "_os.system"),
    ("collections", "_sys.modules"),
    ("collections", "OrderedDict.__init__.__globals__"),
    ("copyreg", "_reconstructor.__builtins__"),
    ("copyreg", "dispatch_table"),
    ("copyreg", "__newobj__.__class__"),
    ("datetime", "sys.modules"),
    ("uuid", "os.system"),
    ("uuid", "UUID.__init__.__globals__"),
    ("decimal", "Decimal.__reduce__"),
    ("builtins", "object.__subclasses__"),
    ("builtins", "set.__class__"),
    ("pathlib", "Path.write_text"),
    ("pathlib", "PosixPath.unlink"),
    ("functools", "partial"),
    ("operator", "attrgetter"),
    ("numpy.core", "_ufunc_reconstruct"),
    ("numpy._core", "_ufunc_reconstruct"),
    ("commands", "getoutput"),
    ("", ""),
    ("collections", ""),
    ("", "OrderedDict"),
    ("collections.", "OrderedDict"),
    ("collections\x00", "OrderedDict"),
    ("collections", "OrderedDict "),
    ("collections", "Ordere\u0064Dict.\ud800"),
]


@pytest.mark.parametrize(("module", "qualname"), ATTACKS)
def test_attack_by_name_is_refused(module: str, qualname: str) -> None:
    with pytest.raises(TypeNotAllowed) as caught:
        PLAIN.resolve(module, qualname)
    assert caught.value.name == f"{module}.{qualname}"


@pytest.mark.parametrize("allow", [[], PRESETS, ["*"]], ids=["plain", "presets", "all"])
@pytest.mark.parametrize("protocol", range(6))
def test_planted_call_never_runs(tmp_path: Path, protocol: int, allow: list[str]) -> None:
    import os

    marker = tmp_path / "ran"
    data = pickle.dumps(_Call(os.mkdir, str(marker)), protocol)
    with pytest.raises(TypeNotAllowed):
        load(data, AllowList.of(allow))
    assert not marker.exists()


def test_codec_other_than_latin1_is_refused() -> None:
    import codecs

    data = pickle.dumps(_Call(codecs.encode, "x", "latin1"), 4)
    assert load(data) == b"x"
    for codec in (b"rot13_", b"zlib__", b"idna__"):
        with pytest.raises(ValueError, match="latin1 only"):
            load(data.replace(b"latin1", codec))


def test_type_of_other_values_is_refused() -> None:
    with pytest.raises(ValueError, match="None, NotImplemented and Ellipsis"):
        load(pickle.dumps(_Call(type, 7)))
    with pytest.raises(TypeError):
        load(pickle.dumps(_Call(type, "X", (), {})))


def test_getattr_gives_listed_members_only() -> None:
    member = load(pickle.dumps(_Call(getattr, zoneinfo.ZoneInfo, "_unpickle")))
    assert member("UTC", True) == zoneinfo.ZoneInfo("UTC")
    for owner, name in [
        (zoneinfo.ZoneInfo, "from_file"),
        (zoneinfo.ZoneInfo, "__init__"),
        (zoneinfo.ZoneInfo, "_unpickle.__self__"),
        (collections.OrderedDict, "fromkeys"),
        (uuid.UUID(int=1), "bytes"),
        ([], "append"),
        (zoneinfo.ZoneInfo, b"_unpickle"),
    ]:
        with pytest.raises(TypeNotAllowed):
            load(pickle.dumps(_Call(getattr, owner, name)))
    with pytest.raises(TypeError):
        load(pickle.dumps(_Call(getattr, zoneinfo.ZoneInfo, "_unpickle", None)))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A service's own package, with what real modules hold beside their classes."""
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "models.py").write_text(
        "import os\nfrom os import system\nfrom functools import partial\n"
        "from types import CodeType, FunctionType\nimport mimetypes, subprocess\n"
        "class Model:\n    class Part:\n        pass\n    limit = 3\n    inner = os\n"
        "model = Model()\nsettings = {'a': 1}\n"
        "def train():\n    return 'trained'\n"
        "later = partial(system, 'true')\nreader = mimetypes.MimeTypes().read\n"
        "run = staticmethod(system)\nset_any = object.__setattr__\n"
        "class Child(subprocess.Popen):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


def test_own_class_and_its_inner_class_resolve(shop: Path) -> None:
    allow = AllowList.of(["shop.models.Model", "shop.models:Model.Part", "shop.models.train"])
    model = allow.resolve("shop.models", "Model")
    assert model.__name__ == "Model"
    assert allow.resolve("shop.models", "Model.Part") is model.Part
    assert allow.resolve("shop.models", "train")() == "trained"
    assert allow.resolve("shop.models", "Model") is model


@pytest.mark.parametrize(
    "name",
    ["system", "partial", "model", "settings", "Model.limit", "Model.inner", "absent",
     "Model.absent", "model.Part", "later", "reader", "run", "set_any", "CodeType", "FunctionType"],
)  # fmt: skip
@pytest.mark.parametrize("allow", ["exact", "everything"])
def test_what_stands_beside_own_classes_is_refused(shop: Path, name: str, allow: str) -> None:
    names = [f"shop.models.{name}"] if allow == "exact" else ["*"]
    with pytest.raises(TypeNotAllowed):
        AllowList.of(names).resolve("shop.models", name)


def test_a_class_derived_from_a_dangerous_one_has_to_be_named(shop: Path) -> None:
    with pytest.raises(TypeNotAllowed, match="subprocess"):
        AllowList.of(["*"]).resolve("shop.models", "Child")
    child = AllowList.of(["shop.models.Child"]).resolve("shop.models", "Child")
    assert child.__name__ == "Child"


def test_module_beside_own_classes_is_refused(shop: Path) -> None:
    for name in ("os", "Model.inner"):
        with pytest.raises(TypeNotAllowed):
            AllowList.of(["*"]).resolve("shop.models", name)


def test_preset_name_that_became_a_module_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uuid, "UUID", types.ModuleType("UUID"))
    with pytest.raises(TypeNotAllowed, match="is a module"):
        AllowList(()).resolve("uuid", "UUID")


def test_module_under_another_name_is_refused(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from shop import models  # type: ignore[import-not-found]  # made by the fixture

    monkeypatch.setitem(sys.modules, "shop.alias", models)
    monkeypatch.setitem(sys.modules, "alias", types.ModuleType("other"))
    allow = AllowList.of(["shop.alias.Model", "alias.models.Model"])
    with pytest.raises(TypeNotAllowed, match="another module"):
        allow.resolve("shop.alias", "Model")
    with pytest.raises(TypeNotAllowed):
        allow.resolve("alias.models", "Model")


def test_dotted_name_is_not_split_at_another_place(shop: Path) -> None:
    allow = AllowList.of(["shop.models.Model", "shop.pickle.Model"])
    assert allow.resolve("shop.models", "Model").__name__ == "Model"
    with pytest.raises(TypeNotAllowed, match="not a class"):
        allow.resolve("shop", "models.Model")
    with pytest.raises(TypeNotAllowed, match="not in the allow list"):
        allow.resolve("shop", "pickle.Model")


def test_module_that_is_not_installed_is_refused_with_its_cause() -> None:
    with pytest.raises(TypeNotAllowed, match="cannot be imported") as caught:
        AllowList.of(["absent_package.Model"]).resolve("absent_package", "Model")
    assert isinstance(caught.value.__cause__, ImportError)


def test_refusals_are_what_callers_of_pickle_catch() -> None:
    with pytest.raises(pickle.UnpicklingError):
        load(pickle.dumps(_Call(print, "x")))


def test_names_are_resolved_once(shop: Path) -> None:
    allow = AllowList(["shop.models.Model"])
    first = allow.resolve("shop.models", "Model")
    del sys.modules["shop.models"]
    assert allow.resolve("shop.models", "Model") is first


_NAMES = st.one_of(
    st.sampled_from([part for row in dangers.rows() for part in row.name.split(".")]),
    st.sampled_from(["collections", "OrderedDict", "copyreg", "builtins", "datetime", "uuid"]),
    st.text(max_size=5),
)


@given(st.lists(_NAMES, max_size=4), st.lists(_NAMES, max_size=4))
def test_a_name_resolves_or_is_refused(left: list[str], right: list[str]) -> None:
    module, qualname = ".".join(left), ".".join(right)
    try:
        found = PLAIN.resolve(module, qualname)
    except TypeNotAllowed:
        return
    assert PLAIN.permits(module, qualname)
    assert callable(found) or found in (Ellipsis, NotImplemented)


@given(st.sampled_from(sorted(sys.stdlib_module_names)), _NAMES, _NAMES)
def test_modules_of_the_standard_library_give_listed_names_only(
    module: str, first: str, second: str
) -> None:
    for qualname in (first, f"{first}.{second}"):
        if not PLAIN.permits(module, qualname):
            with pytest.raises(TypeNotAllowed):
                load(_named(module, qualname))
