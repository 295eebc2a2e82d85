"""FastAPI: refusals are answers 422 that do not send back what was sent, and events.

from safehold.inputs import fastapi as typed

typed.install(app, hold)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safehold.context import Context
from safehold.errors import InputRefused
from safehold.inputs.parsing import as_json, faults, refuse

if TYPE_CHECKING:
    from fastapi import FastAPI


def install(app: FastAPI, hold: Context | None = None) -> None:
    """Take the place of the application's answers to inputs that are not of their type."""
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse

    async def of_types(_: Any, error: Any) -> JSONResponse:
        try:
            refuse(faults(error.errors()), hold)
        except InputRefused as refused:
            return JSONResponse(as_json(refused), 422)

    async def refused(_: Any, error: Any) -> JSONResponse:
        return JSONResponse(as_json(error), 422)

    app.add_exception_handler(RequestValidationError, of_types)
    app.add_exception_handler(InputRefused, refused)
