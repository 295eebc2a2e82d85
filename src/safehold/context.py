"""Context: policy, keyring and recorder, wired in one place and handed down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from types import TracebackType
from typing import Self

from safehold.events import Event, Exporter, Recorder
from safehold.keys import Environment, Keyring
from safehold.observe.trail import Trail
from safehold.paths import Root, StrPath
from safehold.policy import Policy


class Context:
    """What an enforcement point needs: `policy`, `keyring`, `recorder` and the open `root`.

    `revoked` is what was revoked when it was made: a service that shall know more starts anew.
    """

    def __init__(
        self, policy: Policy, keyring: Keyring, recorder: Recorder, trail: Trail | None = None
    ) -> None:
        """Use `Context.load` unless you wire your own recorder.

        Raises:
            ConfigError: no root, no revocation list where the policy names one, or a key that
                is revoked is the one in use.
        """
        self.policy = policy
        self.revoked = policy.revoked.with_file(policy.root)
        self.keyring = keyring.revoking(self.revoked.keys)
        self.recorder = recorder
        self.root = Root(policy.root)
        self._trail = trail

    @classmethod
    def load(
        cls,
        policy: StrPath | Policy,
        *,
        environ: Mapping[str, str] | None = None,
        exporters: tuple[Exporter, ...] = (),
        patience: float = 5.0,
    ) -> Context:
        """Read the policy file (or take a Policy), load its keys, open its trail and channels.

        Closing waits `patience` seconds for alerts to be sent; what is left stays for the next.

        Raises:
            ConfigError: policy or a key source is not usable; WeakKey for a guessable key.
        """
        environ = Environment(environ)  # shows no variable, should a frame's locals be logged
        if not isinstance(policy, Policy):
            policy = Policy.load(str(policy))
        keyring = Keyring.load(policy.key_sources, policy.root, environ, local=policy.local_key)
        _ = keyring.local  # a pair without a local key shows here, not at the first event
        trail = Trail(policy.root / policy.trail, keyring, policy.recording)
        if policy.alerts.channels:
            from safehold.observe.alerts import Alerts

            exporters = (*exporters, Alerts(policy, environ, patience=patience))
        if policy.recording.witness:
            from safehold.observe.witnessing import Witnesses

            told = Witnesses(trail.directory, keyring, policy.recording, environ, policy.root)
            exporters = (*exporters, told)
        recorder = Recorder(
            trail,
            *exporters,
            redactor=policy.redaction.redactor(keyring.traces()),
            opening=_in_force(policy),
        )
        return cls(policy, keyring, recorder, trail)

    def close(self) -> None:
        """Close the exporters, sync the trail and close what the context opened."""
        try:
            self.recorder.close()
        finally:
            if self._trail is not None:
                self._trail.close()
            self.root.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _in_force(policy: Policy) -> Event:
    """Return what a process records before its first decision: by which policy and keys it is."""
    counts = Counter(finding.severity.label for finding in policy.check())
    return Event(
        action="policy.load",
        outcome="done",
        reason=policy.mode,
        artifact=str(policy.path or policy.root),
        key=policy.key.id,  # which a service that only verifies has the public half of
        detail={
            "digest": sha256(repr(policy).encode("utf-8", "backslashreplace")).hexdigest(),
            "keys": [name for name, _, _ in policy.key_sources],
            "revoked": sorted(policy.revoked.keys),
            "findings": dict(counts),
        },
    )
