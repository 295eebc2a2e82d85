"""The facade of pickle: the same calls, sealed files."""

from __future__ import annotations

import bz2
import copyreg
import gzip
import inspect
import io
import lzma
import multiprocessing
import os
import pickle as plain
import socket
import subprocess
import sys
import tempfile
import threading
from collections import OrderedDict
from decimal import Decimal

import pytest

from safehold import compat
from safehold.compat import pickle
from safehold.context import Context
from safehold.errors import (
    Blocked,
    ConfigError,
    EncodeError,
    NotSealed,
    Rollback,
    Tampered,
    TypeNotAllowed,
    WrongContext,
)
from tests.holding import SECRET, make_world

VALUE = {"a": [1, 2.5, "three"], "b": (None, {4}), "d": Decimal("1.5")}


@pytest.fixture
def marker(tmp_path):
    found = tmp_path / "ran"
    yield found
    assert not found.exists(), "the payload ran"


def planted(marker) -> bytes:
    return b"cposix\nsystem\n(S'touch %s'\ntR." % os.fsencode(marker)


# --- the same interface --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dump", "dumps", "load", "loads"])
def test_functions_have_the_signatures_of_the_originals(name):
    def shape(function) -> list[tuple[str, object]]:
        return [
            (parameter.name, parameter.kind)
            for parameter in inspect.signature(function).parameters.values()
        ]

    ours, theirs = shape(getattr(pickle, name)), shape(getattr(plain, name))
    assert [entry[0] for entry in ours] == [entry[0] for entry in theirs]
    assert [entry[1] for entry in ours] == [entry[1] for entry in theirs]


def test_defaults_are_those_of_the_originals():
    for name in ("dump", "dumps", "load", "loads"):
        ours = inspect.signature(getattr(pickle, name)).parameters
        for parameter in inspect.signature(getattr(plain, name)).parameters.values():
            assert ours[parameter.name].default == parameter.default


@pytest.mark.parametrize("name", ["Pickler", "Unpickler"])
def test_classes_derive_from_the_originals_and_take_their_arguments(name):
    ours, theirs = getattr(pickle, name), getattr(plain, name)
    assert issubclass(ours, theirs)
    mine = list(inspect.signature(ours.__init__).parameters)[1:]
    original = inspect.signature(getattr(plain, f"_{name}").__init__).parameters
    assert mine == list(original)[1:]


def test_every_public_name_is_there():
    names: dict[str, object] = {}
    exec("from safehold.compat.pickle import *", names)  # noqa: S102
    for name in plain.__all__:
        assert name in names
        if name not in {"dump", "dumps", "load", "loads", "Pickler", "Unpickler"}:
            assert names[name] is getattr(plain, name)
    assert pickle.HIGHEST_PROTOCOL == plain.HIGHEST_PROTOCOL
    assert pickle.UnpicklingError is plain.UnpicklingError


@pytest.mark.parametrize("name", ["_loads", "_Unpickler", "_load", "nothing", "whichmodules"])
def test_what_would_read_without_a_seal_is_not_offered(name):
    with pytest.raises(AttributeError, match=name):
        getattr(pickle, name)


# --- paths, handles, bytes -----------------------------------------------------------------


def test_a_path_is_taken_as_well_as_a_handle(world):
    path = world.root / "models" / "a.pkl"
    pickle.dump(VALUE, path)
    assert pickle.load(path) == VALUE
    assert pickle.load(os.fspath(path)) == VALUE
    with path.open("rb") as file:
        assert pickle.load(file) == VALUE


@pytest.mark.parametrize("protocol", [None, 0, 1, 2, 3, 4, 5, -1])
def test_any_protocol_is_accepted(protocol, world):
    assert pickle.loads(pickle.dumps(VALUE, protocol)) == VALUE
    assert pickle.loads(pickle.dumps(VALUE, protocol=protocol, fix_imports=False)) == VALUE


def opened(kind: str, path: str, mode: str):
    if kind == "unbuffered":
        return open(path, mode, buffering=0)
    return {"open": open, "gzip": gzip.open, "bz2": bz2.open, "lzma": lzma.open}[kind](path, mode)


@pytest.mark.parametrize("kind", ["open", "unbuffered", "gzip", "bz2", "lzma"])
@pytest.mark.parametrize("zone", ["models", "data"])
def test_several_values_through_one_handle(kind, zone, world):
    path = str(world.root / zone / "a.pkl")
    values = [VALUE, 1, "x" * 5000, [None]]
    with opened(kind, path, "wb") as file:
        for value in values:
            pickle.dump(value, file)
    with opened(kind, path, "rb") as file:
        assert [pickle.load(file) for _ in values] == values
        with pytest.raises(EOFError):
            pickle.load(file)


def test_append_mode(world):
    path = world.root / "models" / "log.pkl"
    for number in range(4):
        with path.open("ab") as file:
            pickle.dump(number, file)
    found = []
    with path.open("rb") as file:
        while True:
            try:
                found.append(pickle.load(file))
            except EOFError:
                break
    assert found == [0, 1, 2, 3]


def test_handles_without_a_path(world, marker):
    stream = io.BytesIO()
    pickle.dump(VALUE, stream)
    pickle.dump(2, stream)
    stream.seek(0)
    assert [pickle.load(stream), pickle.load(stream)] == [VALUE, 2]
    with tempfile.TemporaryFile() as file:
        pickle.dump(VALUE, file)
        file.seek(0)
        assert pickle.load(file) == VALUE
    with tempfile.SpooledTemporaryFile() as file:
        pickle.dump(VALUE, file)
        file.seek(0)
        assert pickle.load(file) == VALUE
    read, write = os.pipe()
    with open(write, "wb") as writer:
        pickle.dump(VALUE, writer)
    with open(read, "rb") as reader:
        assert pickle.load(reader) == VALUE
    one, two = socket.socketpair()
    with one, two, one.makefile("wb") as writer, two.makefile("rb") as reader:
        pickle.dump(VALUE, writer)
        writer.flush()
        assert pickle.load(reader) == VALUE
    for stream in (io.BytesIO(planted(marker)), io.BytesIO(b"x" * 100)):
        with pytest.raises(NotSealed):
            pickle.load(stream)


def test_bytes_of_memory_are_not_those_of_a_file(world):
    data = pickle.dumps(VALUE)
    path = world.root / "models" / "a.pkl"
    path.write_bytes(data)
    with pytest.raises(WrongContext), path.open("rb") as file:
        pickle.load(file)


def test_a_planted_pickle_never_runs(world, marker):
    data = planted(marker)
    path = world.root / "models" / "a.pkl"
    path.write_bytes(data)
    for action in (
        lambda: pickle.load(path),
        lambda: pickle.load(io.BytesIO(data)),
        lambda: pickle.loads(data),
        lambda: pickle.Unpickler(io.BytesIO(data)).load(),
    ):
        with pytest.raises(plain.UnpicklingError):
            action()
    with path.open("rb") as file, pytest.raises(plain.UnpicklingError):
        pickle.load(file)
    assert len(world.events.refused) == 5


def test_errors_are_those_that_callers_catch(world):
    with pytest.raises(EOFError):
        pickle.loads(b"")
    with pytest.raises(EOFError):
        pickle.load(io.BytesIO())
    with pytest.raises(FileNotFoundError):
        pickle.load(world.root / "models" / "none.pkl")
    with pytest.raises(plain.UnpicklingError):
        pickle.loads(b"\x80\x05N.")
    with pytest.raises(plain.PicklingError):
        pickle.dumps(lambda: 1)
    with pytest.raises(TypeError):
        pickle.loads("text")
    with pytest.raises(TypeError):
        pickle.load()  # type: ignore[call-arg]
    empty = world.root / "models" / "empty.pkl"
    empty.touch()
    with pytest.raises(EOFError), empty.open("rb") as file:
        pickle.load(file)


def test_an_external_zone_stores_data_under_the_same_calls(world):
    path = world.root / "data" / "a.pkl"
    pickle.dump(VALUE, path)
    assert pickle.load(path) == VALUE
    assert world.store.inspect(path).codec == "msgpack"
    with path.open("wb") as file:
        pickle.dump(VALUE, file, protocol=2)
    with path.open("rb") as file:
        assert pickle.load(file) == VALUE
    with pytest.raises(EncodeError, match="without loss"):
        pickle.dump(os.stat("/"), path)
    path = world.root / "data" / "a.json"
    pickle.dump(VALUE, path)
    assert world.store.inspect(path).codec == "json"


# --- options -------------------------------------------------------------------------------


def test_the_options_of_python_2_reach_a_sealed_old_pickle(world):
    path = world.root / "models" / "old.pkl"
    path.write_bytes(b"S'\\xe9'\n.")
    world.store.seal(path)
    assert pickle.load(path, encoding="latin1") == "é"
    with path.open("rb") as file:
        assert pickle.load(file, encoding="bytes") == b"\xe9"
    with path.open("rb") as file:
        assert pickle.Unpickler(file, encoding="latin1").load() == "é"
    assert pickle.load(path, encoding="ascii", errors="replace") == "\ufffd"
    with pytest.raises(plain.UnpicklingError):
        pickle.load(path)


class Buffered:
    def __init__(self, data: object) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: int) -> object:
        return bytes, (plain.PickleBuffer(self.data),)


def test_buffers_travel_beside_where_the_caller_wants(world):
    buffers: list[plain.PickleBuffer] = []
    data = pickle.dumps(Buffered(b"x" * 1000), 5, buffer_callback=buffers.append)
    assert len(buffers) == 1
    assert pickle.loads(data, buffers=buffers) == b"x" * 1000
    with pytest.raises(plain.UnpicklingError):
        pickle.loads(data)
    stream = io.BytesIO()
    buffers.clear()
    pickle.dump(Buffered(b"y" * 1000), stream, protocol=5, buffer_callback=buffers.append)
    stream.seek(0)
    assert pickle.load(stream, buffers=iter(buffers)) == b"y" * 1000
    with pytest.raises(ValueError, match="protocol"):
        pickle.dumps(1, 4, buffer_callback=buffers.append)


# --- classes -------------------------------------------------------------------------------


def both(value: object, pickler: type, unpickler: type, times: int = 1) -> list[object]:
    stream = io.BytesIO()
    out = pickler(stream)
    for _ in range(times):
        out.dump(value)
    stream.seek(0)
    source = unpickler(stream)
    return [source.load() for _ in range(times)]


def test_classes_work_like_functions(world):
    assert both(VALUE, pickle.Pickler, pickle.Unpickler, 3) == [VALUE] * 3
    path = world.root / "models" / "a.pkl"
    with path.open("wb") as file:
        pickle.Pickler(file, 4, fix_imports=False).dump(VALUE)
    with path.open("rb") as file:
        source = pickle.Unpickler(file, fix_imports=False, encoding="utf-8", errors="strict")
        assert source.load() == VALUE
        with pytest.raises(EOFError):
            source.load()


def test_each_container_of_a_pickler_stands_alone(world):
    shared = [1, 2]
    stream = io.BytesIO()
    out = pickle.Pickler(stream)
    out.dump(shared)
    middle = stream.tell()
    out.dump(shared)
    assert pickle.loads(stream.getvalue()[middle:]) == shared


class Row:
    def __init__(self, number: int) -> None:
        self.number = number


ROWS = {number: Row(number) for number in range(5)}


def test_persistent_ids_by_subclass(world):
    class Out(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            return ("row", obj.number) if isinstance(obj, Row) else None

    class In(pickle.Unpickler):
        def persistent_load(self, pid: tuple[str, int]) -> Row:
            return ROWS[pid[1]]

    for found in both([ROWS[3], {"k": ROWS[4]}], Out, In, 2):
        assert found[0] is ROWS[3]
        assert found[1]["k"] is ROWS[4]


def test_persistent_ids_by_assignment_last_beyond_the_first_value(world):
    stream = io.BytesIO()
    out = pickle.Pickler(stream)
    out.persistent_id = lambda obj: obj.number if isinstance(obj, Row) else None
    out.dump(ROWS[1])
    out.dump(ROWS[2])
    stream.seek(0)
    source = pickle.Unpickler(stream)
    source.persistent_load = ROWS.__getitem__
    assert source.load() is ROWS[1]
    assert source.load() is ROWS[2]


def test_without_a_persistent_load_it_is_refused(world):
    stream = io.BytesIO()
    out = pickle.Pickler(stream)
    out.persistent_id = lambda obj: 1 if isinstance(obj, Row) else None
    out.dump(ROWS[1])
    stream.seek(0)
    with pytest.raises(plain.UnpicklingError, match="persistent"):
        pickle.Unpickler(stream).load()


def test_find_class_may_narrow_what_is_allowed(world):
    class Narrow(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            if module == "decimal":
                raise plain.UnpicklingError("no decimals")
            return super().find_class(module, name)

    assert both(OrderedDict(a=1), pickle.Pickler, Narrow) == [OrderedDict(a=1)]
    with pytest.raises(plain.UnpicklingError, match="no decimals"):
        both(Decimal(1), pickle.Pickler, Narrow)


def test_find_class_of_the_base_is_the_allow_list(world):
    found: list[object] = []

    class Asking(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            found.append((module, name))
            return super().find_class("posix", "system")

    with pytest.raises(TypeNotAllowed):
        both(Decimal(1), pickle.Pickler, Asking)
    assert found == [("decimal", "Decimal")]


def test_a_narrowing_unpickler_over_functions_of_the_module(world):
    """The recipe of pickle's documentation, with its import exchanged."""
    import builtins

    class Restricted(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            if module == "builtins" and name in {"range", "complex", "set"}:
                return getattr(builtins, name)
            raise pickle.UnpicklingError(f"global '{module}.{name}' is forbidden")

    assert Restricted(io.BytesIO(pickle.dumps([1, range(15)]))).load() == [1, range(15)]
    with pytest.raises(pickle.UnpicklingError, match="forbidden"):
        Restricted(io.BytesIO(pickle.dumps(Decimal(1)))).load()
    with pytest.raises(pickle.UnpicklingError):
        Restricted(io.BytesIO(plain.dumps([1, range(15)]))).load()


def test_dispatch_tables_and_reducers(world):
    class Table(pickle.Pickler):
        dispatch_table = copyreg.dispatch_table | {Row: lambda row: (complex, (row.number, 0))}

    class Reducer(pickle.Pickler):
        def reducer_override(self, obj: object) -> object:
            return (complex, (obj.number, 1)) if isinstance(obj, Row) else NotImplemented

    assert both(ROWS[3], Table, pickle.Unpickler) == [3 + 0j]
    assert both([ROWS[3]], Reducer, pickle.Unpickler) == [[3 + 1j]]
    stream = io.BytesIO()
    out = pickle.Pickler(stream)
    out.dispatch_table = Table.dispatch_table
    out.dump(ROWS[2])
    assert pickle.loads(stream.getvalue()) == 2 + 0j


def test_what_a_subclass_adds_must_be_allowed_too(world):
    class Out(pickle.Pickler):
        def reducer_override(self, obj: object) -> object:
            return (os.system, ("true",)) if isinstance(obj, Row) else NotImplemented

    with pytest.raises(EncodeError, match="system"):
        Out(io.BytesIO()).dump(ROWS[1])


# --- which context -------------------------------------------------------------------------


def test_without_a_policy_both_ways_are_named():
    with pytest.raises(ConfigError, match=r"SAFEHOLD_POLICY.*safehold\.use"):
        pickle.loads(b"x")


def test_the_variable_names_the_policy(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    policy = tmp_path / "safehold.toml"
    policy.write_text(
        'version = 1\n[keys]\nsource = "env:SAFEHOLD_SECRET_KEY"\n[memory]\nallow = ["numpy"]\n'
    )
    monkeypatch.setenv("SAFEHOLD_POLICY", str(policy))
    with pytest.raises(ConfigError, match="SAFEHOLD_SECRET_KEY"):
        pickle.dumps(1)
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", SECRET.hex())
    try:
        data = pickle.dumps(VALUE)
        assert pickle.loads(data) == VALUE
        monkeypatch.delenv("SAFEHOLD_POLICY")
        assert pickle.loads(data) == VALUE  # loaded once
    finally:
        compat.active_store()._hold.close()
        compat.use(None)
    with pytest.raises(ConfigError):
        pickle.loads(data)


def test_the_explicit_context_comes_first(world, tmp_path, monkeypatch):
    monkeypatch.setenv("SAFEHOLD_POLICY", str(tmp_path / "nowhere.toml"))
    assert pickle.loads(pickle.dumps(1)) == 1


def test_untrusted_code_is_blocked(world):
    path = world.root / "models" / "a.pkl"
    pickle.dump(VALUE, path)
    strict = world.again(trusted=("src/**",))
    compat.use(strict.hold)
    with pytest.raises(Blocked) as caught:
        pickle.load(path)
    assert caught.value.caller == __file__
    with path.open("rb") as file, pytest.raises(Blocked):
        pickle.Unpickler(file).load()
    watching = world.again(trusted=("src/**",), mode="monitor")
    compat.use(watching.hold)
    assert pickle.load(path) == VALUE
    assert watching.events.rows[0].rule == "SH117"


# --- threads and processes -----------------------------------------------------------------


def test_threads_share_one_context(world):
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            path = world.root / "models" / f"{number}.pkl"
            for step in range(20):
                pickle.dump((number, step), path)
                assert pickle.load(path) == (number, step)
                assert pickle.loads(pickle.dumps(step)) == step
        except BaseException as error:  # noqa: BLE001  (told to the main thread)
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(world.events.rows) == 4 * 20 * 4


def test_the_first_use_by_many_threads_makes_one_context(tmp_path, monkeypatch):
    policy = tmp_path / "safehold.toml"
    policy.write_text("version = 1\n")
    monkeypatch.setenv("SAFEHOLD_POLICY", str(policy))
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", SECRET.hex())
    stores: list[object] = []
    threads = [
        threading.Thread(target=lambda: stores.append(compat.active_store())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    compat.active_store()._hold.close()
    compat.use(None)
    assert len(set(map(id, stores))) == 1


def test_a_forked_child_reads_writes_and_has_a_trail_of_its_own(tmp_path):
    world = make_world(tmp_path)
    hold = Context.load(world.hold.policy, environ={"SAFEHOLD_SECRET_KEY": SECRET.hex()})
    compat.use(hold)
    path = tmp_path / "models" / "a.pkl"
    pickle.dump("parent", path)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            assert pickle.load(path) == "parent"
            pickle.dump("child", path)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert pickle.load(path) == "child"
    hold.close()
    compat.use(None)
    from safehold.observe.check import check_trail

    writers = list(check_trail(tmp_path / hold.policy.trail, hold.keyring))
    assert len(writers) == 2
    # Two openings, the policy that is in force, two dumps and two loads.
    assert sum(writer.lines for writer in writers) == 2 + 1 + 4
    for writer in writers:
        assert writer.problem is None


def in_child(path: str, queue: object) -> None:
    from safehold.compat import pickle as facade

    value = facade.load(path)
    facade.dump({"seen": value}, path)
    queue.put(value)  # type: ignore[attr-defined]


def test_a_spawned_child_uses_the_same_policy_file(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    policy = tmp_path / "safehold.toml"
    policy.write_text(
        'version = 1\n[[zone]]\nname = "models"\npaths = ["models/**"]\n'
        'trust = "internal"\ncodecs = ["pickle"]\n'
    )
    monkeypatch.setenv("SAFEHOLD_POLICY", str(policy))
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", SECRET.hex())
    path = str(tmp_path / "models" / "a.pkl")
    code = f"""
import sys
sys.path.insert(0, {os.getcwd()!r})
import multiprocessing
import safehold.compat.pickle as pickle
from tests.compat.test_pickle import in_child
if __name__ == "__main__":
    pickle.dump("genuine", {path!r})
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=in_child, args=({path!r}, queue))
    child.start()
    print(queue.get(timeout=60))
    child.join()
    print(pickle.load({path!r}))
"""
    script = tmp_path / "main.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split("\n")[:2] == ["genuine", "{'seen': 'genuine'}"], done.stderr


def test_multiprocessing_itself_is_left_alone(world):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]


# --- what is refused -----------------------------------------------------------------------


def test_a_changed_swapped_or_older_file_is_refused(world):
    one, two = world.root / "models" / "a.pkl", world.root / "models" / "b.pkl"
    pickle.dump("a", one)
    old = one.read_bytes()
    pickle.dump("a2", one)
    pickle.dump("b", two)
    genuine = one.read_bytes()
    damaged = bytearray(genuine)
    damaged[-50] ^= 1
    for data, error in ((damaged, Tampered), (two.read_bytes(), WrongContext), (old, Rollback)):
        one.write_bytes(data)
        with pytest.raises(error):
            pickle.load(one)
        with one.open("rb") as file, pytest.raises(error):
            pickle.load(file)
    assert len(world.events.refused) == 6
