"""docs/how-to/requests.md and check-site.md say what is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from safehold._cli import build_parser
from safehold.events import Recorder
from safehold.policy.requests import Requests
from safehold.policy.toml import parse_policy
from safehold.web import reports, request_rules
from safehold.web.refusals import Refusals
from safehold.web.reports import Reports
from tests.holding import Events

pytestmark = pytest.mark.bare

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
REQUESTS = (PAGES / "requests.md").read_text("utf-8")
CHECK = (PAGES / "check-site.md").read_text("utf-8")


def blocks(page, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", blocks(REQUESTS, "toml"))
def test_policies_of_the_page_are_valid(block):
    assert parse_policy(block, Path("/srv/safehold.toml")).requests != Requests()


@pytest.mark.parametrize("line", "".join(blocks(CHECK, "sh")).splitlines())
def test_commands_of_the_page_are_valid(line):
    program, *words = shlex.split(line)
    assert program == "safehold"
    assert build_parser(["check"]).parse_args(words).url


def test_every_rule_stands_on_one_of_the_pages():
    named = set(re.findall(r"SH4[2-9]\d", REQUESTS + CHECK))
    silent = {"SH429"}  # a page that could not be fetched: exit code 2
    assert named == {rule.id for rule in request_rules.RULES} - silent


def test_numbers_of_the_page_are_those_of_the_code():
    assert (
        f"at most {reports.MOST_BYTES // 1024} KiB and {reports._MOST_REPORTS} reports" in REQUESTS
    )
    rate = Reports(Recorder(Events()))._rate
    assert f"at most {rate._most} in a minute become events, and {rate._of_one} of one" in REQUESTS
    rate = Refusals(Recorder(Events()))._rate
    assert f"the first {rate._of_one} of one address and {rate._most} in all" in REQUESTS
