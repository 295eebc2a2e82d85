"""Callables that start a program."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.bypasses.payloads import Gadget, Raw, call, named, source, value

TOUCH = shutil.which("touch") or "/usr/bin/touch"


def shell(canary: Path) -> str:
    return f"touch {canary}"


def words(canary: Path) -> list[str]:
    return ["touch", str(canary)]


def line(module: str, name: str) -> Gadget:
    """A function of a command line."""
    return lambda canary: call(named(module, name), shell(canary))


def argv(module: str, name: str) -> Gadget:
    """A function of a list of words."""
    return lambda canary: call(named(module, name), words(canary))


def made(module: str, name: str, state: bytes, *args: object) -> Raw:
    """An instance that is made without its constructor, with a state."""
    return Raw(named(module, name).opcodes + value(args) + b"\x81" + state + b"b")


def _template(canary: Path) -> Raw:
    steps = value("steps") + value([(shell(canary), "--")]) + b"s" + value("debugging") + b"K\x00s"
    template = made("pipes", "Template", b"}" + steps)
    return call(named("pipes", "Template.copy"), template, "/dev/null", "/dev/null")


def _mailcap(canary: Path) -> Raw:
    entry = b"}" + value("view") + value("x") + b"s" + value("test") + value(shell(canary)) + b"s"
    table = Raw(b"}" + value("a/b") + b"](" + entry + b"es")
    return call(named("mailcap", "findmatch"), table, "a/b")


def _transport(canary: Path) -> Raw:
    start = named("asyncio.unix_events", "_UnixSubprocessTransport._start")
    # Any object that takes attributes will do as self.
    return call(start, named("timeit", "main"), shell(canary), True, None, None, None, 0)


def _browser(name: str) -> Gadget:
    def build(canary: Path) -> Raw:
        browser = call(named("webbrowser", name), "touch")
        return call(named("webbrowser", f"{name}.open"), browser, str(canary))

    return build


def _spawn(name: str) -> Gadget:
    path = "touch" if "p" in name.removeprefix("spawn").removeprefix("exec") else TOUCH

    def build(canary: Path) -> Raw:
        given = words(canary) if "v" in name else tuple(words(canary))
        args = (path, given) if "v" in name else (path, *given)
        env: tuple[Raw, ...] = (Raw(b"}"),) if name.endswith("e") else ()
        mode = (0,) if name.startswith("spawn") else ()
        return call(named("os", name), *mode, *args, *env)

    return build


# id -> (gadget, modules that it needs beyond those of every Python)
GADGETS: dict[str, tuple[Gadget, tuple[str, ...]]] = {
    "os-system": (line("os", "system"), ()),
    "posix-system": (line("posix", "system"), ()),
    "os-popen": (line("os", "popen"), ()),
    **{
        f"os-{name}": (_spawn(name), ())
        for name in """
            execv execve execvp execvpe execl execlp spawnv spawnve spawnvp spawnvpe spawnl spawnlp
        """.split()
    },
    "posix-execv": (lambda m: call(named("posix", "execv"), TOUCH, words(m)), ()),
    "os-posix_spawn": (
        lambda m: call(named("os", "posix_spawn"), TOUCH, words(m), Raw(b"}")),
        (),
    ),
    "posix-posix_spawnp": (
        lambda m: call(named("posix", "posix_spawnp"), "touch", words(m), Raw(b"}")),
        (),
    ),
    "subprocess-run": (argv("subprocess", "run"), ()),
    "subprocess-call": (argv("subprocess", "call"), ()),
    "subprocess-check_call": (argv("subprocess", "check_call"), ()),
    "subprocess-check_output": (argv("subprocess", "check_output"), ()),
    "subprocess-popen": (argv("subprocess", "Popen"), ()),
    "subprocess-getoutput": (line("subprocess", "getoutput"), ()),
    "subprocess-getstatusoutput": (line("subprocess", "getstatusoutput"), ()),
    "subprocess-py2-commands": (
        lambda m: Raw(b"ccommands\ngetoutput\n" + value((shell(m),)) + b"R"),
        (),
    ),
    "pty-spawn": (argv("pty", "spawn"), ()),
    "multiprocessing-util-spawnv": (
        lambda m: call(
            named("multiprocessing.util", "spawnv_passfds"),
            TOUCH.encode(),
            [word.encode() for word in words(m)],
            [],
        ),
        (),
    ),
    "uuid-get_command_stdout": (
        lambda m: call(named("uuid", "_get_command_stdout"), *words(m)),
        (),
    ),
    "imaplib-stream": (line("imaplib", "IMAP4_stream"), ()),
    "osx_support-read_output": (line("_osx_support", "_read_output"), ()),
    "aix_support-read": (
        lambda m: call(named("_aix_support", "_read_cmd_output"), shell(m)),
        ("_aix_support:_read_cmd_output",),
    ),
    "bootsubprocess-check_output": (
        lambda m: call(named("_bootsubprocess", "check_output"), words(m)),
        ("_bootsubprocess",),
    ),
    "pydoc-pipepager": (
        lambda m: call(named("pydoc", "pipepager"), "text", f"tee {m}"),
        ("pydoc:pipepager",),
    ),
    "pydoc-tempfilepager": (
        lambda m: call(named("pydoc", "tempfilepager"), "text", f"{shell(m)} #"),
        ("pydoc:tempfilepager",),
    ),
    "pyrepl-pipe_pager": (
        lambda m: call(named("_pyrepl.pager", "pipe_pager"), "text", f"tee {m}"),
        ("_pyrepl",),
    ),
    "webbrowser-generic": (_browser("GenericBrowser"), ()),
    "webbrowser-background": (_browser("BackgroundBrowser"), ()),
    "mailcap-findmatch": (_mailcap, ("mailcap",)),
    "pipes-template": (_template, ("pipes",)),
    "asyncio-transport": (_transport, ()),
    "asyncio-shell": (
        lambda m: call(
            named("asyncio", "run"), call(named("asyncio", "create_subprocess_shell"), shell(m))
        ),
        (),
    ),
    "asyncio-exec": (
        lambda m: call(
            named("asyncio.runners", "run"),
            call(named("asyncio.subprocess", "create_subprocess_exec"), *words(m)),
        ),
        (),
    ),
    "test-script_helper": (
        lambda m: call(named("test.support.script_helper", "assert_python_ok"), "-c", source(m)),
        ("test.support.script_helper",),
    ),
    "test-run_python": (
        lambda m: call(
            named("test.support.script_helper", "run_python_until_end"), "-c", source(m)
        ),
        ("test.support.script_helper",),
    ),
    "distutils-spawn": (argv("distutils.spawn", "spawn"), ("distutils.spawn",)),
    "setuptools-spawn": (argv("setuptools._distutils.spawn", "spawn"), ("setuptools",)),
    "pip-main": (
        lambda m: call(named("pip", "main"), ["list", "--log", str(m)]),
        ("pip",),
    ),
    "pip-internal": (
        lambda m: call(named("pip._internal", "main"), ["list", "--log", str(m)]),
        ("pip",),
    ),
    "ensurepip-run_pip": (
        lambda m: call(named("ensurepip", "_run_pip"), ["list", "--log", str(m)]),
        ("ensurepip",),
    ),
    "click-edit": (
        lambda m: call(named("click", "edit"), "text", f"{shell(m)} #"),
        ("click",),
    ),
    "subprocess-shell": (
        lambda m: call(
            named("subprocess", "Popen"), shell(m), -1, None, None, None, None, None, True, True
        ),
        (),
    ),
}
