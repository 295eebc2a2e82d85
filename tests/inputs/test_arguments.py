from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.extras

from typing import Annotated

from pydantic import TypeAdapter, ValidationError

from safehold.inputs import InputRefused, ShellArg, argv
from safehold.inputs.arguments import Argument

CHECKED = TypeAdapter(ShellArg)
ECHO = [sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))", "--"]
FINE = ["", "a", "a b", "O'Brien", "$(touch x)", "`id`", ";id", "a\nb", "a|b", "*", "é", "a-b", '"', "&& id"]  # fmt: skip


@pytest.mark.parametrize("value", FINE)
def test_does_nothing_to_values_and_no_shell_reads_them(value):
    assert CHECKED.validate_python(value) == value
    assert re.search(CHECKED.json_schema()["pattern"], value)
    done = subprocess.run(argv(ECHO, value), check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ascii(["--", value])


@pytest.mark.parametrize(
    "value", ["-", "--", "-rf", "--output=x", "-\n", "a\0b", "\ud800", "x" * 2**17, "é" * 2**16]
)
def test_options_and_what_no_argument_can_be_are_refused(value):
    with pytest.raises(ValidationError):
        CHECKED.validate_python(value)
    with pytest.raises(InputRefused) as caught:
        argv(["ls", "--"], "fine", value)
    assert caught.value.rule == "SH555"


def test_other_first_characters_are_refused_where_a_program_reads_them():
    strict = TypeAdapter(Annotated[str, Argument("-+@")])
    for value in ("-x", "+x", "@x"):
        with pytest.raises(ValidationError):
            strict.validate_python(value)
        assert not re.search(strict.json_schema()["pattern"], value)
        if value[0] != "-":
            assert argv(["ls"], value) == ["ls", value]


@pytest.mark.parametrize("program", ["ls -l", "", [], [1]])
def test_a_program_is_a_list_of_words(program):
    with pytest.raises(TypeError):
        argv(program, "a")


@pytest.mark.parametrize(
    "program",
    [
        ["sh", "-c", "echo $0"], ["/bin/bash", "-lc", "x"], ["cmd.exe", "/c", "x"], ["run.BAT"],
        [r"C:\x\run.cmd"], ["pwsh", "-Command", "x"],
    ],
)  # fmt: skip
def test_no_shell_is_given_values(program):
    with pytest.raises(ValueError, match="commands"):
        argv(program, "a")
    assert argv(["bash", "script.sh"], "a") == ["bash", "script.sh", "a"]
