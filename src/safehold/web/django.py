"""Django: one middleware, which wraps the handlers too; a tag for the nonce; the admin under it.

MIDDLEWARE = ["safehold.web.django.SecurityHeadersMiddleware", ...]    # the first one
SAFEHOLD = "safehold.toml"                                             # or a Context
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from safehold.context import Context
from safehold.inputs.requests import current
from safehold.inputs.settings import django_hold
from safehold.web import asgi, wsgi
from safehold.web.changes import change_of_view
from safehold.web.exchange import KEY, Exchange, exchange_of, nonce
from safehold.web.site import Site


class SecurityHeadersMiddleware:
    """The first of ``MIDDLEWARE``. Errors outside of it are answered by a handler that it wraps."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        """Wrap the handlers of this process, once, and bring the tag to its templates.

        Raises:
            ConfigError: no ``SAFEHOLD`` in the settings, or a policy that cannot be used.
        """
        from asgiref.sync import iscoroutinefunction, markcoroutinefunction

        self._get_response = get_response
        self._async = iscoroutinefunction(get_response)
        if self._async:
            markcoroutinefunction(self)
        hold = django_hold()
        self._site: Site[str] = Site(hold, str)
        _wrap_handlers(hold)
        _prepare_templates()

    def __call__(self, request: Any) -> Any:
        """Answer a request, or return what can be awaited for the answer."""
        place = getattr(request, "scope", None) or request.META
        outside = KEY in place
        if not outside:  # a test's client calls no handler that is wrapped
            place[KEY] = Exchange()
        if self._async:
            return self._later(request, place[KEY], outside=outside)
        response = self._get_response(request)
        return response if outside else self._over(response, place[KEY])

    async def _later(self, request: Any, exchange: Exchange, *, outside: bool) -> Any:
        response = await self._get_response(request)
        return response if outside else self._over(response, exchange)

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None:
        """Keep what the view was decorated with, and what its path has for it."""
        exchange_of(request).change = change_of_view(view)
        if (inputs := current()) is not None and (args or kwargs):
            inputs.later(lambda: [str(one) for one in (*args, *kwargs.values())])

    def _over(self, response: Any, exchange: Exchange) -> Any:
        headers = list(response.items())
        out = self._site.over(
            headers, response.status_code, exchange, exchange.change, sized=not response.streaming
        )
        for name, _ in headers:
            if response.has_header(name):
                del response[name]
        for name, value in out:
            response[name] = value
        return response


def _wrap_handlers(hold: Context) -> None:
    """Stand outside of Django's handlers, which answer some errors without any middleware."""
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler

    for handler, wrapped in ((WSGIHandler, _wsgi), (ASGIHandler, _asgi)):
        bare = handler.__dict__["__call__"]
        if not hasattr(bare, _BARE):
            call = wrapped(bare, hold)
            setattr(call, _BARE, bare)
            handler.__call__ = call


_BARE = "safehold_bare"


def _wsgi(bare: Any, hold: Context) -> Callable[..., Any]:
    layers: dict[int, wsgi.SecurityHeaders] = {}

    def call(handler: Any, environ: Any, start_response: Any) -> Any:
        layer = layers.get(id(handler))
        if layer is None:  # which keeps the handler, and so its id
            layer = layers[id(handler)] = wsgi.SecurityHeaders(bare.__get__(handler), hold)
        return layer(environ, start_response)

    return call


def _asgi(bare: Any, hold: Context) -> Callable[..., Any]:
    layers: dict[int, asgi.SecurityHeaders] = {}

    async def call(handler: Any, scope: Any, receive: Any, send: Any) -> None:
        layer = layers.get(id(handler))
        if layer is None:
            layer = layers[id(handler)] = asgi.SecurityHeaders(bare.__get__(handler), hold)
        await layer(scope, receive, send)

    return call


# -- templates

# Templates that Django brings along itself. Their sources get nonces before any value is in them.
_OWN = ("admin/", "registration/", "admin_doc/")
_TAGS = re.compile(r"<(script|style)\b")
_MEDIA = re.compile(r"\{\{ ([\w.]*\bmedia(?:\.js)?) \}\}")


def _prepare_templates() -> None:
    """Bring the tags to every engine, and nonces to Django's own templates."""
    from django.template import engines
    from django.template.backends.django import DjangoTemplates

    for backend in engines.all():
        if isinstance(backend, DjangoTemplates):
            engine = backend.engine
            if not any("csp_nonce" in library.tags for library in engine.template_builtins):
                engine.template_builtins.append(_library())
                for loader in _leaves(engine.template_loaders):
                    loader.get_contents = _nonced(loader.get_contents)


def _library() -> Any:
    from django.template import Library
    from django.utils.safestring import mark_safe

    def csp_nonce(context: Any) -> str:
        request = getattr(context, "request", None) or context.get("request")
        # Without one the script does not run, and nothing else is lost.
        return nonce(request) if _has_exchange(request) else ""

    def nonced_media(context: Any, media: Any) -> str:
        # Made by Django from the classes of forms and widgets: no value of a request is in it.
        tag = f'<script nonce="{csp_nonce(context)}"'
        return cast("str", mark_safe(str(media).replace("<script", tag)))  # noqa: S308  as above

    library = Library()
    for tag in (csp_nonce, nonced_media):
        library.simple_tag(tag, takes_context=True)
    return library


def _has_exchange(request: Any) -> bool:
    return request is not None and KEY in (getattr(request, "scope", None) or request.META)


def _leaves(loaders: Iterable[Any]) -> Iterator[Any]:
    for loader in loaders:
        if hasattr(loader, "loaders"):  # the one that caches
            yield from _leaves(loader.loaders)
        else:
            yield loader


def _nonced(get_contents: Callable[[Any], str]) -> Callable[[Any], str]:
    import django

    home = os.path.join(os.path.dirname(django.__file__), "contrib", "")

    def contents(origin: Any) -> str:
        text = get_contents(origin)
        if origin.template_name.startswith(_OWN) and str(origin.name).startswith(home):
            text = _TAGS.sub(r'<\1 nonce="{% csp_nonce %}"', text)
            text = _MEDIA.sub(r"{% nonced_media \1 %}", text)
        return text

    return contents
