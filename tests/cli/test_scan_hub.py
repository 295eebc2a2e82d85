"""`safehold scan --hf-cache`."""

from __future__ import annotations

import json
import pickle

import pytest

from tests.bypasses.payloads import named, stream
from tests.scan.hub import Cache

EVIL = stream(named("os", "system"))
GOOD = pickle.dumps([1])
UNSAFE = b"import pickle\n\ndef read(data):\n    return pickle.loads(data)\n"


@pytest.fixture
def cache(tmp_path):
    made = Cache(tmp_path / "hub")
    made.put("models--org--name", "aaa", "m.bin", EVIL, "b1")
    made.put("models--org--name", "bbb", "m.bin", EVIL, "b1")
    made.put("models--org--name", "bbb", "deep/n.pkl", GOOD, "b2")
    made.put("models--org--name", "bbb", "config.json", b"{}", "b3")
    made.put("models--gpt2", "ccc", "m.pkl", GOOD, "b1")
    made.put("datasets--org--set", "ddd", "m.pkl", GOOD, "b1")
    return made


@pytest.mark.parametrize(
    ("variable", "below"),
    [("HF_HUB_CACHE", "hub"), ("HUGGINGFACE_HUB_CACHE", "hub"), ("HF_HOME", ""), ("HOME", "home")],
)
def test_the_place_of_the_cache_is_the_one_of_its_library(
    cache, call, tmp_path, monkeypatch, variable, below
):
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if below == "home":
        (tmp_path / "home" / ".cache" / "huggingface").mkdir(parents=True)
        cache.root.rename(tmp_path / "home" / ".cache" / "huggingface" / "hub")
    monkeypatch.setenv(variable, str(tmp_path / below))
    done = call("scan", "--hf-cache", "--format", "json")
    assert done.code == 1
    assert len(json.loads(done.out)["files"]) == 4


def test_sources_of_a_repository_have_its_names(cache, call):
    cache.put("models--gpt2", "ccc", "modeling.py", UNSAFE, "b5")
    done = call("scan", f"--hf-cache={cache.root}", "--format", "json")
    files = json.loads(done.out)["files"]
    [found] = [one for one in files if one["format"] == "python"]
    assert (found["path"], found["verdict"]) == ("gpt2@ccc/modeling.py", "suspicious")


def test_nothing_to_scan_is_an_error(call):
    done = call("scan")
    assert done.code == 2
    assert "name a file" in done.err
