"""Write the generated pages of docs/reference from the code: rules, commands, errors.

``python scripts/reference.py`` writes them; a test compares them with what is committed.
Needs every extra installed, since rules are found by importing each module.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import safehold._cli
import safehold.errors
from safehold.deploy import CHECKS
from safehold.findings import Rule

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
PAGES = ROOT / "docs" / "reference"
NOTE = "<!-- Written by `make reference` from the code; edit that instead. -->\n"

FIX = {
    "safe": "`safehold` mends it without changing what the program does",
    "unsafe": "`safehold` can mend it, which may change what the program does",
    "none": "by hand",
}


def modules() -> Iterator[str]:
    """Yield the dotted name of every module of the package, but for the one that runs it."""
    for path in sorted((SOURCE / "safehold").rglob("*.py")):
        parts = list(path.relative_to(SOURCE).with_suffix("").parts)
        if parts[-1] == "__main__":
            continue
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def rules() -> list[Rule]:
    """Return every rule that a module of the package holds, by id."""
    found: dict[str, Rule] = {}
    for name in modules():
        for rule in _rules_in(vars(importlib.import_module(name)).values()):
            if found.setdefault(rule.id, rule) != rule:
                message = f"two rules are called {rule.id}"
                raise ValueError(message)
    return [found[key] for key in sorted(found)]


def _rules_in(values: Iterable[Any]) -> Iterator[Rule]:
    for value in values:
        if isinstance(value, Rule):
            yield value
        elif isinstance(value, Mapping):
            yield from (item for item in value.values() if isinstance(item, Rule))
        elif isinstance(value, tuple | list | frozenset):
            yield from (item for item in value if isinstance(item, Rule))


def errors() -> list[type[BaseException]]:
    """Return every error of ``safehold.errors``, in the order of the file."""
    return [
        value
        for value in vars(safehold.errors).values()
        if inspect.isclass(value) and issubclass(value, safehold.errors.SafeholdError)
    ]


def rules_page() -> str:
    """Return the page of rules: a table, then one section for each."""
    lines = [NOTE, "# Rules\n"]
    lines.append("`safehold rules` prints the same. Ids do not change once released.\n")
    lines.append("| id | what | severity | fix |")
    lines.append("|---|---|---|---|")
    lines.extend(
        f"| [{rule.id}](#{rule.id.lower()}) | {_cell(rule.title)} "
        f"| {rule.severity.label} | {rule.fix} |"
        for rule in rules()
    )
    for rule in rules():
        lines.append(f"\n## {rule.id} {{#{rule.id.lower()}}}\n")
        lines.append(f"**{rule.title}** (`{rule.name}`)\n")
        lines.append(f"{rule.why}\n")
        lines.append(f"Remedy: {rule.remedy}\n")
        lines.append(f"- Severity: {rule.severity.label}")
        lines.append(f"- CVSS 4.0: {rule.score} (`{rule.cvss}`)")
        lines.append(f"- CWE-{rule.cwe}")
        lines.append(f"- Fix: {FIX[rule.fix]}")
        lines.extend(f"- See <{reference}>" for reference in rule.references)
    return "\n".join(lines).rstrip() + "\n"


def settings_page() -> str:
    """Return the page of checks of settings: what each finds, and examples of both kinds."""
    lines = [NOTE, "# Checks of settings\n"]
    lines.append(
        "See [check settings](../how-to/check-settings.md); what is good has no finding.\n"
    )
    for check in CHECKS:
        rule = check.rule
        place = "anywhere" if check.always else "in production"
        lines.append(f"## {rule.title} {{#{rule.id.lower()}}}\n")
        lines.append(f"[{rule.id}](rules.md#{rule.id.lower()}), {rule.severity.label}, {place}.\n")
        for kind, examples in (("Bad", check.bad), ("Good", check.good)):
            for example in examples:
                text = "\n".join(f"    {line}".rstrip() for line in example.text.splitlines())
                lines.append(f"{kind}, in `{example.file}`:\n\n{text}\n")
    return "\n".join(lines).rstrip() + "\n"


def errors_page() -> str:
    """Return the page of errors: the tree, then one section for each."""
    head, _, _ = inspect.cleandoc(safehold.errors.__doc__ or "").partition("\n\nRefusals")
    _, _, tree = head.partition("\n\n")
    lines = [NOTE, "# Errors\n", "All of them are in `safehold.errors`.\n"]
    lines.append(f"```text\n{inspect.cleandoc(tree)}\n```")
    for error in errors():
        bases = ", ".join(f"`{base.__name__}`" for base in error.__bases__)
        lines.append(f"\n## {error.__name__} {{#{error.__name__.lower()}}}\n")
        lines.append(f"Derives from {bases}.\n")
        text, _, attributes = inspect.cleandoc(error.__doc__ or "").partition("\nAttributes:\n")
        lines.append(text.strip())
        if attributes:
            lines.append("\nAttributes: " + " ".join(attributes.split()))
    return "\n".join(lines).rstrip() + "\n"


def commands_page() -> str:
    """Return the page of commands: one section for each verb."""
    parser = safehold._cli.build_parser()  # noqa: SLF001  the command line is this package's own
    lines = [NOTE, "# Commands\n"]
    lines.append("Exit codes: 0 clean, 1 findings or refusal, 2 error.\n")
    lines.append(
        "`safehold --version` prints the version, `safehold VERB --help` this page's text."
    )
    for verb, command in _commands(parser):
        lines.append(f"\n## {verb} {{#{verb}}}\n")
        lines.extend(_command(f"safehold {verb}", command))
    return "\n".join(lines).rstrip() + "\n"


def _commands(parser: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:  # noqa: SLF001  argparse has no public view of its actions
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return list(action.choices.items())
    return []


def _command(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    inner = _commands(parser)
    actions = [
        action
        for action in parser._actions  # noqa: SLF001
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)  # noqa: SLF001
        and action.help != argparse.SUPPRESS
    ]
    words = [name, *(_usage(action) for action in actions), *(["VERB"] if inner else [])]
    yield f"```text\n{' '.join(words)}\n```\n"
    if parser.description:
        yield f"{inspect.cleandoc(parser.description)}\n"
    if actions:
        yield "| argument | meaning |"
        yield "|---|---|"
        for action in actions:
            yield f"| {_names(action)} | {_cell(_help(action))} |"
    for verb, command in inner:
        yield f"\n### {name.removeprefix('safehold ')} {verb}\n"
        yield from _command(f"{name} {verb}", command)


def _usage(action: argparse.Action) -> str:
    value = _value(action)
    if not action.option_strings:
        return value
    text = f"{action.option_strings[-1]} {value}".rstrip()
    return text if action.required else f"[{text}]"


def _value(action: argparse.Action) -> str:
    """Return how the value is written, as in ``PATH...``; empty for a switch."""
    if action.nargs == 0:
        return ""
    name = action.metavar
    if isinstance(name, tuple):
        return " ".join(name)
    if name is None:
        name = "|".join(map(str, action.choices)) if action.choices else action.dest
        name = name if action.choices else name.upper()
    if action.nargs in {"+", argparse.REMAINDER}:
        return f"{name}..."
    if action.nargs == "*":
        return f"[{name}...]"
    return f"[{name}]" if action.nargs == "?" else name


def _names(action: argparse.Action) -> str:
    names = action.option_strings or [_value(action)]
    value = _value(action) if action.option_strings else ""
    return ", ".join("`" + f"{name} {value}".rstrip().replace("|", "\\|") + "`" for name in names)


def _help(action: argparse.Action) -> str:
    return (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


WRITERS = {
    "settings.md": settings_page,
    "rules.md": rules_page,
    "errors.md": errors_page,
    "commands.md": commands_page,
}


def main() -> int:
    """Write the pages; the exit code is 0."""
    for name, page in WRITERS.items():
        (PAGES / name).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
