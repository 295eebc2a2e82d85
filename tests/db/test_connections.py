"""Addresses of databases, and what they say about the connection."""

from __future__ import annotations

import pytest

from safehold.db.connections import check_url
from safehold.errors import ConfigError
from safehold.findings import Severity

DRAWN = "vP3xT9qLw2Zr8KdN"
GOOD = [
    "sqlite:///shop.db",
    "sqlite://",
    "postgresql://app@/shop",
    "postgresql:///shop?host=/run/postgresql",
    f"postgresql://app:{DRAWN}@localhost/shop",
    f"postgresql://app:{DRAWN}@127.0.0.1:5432/shop",
    f"postgresql://app:{DRAWN}@[::1]:5432/shop",
    f"postgresql+psycopg://app:{DRAWN}@db.internal/shop?sslmode=verify-full&sslrootcert=system",
    "postgresql+asyncpg://app@db.internal/shop?ssl=verify-full",
    f"postgres://app:{DRAWN}@a.internal,b.internal/shop?sslmode=verify-full",
    f"mysql+pymysql://app:{DRAWN}@db/shop?ssl_ca=ca.pem&ssl_verify_identity=true",
    f"mysql://app:{DRAWN}@db/shop?ssl_mode=VERIFY_IDENTITY",
    f"host=db.internal user=app password={DRAWN} sslmode=verify-full",
    f"host=/run/postgresql user=app password='{DRAWN}'",
    "oracle://app@db/shop",
]
BAD = [
    ("postgresql://app@db.internal/shop", "SH251"),
    ("postgresql://app@db.internal/shop?sslmode=prefer", "SH251"),
    ("postgresql://app@db.internal/shop?sslmode=allow", "SH251"),
    ("postgresql://app@db.internal/shop?sslmode=disable", "SH251"),
    ("postgresql://app@db.internal/shop?sslmode=require", "SH251"),
    ("postgresql://app@db.internal/shop?sslmode=VERIFY-FULL", "SH251"),  # libpq knows it not
    ("postgresql:///shop?host=db.internal", "SH251"),
    ("postgresql://app@localhost,db.internal/shop", "SH251"),
    ("postgresql://app@[2001:db8::1]:5432/shop", "SH251"),
    ("postgresql+asyncpg://app@10.0.0.1/shop?ssl=require", "SH251"),
    ("host=db.internal user=app", "SH251"),
    ("hostaddr=10.0.0.1 user=app", "SH251"),
    ("mysql://app@db/shop", "SH251"),
    ("mysql+pymysql://app@db/shop?ssl_ca=ca.pem", "SH251"),
    ("mariadb://app@db/shop?ssl_mode=REQUIRED", "SH251"),
    ("postgresql://app:@localhost/shop", "SH252"),
    ("postgresql://app:password@localhost/shop", "SH252"),
    ("postgresql://app:changeme@localhost/shop", "SH252"),
    ("postgresql://app:p%61ssword@localhost/shop", "SH252"),
    ("postgresql://app:app@localhost/shop", "SH252"),
    ("postgresql://shopuser:shopuser2024@localhost/shop", "SH252"),
    ("postgresql://app:123456@localhost/shop", "SH252"),
    ("user=app password='pass\\'word1' host=localhost", "SH252"),
    ("user=app password=postgres", "SH252"),
    ("postgresql://localhost/shop?user=app&password=secret", "SH252"),
    ("oracle://app:tiger@db/shop", "SH252"),
    (f"postgresql://postgres:{DRAWN}@localhost/shop", "SH253"),
    (f"mysql://root:{DRAWN}@localhost/shop", "SH253"),
    ("postgresql://localhost/shop?user=postgres", "SH253"),
]


def rules(url):
    return [finding.rule.id for finding in check_url(url)]


@pytest.mark.parametrize("url", GOOD)
def test_does_nothing_to(url):
    assert rules(url) == []


@pytest.mark.parametrize(("url", "rule"), BAD)
def test_finds(url, rule):
    assert rules(url) == [rule]


def test_encryption_to_anybody_is_less_bad_than_none():
    worse, better = (
        next(iter(check_url(f"postgresql://app@db.internal/shop?sslmode={mode}")))
        for mode in ("prefer", "require")
    )
    assert (worse.severity, better.severity) == (Severity.HIGH, Severity.MEDIUM)


def test_no_finding_shows_the_password():
    for finding in check_url("postgresql://postgres:hunter2hunter2@db.internal/shop"):
        assert "hunter2" not in repr((finding.message, finding.remedy, finding.detail))


@pytest.mark.parametrize("url", ["", " ", "shop", "host=", "host='db", "postgresql://[db/shop"])
def test_what_is_no_address_is_told_without_repeating_it(url):
    with pytest.raises(ConfigError) as caught:
        rules(url)
    assert "db" not in str(caught.value).replace("database", "")
    assert caught.value.__cause__ is None
