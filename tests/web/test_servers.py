"""What really leaves a server: uvicorn, over TCP, read by client libraries."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import warnings

import pytest

from safehold.web import install
from tests.web import applications
from tests.web.driving import Sent

pytestmark = pytest.mark.extras


@contextlib.contextmanager
def served(app):
    import uvicorn

    config = uvicorn.Config(app, port=0, log_level="critical", server_header=False, ws="auto")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of uvicorn about websockets
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)


def test_answers_of_a_real_server(hold, tmp_path):
    import httpx
    from starlette.routing import WebSocketRoute

    (tmp_path / "file.txt").write_text("a file")
    app = install(applications.fastapi(tmp_path), hold)

    async def closed(websocket):
        await websocket.close()

    async def broken(websocket):
        applications.boom()

    app.router.routes += [WebSocketRoute("/closed", closed), WebSocketRoute("/broken", broken)]
    with served(app) as port:
        for method, path, status in applications.REQUESTS.values():
            # Each with a connection of its own: uvicorn closes one after an error.
            answer = httpx.request(method, f"http://127.0.0.1:{port}{path}", trust_env=False)
            assert answer.status_code == status
            Sent(status, list(answer.headers.multi_items())).assert_nine()
        for path, status in (("/closed", 403), ("/broken", 500), ("/nowhere", 403)):
            answer = asyncio.run(handshake(port, path))
            assert answer.status_code == status
            Sent(status, list(answer.headers.raw_items())).assert_nine()


async def handshake(port, path):
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus) as caught:
        async with connect(f"ws://127.0.0.1:{port}{path}"):
            pass
    return caught.value.response
