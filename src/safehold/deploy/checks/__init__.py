"""The checks of settings, one file each, in one table; most of them are about production alone."""

from __future__ import annotations

from typing import Final

from safehold.deploy.checks.aged import AGED
from safehold.deploy.checks.algorithm import ALGORITHM
from safehold.deploy.checks.bind import BIND
from safehold.deploy.checks.committed import COMMITTED
from safehold.deploy.checks.cookies import COOKIES
from safehold.deploy.checks.cors import CORS
from safehold.deploy.checks.csrf import CSRF
from safehold.deploy.checks.database import PASSWORD, TLS, USER
from safehold.deploy.checks.debug import DEBUGGING
from safehold.deploy.checks.defaulted import DEFAULTED
from safehold.deploy.checks.docs import DOCS
from safehold.deploy.checks.environment import ENVIRONMENT
from safehold.deploy.checks.errors import ERRORS
from safehold.deploy.checks.guard import GUARD
from safehold.deploy.checks.hosts import HOSTS
from safehold.deploy.checks.hsts import HSTS
from safehold.deploy.checks.keyfile import KEY_FILE
from safehold.deploy.checks.limits import LIMITS
from safehold.deploy.checks.loglevel import LOG_LEVEL
from safehold.deploy.checks.pins import PINS
from safehold.deploy.checks.proxies import PROXIES
from safehold.deploy.checks.reload import RELOAD
from safehold.deploy.checks.reused import REUSED
from safehold.deploy.checks.root import ROOT
from safehold.deploy.checks.row import Check
from safehold.deploy.checks.serializer import SERIALIZER
from safehold.deploy.checks.session import SESSION
from safehold.deploy.checks.trail import TRAIL
from safehold.deploy.checks.transport import TRANSPORT
from safehold.deploy.checks.verify import VERIFY
from safehold.deploy.checks.weak import WEAK
from safehold.deploy.checks.zones import ZONES

CHECKS: Final[tuple[Check, ...]] = (
    WEAK, COMMITTED, DEFAULTED, REUSED, AGED, DEBUGGING, RELOAD, ENVIRONMENT, BIND, TRANSPORT, HSTS,
    COOKIES, SESSION, CSRF, CORS, HOSTS, TLS, PASSWORD, USER, TRAIL, GUARD, KEY_FILE, ZONES, LIMITS,
    PROXIES, DOCS, LOG_LEVEL, ERRORS, ROOT, PINS, VERIFY, SERIALIZER, ALGORITHM,
)  # fmt: skip
RULES: Final = tuple(check.rule for check in CHECKS)
