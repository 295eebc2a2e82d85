"""Where data comes from, as far as one function shows it: from outside the program, or unknown."""

from __future__ import annotations

import ast

from safehold.source.calls import names_of
from safehold.source.scopes import How, Module, Scope

_DEPTH = 8
_OUTSIDE_CALLS = frozenset(
    "builtins.input builtins.open os.getenv os.environ.get os.read urllib.request.urlopen "
    "requests.get requests.post httpx.get httpx.post json.load json.loads".split()
)
_OUTSIDE_NAMES = ("sys.argv", "os.environ", "sys.stdin", "flask.request")
_READING = frozenset("read readline readlines recv recvfrom read_text read_bytes get_json".split())


def is_from_outside(node: ast.expr, scope: Scope, module: Module, depth: int = 0) -> bool:
    """Say whether the source shows that a file, the network, a user or the environment has a part.

    A command line, a file or an environment can be the operator's own: it is where the data comes
    from, not whether it is hostile.
    """
    if depth > _DEPTH:
        return False
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and (
            (isinstance(part.func, ast.Attribute) and part.func.attr in _READING)
            or not _OUTSIDE_CALLS.isdisjoint(names_of(part.func, scope, module))
        ):
            return True
        if isinstance(part, ast.Attribute) and any(
            name.startswith(_OUTSIDE_NAMES) for name in names_of(part, scope, module)
        ):
            return True
        if isinstance(part, ast.Name) and any(
            binding.how in (How.ASSIGN, How.LOOP, How.WITH)
            and binding.value is not None
            and binding.value is not node
            and is_from_outside(binding.value, owner, module, depth + 1)
            for owner, binding in scope.lookup(part.id)
        ):
            return True
    return False
