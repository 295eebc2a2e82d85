"""Runs the probes on a copy of the service, each attempt announced to its trail beforehand."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from safehold._version import __version__
from safehold.errors import ConfigError, SafeholdError, TrailError
from safehold.policy import Policy
from safehold.prove.asking import Asker
from safehold.prove.confining import confine_network
from safehold.prove.hints import Hints
from safehold.prove.probe import Probe, Result
from safehold.prove.probes import PROBES
from safehold.prove.result import Attempt, NotTried, Tried
from safehold.prove.target import Started, environment_for
from safehold.prove.tree import copy_tree, digest_of
from safehold.prove.watching import Watch
from safehold.prove.world import World, redacted
from safehold.scan.isolated import Died, isolated

SCHEMA: Final = 1
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
_POLICY: Final = "SAFEHOLD_POLICY"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a run came to. ``tree`` is the digest of what was attacked, empty for an address.

    ``notes``: what was not as it should be, such as a network that could not be confined.
    """

    target: str
    tree: str
    results: tuple[Result, ...]
    notes: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    def count(self, outcome: str) -> int:
        """Return how many probes have an outcome."""
        return sum(result.outcome == outcome for result in self.results)

    def as_json(self) -> dict[str, Any]:
        """Return the document that reports read."""
        return {
            "schema": SCHEMA,
            "version": __version__,
            "target": self.target,
            "tree": self.tree,
            "notes": list(self.notes),
            "seconds": round(self.seconds, 1),
            "probes": [result.as_json() for result in self.results],
            "summary": {
                "got-in": self.count("got-in"),
                "held": self.count("held"),
                "not-tried": self.count("not-tried"),
            },
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be proved. ``against``: a command, or an address of this machine."""

    root: Path
    hints: Hints
    against: str = ""
    only: frozenset[str] = frozenset()
    seconds: float = 300.0
    own_network: bool = True
    browser: str | None = None


def prove(plan: Plan, place: Path, environ: Mapping[str, str]) -> Proof:
    """Try every probe; files of the run are left in `place`, an empty directory.

    Forks: this process keeps its network. Raises ConfigError if the service does not run.
    """
    asker = Asker(plan.against, plan.hints.headers) if _is_address(plan.against) else None
    work: Callable[[], Proof] = lambda: _confined(plan, place, environ, asker)  # noqa: E731
    try:
        outcome = isolated(lambda: _caught(work))
    except Died as error:
        message = f"the process of the probes ended: {error}"
        raise ConfigError(message) from error
    if isinstance(outcome, Proof):
        return outcome
    raise ConfigError(outcome)


def _is_address(against: str) -> bool:
    return against.lower().startswith(("http://", "https://"))


def _caught(work: Callable[[], Proof]) -> Proof | str:
    """Return the proof or why there is none: errors do not leave the child otherwise."""
    try:
        return work()
    except (SafeholdError, OSError) as error:
        return str(error) or type(error).__name__
    except Exception as error:  # noqa: BLE001  (a fault of a probe: no proof, and it says which)
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"


def _confined(plan: Plan, place: Path, environ: Mapping[str, str], asker: Asker | None) -> Proof:
    began = time.monotonic()
    notes = []
    browser = _browser() if plan.browser is None else plan.browser
    if asker is None and plan.own_network and (problem := confine_network()):
        notes.append(f"the network is not confined: {problem}")
    if asker is None and not plan.own_network:
        notes.append("the network was left as it is, as was asked")
    ends = began + plan.seconds
    world = World(plan.hints, place, ends, running=asker, browser=browser)
    if asker is not None:
        watch, target, tree = Watch(None, {}), asker.url, ""
        if problem := asker.get(plan.hints.ready).problem:
            message = f"{asker.url} does not answer: {problem}"
            raise ConfigError(message)
    else:
        world.started, watch, tree = _started(plan, place, environ)
        target = plan.against or plan.hints.start
    if watch.problem:
        notes.append(watch.problem)
    try:
        chosen = [probe for probe in PROBES if not plan.only or probe.id in plan.only]
        results = tuple(result_of(probe, world, watch) for probe in chosen)
    finally:
        if world.started is not None:
            world.started.stop()
        watch.close()
    return Proof(redacted(target), tree, results, tuple(notes), time.monotonic() - began)


def _started(plan: Plan, place: Path, environ: Mapping[str, str]) -> tuple[Started, Watch, str]:
    """Copy the tree and start the service once, to see that it runs. Raises ConfigError."""
    command = plan.against or plan.hints.start
    if not command:
        message = (
            "how is the service started? Give --against 'COMMAND {port}', or start in the [prove] "
            f"table of {plan.root / 'prove.toml'}"
        )
        raise ConfigError(message)
    if place.is_relative_to(plan.root):
        message = f"{place} lies within {plan.root}: a copy cannot hold itself"
        raise ConfigError(message)
    copy = place / "tree"
    copy_tree(plan.root, copy)
    environment = environment_for(plan.root, copy, plan.hints, environ)
    policy = _policy(copy, environment)
    state = (policy.root / policy.trail, policy.root / policy.marks) if policy else ()
    tree = digest_of(copy, state)
    started = Started(copy, command, plan.hints, environment)
    if problem := started.start():
        started.stop()
        message = f"the service does not run, before any attack: {redacted(problem)}"
        raise ConfigError(message)
    return started, Watch(policy, environment), tree


def _policy(copy: Path, environment: Mapping[str, str]) -> Policy | None:
    """Return the policy that the service runs under, if it is one of the copy."""
    path = environment.get(_POLICY, "")
    if not path:
        return None
    where = copy / path
    if not where.is_relative_to(copy):
        message = f"{_POLICY} names {path}, outside the service: its trail would be written to"
        raise ConfigError(message)
    return Policy.load(str(where))


def result_of(probe: Probe, world: World, watch: Watch) -> Result:
    """Try what a probe has to try."""
    tried: list[Tried] = []
    try:
        # One by one: what was tried before a reason to stop stays.
        tried.extend(_try(attempt, probe, world, watch) for attempt in probe.attempts(world))
    except NotTried as error:
        return Result(probe, tuple(tried), redacted(str(error)))
    reason = "" if Result(probe, tuple(tried)).outcome != "not-tried" else _reason(tried)
    return Result(probe, tuple(tried), reason)


def _reason(tried: Iterable[Tried]) -> str:
    return next((row.evidence for row in tried), "there was nothing to try")


def _try(attempt: Attempt, probe: Probe, world: World, watch: Watch) -> Tried:
    what = redacted(attempt.what)
    if world.is_over():
        return Tried(what, "not-tried", "the time of the run is over")
    before = watch.mark()
    try:
        watch.announce(probe.id, probe.rule, what)
        said = attempt.act()
    except TrailError as error:
        return Tried(what, "not-tried", redacted(f"the trail did not take it: {error}"))
    except NotTried as error:
        return Tried(what, "not-tried", redacted(str(error)))
    return Tried(what, said.outcome, redacted(said.evidence), watch.since(before))


def _browser() -> str:
    return next((path for name in _BROWSERS if (path := shutil.which(name))), "")
