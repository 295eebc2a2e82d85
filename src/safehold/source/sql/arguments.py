"""Puts values into a call beside its statement: new arguments, or more of those that it has."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass

from safehold.source.calls import names_of
from safehold.source.rewrite import NotProvenError, Span
from safehold.source.scopes import Module
from safehold.source.sql.drivers import Style
from safehold.source.sql.lexer import tokens
from safehold.source.sql.render import Source
from safehold.source.sql.sinks import Kind, Sink
from safehold.source.uses import put

_PARAMETERS = ("parameters", "params", "vars", "args", "query_params", "data")
_EXECUTES = frozenset(("execute", "scalar", "scalars", "stream", "stream_scalars"))


@dataclass(frozen=True, slots=True)
class Addition:
    """What is written into a call, and the same done to its tree."""

    spans: tuple[Span, ...]
    transform: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Given:
    """A value by its place in the statement, and its name where parameters have names."""

    place: int
    source: str
    name: str = ""

    @property
    def node(self) -> ast.expr:
        """The value as a tree."""
        parsed = ast.parse(f"({self.source},)", mode="eval").body
        if not isinstance(parsed, ast.Tuple) or len(parsed.elts) != 1:
            raise NotProvenError("a value cannot be written apart")
        return parsed.elts[0]


def existing(sink: Sink) -> ast.expr | None:
    """Return the values that a call has already.

    Raises:
        NotProvenError: they come from where they cannot be seen.
    """
    node = sink.called.node
    if sink.called.is_open_ended:
        raise NotProvenError("the call spreads its arguments")
    if not node.args or node.args[0] is not sink.sql:
        raise NotProvenError("the statement is not the first argument")
    named = next((item.value for item in node.keywords if item.arg in _PARAMETERS), None)
    if sink.kind is Kind.PANDAS:
        if len(node.args) > 2:
            raise NotProvenError("give the values as params=")
        return named
    if sink.driver.style is Style.DOLLAR:
        return None
    return node.args[1] if len(node.args) > 1 else named


def addition(
    sink: Sink, given: list[Given], text: str, source: Source, module: Module, padding: str
) -> Addition:
    """Return what gives values to a call.

    Raises:
        NotProvenError: the order of the values that it has already is not shown.
    """
    if sink.kind is Kind.TEXT:
        return _bound(sink, given, source, module, padding)
    has = existing(sink)
    comma = f",{padding or ' '}"
    call = sink.called.node
    if sink.driver.style is Style.DOLLAR:
        return _spread(call, given, text, source, comma)
    if has is None:
        return _sequence(sink, given, source, comma)
    if padding:
        raise NotProvenError("the statement has lines that would be lost")
    if isinstance(has, ast.Tuple | ast.List):
        return _extended(sink, has, given, text, source)
    if isinstance(has, ast.Dict) and has_names(sink, text):
        return _more(has, given, source)
    if isinstance(has, ast.Name) and has_names(sink, text):
        return _with_names(has, given, source, module)
    if isinstance(has, ast.Name) and marks_in(text):
        return _wrapped(has, given, text, source, module)
    raise NotProvenError(f"add the values to `{ast.unparse(has)}` in the order of the statement")


def marks_in(text: str) -> list[int]:
    """Return where a statement has positional parameters already."""
    return [item.start for item in tokens(text) if item.kind == "mark" and item.text in ("?", "%s")]


def has_names(sink: Sink, text: str) -> bool:
    """Whether a call has values by name, and its statement the names."""
    named = [item for item in tokens(text) if item.kind == "mark" and item.text[0] in ":%"]
    named = [item for item in named if item.text != "%s"]
    if not named or marks_in(text):
        return False
    has = existing(sink)
    if isinstance(has, ast.Name) and sink.driver.style is Style.QMARK:  # a sequence does as well
        found = [item.value for _, item in sink.called.scope.lookup(has.id)]
        return bool(found) and all(isinstance(item, ast.Dict) for item in found)
    return isinstance(has, ast.Dict | ast.Name)


def _with_names(has: ast.Name, given: list[Given], source: Source, module: Module) -> Addition:
    written = ", ".join(f'"{item.name}": {item.source}' for item in given)
    keys: list[ast.expr | None] = [None, *(ast.Constant(value=item.name) for item in given)]
    new = ast.Dict(keys=keys, values=[has, *(item.node for item in given)])
    span = Span(*source.span(has), f"{{**{has.id}, {written}}}")
    return Addition((span,), lambda: put(module, has, new))


def _sequence(sink: Sink, given: list[Given], source: Source, comma: str) -> Addition:
    call = sink.called.node
    inner = ", ".join(item.source for item in given)
    elements = [item.node for item in given]
    new: ast.expr
    if sink.driver.name == "Django":
        written, new = f"[{inner}]", ast.List(elts=elements, ctx=ast.Load())
    else:
        written = f"({inner}{',' if len(given) == 1 else ''})"
        new = ast.Tuple(elts=elements, ctx=ast.Load())
    if sink.kind is Kind.PANDAS:
        last = max((*call.args, *call.keywords), key=lambda item: source.span(item)[1])
        at = end_of(last, call, source)
        keyword = ast.keyword(arg="params", value=new)
        return Addition(
            (Span(at, at, f"{comma}params={written}"),), lambda: call.keywords.append(keyword)
        )
    at = end_of(sink.sql, call, source)
    return Addition((Span(at, at, comma + written),), lambda: call.args.insert(1, new))


def _spread(call: ast.Call, given: list[Given], text: str, source: Source, comma: str) -> Addition:
    """Values as arguments of their own, after those that are there."""
    numbers = {item.text for item in tokens(text) if item.kind == "mark" and item.text[0] == "$"}
    if len(numbers) != len(call.args) - 1:
        raise NotProvenError("the parameters that it has do not match the statement")
    at = end_of(call.args[-1], call, source)
    elements = [item.node for item in given]
    written = comma + ", ".join(item.source for item in given)
    return Addition((Span(at, at, written),), lambda: call.args.extend(elements))


def _extended(
    sink: Sink, has: ast.Tuple | ast.List, given: list[Given], text: str, source: Source
) -> Addition:
    """Put new values among the elements of a literal, where their places are."""
    there = marks_in(text)
    if len(there) != len(has.elts) or any(isinstance(item, ast.Starred) for item in has.elts):
        raise NotProvenError("the parameters that it has do not match the statement")
    if not has.elts and sink.driver.style is Style.FORMAT:
        raise NotProvenError("whether percent signs are doubled for no values is not known")
    slots: dict[int, list[Given]] = {}
    for item in given:
        slots.setdefault(sum(1 for at in there if at < item.place), []).append(item)
    spans = []
    for slot, items in slots.items():
        added = ", ".join(item.source for item in items)
        if not has.elts:
            start, end = source.span(has)
            written = f"{added}," if isinstance(has, ast.Tuple) else added
            spans.append(Span(start + 1, end - 1, written))
        elif slot < len(has.elts):
            at = source.span(has.elts[slot])[0]
            spans.append(Span(at, at, f"{added}, "))
        else:
            at = source.span(has.elts[-1])[1]
            spans.append(Span(at, at, f", {added}"))

    def extend() -> None:
        for slot, items in sorted(slots.items(), reverse=True):
            has.elts[slot:slot] = [item.node for item in items]

    return Addition(tuple(spans), extend)


def _wrapped(
    has: ast.Name, given: list[Given], text: str, source: Source, module: Module
) -> Addition:
    """`params` with all its places before the new ones, or all behind them, is spread."""
    there = marks_in(text)
    added = ", ".join(item.source for item in given)
    places = [item.place for item in given]
    elements = [item.node for item in given]
    star = ast.Starred(value=has, ctx=ast.Load())
    if min(places) > max(there):
        written, every = f"(*{has.id}, {added})", [star, *elements]
    elif max(places) < min(there):
        written, every = f"({added}, *{has.id})", [*elements, star]
    else:
        raise NotProvenError(f"add the values to `{has.id}` in the order of the statement")
    new = ast.Tuple(elts=every, ctx=ast.Load())
    return Addition((Span(*source.span(has), written),), lambda: put(module, has, new))


def _bound(
    sink: Sink, given: list[Given], source: Source, module: Module, padding: str
) -> Addition:
    """Values of SQLAlchemy's text(): a mapping beside it, or bound to it."""
    call = sink.called.node
    if len(call.args) != 1 or call.keywords:
        raise NotProvenError("text() has other arguments")
    outer = module.parents.get(call)
    _, end = source.span(call)
    # What Alembic's op.execute takes second is no values.
    is_alembic = isinstance(outer, ast.Call) and any(
        name.startswith("alembic.op.") for name in names_of(outer.func, sink.called.scope, module)
    )
    if (
        isinstance(outer, ast.Call)
        and isinstance(outer.func, ast.Attribute)
        and outer.func.attr in _EXECUTES
        and not is_alembic
        and outer.args[:1] == [call]
        and not any(item.arg is None or item.arg in _PARAMETERS for item in outer.keywords)
        and not any(isinstance(item, ast.Starred) for item in outer.args)
    ):
        return _mapping(outer, call, given, source, padding)
    if padding:
        raise NotProvenError("the statement has lines that would be lost")
    written = ", ".join(f"{item.name}={item.source}" for item in given)
    keywords = [ast.keyword(arg=item.name, value=item.node) for item in given]
    func = ast.Attribute(value=call, attr="bindparams", ctx=ast.Load())
    bound = ast.Call(func=func, args=[], keywords=keywords)
    return Addition((Span(end, end, f".bindparams({written})"),), lambda: put(module, call, bound))


def _mapping(
    outer: ast.Call, call: ast.Call, given: list[Given], source: Source, padding: str
) -> Addition:
    written = ", ".join(f'"{item.name}": {item.source}' for item in given)
    keys: list[ast.expr | None] = [ast.Constant(value=item.name) for item in given]
    values = [item.node for item in given]
    if len(outer.args) == 1:
        at = end_of(call, outer, source)
        new = ast.Dict(keys=keys, values=values)
        span = Span(at, at, f",{padding or ' '}{{{written}}}")
        return Addition((span,), lambda: outer.args.insert(1, new))
    has = outer.args[1]
    if not isinstance(has, ast.Dict) or padding:
        raise NotProvenError(f"add the values to `{ast.unparse(has)}` by name")
    return _more(has, given, source)


def _more(has: ast.Dict, given: list[Given], source: Source) -> Addition:
    """Put new values behind those of a mapping."""
    written = ", ".join(f'"{item.name}": {item.source}' for item in given)
    if has.values:
        at = source.span(has.values[-1])[1]
        span = Span(at, at, f", {written}")
    else:
        start, end = source.span(has)
        span = Span(start + 1, end - 1, written)

    def extend() -> None:
        has.keys.extend(ast.Constant(value=item.name) for item in given)
        has.values.extend(item.node for item in given)

    return Addition((span,), extend)


def end_of(node: ast.AST, call: ast.Call, source: Source) -> int:
    """Return where an argument ends, its own parentheses included."""
    _, end = source.span(node)
    _, last = source.span(call)
    tail = source.between(end, last - 1)  # without the parenthesis of the call
    at = 0
    for match in re.finditer(r"\s+|#[^\r\n]*|\)|(.)", tail, re.DOTALL):
        if match[1] is not None:
            if match[1] != ",":
                raise NotProvenError("the end of the statement is not found")
            break
        if match[0] == ")":
            at = match.end()
    return end + len(tail[:at].encode("utf-8", "surrogatepass"))


def free_names(names: list[str], taken: set[str]) -> list[str]:
    """Return names that nothing else has, for parameters with names."""
    found = []
    for name in names:
        number, chosen = 2, name
        while chosen in taken:
            chosen, number = f"{name}_{number}", number + 1
        taken.add(chosen)
        found.append(chosen)
    return found
