from __future__ import annotations

import pickle

import pytest

from safehold import dangers
from safehold.allow import PRESETS, AllowList, Preset, preset
from safehold.errors import ConfigError
from scripts import allow_review

ALL = AllowList.of(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_preset_is_well_formed(name: str) -> None:
    one = preset(name)
    assert isinstance(one, Preset)
    assert one.name == name
    assert one.versions
    assert not one.classes & one.functions
    assert one.called <= one.classes | one.functions
    assert one.elsewhere <= one.classes | one.functions
    for entry in one.classes | one.functions:
        module, _, qualname = entry.partition(":")
        assert all(part.isidentifier() for part in (*module.split("."), *qualname.split(".")))


def test_presets_share_no_name() -> None:
    names = [entry for name in PRESETS for entry in preset(name).classes | preset(name).functions]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", PRESETS)
def test_no_preset_permits_what_is_dangerous(name: str) -> None:
    one = preset(name)
    found = {
        entry
        for entry in one.classes | one.functions
        if dangers.lookup(*entry.split(":")) is not None
    }
    assert found <= set(allow_review.CONDITIONAL)


@pytest.mark.parametrize("row", [row.name for row in dangers.rows()])
def test_no_row_of_the_dangers_is_permitted(row: str) -> None:
    parts = row.split(".")
    for border in range(1, len(parts)):
        module, qualname = ".".join(parts[:border]), ".".join(parts[border:])
        if ALL.permits(module, qualname):
            allowed = {*allow_review.CONDITIONAL} | {f"pathlib:{n}" for n in _PATHS}
            assert f"{module}:{qualname}" in allowed
        assert not ALL.permits(row, "x")


_PATHS = ("Path", "PosixPath", "WindowsPath")


@pytest.mark.parametrize("name", allow_review.CONDITIONAL)
def test_conditional_names_refuse_most_arguments(name: str) -> None:
    module, qualname = name.split(":")
    assert ALL.permits(module, qualname)
    for args in [(), ("os",), (print,), (print, "x"), ("x", "rot13"), (1, 2, 3), (object, "x")]:
        assert not ALL.arguments_ok(module, qualname, args)


def test_every_name_left_out_is_left_out() -> None:
    examples = """
        numpy.core:_ufunc_reconstruct numpy._core:_ufunc_reconstruct numpy:memmap numpy:vectorize
        numpy.lib.npyio:NpzFile numpy:DataSource scipy.stats._continuous_distns:norm_gen
        scipy.stats._distn_infrastructure:rv_continuous_frozen joblib.memory:Memory
        scipy.stats._distn_infrastructure:rv_frozen sklearn.externals.joblib:load
        pandas.io.pickle:read_pickle operator:methodcaller operator:add builtins:map
        builtins:eval builtins:iter itertools:count logging:getLogger dateutil.tz.tz:tzfile
        sklearn.datasets._base:load_iris functools:reduce numpy:errstate dask.core:get
    """
    for entry in examples.split():
        assert not ALL.permits(*entry.split(":")), entry


def test_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=", ".join(PRESETS)):
        preset("sklern")
    with pytest.raises(ConfigError, match="sklern"):
        AllowList.of(["sklern"])


@pytest.mark.parametrize("name", ["a.", ".a", "a..b", "a b.c", "os-system.x", "a.*", "a:b:c"])
def test_malformed_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="neither a preset"):
        AllowList.of([name])


@pytest.mark.parametrize(
    "name", ["os.system", "os:system", "builtins.eval", "shop.os.system", "shop.X.__init__"]
)
def test_dangerous_name_cannot_be_allowed(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be allowed"):
        AllowList.of(["sklearn", name])


def test_own_module_may_have_a_name_of_the_standard_library() -> None:
    for name in ("shop.pickle.Model", "shop.trace.Trace", "shop.requests:Basket"):
        module, _, qualname = name.replace(":", ".").rpartition(".")
        assert AllowList.of([name]).permits(module, qualname)


def test_lists_of_equal_names_are_one() -> None:
    assert AllowList.of(["numpy", "sklearn"]) is AllowList.of(("sklearn", "numpy"))
    assert AllowList.of(["numpy"], "sklearn") == AllowList(["sklearn", "numpy"])
    assert hash(AllowList.of(["numpy"])) == hash(AllowList(["numpy"]))
    assert AllowList.of(["numpy"]) != AllowList.of([])
    assert AllowList.of([]) != "builtins"
    assert repr(AllowList.of(["numpy"])) == "AllowList.of(['builtins', 'numpy'])"


@pytest.mark.parametrize("name", [
    "scipy.cluster.hierarchy._hierarchy_impl:ClusterNode", "scipy.interpolate._bsplines:_BSpline",
    "scipy.interpolate._interpolate:_BPoly", "scipy.interpolate._interpolate:_PPoly",
])  # fmt: skip
def test_names_of_versions_that_are_not_installed_are_listed(name: str) -> None:
    """From scipy 1.18 on, a spline holds one of an inner class, and a module has moved."""
    assert AllowList.of({"scipy"}).role(*name.split(":")) == "class"


def test_builtins_are_always_part() -> None:
    allow = AllowList.of()
    assert allow.names == ("builtins",)
    assert allow.role("collections", "OrderedDict") == "class"
    assert allow.role("copyreg", "_reconstructor") == "function"
    assert not allow.permits("numpy", "ndarray")


def test_preset_brings_what_its_objects_hold() -> None:
    allow = AllowList.of(["sklearn"])
    assert allow.permits("numpy", "ndarray")
    assert allow.permits("scipy.sparse._csr", "csr_matrix")
    assert allow.permits("joblib.numpy_pickle", "NumpyArrayWrapper")
    assert not allow.permits("pandas", "DataFrame")


@pytest.mark.parametrize(
    ("module", "qualname", "role"),
    [
        ("__builtin__", "set", "class"),
        ("__builtin__", "xrange", "class"),
        ("__builtin__", "unicode", "class"),
        ("copy_reg", "_reconstructor", "function"),
        ("UserDict", "IterableUserDict", "class"),
        ("exceptions", "ValueError", "class"),
        ("__builtin__", "eval", None),
        ("commands", "getoutput", None),
    ],
)
def test_python_2_names_count_as_their_python_3_name(
    module: str, qualname: str, role: str | None
) -> None:
    assert ALL.role(module, qualname) == role


def test_only_exact_names_are_permitted() -> None:
    for module, qualname in [
        ("numpy", "ndarray.tofile"),
        ("collections", "OrderedDict.__init__"),
        ("collections", "OrderedDict.__reduce__"),
        ("numpy", "random.mtrand"),
        ("numpy.", "ndarray"),
        ("numpy", " ndarray"),
        ("Numpy", "ndarray"),
        ("numpy.ndarray", "x"),
        ("", "numpy.ndarray"),
        ("copyreg", "_reconstructor.__builtins__"),
    ]:
        assert not ALL.permits(module, qualname)


def test_own_name_is_permitted_in_the_wider_role() -> None:
    for name in ("shop.models.Model", "shop.models:Model"):
        allow = AllowList.of([name])
        assert allow.role("shop.models", "Model") == "class"
        assert not allow.permits("shop.models", "Model2")
        assert not allow.permits("shop.models", "Model.load")
        assert allow.arguments_ok("shop.models", "Model", (1, 2))


def test_everything_permits_all_but_dangers() -> None:
    allow = AllowList.of(["*"])
    assert allow.everything
    assert not AllowList.of(["numpy"]).everything
    assert allow.role("shop.models", "Model") == "class"
    assert allow.role("copyreg", "_reconstructor") == "function"
    for module, qualname in [
        ("os", "system"),
        ("random", "_os.system"),
        ("__builtin__", "eval"),
        ("shop.models", "Model.__reduce__"),
        ("numpy.core", "_ufunc_reconstruct"),
        ("functools", "partial"),
    ]:
        assert not allow.permits(module, qualname)


@pytest.mark.parametrize(
    ("module", "qualname", "args", "expected"),
    [
        ("_codecs", "encode", ("x", "latin1"), True),
        ("_codecs", "encode", ("x", "latin-1"), True),
        ("_codecs", "encode", ("x", "rot13"), False),
        ("_codecs", "encode", ("x", "LATIN1"), False),
        ("_codecs", "encode", (b"x", "latin1"), False),
        ("_codecs", "encode", ("x",), False),
        ("_codecs", "encode", (object(), "latin1"), False),
        ("builtins", "type", (None,), True),
        ("builtins", "type", (Ellipsis,), True),
        ("builtins", "type", (1,), False),
        ("builtins", "type", ("x", (), {}), False),
        ("builtins", "bytearray", (b"x",), True),
        ("builtins", "bytearray", (), True),
        ("__builtin__", "bytearray", ("x", "latin-1"), True),
        ("builtins", "bytearray", (10**11,), False),
        ("builtins", "bytes", (10**11,), False),
        ("builtins", "int", (7,), True),
        ("builtins", "int", ("9" * 5000,), False),
        ("builtins", "int", (object(),), False),
        ("builtins", "complex", (1.0, 2.0), True),
        ("numpy.core.multiarray", "_reconstruct", (object(), (0,), b"b"), True),
        ("numpy._core.multiarray", "_reconstruct", (object(), (10**12,), b"b"), False),
        ("numpy._core.multiarray", "_reconstruct", (object(), [0], b"b"), False),
        ("numpy._core.multiarray", "scalar", (object(), b"x"), True),
        ("numpy._core.multiarray", "scalar", (object(),), False),
        ("numpy.ma.core", "_mareconstruct", (object(), object(), (0,), "b"), True),
        ("numpy.ma.core", "_mareconstruct", (object(), object(), (10**9,), "b"), False),
        ("builtins", "set", ([1],), True),
        ("builtins", "set", (), True),
        ("__builtin__", "frozenset", ([1],), True),
        ("builtins", "set", (range(3),), False),
        ("builtins", "list", ([1],), False),
        ("collections", "deque", ([1], 3), True),
        ("collections", "deque", ((), None), True),
        ("collections", "deque", ([1], object()), False),
        ("collections", "deque", (iter([1]),), False),
        ("collections", "Counter", ({"a": 1},), True),
        ("collections", "OrderedDict", ([["a", 1]],), True),
        ("collections", "ChainMap", ({},), False),
        ("array", "array", ("d", [1.0]), True),
        ("array", "array", ("d", range(3)), False),
        ("array", "array", ([1.0],), False),
        ("fractions", "Fraction", (1, 3), True),
        ("fractions", "Fraction", ("1/3",), True),
        ("fractions", "Fraction", ("1e99999999",), False),
        ("fractions", "Fraction", (object(),), False),
        ("numpy.random._pickle", "__generator_ctor", (object(),), True),
        ("numpy.random._pickle", "__generator_ctor", (10**11, bytearray), False),
        ("numpy.random._pickle", "__bit_generator_ctor", ("MT19937",), True),
        ("numpy.random._pickle", "__bit_generator_ctor", (set,), False),
        ("numpy", "dtype", ("f8", False, True), True),
        ("numpy", "mean", ([1],), False),
        ("numpy", "mean", (), False),
        ("sklearn.metrics._classification", "f1_score", ([1], [1]), False),
        ("sklearn.tree._classes", "DecisionTreeClassifier", (), True),
        ("sklearn.tree._classes", "DecisionTreeClassifier", (1,), False),
        ("sklearn.tree._tree", "Tree", (1, object(), 1), True),
        ("shop.models", "Model", (1,), True),
    ],
)
def test_arguments(module: str, qualname: str, args: tuple[object, ...], expected: bool) -> None:
    assert ALL.arguments_ok(module, qualname, args) is expected


class _Named:
    """What the scanner gives for a name that it did not import."""

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name


class _Opaque:
    """What the scanner gives for a literal whose value it did not keep."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Made:
    """What the scanner gives for the result of a call."""

    def __init__(self, maker: object) -> None:
        self.maker = maker


def test_arguments_may_be_literals_that_were_not_kept() -> None:
    for kind in ("int", "float"):
        assert ALL.arguments_ok("builtins", "complex", (_Opaque(kind), 1.0))
    assert not ALL.arguments_ok("builtins", "int", (_Opaque("unknown"),))
    assert not ALL.arguments_ok("builtins", "int", (_Made(_Named("decimal", "Decimal")),))
    assert not ALL.arguments_ok("builtins", "bytearray", (_Opaque("int"),))
    for kind in ("list", "dict", "set"):
        assert ALL.arguments_ok("builtins", "set", (_Opaque(kind),))
    network = _Made(_Named("ipaddress", "IPv4Network"))
    assert not ALL.arguments_ok("builtins", "set", (network,))
    encoded = _Made(_Named("_codecs", "encode"))
    assert ALL.arguments_ok("builtins", "bytearray", (encoded,))
    assert not ALL.arguments_ok("builtins", "bytearray", (_Made(_Named("builtins", "range")),))


def test_arguments_may_be_names_that_were_never_imported() -> None:
    zone, check = _Named("zoneinfo", "ZoneInfo"), "sklearn.utils.validation"
    assert ALL.arguments_ok("builtins", "getattr", (zone, "_unpickle"))
    assert ALL.arguments_ok("__builtin__", "getattr", (zone, "_unpickle"))
    assert not ALL.arguments_ok("builtins", "getattr", (zone, "from_file"))
    assert not ALL.arguments_ok("builtins", "getattr", (zone, "_unpickle", None))
    assert not ALL.arguments_ok("builtins", "getattr", (_Named("os", "path"), "join"))
    maker, bits = "__generator_ctor", "numpy.random._pickle"
    ctor = _Named(bits, "__bit_generator_ctor")
    assert ALL.arguments_ok(bits, maker, ("MT19937", ctor))
    assert not ALL.arguments_ok(bits, maker, ("MT19937", _Named("builtins", "bytearray")))
    mersenne = _Named("numpy.random._mt19937", "MT19937")
    assert ALL.arguments_ok(bits, "__bit_generator_ctor", (mersenne,))
    assert not ALL.arguments_ok(bits, "__bit_generator_ctor", (_Named("numpy", "ndarray"),))
    assert ALL.arguments_ok("functools", "partial", (_Named(check, "check_array"),))
    assert not ALL.arguments_ok("functools", "partial", (_Named("os", "system"),))
    assert not ALL.arguments_ok("functools", "partial", (_Named(check, "check_array"), "x"))
    assert ALL.arguments_ok("builtins", "type", (_Named("builtins", "Ellipsis"),))
    assert ALL.arguments_ok("__builtin__", "type", (_Named("__builtin__", "Ellipsis"),))
    assert not ALL.arguments_ok("builtins", "type", (_Named("builtins", "object"),))


def test_pickled_list_carries_names_and_not_what_they_resolved_to() -> None:
    allow = AllowList(["builtins", "fractions.Fraction"])
    fresh = pickle.dumps(allow)
    allow.resolve("fractions", "Fraction")
    assert pickle.dumps(allow) == fresh
    assert b"Fraction" in fresh
    assert pickle.loads(fresh) == allow


@pytest.mark.parametrize("name", ["jinja2.runtime.Undefined", "diskcache.core.Cache"])
def test_what_caches_and_templates_store_of_themselves_is_allowed_under_everything_alone(name):
    module, _, qualname = name.rpartition(".")
    assert AllowList.of(["*"]).permits(module, qualname)
    assert not AllowList.of().permits(module, qualname)
    assert dangers.lookup(module, qualname) is not None
    for other in (
        ("jinja2.environment", "Template"),
        ("jinja2.runtime", "Undefined.__class__"),
        ("jinja2.utils", "import_string"),
        ("diskcache.core", "pickle.loads"),
    ):
        assert not AllowList.of(["*"]).permits(*other)
