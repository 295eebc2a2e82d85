"""Blocks of statements."""

from __future__ import annotations

import ast

from safehold.source.scopes import Module


def end_of_block(node: ast.stmt, module: Module) -> int:
    """Return the last line of the block that a statement stands in."""
    above = module.parents.get(node)
    for name in ("body", "orelse", "finalbody"):
        block = getattr(above, name, None)
        if isinstance(block, list) and block:
            last = int(block[-1].end_lineno or 0)
            if block[0].lineno <= node.lineno <= last:
                return last
    return 0
