"""Settings that stand in Python: modules for Django, Flask, gunicorn and Celery, and applications.

The source is read, never run. A value that is put together at run time is not known; of what is
taken from the environment the default is, which is what counts where nobody sets it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import PurePath
from typing import Any, Final

from safehold.deploy.names import topic_of
from safehold.deploy.settings import Origin, Setting, settings_of
from safehold.errors import ConfigError
from safehold.findings import Location

UNKNOWN: Final = object()
_TAKES: Final = frozenset(
    "get getenv config env str bool int float list setdefault getlist get_bool get_str Field "
    "SecretStr mapped url db db_url json dict tuple path bytes pop".split()
)
_ELSEWHERE: Final = frozenset("dev development test testing local debug tests ci".split())
_CALLS: Final = frozenset(
    "Env FastAPI Flask Starlette Litestar Quart Sanic Dash run CORS CORSMiddleware SessionMiddleware "
    "TrustedHostMiddleware ProxyHeadersMiddleware ProxyFix set_cookie create_engine "
    "create_async_engine add_middleware Middleware run_simple basicConfig serve Server Config "
    "HTTPSRedirectMiddleware update from_mapping Celery launch Limiter Talisman Redis run_server "
    "init_app CORSConfig OpenAPIConfig CookieBackendConfig setLevel JWTStrategy CookieTransport".split()
)
DJANGO_DEFAULTS: Final = {
    "SECURE_SSL_REDIRECT": False, "SECURE_HSTS_SECONDS": 0, "SESSION_COOKIE_SECURE": False,
    "CSRF_COOKIE_SECURE": False,
}  # fmt: skip
_DJANGO: Final = frozenset({"INSTALLED_APPS", "MIDDLEWARE", "ROOT_URLCONF", "WSGI_APPLICATION"})
_DOCS: Final = {"docs_url": "/docs", "redoc_url": "/redoc", "openapi_url": "/openapi.json"}


def of_source(text: str, path: str) -> Iterator[Setting]:
    """Yield the settings of a module. Raises ConfigError if it is not Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{path} is not Python that can be read here") from error
    reader = _Reader(path)
    reader.block(tree.body, "")
    yield from reader.found
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from reader.call(node)
        elif isinstance(node, ast.Assign):
            yield from reader.subscripts(node)
    names = {setting.name for setting in reader.found}
    if len(names & _DJANGO) > 1 and not reader.has_star:
        for name, value in DJANGO_DEFAULTS.items():
            if name not in reader.named:
                where = Location(path)
                yield Setting(name, value, where, Origin.SOURCE, default=True, topic=topic_of(name))


class _Reader:
    """One module: what its names stand for, and the settings in order."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.known: dict[str, Any] = {}
        self.named: set[str] = set()
        self.found: list[Setting] = []
        self.has_star = False
        self._taken = False  # from the environment, in what was evaluated last

    def block(self, body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._assign(target, node.value, prefix)
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                self._assign(node.target, node.value, prefix, is_typed=bool(prefix))
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                self.known.pop(node.target.id, None)
            elif isinstance(node, ast.ClassDef):
                words = {*_words(node.name)}
                if not words & _ELSEWHERE and not words & {"test", "tests"}:
                    self.block(node.body, f"{node.name}.")
            elif isinstance(node, ast.ImportFrom) and any(one.name == "*" for one in node.names):
                self.has_star = True

    def _assign(
        self, target: ast.expr, node: ast.expr, prefix: str, *, is_typed: bool = False
    ) -> None:
        name = target.id if isinstance(target, ast.Name) else ""
        if isinstance(target, ast.Attribute):
            name = f"{_last(target.value)}.{target.attr}"
        if not name:
            return
        self.named.add(name)
        self._taken = False
        value = self.value(node)
        if value is UNKNOWN:
            return
        if not prefix:
            self.known[name] = value
        default = self._taken or (is_typed and isinstance(value, str))
        self.found += self._settings(prefix + name, value, node.lineno, default=default)

    def _settings(self, name: str, value: Any, line: int, *, default: bool) -> Iterator[Setting]:
        from safehold.deploy.settings import flatten

        for setting in settings_of(flatten(value, name), Origin.SOURCE, self.path):
            if setting.value is UNKNOWN:
                continue
            committed = not default and setting.topic in ("secret", "password")
            where = Location(self.path, line=line)
            yield replace(setting, where=where, default=default, committed=committed)

    def subscripts(self, node: ast.Assign) -> Iterator[Setting]:
        """`app.config["X"] = ...`, `os.environ["X"] = ...`."""
        for target in node.targets:
            if not isinstance(target, ast.Subscript) or not isinstance(target.slice, ast.Constant):
                continue
            if _last(target.value) in ("config", "environ", "conf", "settings", "headers"):
                yield from self._given(str(target.slice.value), node.value)

    def call(self, node: ast.Call) -> Iterator[Setting]:
        """Yield the keywords of a call that makes or starts an application."""
        name = _last(node.func)
        if name not in _CALLS:
            return
        if name in ("add_middleware", "Middleware") and node.args:
            name = _last(node.args[0])
        given = {item.arg for item in node.keywords if item.arg}
        is_config = name in ("update", "from_mapping")
        if is_config and _last(getattr(node.func, "value", node.func)) not in ("config", "conf"):
            return
        if name == "Env":
            yield from self._scheme(node)
            return
        for item in node.keywords:
            if item.arg:
                shown = item.arg if is_config else f"{name}.{item.arg}"
                yield from self._given(shown, item.value)
        if name == "CORS" and node.args and not given & {"origins", "resources"}:
            yield from self._settings(f"{name}.origins", "*", node.lineno, default=True)
        if name.startswith("create_") and node.args:
            yield from self._given(f"{name}.database_url", node.args[0])
        if name == "setLevel" and node.args:
            shown = _last(node.args[0])
            yield from self._settings("log.level", shown, node.lineno, default=False)
        if name == "FastAPI" and None not in {item.arg for item in node.keywords}:
            yield from self._docs(node, given)
        if name == "SessionMiddleware" and "https_only" not in given:
            yield from self._settings(f"{name}.https_only", False, node.lineno, default=True)  # noqa: FBT003

    def _scheme(self, node: ast.Call) -> Iterator[Setting]:
        """`environ.Env(DEBUG=(bool, True))`: a type and a default for each name."""
        for item in node.keywords:
            pair = item.value
            if item.arg and isinstance(pair, ast.Tuple) and len(pair.elts) == 2:
                value = self.value(pair.elts[1])
                if value is not UNKNOWN:
                    yield from self._settings(item.arg, value, node.lineno, default=True)

    def _docs(self, node: ast.Call, given: set[str]) -> Iterator[Setting]:
        for item in node.keywords:
            if item.arg == "openapi_url" and self.value(item.value) is None:
                return
        for name, value in _DOCS.items():
            if name not in given and name != "openapi_url":
                yield from self._settings(f"FastAPI.{name}", value, node.lineno, default=True)

    def _given(self, name: str, node: ast.expr) -> Iterator[Setting]:
        self._taken = False
        value = self.value(node)
        if value is not UNKNOWN:
            yield from self._settings(name, value, node.lineno, default=self._taken)

    # -- values

    def value(self, node: ast.expr) -> Any:  # noqa: C901, PLR0911, PLR0912  one branch for a form
        """Return what an expression stands for, UNKNOWN where that is not written down."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self.known.get(node.id, UNKNOWN)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            items = [self.value(item) for item in node.elts]
            return [item for item in items if item is not UNKNOWN]
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            return {
                str(self.value(key)): self.value(item) for key, item in pairs if key is not None
            }
        if isinstance(node, ast.Attribute):
            last = node.attr
            return last if last in ("DEBUG", "NOTSET", "CERT_NONE", "INFO", "WARNING") else UNKNOWN
        if isinstance(node, ast.UnaryOp):
            inner = self.value(node.operand)
            if inner is UNKNOWN:
                return UNKNOWN
            if isinstance(node.op, ast.Not):
                return not inner
            return -inner if isinstance(node.op, ast.USub) and _is_number(inner) else UNKNOWN
        if isinstance(node, ast.BoolOp):
            values = [self.value(item) for item in node.values]
            if isinstance(node.op, ast.Or):
                first = next((item for item in values if item is not UNKNOWN and item), UNKNOWN)
                if values[0] is UNKNOWN and first is not UNKNOWN:
                    self._taken = True
                return first
            return UNKNOWN
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            return self._compared(node)
        if isinstance(node, ast.BinOp):
            return self._combined(node)
        if isinstance(node, ast.Call):
            return self._called(node)
        return UNKNOWN

    def _compared(self, node: ast.Compare) -> Any:
        left, right = self.value(node.left), self.value(node.comparators[0])
        if left is UNKNOWN or right is UNKNOWN:
            return UNKNOWN
        if isinstance(node.ops[0], ast.Eq):
            return left == right
        if isinstance(node.ops[0], ast.NotEq):
            return left != right
        if isinstance(node.ops[0], ast.In) and isinstance(right, list | str):
            return left in right if isinstance(right, list) or isinstance(left, str) else UNKNOWN
        return UNKNOWN

    def _combined(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        if left is UNKNOWN or right is UNKNOWN:
            return UNKNOWN
        is_addable = _is_number(left) or isinstance(left, str | list)
        if isinstance(node.op, ast.Add) and type(left) is type(right) and is_addable:
            return left + right
        if isinstance(node.op, ast.Mult) and _is_number(left) and _is_number(right):
            return left * right
        if isinstance(node.op, ast.Pow) and _is_number(left) and _is_number(right):
            return left**right if abs(left) < 2**16 and abs(right) < 64 else UNKNOWN
        return UNKNOWN

    def _called(self, node: ast.Call) -> Any:
        name = _last(node.func)
        if name == "timedelta":
            given = {item.arg: self.value(item.value) for item in node.keywords if item.arg}
            numbers = {key: value for key, value in given.items() if _is_number(value)}
            try:
                days = self.value(node.args[0]) if node.args else numbers.pop("days", 0)
                return timedelta(days=days if _is_number(days) else 0, **numbers)
            except (TypeError, OverflowError):
                return UNKNOWN
        if name in ("lower", "upper", "strip", "split") and isinstance(node.func, ast.Attribute):
            inner = self.value(node.func.value)
            if not isinstance(inner, str):
                return UNKNOWN
            return inner.split(",") if name == "split" else getattr(inner, name)()
        default = next(
            (item.value for item in node.keywords if item.arg in ("default", "fallback")), None
        )
        if name not in _TAKES and default is None:
            return UNKNOWN
        if default is None and name in (
            "Field",
            "SecretStr",
            "bool",
            "int",
            "str",
            "float",
            "list",
        ):
            default = node.args[0] if len(node.args) == 1 else None
            if isinstance(node.func, ast.Attribute):  # env.bool("NAME")
                return UNKNOWN
            return UNKNOWN if default is None else self._coerced(name, self.value(default))
        if default is None and len(node.args) > 1:
            default = node.args[-1] if name != "config" or len(node.args) > 1 else None
        if default is None:
            return UNKNOWN
        value = self.value(default)
        self._taken = value is not UNKNOWN
        return value

    def _coerced(self, name: str, value: Any) -> Any:
        if value is UNKNOWN:
            return UNKNOWN
        if name == "int" and isinstance(value, str):
            return int(value) if value.strip().isdecimal() else UNKNOWN
        if name == "bool":
            return bool(value)
        return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call):
        return _last(node.func)
    if isinstance(node, ast.Subscript):
        return _last(node.value)
    return node.id if isinstance(node, ast.Name) else ""


def _words(name: str) -> tuple[str, ...]:
    from safehold.credentials.names import words_of

    return words_of(name)


def is_elsewhere(path: str) -> bool:
    """Say whether a file is named for another place than production."""
    words = {word for part in PurePath(path).parts[-2:] for word in _words(part)}
    return bool(words & (_ELSEWHERE | {"example", "sample", "template", "dist", "conftest"}))
