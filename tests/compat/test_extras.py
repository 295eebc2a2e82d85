"""What happens without the optional packages: an error that names the extra to install."""

from __future__ import annotations

import builtins
import sys

import pytest

from safehold.errors import MissingExtra


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
            if module.partition(".")[0] in packages or module.endswith(".joblib"):
                monkeypatch.delitem(sys.modules, module)
        monkeypatch.setattr(builtins, "__import__", absent)

    return hide


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


def test_plain_values_need_neither(without, world):
    without("numpy", "joblib")
    from safehold.compat import data, pickle

    value = {"a": [1, (2,)], "b": {3}}
    for facade in (data, pickle):
        assert facade.loads(facade.dumps(value)) == value
