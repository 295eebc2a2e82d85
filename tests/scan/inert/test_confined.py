"""What the process that reads files cannot do, and what becomes of one that is stopped."""

from __future__ import annotations

import json
import os
import pickle
import signal
import struct
import sys
import time
from typing import Any

import pytest

from safehold.scan import Verdict, scan_bytes
from safehold.scan.inert import process
from safehold.scan.inert.answers import parse
from safehold.scan.inert.handing import handed
from safehold.scan.inert.limits import Allowance
from safehold.scan.inert.process import PROCESSES, Processes, Unavailable
from safehold.scan.mapped import Mapped

pytestmark = [pytest.mark.bare, pytest.mark.forking]

JOB = {"streams": 10, "starts": None, "bytes": False, "arrays": None}
HARMLESS = pickle.dumps([1, 2])


@pytest.fixture
def processes():
    found = Processes()
    yield found
    found.close()


@pytest.fixture
def fresh(monkeypatch):
    """Let scans begin without a server."""
    found = Processes()
    monkeypatch.setattr("safehold.scan.inert.PROCESSES", found)
    yield found
    found.close()


def started(processes: Processes) -> Any:
    """Return the server's process."""
    processes.ask(HARMLESS, JOB, Allowance.of(0))
    return processes._current._process


def findings(data: bytes) -> dict[str, dict[str, Any]]:
    report = scan_bytes(data, "a.pkl", paranoid=True)
    assert report.verdict is not Verdict.CLEAN
    return {f.rule.id: dict(f.detail) for f in report.findings if "loader" in f.message}


# Each is tried where a file would be read; what it returns or raises is told.
ATTEMPTS = """
def attempts():
    import ctypes, errno
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name, *args):
        ctypes.set_errno(0)
        result = getattr(libc, name)(*args)
        return [result, errno.errorcode.get(ctypes.get_errno(), "")]

    tries = {
        "open": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "create": lambda: os.open(MARKER, os.O_CREAT | os.O_WRONLY),
        "unlink": lambda: os.unlink(MARKER + "-there"),
        "fork": lambda: os.fork(),
        "exec": lambda: os.execv("/bin/true", ["/bin/true"]),
        "kill": lambda: os.kill(os.getppid(), 0),
        "socket": lambda: socket.socket(),
        "dup": lambda: os.dup(1),
        "pipe": lambda: os.pipe(),
        "write elsewhere": lambda: os.write(0, b"x"),
        "truncate": lambda: os.ftruncate(0, 0),
        "ptrace": lambda: call("ptrace", 0, 0, 0, 0),
        "raise a limit": lambda: confine.resource.setrlimit(confine.resource.RLIMIT_CPU, (9, 9)),
        "become root": lambda: os.setuid(0),
        "executable memory": lambda: call("mprotect", ctypes.c_void_p(id(call) & -4096), 4096, 7),
        "import": lambda: __import__("colorsys").__name__,
        "signal": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    }
    told = {}
    for name, attempt in tries.items():
        try:
            told[name] = attempt()
        except BaseException as error:
            code = getattr(error, "errno", None)
            told[name] = errno.errorcode.get(code) or type(error).__name__
    return told
"""


def probed(monkeypatch, expression: str, setup: str = "") -> Any:
    """Return what an expression is worth in the confined process, in place of a reading."""
    code = f"""
import os, socket, signal
from inert import confine, reading, stubs
{setup}
def read(job, descriptor, record):
    record.say("probe", {expression})
reading.read = read
"""
    lines = process._BOOT.strip().splitlines()
    boot = "\n".join([*lines[:-1], code, lines[-1]])
    monkeypatch.setattr(process, "_BOOT", boot)
    processes = Processes()
    try:
        said = processes.ask(HARMLESS, JOB, Allowance.of(0))
    finally:
        processes.close()
    assert ["confined", []] in said or os.getuid() != 0, said
    [answer] = [words[1] for words in said if words[0] == "probe"]
    return answer


def test_nothing_but_reading_is_allowed(monkeypatch, tmp_path):
    marker = tmp_path / "marker"
    there = tmp_path / "marker-there"
    there.write_text("")
    tmp_path.chmod(0o777)
    setup = f"MARKER = {str(marker)!r}\n{ATTEMPTS}\nprepared = attempts"
    # Modules that an attempt needs are there before the door is shut.
    told = probed(
        monkeypatch,
        "prepared()",
        "import ctypes, errno\n" + setup.replace("    import ctypes, errno\n", ""),
    )
    assert told.pop("executable memory") == [-1, "EPERM"]
    assert told.pop("ptrace") == [-1, "EPERM"]
    assert told.pop("import") in ("ImportError", "AttributeError", "TypeError")
    # Numbers of descriptors and limits are looked at before anything is asked.
    assert set(told.values()) <= {"EPERM", "ValueError"}, told
    assert not marker.exists()
    assert there.exists()


def test_limits_are_set(monkeypatch):
    names = ["AS", "CPU", "FSIZE", "NPROC", "CORE", "NOFILE"]
    # Asking for a limit is a system call as well: they are read before the filter is there.
    setup = f"""
real = confine.seal
def seal(libc, pipe):
    global limits
    get, names = confine.resource.getrlimit, {names}
    limits = {{name: get(getattr(confine.resource, "RLIMIT_" + name)) for name in names}}
    return real(libc, pipe)
confine.seal = seal
"""
    limits = probed(monkeypatch, "limits", setup)
    assert limits["CPU"] == [4, 4]
    assert {tuple(limits[name]) for name in ("FSIZE", "NPROC", "CORE", "NOFILE")} == {(0, 0)}
    assert 256 * 2**20 <= limits["AS"][1] < 512 * 2**20
    assert limits["AS"][0] == limits["AS"][1]


def status(monkeypatch) -> dict[str, str]:
    """Return what the kernel says about the confined process."""
    # Asked by the process itself, before its limits are set.
    setup = """
def limit(memory, seconds, real_limit=confine.limit):
    global devices, uids, groups, descriptors, folder, session
    folder, session = os.getcwd(), os.getsid(0)
    uids, groups = [*os.getresuid(), *os.getresgid()], os.getgroups()
    descriptors = sorted(os.listdir("/proc/self/fd"))
    devices = open("/proc/self/net/dev").read().count(":")
    real_limit(memory, seconds)
confine.limit = limit
"""
    names = ("uids", "groups", "descriptors", "devices", "folder", "session")
    expression = "[" + ", ".join(names) + "]"
    return dict(zip(names, probed(monkeypatch, expression, setup), strict=True))


def test_root_becomes_nobody_without_a_network(monkeypatch):
    if os.getuid() != 0:
        assert status(monkeypatch)["uids"][:3] == list(os.getresuid())
        return
    groups = os.getgroups()
    os.setgroups([0, 1234])
    try:
        told = status(monkeypatch)
    finally:
        os.setgroups(groups)
    assert told["uids"] == [65534] * 6
    assert told["groups"] == []
    # The loopback device alone.
    assert told["devices"] == 1


def test_nothing_else_is_inherited(monkeypatch, tmp_path):
    with open(tmp_path / "secret", "w") as secret:
        os.set_inheritable(secret.fileno(), True)
        told = status(monkeypatch)
    # The file, the pipe, and the listing itself.
    assert told["descriptors"] == ["0", "1", "2"]


def test_it_stands_in_no_directory_or_session_of_ours(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    told = status(monkeypatch)
    assert told["folder"] == "/"
    # Ctrl+C in a terminal goes to all of its session's foreground.
    assert told["session"] != os.getsid(0)


def test_nobody_dumps_or_traces_it_or_gains_rights_by_it(monkeypatch):
    # Becoming nobody does the first as well: it is undone before. 3, 4, 39: man 2 prctl.
    setup = """
real_seal, real_install = confine.seal, confine._install
def seal(libc, pipe):
    assert libc.prctl(4, 1, 0, 0, 0) == 0
    return real_seal(libc, pipe)
def install(libc, code):
    global told
    told = [libc.prctl(3, 0, 0, 0, 0), libc.prctl(39, 0, 0, 0, 0)]
    return real_install(libc, code)
confine.seal, confine._install = seal, install
"""
    assert probed(monkeypatch, "told", setup) == [0, 1]


def test_the_interpreter_is_isolated(monkeypatch):
    flags = "[sys.flags.isolated, sys.flags.no_site, sys.flags.dont_write_bytecode]"
    assert probed(monkeypatch, flags, "import sys") == [1, 1, 1]


def test_the_server_says_nothing_on_our_terminal(processes):
    server = started(processes)
    for number in (1, 2):
        assert os.readlink(f"/proc/{server.pid}/fd/{number}") == os.devnull


def test_ctrl_c_does_not_end_the_server_before_the_scan(processes):
    server = started(processes)
    server.send_signal(signal.SIGINT)
    started(processes)
    assert server.poll() is None


def test_the_environment_is_not_inherited(monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    told = probed(monkeypatch, "sorted(os.environ)")
    assert "SECRET" not in told


def test_code_around_is_not_run(monkeypatch, tmp_path):
    marker = tmp_path / "ran"
    for name in ("json.py", "pickle.py", "struct.py", "server.py", "inert.py", "sitecustomize.py"):
        (tmp_path / name).write_text(f"open({str(marker)!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "json.py"))
    processes = Processes()
    assert parse(processes.ask(HARMLESS, JOB, Allowance.of(0))).readings
    processes.close()
    assert not marker.exists()


def emulate(code: bytes, machine: int, number: int, args: tuple[int, ...] = ()) -> int:
    """Run the filter as the kernel does."""
    given = struct.pack("=IIQ6Q", number, machine, 0, *args, *[0] * (6 - len(args)))
    rows = list(struct.iter_unpack("=HBBI", code))
    at = value = 0
    while True:
        operation, yes, no, operand = rows[at]
        at += 1
        if operation == 0x20:
            value = struct.unpack_from("=I", given, operand)[0]
        elif operation == 0x06:
            return operand
        else:
            true = {
                0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)
            }[operation]  # fmt: skip
            at += yes if true else no


@pytest.mark.parametrize(
    ("name", "audit", "write", "mmap", "fork"),
    [("x86_64", 0xC000003E, 1, 9, 57), ("aarch64", 0xC00000B7, 64, 222, 220)],
)
def test_the_filter_says_what_is_written_above_it(name, audit, write, mmap, fork):
    from safehold.scan.inert.child.confine import build_filter

    code = build_filter(name, 1)
    allow, refuse, kill = 0x7FFF0000, 0x00050001, 0x80000000
    assert emulate(code, audit, write, (1, 0, 5)) == allow
    assert emulate(code, audit, write, (2, 0, 5)) == refuse
    assert emulate(code, audit, mmap, (0, 4096, 3)) == allow
    assert emulate(code, audit, mmap, (0, 4096, 7)) == refuse
    assert emulate(code, audit, fork) == refuse
    # Another machine's numbers, and x32's.
    assert emulate(code, 0x40000003, write, (1,)) == kill
    assert emulate(code, audit, write | 0x40000000, (1,)) == kill
    assert build_filter("riscv64", 1) is None


# Limits


def test_memory_is_limited():
    data = b"\x80\x02cos\nsystem\n0Nr\xff\xff\xff\x7f."
    assert findings(data)["SH105"]["why"] == "it needs more memory than it may have"


def test_growing_memory_is_limited(processes):
    many = b"\x80\x02cos\nsystem\n(" + b"]" * 1_000_000 + b"l."
    allowance = Allowance(memory=32 * 2**20, cpu=30, wall=60)
    reading = parse(processes.ask(many, JOB, allowance)).readings[0]
    assert (reading.how, reading.why) == ("limit", "it needs more memory than it may have")
    assert list(reading.names) == [("os", "system")]


def laughs(depth: int) -> bytes:
    """A key that takes 2**depth steps to hash."""
    return b"\x80\x02}K\x01" + b"2\x86" * depth + b"Ns."


def test_time_is_limited(processes):
    allowance = Allowance(memory=2**28, cpu=1, wall=300)
    answer = parse(processes.ask(laughs(60), JOB, allowance))
    assert (answer.readings[0].how, answer.readings[0].why) == (
        "limit",
        "it was killed; most likely its time was up",
    )


def test_waiting_is_limited(processes):
    allowance = Allowance(memory=2**28, cpu=300, wall=0.3)
    answer = parse(processes.ask(laughs(60), JOB, allowance))
    assert (answer.readings[0].how, answer.readings[0].why) == ("limit", "its time was up")
    # The next file is read as ever.
    assert parse(processes.ask(HARMLESS, JOB, Allowance.of(0))).readings[0].how == "stop"


def test_a_crash_of_the_loader_is_a_finding():
    data = b"\x80\x02}N" + b"\x85" * 2_000_000 + b"Ns."
    found = findings(data)["SH105"]["why"]
    assert found in {"it ended with a segmentation fault", "it ended with a bus error"}


def test_what_was_seen_before_a_limit_counts(processes):
    data = b"\x80\x02cos\nsystem\n0" + laughs(60)[2:]
    allowance = Allowance(memory=2**28, cpu=30, wall=0.3)
    reading = parse(processes.ask(data, JOB, allowance)).readings[0]
    assert list(reading.names) == [("os", "system")]


def test_a_reader_killed_meanwhile_is_a_finding(processes, monkeypatch):
    server = started(processes)
    allowance = Allowance(memory=2**28, cpu=30, wall=20)

    real = process._listen

    def listen(pipe, deadline):
        while not (children := children_of(server.pid)):
            time.sleep(0.01)
        os.kill(children[0], signal.SIGKILL)
        return real(pipe, deadline)

    monkeypatch.setattr(process, "_listen", listen)
    with pytest.raises(Unavailable):
        parse_or_limit(processes.ask(laughs(60), JOB, allowance))


def parse_or_limit(lines):
    answer = parse(lines)
    if answer.readings and answer.readings[-1].how == "limit":
        raise Unavailable(answer.readings[-1].why)
    return answer


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


# The server


def test_a_server_without_work_leaves_and_another_comes(processes, monkeypatch):
    setup = "server._IDLE = 0.05"
    lines = process._BOOT.strip().splitlines()
    monkeypatch.setattr(process, "_BOOT", "\n".join([*lines[:-1], setup, lines[-1]]))
    server = started(processes)
    assert server.wait(60) == 0
    assert started(processes).pid != server.pid


def test_a_server_that_was_killed_is_started_again(processes):
    server = started(processes)
    server.kill()
    server.wait()
    assert parse(processes.ask(HARMLESS, JOB, Allowance.of(0))).readings[0].how == "stop"
    assert processes._current._process.pid != server.pid


def test_readers_end_with_their_server(processes):
    server = started(processes)
    allowance = Allowance(memory=2**28, cpu=30, wall=20)
    with handed(laughs(60)) as file:
        job = {**JOB, "offset": 0, "size": file.size, "memory": 2**28, "cpu": 30}
        reads, writes = os.pipe()
        with handed(json.dumps(job).encode()) as words:
            given = (words.descriptor, file.descriptor, writes)
            processes._current.send(allowance.wall, given)
    os.close(writes)
    while not children_of(server.pid):
        time.sleep(0.01)
    [child] = children_of(server.pid)
    processes.close()
    for _ in range(6000):
        if not os.path.exists(f"/proc/{child}"):
            break
        time.sleep(0.01)
    assert not os.path.exists(f"/proc/{child}")
    os.close(reads)


@pytest.mark.parametrize("executable", ["", "/no/such/python", "/bin/false"])
def test_an_interpreter_that_cannot_start_is_a_finding(fresh, monkeypatch, executable):
    monkeypatch.setattr(sys, "executable", executable)
    report = scan_bytes(HARMLESS, "a.pkl", paranoid=True)
    assert report.verdict is Verdict.SUSPICIOUS
    assert [f.message for f in report.findings] == ["the second reader could not read it"]


def test_a_reader_without_limits_does_not_run(fresh, monkeypatch):
    setup = "from inert import confine\nconfine.resource.RLIMIT_NPROC = 10_000\n"
    lines = process._BOOT.strip().splitlines()
    monkeypatch.setattr(process, "_BOOT", "\n".join([*lines[:-1], setup, lines[-1]]))
    report = scan_bytes(HARMLESS, "a.pkl", paranoid=True)
    assert [f.message for f in report.findings] == ["the second reader could not read it"]
    assert "limit" in report.findings[0].detail["error"]


def test_what_could_not_be_given_up_is_told(processes, monkeypatch):
    setup = "from inert import confine\nconfine.build_filter = lambda machine, pipe: None\n"
    lines = process._BOOT.strip().splitlines()
    monkeypatch.setattr(process, "_BOOT", "\n".join([*lines[:-1], setup, lines[-1]]))
    said = processes.ask(HARMLESS, JOB, Allowance.of(0))
    assert "few system calls" in parse(said).missing


def test_a_forked_process_has_its_own():
    assert scan_bytes(HARMLESS, "a.pkl", paranoid=True).verdict is Verdict.CLEAN
    mine = PROCESSES._current._process.pid
    child = os.fork()
    if child == 0:
        code = 1
        try:
            clean = scan_bytes(HARMLESS, "a.pkl", paranoid=True).verdict is Verdict.CLEAN
            code = 0 if clean and PROCESSES._current._process.pid != mine else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert scan_bytes(HARMLESS, "a.pkl", paranoid=True).verdict is Verdict.CLEAN
    assert PROCESSES._current._process.pid == mine


# Handing over


def test_mapped_bytes_are_handed_over_without_a_copy(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(range(256)) * 64)
    with open(path, "rb") as file:
        whole = Mapped(file.fileno(), os.fstat(file.fileno()).st_size)
    part = memoryview(whole)[1000:][5:77]
    with handed(part) as file:
        assert file.descriptor == whole.handle
        assert os.pread(file.descriptor, file.size, file.offset) == bytes(part)


def test_other_bytes_are_handed_over_sealed():
    with handed(memoryview(b"xabcx")[1:4]) as file:
        assert os.pread(file.descriptor, 10, file.offset) == b"abc"
        with pytest.raises(PermissionError):
            os.write(file.descriptor, b"x")


def test_a_mapping_closes_its_descriptor(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    with open(tmp_path / "a", "rb") as file:
        whole = Mapped(file.fileno(), os.fstat(file.fileno()).st_size)
    handle = whole.handle
    os.fstat(handle)
    del whole
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(handle)
