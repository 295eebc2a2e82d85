"""Sealing: generations, the names that are declared, crash safety."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
from decimal import Decimal

import pytest

from safehold.artifacts import container, writing
from safehold.artifacts.codecs import Encoded
from safehold.errors import ConfigError, EncodeError, LimitExceeded, TypeNotAllowed
from safehold.policy import Limits
from tests.holding import make_world

pytestmark = pytest.mark.bare


@pytest.fixture
def path(world):
    return world.root / "models" / "a.pkl"


def test_each_save_is_one_generation_and_one_record(world, path):
    for number in (1, 2, 3):
        info = world.store.dump({"n": number}, path, meta={"run": number})
        assert (info.generation, info.meta) == (number, {"run": number})
        assert info.size == path.stat().st_size
    assert [(event.action, event.generation, event.outcome) for event in world.events.rows] == [
        ("dump", 1, "allowed"), ("dump", 2, "allowed"), ("dump", 3, "allowed"),
    ]  # fmt: skip
    assert world.events.rows[-1].size == path.stat().st_size


def test_generations_go_on_after_the_file_or_the_process_is_gone(world, path):
    world.store.dump(1, path)
    path.unlink()
    assert world.again().store.dump(2, path).generation == 2
    assert world.store.dump(3, path).generation == 3


def test_a_small_file_has_no_pages_of_padding_and_a_large_one_has(world, path):
    assert world.store.dump(1, path).size < 1000
    world.store.dump(bytes(container.CHUNK), path, codec="msgpack")
    assert path.read_bytes().index(bytes(container.CHUNK)) > 1000
    head = container.total_length(path.read_bytes()[:48], 2**32) - container.CHUNK
    assert head > 4096


def test_ids_are_never_repeated(world, path):
    assert len({world.store.dump(1, path).artifact for _ in range(20)}) == 20


# --- what may be written -------------------------------------------------------------------


class Own:
    """A class that no preset knows."""


def test_a_type_that_could_not_be_loaded_is_not_written(world, path):
    world.store.dump(1, path)
    before = path.read_bytes()
    with pytest.raises(EncodeError, match=r"would name .*Own, which zone 'models' does not allow"):
        world.store.dump(Own(), path)
    assert path.read_bytes() == before
    (event,) = world.events.refused
    assert (event.action, event.reason, event.artifact) == ("dump", "EncodeError", "models/a.pkl")


def test_a_zone_that_allows_every_type_still_refuses_what_runs_code(world):
    world.store.dump(Own(), world.root / "cache" / "a.pkl")

    class Hostile:
        def __reduce__(self) -> object:
            return os.system, ("true",)

    with pytest.raises(EncodeError, match=r"posix\.system|os\.system"):
        world.store.dump(Hostile(), world.root / "cache" / "a.pkl")


def test_names_are_declared_in_the_header(world, path):
    info = world.store.dump([Decimal(1), Decimal(2)], path)
    assert info.globals == ("decimal.Decimal",)
    assert world.store.dump([1], path).globals == ()
    assert world.store.dump([Decimal(1)], path, codec="msgpack").globals == ()


def test_what_cannot_be_pickled_is_an_encode_error(world, path):
    for value in (lambda: None, open, (x for x in ()), os.environ.items()):
        with pytest.raises(EncodeError):
            world.store.dump(value, path)
    assert not path.exists()
    assert not list(path.parent.glob(".*"))


@pytest.mark.parametrize(("name", "codec"), [("models/a", "parquet"), ("data/a", "pickle")])
def test_a_codec_that_the_zone_does_not_have(name, codec, world):
    with pytest.raises(ConfigError, match="does not have the codec"):
        world.store.dump(1, world.root / name, codec=codec)
    assert len(world.events.refused) == 1


@pytest.mark.parametrize(
    "meta",
    [{"a": (1, 2)}, {"a": {1, 2}}, {"a": object()}, {"a": float("nan")}, {"a": 2**70},
     {1: 2, "a": 3}, {"a": {1: 2, "b": 3}}, {"a": Decimal(1)}],
    ids=str,
)  # fmt: skip
def test_meta_comes_back_as_it_went_in_or_not_at_all(meta, world, path):
    with pytest.raises(EncodeError, match="meta must hold"):
        world.store.dump(1, path, meta=meta)


def test_meta_of_plain_values(world, path):
    meta = {"text": "ü", "number": -1, "half": 0.5, "list": [1, [None, True]], "b": b"x", "d": {}}
    world.store.dump(1, path, meta=meta)
    assert world.store.inspect(path).meta == meta


def test_meta_has_a_limit_and_a_depth(world, path):
    with pytest.raises(LimitExceeded, match="shorten meta"):
        world.store.dump(1, path, meta={"a": "x" * 2**20})
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(EncodeError, match="meta"):
        world.store.dump(1, path, meta=deep)
    while deep:
        deep = deep["a"]  # type: ignore[assignment]  # else freeing it recurses


def test_the_depth_limit_holds_for_data(world, path):
    value: list[object] = []
    for _ in range(100):
        value = [value]
    with pytest.raises(LimitExceeded, match="deeper than 64"):
        world.store.dump(value, world.root / "data" / "a.json")
    later = world.again(limits=Limits(depth=200))
    later.store.dump(value, world.root / "data" / "a.json")
    assert later.store.load(world.root / "data" / "a.json") == value


def test_a_value_in_itself_is_refused(world):
    value: list[object] = []
    value.append(value)
    with pytest.raises(LimitExceeded):
        world.store.dump(value, world.root / "data" / "a.json")


# --- handles -------------------------------------------------------------------------------


def test_several_saves_into_one_handle_carry_one_generation(world, path):
    for _ in range(2):
        with path.open("wb") as file:
            infos = [world.store.dump_to(number, file) for number in range(3)]
    assert [info.generation for info in infos] == [2, 2, 2]
    assert [world.events.rows[-1].generation, len(world.events.rows)] == [2, 6]


def test_a_handle_that_takes_few_bytes_at_a_time_gets_them_all(world, path):
    class Slow(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:
            self.data += data[:7]
            return min(len(data), 7)

    slow = Slow()
    world.store.dump_to({"a": 1}, slow)
    assert world.store.loads(slow.data) == {"a": 1}


def test_a_handle_whose_write_tells_nothing_useful_is_written_once(world):
    class Odd:
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: bytes) -> int:
            assert isinstance(data, bytes)
            self.data += data
            return 1

    odd = Odd()
    world.store.dump_to({"a": 1}, odd)
    assert world.store.loads(odd.data) == {"a": 1}


# --- crashes -------------------------------------------------------------------------------

STEPS = ("open", "write", "fsync", "rename", "close", "fchmod", "stat", "readlink", "urandom")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_of_a_save_leaves_a_file_that_loads(step, nth, after, world, path):
    world.store.dump("old", path)
    pid = os.fork()
    if pid == 0:
        child = make_world(world.root)
        count = 0
        real = getattr(os, step)

        def dying(*args: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count == nth and not after:
                os._exit(9)
            found = real(*args, **options)
            if count == nth:
                os._exit(9)
            return found

        setattr(os, step, dying)
        child.store.dump("new", path)
        os._exit(0)
    os.waitpid(pid, 0)
    assert world.again().store.load(path) in ("old", "new")
    assert world.store.load(path) in ("old", "new")
    later = world.again()
    later.store.dump("later", path)
    assert later.store.load(path) == "later"
    assert world.again().store.load(path) == "later"


def test_a_signal_in_the_middle_of_many_saves(world, path, tmp_path):
    code = f"""
import sys
sys.path.insert(0, {os.getcwd()!r})
from pathlib import Path
from tests.holding import make_world
world = make_world(Path({str(world.root)!r}))
world.store.dump({{"n": 0}}, {str(path)!r})
print("go", flush=True)
for number in range(10**6):
    world.store.dump({{"n": number, "pad": "x" * 5000}}, {str(path)!r})
"""
    world.store.dump({"n": -1}, path)
    last = 0
    for delay in (0.01, 0.03, 0.05, 0.08):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(delay)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        reader = world.again()
        assert reader.store.load(path)["n"] >= -1
        generation = reader.store.inspect(path).generation
        assert generation >= last
        last = generation
    assert last > 4


def save_many(root: str, count: int, results: object) -> None:
    from pathlib import Path

    world = make_world(Path(root))
    for number in range(count):
        info = world.store.dump(number, Path(root) / "models" / "a.pkl")
        results.put(info.generation)  # type: ignore[attr-defined]


def test_writers_in_several_processes_never_share_a_generation(world, path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    children = [
        context.Process(target=save_many, args=(str(world.root), 10, results)) for _ in range(4)
    ]
    for child in children:
        child.start()
    seen = sorted(results.get(timeout=60) for _ in range(40))
    for child in children:
        child.join()
    assert seen == list(range(1, 41))
    assert world.store.inspect(path).generation == 40


def test_a_failed_save_is_recorded_and_takes_no_generation(world, path, monkeypatch):
    world.store.dump(1, path)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        world.store.dump(2, path)
    monkeypatch.undo()
    assert [event.outcome for event in world.events.rows] == ["allowed", "failed"]
    assert world.store.load(path) == 1
    assert world.store.dump(3, path).generation == 2


def test_a_scan_that_is_not_clean_stops_a_seal(world, path, monkeypatch):
    path.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(TypeNotAllowed, match="malicious: SH101") as caught:
        world.store.seal(path)
    assert caught.value.name == "posix.system"
    (event,) = world.events.rows
    assert (event.action, event.outcome, event.reason) == ("seal", "refused", "TypeNotAllowed")
    assert path.read_bytes().startswith(b"cposix")


def test_the_scan_keeps_to_the_limits_of_the_policy(world, monkeypatch):
    given: list[object] = []
    import safehold.scan

    real = safehold.scan.scan_bytes

    def spy(data: bytes, *args: object, **options: object) -> object:
        given.append(options["limits"])
        return real(data, *args, **options)

    monkeypatch.setattr(safehold.scan, "scan_bytes", spy)
    limits = Limits(depth=7)
    world.again(limits=limits).store.dumps([1], codec="pickle")
    assert given == [limits]


def test_an_encoder_is_asked_only_for_the_codec_that_it_is_for(world, path):
    asked: list[int] = []

    def encode() -> Encoded:
        asked.append(1)
        return Encoded([b"N."])

    world.store.dump(1, path, prefer="pickle", encode=encode)
    assert world.store.load(path) is None
    world.store.dump(1, world.root / "data" / "a.pkl", prefer="pickle", encode=encode)
    assert world.store.load(world.root / "data" / "a.pkl") == 1
    assert asked == [1]
    assert writing.Draft(Encoded([b""]), "json").meta == {}
