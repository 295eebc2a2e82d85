"""Draw a sample of findings in installed packages, to be judged by hand.

``python scripts/precision.py --rules SH301,SH501 --size 100 PACKAGE...`` prints lines of
`tests/source/precision.tsv` without a judgement: give each ``yes`` or ``no`` and a reason. Whoever
changes a rule so that its findings change draws anew.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.metadata import packages_distributions, version

from safehold.findings import Finding
from safehold.policy import default_policy
from safehold.source.check import Prefilter, audit_source
from safehold.source.rules import RULES
from safehold.source.tree import find_sources

COLUMNS = ("package", "version", "file", "line", "rule", "real", "reason")


def findings(package: str, rules: frozenset[str]) -> Iterator[Finding]:
    """Yield the findings of some rules in one importable package of this interpreter."""
    root = sysconfig.get_paths()["purelib"]
    policy = default_policy(root)
    prefilter = Prefilter(row for row in RULES if row.rule.id in rules)
    place = os.path.join(root, package)
    names = find_sources(place) if os.path.isdir(place) else ("",)
    for name in names:
        path = os.path.join(place, name) if name else place + ".py"
        with open(path, "rb") as file:
            data = file.read()
        audit = audit_source(data, os.path.relpath(path, root), policy, prefilter=prefilter)
        yield from (item for item in audit.findings if item.rule.id in rules)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the sample; the exit code is 0."""
    parser = argparse.ArgumentParser(description="Draw findings to be judged by hand.")
    parser.add_argument("packages", nargs="+", metavar="PACKAGE")
    parser.add_argument("--rules", default="SH301,SH302,SH303,SH501,SH502,SH503,SH504,SH505")
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    owners = packages_distributions()
    found = [
        (package, version(owners[package][0]), item)
        for package in options.packages
        for item in findings(package, frozenset(options.rules.split(",")))
    ]
    size = min(options.size, len(found))
    drawn = random.Random(options.seed).sample(found, size)  # noqa: S311  a sample, no secret
    print("\t".join(COLUMNS))
    for package, release, item in sorted(drawn, key=lambda row: (row[0], str(row[2].location))):
        where = item.location
        print("\t".join([package, release, where.path, str(where.line), item.rule.id, "", ""]))
    print(f"{size} of {len(found)} findings", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
