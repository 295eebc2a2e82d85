"""Callables that load another payload, and those of ML libraries that run what they are given."""

from __future__ import annotations

from pathlib import Path

from tests.bypasses.payloads import Gadget, Raw, call, named, source, stream, system
from tests.corpus.hostile.gadgets_code import EMPTY, code, imported, method, resolved, text
from tests.corpus.hostile.gadgets_indirect import bound
from tests.corpus.hostile.gadgets_process import line, shell


def inner(canary: Path) -> bytes:
    return stream(system(canary))


def loads(module: str, name: str, *more: object) -> Gadget:
    """A function that loads the bytes it is given."""
    return lambda canary: call(named(module, name), inner(canary), *more)


def reads(module: str, name: str, *more: object) -> Gadget:
    """A function that loads from a handle."""
    return lambda canary: call(
        named(module, name), call(named("_io", "BytesIO"), inner(canary)), *more
    )


def file(canary: Path) -> str:
    path = canary.with_name("inner.pkl")
    path.write_bytes(inner(canary))
    return str(path)


def loads_file(module: str, name: str, *more: object) -> Gadget:
    """A function that loads a file by path."""
    return lambda canary: call(named(module, name), file(canary), *more)


def unpickler(module: str, name: str) -> Gadget:
    def build(canary: Path) -> Raw:
        made = call(named(module, name), call(named("_io", "BytesIO"), inner(canary)))
        return method(module, name, "load", self=made)

    return build


def _deep(canary: Path) -> Raw:
    data = inner(canary)
    for _ in range(12):
        data = stream(call(named("pickle", "loads"), data))
    return call(named("_pickle", "loads"), data)


def _yaml(canary: Path) -> Raw:
    text_ = f"!!python/object/apply:os.system ['touch {canary}']"
    return call(named("yaml", "unsafe_load"), text_)


def _yaml_load(canary: Path) -> Raw:
    text_ = f"!!python/object/apply:os.system ['touch {canary}']"
    return call(named("yaml", "load"), text_, named("yaml", "UnsafeLoader"))


def _grammar(canary: Path) -> Raw:
    grammar = call(named("lib2to3.pgen2.grammar", "Grammar"))
    return method("lib2to3.pgen2.grammar", "Grammar", "loads", inner(canary), self=grammar)


def _config(canary: Path) -> Raw:
    load = named("torch.utils._config_module", "ConfigModule.load_config")
    return call(load, named("timeit", "main"), inner(canary))


def _guard(canary: Path) -> Raw:
    inner_scope = b"}" + b"X\x05\x00\x00\x00scope}s"
    builder = Raw(b"ctypes\nSimpleNamespace\n)\x81" + inner_scope + b"b")
    return call(named("torch._dynamo.guards", "GuardBuilder.get"), builder, source(canary))


def _shape(canary: Path) -> Raw:
    evaluate = named("torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_guards_expression")
    return call(evaluate, None, source(canary), [])


def _torch_load(canary: Path) -> Raw:
    """With a ``pickle_module`` given, ``weights_only`` is off."""
    module = call(named("importlib", "import_module"), "pickle")
    return call(named("torch", "load"), file(canary), None, module)


def _hub(canary: Path) -> Raw:
    folder = canary.with_name("hub")
    folder.mkdir(exist_ok=True)
    (folder / "hubconf.py").write_text(source(canary))
    return call(named("torch.hub", "_load_local"), str(folder), "model")


def _pandas_eval(canary: Path) -> Raw:
    scope = b"}(" + b"X\x02\x00\x00\x00os" + named("posixpath", "os").opcodes
    command = shell(canary).encode()
    scope += b"X\x03\x00\x00\x00cmdX" + len(command).to_bytes(4, "little") + command + b"u"
    return call(named("pandas", "eval"), "os.system(cmd)", "pandas", "python", Raw(scope))


def _benchmark(canary: Path) -> Raw:
    timer = call(named("torch.utils.benchmark", "Timer"), source(canary))
    return method("torch.utils.benchmark", "Timer", "timeit", 1, self=timer)


_T = ("torch",)

GADGETS: dict[str, tuple[Gadget, tuple[str, ...]]] = {
    "pickle-loads": (loads("pickle", "loads"), ()),
    "pickle-c-loads": (loads("_pickle", "loads"), ()),
    "pickle-py-loads": (loads("pickle", "_loads"), ()),
    "pickle-py2-loads": (
        lambda m: call(named("cPickle", "loads"), inner(m)),
        (),
    ),
    "pickle-load": (reads("pickle", "load"), ()),
    "pickle-c-load": (reads("_pickle", "load"), ()),
    "pickle-unpickler": (unpickler("pickle", "Unpickler"), ()),
    "pickle-py-unpickler": (unpickler("pickle", "_Unpickler"), ()),
    "pickle-deep": (_deep, ()),
    "forkingpickler-loads": (loads("multiprocessing.reduction", "ForkingPickler.loads"), ()),
    "reduction-reexport": (loads("multiprocessing.reduction", "pickle.loads"), ()),
    "lib2to3-grammar": (_grammar, ("lib2to3.pgen2.grammar",)),
    "tracemalloc-load": (loads_file("tracemalloc", "Snapshot.load"), ()),
    "marshal-function": (
        lambda m: call(call(named("types", "FunctionType"), code(m), EMPTY)),
        (),
    ),
    "marshal-exec": (lambda m: call(named("builtins", "exec"), code(m)), ()),
    "cloudpickle-loads": (loads("cloudpickle", "loads"), ("cloudpickle",)),
    "cloudpickle-subimport": (
        imported("cloudpickle.cloudpickle", "subimport", "os"),
        ("cloudpickle",),
    ),
    "cloudpickle-make_function": (
        lambda m: call(
            call(
                named("cloudpickle.cloudpickle", "_make_function"), code(m), EMPTY, "x", None, None
            )
        ),
        ("cloudpickle",),
    ),
    "joblib-cloudpickle": (
        loads("joblib.externals.cloudpickle", "loads"),
        ("joblib.externals.cloudpickle:loads",),
    ),
    "joblib-load": (loads_file("joblib", "load"), ("joblib",)),
    "joblib-numpy_pickle-load": (loads_file("joblib.numpy_pickle", "load"), ("joblib",)),
    "joblib-numpy_unpickler": (
        lambda m: method(
            "joblib.numpy_pickle",
            "NumpyUnpickler",
            "load",
            self=call(
                named("joblib.numpy_pickle", "NumpyUnpickler"),
                "",
                call(named("_io", "BytesIO"), inner(m)),
                False,
            ),
        ),
        ("joblib",),
    ),
    "numpy-load": (loads_file("numpy", "load", None, True), ("numpy",)),
    "numpy-npyio-load": (
        loads_file("numpy.lib.npyio", "load", None, True),
        ("numpy.lib.npyio:load",),
    ),
    "numpy-npyio_impl-load": (
        loads_file("numpy.lib._npyio_impl", "load", None, True),
        ("numpy.lib._npyio_impl",),
    ),
    "pandas-read_pickle": (loads_file("pandas", "read_pickle", "infer"), ("pandas",)),
    "pandas-io-read_pickle": (loads_file("pandas.io.pickle", "read_pickle"), ("pandas",)),
    "pandas-unpickler": (
        unpickler("pandas.compat.pickle_compat", "Unpickler"),
        ("pandas.compat.pickle_compat",),
    ),
    "yaml-unsafe_load": (_yaml, ("yaml",)),
    "yaml-load": (_yaml_load, ("yaml",)),
    "torch-load_from_bytes": (loads("torch.storage", "_load_from_bytes"), _T),
    "torch-load": (_torch_load, _T),
    "torch-config_module": (_config, ("torch.utils._config_module",)),
    "torch-decoder": (
        lambda m: call(
            named("torch.utils.data.datapipes.utils.decoder", "basichandlers"), "pickle", inner(m)
        ),
        _T,
    ),
    "torch-collect_env-run": (line("torch.utils.collect_env", "run"), _T),
    "torch-collect_env-lambda": (
        lambda m: call(
            named("torch.utils.collect_env", "run_and_read_all"),
            named("torch.utils.collect_env", "run"),
            shell(m),
        ),
        _T,
    ),
    "torch-execwrapper": (
        text("torch.jit.unsupported_tensor_ops", "execWrapper", EMPTY, EMPTY),
        _T,
    ),
    "torch-guard": (_guard, ("torch<2.8",)),
    "torch-shape_env": (_shape, ("torch.fx.experimental.symbolic_shapes",)),
    "torch-forward_from_src": (
        text("torch.fx.graph_module", "_forward_from_src", EMPTY),
        ("torch.fx.graph_module",),
    ),
    "torch-hub": (_hub, _T),
    "torch-benchmark": (_benchmark, _T),
    "torch-bottleneck": (
        text("torch.utils.bottleneck.__main__", "run_cprofile", EMPTY),
        ("torch.utils.bottleneck.__main__",),
    ),
    "torch-checkpoint": (
        lambda m: call(named("torch.utils.checkpoint", "checkpoint"), bound(m)),
        _T,
    ),
    "numpy-runstring": (
        text("numpy.testing._private.utils", "runstring", EMPTY),
        ("numpy.testing._private.utils",),
    ),
    "numpy-measure": (text("numpy.testing._private.utils", "measure"), ("numpy.testing",)),
    "numpy-getlincoef": (
        text("numpy.f2py.crackfortran", "getlincoef", EMPTY),
        ("numpy.f2py.crackfortran",),
    ),
    "numpy-myeval": (
        text("numpy.f2py.crackfortran", "myeval"),
        ("numpy.f2py.crackfortran",),
    ),
    "numpy-eval_length": (
        text("numpy.f2py.crackfortran", "_eval_length", EMPTY),
        ("numpy.f2py.crackfortran",),
    ),
    "numpy-ufunc_reconstruct": (
        resolved("numpy.core", "_ufunc_reconstruct", "os", "system"),
        ("numpy",),
    ),
    "numpy-new-ufunc_reconstruct": (
        resolved("numpy._core", "_ufunc_reconstruct", "os", "system"),
        ("numpy._core:_ufunc_reconstruct",),
    ),
    "scipy-uarray": (
        resolved("scipy._lib._uarray._backend", "unpickle_function", "os", "system", None),
        ("scipy._lib._uarray._backend",),
    ),
    "sklearn-testing": (
        text("sklearn.utils._testing", "assert_run_python_script_without_output"),
        ("sklearn.utils._testing",),
    ),
    "pandas-eval": (_pandas_eval, ("pandas",)),
}
