"""Pages of documentation that FastAPI serves, made anew with nonces.

FastAPI's own have inline scripts and styles without one, and text that nobody escapes. No page that
an application has made is ever rewritten: a rewriter would put the nonce into injected scripts too.
"""

from __future__ import annotations

import html
import inspect
import json
from typing import Any

from safehold.web.changes import sends
from safehold.web.exchange import nonce

_REDIRECT = "swagger_ui_redirect"
_SWAGGER = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="{css}" nonce="{nonce}" crossorigin></head>
<body><div id="swagger-ui"></div>
<script src="{js}" nonce="{nonce}" crossorigin></script>
<script nonce="{nonce}">
const given = {settings};
if (given.oauth2RedirectUrl)
  given.oauth2RedirectUrl = window.location.origin + given.oauth2RedirectUrl;
const ui = SwaggerUIBundle({{...given,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset]}});
const oauth = {oauth};
if (oauth) ui.initOAuth(oauth);
</script></body></html>
"""
_REDOC = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="icon" href="data:,">
<style nonce="{nonce}">body {{ margin: 0; padding: 0; }}</style></head>
<body><div id="redoc"></div>
<noscript>ReDoc needs scripts.</noscript>
<script src="{js}" nonce="{nonce}" crossorigin></script>
<script nonce="{nonce}">
Redoc.init({url}, {{nonce: "{nonce}"}}, document.getElementById("redoc"));
</script></body></html>
"""


def replace_docs(app: Any, folder: str) -> None:
    """Replace FastAPI's pages of documentation, also those of applications that are mounted.

    `folder`: where this site has the scripts and styles of both; "" for the CDN of FastAPI.
    """
    for route in list(getattr(app, "routes", ())):
        mounted = getattr(route, "app", None)
        if hasattr(mounted, "swagger_ui_init_oauth"):
            replace_docs(mounted, folder)
        make = _PAGES.get(getattr(route, "name", ""))
        home = getattr(getattr(route, "endpoint", None), "__module__", "")
        # Its own alone, and none that somebody has put in its place.
        if make is None or home != "fastapi.applications":
            continue
        app.router.routes.remove(route)
        app.add_route(route.path, make(app, folder.rstrip("/")), include_in_schema=False)


def _default(function: Any, name: str) -> str:
    return str(inspect.signature(function).parameters[name].default)


def _inside(value: object) -> str:
    """Return a value as JSON that cannot end the script that it stands in."""
    text = json.dumps(value)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _swagger(app: Any, folder: str) -> Any:
    from fastapi.openapi.docs import get_swagger_ui_html, swagger_ui_default_parameters
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    js, css = (
        f"{folder}/{name}" if folder else _default(get_swagger_ui_html, default)
        for name, default in (
            ("swagger-ui-bundle.js", "swagger_js_url"), ("swagger-ui.css", "swagger_css_url"),
        )
    )  # fmt: skip

    async def swagger_ui_html(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "").rstrip("/")
        redirect = app.swagger_ui_oauth2_redirect_url
        settings = {
            **swagger_ui_default_parameters,
            **(app.swagger_ui_parameters or {}),
            "url": root + app.openapi_url,
            "oauth2RedirectUrl": root + redirect if redirect else None,
        }
        return HTMLResponse(
            _SWAGGER.format(
                title=html.escape(f"{app.title} - Swagger UI"),
                css=html.escape(css),
                js=html.escape(js),
                nonce=nonce(request),
                settings=_inside(settings),
                oauth=_inside(app.swagger_ui_init_oauth),
            )
        )

    return swagger_ui_html


def _redirect(_app: Any, _folder: str) -> Any:
    from fastapi.openapi.docs import get_swagger_ui_oauth2_redirect_html
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    page = bytes(get_swagger_ui_oauth2_redirect_html().body).decode()

    async def swagger_ui_redirect(request: Request) -> HTMLResponse:
        # A constant of FastAPI, which has one script and no value of any request.
        return HTMLResponse(page.replace("<script", f'<script nonce="{nonce(request)}"'))

    return swagger_ui_redirect


def _redoc(app: Any, folder: str) -> Any:
    from fastapi.openapi.docs import get_redoc_html
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    js = f"{folder}/redoc.standalone.js" if folder else _default(get_redoc_html, "redoc_js_url")

    @sends(
        csp={"worker-src": ["'self'", "blob:"]},
        allow_unsafe="ReDoc searches in a worker that it makes from a blob",
    )
    async def redoc_html(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "").rstrip("/")
        return HTMLResponse(
            _REDOC.format(
                title=html.escape(f"{app.title} - ReDoc"),
                js=html.escape(js),
                nonce=nonce(request),
                url=_inside(root + app.openapi_url),
            )
        )

    return redoc_html


_PAGES = {"swagger_ui_html": _swagger, _REDIRECT: _redirect, "redoc_html": _redoc}
