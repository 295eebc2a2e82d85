"""Standard library callables that run code, each once reported as missing from a blocklist."""

from __future__ import annotations

import importlib
import marshal
import sys

import pytest

from tests.bypasses.payloads import Raw, assert_caught, call, named, source, stream, system


def _function(marker):
    code = marshal.dumps(compile(source(marker), "<payload>", "exec"))
    loaded = call(named("marshal", "loads"), code)
    function = call(named("types", "FunctionType"), loaded, Raw(b"}"))
    return call(function)


def _library(marker):
    library = call(named("ctypes", "CDLL"), None)
    function = call(named("builtins", "getattr"), library, "system")
    return call(function, f"touch {marker}".encode())


def _subinterpreter(marker):
    module = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    made = call(named(module, "create"))
    return call(named(module, "run_string"), made, source(marker))


def _path_file(marker):
    folder = marker.parent / "packages"
    folder.mkdir()
    (folder / "a.pth").write_text(f"import builtins; {source(marker)}\n")
    return call(named("site", "addpackage"), str(folder), "a.pth", None)


def _script(marker):
    script = marker.with_name("script.py")
    script.write_text(source(marker))
    return call(named("runpy", "run_path"), str(script))


def _imported():
    return call(named("importlib", "import_module"), "os")


def _transport(marker):
    start = named("asyncio.unix_events", "_UnixSubprocessTransport._start")
    # Any object that takes attributes will do as self.
    anything = named("timeit", "main")
    return call(start, anything, f"touch {marker}", True, None, None, None, 0)


# advisory -> payload; picklescan's unless another scanner is named
GADGETS = {
    "subprocess.call": lambda m: call(named("subprocess", "call"), ["touch", str(m)]),
    "GHSA-655q-fx9r-782v pip.main": lambda m: call(
        named("pip", "main"), ["list", "--log", str(m), "--disable-pip-version-check"]
    ),
    "GHSA-xp4f-hrf8-rxw7 ensurepip._run_pip": lambda m: call(
        named("ensurepip", "_run_pip"), ["list", "--log", str(m)]
    ),
    "GHSA-v7x6-rv5q-mhwc timeit.timeit": lambda m: call(
        named("timeit", "timeit"), "pass", source(m)
    ),
    "GHSA-4675-36f9-wf6r profile.run": lambda m: call(named("profile", "run"), source(m)),
    "cProfile.run": lambda m: call(named("cProfile", "run"), source(m)),
    "GHSA-vvpj-8cmc-gx39 pkgutil.resolve_name": lambda m: call(
        call(named("pkgutil", "resolve_name"), "os:system"), f"touch {m}"
    ),
    "GHSA-m273-6v24-x4m4 operator.methodcaller": lambda m: call(
        call(named("operator", "methodcaller"), "system", f"touch {m}"), _imported()
    ),
    "GHSA-955r-x9j8-7rhh _operator.attrgetter": lambda m: call(
        call(call(named("_operator", "attrgetter"), "system"), _imported()), f"touch {m}"
    ),
    "CVE-2025-10157 asyncio.unix_events": _transport,
    "CVE-2026-56315 uuid._get_command_stdout": lambda m: call(
        named("uuid", "_get_command_stdout"), "touch", str(m)
    ),
    "CVE-2026-56315 imaplib.IMAP4_stream": lambda m: call(
        named("imaplib", "IMAP4_stream"), f"touch {m}"
    ),
    "CVE-2026-56315 _osx_support._read_output": lambda m: call(
        named("_osx_support", "_read_output"), f"touch {m}"
    ),
    "fickling GHSA-r7v6-mfhq-g3m2 pty.spawn": lambda m: call(
        named("pty", "spawn"), ["touch", str(m)]
    ),
    "fickling GHSA-565g-hwwr-4pp3 marshal and types": _function,
    "fickling GHSA-m6fh-58r7-x697 site": _path_file,
    "fickling GHSA-6ggj-6f2q-f7mx sub-interpreters": _subinterpreter,
    "runpy": _script,
    "ctypes": _library,
    "functools.partial": lambda m: call(
        call(named("functools", "partial"), named("posix", "system"), f"touch {m}")
    ),
    "functools.reduce": lambda m: call(
        named("functools", "reduce"), named("builtins", "exec"), [source(m), {}]
    ),
    "multiprocessing.util": lambda m: call(
        named("multiprocessing.util", "spawnv_passfds"),
        b"/usr/bin/touch",
        [b"touch", str(m).encode()],
        [],
    ),
    "getattr on a module": lambda m: call(
        call(named("builtins", "getattr"), _imported(), "system"), f"touch {m}"
    ),
    "GHSA-84r2-jw7c-4r5q pickle in a pickle": lambda m: call(
        named("_pickle", "loads"), stream(system(m))
    ),
    "builtins.open": lambda m: call(named("builtins", "open"), str(m), "w"),
    "_io.FileIO": lambda m: call(named("_io", "FileIO"), str(m), "w"),
    "logging.FileHandler": lambda m: call(named("logging", "FileHandler"), str(m)),
    "pathlib": lambda m: call(
        named("pathlib", "Path.touch"), call(named("pathlib", "PosixPath"), str(m))
    ),
}


@pytest.mark.parametrize("name", GADGETS)
def test_gadget_is_malicious(marker, name):
    assert_caught(stream(GADGETS[name](marker)), marker)


@pytest.mark.skipif(
    not hasattr(importlib.import_module("pydoc"), "pipepager"), reason="renamed in Python 3.13"
)
def test_pydoc_pager(marker):
    payload = call(named("pydoc", "pipepager"), "text", f"tee {marker}")
    assert_caught(stream(payload), marker)
