"""Ray clusters of this machine: processes that have the cluster's token.

Their messages carry functions and whatever these return. They count as a channel where the head
node has an address of this machine, and Ray asks each process that connects for the token, as it
does unless ``RAY_AUTH_MODE`` says otherwise. In other clusters they are untrusted.
"""

from __future__ import annotations

import inspect
import socket
import sys
from types import FrameType, ModuleType
from typing import Any

from safehold.guard import channels
from safehold.guard.gate import Gate
from safehold.guard.grants import OWN, Held

# Module -> what reads there; a version of Ray need not have all of it.
_READERS = {
    "ray._private.function_manager": (
        "FunctionActorManager.fetch_registered_method",
        "FunctionActorManager.fetch_and_register_remote_function",
        "FunctionActorManager._load_actor_class_from_gcs",
    ),
    "ray._private.runtime_env.setup_hook": ("load_and_execute_setup_hook_func",),
    "ray._private.serialization": ("SerializationContext._deserialize_pickle5_data",),
    "ray._private.worker": ("Worker.job_logging_config",),
    "ray.exceptions": ("RayError.from_ray_exception",),
}
_here: dict[str, bool] = {}


def apply(module: ModuleType, gate: Gate) -> None:  # noqa: ARG001
    """Register what reads messages in one of the modules."""
    for path in _READERS[module.__name__]:
        found: Any = module
        for name in path.split("."):
            found = inspect.getattr_static(found, name, None)
        function = getattr(found, "fget", None) or getattr(found, "__func__", found)
        if function is not None:
            channels.add_reader(inspect.unwrap(function), _is_own_cluster)


def _is_own_cluster(_: FrameType) -> bool:
    raylet = sys.modules.get("ray._raylet")
    node = getattr(sys.modules.get("ray._private.worker"), "_global_node", None)
    if node is None or not hasattr(raylet, "get_authentication_mode"):
        return False  # older than the token
    found: Any = raylet
    if found.get_authentication_mode() != found.AuthenticationMode.TOKEN:
        return False
    return _is_here(str(node.gcs_address).rpartition(":")[0].strip("[]"))


def _is_here(host: str) -> bool:
    """Say whether an address is one of this machine's."""
    if host not in _here:
        with Held(OWN):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            try:
                with socket.socket(family) as end:
                    end.bind((host, 0))
                _here[host] = True
            except OSError:
                _here[host] = False
    return _here[host]
