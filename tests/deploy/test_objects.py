"""Applications and settings classes of a running program."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.extras

from safehold.deploy import check  # noqa: E402
from tests.deploy.table import KEY  # noqa: E402


def ids(thing):
    return {finding.rule.id for finding in check(thing)}


def test_fastapi_application():
    from fastapi import FastAPI
    from fastapi.middleware.cors import CORSMiddleware

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    assert ids(app) == set()
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)
    assert ids(app) == {"SH319"}
    assert ids(FastAPI(debug=True)) == {"SH302", "SH327"}
    assert ids(FastAPI(openapi_url=None)) == set()


def test_flask_application():
    from flask import Flask

    app = Flask("shop")
    good = {
        "SECRET_KEY": KEY, "SESSION_COOKIE_SECURE": True, "SESSION_COOKIE_SAMESITE": "Lax",
        "MAX_CONTENT_LENGTH": 2**20,
    }  # fmt: skip
    assert ids(app) == {"SH317", "SH325"}
    app.config.update(good)
    assert ids(app) == set()
    app.config.update(SECRET_KEY="dev", DEBUG=True)
    assert ids(app) == {"SH302", "SH310"}


def test_django_settings():
    from django.conf import LazySettings, global_settings

    settings = LazySettings()
    settings.configure(default_settings=global_settings, DEBUG=True, ALLOWED_HOSTS=["*"])
    assert {"SH302", "SH320", "SH315", "SH316", "SH317"} <= ids(settings)
    good = LazySettings()
    good.configure(
        default_settings=global_settings, SECRET_KEY=KEY, ALLOWED_HOSTS=["app.example.org"],
        SECURE_SSL_REDIRECT=True, SECURE_HSTS_SECONDS=31536000, SESSION_COOKIE_SECURE=True,
        SECURE_HSTS_INCLUDE_SUBDOMAINS=True, CSRF_COOKIE_SECURE=True, EMAIL_USE_TLS=True,
        EMAIL_USE_SSL=False,
    )  # fmt: skip
    assert ids(good) == set()


def test_class_and_instance_of_pydantic_settings():
    from pydantic import SecretStr
    from pydantic_settings import BaseSettings

    class Service(BaseSettings):
        debug: bool = False
        secret_key: SecretStr = SecretStr("changeme")

    assert ids(Service) == {"SH303"}
    assert ids(Service(secret_key=KEY)) == set()
    assert ids(Service(debug=True, secret_key="sh0rt")) == {"SH302", "SH310"}
    assert all("sh0rt" not in repr(one) for one in check(Service(secret_key="sh0rt")))
