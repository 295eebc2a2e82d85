"""Endpoints that an OpenAPI document names, as FastAPI serves one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from safehold.prove.asking import Asker
from safehold.prove.hints import Endpoint

_PLACES: Final = ("/openapi.json", "/api/openapi.json")
_MOST: Final = 40
_USUAL: Final = {"integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}


def discovered(asker: Asker, methods: tuple[str, ...]) -> tuple[Endpoint, ...]:
    """Return an endpoint for each text that the documented operations take, bounded."""
    for place in _PLACES:
        answer = asker.get(place)
        if answer.status != 200:
            continue
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            return tuple(_of(document, methods))[:_MOST]
    return ()


def _of(document: Mapping[str, Any], methods: tuple[str, ...]) -> Iterator[Endpoint]:
    for path, item in _table(document.get("paths")).items():
        for method in methods:
            operation = _table(_table(item).get(method.lower()))
            if operation:
                yield from _operation(document, path, method, operation)


def _operation(
    document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]
) -> Iterator[Endpoint]:
    rows = [_table(row) for row in operation.get("parameters", ()) if isinstance(row, dict)]
    fields = _fields(document, operation)
    named = [row for row in rows if row.get("in") in ("path", "query")]
    for into in named:
        if _table(into.get("schema")).get("type", "string") == "string":
            yield Endpoint(_path(path, named, into), method, "1", fields)
    for name, value in fields.items():
        if isinstance(value, str):
            yield Endpoint(_path(path, named, None), method, "1", fields, name)


def _path(path: str, rows: list[Mapping[str, Any]], into: Mapping[str, Any] | None) -> str:
    """Return the path with usual values, and ``{}`` where the text goes."""
    query = []
    for row in rows:
        name = str(row.get("name", ""))
        kind = _table(row.get("schema")).get("type", "string")
        value = "{}" if row is into else str(_USUAL.get(kind, "1"))
        if row["in"] == "path":
            path = path.replace("{" + name + "}", value)
        elif row is into or row.get("required"):
            query.append(f"{quote(name)}={value}")
    return path + (f"?{'&'.join(query)}" if query else "")


def _fields(document: Mapping[str, Any], operation: Mapping[str, Any]) -> dict[str, Any]:
    content = _table(_table(operation.get("requestBody")).get("content"))
    schema = _table(_table(content.get("application/json")).get("schema"))
    reference = schema.get("$ref", "")
    if isinstance(reference, str) and reference.startswith("#/components/schemas/"):
        schemas = _table(_table(document.get("components")).get("schemas"))
        schema = _table(schemas.get(reference.rpartition("/")[2]))
    return {
        str(name): _USUAL.get(_table(row).get("type", "string"), "1")
        for name, row in _table(schema.get("properties")).items()
    }


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
