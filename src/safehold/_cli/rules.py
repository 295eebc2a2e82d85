"""``safehold rules``: every rule with its reason and remedy."""

from __future__ import annotations

import argparse
import dataclasses

HELP = """List the rules, or show one with why it matters, how to mend it, its CWE and its CVSS 4.0
vector."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("id", nargs="?", metavar="ID", help="a rule id such as SH101")
    _shared.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 2 for an unknown rule."""
    from safehold._cli import _shared
    from safehold.errors import ConfigError
    from safehold.report.rules import all_rules

    rules = all_rules()
    if options.id is not None:
        rules = [rule for rule in rules if rule.id == options.id.upper()]
        if not rules:
            message = f"no rule {options.id!r}; list them with: safehold rules"
            raise ConfigError(message)
    if options.format == "json":
        rows = [{**dataclasses.asdict(rule), "severity": rule.severity.label} for rule in rules]
        _shared.print_json({"schema": 1, "rules": rows})
        return 0
    for rule in rules:
        print(f"{rule.id} {rule.name}: {rule.title} ({rule.severity.label})")
        if options.id is not None:
            print(f"\nwhy: {rule.why}\nremedy: {rule.remedy}\nCWE-{rule.cwe}, {rule.cvss}", end="")
            print(f" = {rule.score}\nfix: {rule.fix}")
            for reference in rule.references:
                print(f"see: {reference}")
    return 0
