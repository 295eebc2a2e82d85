"""Dump many objects of each library that has a preset, and list every name the dumps carry.

Run it with any interpreter that has the libraries, also old ones; it needs nothing of safehold:

    python scripts/allow_objects.py > names.json

Each object is pickled with every protocol and with joblib, or saved by torch, then loaded again;
the names asked for while loading are the answer. A class or option that this version does not
have is left out.
"""

# ruff: noqa: S112  (what a version does not have is left out, which is the point)
# ruff: noqa: PLW0108  (a lambda puts off the lookup of a name that an old version does not have)
# ruff: noqa: UP017  (Python 3.10 and older run this too)

from __future__ import annotations

import argparse
import array
import collections
import contextlib
import datetime as dt
import decimal
import fractions
import importlib
import inspect
import io
import ipaddress
import json
import pathlib
import pickle
import platform
import random
import re
import statistics
import sys
import time
import types
import uuid
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

LIBRARIES = (
    "numpy", "scipy", "sklearn", "pandas", "joblib", "xgboost", "lightgbm", "torch", "imblearn",
    "category_encoders",
)  # fmt: skip
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Names:
    """Collects the names that dumps of objects carry, and which of them are called."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        # Functions that dumps call, and classes that they call with arguments.
        self.called: set[str] = set()
        self.failed: list[str] = []

    def see(self, label: str, thing: Any) -> None:
        """Dump and load one object in every way."""
        for protocol in PROTOCOLS:
            try:
                data = pickle.dumps(thing, protocol=protocol)
                _Reader(self, io.BytesIO(data)).load()
            except Exception as error:  # noqa: BLE001  (some objects refuse old protocols)
                self.failed.append(f"{label} protocol {protocol}: {error!r:.80}")
        try:
            self._see_joblib(thing)
        except Exception as error:  # noqa: BLE001  (as above)
            self.failed.append(f"{label} joblib: {error!r:.80}")

    def _see_joblib(self, thing: Any) -> None:
        import joblib
        from joblib.numpy_pickle import NumpyUnpickler

        file = io.BytesIO()
        joblib.dump(thing, file)
        file.seek(0)
        options: dict[str, Any] = {}
        if "ensure_native_byte_order" in inspect.signature(NumpyUnpickler).parameters:
            options["ensure_native_byte_order"] = True
        _watched(NumpyUnpickler)(self, "", file, **options).load()


def _watched(base: Any) -> Any:
    """Return a subclass of a Python unpickler that notes names and calls."""

    class Reader(base):  # type: ignore[misc]  # any of two bases
        dispatch: ClassVar[dict[int, Any]] = dict(base.dispatch)

        def __init__(self, names: Names, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._names = names
            self._seen: dict[int, tuple[str, Any]] = {}

        def find_class(self, module: str, name: str) -> Any:
            thing = super().find_class(module, name)
            full = f"{module}:{name}"
            self._names.found[full] = "class" if isinstance(thing, type) else "function"
            self._seen[id(thing)] = (full, thing)
            return thing

        def _note(self, maker: Any, args: Any) -> None:
            full = self._seen.get(id(maker), ("", None))[0]
            if full and (args or not isinstance(maker, type)):
                self._names.called.add(full)

        def _instantiate(self, klass: Any, args: Any) -> None:
            self._note(klass, args)
            super()._instantiate(klass, args)

        def load_reduce(self) -> None:
            self._note(self.stack[-2], self.stack[-1])
            super().load_reduce()

        def load_newobj(self) -> None:
            self._note(self.stack[-2], self.stack[-1])
            super().load_newobj()

        def load_newobj_ex(self) -> None:
            self._note(self.stack[-3], self.stack[-2] or self.stack[-1])
            super().load_newobj_ex()

    for method in ("load_reduce", "load_newobj", "load_newobj_ex"):
        opcode = {"load_reduce": b"R", "load_newobj": b"\x81", "load_newobj_ex": b"\x92"}[method]
        Reader.dispatch[opcode[0]] = getattr(Reader, method)
    return Reader


_Reader = _watched(pickle._Unpickler)  # type: ignore[attr-defined]  # noqa: SLF001  (the C one cannot be watched)


def _made(*makers: Any) -> Iterator[tuple[str, Any]]:
    """Call each maker; what this version cannot make is left out."""
    for maker in makers:
        try:
            thing = maker()
        except Exception:  # noqa: BLE001  (an older or newer version)
            continue
        yield repr(maker), thing


def plain() -> Iterator[tuple[str, Any]]:
    """Objects of the standard library that travel inside models and caches."""
    yield from _made(
        lambda: [{1}, frozenset({1}), bytearray(b"x"), b"x", 1j, slice(1), range(3), Ellipsis],
        lambda: [NotImplemented, object(), int, float, str, list, dict, tuple, set, bool, bytes],
        lambda: [type(None), type(...), type(NotImplemented)],
        lambda: [collections.OrderedDict(a=1), collections.defaultdict(list, a=[1])],
        lambda: [
            collections.deque([1], 3),
            collections.deque([1]),
            collections.Counter("ab"),
            collections.ChainMap({1: 2}),
        ],
        lambda: [collections.UserDict(a=1), collections.UserList([1]), collections.UserString("")],
        lambda: [dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)],
        lambda: [dt.date(2020, 1, 1), dt.time(1), dt.timedelta(1)],
        lambda: [dt.timezone(dt.timedelta(hours=1), "x")],
        lambda: [decimal.Decimal("1.1"), fractions.Fraction(1, 3), uuid.UUID(int=1)],
        lambda: [array.array("d", [1.0]), types.SimpleNamespace(a=1), argparse.Namespace(a=1)],
        lambda: [time.gmtime(0), statistics.NormalDist(0, 1)],
        lambda: random.Random(0),  # noqa: S311  (data, no secret)
        lambda: [pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("a"), pathlib.Path("a")],
        lambda: [re.compile("a"), re.compile(b"a"), re.IGNORECASE],
        lambda: [io.BytesIO(b"a"), io.StringIO("a"), decimal.Context(prec=3)],
        lambda: [ipaddress.ip_address("::1"), ipaddress.ip_address("1.1.1.1")],
        lambda: [ipaddress.ip_network("::/64"), ipaddress.ip_network("1.0.0.0/8")],
        lambda: [ipaddress.ip_interface("::1/64"), ipaddress.ip_interface("1.0.0.1/8")],
        lambda: __import__("zoneinfo").ZoneInfo("Europe/Paris"),
    )
    for name, thing in sorted(vars(__import__("builtins")).items()):
        if isinstance(thing, type) and issubclass(thing, Exception):
            yield from _made(lambda thing=thing, name=name: thing(name))


def numpy_objects() -> Iterator[tuple[str, Any]]:
    """Arrays, scalars, types and generators."""
    import numpy as np

    kinds = "? b B h H i I l L q Q e f d g F D G S U V O M m".split()
    for kind in kinds:
        yield from _made(
            lambda kind=kind: np.zeros(3, kind),
            lambda kind=kind: np.zeros(3, kind)[0],
            lambda kind=kind: np.asfortranarray(np.zeros((2, 3), kind)),
            lambda kind=kind: np.dtype(kind).newbyteorder(">"),
            lambda kind=kind: np.dtype(kind).type,
            lambda kind=kind: type(np.dtype(kind)),
            lambda kind=kind: np.ma.array(np.zeros(3, kind), mask=[1, 0, 1]),
        )
    bits = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
    for name in bits:
        yield from _made(
            lambda name=name: getattr(np.random, name)(1),
            lambda name=name: np.random.Generator(getattr(np.random, name)(1)),
            lambda name=name: np.random.RandomState(getattr(np.random, name)(1)),
        )
    yield from _made(
        lambda: np.array(["a", None, {1: 2}], object),
        lambda: np.array([(1, "a")], dtype=[("x", "i4"), ("y", "U3")]),
        lambda: np.array([(1, "a")], dtype=[("x", "i4"), ("y", "U3")])[0],
        lambda: np.rec.array([(1, 2.0)], names="a,b"),
        lambda: np.rec.array([(1, 2.0)], names="a,b")[0],
        lambda: np.dtype({"names": ["a"], "formats": ["f8"], "offsets": [8], "itemsize": 16}),
        lambda: np.dtype(("f8", (2, 2))),
        lambda: np.dtype("f8", metadata={"a": 1}),
        lambda: np.matrix([[1, 2]]),
        lambda: np.char.array(["a"]),
        lambda: np.ma.masked,
        lambda: np.ma.array([(1, 2)], dtype="i,i", mask=[(0, 1)])[0],
        lambda: np.ma.mrecords.fromarrays([[1, 2]]),
        lambda: np.random.RandomState(0),
        lambda: np.random.SeedSequence(1),
        lambda: np.random.default_rng(0),
        lambda: np.poly1d([1, 2]),
        lambda: np.array(["a"], np.dtypes.StringDType()),
        lambda: np.array(["a"], np.dtypes.StringDType(na_object=np.nan)),
        lambda: np.datetime64("2020"),
        lambda: np.timedelta64(1, "D"),
    )
    for name in ("Polynomial", "Chebyshev", "Legendre", "Laguerre", "Hermite", "HermiteE"):
        yield from _made(lambda name=name: getattr(np.polynomial, name)([1, 2]))
    for name in sorted(vars(np)):
        if isinstance(getattr(np, name), np.ufunc):
            yield name, getattr(np, name)
    # Kinds of numbers, by which columns are selected.
    for name in ("generic", "number", "integer", "signedinteger", "unsignedinteger", "inexact"):
        yield from _made(lambda name=name: getattr(np, name))
    for name in ("floating", "complexfloating", "flexible", "character"):
        yield from _made(lambda name=name: getattr(np, name))
    # Pure functions that estimators take as parameters.
    for name in ("mean", "median", "sum", "min", "max", "amin", "amax", "std", "var", "average"):
        yield from _made(lambda name=name: getattr(np, name))
    for name in ("nanmean", "nanmedian", "nanmin", "nanmax", "nanstd", "nansum", "prod", "ptp"):
        yield from _made(lambda name=name: getattr(np, name))


def _difference(left: Any, right: Any) -> Any:
    return left.mean() - right.mean()


def scipy_objects() -> Iterator[tuple[str, Any]]:
    """Sparse arrays, trees, interpolators, results."""
    import numpy as np
    from scipy import (
        cluster,
        integrate,
        interpolate,
        optimize,
        signal,
        sparse,
        spatial,
        special,
        stats,
    )

    for name in sorted(vars(sparse)):
        if name.endswith(("_matrix", "_array")):
            yield from _made(lambda name=name: getattr(sparse, name)(np.eye(3)))
    line, cloud = np.linspace(0, 1, 9), np.random.RandomState(0).rand(30, 2)
    yield from _made(
        lambda: sparse.coo_array(np.ones(3)),
        lambda: spatial.cKDTree(cloud),
        lambda: spatial.KDTree(cloud),
        lambda: spatial.distance.cdist(cloud, cloud),
        lambda: spatial.transform.Rotation.from_euler("z", 90, degrees=True),
        lambda: spatial.transform.RigidTransform.identity(),
        lambda: spatial.transform.Slerp(
            [0, 1], spatial.transform.Rotation.from_euler("z", [0, 90], degrees=True)
        ),
        lambda: interpolate.interp1d(line, line),
        lambda: interpolate.interp1d(line, line, kind="cubic"),
        lambda: interpolate.interp1d(line, line, kind="nearest", fill_value="extrapolate"),
        lambda: interpolate.CubicSpline(line, line),
        lambda: interpolate.PchipInterpolator(line, line),
        lambda: interpolate.Akima1DInterpolator(line, line),
        lambda: interpolate.BarycentricInterpolator(line, line),
        lambda: interpolate.KroghInterpolator(line, line),
        lambda: interpolate.BSpline(line, np.ones(5), 3),
        lambda: interpolate.PPoly(np.ones((2, 8)), line),
        lambda: interpolate.BPoly(np.ones((2, 8)), line),
        lambda: interpolate.NdPPoly(np.ones((2, 8)), (line,)),
        lambda: interpolate.NdBSpline((line,), np.ones(5), 3),
        lambda: interpolate.UnivariateSpline(line, line),
        lambda: interpolate.InterpolatedUnivariateSpline(line, line),
        lambda: interpolate.LSQUnivariateSpline(line, line, [0.5]),
        lambda: interpolate.RectBivariateSpline(line, line, np.outer(line, line)),
        lambda: interpolate.SmoothBivariateSpline(cloud[:, 0], cloud[:, 1], cloud[:, 0]),
        lambda: interpolate.RegularGridInterpolator((line,), line),
        lambda: interpolate.LinearNDInterpolator(cloud, cloud[:, 0]),
        lambda: interpolate.NearestNDInterpolator(cloud, cloud[:, 0]),
        lambda: interpolate.CloughTocher2DInterpolator(cloud, cloud[:, 0]),
        lambda: interpolate.RBFInterpolator(cloud, cloud[:, 0]),
        lambda: interpolate.Rbf(cloud[:, 0], cloud[:, 1], cloud[:, 0]),
        lambda: interpolate.AAA(line, line),
        lambda: optimize.minimize(lambda x: (x**2).sum(), [1.0]),
        lambda: optimize.minimize(
            lambda x: (x**2).sum(), [1.0], method="L-BFGS-B", bounds=[(0, 1)]
        ),
        lambda: optimize.linprog([1], bounds=[(0, 1)]),
        lambda: optimize.root_scalar(lambda x: x, bracket=[-1, 1]),
        lambda: optimize.least_squares(lambda x: x, [1.0]),
        lambda: optimize.Bounds([0], [1]),
        lambda: optimize.LinearConstraint([[1]], 0, 1),
        lambda: integrate.solve_ivp(lambda _, y: y, (0, 1), [1.0], dense_output=True),
        lambda: stats.gaussian_kde(line),
        lambda: stats.ttest_ind(line, line + 1),
        lambda: stats.pearsonr(line, line**2),
        lambda: stats.spearmanr(line, line**2),
        lambda: stats.linregress(line, line**2),
        lambda: stats.describe(line),
        lambda: stats.ecdf(line),
        lambda: stats.ks_2samp(line, line),
        lambda: stats.mannwhitneyu(line, line + 1),
        lambda: stats.kruskal(line, line + 1),
        lambda: stats.f_oneway(line, line + 1),
        lambda: stats.shapiro(line),
        lambda: stats.chi2_contingency([[10, 20], [30, 40]]),
        lambda: stats.wilcoxon(line, line + 1),
        lambda: stats.bootstrap((line,), np.mean, n_resamples=9),
        lambda: stats.boxcox_normmax(line + 1),
        lambda: stats.kstest(line, "norm"),
        lambda: stats.binned_statistic(line, line),
        lambda: stats.binned_statistic_2d(line, line, line),
        lambda: stats.binned_statistic_dd(line[:, None], line),
        lambda: stats.binomtest(2, 5),
        lambda: stats.tukey_hsd(line, line + 1),
        lambda: stats.theilslopes(line, line),
        lambda: stats.siegelslopes(line, line),
        lambda: stats.permutation_test((line, line), _difference, n_resamples=9),
        lambda: cluster.hierarchy.to_tree(cluster.hierarchy.linkage(cloud)),
        lambda: spatial.ConvexHull(cloud),
        lambda: spatial.Voronoi(cloud),
        lambda: signal.lti([1], [1, 1]),
        lambda: signal.dlti([1], [1, 1]),
        lambda: signal.StateSpace([[1]], [[1]], [[1]], [[1]]),
        lambda: signal.ZerosPolesGain([1], [2], 1),
        lambda: signal.ShortTimeFFT(np.ones(4), 2, 1.0),
        lambda: special.roots_legendre(3),
        lambda: special.legendre(3),
    )
    for name in sorted(vars(special)):
        if isinstance(getattr(special, name), np.ufunc):
            yield name, getattr(special, name)


def pandas_objects() -> Iterator[tuple[str, Any]]:
    """Frames, series, indexes, scalars and types of every kind."""
    yield from _sibling("allow_frames").frames()


def sklearn_objects() -> Iterator[tuple[str, Any]]:
    """Every estimator, fitted where a small data set suits it, and the options that bring names."""
    yield from _sibling("allow_estimators").estimators()


def xgboost_objects() -> Iterator[tuple[str, Any]]:
    """Estimators and boosters."""
    yield from _sibling("allow_boosters").xgboost_models()


def lightgbm_objects() -> Iterator[tuple[str, Any]]:
    """Estimators and boosters."""
    yield from _sibling("allow_boosters").lightgbm_models()


def imblearn_objects() -> Iterator[tuple[str, Any]]:
    """Samplers, and ensembles and pipelines with them."""
    yield from _sibling("allow_samplers").imblearn_models()


def category_encoders_objects() -> Iterator[tuple[str, Any]]:
    """Encoders."""
    yield from _sibling("allow_samplers").category_encoders_models()


def torch_objects() -> Iterator[tuple[str, Any]]:
    """Tensors, checkpoints and layers."""
    yield from _sibling("allow_torch").objects()


def _sibling(name: str) -> Any:
    """Import a file of this folder; a program finds it beside itself."""
    return importlib.import_module(f"{__package__}.{name}" if __package__ else name)


_SOURCES = (
    plain, numpy_objects, scipy_objects, pandas_objects, sklearn_objects, xgboost_objects,
    lightgbm_objects, torch_objects, imblearn_objects, category_encoders_objects,
)  # fmt: skip


def collect(sources: Any = _SOURCES) -> Names:
    """Dump everything and return the names."""
    names = Names()
    # Old versions of lightgbm print while they fit; the report alone goes to the output.
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        for source in sources:
            try:
                for label, thing in source():
                    if source is torch_objects:
                        _sibling("allow_torch").see(names, _Reader, label, thing)
                    else:
                        names.see(label, thing)
            except (ImportError, OSError) as error:  # OSError: a shared library is missing
                names.failed.append(f"{source.__name__}: {error!r}")
    return names


def versions() -> dict[str, str]:
    """Return the version of Python and of each library, by preset."""
    found = {"builtins": platform.python_version()}
    for name in LIBRARIES:
        try:
            # Without what a build adds to its version: 2.13.0+cpu.
            found[name] = str(__import__(name).__version__).partition("+")[0]
        except (ImportError, OSError):
            continue
    return found


if __name__ == "__main__":
    result = collect()
    for line in result.failed:
        print(line, file=sys.stderr)
    report = {"versions": versions(), "names": result.found, "called": sorted(result.called)}
    print(json.dumps(report, indent=1, sort_keys=True))
