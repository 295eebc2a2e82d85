"""The probes: one file each, in the order in which they are tried."""

from __future__ import annotations

from typing import Final

from safehold.prove.probe import Probe
from safehold.prove.probes.bodies import BODIES
from safehold.prove.probes.headers import HEADERS
from safehold.prove.probes.planted import PLANTED
from safehold.prove.probes.replayed import REPLAYED
from safehold.prove.probes.scripts import SCRIPTS
from safehold.prove.probes.secrets import SECRETS
from safehold.prove.probes.sql import SQL
from safehold.prove.probes.swapped import SWAPPED
from safehold.prove.probes.tampered import TAMPERED
from safehold.prove.probes.traversal import TRAVERSAL

PROBES: Final[tuple[Probe, ...]] = (
    PLANTED,
    TAMPERED,
    SWAPPED,
    REPLAYED,
    SQL,
    SCRIPTS,
    TRAVERSAL,
    HEADERS,
    SECRETS,
    BODIES,
)
