"""Texts that are documents for everybody, and calls for their loader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.corpus.cases import Case


def _touch(canary: Path) -> str:
    return f"touch {canary}"


def _apply(canary: Path, tag: str = "!!python/object/apply:os.system") -> str:
    return f"{tag} ['{_touch(canary)}']"


def _evaluated(canary: Path) -> str:
    return f"__import__('os').system('{_touch(canary)}')"


def _made_class(canary: Path) -> str:
    """CVE-2020-14343: a class made on the spot, whose ``extend`` is ``exec``."""
    return (
        "!!python/object/new:type\n"
        "args: ['z', !!python/tuple [], {'extend': !!python/name:exec }]\n"
        f'listitems: "{_evaluated(canary)}"\n'
    )


YAML: dict[str, Callable[[Path], str]] = {
    "apply": _apply,
    "posix": lambda m: _apply(m, "!!python/object/apply:posix.system"),
    "popen": lambda m: f"!!python/object/apply:subprocess.Popen [['touch', '{m}']]",
    "eval": lambda m: f'!!python/object/apply:builtins.eval ["{_evaluated(m)}"]',
    "mapping": lambda m: f"model:\n  layers: 3\n  extra: {_apply(m)}\n",
    "list": lambda m: f"- 1\n- {_apply(m)}\n- 2\n",
    "key": lambda m: f"? {_apply(m)}\n: value\n",
    "anchor": lambda m: f"a: &x {_apply(m)}\nb: *x\n",
    "keywords": lambda m: (
        f"!!python/object/apply:subprocess.call\nkwds: {{args: '{_touch(m)}', shell: true}}\n"
    ),
    "verbatim": lambda m: _apply(m, "!<tag:yaml.org,2002:python/object/apply:os.system>"),
    "escaped": lambda m: _apply(m, "!!python/object/apply:os%2Esystem"),
    "escaped-verbatim": lambda m: _apply(
        m, "!<tag:yaml.org,2002:%70ython/object/apply:os.s%79stem>"
    ),
    "handle": lambda m: (
        "%TAG !x! tag:yaml.org,2002:python/object/apply:\n---\n" + _apply(m, "!x!os.system")
    ),
    "other-handle": lambda m: (
        "%TAG ! tag:yaml.org,2002:python/\n---\n" + _apply(m, "!object/apply:os.system")
    ),
    "split-handle": lambda m: (
        "%TAG !p! tag:yaml.org,2002:pyt\n---\n" + _apply(m, "!p!hon/object/apply:os.system")
    ),
    "state": lambda m: f"!!python/object:types.SimpleNamespace\na: {_apply(m)}\n",
    "class": _made_class,
    "comment": lambda m: f"# a model\n\n--- # with a document\n{_apply(m)}\n...\n",
    "folded": lambda m: f"!!python/object/apply:os.system\n- >-\n  touch\n  {m}\n",
    "json": lambda m: f'{{"a": 1, "b": !!python/object/apply:os.system ["{_touch(m)}"]}}',
}
ENCODINGS = {"utf-16": "utf-16", "utf-8-sig": "utf-8-sig"}
CASES = [
    *[
        Case(f"yaml-{name}", "yaml", lambda m, build=build: build(m).encode(), "yaml", ".yaml")
        for name, build in YAML.items()
    ],
    *[
        Case(f"yaml-{name}", "yaml", lambda m, code=code: _apply(m).encode(code), "yaml", ".yml")
        for name, code in ENCODINGS.items()
    ],
]
