from __future__ import annotations

from pathlib import Path

import pytest

from safehold.policy import default_policy
from safehold.source import FileAudit, audit_source


@pytest.fixture
def look(tmp_path):
    """Look at source text as `app/module.py` of a tree with the default policy."""
    policy = default_policy(tmp_path)

    def look_at(source: str | bytes, path: str = "app/module.py") -> FileAudit:
        data = source.encode() if isinstance(source, str) else source
        return audit_source(data, path, policy)

    return look_at


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sources are looked at without any library: with and without extras it is the same."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.bare)
