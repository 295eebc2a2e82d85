"""SH502: commands that a shell reads, made of text that the source does not fix.

Lists of arguments, which no shell reads, are not looked at, nor are commands that other machines
run (paramiko, fabric).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from safehold.findings import Confidence, Rule, Severity
from safehold.source.calls import Called
from safehold.source.checked import checks_of
from safehold.source.fixed import Fixed
from safehold.source.origins import is_from_outside
from safehold.source.row import Example, Hint, Item, SourceRule
from safehold.source.unit import Unit

RULE = Rule(
    id="SH502",
    name="shell-command",
    title="A shell reads a command that holds data",
    why="The shell runs what stands behind a semicolon, a backtick or $( in the data as commands "
    "of its own.",
    remedy="Give subprocess.run a list of arguments without shell=True; where a shell is needed, "
    "put each value through shlex.quote.",
    severity=Severity.CRITICAL,
    cwe=78,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=9.2,
    references=("https://docs.python.org/3/library/subprocess.html#security-considerations",),
)

_ALWAYS = (
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell", "asyncio.subprocess.create_subprocess_shell",
    "anyio.run_process_shell", "popen2.popen2", "commands.getoutput",
    "commands.getstatusoutput", "platform.popen", "pty.spawn_shell",
)  # fmt: skip
_WITH_SHELL = (
    "subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output",
    "subprocess.Popen",
)  # fmt: skip

# Prose speaks of systems on every page.
_AS_ATTRIBUTE = r"(?<=\.)(?<!platform\.){0}\s*(?:[(\r\n;),]|$|as\b|if\b|or\b|else\b)"
_BY_NAME = r"(?<![\w.]){0}(?!\w)"
_IMPORTED = r"from\s+(?:os|platform)\s+import(?!\w)"
_LOOKED_UP = r"(?<=['\"]){0}(?=['\"])"


def _check(unit: Unit) -> Iterator[Item]:
    """Yield the calls that start a shell with a command that is not fixed."""
    fixed = Fixed(unit.module)
    for called in _shells(unit):
        command = called.argument(0, "args", "cmd", "command")
        if command is None and not called.is_open_ended:
            continue
        if isinstance(command, ast.List | ast.Tuple) and command.elts:
            command = command.elts[0]  # the rest are the shell's own $0, $1
        if command is not None and (
            fixed.is_fixed(command, called.scope)
            or unit.once(checks_of).leaves_fixed(command, called.node, called.scope)
        ):
            continue
        outside = command is not None and is_from_outside(command, called.scope, unit.module)
        yield Item(
            called.node,
            f"{called.name} gives a shell a command that is not fixed in the source",
            confidence=Confidence.HIGH if outside else Confidence.MEDIUM,
            detail={"call": called.name},
        )


def _shells(unit: Unit) -> Iterator[Called]:
    yield from unit.calls(*_ALWAYS)
    yield from unit.methods("subprocess_shell")
    for called in unit.calls(*_WITH_SHELL):
        shell = called.argument(8, "shell") if called.name.endswith("Popen") else None
        for item in called.keywords:
            if item.arg == "shell":
                shell = item.value
        if isinstance(shell, ast.Constant) and shell.value:
            yield called


SHELL = SourceRule(
    rule=RULE,
    check=_check,
    migrates=False,
    in_tests=False,
    hints=(
        *(
            Hint.of(name, around.format(name), beside=beside)
            for name in ("system", "popen")
            for around, beside in (
                (_AS_ATTRIBUTE, ""), (_BY_NAME, _IMPORTED), (_LOOKED_UP, "getattr"),
            )
        ),
        Hint.of("shell", r"(?<!\w)shell\s*=\s*(?!=|False)", beside="subprocess"),
        Hint.of("shell", r"(?<=subprocess_)shell|(?<=process_)shell|(?<=spawn_)shell"),
        Hint.of("output", r"(?<=get)output|(?<=getstatus)output"),
    ),
    bad=(
        Example("import os\n\n\ndef show(path):\n    os.system('cat ' + path)\n", (5,)),
        Example("import subprocess\n\n\ndef show(path):\n"
                "    subprocess.run(f'cat {path}', shell=True, check=True)\n", (5,)),
        Example("from subprocess import Popen as start\n\n\ndef show(host):\n"
                "    return start('ping %s' % host, shell=True)\n", (5,)),
        Example("import asyncio\n\n\nasync def show(path):\n"
                "    await asyncio.create_subprocess_shell('cat {}'.format(path))\n", (5,)),
        Example("import os\n\nprint(os.popen(input()).read())\n", (3,)),
        Example("import subprocess\n\n\ndef show(words):\n    command = ['ls']\n"
                "    command.append(words)\n"
                "    return subprocess.check_output(' '.join(command), shell=True)\n", (7,)),
        Example("import subprocess\n\n\ndef show(command):\n"
                "    return subprocess.getoutput(command)\n", (5,)),
        Example("import os, functools\n\n\ndef start(command):\n"
                "    return functools.partial(os.system, command)\n", (5,)),
    ),
    good=(
        Example("import subprocess\n\n\ndef show(path):\n"
                "    subprocess.run(['cat', '--', path], check=True)\n"),
        Example("import os\n\nos.system('clear')\n"),
        Example("import subprocess\n\nTOOL = 'df'\n"
                "subprocess.run(f'{TOOL} -h | sort', shell=True, check=True)\n"),
        Example("import shlex, subprocess\n\n\ndef show(path):\n"
                "    subprocess.run(f'cat {shlex.quote(path)} | wc', shell=True, check=True)\n"),
        Example("import os\n\n\ndef stop(number):\n    os.system('kill %d' % number)\n"
                "    os.system(f'kill {int(number)}')\n"),
        Example("import subprocess\n\nCOMMANDS = {'a': 'ls', 'b': 'df'}\n\n\ndef run(name):\n"
                "    subprocess.run(COMMANDS[name], shell=True, check=True)\n"),
        Example("import platform\n\nprint(platform.system())\n"),
        Example("import subprocess\n\n\ndef show(command, shell=False):\n"
                "    subprocess.run(command, shell=False, check=True)\n"),
        Example("import sys, subprocess\n\nsubprocess.call(sys.executable + ' -V', shell=True)\n"),
    ),
)  # fmt: skip
