"""Turns the guard on in a Python process that `safehold run` started, before its first import.

It stands in for the environment's own ``sitecustomize``, which runs afterwards.
"""

import sys


def _start() -> None:
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    try:
        from safehold.guard.starting import start

        start(os.environ)
    except BaseException as error:
        # `site` reports an Exception and goes on without the guard; SystemExit ends the process.
        sys.stderr.write(f"safehold: the guard could not be turned on: {error}\n")
        raise SystemExit(70) from error
    # The module of that name that would have been found, had this directory not been first.
    rest = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    system = sys.modules["_frozen_importlib_external"]
    spec = system.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        module = sys.modules["_frozen_importlib"].module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    _start()
