"""Artifacts of another time are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from safehold.artifacts import reading, writing
from safehold.errors import ConfigError, WrongContext

START = 1_800_000_000


class Clock:
    def __init__(self) -> None:
        self.now: float = START

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (reading, writing):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def path(world):
    return world.root / "models" / "a.pkl"


def test_an_artifact_is_refused_from_its_last_second_on(world, path, clock):
    info = world.store.dump(1, path, expires=START + 100)
    assert info.expires == START + 100
    clock.now = START + 99.9
    assert world.store.load(path) == 1
    world.store.verify(path)
    world.store.open(path).close()
    data = path.read_bytes()
    for late in (START + 100, START + 10**9):
        clock.now = late
        with path.open("rb") as file:
            for act in (lambda: world.store.load(path), lambda: world.store.verify(path),
                        lambda: world.store.open(path), lambda: world.store.load_from(file),
                        lambda: world.store.rename(path, path.with_name("b.pkl"))):  # fmt: skip
                with pytest.raises(WrongContext, match="expired at 2027-01-15"):
                    act()
        assert world.store.inspect(path) == info  # for who wants to know why
    assert path.read_bytes() == data
    assert len(world.events.refused) == 10


def test_renewing_does_not_lengthen_its_life(world, path, clock):
    world.store.dump(1, path, expires=START + 100)
    assert world.store.renew(path).expires == START + 100
    clock.now = START + 100
    world.store.renew(path)
    with pytest.raises(WrongContext, match="expired"):
        world.store.load(path)


def test_without_an_end_it_never_expires(world, path, clock):
    assert world.store.dump(1, path).expires == 0
    clock.now = START + 10**10
    assert world.store.load(path) == 1


def test_the_end_is_a_time_with_its_zone(world, path, clock):
    end = datetime.fromtimestamp(START, UTC) + timedelta(days=30)
    assert world.store.dump(1, path, expires=end).expires == START + 30 * 86400
    with pytest.raises(ConfigError, match="needs a time zone"):
        world.store.dump(1, path, expires=end.replace(tzinfo=None))
    for past in (START, START - 1, 0, -5, end - timedelta(days=31)):
        with pytest.raises(ConfigError, match="which is past"):
            world.store.dump(1, path, expires=past)
    assert world.store.inspect(path).generation == 1


@pytest.mark.parametrize(
    ("ahead", "refused"), [(0, False), (300, False), (301, True), (10**6, True)]
)
def test_an_artifact_from_the_future_is_refused(ahead, refused, world, path, clock):
    clock.now = START + ahead
    world.store.dump(1, path)
    clock.now = START
    if not refused:
        assert world.store.load(path) == 1
        return
    for act in (world.store.load, world.store.verify, world.store.open):
        with pytest.raises(WrongContext, match="which is to come"):
            act(path)


@pytest.mark.parametrize("field", ["created", "expires"])
@pytest.mark.parametrize("value", [2**63, 2**64 - 1, -1, -(2**63), 10**12])
def test_impossible_times_are_refused_or_passed_but_never_break(field, value, world, path, clock):
    header = msgspec.structs.replace(_header(world, path), **{field: value})
    refused = value > START if field == "created" else value < 0
    if refused:
        with pytest.raises(WrongContext):
            reading.check_time(header)
    else:
        reading.check_time(header)


def _header(world, path):
    from safehold.artifacts import container

    world.store.dump(1, path)
    data = path.read_bytes()
    return container.verify_bytes(data, world.store._reader._expected["models"]).header
