"""The facade of joblib: load, dump and Memory over sealed files, the rest unchanged."""

from __future__ import annotations

import inspect
import io
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import joblib as plain
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from safehold import compat
from safehold.compat import joblib
from safehold.errors import (
    Blocked,
    NotSealed,
    Rollback,
    Tampered,
    TypeNotAllowed,
    WrongContext,
)
from tests.holding import SECRET

pytestmark = pytest.mark.extras


@pytest.fixture
def marker(tmp_path):
    found = tmp_path / "ran"
    yield found
    assert not found.exists(), "the payload ran"


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> object:
        return os.system, (f"touch {self.marker}",)


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    return RandomForestClassifier(5, random_state=0).fit(
        rng.normal(size=(100, 4)), rng.integers(0, 3, 100)
    )


X = np.random.default_rng(1).normal(size=(10, 4))


# --- the same interface --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dump", "load"])
def test_functions_have_the_signatures_of_the_originals(name):
    ours = inspect.signature(getattr(joblib, name)).parameters.values()
    theirs = inspect.signature(getattr(plain, name)).parameters.values()
    assert [(one.name, one.kind, one.default) for one in ours] == [
        (one.name, one.kind, one.default) for one in theirs
    ]


@pytest.mark.parametrize("name", ["Memory", "MemorizedResult"])
def test_classes_have_the_signatures_of_the_originals(name):
    assert issubclass(getattr(joblib, name), getattr(plain, name))
    ours = inspect.signature(getattr(joblib, name).__init__).parameters.values()
    theirs = inspect.signature(getattr(plain, name).__init__).parameters.values()
    assert [(one.name, one.default) for one in ours] == [(one.name, one.default) for one in theirs]


def test_every_public_name_is_there_and_most_are_the_originals():
    names: dict[str, object] = {}
    exec("from safehold.compat.joblib import *", names)  # noqa: S102
    own = {"Memory", "MemorizedResult", "dump", "load"}
    for name in plain.__all__:
        assert name in names
        assert (names[name] is getattr(plain, name)) is (name not in own)
    assert joblib.__version__ == plain.__version__


@pytest.mark.parametrize("name", ["numpy_pickle", "memory", "numpy_pickle_utils", "nothing"])
def test_what_would_read_without_a_seal_is_not_offered(name):
    with pytest.raises(AttributeError, match=name):
        getattr(joblib, name)


def test_parallel_works(world):
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(-n) for n in range(5)) == list(range(5))
    large = np.arange(300_000.0)  # handed to the workers through joblib's own memory map
    sums = joblib.Parallel(n_jobs=2, max_nbytes=1000)(
        joblib.delayed(np.sum)(array) for array in [large, large]
    )
    assert sums == [large.sum()] * 2
    assert joblib.hash([1]) == plain.hash([1])
    assert joblib.cpu_count() >= 1


# --- files ---------------------------------------------------------------------------------


def test_a_model_comes_back(world, model):
    path = world.root / "models" / "a.joblib"
    assert joblib.dump(model, path) == [str(path)]
    assert joblib.dump(model, str(path)) == [str(path)]
    for found in (joblib.load(path), joblib.load(str(path)), joblib.load(path, mmap_mode="r")):
        assert np.array_equal(found.predict_proba(X), model.predict_proba(X))
    assert world.store.inspect(path).codec == "joblib"


@pytest.mark.parametrize(
    "compress", [0, False, True, 1, 9, "gzip", ("zlib", 3), ("bz2", 1), ("xz", 1), ("lzma", 1)],
    ids=str,
)  # fmt: skip
def test_every_form_of_compression(compress, world, model):
    path = world.root / "models" / "a.joblib"
    joblib.dump({"m": model, "x": X}, path, compress=compress)
    found = joblib.load(path)
    assert np.array_equal(found["m"].predict(X), model.predict(X))
    assert np.array_equal(found["x"], X)
    with path.open("wb") as file:
        assert joblib.dump([X, 1], file, compress, 4) is None
    with path.open("rb") as file:
        assert np.array_equal(joblib.load(file)[0], X)


def test_compression_saves_space(world):
    path = world.root / "models" / "a.joblib"
    joblib.dump(np.zeros(100_000), path, compress=3)
    assert path.stat().st_size < 10_000


@pytest.mark.parametrize("compress", [10, ("unknown", 3), (1, 2, 3), "nothing"], ids=str)
def test_compression_that_joblib_refuses_is_refused(compress, world):
    with pytest.raises(ValueError):  # noqa: PT011  (whatever joblib says)
        joblib.dump(1, world.root / "models" / "a.joblib", compress=compress)
    assert not (world.root / "models" / "a.joblib").exists()


def test_a_sealed_joblib_file_loads(world, model):
    path = world.root / "models" / "old.joblib"
    for compress in (0, 3, ("bz2", 1)):
        plain.dump({"m": model, "o": np.array([None, "x"], object)}, path, compress=compress)
        world.store.seal(path)
        found = joblib.load(path)
        assert np.array_equal(found["m"].predict(X), model.predict(X))
        assert found["o"].tolist() == [None, "x"]
        world.store.unseal(path)
        assert plain.load(path)["o"].tolist() == [None, "x"]


def test_an_unsealed_model_is_readable_by_joblib(world, model):
    path = world.root / "models" / "a.joblib"
    joblib.dump(model, path)
    world.store.unseal(path)
    assert np.array_equal(plain.load(path).predict(X), model.predict(X))


def test_handles_without_a_path(world, model):
    stream = io.BytesIO()
    joblib.dump(model, stream)
    stream.seek(0)
    assert np.array_equal(joblib.load(stream).predict(X), model.predict(X))


def test_a_planted_file_never_runs(world, marker):
    path = world.root / "models" / "a.joblib"
    for compress in (0, 3):
        for value in (Hostile(marker), np.array([Hostile(marker)], object)):
            plain.dump(value, path, compress=compress)
            with pytest.raises(NotSealed):
                joblib.load(path)
            with path.open("rb") as file, pytest.raises(NotSealed):
                joblib.load(file)
            with pytest.raises(NotSealed):
                joblib.load(io.BytesIO(path.read_bytes()))
            with pytest.raises(TypeNotAllowed):
                world.store.seal(path)


def test_errors_are_those_that_callers_catch(world):
    with pytest.raises(FileNotFoundError):
        joblib.load(world.root / "models" / "none.joblib")
    (world.root / "models" / "empty").touch()
    with pytest.raises(EOFError):
        joblib.load(world.root / "models" / "empty")


def test_changed_swapped_and_older_files_are_refused(world, model):
    one, two = world.root / "models" / "a.joblib", world.root / "models" / "b.joblib"
    joblib.dump(model, one)
    old = one.read_bytes()
    joblib.dump(model, one)
    joblib.dump([1], two)
    damaged = bytearray(one.read_bytes())
    damaged[9000] ^= 1
    for data, error in ((damaged, Tampered), (two.read_bytes(), WrongContext), (old, Rollback)):
        one.write_bytes(data)
        with pytest.raises(error):
            joblib.load(one)


def test_an_external_zone_stores_data(world):
    path = world.root / "data" / "a.joblib"
    joblib.dump({"x": X, "n": 1}, path, compress=3)
    assert world.store.inspect(path).codec == "msgpack"
    assert np.array_equal(joblib.load(path)["x"], X)


# --- Memory --------------------------------------------------------------------------------


CALLS: list[int] = []


def slow(number: int) -> object:
    CALLS.append(number)
    return {"n": number, "x": np.arange(number)}


@pytest.fixture
def memory(world):
    CALLS.clear()
    return joblib.Memory(str(world.root / "cache"), verbose=0)


def item(world) -> Path:
    (found,) = (world.root / "cache").rglob("output.pkl")
    return found


def test_results_are_cached_and_sealed(world, memory):
    cached = memory.cache(slow)
    assert cached(3)["n"] == cached(3)["n"] == 3
    assert CALLS == [3]
    assert item(world).read_bytes().startswith(b"SFH1")
    again = joblib.Memory(str(world.root / "cache"), verbose=0).cache(slow)
    assert again(3)["x"].tolist() == [0, 1, 2]
    assert CALLS == [3]


def test_a_planted_result_is_recomputed_and_not_run(world, memory, marker):
    cached = memory.cache(slow)
    cached(3)
    plain.dump(Hostile(marker), item(world))
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        assert cached(3)["n"] == 3
    assert CALLS == [3, 3]
    assert [event.reason for event in world.events.refused] == ["NotSealed"]
    assert cached(3)["n"] == 3
    assert CALLS == [3, 3]


def test_the_control_of_the_test_above(tmp_path):
    CALLS.clear()
    cached = plain.Memory(tmp_path / "cache", verbose=0).cache(slow)
    cached(3)
    (found,) = (tmp_path / "cache").rglob("output.pkl")
    plain.dump(Hostile(tmp_path / "ran"), found)
    cached(3)
    assert (tmp_path / "ran").exists()


def test_a_result_that_was_moved_or_rolled_back_is_recomputed(world, memory):
    cached = memory.cache(slow)
    cached(3)
    three = item(world)
    cached(4)
    (four,) = set((world.root / "cache").rglob("output.pkl")) - {three}
    four.write_bytes(three.read_bytes())
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        assert cached(4)["n"] == 4
    assert world.events.refused[-1].reason == "WrongContext"


def test_references_to_results_are_read_sealed_too(world, memory, marker):
    cached = memory.cache(slow)
    reference = cached.call_and_shelve(3)
    assert reference.get()["n"] == 3
    location = str(world.root / "cache" / "joblib")
    direct = joblib.MemorizedResult(location, reference._call_id)
    assert direct.get()["n"] == 3
    plain.dump(Hostile(marker), item(world))
    for found in (reference, direct, joblib.MemorizedResult(location, reference._call_id)):
        with pytest.raises(NotSealed):
            found.get()


def test_what_cannot_be_sealed_is_returned_and_not_cached(world, memory):
    cached = memory.cache(lambda_of)
    for _ in range(2):
        with pytest.warns(Warning, match="result not cached"):
            assert cached(1)() == 1
    assert not list((world.root / "cache").rglob("output.pkl"))


def lambda_of(number: int) -> object:
    return lambda: number


def test_memory_with_options(world):
    CALLS.clear()
    for options in ({"compress": True}, {"mmap_mode": "r"}, {"compress": 3, "verbose": 0}):
        memory = joblib.Memory(world.root / "cache" / str(len(options)), **{"verbose": 0} | options)
        cached = memory.cache(slow)
        assert cached(5)["n"] == cached(5)["n"] == 5
        memory.clear(warn=False)
    assert joblib.Memory(None, verbose=0).cache(slow)(2)["n"] == 2


def test_the_cache_can_be_emptied_and_filled_again(world, memory):
    cached = memory.cache(slow)
    cached(3)
    cached.clear(warn=False)
    assert cached(3)["n"] == cached(3)["n"] == 3
    assert CALLS == [3, 3]


def test_results_in_an_external_zone_are_data(world):
    CALLS.clear()
    cached = joblib.Memory(world.root / "data", verbose=0).cache(slow)
    assert cached(3)["x"].tolist() == cached(3)["x"].tolist() == [0, 1, 2]
    assert CALLS == [3]


def test_memory_loads_for_the_code_that_made_it(world, memory):
    """Who calls a cached function, a script or a worker process, may be any file."""
    memory.cache(slow)(3)
    made: dict[str, object] = {"Memory": joblib.Memory}
    source = "def NAME(place): return Memory(place, verbose=0)"
    for name, file in (("own", f"{world.root}/src/app.py"), ("other", "/elsewhere.py")):
        exec(compile(source.replace("NAME", name), file, "exec"), made)  # noqa: S102
    strict = world.again(trusted=("src/**",))
    compat.use(strict.hold)
    place = str(world.root / "cache")
    assert made["own"](place).cache(slow)(3)["n"] == 3  # type: ignore[operator]
    assert CALLS == [3]
    unpickled = pickle.loads(pickle.dumps(made["own"](place)))  # type: ignore[operator]
    assert unpickled.cache(slow)(3)["n"] == 3
    assert CALLS == [3]
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        assert made["other"](place).cache(slow)(3)["n"] == 3  # type: ignore[operator]
    assert CALLS == [3, 3]
    assert strict.events.refused[0].reason == "Blocked"
    path = world.root / "models" / "a.joblib"
    world.store.dump([1], path)
    with pytest.raises(Blocked):
        joblib.load(path)


# --- workers -------------------------------------------------------------------------------


def test_workers_load_with_the_policy_file(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "safehold.toml").write_text(
        'version = 1\n[[zone]]\nname = "models"\npaths = ["models/**"]\ntrust = "internal"\n'
        'codecs = ["joblib"]\nallow = ["numpy"]\n'
    )
    code = """
import safehold.compat.joblib as joblib
import numpy as np
joblib.dump(np.arange(4), "models/a.joblib")
load = joblib.delayed(joblib.load)
print(sum(int(a.sum()) for a in joblib.Parallel(n_jobs=2)(load("models/a.joblib") for _ in "123")))
"""
    environment = os.environ | {
        "SAFEHOLD_POLICY": str(tmp_path / "safehold.toml"),
        "SAFEHOLD_SECRET_KEY": SECRET.hex(),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "18\n", done.stderr
