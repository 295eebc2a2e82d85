"""SH501: eval and exec of text that the source does not fix.

Not found: definitions of functions and classes that are made from names of code, as decorators do,
unless data from outside is in them; annotations; code objects; `compile` by itself, which runs
nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from safehold.credentials.names import words_of
from safehold.findings import Confidence, Rule, Severity
from safehold.source.calls import Called
from safehold.source.checked import checks_of
from safehold.source.entries import last_name
from safehold.source.fixed import Fixed
from safehold.source.origins import is_from_outside
from safehold.source.row import Example, Hint, Item, SourceRule
from safehold.source.scopes import Binding, Scope
from safehold.source.unit import Unit

RULE = Rule(
    id="SH501",
    name="evaluated-data",
    title="Data is run as Python code",
    why="eval and exec run whatever the text says, with all rights of the service; emptying "
    "__builtins__ does not confine it, since every object leads back to them.",
    remedy="Parse data with ast.literal_eval or json.loads; choose functions from a dictionary.",
    severity=Severity.CRITICAL,
    cwe=95,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=9.2,
    references=(
        "https://docs.python.org/3/library/functions.html#eval",
        "https://nedbatchelder.com/blog/201206/eval_really_is_dangerous.html",
    ),
)

# What is called so is a code object: whoever compiled it has decided what it holds.
_CODE_OBJECTS = frozenset(
    "co co_obj codeobj code_obj code_object bytecode _code condition_code compiled _compiled "
    "compiled_code _codeobj".split()
)
_DEFINITION = re.compile(r"\s*(?:async\s+)?(?:def|class|@)\s*[\w%{]")
_DEPTH = 6
_ANNOTATIONS = frozenset({"annotation", "annotations", "hints", "forward"})
_CALL = (
    r"(?<![\w.])(?<!def )%s\s*(?:"
    r"\((?!\s*\)|\s*[rR]?(?:\"[^\"\\\n]+\"|'[^'\\\n]+')\s*[,)])|[\r\n;),]|$|\s(?:as|if|or|else)\b)"
)


def _check(unit: Unit) -> Iterator[Item]:
    """Yield the calls whose first argument is neither fixed nor a code object."""
    for called in unit.calls("builtins.eval", "builtins.exec"):
        text = called.argument(0, "source")
        if text is None and not called.is_open_ended:
            continue
        if text is not None and unit.once(checks_of).leaves_fixed(text, called.node, called.scope):
            continue
        parts = [] if text is None else list(_texts(text, called.scope, unit))
        if text is not None and not parts:
            continue
        outside = any(is_from_outside(part, scope, unit.module) for part, scope in parts)
        if not outside and parts and all(_is_definition(part, scope) for part, scope in parts):
            continue
        if not outside and _is_annotation(called, unit):
            continue
        name = called.name.rpartition(".")[2]
        origin = "that comes from outside" if outside else "that is not fixed in the source"
        yield Item(
            called.node,
            f"{name} runs text {origin}",
            confidence=Confidence.HIGH if outside else Confidence.MEDIUM,
            detail={"call": name},
        )


def _texts(node: ast.expr, scope: Scope, unit: Unit) -> Iterator[tuple[ast.expr, Scope]]:
    """Yield the texts that are run and not fixed; of code, what `compile` has made it of."""
    if last_name(node) in _CODE_OBJECTS or Fixed(unit.module).is_fixed(node, scope):
        return
    made = [(node, scope)]
    if isinstance(node, ast.Name):
        found = list(scope.lookup(node.id))
        if any(_is_code(item, owner, node.id) for owner, item in found) or any(
            _last_parent(use, unit).startswith("co_") and inner is scope
            for use, inner in unit.module.loads.get(node.id, ())
        ):
            return
        values = [(item.value, owner) for owner, item in found if item.value is not None]
        if len(values) == len(found) and all(isinstance(item, ast.Call) for item, _ in values):
            made = [(item, owner) for item, owner in values if not _is_changed(item, node.id)]
    compiled = {called.node: called for called in unit.calls("builtins.compile")}
    for value, owner in made:
        call = compiled.get(value) if isinstance(value, ast.Call) else None
        text = call.argument(0, "source") if call is not None else None
        if text is None:
            yield (node, scope) if len(made) == 1 else (value, owner)
        elif not Fixed(unit.module).is_fixed(text, owner):
            yield text, owner


def _last_parent(use: ast.Name, unit: Unit) -> str:
    parent = unit.module.parents.get(use)
    return parent.attr if isinstance(parent, ast.Attribute) else ""


def _is_code(binding: Binding, owner: Scope, name: str) -> bool:
    """A parameter that is annotated as a code object."""
    arguments = getattr(owner.node, "args", None)
    if binding.value is not None or not isinstance(arguments, ast.arguments):
        return False
    return any(
        item.arg == name and item.annotation is not None
        and "CodeType" in ast.unparse(item.annotation)
        for item in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    )  # fmt: skip


def _is_changed(value: ast.expr, name: str) -> bool:
    """`code = code.replace(...)` or `CodeType(...)`: of a code object, another one."""
    if not isinstance(value, ast.Call):
        return False
    func = value.func
    return last_name(func) == "CodeType" or (
        isinstance(func, ast.Attribute) and func.attr == "replace" and last_name(func.value) == name
    )


def _is_annotation(called: Called, unit: Unit) -> bool:
    """Say whether the names around speak of annotations, which are text of the program itself."""
    names = []
    node: ast.AST | None = called.node
    while node is not None and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if isinstance(node, ast.Assign):
            names += [last_name(target) for target in node.targets]
        node = unit.module.parents.get(node)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        names += [node.name, *(item.arg for item in node.args.args)]
    return not _ANNOTATIONS.isdisjoint(word for name in names for word in words_of(name))


def _is_definition(node: ast.expr, scope: Scope, depth: int = 0) -> bool:
    """Say whether a text begins as a function or class: code that is made from names of code."""
    if depth > _DEPTH:
        return False
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and _DEFINITION.match(node.value) is not None
    if isinstance(node, ast.JoinedStr):
        return bool(node.values) and _is_definition(node.values[0], scope, depth + 1)
    if isinstance(node, ast.BinOp):
        return _is_definition(node.left, scope, depth + 1)
    if isinstance(node, ast.Call) and last_name(node.func) == "dedent" and node.args:
        return _is_definition(node.args[0], scope, depth + 1)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "join" and node.args:
            return _is_definition(node.args[0], scope, depth + 1)
        return node.func.attr == "format" and _is_definition(node.func.value, scope, depth + 1)
    if isinstance(node, ast.List | ast.Tuple):
        return bool(node.elts) and _is_definition(node.elts[0], scope, depth + 1)
    return isinstance(node, ast.Name) and any(
        binding.value is not None and _is_definition(binding.value, owner, depth + 1)
        for owner, binding in scope.lookup(node.id)
    )


EVALUATED = SourceRule(
    rule=RULE,
    check=_check,
    migrates=False,
    in_tests=False,
    hints=(
        Hint.of("eval", _CALL % "eval"),
        Hint.of("exec", _CALL % "exec"),
        # A method of that name is something else, of `builtins` under any name it is not.
        Hint.of("eval", r"(?<=\.)eval(?!\w)", beside="builtins|__builtin__"),
        Hint.of("exec", r"(?<=\.)exec(?!\w)", beside="builtins|__builtin__"),
    ),
    bad=(
        Example("def answer(request):\n    return eval(request.args['q'])\n", (2,)),
        Example("import sys\n\nexec(sys.argv[1])\n", (3,)),
        Example("import builtins\n\nbuiltins.eval(input())\n", (3,)),
        Example("def run(text):\n    code = compile(text, 'rule', 'eval')\n"
                "    return eval(code, {'__builtins__': {}})\n", (3,)),
        Example("def load(path):\n    with open(path) as file:\n        exec(file.read())\n", (3,)),
        Example("run = exec\n\n\ndef start(plugin):\n    run(f'import {plugin}')\n", (5,)),
        Example("def call(name, *values):\n    return eval(f'{name}(*values)')\n", (2,)),
    ),
    good=(
        Example("import ast\n\n\ndef answer(request):\n    return ast.literal_eval(request)\n"),
        Example("_SIZE = '2 ** 10'\nprint(eval(_SIZE), eval('1 + 1'))\n"),
        Example("for name in ('a', 'b'):\n    exec(f'{name} = 1')\n"),
        Example("import torch\n\n\ndef score(model, batch):\n    return model.eval()(batch)\n"),
        Example("def eval(text):\n    return len(text)\n\n\ndef size(text):\n"
                "    return eval(text)\n"),
        Example("def frame_query(frame, cursor, text):\n    cursor.exec(text)\n"
                "    return frame.eval('a + b')\n"),
        Example("exec(compile('x = 1', 'setup', 'exec'))\n"),
        Example("def setter(name):\n    space = {}\n"
                "    exec('def set(it, value):\\n    it.%s = value' % name, space)\n"
                "    return space['set']\n"),
        Example("def flag(text):\n    if text in ('True', 'False'):\n        return eval(text)\n"),
        Example("def resolve(annotation, space):\n    return eval(annotation, space)\n"),
        Example("def load(module):\n    exec(f'from {module.__name__} import *')\n"),
        Example("from types import CodeType\n\n\ndef run(code: CodeType):\n    exec(code)\n"),
        Example("def run(loader, space):\n    code_object = loader.get_code('m')\n"
                "    exec(code_object, space)\n"),
    ),
)  # fmt: skip
