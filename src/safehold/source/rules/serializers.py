"""SH170: settings of frameworks that make them pickle: sessions, tasks, caches, queues."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from safehold.findings import Confidence, Rule, Severity
from safehold.source.entries import last_name, literal
from safehold.source.row import Example, Hint, Item, SourceRule
from safehold.source.unit import Unit

RULE = Rule(
    id="SH170",
    name="pickle-serializer",
    title="A framework is told to pickle what others can write",
    why="Sessions, task messages and cached values that are pickles run as code in whoever reads "
    "them: a leaked signing key, or write access to the broker or the cache, is a command in the "
    "service.",
    remedy="Use the JSON serializer of the framework: SESSION_SERIALIZER = "
    "'django.contrib.sessions.serializers.JSONSerializer', task_serializer = 'json', "
    "accept_content = ['json'], OPTIONS with a serializer for the cache.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    score=9.5,
    fix="none",
    references=(
        "https://docs.djangoproject.com/en/stable/topics/http/sessions/#session-serialization",
        "https://docs.celeryq.dev/en/stable/userguide/security.html#serializers",
    ),
)

_SERIALIZERS: Final = frozenset(
    "task_serializer result_serializer event_serializer celery_task_serializer "
    "celery_result_serializer celery_event_serializer serializer".split()
)
_CONTENT: Final = frozenset(
    "accept_content result_accept_content celery_accept_content celery_result_accept_content "
    "accept".split()
)
_PICKLES: Final = frozenset(
    ("pickle", "application/x-python-serialize", "pickle-signed", "yaml-unsafe")
)
_SESSIONS: Final = "PickleSerializer"
_BACKENDS: Final = (
    "django.core.cache.backends.db.", "django.core.cache.backends.filebased.",
    "django.core.cache.backends.memcached.", "django.core.cache.backends.redis.",
    "django_redis.cache.",
)  # fmt: skip
_CACHE_TYPES: Final = frozenset(
    "FileSystemCache RedisCache RedisSentinelCache RedisClusterCache MemcachedCache "
    "SASLMemcachedCache filesystem redis memcached flask_caching.backends.FileSystemCache "
    "flask_caching.backends.RedisCache flask_caching.backends.MemcachedCache".split()
)
_CALLS: Final = {
    "kombu.enable_insecure_serializers": "lets every serializer in, pickle too",
    "kombu.serialization.enable_insecure_serializers": "lets every serializer in, pickle too",
    "kombu.serialization.register_pickle": "registers pickle",
    "django.contrib.sessions.serializers.PickleSerializer": "pickles sessions",
}

_GIVEN: Final = r"['\"]?\]?\s*(?::[^=\n\"'\[{]*)?[=:,]\s*"
_PICKLED: Final = r"(?:pickle|application/x-python-serialize|yaml-unsafe)"


def _check(unit: Unit) -> Iterator[Item]:
    """Yield settings by assignment, keyword, key of a dict and index of a configuration."""
    for called in unit.calls(*_CALLS):
        yield Item(called.node, f"{called.name} {_CALLS[called.name]}")
    for name, value in _settings(unit):
        message = _problem(name, value)
        if message:
            yield Item(value, message, confidence=Confidence.MEDIUM)


def _settings(unit: Unit) -> Iterator[tuple[str, ast.expr]]:
    for node in unit.module.parents:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                name = literal(target.slice) if isinstance(target, ast.Subscript) else None
                yield name or last_name(target), node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield last_name(node.target), node.value
        elif isinstance(node, ast.keyword) and node.arg is not None:
            yield node.arg, node.value
        elif isinstance(node, ast.Dict):
            yield from _items(node)


def _items(node: ast.Dict) -> Iterator[tuple[str, ast.expr]]:
    pairs = [
        (literal(key), value) for key, value in zip(node.keys, node.values, strict=True) if key
    ]
    keys = {key for key, _ in pairs}
    options = next((value for key, value in pairs if key == "OPTIONS"), None)
    chosen = isinstance(options, ast.Dict) and any(
        (literal(key) or "").lower() == "serializer" for key in options.keys if key
    )
    for key, value in pairs:
        if key == "BACKEND" and chosen:
            continue
        if key == "serializer" and "BACKEND" in keys:
            continue
        if key is not None:
            yield key, value


def _problem(name: str, value: ast.expr) -> str:
    text = literal(value)
    lower = name.lower()
    if lower in _SERIALIZERS and text in _PICKLES:
        return f"{name} = {text!r}: what is sent is a pickle"
    if lower in _CONTENT and isinstance(value, ast.List | ast.Tuple | ast.Set):
        if any(literal(item) in _PICKLES for item in value.elts):
            return f"{name} holds pickle: messages from anybody who reaches the broker run as code"
        return ""
    if text is None:
        return ""
    if lower == "session_serializer" and text.endswith(_SESSIONS):
        return "sessions are pickles: whoever has the signing key runs code"
    if name == "BACKEND" and text.startswith(_BACKENDS):
        return f"{text.rpartition('.')[2]} pickles what it keeps"
    if name == "CACHE_TYPE" and text in _CACHE_TYPES:
        return f"CACHE_TYPE = {text!r}: cached values are pickles"
    return ""


SERIALIZERS = SourceRule(
    rule=RULE,
    check=_check,
    hints=(
        Hint.of("serializer", rf"serializer{_GIVEN}['\"]{_PICKLED}", any_case=True),
        Hint.of("accept", rf"accept(?:_content)?{_GIVEN}[\[({{][^\])}}]*{_PICKLED}", any_case=True),
        Hint.of("PickleSerializer"),
        Hint.of("enable_insecure_serializers"),
        Hint.of("register_pickle"),
        Hint.of("backends.", r"(?<=cache\.)backends\.(?:db|filebased|memcached|redis)\."),
        Hint.of("django_redis.cache."),
        Hint.of("CACHE_TYPE", rf"CACHE_TYPE{_GIVEN}['\"]"),
    ),
    bad=(
        Example(
            "SESSION_SERIALIZER = 'django.contrib.sessions.serializers.PickleSerializer'\n", (1,)
        ),
        Example(
            "from celery import Celery\n\napp = Celery()\n"
            "app.conf.update(task_serializer='pickle', accept_content=['json', 'pickle'])\n",
            (4, 4),
        ),
        Example("CELERY_ACCEPT_CONTENT = ('pickle',)\n", (1,)),
        Example(
            "CACHES = {\n    'default': {\n"
            "        'BACKEND': 'django.core.cache.backends.filebased.FileBasedCache',\n"
            "        'LOCATION': 'cache',\n    }\n}\n",
            (3,),
        ),
        Example(
            "from flask import Flask\n\napp = Flask('a')\n"
            "app.config['CACHE_TYPE'] = 'FileSystemCache'\n",
            (4,),
        ),
        Example("import kombu\n\nkombu.enable_insecure_serializers()\n", (3,)),
        Example("def send(producer):\n    producer.publish({}, serializer='pickle')\n", (2,)),
    ),
    good=(
        Example("SESSION_SERIALIZER = 'django.contrib.sessions.serializers.JSONSerializer'\n"),
        Example(
            "from celery import Celery\n\napp = Celery()\n"
            "app.conf.update(task_serializer='json', accept_content=['json'])\n"
        ),
        Example(
            "CACHES = {'default': {'BACKEND': 'django.core.cache.backends.redis.RedisCache',\n"
            "    'OPTIONS': {'serializer': 'app.cache.JSONSerializer'}}}\n"
        ),
        Example("CACHES = {'a': {'BACKEND': 'django.core.cache.backends.dummy.DummyCache'}}\n"),
        Example("app = {'CACHE_TYPE': 'SimpleCache', 'serializer': None}\n"),
    ),
)
