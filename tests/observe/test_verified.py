from __future__ import annotations

import pytest

from safehold.observe.verified import FINDINGS, SUCCESS, text_of
from tests.observe.test_rendering import passes, tool


def value(text, name):
    found = [line.split()[1] for line in text.splitlines() if line.startswith(name + " ")]
    return float(found[0]) if found else None


def test_whole_trail_is_a_success():
    text = text_of(0, 1234.5, "")
    assert (value(text, FINDINGS), value(text, SUCCESS)) == (0, 1234.5)


def test_problems_leave_the_last_success_as_it_was():
    text = text_of(3, 9999.0, text_of(0, 1234.5, ""))
    assert (value(text, FINDINGS), value(text, SUCCESS)) == (3, 1234.5)
    text = text_of(0, 10000.0, text)
    assert (value(text, FINDINGS), value(text, SUCCESS)) == (0, 10000)


@pytest.mark.parametrize("before", ["", "nonsense", f"{SUCCESS} nan", f"{SUCCESS} {'9' * 40}"])
def test_without_an_earlier_success_there_is_none(before):
    assert value(text_of(1, 9999.0, before), SUCCESS) is None


@pytest.mark.parametrize("findings", [0, 2])
def test_text_is_valid(findings):
    passes(tool("promtool"), "check", "metrics", input=text_of(findings, 1.0, text_of(0, 5.0, "")))


@pytest.mark.extras
def test_names_and_texts_are_those_of_the_other_exporter():
    from prometheus_client import generate_latest

    from safehold.observe.metrics import Metrics

    metrics = Metrics()
    metrics.set_verified(0, 1234.5)
    served = generate_latest(metrics.served()).decode().splitlines()
    for line in text_of(0, 1234.5, "").splitlines():
        if line.startswith("#"):
            assert line in served
