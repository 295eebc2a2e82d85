from __future__ import annotations

import pickle

import pytest

from safehold.scan import scan_path, scan_paths
from safehold.scan.entries import Found
from safehold.scan.one import Settings, scan_found
from tests.bypasses.payloads import named, stream

pytestmark = pytest.mark.extras


def test_several_processes_report_the_same_in_the_same_order(tmp_path):
    for number in range(150):
        data = stream(named("posix", "system")) if number % 3 == 0 else pickle.dumps(number)
        (tmp_path / f"{number:03}.pkl").write_bytes(data)
    assert tuple(scan_paths([tmp_path], jobs=2)) == scan_path(tmp_path).files


def test_what_was_looked_up_before_does_not_go_to_the_workers(tmp_path):
    settings = Settings.of(None, None)
    fresh = pickle.dumps(settings)
    (tmp_path / "a.pkl").write_bytes(stream(named("posix", "system")))
    scan_found(Found(str(tmp_path / "a.pkl"), named=True), settings)
    assert pickle.dumps(settings) == fresh
