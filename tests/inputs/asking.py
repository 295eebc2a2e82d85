"""Requests to an ASGI application, one at a time."""

from __future__ import annotations

import asyncio

import httpx


class Client:
    """Asks an application as `httpx.Client` would."""

    def __init__(self, app):
        self._app = app

    def request(self, method, path, **more):
        async def ask():
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                return await client.request(method, path, **more)

        return asyncio.run(ask())

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, **more):
        return self.request("POST", path, **more)
