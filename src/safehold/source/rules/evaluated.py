"""SH501: eval and exec of text that the source does not fix.

Not followed: text that a fixed template and checked names make, which is a finding with less
confidence; `compile` by itself, which runs nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from safehold.findings import Confidence, Rule, Severity
from safehold.source.entries import last_name
from safehold.source.fixed import Fixed
from safehold.source.origins import is_from_outside
from safehold.source.row import Example, Hint, Item, SourceRule
from safehold.source.scopes import Scope
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
_CALL = r"(?<!\w)%s\s*(?:[(\r\n;)]|,|$|\s(?:as|if|or|else)\b)"


def _check(unit: Unit) -> Iterator[Item]:
    """Yield the calls whose first argument is neither fixed nor code that was compiled."""
    fixed = Fixed(unit.module)
    for called in unit.calls("builtins.eval", "builtins.exec"):
        text = called.argument(0, "source")
        if text is None and not called.is_open_ended:
            continue
        if text is not None:
            text = _compiled(text, called.scope, unit)
            if last_name(text) in _CODE_OBJECTS:
                continue
            if fixed.is_fixed(text, called.scope):
                continue
        name = called.name.rpartition(".")[2]
        outside = text is not None and is_from_outside(text, called.scope, unit.module)
        yield Item(
            called.node,
            f"{name} runs text that comes from outside" if outside
            else f"{name} runs text that is not fixed in the source",
            confidence=Confidence.HIGH if outside else Confidence.MEDIUM,
            detail={"call": name},
        )  # fmt: skip


def _compiled(node: ast.expr, scope: Scope, unit: Unit) -> ast.expr:
    """Return the text that `compile` has made code of, where that is what is run."""
    made = node
    if isinstance(node, ast.Name):
        found = [binding.value for _, binding in scope.lookup(node.id)]
        if len(found) == 1 and found[0] is not None:
            made = found[0]
    for called in unit.calls("builtins.compile"):
        if called.node is made and called.args:
            return called.args[0]
    return node


EVALUATED = SourceRule(
    rule=RULE,
    check=_check,
    migrates=False,
    in_tests=False,
    hints=(
        Hint.of("eval", _CALL % "eval"),
        Hint.of("exec", _CALL % "exec"),
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
        Example("def run(loader, space):\n    code_object = loader.get_code('m')\n"
                "    exec(code_object, space)\n"),
    ),
)  # fmt: skip
