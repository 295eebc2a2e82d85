"""A Policy as the TOML text that `parse_policy` reads back to the same."""

from __future__ import annotations

import os
import re

from safehold.errors import ConfigError
from safehold.policy import DEFAULT_UNSEALED, KeySource, Policy, Redaction, Zone
from safehold.policy.alerts import alert_lines
from safehold.policy.deploy import deploy_lines
from safehold.policy.recording import recording_lines
from safehold.policy.requests import request_lines
from safehold.policy.revoked import KEYS, Revocations
from safehold.policy.sizes import size_text
from safehold.policy.web import web_lines

_FLAGS = ("mmap", "sidecar")  # of a zone


def render_policy(policy: Policy) -> str:
    """Return the policy as TOML text that `parse_policy` reads back to the same policy.

    Raises:
        ConfigError: a name in it is not valid UTF-8, which TOML has to be.
    """
    lines = ["version = 1", f'mode = "{policy.mode}"']
    if policy.path is not None and policy.root != policy.path.parent:
        lines.append(f"root = {_quote(os.path.relpath(policy.root, policy.path.parent))}")
    activation = policy.activation
    lines += ["", "[activation]", f"variable = {_quote(activation.variable)}"]
    lines += [f"values = {_array(activation.values)}"]
    lines += ["", "[keys]", *_key_lines(policy.key)]
    for old in policy.previous:
        lines += ["", "[[keys.previous]]", *_key_lines(old)]
    if policy.local is not None:
        lines += ["", "[keys.local]", *_key_lines(policy.local)]
    for zone in policy.zones:
        lines += ["", "[[zone]]", f"name = {_quote(zone.name)}", f"paths = {_array(zone.paths)}"]
        lines += [*_zone_lines(zone), *(f"{flag} = true" for flag in _FLAGS if getattr(zone, flag))]
    lines += ["", "[memory]", *_zone_lines(policy.memory)]
    if policy.trusted is not None:
        lines += ["", "[code]", f"trusted = {_array(policy.trusted)}"]
    limits = policy.limits
    lines += ["", "[limits]", f"artifact = {_quote(size_text(limits.artifact))}"]
    lines += [f"depth = {limits.depth}", f"expansion = {limits.expansion}"]
    lines += [f"members = {limits.members}", f"seconds = {limits.seconds}"]
    if policy.guard.strict:
        lines += ["", "[guard]", "strict = true"]
    lines += ["", "[trail]", f"path = {_quote(policy.trail)}"]
    lines += recording_lines(policy.recording, _quote)
    lines += ["", "[marks]", f"path = {_quote(policy.marks)}"]
    if policy.unsealed != DEFAULT_UNSEALED:
        lines += ["", "[unsealed]", f"path = {_quote(policy.unsealed)}"]
    revoked = policy.revoked
    if revoked != Revocations():
        lines += ["", "[revoked]"]
        lines += [f"{name} = {_array(getattr(revoked, name))}" for name in KEYS]
        lines += [f"file = {_quote(revoked.file)}"] if revoked.file else []
    lines += alert_lines(policy.alerts, _quote)
    redaction = policy.redaction
    if redaction != Redaction():
        lines += ["", "[redaction]", f"names = {_array(redaction.names)}"]
        lines += [f"patterns = {_array(redaction.patterns)}"]
    lines += [*web_lines(policy.web, _quote), *request_lines(policy.requests, _quote)]
    lines += [*deploy_lines(policy.deploy, _quote), ""]
    return "\n".join(lines)


def _key_lines(key: KeySource) -> list[str]:
    suite = [] if key.suite == KeySource().suite else [f"suite = {_quote(key.suite)}"]
    return [f"source = {_quote(key.source)}", f"id = {_quote(key.id)}", *suite]


def _zone_lines(zone: Zone) -> list[str]:
    return [
        f"trust = {_quote(zone.trust)}",
        f"codecs = {_array(zone.codecs)}",
        f"allow = {_array(zone.allow)}",
    ]


def _quote(text: str) -> str:
    if any("\ud800" <= char <= "\udfff" for char in text):
        message = f"a policy is UTF-8 and cannot name {text!a}; rename it"
        raise ConfigError(message)
    out = text.replace("\\", "\\\\").replace('"', '\\"')
    out = re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\u{ord(match[0]):04x}", out)
    return f'"{out}"'


def _array(items: tuple[str, ...]) -> str:
    return "[" + ", ".join(_quote(item) for item in items) + "]"
