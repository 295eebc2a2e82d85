"""Settings and views of a Django project in one module, for one process."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler  # noqa: F401  as projects do

from tests.web.applications import EVENTS, STREAM, TEXT, boom
from tests.web.driving import PAGE

TEMPLATE = PAGE.format("{% csp_nonce %}")


def configure(hold: Any, folder: Any) -> None:
    """Set Django up, which can be done once in a process; the first context that is given stays."""
    if settings.configured:
        settings.FOLDER = str(folder)
        settings.SAFEHOLD = settings.SAFEHOLD or hold
        return
    settings.configure(
        SAFEHOLD=hold, SECRET_KEY="of tests " * 9, ALLOWED_HOSTS=["testserver"],
        ROOT_URLCONF="tests.web.django_project", STATIC_URL="/assets/", FOLDER=str(folder),
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=[
            "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
            "django.contrib.sessions", "django.contrib.messages", "django.contrib.staticfiles",
        ],
        MIDDLEWARE=[
            "safehold.web.django.SecurityHeadersMiddleware",
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "tests.web.django_project.failing",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
        TEMPLATES=[{
            "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
            "OPTIONS": {"context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]},
        }],
        LOGGING_CONFIG=None,
    )  # fmt: skip
    django.setup()


def failing(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        if request.META.get("QUERY_STRING") == "middleware":
            boom()
        return get_response(request)

    return middleware


def __getattr__(name: str) -> Any:
    """Return the routes, which cannot be made before Django is set up."""
    if name != "urlpatterns":
        raise AttributeError(name)
    from django.contrib import admin
    from django.urls import include, path

    from safehold.web import sends

    inner = [path("page", _page), path("boom", lambda request: boom())]
    return [
        *inner,
        path("mounted/", include(inner)),
        path("json", _json),
        path("redirect", _redirect),
        path("number/<int:number>", lambda request, number: None),
        path("stream", _stream),
        path("events", _events),
        path("background", _json),
        path("banner", _banner),
        path("teapot", _teapot),
        path("static/<name>", _file),
        path("framed", sends(frame="SAMEORIGIN", allow_unsafe="a partner")(_framed)),
        path("admin/", admin.site.urls),
    ]


def _page(request: Any) -> Any:
    from django.http import HttpResponse
    from django.template import engines

    template = engines["django"].from_string(TEMPLATE)
    return HttpResponse(template.render({}, request))


def _framed(request: Any) -> Any:
    return _page(request)


def _json(request: Any) -> Any:
    from django.http import HttpResponseNotAllowed, JsonResponse

    if request.method == "DELETE":
        return HttpResponseNotAllowed(["GET"])
    return JsonResponse({"a": 1})


def _redirect(request: Any) -> Any:
    from django.http import HttpResponseRedirect

    response = HttpResponseRedirect("/json")
    response.status_code = 307
    return response


def _stream(request: Any) -> Any:
    from django.http import StreamingHttpResponse

    return StreamingHttpResponse(iter(STREAM), content_type="text/plain")


def _events(request: Any) -> Any:
    from django.http import StreamingHttpResponse

    return StreamingHttpResponse(iter(EVENTS), content_type="text/event-stream")


def _banner(request: Any) -> Any:
    from django.http import HttpResponse

    headers = {"Server": "x/1.0", "X-Powered-By": "y", "X-Frame-Options": "ALLOWALL"}
    return HttpResponse(TEXT, headers=headers)


def _teapot(request: Any) -> Any:
    from django.http import HttpResponse

    return HttpResponse("short", status=418)


def _file(request: Any, name: str) -> Any:
    from django.conf import settings
    from django.views.static import serve

    return serve(request, name, document_root=settings.FOLDER)
