"""Callables of libraries that are installed beside models: tools, and methods under other names."""

from __future__ import annotations

from pathlib import Path

from tests.bypasses.payloads import Gadget, Raw, call, named, source
from tests.corpus.hostile.gadgets_process import shell

EMPTY = Raw(b"}")
TEMPLATE = "{{ cycler.__init__.__globals__.os.system('%s') }}"


def frame() -> Raw:
    return call(named("pandas", "DataFrame"), [1])


def series() -> Raw:
    return call(named("pandas", "Series"), [1])


def written(owner: Raw, module: str, name: str) -> Gadget:
    return lambda canary: call(named(module, name), owner, str(canary))


def opened(module: str, name: str, *more: object) -> Gadget:
    return lambda canary: call(named(module, name), str(canary), *more)


def rendered(module: str, name: str) -> Gadget:
    def build(canary: Path) -> Raw:
        made = call(named(module, name), TEMPLATE % shell(canary))
        return call(named(module, f"{name}.render"), made)

    return build


def _helper(canary: Path) -> Raw:
    """A module of the victim's own that runs what it is given; no list can hold it."""
    (canary.parent / "own_helper.py").write_text("def run(text):\n    exec(text)\n")
    added = call(named("sys", "path.append"), str(canary.parent))
    return Raw(added.opcodes + b"0" + call(named("own_helper", "run"), source(canary)).opcodes)


GADGETS: dict[str, tuple[Gadget, tuple[str, ...]]] = {
    "frame-to_csv": (written(frame(), "pandas", "DataFrame.to_csv"), ("pandas",)),
    "frame-to_html": (written(frame(), "pandas", "DataFrame.to_html"), ("pandas",)),
    "frame-to_string": (written(frame(), "pandas", "DataFrame.to_string"), ("pandas",)),
    "frame-to_json": (written(frame(), "pandas", "DataFrame.to_json"), ("pandas",)),
    "frame-to_pickle": (written(frame(), "pandas", "DataFrame.to_pickle"), ("pandas",)),
    "series-to_csv": (written(series(), "pandas", "Series.to_csv"), ("pandas",)),
    "series-to_pickle": (written(series(), "pandas", "Series.to_pickle"), ("pandas",)),
    "array-tofile": (
        written(call(named("numpy", "asmatrix"), [1]), "numpy", "matrix.tofile"),
        ("numpy",),
    ),
    "array-_dump": (
        written(call(named("numpy", "array"), [1]), "numpy._core._methods", "_dump"),
        ("numpy",),
    ),
    "scipy-timeit": (
        lambda m: call(named("scipy.signal._signaltools", "_timeit_fast"), source(m)),
        ("scipy.signal",),
    ),
    "joblib-mkdirp": (opened("joblib.disk", "mkdirp"), ("joblib",)),
    "sklearn-data_home": (opened("sklearn.datasets", "get_data_home"), ("sklearn.datasets",)),
    "wave-write": (opened("wave", "Wave_write"), ()),
    "jinja2-native": (rendered("jinja2.nativetypes", "NativeTemplate"), ("jinja2",)),
    "attrs-compile": (
        lambda m: call(named("attr._make", "_compile_and_eval"), source(m), EMPTY),
        ("attr._make:_compile_and_eval",),
    ),
    "click-open": (opened("click", "open_file", "w"), ("click",)),
    "pyarrow-file": (opened("pyarrow", "OSFile", "w"), ("pyarrow",)),
    "hypothesis-module": (
        lambda m: call(named("hypothesis.internal.reflection", "source_exec_as_module"), source(m)),
        ("hypothesis",),
    ),
    "own-helper": (_helper, ()),
}
