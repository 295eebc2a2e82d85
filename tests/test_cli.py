from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

import safehold
import safehold._cli
from safehold.errors import ConfigError, NotSealed, SafeholdError, TypeNotAllowed


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., int]], None]:
    """Install a verb called `try` that runs the given function."""

    def install(run: Callable[..., int]) -> None:
        module = ModuleType("safehold._cli.try")
        module.HELP = "A verb of the tests."
        module.arguments = lambda parser: parser.add_argument("--count", type=int, default=0)
        module.run = run
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(safehold._cli, "VERBS", {"try": "a verb of the tests"})

    return install


def raising(error: BaseException) -> Callable[..., int]:
    def run(_options: object) -> int:
        raise error

    return run


@pytest.mark.parametrize("code", [0, 1, 2])
def test_exit_code_is_what_the_verb_returns(verb, code):
    verb(lambda options: code)
    assert safehold._cli.main(["try"]) == code


def test_verb_gets_its_arguments(verb):
    verb(lambda options: options.count)
    assert safehold._cli.main(["try", "--count", "1"]) == 1


@pytest.mark.parametrize(
    "error",
    [
        SafeholdError("the reason"),
        ConfigError("the reason"),
        FileNotFoundError(2, "the reason"),
        PermissionError(13, "the reason"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_is_a_message_and_code_2(verb, capsys, error):
    verb(raising(error))
    assert safehold._cli.main(["try"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("safehold: error: ")
    assert "the reason" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "error",
    [NotSealed("the reason"), TypeNotAllowed("the reason", name="posix.system")],
    ids=lambda error: type(error).__name__,
)
def test_refusal_is_a_message_and_code_1(verb, capsys, error):
    verb(raising(error))
    assert safehold._cli.main(["try"]) == 1
    assert capsys.readouterr().err == "safehold: refused: the reason\n"


def test_unforeseen_error_is_never_taken_for_findings(verb, capsys):
    verb(raising(ZeroDivisionError("not foreseen")))
    assert safehold._cli.main(["try"]) == 2
    assert "ZeroDivisionError: not foreseen" in capsys.readouterr().err


def test_interrupt_is_130_without_a_word(verb, capsys):
    verb(raising(KeyboardInterrupt()))
    assert safehold._cli.main(["try"]) == 130
    assert capsys.readouterr() == ("", "")


def test_reader_that_leaves_is_no_traceback():
    program = (
        "import sys, types, safehold._cli as cli\n"
        "module = types.ModuleType('safehold._cli.flood')\n"
        "module.HELP = ''\n"
        "module.arguments = lambda parser: None\n"
        "module.run = lambda options: print('x' * 1_000_000) or 0\n"
        "sys.modules[module.__name__] = module\n"
        "cli.VERBS = {'flood': ''}\n"
        "sys.exit(cli.main(['flood']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("arguments", [[], ["bogus"], ["--bogus"], ["try", "--bogus"]], ids=str)
def test_usage_error_is_2(verb, capsys, arguments):
    verb(lambda options: 0)
    with pytest.raises(SystemExit) as stop:
        safehold._cli.main(arguments)
    assert stop.value.code == 2
    assert "usage: safehold" in capsys.readouterr().err


def test_help_lists_every_verb_without_importing_one(capsys, monkeypatch):
    monkeypatch.setattr(safehold._cli, "import_module", raising(AssertionError("imported")))
    with pytest.raises(SystemExit) as stop:
        safehold._cli.main(["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    for verb in safehold._cli.VERBS:
        assert f"\n    {verb} " in shown


def test_version_imports_no_verb(capsys, monkeypatch):
    monkeypatch.setattr(safehold._cli, "import_module", raising(AssertionError("imported")))
    with pytest.raises(SystemExit) as stop:
        safehold._cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"safehold {safehold.__version__}\n"


def test_module_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "safehold", "--version"], capture_output=True, check=True, text=True
    )
    assert done.stdout == f"safehold {safehold.__version__}\n"
