"""``safehold policy show``: the effective policy and where each value comes from."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from safehold.policy import Policy, Zone

HELP = """Show the effective policy. `show` prints every value with its origin (line of the file,
or default), then what is questionable about it."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("action", choices=("show",), help="what to do")
    _shared.add_policy(parser)
    _shared.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 when the policy itself has findings."""
    from safehold._cli import _shared

    policy = _shared.load_policy(options)
    findings = list(policy.check())
    rows = [
        {"key": key, "value": value, "origin": policy.origins.get(key, "default")}
        for key, value in _values(policy)
    ]
    if options.format == "json":
        _shared.print_json(
            {"schema": 1, "values": rows, "findings": [item.as_json() for item in findings]}
        )
    else:
        width = max(len(row["key"]) for row in rows)
        for row in rows:
            text = f"{row['key']:<{width}}  {_text(row['value'])}"
            print(_shared.printable(f"{text}  # {row['origin']}"))
        for finding in findings:
            print(_shared.printable(f"{finding.rule.id} {finding.message}: {finding.remedy}"))
    return 1 if findings else 0


def _values(policy: Policy) -> Iterator[tuple[str, Any]]:
    yield "root", str(policy.root)
    yield "mode", policy.mode
    yield "activation.variable", policy.activation.variable
    yield "activation.values", policy.activation.values
    yield "keys.source", policy.key.source
    yield "keys.id", policy.key.id
    yield "keys.suite", policy.key.suite
    for index, key in enumerate(policy.previous):
        yield f"keys.previous[{index}].source", key.source
        yield f"keys.previous[{index}].id", key.id
        yield f"keys.previous[{index}].suite", key.suite
    if policy.local is not None:
        yield "keys.local.source", policy.local.source
        yield "keys.local.id", policy.local.id
    for index, zone in enumerate(policy.zones):
        yield f"zone[{index}].name", zone.name
        yield f"zone[{index}].paths", zone.paths
        yield from _zone(f"zone[{index}]", zone)
        yield f"zone[{index}].mmap", zone.mmap
        yield f"zone[{index}].sidecar", zone.sidecar
    yield from _zone("memory", policy.memory)
    yield "code.trusted", policy.trusted
    for field in dataclasses.fields(policy.limits):
        yield f"limits.{field.name}", getattr(policy.limits, field.name)
    yield "guard.strict", policy.guard.strict
    yield "trail.path", policy.trail
    for field in dataclasses.fields(policy.recording):
        yield f"trail.{field.name}", getattr(policy.recording, field.name)
    yield "marks.path", policy.marks
    yield "unsealed.path", policy.unsealed
    revoked = policy.revoked.with_file(policy.root)
    yield "revoked.keys", revoked.keys
    yield "revoked.artifacts", revoked.artifacts
    yield "revoked.file", revoked.file
    for name in ("severity", "repeat", "group", "rate", "verify", "spool"):
        yield f"alerts.{name}", getattr(policy.alerts, name)
    for index, channel in enumerate(policy.alerts.channels):
        for name in ("name", "kind", "url", "secret", "ca", "to"):
            yield f"alerts.channel[{index}].{name}", getattr(channel, name)
        yield f"alerts.channel[{index}].from", channel.sender
    yield "redaction.names", policy.redaction.names
    yield "redaction.patterns", policy.redaction.patterns
    yield from _web(policy)
    yield "deploy.key_days", policy.deploy.key_days
    yield "deploy.names", {name: (topic,) for name, topic in policy.deploy.names}


def _web(policy: Policy) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(policy.web):
        value = getattr(policy.web, field.name)
        yield f"web.{field.name}", dict(value) if field.name in ("csp", "report_only") else value
    for field in dataclasses.fields(policy.requests):
        if field.name != "cookies":
            value = getattr(policy.requests, field.name)
            yield f"requests.{field.name}", dict(value) if field.name == "bodies" else value
    for index, cookie in enumerate(policy.requests.cookies):
        for field in dataclasses.fields(cookie):
            yield f"requests.cookie[{index}].{field.name}", getattr(cookie, field.name)


def _zone(key: str, zone: Zone) -> Iterator[tuple[str, Any]]:
    yield f"{key}.trust", zone.trust
    yield f"{key}.codecs", zone.codecs
    yield f"{key}.allow", zone.allow


def _text(value: Any) -> str:
    if value is None:
        return "(every caller)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(value) + "]"
    if isinstance(value, dict):
        return "; ".join(f"{name} {' '.join(items)}" for name, items in value.items())
    return str(value)
