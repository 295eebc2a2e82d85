"""Objects behind URLs: memory, local files, and a web server on this machine."""

from __future__ import annotations

import pickle
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from safehold._cli import main
from safehold.policy import Limits
from safehold.scan import remote, scan_path, scan_paths
from tests.bypasses.payloads import named, stream

pytestmark = pytest.mark.extras
fsspec = pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

EVIL = stream(named("os", "system"))
GOOD = pickle.dumps([1])
LARGE = pickle.dumps(bytes(9 * 2**20))


def found(url, *arguments, **options):
    return {one.path: str(one.verdict) for one in scan_path(url, *arguments, **options).files}


def message(url, *arguments, **options):
    [report] = scan_path(url, *arguments, **options).files
    [finding] = report.findings
    return str(report.verdict), finding.message


@pytest.fixture
def memory():
    files = fsspec.filesystem("memory")
    for name, data in {
        "/box/a/m.pkl": EVIL,
        "/box/a/notes.txt": b"text",
        "/box/b.pkl": GOOD,
        "/box/large.pkl": LARGE,
        "/boxes/other.pkl": EVIL,
    }.items():
        files.pipe(name, data)
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def test_prefix_is_walked_and_order_is_that_of_the_names(memory):
    assert list(found("memory://box").items()) == [
        ("memory://box/b.pkl", "clean"),
        ("memory://box/large.pkl", "clean"),
        ("memory://box/a/m.pkl", "malicious"),
    ]


def test_one_object(memory):
    assert found("memory://box/a/m.pkl") == {"memory://box/a/m.pkl": "malicious"}
    assert message("memory://box/a/notes.txt")[0] != "clean"


def test_exclude(memory):
    assert list(found("memory://box", exclude=["a", "large*"])) == ["memory://box/b.pkl"]
    assert "memory://box/a/m.pkl" not in found("memory://box", exclude=["a/*"])


def test_what_is_missing_is_an_error(memory):
    assert message("memory://box/none.pkl") == ("error", "could not be read: not found")


def test_the_limit_holds_for_the_size_that_is_said_and_for_the_one_that_comes(memory, monkeypatch):
    assert "larger than the limit" in message("memory://box/large.pkl", Limits(artifact=2**20))[1]
    monkeypatch.setattr(memory, "info", lambda path: {"type": "file", "size": None})
    assert "larger than the limit" in message("memory://box/large.pkl", Limits(artifact=2**20))[1]


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_size_that_lies_is_an_error(memory, monkeypatch, difference):
    status = {"type": "file", "size": len(GOOD) + difference}
    monkeypatch.setattr(memory, "info", lambda path: status)
    assert message("memory://box/b.pkl") == (
        "error",
        f"could not be read: {len(GOOD)} bytes came, of {len(GOOD) + difference}",
    )


@pytest.mark.parametrize(
    "error", [PermissionError("x"), OSError(5, "Input/output error"), KeyError()]
)
def test_a_prefix_that_cannot_be_listed_is_an_error_and_the_rest_is_read(
    memory, monkeypatch, error
):
    real = type(memory).ls

    def ls(self, path, **options):
        if path.rstrip("/").endswith("/a"):
            raise error
        return real(self, path, **options)

    monkeypatch.setattr(type(memory), "ls", ls)
    assert found("memory://box") == {
        "memory://box/b.pkl": "clean",
        "memory://box/large.pkl": "clean",
        "memory://box/a": "error",
    }


def test_a_listing_that_leads_back_or_elsewhere_ends(memory, monkeypatch):
    def ls(self, path, **options):
        return [
            {"name": "/box", "type": "directory"},
            {"name": "/", "type": "directory"},
            {"name": "/box/../boxes/other.pkl", "type": "file"},
            {"name": "/boxes/other.pkl", "type": "file"},
            {"name": "/box/a", "type": "directory"},
            {"name": "/box/b.pkl", "type": "file"},
        ]

    monkeypatch.setattr(type(memory), "ls", ls)
    assert found("memory://box") == {"memory://box/b.pkl": "clean"}


def test_workers_fetch_by_themselves(memory, tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.pkl").write_bytes(EVIL)
    url = f"file://{tmp_path}"
    reports = tuple(scan_paths([url, "memory://box"], jobs=2))
    assert [str(one.verdict) for one in reports[:5]] == ["malicious"] * 5
    # The memory of this process is empty in the workers: which is an error, not silence.
    assert {str(one.verdict) for one in reports[5:]} == {"error"}


def test_file_urls_are_local_paths(tmp_path):
    (tmp_path / "a b.pkl").write_bytes(EVIL)
    path = str(tmp_path / "a b.pkl")
    for url in (f"file://{tmp_path}/a%20b.pkl", f"file://localhost{path}", f"local://{path}"):
        assert found(url) == {path: "malicious"}


@pytest.mark.parametrize(
    "url", ["zip://m.pkl::memory://box/a.zip", "simplecache::memory://box", "reference://x"]
)
def test_file_systems_within_others_are_refused(url):
    verdict, text = message(url)
    assert verdict == "error"
    assert "archives are read without it" in text


@pytest.mark.parametrize(
    ("url", "module", "package"),
    [
        ("s3://bucket/m.pkl", "s3fs", "s3fs"),
        ("S3://bucket/m.pkl", "s3fs", "s3fs"),
        ("gs://bucket/m.pkl", "gcsfs", "gcsfs"),
        ("abfs://box@account/m.pkl", "adlfs", "adlfs"),
        ("az://box/m.pkl", "adlfs", "adlfs"),
        ("hf://org/name/m.pkl", "huggingface_hub", "huggingface_hub"),
        ("sftp://u:hidden@h/m.pkl", "paramiko", "paramiko"),
    ],
)
def test_a_kind_of_url_whose_package_is_missing_names_what_to_install(
    url, module, package, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    text = "needs a package that is not installed: pip install"
    kind = url.partition("://")[0].lower()
    assert message(url) == ("error", f"could not be read: {kind}:// {text} {package}")


def test_every_package_is_one_for_a_kind_that_fsspec_knows():
    assert remote._PACKAGES.keys() <= set(fsspec.available_protocols())
    assert set(remote._WITHOUT) <= set(fsspec.available_protocols())


def test_an_unknown_kind_of_url_names_the_known_ones_and_their_packages():
    verdict, text = message("no-such-scheme://x/m.pkl")
    assert verdict == "error"
    assert "no kind of URL is called 'no-such-scheme'" in text
    for part in ("http", "s3 and s3a (s3fs)", "(gcsfs)", "(adlfs)", "adds another one to fsspec"):
        assert part in text


@pytest.mark.parametrize("url", ["https://", "http:///", "http:///m.pkl"])
def test_a_web_address_without_a_server_is_told(url):
    assert message(url) == ("error", "could not be read: the URL names no server")


def test_capitals_of_a_kind_do_not_matter(web):
    assert list(found(web.replace("http", "HTTP") + "/m.pkl").values()) == ["malicious"]


@pytest.mark.parametrize("package", ["fsspec.core", "aiohttp"])
def test_without_the_extra_it_is_named(package, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["scan", "http://127.0.0.1:9/m.pkl"]) == 2
    assert "safehold[remote]" in capsys.readouterr().out


FILES = {"/m.pkl": EVIL, "/d/a.pkl": GOOD, "/d/e/b.pkl": EVIL, "/large.pkl": LARGE}
PAGES = {
    "/d/": '<a href="a.pkl">a</a> <a href="e/">e</a> <a href="../m.pkl">up</a>'
    '<a href="http://127.0.0.2/x.pkl">other</a> <a href="/m.pkl">root</a>',
    "/d/e/": '<a href="b.pkl">b</a> <a href="/d/">back</a>',
}


class Server(BaseHTTPRequestHandler):
    """Answers as a server in trouble does, by the path that is asked for."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        path = self.path.partition("?")[0]
        if path.startswith("/status/"):
            self.send_response(int(path.split("/")[2]))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if path == "/forever/" or path.startswith("/forever/"):
            data = b'<a href="a/">a</a><a href="b/">b</a>'
        elif path in PAGES:
            data = PAGES[path].encode()
        else:
            data = FILES.get(path.removeprefix("/cut").removeprefix("/slow"))
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        if path.endswith("/"):
            self.send_header("Content-Type", "text/html")
        self.end_headers()
        if not body:
            return
        if path.startswith("/cut"):
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        elif path.startswith("/slow"):
            self.wfile.write(data[:5])
            self.wfile.flush()
            self.server.stop.wait(20)
            self.close_connection = True
        else:
            self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def web():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.stop = threading.Event()
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()
        fsspec.filesystem("http").clear_instance_cache()


def test_object_of_a_web_server(web):
    assert found(f"{web}/m.pkl") == {f"{web}/m.pkl": "malicious"}
    assert found(f"{web}/large.pkl") == {f"{web}/large.pkl": "clean"}


def test_page_of_links_is_a_directory_and_leads_nowhere_else(web):
    assert found(f"{web}/d/") == {f"{web}/d/a.pkl": "clean", f"{web}/d/e/b.pkl": "malicious"}


def test_pages_without_end(web, monkeypatch):
    monkeypatch.setattr(remote, "_MOST_PAGES", 20)
    assert "more than 20 pages" in message(f"{web}/forever/")[1]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("none.pkl", "not found"),
        ("none/", "not found"),
        ("status/403", "the server refused it: the credentials may not read it"),
        ("status/403/", "(status 403)"),
        ("status/404/", "not found"),
        ("status/410", "not found (status 410)"),
        ("status/429", "too often"),
        ("status/500", "the server failed; try again later (status 500)"),
        ("status/503/", "(status 503)"),
        ("status/418", "the server answered with status 418"),
        ("status/401?token=hidden", "the server wants credentials"),
        ("cut/m.pkl", "ClientPayloadError"),
    ],
)
def test_what_does_not_come_is_an_error(web, path, text):
    verdict, shown = message(f"{web}/{path}")
    assert verdict == "error"
    assert text in shown


class Refused(FileNotFoundError):
    """What the libraries of object stores raise, with what the server said."""


def refused(**places):
    error = Refused("x")
    for name, value in places.items():
        setattr(error, name, value)
    return error


def caused(error, **places):
    """An error that hides another, as fsspec's file systems raise them."""
    error.__cause__ = refused(**places)
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (refused(), "not found"),
        (refused(code=403), "(status 403)"),
        (refused(response=SimpleNamespace(status_code=401)), "(status 401)"),
        (caused(FileNotFoundError("x"), response=SimpleNamespace(status_code=403)), "(status 403)"),
        (
            caused(OSError("x"), response={"ResponseMetadata": {"HTTPStatusCode": 503}}),
            "(status 503)",
        ),
        (refused(code="NoSuchKey"), "not found"),
        (refused(code=0), "not found"),
        (caused(PermissionError("x"), response={}), "permission denied"),
    ],
)
def test_what_a_server_refused_is_not_told_as_missing(memory, monkeypatch, error, text):
    def info(path):
        raise error

    monkeypatch.setattr(memory, "info", info)
    assert text in message("memory://box/b.pkl")[1]


def test_a_server_that_stops_sending(web, monkeypatch):
    monkeypatch.setattr(remote, "_SECONDS", 0.3)
    assert message(f"{web}/slow/m.pkl") == ("error", "could not be read: timed out")


def test_a_server_that_trickles(web, monkeypatch):
    monkeypatch.setattr(remote, "_SLOWEST", 2**50)
    monkeypatch.setattr(remote, "_SECONDS", 1e-9)
    real = remote._file_system
    monkeypatch.setattr(remote, "_file_system", lambda url: (real_system(real, url), url))
    assert "timed out: " in message(f"{web}/large.pkl")[1]


def real_system(real, url):
    """Make the file system with the usual time, as only the rate is looked at here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "_SECONDS", 60)
        return real(url)[0]


@pytest.mark.parametrize("path", ["m.pkl", "d/"])
def test_nobody_listens(path):
    text = "could not be read: the server cannot be reached: Connection refused"
    assert message(f"http://127.0.0.1:9/{path}") == ("error", text)


def test_a_server_that_speaks_no_tls(web):
    text = "could not be read: the server cannot be reached: it does not speak TLS"
    assert message(web.replace("http", "https") + "/m.pkl") == ("error", text)


def test_a_server_whose_name_nobody_knows(monkeypatch):
    async def resolve(*arguments, **options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("aiohttp.resolver.ThreadedResolver.resolve", resolve)
    monkeypatch.setattr("aiohttp.connector.DefaultResolver.resolve", resolve)
    text = "could not be read: the server cannot be reached: its name is not known"
    assert message("http://nobody.invalid/m.pkl") == ("error", text)


def test_secrets_of_a_url_are_never_shown(web, capsys):
    host = web.removeprefix("http://")
    for path in ("m.pkl", "none.pkl", "status/500", "cut/m.pkl", "d/"):
        for form in ("text", "json"):
            url = f"http://user:hidden@{host}/{path}?token=hidden#hidden"
            main(["scan", url, "--format", form])
            out, err = capsys.readouterr()
            assert host in out
            assert "hidden" not in out + err
            assert "user" not in out + err


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/p/x.pkl", "https://h/p/x.pkl"),
        ("https://u:p@h/x.pkl", "https://...@h/x.pkl"),
        ("https://token@h/x.pkl", "https://...@h/x.pkl"),
        ("https://u:p@q@h/x.pkl", "https://...@h/x.pkl"),
        ("https://h/x.pkl?sig=1#f", "https://h/x.pkl?..."),
        ("https://h/x.pkl#f", "https://h/x.pkl"),
        ("hf://org/name@main/x.pkl", "hf://org/name@main/x.pkl"),
        ("hf://gpt2@main/x.pkl", "hf://gpt2@main/x.pkl"),
        ("abfs://box@account.net/x", "abfs://box@account.net/x"),
        ("abfs://u:p@account.net/x", "abfs://...@account.net/x"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
        ("zip://a::https://u:p@h/x?s=1#f", "zip://a::https://...@h/x?..."),
        ("zip://a@b::https://u:p@h/x", "zip://...@b::https://...@h/x"),
        ("simplecache::https://u:p@h/x", "simplecache::https://...@h/x"),
        ("tar://m.pkl::zip://a::s3://k:p@b/x", "tar://m.pkl::zip://a::s3://...@b/x"),
        ("https://h/x.pkl?a=b::c", "https://h/x.pkl?..."),
        ("HF://org/name@main/x.pkl", "HF://org/name@main/x.pkl"),
    ],
)
def test_redacted(url, shown):
    assert remote.redacted(url) == shown


@pytest.mark.parametrize("path", ["a::b", "a:b", "./x://y", "C:/x", "a b://c", "://x", ""])
def test_what_is_no_url(path):
    assert not remote.is_url(path)
