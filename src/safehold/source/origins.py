"""Where data comes from, as far as one function shows it: from outside the program, or unknown."""

from __future__ import annotations

import ast

from safehold.source.calls import names_of
from safehold.source.scopes import How, Module, Scope

_MOST = 100
"""Values that are followed for one expression."""
_OUTSIDE_CALLS = frozenset(
    "builtins.input builtins.open os.getenv os.environ.get os.read urllib.request.urlopen "
    "requests.get requests.post httpx.get httpx.post json.load json.loads".split()
)
_OUTSIDE_NAMES = ("sys.argv", "os.environ", "sys.stdin", "flask.request")
_READING = frozenset("read readline readlines recv recvfrom read_text read_bytes get_json".split())


def is_from_outside(node: ast.expr, scope: Scope, module: Module) -> bool:
    """Say whether the source shows that a file, the network, a user or the environment has a part.

    A command line, a file or an environment can be the operator's own: it is where the data comes
    from, not whether it is hostile.
    """
    left, seen = [(node, scope)], {node}
    while left and len(seen) < _MOST:
        value, where = left.pop()
        for part in ast.walk(value):
            if _is_outside(part, where, module):
                return True
            if not isinstance(part, ast.Name):
                continue
            for owner, binding in where.lookup(part.id):
                if (
                    binding.how in (How.ASSIGN, How.LOOP, How.WITH)
                    and binding.value is not None
                    and binding.value not in seen
                ):
                    seen.add(binding.value)
                    left.append((binding.value, owner))
    return False


def _is_outside(part: ast.AST, scope: Scope, module: Module) -> bool:
    if isinstance(part, ast.Call):
        func = part.func
        return (isinstance(func, ast.Attribute) and func.attr in _READING) or (
            not _OUTSIDE_CALLS.isdisjoint(names_of(func, scope, module))
        )
    return isinstance(part, ast.Attribute) and any(
        name.startswith(_OUTSIDE_NAMES) for name in names_of(part, scope, module)
    )
