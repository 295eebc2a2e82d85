"""The service in Litestar, which reads annotations as they stand and so needs them not as text."""

from typing import Any

from litestar import Litestar, Request, Router, get, head
from litestar.background_tasks import BackgroundTask
from litestar.exceptions import HTTPException
from litestar.response import Redirect, Response, Stream
from litestar.static_files import create_static_files_router

from safehold.web import sends
from tests.web.applications import EVENTS, STREAM, TEXT, Failing, boom, chunks, page


@get("/json")
async def json() -> dict[str, int]:
    return {"a": 1}


@get("/page", media_type="text/html")
async def html(request: Request) -> str:
    return page(request)


@head("/page", media_type="text/html")
async def html_head() -> None:
    return None


@get("/redirect", status_code=307)
async def redirect() -> Redirect:
    return Redirect("/json", status_code=307)


@get("/number/x")
async def number() -> None:
    raise HTTPException(status_code=422)


@get("/teapot")
async def teapot() -> None:
    raise HTTPException(status_code=418)


@get("/boom")
async def broken() -> None:
    boom()


@get("/stream")
async def stream() -> Stream:
    return Stream(chunks(STREAM), media_type="text/plain")


@get("/events")
async def events() -> Stream:
    return Stream(chunks(EVENTS), media_type="text/event-stream")


@get("/background")
async def background() -> Response[dict[str, int]]:
    return Response({}, background=BackgroundTask(int, "1"))


@get("/banner")
async def banner() -> Response[str]:
    return Response(TEXT, headers={"Server": "x/1.0", "X-Powered-By": "y"})


@get("/framed", media_type="text/html")
@sends(frame="SAMEORIGIN", allow_unsafe="a partner")
async def framed(request: Request) -> str:
    return page(request)


def litestar(folder: Any) -> Any:
    mounted = Router(path="/mounted", route_handlers=[html, broken])
    files = create_static_files_router(path="/static", directories=[folder])
    return Litestar(
        [
            json, html, html_head, redirect, number, teapot, broken, stream, events, background,
            banner, framed, mounted, files,
        ],
        middleware=[Failing],
        openapi_config=None,
    )  # fmt: skip
