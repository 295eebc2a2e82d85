"""Inputs are kept for one request: not for another, and for its tasks."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from safehold.errors import LimitExceeded
from safehold.inputs import forms, requests
from safehold.inputs.requests import Inputs, add_inputs, current, request_inputs


def test_does_nothing_outside_of_a_request():
    add_inputs("x")
    assert current() is None


def test_nested_values_and_names_are_taken_flat():
    values = {
        "a": ["b", {"c": 1.5}],
        "d": b"e\xff",
        "f": None,
        "g": True,
        "h": ("i", {"j"}),
        "k": 7,
    }
    inputs = Inputs(values)
    assert set(inputs.texts) == set("a b c 1.5 d e\ufffd f g h i j k 7".split())


def test_inputs_end_with_the_request_and_later_ones_count():
    with request_inputs(["a"]) as outer:
        add_inputs({"body": "b c"})
        assert outer.texts == ("a", "body", "b c")
        assert "b c" in outer.needles.others
        add_inputs("d e")
        assert "d e" in outer.needles.others
        with request_inputs(["inner"]) as inner:
            assert set(inner.texts) > set(outer.texts)
        assert current() is outer
    assert current() is None


def test_too_many_too_long_and_too_deep_are_refused():
    deep: object = "x"
    for _ in range(requests.DEPTH + 1):
        deep = [deep]
    for values in (deep, map(str, range(requests.MOST + 1)), "x" * (requests.LONGEST + 1)):
        with pytest.raises(LimitExceeded):
            Inputs(values)


def test_an_integer_that_python_does_not_write_is_taken():
    assert Inputs(10**5000).texts[0].startswith("0x")


def test_tasks_and_threads_of_a_request_see_its_inputs_and_no_others():
    async def request(name: str) -> set[str]:
        with request_inputs([name]):
            await asyncio.sleep(0)

            async def task() -> None:
                add_inputs(f"{name}-task")

            await asyncio.gather(task(), asyncio.to_thread(add_inputs, f"{name}-thread"))
            inputs = current()
            assert inputs is not None
            return set(inputs.texts)

    async def main() -> list[set[str]]:
        return await asyncio.gather(*(request(f"r{at}") for at in range(64)))

    for at, found in enumerate(asyncio.run(main())):
        assert found == {f"r{at}", f"r{at}-task", f"r{at}-thread"}


def test_a_thread_of_its_own_sees_none_but_in_a_copy_of_the_context():
    seen = []
    with request_inputs(["a"]):
        copied = contextvars.copy_context()
        for target in (
            lambda: seen.append(current()),
            lambda: copied.run(lambda: seen.append(current())),
        ):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert seen[0] is None
    assert seen[1] is not None


def test_values_that_have_too_many_forms_are_an_error_and_worked_out_once(monkeypatch):
    monkeypatch.setattr(forms, "_ALL", 100)
    inputs = Inputs(f"%2525'{n}<b>&amp;\\x" for n in range(99))
    with pytest.raises(LimitExceeded):
        _ = inputs.needles
    monkeypatch.setattr(requests, "needles", lambda _: pytest.fail("again"))
    with pytest.raises(LimitExceeded):
        _ = inputs.needles
