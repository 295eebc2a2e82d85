"""Calls through something harmless by name: callbacks, iterators, attribute access, later calls."""

from __future__ import annotations

from pathlib import Path

from tests.bypasses.payloads import Gadget, Raw, call, named, source, value
from tests.corpus.hostile.gadgets_code import EMPTY, imported, method
from tests.corpus.hostile.gadgets_process import made, shell

EXEC = named("builtins", "exec")
SYSTEM = named("posix", "system")


def bound(canary: Path) -> Raw:
    """A callable without arguments that runs the payload."""
    return call(named("functools", "partial"), EXEC, source(canary))


def lenient(canary: Path) -> Raw:
    """A callable that takes whatever it is given, and runs the payload."""
    text = f"lambda *a, **k: {source(canary)}"
    return call(named("builtins", "eval"), text)


def mapped(canary: Path) -> Raw:
    return call(named("builtins", "map"), EXEC, [source(canary)])


def consumed(module: str, name: str) -> Gadget:
    """A callable that goes through an iterator."""
    return lambda canary: call(named(module, name), mapped(canary))


def iterated(module: str, name: str, *first: object, items: object = None) -> Gadget:
    """An iterator that calls a function of each item."""

    def build(canary: Path) -> Raw:
        given = [source(canary)] if items is None else items(canary)
        iterator = call(named(module, name), EXEC, given, *first)
        return call(named("collections", "deque"), iterator)

    return build


def taken(module: str, name: str) -> Gadget:
    """An attribute of a module, by a callable that is made first."""

    def build(canary: Path) -> Raw:
        module_os = call(named("importlib", "import_module"), "os")
        return call(call(call(named(module, name), "system"), module_os), shell(canary))

    return build


def called(module: str, name: str) -> Gadget:
    """A method of a module, by a callable that is made first."""

    def build(canary: Path) -> Raw:
        module_os = call(named("importlib", "import_module"), "os")
        return call(call(named(module, name), "system", shell(canary)), module_os)

    return build


def item(module: str, name: str) -> Gadget:
    """An item of ``sys.modules``."""

    def build(canary: Path) -> Raw:
        found = call(call(named(module, name), "posix"), named("sys", "modules"))
        return call(call(named("builtins", "getattr"), found, "system"), shell(canary))

    return build


def _getitem(canary: Path) -> Raw:
    found = call(named("operator", "getitem"), named("sys", "modules"), "posix")
    return call(call(named("builtins", "getattr"), found, "system"), shell(canary))


def _exit_stack(canary: Path) -> Raw:
    stack = b"ccontextlib\nExitStack\n)Rq\x00"
    add = named("contextlib", "ExitStack.callback").opcodes
    close = named("contextlib", "ExitStack.close").opcodes
    pushed = b"(h\x00" + EXEC.opcodes + value(source(canary)) + b"tR0"
    return Raw(stack + b"0" + add + pushed + close + b"(h\x00tR")


def _thread(module: str) -> Gadget:
    def build(canary: Path) -> Raw:
        thread = call(named(module, "Thread"), None, EXEC, None, (source(canary),))
        return method(module, "Thread", "start", self=thread)

    return build


def _setstate(canary: Path) -> Raw:
    """An instance that is given ``exec`` as its ``__setstate__``, then a state."""
    state = b"}" + value("__setstate__") + EXEC.opcodes + b"s"
    namespace = made("types", "SimpleNamespace", state)
    return Raw(namespace.opcodes + value(source(canary)) + b"b")


def _append(canary: Path) -> Raw:
    """An instance that is given ``exec`` as its ``append``, then an item."""
    state = b"}" + value("append") + EXEC.opcodes + b"s"
    namespace = made("types", "SimpleNamespace", state)
    return Raw(namespace.opcodes + value(source(canary)) + b"a")


def _add(canary: Path) -> Raw:
    state = b"}" + value("add") + EXEC.opcodes + b"s"
    namespace = made("types", "SimpleNamespace", state)
    return Raw(namespace.opcodes + b"(" + value(source(canary)) + b"\x90")


def _default(canary: Path) -> Raw:
    table = call(named("collections", "defaultdict"), bound(canary))
    return call(named("operator", "getitem"), table, "x")


def _format_map(canary: Path) -> Raw:
    table = call(named("collections", "defaultdict"), bound(canary))
    return method(
        "string", "Template", "substitute", table, self=call(named("string", "Template"), "$x")
    )


def _regex(canary: Path) -> Raw:
    return call(named("re", "sub"), "x", lenient(canary), "x")


def _finalize(canary: Path) -> Raw:
    return call(named("weakref", "finalize"), Raw(b"c_io\nStringIO\n)R"), EXEC, source(canary))


def _reference(canary: Path) -> Raw:
    target = Raw(b"c_io\nStringIO\n)R")
    return call(named("weakref", "ref"), target, lenient(canary))


def _scheduler(canary: Path) -> Raw:
    head = b"csched\nscheduler\n)Rq\x000"
    enter = named("sched", "scheduler.enter").opcodes + b"(h\x00" + value(0) + value(0)
    enter += EXEC.opcodes + value((source(canary),)) + b"tR0"
    return Raw(head + enter + named("sched", "scheduler.run").opcodes + b"(h\x00tR")


def _context(canary: Path) -> Raw:
    context = call(named("contextvars", "Context"))
    return method("contextvars", "Context", "run", EXEC, source(canary), self=context)


def _singledispatch(canary: Path) -> Raw:
    return call(call(named("functools", "singledispatch"), EXEC), source(canary))


def _lru(canary: Path) -> Raw:
    return call(call(call(named("functools", "lru_cache"), 1), EXEC), source(canary))


def _future(canary: Path) -> Raw:
    head = b"cconcurrent.futures._base\nFuture\n)Rq\x000"
    add = named("concurrent.futures._base", "Future.add_done_callback").opcodes
    add += b"(h\x00" + lenient(canary).opcodes + b"tR0"
    done = named("concurrent.futures._base", "Future.set_result").opcodes
    return Raw(head + add + done + b"(h\x00NtR")


def _pool(canary: Path) -> Raw:
    return call(named("multiprocessing.pool", "ThreadPool"), 1, EXEC, (source(canary),))


def _type(canary: Path) -> Raw:
    """A class that runs the payload when it is subscribed."""
    members = b"}" + value("__class_getitem__") + lenient(canary).opcodes + b"s"
    made_class = call(named("builtins", "type"), "X", (), Raw(members))
    return call(named("operator", "getitem"), made_class, 1)


def _property(canary: Path) -> Raw:
    made_property = call(named("builtins", "property"), lenient(canary))
    return method("builtins", "property", "__get__", 1, self=made_property)


def _set_name(canary: Path) -> Raw:
    """``type`` calls ``__set_name__`` of what a class is made of."""
    inner = b"}" + value("__set_name__") + lenient(canary).opcodes + b"s"
    helper = call(call(named("builtins", "type"), "H", (), Raw(inner)))
    return call(named("builtins", "type"), "X", (), Raw(b"}" + value("a") + helper.opcodes + b"s"))


def _newobj_type(canary: Path) -> Raw:
    """`type` made by NEWOBJ; its base class has an ``__init_subclass__``."""
    inner = b"}" + value("__init_subclass__") + lenient(canary).opcodes + b"s"
    base = call(named("builtins", "type"), "B", (), Raw(inner))
    args = value(("X", (base,), EMPTY))
    return Raw(named("builtins", "type").opcodes + args + b"\x81")


GADGETS: dict[str, tuple[Gadget, tuple[str, ...]]] = {
    "partial": (lambda m: call(bound(m)), ()),
    "partial-c": (lambda m: call(call(named("_functools", "partial"), SYSTEM, shell(m))), ()),
    "reduce": (lambda m: call(named("functools", "reduce"), EXEC, [source(m), EMPTY]), ()),
    "reduce-c": (lambda m: call(named("_functools", "reduce"), EXEC, [source(m), EMPTY]), ()),
    "reduce-py2": (lambda m: call(named("__builtin__", "reduce"), EXEC, [source(m), EMPTY]), ()),
    "singledispatch": (_singledispatch, ()),
    "lru_cache": (_lru, ()),
    "map-list": (consumed("builtins", "list"), ()),
    "map-tuple": (consumed("builtins", "tuple"), ()),
    "map-set": (consumed("builtins", "set"), ()),
    "map-frozenset": (consumed("builtins", "frozenset"), ()),
    "map-max": (consumed("builtins", "max"), ()),
    "map-all": (consumed("builtins", "all"), ()),
    "map-next": (consumed("builtins", "next"), ()),
    "map-deque": (consumed("collections", "deque"), ()),
    "map-counter": (consumed("collections", "Counter"), ()),
    "map-mean": (consumed("statistics", "mean"), ()),
    "map-chain": (
        lambda m: call(
            named("builtins", "list"),
            call(named("itertools", "chain"), mapped(m)),
        ),
        (),
    ),
    "filter": (iterated("builtins", "filter"), ()),
    "starmap": (iterated("itertools", "starmap", items=lambda m: [(source(m),)]), ()),
    "takewhile": (iterated("itertools", "takewhile"), ()),
    "dropwhile": (iterated("itertools", "dropwhile"), ()),
    "filterfalse": (iterated("itertools", "filterfalse"), ()),
    "accumulate": (
        lambda m: call(
            named("collections", "deque"),
            call(named("itertools", "accumulate"), [source(m), EMPTY], EXEC),
        ),
        (),
    ),
    "groupby": (
        lambda m: call(
            named("collections", "deque"), call(named("itertools", "groupby"), [source(m)], EXEC)
        ),
        (),
    ),
    "iter-sentinel": (
        lambda m: call(named("builtins", "list"), call(named("builtins", "iter"), bound(m), None)),
        (),
    ),
    "attrgetter": (taken("operator", "attrgetter"), ()),
    "attrgetter-c": (taken("_operator", "attrgetter"), ()),
    "methodcaller": (called("operator", "methodcaller"), ()),
    "methodcaller-c": (called("_operator", "methodcaller"), ()),
    "itemgetter": (item("operator", "itemgetter"), ()),
    "itemgetter-c": (item("_operator", "itemgetter"), ()),
    "getitem": (_getitem, ()),
    "operator-call": (lambda m: call(named("operator", "call"), SYSTEM, shell(m)), ()),
    "getattr": (imported("importlib", "import_module", "os"), ()),
    "inspect-getattr_static": (
        lambda m: call(
            call(
                named("inspect", "getattr_static"),
                call(named("importlib", "import_module"), "os"),
                "system",
            ),
            shell(m),
        ),
        (),
    ),
    "vars": (
        lambda m: call(
            call(
                named("operator", "getitem"),
                call(named("builtins", "vars"), call(named("importlib", "import_module"), "os")),
                "system",
            ),
            shell(m),
        ),
        (),
    ),
    "setstate": (_setstate, ()),
    "append": (_append, ()),
    "additems": (_add, ()),
    "defaultdict": (_default, ()),
    "template-substitute": (_format_map, ()),
    "re-sub": (_regex, ()),
    "weakref-finalize": (_finalize, ()),
    "weakref-ref": (_reference, ()),
    "exit-stack": (_exit_stack, ()),
    "atexit": (lambda m: call(named("atexit", "register"), EXEC, source(m)), ()),
    "thread-start_new": (
        lambda m: call(named("_thread", "start_new_thread"), SYSTEM, (shell(m),)),
        (),
    ),
    "thread-py2": (
        lambda m: Raw(b"cthread\nstart_new_thread\n" + value((SYSTEM, (shell(m),))) + b"R"),
        (),
    ),
    "threading-thread": (_thread("threading"), ()),
    "threading-run": (
        lambda m: method(
            "threading",
            "Thread",
            "run",
            self=call(named("threading", "Thread"), None, EXEC, None, (source(m),)),
        ),
        (),
    ),
    "threadpool": (_pool, ()),
    "future-callback": (_future, ()),
    "scheduler": (_scheduler, ()),
    "context-run": (_context, ()),
    "sys-settrace": (lambda m: call(named("sys", "setprofile"), lenient(m)), ()),
    "type-class_getitem": (_type, ()),
    "type-set_name": (_set_name, ()),
    "type-init_subclass": (_newobj_type, ()),
    "property": (_property, ()),
}
