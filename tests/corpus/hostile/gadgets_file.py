"""Callables that create, copy or remove files, or listen on a socket that is a file."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

from tests.bypasses.payloads import Gadget, Raw, call, named
from tests.corpus.hostile.gadgets_code import EMPTY, method, script


def opens(module: str, name: str, *more: object) -> Gadget:
    """A function that opens its first argument for writing."""
    return lambda canary: call(named(module, name), str(canary), *more)


def path_method(name: str, *args: object) -> Gadget:
    return lambda canary: method(
        "pathlib", "Path", name, *args, self=call(named("pathlib", "PosixPath"), str(canary))
    )


def copies(module: str, name: str, *more: object) -> Gadget:
    """A function that copies or moves a file to its second argument."""
    return lambda canary: call(named(module, name), script(canary), str(canary), *more)


def _extract(canary: Path) -> Raw:
    path = canary.with_name("packed.zip")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(canary.name), b"")
    path.write_bytes(buffer.getvalue())
    archive_ = call(named("zipfile", "ZipFile"), str(path))
    return method("zipfile", "ZipFile", "extractall", str(canary.parent), self=archive_)


def _unpack(canary: Path) -> Raw:
    path = canary.with_name("packed.tar")
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo(canary.name))
    return call(named("shutil", "unpack_archive"), str(path), str(canary.parent))


def _cookies(canary: Path) -> Raw:
    jar = call(named("http.cookiejar", "MozillaCookieJar"), str(canary))
    return method("http.cookiejar", "MozillaCookieJar", "save", self=jar)


def _element(canary: Path) -> Raw:
    element = call(named("xml.etree.ElementTree", "Element"), "a")
    tree = call(named("xml.etree.ElementTree", "ElementTree"), element)
    return method("xml.etree.ElementTree", "ElementTree", "write", str(canary), self=tree)


def _database(module: str) -> Gadget:
    def build(canary: Path) -> Raw:
        connection = call(named(module, "connect"), str(canary))
        execute = call(named("builtins", "getattr"), connection, "execute")
        return call(execute, "create table a (b)")

    return build


def _snapshot(canary: Path) -> Raw:
    snapshot = call(named("tracemalloc", "Snapshot"), (), 1)
    return method("tracemalloc", "Snapshot", "dump", str(canary), self=snapshot)


def _retrieved(canary: Path) -> Raw:
    url = f"file://{script(canary)}"
    return call(named("urllib.request", "urlretrieve"), url, str(canary))


def _listener(canary: Path) -> Raw:
    return call(named("multiprocessing.connection", "Listener"), str(canary), "AF_UNIX")


def _unix(canary: Path) -> Raw:
    made = call(named("socket", "socket"), 1, 1)
    return call(call(named("builtins", "getattr"), made, "bind"), str(canary))


def _removed(canary: Path) -> Raw:
    """Moving the only copy away shows that a file was removed."""
    return call(named("os", "replace"), script(canary), str(canary))


GADGETS: dict[str, tuple[Gadget, tuple[str, ...]]] = {
    **{
        f"{module.replace('_io', 'c-io')}-{name}": (opens(module, name, "w"), ())
        for module, name in [
            ("builtins", "open"),
            ("io", "open"),
            ("_io", "open"),
            ("io", "FileIO"),
            ("_io", "FileIO"),
            ("_pyio", "open"),
            ("_pyio", "FileIO"),
            ("codecs", "open"),
            ("gzip", "open"),
            ("gzip", "GzipFile"),
            ("bz2", "open"),
            ("bz2", "BZ2File"),
            ("lzma", "open"),
            ("lzma", "LZMAFile"),
            ("zipfile", "ZipFile"),
            ("tarfile", "open"),
        ]
    },
    "py2-open": (lambda m: call(named("__builtin__", "open"), str(m), "w"), ()),
    "pathlib-touch": (path_method("touch"), ()),
    "pathlib-write_text": (path_method("write_text", ""), ()),
    "pathlib-write_bytes": (path_method("write_bytes", b""), ()),
    "pathlib-mkdir": (path_method("mkdir"), ()),
    "pathlib-symlink_to": (path_method("symlink_to", "/"), ()),
    "pathlib-open": (path_method("open", "w"), ()),
    "shutil-copyfile": (copies("shutil", "copyfile"), ()),
    "shutil-copy": (copies("shutil", "copy"), ()),
    "shutil-copy2": (copies("shutil", "copy2"), ()),
    "shutil-move": (copies("shutil", "move"), ()),
    "shutil-unpack": (_unpack, ()),
    "os-replace": (_removed, ()),
    "os-link": (copies("os", "link"), ()),
    "posix-rename": (copies("posix", "rename"), ()),
    "posix-symlink": (copies("posix", "symlink"), ()),
    "os-mkdir": (opens("os", "mkdir"), ()),
    "os-makedirs": (opens("os", "makedirs"), ()),
    "os-mkfifo": (opens("os", "mkfifo"), ()),
    "os-mknod": (opens("os", "mknod"), ()),
    "os-open": (opens("os", "open", 0o101), ()),
    "logging-filehandler": (opens("logging", "FileHandler"), ()),
    "logging-rotating": (opens("logging.handlers", "RotatingFileHandler"), ()),
    "logging-watched": (opens("logging.handlers", "WatchedFileHandler"), ()),
    "mailbox-mbox": (opens("mailbox", "mbox"), ()),
    "mailbox-maildir": (opens("mailbox", "Maildir"), ()),
    "mailbox-mh": (opens("mailbox", "MH"), ()),
    "wave-open": (opens("wave", "open", "wb"), ()),
    "sunau-open": (opens("sunau", "open", "wb"), ("sunau",)),
    "aifc-open": (opens("aifc", "open", "wb"), ("aifc",)),
    "distutils-write_file": (
        lambda m: call(named("distutils.file_util", "write_file"), str(m), ["x"]),
        ("distutils.file_util",),
    ),
    "distutils-mkpath": (opens("distutils.dir_util", "mkpath"), ("distutils.dir_util",)),
    "setuptools-write_file": (
        lambda m: call(named("setuptools._distutils.file_util", "write_file"), str(m), ["x"]),
        ("setuptools._distutils.file_util",),
    ),
    "py_compile": (lambda m: call(named("py_compile", "compile"), script(m), str(m)), ()),
    "zipapp": (
        lambda m: call(
            named("zipapp", "create_archive"), str(Path(script(m)).parent), str(m), None, "a:b"
        ),
        (),
    ),
    "zipfile-extractall": (_extract, ()),
    "cookiejar-save": (_cookies, ()),
    "elementtree-write": (_element, ()),
    "sqlite3-connect": (_database("sqlite3"), ()),
    "sqlite3-c-connect": (_database("_sqlite3"), ()),
    "tracemalloc-dump": (_snapshot, ()),
    "readline-history": (opens("readline", "write_history_file"), ("readline",)),
    "urllib-urlretrieve": (_retrieved, ()),
    "multiprocessing-listener": (_listener, ()),
    "socket-bind": (_unix, ()),
    "socketserver-unix": (opens("socketserver", "UnixStreamServer", None), ()),
    "cprofile-dump_stats": (
        lambda m: method("cProfile", "Profile", "dump_stats", str(m)),
        (),
    ),
    "fsspec-open": (
        lambda m: method("fsspec.implementations.local", "LocalFileSystem", "touch", str(m)),
        ("fsspec.implementations.local",),
    ),
    "numpy-memmap": (
        lambda m: call(named("numpy", "memmap"), str(m), "u1", "w+", 0, (1,)),
        ("numpy",),
    ),
    "numpy-savetxt": (lambda m: call(named("numpy", "savetxt"), str(m), [1]), ("numpy",)),
    "numpy-open_memmap": (
        lambda m: call(named("numpy.lib.format", "open_memmap"), str(m), "w+", "u1", (1,)),
        ("numpy",),
    ),
    "numpy-tofile": (
        lambda m: method(
            "numpy", "ndarray", "tofile", str(m), self=call(named("numpy", "array"), [1])
        ),
        ("numpy",),
    ),
    "numpy-dump": (
        lambda m: method(
            "numpy", "ndarray", "dump", str(m), self=call(named("numpy", "array"), [1])
        ),
        ("numpy",),
    ),
    "joblib-dump": (lambda m: call(named("joblib", "dump"), 1, str(m)), ("joblib",)),
    "pandas-to_pickle": (
        lambda m: call(named("pandas", "to_pickle"), 1, str(m)),
        ("pandas",),
    ),
    "pandas-to_csv": (
        lambda m: method(
            "pandas.core.frame",
            "DataFrame",
            "to_csv",
            str(m),
            self=call(named("pandas", "DataFrame"), [1]),
        ),
        ("pandas",),
    ),
    "scipy-savemat": (
        lambda m: call(named("scipy.io", "savemat"), str(m), EMPTY, False),
        ("scipy.io",),
    ),
    "sklearn-dump_svmlight": (
        lambda m: call(named("sklearn.datasets", "dump_svmlight_file"), [[1]], [1], str(m)),
        ("sklearn.datasets",),
    ),
    "torch-save": (lambda m: call(named("torch", "save"), 1, str(m)), ("torch",)),
    "torch-from_file": (
        lambda m: call(named("torch", "UntypedStorage.from_file"), str(m), True, 1),
        ("torch",),
    ),
    "networkx-write": (
        lambda m: call(
            named("networkx", "write_edgelist"), call(named("networkx", "Graph")), str(m)
        ),
        ("networkx",),
    ),
}
