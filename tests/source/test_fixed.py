"""What the source fixes, and what counts as data."""

from __future__ import annotations

import ast
import time

import pytest

from safehold.source.fixed import Fixed
from safehold.source.origins import is_from_outside
from safehold.source.scopes import analyse

FIXED = [
    "use('a' 'b')",
    "use('a' + 'b' * 3)",
    "A = 'x'\nuse(f'{A} y')",
    "A = 'x' if on else 'y'\nuse(A)",
    "for a in ['x', 'y']:\n    use(a)",
    "for a, b in [('x', 1)]:\n    use('c')",
    "use([c for c in ('x', 'y')][0])",
    "import shlex\ndef f(a):\n    use('ls ' + shlex.quote(a))",
    "def f(a):\n    use('kill %d' % a)",
    "def f(a):\n    use(f'kill {a:d}')",
    "def f(a):\n    use(f'kill {int(a)}')",
    "A = {'x': 'ls'}\ndef f(a):\n    use(A[a])",
    "class A:\n    cmd = 'ls'\n    def f(self):\n        use(self.cmd)",
    "import sys\nuse(sys.executable + ' -V')",
    "def g():\n    return 'ls'\nuse(g())",
    "use(' '.join(['a', 'b']).upper())",
    "(a := 'x')\nuse(a)",
]
DATA = [
    "use(a)",
    "def f(a='x'):\n    use(a)",
    "a = 'x'\na += b\nuse(a)",
    "a = ['x']\na.append(b)\nuse(' '.join(a))",
    "a = {}\na['x'] = b\nuse(a['x'])",
    "for a in b:\n    use(a)",
    "use('%s' % a)",
    "use('%d %s' % a)",
    "use(f'{a}')",
    "use(f'{a:>10}')",
    "use(f'{a:{b}}')",
    "use('{}'.format(a))",
    "with open('x') as a:\n    use(a.read())",
    "use(input())",
    "class A:\n    cmd = 'ls'\n    def f(self, a):\n        self.cmd = a\n        use(self.cmd)",
    "def g(a):\n    return a\nuse(g('x'))",
    "from m import A\nuse(A)",
    "use([c for c in b])",
    "shlex = other\nuse(shlex.quote(a))",
    "try:\n    pass\nexcept E as a:\n    use(a)",
    "a = lambda x: x\nuse(a('x'))",
]


def is_fixed(source):
    module = analyse(ast.parse(source))
    (found,) = [item for item in module.calls if getattr(item[0].func, "id", "") == "use"]
    return Fixed(module).is_fixed(found[0].args[0], found[1])


@pytest.mark.parametrize("source", FIXED)
def test_literals_and_what_is_made_of_them_are_fixed(source):
    assert is_fixed(source)


@pytest.mark.parametrize("source", DATA)
def test_everything_else_is_data(source):
    assert not is_fixed(source)


def test_a_name_that_means_itself_is_what_else_it_means():
    assert is_fixed("a = 'x'\na = '/usr' + a\nuse(a)")
    assert not is_fixed("a = b\na = '/usr' + a\nuse(a)")
    assert not is_fixed("a = 'x'\na = b + a\nuse(a)")
    assert is_fixed("def g(k):\n    return g(k) if k else 'x'\nuse(g(1))")


def test_names_that_mean_each_other_many_ways_end_soon():
    lines = [f"a{n} = a{n - 1} + a{n + 1} if b else a{n - 2}" for n in range(2, 400)] + [
        "a0 = data"
    ]
    source = "a0 = a1 = data\n" + "\n".join(lines) + "\nuse(a399 + a200)\n"
    module = analyse(ast.parse(source))
    (found,) = [item for item in module.calls if getattr(item[0].func, "id", "") == "use"]
    started = time.process_time()
    assert not Fixed(module).is_fixed(found[0].args[0], found[1])
    assert not is_from_outside(found[0].args[0], found[1], module)
    assert time.process_time() - started < 2
