"""One route that reads JSON and sets a cookie, in every framework; Litestar reads annotations."""

from typing import Any


def fastapi() -> Any:
    from fastapi import FastAPI, Response

    app = FastAPI()

    @app.post("/data")
    def data(body: dict[str, Any] | list[Any], response: Response) -> int:
        response.set_cookie("sid", "1")
        return len(body)

    return app


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def data(request: Request) -> JSONResponse:
        response = JSONResponse(len(await request.json()))
        response.set_cookie("sid", "1")
        return response

    return Starlette(routes=[Route("/data", data, methods=["POST"])])


def litestar() -> Any:
    from litestar import Litestar, Request, post
    from litestar.datastructures import Cookie
    from litestar.response import Response

    @post("/data", status_code=200)
    async def data(request: Request) -> Response[int]:
        return Response(len(await request.json()), cookies=[Cookie("sid", value="1")])

    return Litestar([data], openapi_config=None)


def flask() -> Any:
    import flask as fl

    app = fl.Flask(__name__)

    @app.post("/data")
    def data() -> Any:
        response = fl.jsonify(len(fl.request.get_json()))
        response.set_cookie("sid", "1")
        return response

    return app


def raw_asgi() -> Any:
    import json

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message.get("more_body"):
                break
        size = str(len(json.loads(body))).encode()
        headers = [(b"content-type", b"application/json"), (b"Set-Cookie", b"sid=1; Path=/")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": size})

    return app


def raw_wsgi() -> Any:
    import json

    def app(environ: Any, start_response: Any) -> Any:
        body = json.loads(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Type", "application/json"),
                                  ("Set-Cookie", "sid=1; Path=/")])  # fmt: skip
        return [str(len(body)).encode()]

    return app


ASGI = (fastapi, starlette, litestar, raw_asgi)
WSGI = (flask, raw_wsgi)
