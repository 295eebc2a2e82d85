"""The graph in an archive of torch.export: JSON with expressions that torch evaluates as Python."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from safehold import dangers
from safehold.scan import rules
from safehold.scan.documents import bounded
from safehold.scan.visit import Source, Visit

ENDS: Final = (".json",)
_LARGEST: Final = 64 * 2**20
_MOST_NODES: Final = 5_000_000
_GRAPH: Final = re.compile(rb'"graph_module"')
# What srepr of sympy writes with quotes.
_QUOTED: Final = re.compile(
    r"Symbol\('[A-Za-z]\w*'(?:, [a-z_]+=(?:True|False))*\)"
    r"|Float\('[-+.\de]+', (?:precision|dps)=\d+\)"
)
_SIZES: Final = re.compile(r"[\w+\-*/%(),<>=!&|~ ]*")
# Guards also look into the arguments, by key and by these methods.
_GUARD: Final = re.compile(
    r"(?:[\w+\-*/%(),<>=!&|~ \[\]']|\.(?=\d|size\(|stride\(|storage_offset\(|dim\())*"
)
_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_SYMBOL: Final = re.compile(r"[a-z]{1,4}\d+")
_KNOWN: Final = frozenset(
    "Abs Add And BitwiseFn_bitwise_and BitwiseFn_bitwise_or CeilDiv CeilToInt CleanDiv Eq Equality "
    "False FloatPow FloatTrueDiv FloorDiv FloorToInt Ge GreaterThan Gt Identity IntTrueDiv Integer "
    "IsNonOverlappingAndDenseIndicator LShift Le LessThan Lt Max Min Mod ModularIndexing Mul Ne "
    "None Not Or Piecewise Pow PowByNatural PythonMod RShift Rational RoundDecimal RoundToInt "
    "StrictGreaterThan StrictLessThan ToFloat True TruncToFloat TruncToInt Unequality Where "
    "ceiling floor int_oo oo zoo "
    "L and dim in is max min not or size storage_offset stride".split()
)
_TARGET: Final = re.compile(
    r"torch\.ops\.\w+\.\w+(?:\.\w+)?|_operator\.[a-z_]+|math\.[a-z0-9]+|torch\._?sym_\w+"
)
_FILES: Final = re.compile(r"torch\.ops\.aten\.(?:save|from_file)\b")


def read(source: Source, visit: Visit) -> str | None:
    """Judge expressions and operators of a graph; None for anything else."""
    if not source.name.endswith(ENDS) or not _GRAPH.search(source.data):
        return None
    if len(source.data) > _LARGEST:
        visit.note(source, rules.LIMIT_EXCEEDED, "a graph larger than any model needs")
        return "torch graph"
    try:
        tree = json.loads(bounded(bytes(source.data)))
    except (ValueError, RecursionError):
        visit.note(source, rules.UNREADABLE_STREAM, "a graph that is no JSON")
        return "torch graph"
    waiting: list[Any] = [tree]
    for _ in range(_MOST_NODES):
        if not waiting:
            return "torch graph"
        node = waiting.pop()
        if isinstance(node, dict):
            _check(source, visit, node)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    visit.note(source, rules.LIMIT_EXCEEDED, "a graph larger than any model needs")
    return "torch graph"


def _check(source: Source, visit: Visit, node: dict[str, Any]) -> None:
    expression, guards, target = node.get("expr_str"), node.get("guards_code"), node.get("target")
    if isinstance(expression, str):
        _evaluate(source, visit, _QUOTED.sub("0", expression), _SIZES)
    for guard in guards if isinstance(guards, list) else ():
        # Keys are text; what they hold is no name.
        _evaluate(source, visit, re.sub(r"\['\w*'\]", "[0]", str(guard)), _GUARD)
    if isinstance(target, str) and "inputs" in node:
        _name(source, visit, target)


def _evaluate(source: Source, visit: Visit, text: str, form: re.Pattern[str]) -> None:
    detail = {"expression": text[:200]}
    words = set(_WORD.findall(text))
    strange = {word for word in words if word not in _KNOWN and not _SYMBOL.fullmatch(word)}
    if any("__" in word or dangers.lookup("builtins", word) for word in strange):
        message = "an expression for a size that runs code"
        visit.note(source, rules.DANGEROUS_GLOBAL, message, None, detail)
    elif strange or not form.fullmatch(text):
        message = "an expression for a size that is not known to be harmless"
        visit.note(source, rules.EMBEDDED_CODE, message, None, detail)


def _name(source: Source, visit: Visit, target: str) -> None:
    detail = {"global": target[:200]}
    parts = target.split(".")
    walks = (
        dangers.lookup(part, ".".join(parts[index + 1 :])) for index, part in enumerate(parts[:-1])
    )
    if _FILES.match(target) or ("ops" not in parts[1:2] and any(walks)):
        message = f"names {target[:200]} as an operator"
        visit.note(source, rules.DANGEROUS_GLOBAL, message, None, detail)
    elif not _TARGET.fullmatch(target):
        message = f"names {target[:200]}, which is no operator of torch"
        visit.note(source, rules.UNKNOWN_GLOBAL, message, None, detail)
