"""The cache of Hugging Face: blobs, snapshots, refs."""

from __future__ import annotations

import pickle

import pytest

from safehold.scan import scan_path, scan_paths
from tests.bypasses.payloads import named, stream
from tests.scan.hub import Cache

EVIL = stream(named("os", "system"))
GOOD = pickle.dumps([1])


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


def verdicts(path, **options):
    return {one.path: str(one.verdict) for one in scan_path(path, **options).files}


def test_files_are_called_by_repository_revision_and_name_and_read_once(cache):
    assert verdicts(cache.root) == {
        "datasets/org/set@ddd/m.pkl": "clean",
        "gpt2@ccc/m.pkl": "clean",
        "org/name@aaa/m.bin": "malicious",
        "org/name@bbb/deep/n.pkl": "clean",
    }
    assert len(scan_path(cache.root).files) == 4


def test_it_is_known_wherever_the_walk_begins(cache):
    expected = verdicts(cache.root)
    assert verdicts(cache.root.parent) == expected
    assert verdicts(cache.repository("models--gpt2")) == {"gpt2@ccc/m.pkl": "clean"}


def test_a_blob_is_read_under_the_name_that_makes_it_an_artifact(cache):
    broken = EVIL[:-3]
    cache.put("models--x--y", "aaa", "notes", broken[:1], "b1")
    cache.put("models--x--y", "bbb", "z.pkl", broken[:1], "b1")
    assert verdicts(cache.repository("models--x--y")) == {"x/y@bbb/z.pkl": "suspicious"}


def test_a_link_to_nothing_is_an_error(cache):
    cache.put("models--gpt2", "ccc", "weights", GOOD, "b9")
    (cache.repository("models--gpt2") / "blobs" / "b9").unlink()
    assert verdicts(cache.root)["gpt2@ccc/weights"] == "error"


@pytest.mark.parametrize("name", ["m2.pkl", "notes.txt"])
def test_a_link_that_leaves_the_cache_is_an_error_and_not_followed(cache, tmp_path, name):
    outside = tmp_path / "outside.pkl"
    outside.write_bytes(EVIL)
    place = cache.repository("models--gpt2") / "snapshots" / "ccc" / name
    place.symlink_to(outside)
    [report] = [one for one in scan_path(cache.root).files if one.path == f"gpt2@ccc/{name}"]
    assert report.verdict == "error"
    assert "leaves the cache" in report.findings[0].message


def test_a_link_to_another_repository_of_the_cache_is_followed(cache):
    place = cache.repository("models--gpt2") / "snapshots" / "ccc" / "other.bin"
    place.symlink_to("../../../models--org--name/blobs/b1")
    assert verdicts(cache.repository("models--gpt2"))["gpt2@ccc/other.bin"] == "malicious"


def test_a_link_to_a_directory_is_an_error(cache):
    place = cache.repository("models--gpt2") / "snapshots" / "ccc" / "sub"
    place.symlink_to("..")
    assert verdicts(cache.root)["gpt2@ccc/sub"] == "error"
    place.unlink()
    place.symlink_to("sub")  # to itself
    assert verdicts(cache.root)["gpt2@ccc/sub"] == "error"


def test_a_blob_without_a_name_is_read_too(cache):
    blobs = cache.repository("models--gpt2") / "blobs"
    (blobs / "b7").write_bytes(EVIL)
    (blobs / "b8.incomplete").write_bytes(EVIL)
    assert verdicts(cache.root)["gpt2@blobs/b7"] == "malicious"
    assert not any("b8" in name for name in verdicts(cache.root))


def test_nothing_beside_the_snapshots_is_passed_over(cache):
    """A directory that only looks like a repository hides nothing."""
    top = cache.repository("models--gpt2")
    (top / "m.pkl").write_bytes(EVIL)
    (top / "other" / "sub").mkdir(parents=True)
    (top / "other" / "sub" / "n.pkl.incomplete").write_bytes(EVIL)
    (cache.root / "o.pkl").write_bytes(EVIL)
    found = verdicts(cache.root)
    assert found[str(top / "m.pkl")] == "malicious"
    assert found["gpt2@other/sub/n.pkl.incomplete"] == "malicious"
    assert found[str(cache.root / "o.pkl")] == "malicious"


def test_copies_instead_of_links(cache):
    place = cache.repository("models--gpt2") / "snapshots" / "ccc" / "copy.pkl"
    place.write_bytes(EVIL)
    assert verdicts(cache.root)["gpt2@ccc/copy.pkl"] == "malicious"


@pytest.mark.parametrize("pattern", ["aaa", "aaa/*", "aaa/m.bin"])
def test_exclude(cache, pattern):
    assert set(verdicts(cache.root, exclude=["m.*"])) == {"org/name@bbb/deep/n.pkl"}
    found = verdicts(cache.root, exclude=[pattern])
    assert "org/name@aaa/m.bin" not in found
    assert found["org/name@bbb/m.bin"] == "malicious"


def test_a_directory_that_is_only_called_so_is_read_as_any(tmp_path):
    (tmp_path / "models--a--b").mkdir()
    (tmp_path / "models--a--b" / "m.pkl").write_bytes(EVIL)
    assert verdicts(tmp_path) == {str(tmp_path / "models--a--b" / "m.pkl"): "malicious"}


def test_names_of_the_hub_can_be_left(cache):
    paths = {one.path for one in scan_paths([cache.root], hub_names=False)}
    assert str(cache.repository("models--gpt2") / "blobs" / "b1") in paths
    assert all(path.startswith(str(cache.root)) for path in paths)
