"""Hardens a copy of the example service and shows each attack before and after.

Exits with 0 when every attack works before and is refused by safehold after, and the service's
own tests pass both times; with 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

TRADER = Path(__file__).resolve().parent / "trader"
ATTACKS = (
    "plant_data", "plant_model", "tamper_model", "swap_models", "replay_model",
    "inject_value", "inject_order",
)  # fmt: skip
PLANTS = ("plant_data", "plant_model")
# What it sends is a value now and nothing else: there is nothing to refuse.
BOUND = ("inject_value",)

# What `harden` does not write: where the service makes its engine and its application.
HOLD = '''"""The policy of this service, once for each process."""

import os

import safehold

hold = safehold.Context.load(os.environ["SAFEHOLD_POLICY"])
'''
BY_HAND = (
    ("trader/db.py", "from trader import settings\n",
     "import safehold.db\nfrom trader import settings\nfrom trader.policy import hold\n"),
    ("trader/db.py", "return create_engine(url, echo=False)",
     "return safehold.db.guard(create_engine(url, echo=False), hold)"),
    ("trader/app.py", "from trader.predict import Predictor\n",
     "from trader.policy import hold\nfrom trader.predict import Predictor\n"),
    ("trader/app.py", "from trader import config_store",
     "import safehold.web\nfrom trader import config_store"),
    ("trader/app.py", "    return app\n", "    return safehold.web.install(app, hold)\n"),
)  # fmt: skip

# What a copy must not take along: files of an earlier training belong to other keys.
LEFT_BEHIND = ("__pycache__", ".pytest_cache", "models", "data", "configs")


@dataclass(frozen=True)
class Done:
    """How a program ended."""

    code: int
    output: str
    errors: str

    @property
    def last_line(self) -> str:
        """The last line that it printed."""
        return (self.output.splitlines() or self.errors.splitlines() or [""])[-1]


@dataclass(frozen=True)
class Outcome:
    """What one attack came to."""

    line: str
    command_ran: bool

    @property
    def succeeded(self) -> bool:
        return self.line.startswith("SUCCEEDED: ")

    @property
    def refused_by(self) -> str | None:
        """The name of the error of safehold's that stopped it, if one did."""
        found = re.match(r"FAILED: safehold\.[\w.]*?(\w+): ", self.line)
        return found[1] if found else None


@dataclass
class Copy:
    """A copy of the service, and the environment that its programs get."""

    root: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SAFEHOLD_", "TRADER_", "PYTEST_"))
        }
    )

    def run(self, *arguments: str) -> Done:
        """Run this interpreter with the arguments, in the copy."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def must_run(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> Done:
        """Run and end the demo with what the program printed unless its exit code is expected."""
        done = self.run(*arguments)
        if done.code not in codes:
            command = " ".join(("python", *arguments))
            raise SystemExit(f"{command} ended with {done.code}:\n{done.output}{done.errors}")
        return done

    def attack(self, name: str) -> Outcome:
        """Run one attack and print what it says."""
        with tempfile.TemporaryDirectory(prefix="trader-marker-") as directory:
            marker = Path(directory) / "marker"
            done = self.run(f"attacks/{name}.py", "--marker", str(marker))
            outcome = Outcome(done.last_line, marker.exists())
        print(f"  {name:<14}{outcome.line}", flush=True)
        return outcome

    def tests(self) -> str:
        """Run the service's own tests; return and print the line that sums them up."""
        done = self.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no")
        counts = re.search(r"\d+ (?:passed|failed|error).*(?= in )", done.output)
        line = counts[0] if counts else f"exit code {done.code}: {done.last_line}"
        print(f"  {line}", flush=True)
        if done.code:
            print(indented(done.output + done.errors), flush=True)
        return line


def copy_of_trader(root: Path) -> Copy:
    """Copy the service as its repository holds it."""
    shutil.copytree(TRADER, root, ignore=shutil.ignore_patterns(*LEFT_BEHIND), dirs_exist_ok=True)
    return Copy(root)


def harden(copy: Copy) -> Done:
    """Harden the copy under a fresh key, which stays in its environment with the policy's path."""
    copy.environment["SAFEHOLD_SECRET_KEY"] = copy.must_run(
        "-m", "safehold", "keygen"
    ).output.strip()
    report = copy.root / "report"
    # The attacks are not part of the service: an attacker does not harden them.
    options = ("--write", "--report", str(report), "--exclude", "attacks")
    done = copy.must_run("-m", "safehold", "harden", str(copy.root), *options, codes=(0, 1))
    copy.environment["SAFEHOLD_POLICY"] = str(copy.root / "safehold.toml")
    return done


def guard(root: Path) -> str:
    """Put the guard before the statements of a copy, and the gate before its requests, by hand.

    Returns what was changed, line by line.
    """
    (root / "trader" / "policy.py").write_text(HOLD)
    changed = ["trader/policy.py: new"]
    for name, before, after in BY_HAND:
        path = root / name
        text = path.read_text()
        if text.count(before) != 1:
            raise SystemExit(f"{name} has not once {before!r}")
        path.write_text(text.replace(before, after))
        changed += [f"{name}: + {line.strip()}" for line in after.splitlines()
                    if line.strip() not in before]  # fmt: skip
    return "\n".join(changed)


def refusals(copy: Copy) -> list[str]:
    """Return the rules of statements that were refused, as the trail has them."""
    asked = ("--action", "statement", "--outcome", "refused", "--format", "jsonl")
    done = copy.must_run("-m", "safehold", "trail", "export", *asked, "--policy", "safehold.toml")
    return [json.loads(line)["e"]["rule"] for line in done.output.splitlines()]


def complaints(
    before: dict[str, Outcome], after: dict[str, Outcome], tests: tuple[str, str]
) -> list[str]:
    """Return what is not as it should be."""
    found = []
    for name in ATTACKS:
        if not before[name].succeeded or before[name].command_ran != (name in PLANTS):
            found.append(f"{name} did not succeed before: {before[name].line}")
        if after[name].command_ran:
            found.append(f"{name} ran its command after hardening")
        if name in BOUND:
            if after[name].succeeded:
                found.append(f"{name} succeeded after hardening: {after[name].line}")
        elif not after[name].refused_by:
            found.append(f"{name} was not refused by safehold after: {after[name].line}")
    if not re.fullmatch(r"\d+ passed(, \d+ warnings?)?", tests[0]):
        found.append(f"the service's tests before: {tests[0]}")
    if tests[1] != tests[0]:
        found.append(f"the service's tests after: {tests[1]}")
    return found


def show_table(
    before: dict[str, Outcome], after: dict[str, Outcome], tests: tuple[str, str]
) -> None:
    """Print what each attack came to before and after."""
    rows = [("", "before", "after")]
    for name in ATTACKS:
        refused = after[name].refused_by
        words = ["succeeded" if part[name].succeeded else "failed" for part in (before, after)]
        rows.append((name, words[0], f"refused: {refused}" if refused else words[1]))
    rows.append(("service's tests", *tests))
    for row in rows:
        print(f"  {row[0]:<17}{row[1]:<14}{row[2]}")


def indented(text: str) -> str:
    """Return the text moved in, as the output of another program."""
    return "\n".join(f"  | {line}" for line in text.splitlines())


def section(title: str) -> None:
    """Print a heading."""
    print(f"\n{title}\n{'-' * len(title)}", flush=True)


def place(keep: Path | None) -> Path:
    """Return an empty directory for the copy; it stays, for the report is in it."""
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="safehold-demo-")).resolve()
    if keep.exists() and any(keep.iterdir()):
        raise SystemExit(f"{keep} is not empty: name another directory or remove it")
    return keep.resolve()


def main() -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(description="harden the example service, with attacks")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="make the copy in DIR")
    started = time.monotonic()
    root = place(parser.parse_args().keep)

    section("The service: a copy of examples/trader, trained")
    copy = copy_of_trader(root)
    print(f"  {root}", flush=True)
    print(indented(copy.must_run("-m", "trader.train").output))

    section("Before: attacks of who may write a directory of the service, or asks it")
    before = {name: copy.attack(name) for name in ATTACKS}
    section("Before: the service's own tests")
    tests_before = copy.tests()

    section("safehold harden --write")
    print(indented(harden(copy).output))

    section("By hand: the guard before statements, the gate before requests")
    print(indented(guard(root)))

    section("After: the service's own tests")
    tests_after = copy.tests()
    section("After: the same attacks")
    after = {name: copy.attack(name) for name in ATTACKS}

    section("After: what the trail says of statements")
    refused = refusals(copy)
    print(f"  refused: {', '.join(sorted(set(refused)))} ({len(refused)})")

    section("Before and after")
    tests = (tests_before, tests_after)
    show_table(before, after, tests)
    found = complaints(before, after, tests)
    if not refused:
        found.append("the trail has no statement that was refused")
    for complaint in found:
        print(f"NOT AS IT SHOULD BE: {complaint}")

    report = root / "report"
    print(f"\nReport before: {report / 'before.html'}")
    print(f"Report after:  {report / 'after.html'}")
    print(f"The copy stays in {root} ({time.monotonic() - started:.0f} s); remove it as you like.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
