"""Objects behind URLs, through fsspec: listed, fetched to a temporary file, and read there.

Nothing of a URL but its host and path gets into a report: user names, passwords and queries may
be secrets, and so may the texts of errors that hold them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from safehold.errors import MissingExtra
from safehold.scan.entries import Found, is_excluded
from safehold.scan.failures import FetchError, reason
from safehold.scan.reading import TooLarge
from safehold.scan.spool import Spool
from safehold.scan.values import Data
from safehold.scan.walk import find_files

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?:::[A-Za-z][A-Za-z0-9+.-]*)*://")
_LOCAL: Final = ("file://", "local://")
_WEB: Final = ("http://", "https://")
# File systems within others: archives are read anyway, and caches would keep what is fetched.
_WRAPPERS: Final = frozenset(
    "async_wrapper asyncwrapper blockcache cached dask data dir filecache generic libarchive "
    "reference simplecache tar zip".split()
)
# There, what stands before an @ belongs to the path.
_AT_IN_PATHS: Final = frozenset({"abfs", "abfss", "az", "hf"})
_CHUNK: Final = 2**20
# A server of HTTP is given up when nothing comes for so many seconds, and any object that comes
# more slowly than this after a minute.
_SECONDS: Final = 60
_SLOWEST: Final = 16 * 2**10
# What adds a kind of URL to fsspec, by the name that pip installs.
_PACKAGES: Final = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs",
    "hf": "huggingface_hub", "sftp": "paramiko", "ssh": "paramiko", "smb": "smbprotocol",
    "webdav": "webdav4", "oci": "ocifs", "oss": "ossfs",
}  # fmt: skip
_WITHOUT: Final = ("http", "https", "ftp", "file")
# Pages of links can go on forever.
_MOST_PAGES: Final = 10_000


def is_url(path: str) -> bool:
    """Whether a path is meant as a URL; a chain of them too."""
    return _URL.match(path) is not None


def redacted(url: str) -> str:
    """Return a URL without user, password, query and fragment."""
    scheme, _, rest = url.partition("://")
    rest, mark, _ = rest.partition("?")
    if not mark:
        rest = rest.partition("#")[0]
    links = "::".join(_without_user(link) for link in f"{scheme}://{rest}".split("::"))
    return links + ("?..." if mark else "")


def _without_user(link: str) -> str:
    """Return one URL of a chain without its user and password."""
    scheme, mark, rest = link.partition("://")
    host, slash, path = rest.partition("/")
    before, at, after = host.rpartition("@")
    if at and (":" in before or scheme.lower() not in _AT_IN_PATHS):
        host = f"...@{after}"
    return f"{scheme}{mark}{host}{slash}{path}"


def find_objects(url: str, exclude: Sequence[str] = ()) -> Iterator[Found]:
    """Yield an object, or those below a prefix; a problem where they cannot be listed.

    A web address is a directory only if it ends with a slash: another might be a large file.
    """
    url = _lower(url)
    local = local_path(url)
    if local is not None:
        yield from find_files(local, exclude)
        return
    label = redacted(url)
    try:
        files, path = _file_system(url)
        files.invalidate_cache()
        if url.startswith(_WEB):
            is_directory = url.endswith("/")
            size = None
        else:
            status = files.info(path)
            is_directory, size = status["type"] == "directory", status.get("size")
    except Exception as error:  # noqa: BLE001  the edge of foreign code: it becomes a report
        yield Found(label, named=True, problem=reason(error))
        return
    if is_directory:
        yield from _below(files, path, url, exclude)
    else:
        yield Found(path, named=True, root=url, label=label, size=size)


def fetch(found: Found, most: int) -> Data:
    """Return what an object holds.

    Raises:
        FetchError: it cannot be had, or not as long as it should be.
        TooLarge: it holds more than ``most`` bytes.
    """
    spool = Spool()
    try:
        _fetch(found, most, spool)
        return spool.data()
    except (FetchError, TooLarge):
        spool.close()
        raise
    except Exception as error:  # noqa: BLE001  the edge of foreign code: it becomes a report
        spool.close()
        raise FetchError(reason(error)) from None


def _fetch(found: Found, most: int, spool: Spool) -> None:
    if found.size is not None and found.size > most:
        raise TooLarge(found.size)
    files, _ = _file_system(found.root)
    options: dict[str, Any] = {}
    if found.root.startswith(_WEB):
        options = {"block_size": 0, "headers": {"Accept-Encoding": "identity"}}
    started = time.monotonic()
    with files.open(found.path, "rb", **options) as file:
        while chunk := file.read(_CHUNK):
            spool.write(chunk)
            if spool.size > most:
                raise TooLarge(spool.size)
            late = time.monotonic() - started - _SECONDS
            if late > 0 and spool.size < late * _SLOWEST:
                raise FetchError(f"timed out: {spool.size} bytes in {late + _SECONDS:.0f} s")
        said = getattr(file, "size", None)
    for size in (found.size, said):
        if isinstance(size, int) and size != spool.size:
            raise FetchError(f"{spool.size} bytes came, of {size}")


def _below(files: Any, top: str, url: str, exclude: Sequence[str]) -> Iterator[Found]:
    """Yield the objects below a prefix in the order of their names, directory by directory."""
    top = top.rstrip("/")
    label = redacted(url).removesuffix("?...").rstrip("/")
    waiting, seen = [top], {top}
    while waiting:
        directory = waiting.pop()
        shown = label + directory[len(top) :]
        try:
            slash = "/" if url.startswith(_WEB) else ""
            rows = sorted(files.ls(directory + slash, detail=True), key=lambda row: row["name"])
        except Exception as error:  # noqa: BLE001  as above
            yield Found(shown, named=True, problem=reason(error))
            continue
        below: list[str] = []
        for row in rows:
            name = row["name"].rstrip("/")
            rest = name[len(top) + 1 :]
            # Itself, as object stores list it, or what a page links to elsewhere.
            if not name.startswith(f"{directory}/") or ".." in rest.split("/"):
                continue
            if is_excluded(rest, exclude):
                continue
            if row["type"] != "directory":
                size = row.get("size")
                yield Found(row["name"], named=False, root=url, label=f"{label}/{rest}", size=size)
            elif name not in seen:
                seen.add(name)
                below.append(name)
        if url.startswith(_WEB) and len(seen) > _MOST_PAGES:
            yield Found(shown, named=True, problem=f"more than {_MOST_PAGES} pages of links")
            return
        waiting.extend(reversed(below))


def _file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path there. Raises FetchError, MissingExtra."""
    scheme, _, rest = url.partition("://")
    if "::" in url.partition("?")[0].partition("#")[0] or scheme in _WRAPPERS:
        raise FetchError("a file system within another; archives are read without it")
    try:
        from fsspec import available_protocols
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtra("fsspec", "remote") from error
    if scheme not in available_protocols():
        raise FetchError(_unknown(scheme))
    if url.startswith(_WEB) and not rest.partition("/")[0]:
        raise FetchError("the URL names no server")
    options: dict[str, Any] = {}
    if url.startswith(_WEB):
        try:
            import aiohttp
        except ImportError as error:
            raise MissingExtra("aiohttp", "remote") from error
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SECONDS, sock_read=_SECONDS)
        options = {"client_kwargs": {"timeout": timeout}}
    try:
        files, path = url_to_fs(url, **options)
    except ImportError as error:
        package = _PACKAGES.get(scheme)
        if package is None:
            raise
        raise FetchError(
            f"{scheme}:// needs a package that is not installed: pip install {package}"
        ) from error
    return files, str(path)


def _unknown(scheme: str) -> str:
    packages: dict[str, list[str]] = {}
    for known, package in _PACKAGES.items():
        packages.setdefault(package, []).append(known)
    with_package = (f"{' and '.join(known)} ({package})" for package, known in packages.items())
    return (
        f"no kind of URL is called {scheme[:40]!r}; known are {', '.join(_WITHOUT)}, and with a "
        f"package {', '.join(with_package)}; install the package that adds another one to fsspec"
    )


def _lower(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme.lower()}://{rest}"


def local_path(url: str) -> str | None:
    """Return the path that a URL of this machine names; None for any other."""
    if not _lower(url).startswith(_LOCAL):
        return None
    parts = urlsplit(url)
    return unquote(parts.path if parts.netloc in {"", "localhost"} else parts.netloc + parts.path)
