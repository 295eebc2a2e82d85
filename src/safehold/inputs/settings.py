"""The Context that the settings of Django name, one for each path: a trail has one writer."""

from __future__ import annotations

import os
import threading

from safehold.context import Context
from safehold.errors import ConfigError

_loaded: dict[str, Context] = {}
_loading = threading.Lock()


def django_hold() -> Context:
    """Return the Context of ``SAFEHOLD``.

    Raises:
        ConfigError: the settings name none, or a policy that cannot be used.
    """
    from django.conf import settings

    found = getattr(settings, "SAFEHOLD", None)
    if isinstance(found, Context):
        return found
    if not isinstance(found, (str, os.PathLike)):
        message = "the settings need SAFEHOLD: the path of the policy, or a safehold.Context"
        raise ConfigError(message)
    path = os.fspath(found)
    with _loading:
        if path not in _loaded:
            _loaded[path] = Context.load(path)
        return _loaded[path]
