from __future__ import annotations

import functools
import io
import os
import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold import dangers
from safehold.dangers import Power, lookup

# Advisory -> (module, qualified name) that its proof of concept called.
ADVISORIES = {
    "CVE-2019-6446": ("numpy", "load"),
    "CVE-2022-45907": ("torch.jit.annotations", "parse_type_line"),
    "CVE-2025-1716": ("pip", "main"),
    "CVE-2025-32434": ("torch.serialization", "load"),
    "GHSA-3gf5-cxq9-w223": ("idlelib.pyshell", "ModifiedInterpreter.runcode"),
    "GHSA-3vg9-h568-4w9m": ("idlelib.debugobj", "ObjectTreeItem.SetText"),
    "GHSA-4675-36f9-wf6r": ("ctypes", "CDLL"),
    "GHSA-49gj-c84q-6qm9": ("cProfile", "run"),
    "GHSA-4r9r-ch6f-vxmx": ("torch.utils.bottleneck.__main__", "run_cprofile"),
    "GHSA-4whj-rm5r-c2v8": ("torch.utils.bottleneck.__main__", "run_autograd_prof"),
    "GHSA-565g-hwwr-4pp3": ("marshal", "loads"),
    "GHSA-5hvc-6wx8-mvv4": ("pydoc", "locate"),
    "GHSA-5qwp-399c-mjwf": ("trace", "Trace.run"),
    "GHSA-6ggj-6f2q-f7mx": ("_interpreters", "run_string"),
    "GHSA-6vqj-c2q5-j97w": ("profile", "Profile.runctx"),
    "GHSA-6w4w-5w54-rjvr": ("idlelib.autocomplete", "AutoComplete.get_entity"),
    "GHSA-7cq8-mj8x-j263": ("idlelib.autocomplete", "AutoComplete.fetch_completions"),
    "GHSA-84r2-jw7c-4r5q": ("operator", "methodcaller"),
    "GHSA-86cj-95qr-2p4f": ("torch._dynamo.guards", "GuardBuilder.get"),
    "GHSA-8r4j-24qv-fmq9": ("idlelib.calltip", "Calltip.fetch_tip"),
    "GHSA-955r-x9j8-7rhh": ("_operator", "attrgetter"),
    "GHSA-9w88-8rmg-7g2p": ("cProfile", "runctx"),
    "GHSA-9xph-j2h6-g47v": ("idlelib.calltip", "get_entity"),
    "GHSA-cj3c-v495-4xqh": ("code", "InteractiveInterpreter.runcode"),
    "GHSA-f4x7-rfwp-v3xw": (
        "torch.fx.experimental.symbolic_shapes",
        "ShapeEnv.evaluate_guards_expression",
    ),
    "GHSA-f54q-57x4-jg88": ("lib2to3.pgen2.grammar", "Grammar.loads"),
    "GHSA-f745-w6jp-hpxx": ("torch.utils.collect_env", "run"),
    "GHSA-fqq6-7vqf-w3fg": ("doctest", "debug_script"),
    "GHSA-g344-hcph-8vgg": ("trace", "Trace.runctx"),
    "GHSA-g38g-8gr9-h9xp (1)": ("uuid", "_get_command_stdout"),
    "GHSA-g38g-8gr9-h9xp (2)": ("imaplib", "IMAP4_stream"),
    "GHSA-g38g-8gr9-h9xp (3)": ("_pyrepl.pager", "pipe_pager"),
    "GHSA-g38g-8gr9-h9xp (4)": ("_osx_support", "_read_output"),
    "GHSA-g38g-8gr9-h9xp (5)": ("_aix_support", "_read_cmd_output"),
    "GHSA-g38g-8gr9-h9xp (6)": ("test.support.script_helper", "assert_python_ok"),
    "GHSA-h3qp-7fh3-f8h4": ("torch.utils.data.datapipes.utils.decoder", "basichandlers"),
    "GHSA-j343-8v2j-ff7w": ("idlelib.pyshell", "ModifiedInterpreter.runcommand"),
    "GHSA-jhph-76pp-mggw": ("torch.utils.collect_env", "run_and_read_all"),
    "GHSA-m273-6v24-x4m4": ("distutils.file_util", "write_file"),
    "GHSA-m6fh-58r7-x697 (1)": ("_posixsubprocess", "fork_exec"),
    "GHSA-m6fh-58r7-x697 (2)": ("site", "addsitedir"),
    "GHSA-m6fh-58r7-x697 (3)": ("atexit", "register"),
    "GHSA-m869-42cg-3xwr": ("idlelib.run", "Executive.runcode"),
    "GHSA-p523-jq9w-64x9": ("cProfile", "run"),
    "GHSA-p9w7-82w4-7q8m": ("lib2to3.pgen2.pgen", "ParserGenerator.make_label"),
    "GHSA-q5qq-mvfm-j35x": ("importlib", "import_module"),
    "GHSA-q77w-mwjj-7mqx": ("asyncio.unix_events", "_UnixSubprocessTransport._start"),
    "GHSA-r7v6-mfhq-g3m2": ("pty", "spawn"),
    "GHSA-r8g5-cgf2-4m4m": ("numpy.f2py.crackfortran", "getlincoef"),
    "GHSA-v7x6-rv5q-mhwc": ("timeit", "timeit"),
    "GHSA-vqmv-47xg-9wpr": ("pty", "spawn"),
    "GHSA-vr7h-p6mm-wpmh": ("torch.jit.unsupported_tensor_ops", "execWrapper"),
    "GHSA-vv6j-3g6g-2pvj": ("torch.utils._config_module", "ConfigModule.load_config"),
    "GHSA-vvpj-8cmc-gx39": ("pkgutil", "resolve_name"),
    "GHSA-wfq2-52f7-7qvj": ("runpy", "run_path"),
    "GHSA-x696-vm39-cp64": ("profile", "Profile.run"),
    "GHSA-xp4f-hrf8-rxw7": ("ensurepip", "_run_pip"),
}

DANGEROUS = """
    os:system posix:system nt:system subprocess:Popen builtins:eval builtins:exec builtins:compile
    builtins:open builtins:getattr builtins:__import__ builtins:breakpoint builtins:globals
    builtins:input builtins:vars builtins:setattr io:open _io:open _io:FileIO io:FileIO
    io:open_code codecs:open runpy:run_path code:interact pdb:run timeit:timeit shutil:rmtree
    webbrowser:open multiprocessing.util:spawnv_passfds socket:create_connection sys:exit
    types:CodeType types:FunctionType marshal:loads pickle:loads _pickle:loads _pickle:Unpickler
    dill:loads dill._dill:_create_function cloudpickle.cloudpickle:subimport joblib:load
    joblib.numpy_pickle:load joblib.externals.cloudpickle:loads torch:load torch.hub:load
    torch.storage:_load_from_bytes numpy:load numpy.lib.npyio:load numpy.lib._npyio_impl:load
    operator:attrgetter _operator:itemgetter functools:partial _functools:partial
    functools:reduce linecache:getline logging.config:dictConfig inspect:getattr_static
    codeop:compile_command bdb:Bdb doctest:testmod trace:Trace profile:run ctypes:CDLL
    _ctypes:dlopen http.client:HTTPSConnection urllib.request:urlopen ftplib:FTP smtplib:SMTP
    telnetlib:Telnet xmlrpc.client:ServerProxy sqlite3:connect _sqlite3:connect
    antigravity:geohash numpy.testing._private.utils:runstring numpy.core:_ufunc_reconstruct
    numpy._core:_ufunc_reconstruct numpy.ctypeslib:load_library pandas:eval pandas:read_pickle
    pandas.io.pickle:read_pickle pandas.core.computation.eval:eval
    scipy.stats._distn_infrastructure:rv_continuous sklearn.externals.joblib:load
    transformers.dynamic_module_utils:get_class_from_dynamic_module gc:get_objects
    signal:signal faulthandler:_sigsegv atexit:register threading:Thread _thread:start_new_thread
    concurrent.futures.process:ProcessPoolExecutor zipimport:zipimporter cgitb:enable
    imp:load_source venv:create _posixsubprocess:fork_exec pathlib:Path.write_text
    pathlib:PosixPath.unlink yaml:unsafe_load yaml.constructor:Constructor tempfile:mkstemp
    numpy:memmap numpy:fromfile numpy.core.memmap:memmap keras.layers:Lambda
    pandas:DataFrame.to_csv pandas:Series.to_pickle pandas.core.frame:DataFrame.query
    pandas.core.indexes.base:Index.to_string numpy:matrix.tofile numpy.ma.core:MaskedArray.dump
    polars:DataFrame.write_csv transformers.models.bert.modeling_bert:BertModel.from_pretrained
    catboost.core:CatBoost.save_model jinja2.nativetypes:NativeTemplate.render _pytest.config:main
    hypothesis.internal.reflection:source_exec_as_module attr._make:_compile_and_eval
    pyarrow.lib:OSFile sklearn.datasets:clear_data_home dask.base:compute hydra.utils:instantiate
    hydra._internal.utils:_locate wave:Wave_write xml.dom.minidom:parse platform:platform
    scipy.signal._signaltools:_timeit_fast numpy._core._methods:_dump numpy.lib:add_newdoc
    tensorflow:py_function mlflow.projects:run annotationlib:ForwardRef.evaluate
    typing:evaluate_forward_ref compression.zstd:open compression.zstd._zstdfile:ZstdFile
    dataclasses:_FuncBuilder _remote_debugging:RemoteUnwinder sysconfig:_import_from_directory
    site:register_readline pathlib._local:Path.write_text sys:remote_exec
    scipy._lib._uarray._backend:unpickle_function numpy._core.function_base:add_newdoc
""".split()

HARMLESS = """
    builtins:set builtins:frozenset builtins:object builtins:list builtins:slice builtins:range
    builtins:ValueError collections:OrderedDict collections:defaultdict collections:deque
    copyreg:_reconstructor copyreg:__newobj__ copyreg:__newobj_ex__ datetime:datetime
    decimal:Decimal uuid:UUID _codecs:encode numpy:ndarray numpy:dtype numpy:trace
    numpy.core.multiarray:_reconstruct numpy._core.multiarray:scalar
    numpy.random._pickle:__generator_ctor
    scipy.signal:firwin scipy.signal._ltisys:TransferFunctionContinuous
    sklearn.tree._tree:Tree sklearn.linear_model._base:LinearRegression
    sklearn.inspection._plot:Display pandas.core.frame:DataFrame
    pandas.core.internals.managers:BlockManager pathlib:PosixPath pathlib:PurePosixPath
    pathlib._local:PosixPath subprocess:CalledProcessError socket:AddressFamily
    signal:Signals http:HTTPStatus urllib.parse:ParseResult torch._utils:_rebuild_tensor_v2
    torch.nn.modules.linear:Linear torch:FloatStorage __torch__.shop.hub:Model shop.code:Model
    shop.site:main shop.trace:Trace shop.platform:architecture shop.models:profile
    shop.commands:run shop.logging.config:Settings inspect:Signature os:stat_result
    shop.keyboard:Layout shop.git.cmd:Log pandas.core.frame:DataFrame.to_numpy
    numpy:ndarray.copy shop.frames:Frame.to_csv attr._make:Factory pyarrow.lib:chunked_array
    multiprocessing.context:TimeoutError requests.structures:CaseInsensitiveDict
""".split()


@pytest.mark.parametrize("advisory", ADVISORIES)
def test_names_of_published_advisories_are_rows(advisory: str) -> None:
    assert lookup(*ADVISORIES[advisory]) is not None


@pytest.mark.parametrize("name", DANGEROUS)
def test_dangerous_name_is_found(name: str) -> None:
    assert lookup(*name.split(":")) is not None


@pytest.mark.parametrize("name", HARMLESS)
def test_does_nothing_to_harmless_name(name: str) -> None:
    assert lookup(*name.split(":")) is None


@pytest.mark.parametrize(
    ("module", "qualname"),
    [
        ("random", "_os.system"),
        ("logging", "os.system"),
        ("logging", "os"),
        ("a.b", "sys.modules"),
        ("torch.serialization", "os.system"),
        ("posixpath", "os.popen"),
        ("six.moves.builtins", "eval"),
        ("future.moves.subprocess", "call"),
        ("shop.os", "system"),
        ("shop.codecs", "open"),
        ("vendored.joblib.numpy_pickle", "load"),
        ("collections", "_sys.modules"),
        ("numpy.core.overrides", "os.system"),
        ("pandas.compat._optional", "importlib.import_module"),
        ("sklearn.externals.joblib.numpy_pickle", "load"),
        ("json.decoder", "scanner.re.enum.sys.exit"),
        ("pathlib", "Path.home"),
    ],
)
def test_module_reached_through_another_is_found(module: str, qualname: str) -> None:
    assert lookup(module, qualname) is not None


@pytest.mark.parametrize(
    "qualname",
    [
        "_reconstructor.__builtins__",
        "_reconstructor.__globals__",
        "dispatch_table.__class__",
        "object.__subclasses__",
        "X.__getattribute__",
        "X.__reduce__",
        "X.__init__",
        "X.__init__.__globals__.get",
        "__builtins__",
        "__loader__.load_module",
        "__spec__",
    ],
)
def test_walk_through_the_object_model_is_found(qualname: str) -> None:
    assert lookup("copyreg", qualname) is not None
    assert lookup("shop.models", qualname) is not None


@pytest.mark.parametrize(
    ("module", "qualname"),
    [
        ("__builtin__", "eval"),
        ("__builtin__", "execfile"),
        ("__builtin__", "apply"),
        ("__builtin__", "reduce"),
        ("__builtin__", "getattr"),
        ("commands", "getoutput"),
        ("cPickle", "loads"),
        ("urllib2", "urlopen"),
        ("urllib", "urlopen"),
        ("thread", "start_new_thread"),
        ("itertools", "ifilterfalse"),
        ("dumbdbm", "open"),
        ("exceptions", "ValueError.__init__"),
    ],
)
def test_python_2_name_is_found(module: str, qualname: str) -> None:
    assert lookup(module, qualname) is not None


@pytest.mark.parametrize(
    "name", ["__builtin__:set", "copy_reg:_reconstructor", "UserDict:UserDict"]
)
def test_does_nothing_to_harmless_python_2_name(name: str) -> None:
    assert lookup(*name.split(":")) is None


def test_names_too_long_to_be_honest_are_found() -> None:
    assert lookup("a." * 40 + "a", "b." * 40 + "b") is not None
    assert lookup("a" * 2000, "b") is not None
    assert lookup("a", "b" * 2000) is not None


def test_the_longest_row_wins() -> None:
    found = lookup("pandas.io.pickle", "read_pickle")
    assert found is not None
    assert found.name == "pandas.io.pickle"
    assert Power.DESERIALIZE in found.powers


def test_every_row_is_found_under_its_own_name() -> None:
    for row in (*dangers.rows(), *dangers._METHODS.values()):
        assert row.why
        assert row.source
        assert row.powers
        assert row.cwe in {73, 78, 94, 95, 470, 502, 763, 918}
        package, _, method = row.name.partition(".*.")
        found = lookup(package, f"Any.{method}") if method else lookup(row.name, "x")
        assert found is row, row.name


def test_rows_are_unique() -> None:
    names = [name for _, _, _, _, text in dangers.ROWS for name in text.split()]
    assert len(names) == len(set(map(dangers._plain, names))) == len(dangers.rows())


def test_words_are_used_by_a_row() -> None:
    """A word of a helper list without any row behind it would be dead text."""
    first = {name.partition(".")[0] for name in dangers._TABLE}
    assert first >= dangers._ORDINARY
    assert first >= dangers._REACHED
    for name in dangers._VALUES:
        assert any(name == row or name.startswith(f"{row}.") for row in dangers._TABLE), name


def test_powers_have_a_text() -> None:
    assert (Power.RUN_CODE | Power.FILE).label == "run code, file"


_PART = st.text(alphabet="_abos.{}\u00e9 \x00", max_size=8)


@given(st.lists(_PART, max_size=6), st.lists(_PART, max_size=6))
def test_any_text_is_answered(left: list[str], right: list[str]) -> None:
    found = lookup(".".join(left), ".".join(right))
    assert found is None or found.why


@given(
    st.sampled_from([row.name for row in dangers.rows()]),
    st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), max_size=3),
    st.integers(0, 3),
)
def test_whatever_stands_below_a_row_is_found(name: str, more: list[str], border: int) -> None:
    parts = [*name.split("."), *more, "x"]
    border = min(border + 1, len(parts) - 1)
    module, qualname = ".".join(parts[:border]), ".".join(parts[border:])
    assert lookup(module, qualname) is not None or ".".join(parts[:-1]) in dangers._VALUES


class _Child(subprocess.Popen):  # type: ignore[type-arg]
    pass


class _Called:
    def __call__(self) -> None:
        """Be called."""


HOMES = [
    (os.system, ("posix", "system")),
    (functools.partial(os.system, "x"), ("posix", "system")),
    (functools.partial(functools.partial(map, os.system)), ("posix", "system")),
    (functools.lru_cache(os.system), ("posix", "system")),
    (staticmethod(os.system), ("posix", "system")),
    (_Child.communicate, ("subprocess", "Popen.communicate")),
    (classmethod(_Child.communicate), ("subprocess", "Popen.communicate")),
    (socket.socket.connect, ("_socket", "socket.connect")),
    (io.FileIO(os.devnull).write, ("_io", "FileIO.write")),
    (int.from_bytes, ("builtins", "int.from_bytes")),
    (_Called(), (__name__, "_Called")),
    (object.__setattr__, ("builtins", "object.__setattr__")),
    (dict.__new__, ("builtins", "dict")),
]


@pytest.mark.parametrize(("found", "home"), HOMES, ids=range(len(HOMES)))
def test_what_is_wrapped_is_at_home_where_it_is_from(found: object, home: tuple[str, str]) -> None:
    assert home in dangers.homes(found)


def test_a_wrapper_of_itself_has_an_end() -> None:
    endless = functools.partial(print)
    endless.__setstate__((endless, (), {}, {}))  # type: ignore[attr-defined]
    assert ("functools", "partial") in dangers.homes(endless)


def test_a_class_is_made_as_the_class_it_derives_from() -> None:
    assert ("subprocess", "Popen") in dangers.makers(_Child)
    assert list(dangers.makers(_Called)) == []
    assert list(dangers.makers(os.system)) == []


def test_nothing_is_imported() -> None:
    code = (
        "import sys; from safehold import dangers\n"
        "before = set(sys.modules)\n"
        "for row in dangers.rows(): dangers.lookup(row.name, 'x'); dangers.lookup('a', row.name)\n"
        "print(sorted(set(sys.modules) - before))\n"
        "print('subprocess' in before or 'pickle' in before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[]", "False"]
