"""Real dumps of the installed libraries are clean, where none of those can be imported."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.corpus import harmless

pytestmark = [pytest.mark.extras, pytest.mark.forking]

# Scans in a process that can import only what the core installs, and the standard library.
_SCAN = """
import importlib.util, json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {*sys.argv[2].split(",")}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from safehold.scan import scan_path
scan = scan_path(sys.argv[1], paranoid=True)
print(json.dumps({report.path: [report.verdict, *(f.message for f in report.findings)]
                  for report in scan.files}))
"""
_LIBRARIES = (
    "numpy,scipy,pandas,sklearn,joblib,xgboost,lightgbm,torch,skops,safetensors,pyarrow,pytz,"
    "dateutil,blake3,rich"
)


def test_harmless_files_are_clean_to_both_readers_with_no_library_installed(tmp_path):
    left_out = harmless.write(tmp_path)
    assert set(left_out) <= {"torch"}, left_out
    done = subprocess.run(
        [sys.executable, "-c", _SCAN, str(tmp_path), _LIBRARIES],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert len(found) == len(list(tmp_path.iterdir())) > 1000
    assert {path: rest for path, rest in found.items() if rest != ["clean"]} == {}
