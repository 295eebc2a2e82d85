"""What happens without the optional packages: an error that names the extra to install."""

from __future__ import annotations

import builtins
import importlib
import sys

import pytest

from safehold.errors import MissingExtra

# Modules of safehold that import an optional package when they are imported.
_NAMED = frozenset(
    "cloudpickle dill joblib npy npz numpy pandas parquet safetensors torch yaml".split()
)


@pytest.fixture
def without(monkeypatch):
    """Make packages impossible to import, and forget the modules that did."""

    def hide(*packages: str) -> None:
        real = builtins.__import__

        def absent(name: str, *args: object, **options: object) -> object:
            if name.partition(".")[0] in packages:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return real(name, *args, **options)

        for module in list(sys.modules):
            ours = module.startswith("safehold.") and module.rpartition(".")[2] in _NAMED
            if module.partition(".")[0] in packages or ours:
                monkeypatch.delitem(sys.modules, module)
        monkeypatch.setattr(builtins, "__import__", absent)

    return hide


@pytest.mark.parametrize("library", ["cloudpickle", "dill", "yaml"])
def test_a_facade_names_the_extra_of_its_library(without, library):
    without(library)
    with pytest.raises(MissingExtra, match=rf"pip install 'safehold\[{library}\]'"):
        importlib.import_module(f"safehold.compat.{library}")


def test_the_facade_of_joblib(without):
    without("joblib")
    with pytest.raises(MissingExtra, match=r"pip install 'safehold\[joblib\]'") as caught:
        import safehold.compat.joblib  # noqa: F401
    assert caught.value.extra == "joblib"
    assert isinstance(caught.value, ImportError)


def test_the_codec_of_joblib(without, world):
    without("joblib")
    with pytest.raises(MissingExtra, match=r"safehold\[joblib\]"):
        world.store.dump(1, world.root / "models" / "a.joblib", codec="joblib")
    (event,) = world.events.rows
    assert (event.outcome, event.reason) == ("refused", "MissingExtra")


def test_arrays_in_data(without, world):
    from safehold.artifacts.codecs.values import rebuild

    without("numpy")
    for tag in ("ndarray", "npscalar", "npdtype"):
        with pytest.raises(MissingExtra, match=r"safehold\[numpy\]"):
            rebuild(tag, ["<f8", [1], "C", bytes(8)])


@pytest.mark.parametrize("name", ["numpy", "pandas"])
def test_the_facades_of_arrays_and_tables(name, without):
    without(name)
    with pytest.raises(MissingExtra, match=rf"safehold\[{name}\]"):
        importlib.import_module(f"safehold.compat.{name}")


def test_the_facade_of_torch_is_imported_without_it(without, world):
    without("torch")
    torch = importlib.import_module("safehold.compat.torch")
    for call in (lambda: torch.nn, lambda: torch.save([1], "a"), lambda: torch.tensor):
        with pytest.raises(MissingExtra, match=r"safehold\[torch\]"):
            call()


@pytest.mark.parametrize(
    ("codec", "package", "extra"),
    [("npy", "numpy", "numpy"), ("safetensors", "numpy", "numpy"),
     ("parquet", "pandas", "pandas"),
     pytest.param("parquet", "pyarrow", "pandas", marks=pytest.mark.extras)],
)  # fmt: skip
def test_the_codecs_of_arrays_and_tables(codec, package, extra, without, world):
    without(package)
    with pytest.raises(MissingExtra, match=rf"{package} .*safehold\[{extra}\]"):
        importlib.import_module(f"safehold.artifacts.codecs.{codec}").decode(
            [memoryview(b"")], None
        )


def test_tables_in_data(without, world):
    from safehold.artifacts.codecs.values import rebuild

    without("pyarrow", "pandas")
    with pytest.raises(MissingExtra, match=r"safehold\[pandas\]"):
        rebuild("pandas", b"")


def test_plain_values_need_neither(without, world):
    without("numpy", "joblib", "pandas", "pyarrow")
    from safehold.compat import data, pickle

    value = {"a": [1, (2,)], "b": {3}}
    for facade in (data, pickle):
        assert facade.loads(facade.dumps(value)) == value
