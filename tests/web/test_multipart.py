"""What a framework reads from a form is an input, in whichever way the form is written."""

from __future__ import annotations

import asyncio
import io

import pytest

from safehold.inputs.sql import check_statement
from safehold.web.multipart import is_file, names_of
from safehold.web.values import body_values

pytestmark = pytest.mark.extras

ATTACK = "x' OR 1=1 --"
STATEMENT = "SELECT a FROM t WHERE b = '{}'"
HEAD = b'Content-Disposition: form-data; name="a"'


def form(boundary=b"B", end=b"\r\n", head=HEAD, value=b"x' OR 1=1 --"):
    parts = (b"--" + boundary, head, b"", value, b"--" + boundary + b"--", b"")
    return end.join(parts)


def by_werkzeug(kind, body):
    import werkzeug

    environ = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body)),
               "wsgi.input": io.BytesIO(body), "wsgi.url_scheme": "http", "SERVER_NAME": "a",
               "SERVER_PORT": "80"}  # fmt: skip
    return list(werkzeug.Request(environ).form.values())


def by_starlette(kind, body):
    from starlette.requests import Request

    async def receive():
        return {"type": "http.request", "body": body}

    async def read():
        scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}
        found = await Request(scope, receive).form()
        return [value for _, value in found.multi_items() if isinstance(value, str)]

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("read", "kind", "body"),
    [
        (by_werkzeug, "multipart/form-data; boundary=B", form()),
        (by_werkzeug, "multipart/form-data; boundary=B", form(end=b"\n")),
        (by_werkzeug, "multipart/form-data; boundary=B", form(end=b"\r")),
        (by_werkzeug, "multipart/form-data; boundary=C; boundary=B", form()),
        (by_werkzeug, "multipart/form-data; boundary*=utf-8''B", form()),
        (by_werkzeug, r'multipart/form-data; boundary="a\B"', form(b"aB")),
        (by_starlette, "multipart/form-data; boundary=B", form()),
        (by_starlette, "multipart/form-data; boundary=C; boundary=B", form()),
        (by_starlette, "multipart/form-data; boundary = B", form()),
        (
            by_starlette,
            "multipart/form-data; boundary=B; charset=utf-7",
            form(value=b"x+ACc- OR 1+AD0-1 --"),
        ),
        (
            by_starlette,
            "multipart/form-data; boundary=B; charset=cp037",
            form(value=ATTACK.encode("cp037")),
        ),
        (
            by_starlette,
            "application/x-www-form-urlencoded; x=multipart; boundary=Z",
            b"a=x%27+OR+1%3D1+--",
        ),
    ],
)
def test_what_a_framework_reads_is_looked_for(read, kind, body):
    (value,) = read(kind, body)
    assert "'" in value
    assert check_statement(STATEMENT.format(value), "sqlite", list(body_values(kind, body)))


def test_a_file_is_one_to_every_parser():
    files = (b'; filename="b"', b"; filename=b", b"; filename*=utf-8''b", b' ; FILENAME = "b"')
    others = (b"", b'; filename=""', b'; x="; filename=b"', b"; filename=", b"\r\nX: ; filename=b",
              b'; x="a; filename=b', HEAD)  # fmt: skip
    assert all(is_file(HEAD + more) for more in files)
    assert not any(is_file(HEAD + more) for more in others)
    assert set(names_of(HEAD + files[2])) >= {b"a", b"b"}
