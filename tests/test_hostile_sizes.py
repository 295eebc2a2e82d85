"""What promises far more than is there is refused in little memory; `bench hostile` has the times.

Memory beyond the input itself, of the interpreter and of the process. What needs more than a
mebibyte is listed with its bound in `tests.hostile`, and in the threat model.
"""

from __future__ import annotations

import pytest

from tests import hostile
from tests.hostile import CASES, EXTRAS, MORE, MOST, cost, in_new_process, memory

pytestmark = pytest.mark.forking


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_little_memory(name, tmp_path):
    assert memory(name, tmp_path) <= MORE.get(name, MOST)


@pytest.mark.extras
@pytest.mark.parametrize("name", EXTRAS)
def test_it_is_refused_in_little_memory_by_the_packages_too(name, tmp_path):
    assert memory(name, tmp_path) <= MORE.get(name, MOST)


def test_what_is_accepted_or_takes_memory_is_seen(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(AssertionError, match="NotRefused"):
        cost(lambda world: lambda: None, tmp_path / "a", repeat=1)

    def wasteful(world: object) -> hostile.Action:
        def refuse() -> None:
            kept = bytes(3 * 2**20), bytearray(b"x") * 3 * 2**20
            raise OSError(len(kept))

        return refuse

    assert cost(wasteful, tmp_path / "a", repeat=1).memory > 3 * 2**20


def test_what_takes_memory_is_seen_in_a_new_process_too(tmp_path):
    assert in_new_process("pickle lists a million deep", tmp_path) > 3 * 2**20


def test_more_than_is_allowed_is_measured_again(tmp_path, monkeypatch):
    monkeypatch.setattr(hostile, "cost", lambda *_, **__: hostile.Cost(0.0, 2**40, ""))
    assert memory(next(iter(CASES)), tmp_path) <= MOST


def test_a_bomb_is_an_error_of_its_child(tmp_path):
    with pytest.raises(AssertionError, match="MemoryError"):
        cost(lambda world: lambda: bytes(2**36), tmp_path, repeat=1)


def test_each_exception_is_of_a_case():
    assert set(MORE) <= {*CASES, *EXTRAS}
