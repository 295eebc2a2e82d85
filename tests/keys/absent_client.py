"""A key source whose client is not installed."""

from __future__ import annotations

from safehold.errors import MissingExtra

try:
    import a_client_that_nobody_has  # noqa: F401
except ModuleNotFoundError as error:
    package = "a client that nobody has"
    raise MissingExtra(package, "joblib") from error
