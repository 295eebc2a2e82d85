"""Programs before and after migration: what they saved they load, and nothing else."""

from __future__ import annotations

import ast
import gzip
import os
import pickle
import traceback
from pathlib import Path

import pytest

from safehold import Context
from safehold.compat import use
from safehold.keys import generate_key
from safehold.policy import Policy
from safehold.source import Journal, audit_tree, migrate_file, rollback
from tests.source.migrated import FORMS, LIBRARIES

pytestmark = [pytest.mark.extras, pytest.mark.forking]
VALUE = {"a": [1, 2.5, "three"], "b": (None, True)}
CODECS = ["pickle", "joblib", "safetensors", "npy"]
POLICY = f"""
version = 1
keys = {{source = "env:SAFEHOLD_SECRET_KEY", id = "k1"}}
memory = {{codecs = {CODECS}, allow = ["numpy"]}}
[[zone]]
name = "models"
paths = ["models/**"]
trust = "internal"
codecs = {CODECS}
allow = ["numpy", "pandas"]
"""
# By use, a library stays what it is, and a name for it that a caller may replace is not followed;
# what is taken from a module that is imported by a name in a string would be one.
LEFT = {
    (form, library)
    for form in ("import_module", "handed on")
    for library in ("pandas", "torch", "numpy")
}
# A file position in a formatted string is known from Python 3.12 on, and a name over two lines
# cannot be replaced by another one.
MAY_BE_LEFT = {
    (form, library)
    for form in ("formatted string", "many lines")
    for library in ("pandas", "torch", "numpy")
}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", generate_key())
    (tmp_path / "safehold.toml").write_text(POLICY)
    (tmp_path / "models").mkdir()
    return tmp_path


def in_child(tree: Path, work) -> str:
    """Return what a function gives in a child process that stands in the tree."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)
            os.chdir(tree)
            text = work()
        except BaseException as error:  # noqa: BLE001  (told to the parent)
            text = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
        os.write(writing, text.encode()[:60_000])
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    return text


def program(tree: Path) -> dict[str, object]:
    """Run the program's module."""
    source = tree / "app.py"
    space: dict[str, object] = {"__name__": "app", "__file__": str(source)}
    exec(compile(source.read_bytes(), str(source), "exec"), space)  # noqa: S102
    return space


def saved_and_loaded(tree: Path, path: str) -> str:
    def work() -> str:
        space = program(tree)
        space["keep"](VALUE, path)
        return shown(space["fetch"](path))

    return in_child(tree, work)


def loaded(tree: Path, path: str) -> str:
    return in_child(tree, lambda: shown(program(tree)["fetch"](path)))


def shown(value: object) -> str:
    """Return a value as text; an array of one object is that object."""
    return repr(value.item() if hasattr(value, "item") else value)


def migrate(tree: Path):
    policy = Policy.load(tree / "safehold.toml")
    (audit,) = (item for item in audit_tree(tree, policy=policy) if item.path == "app.py")
    if audit.after is not None:
        with Journal.begin(tree) as journal:
            assert migrate_file(journal, tree, audit) is None
    return audit


@pytest.fixture
def hold(tree):
    context = Context.load(tree / "safehold.toml")
    use(context)
    yield context
    use(None)
    context.close()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("form", FORMS)
def test_what_a_program_saved_it_loads_and_nothing_else(form, library, tree, hold):
    pytest.importorskip(library)
    source = LIBRARIES[library].fill(FORMS[form]).encode()
    (tree / "app.py").write_bytes(source)
    before = saved_and_loaded(tree, "models/before.bin")
    assert before == repr(VALUE) or form == "formatted string"

    audit = migrate(tree)

    assert audit.findings, "nothing was found"
    ast.parse((tree / "app.py").read_bytes())
    if (form, library) in LEFT or ((form, library) in MAY_BE_LEFT and audit.after is None):
        assert audit.after is None
        assert any(item.is_open for item in audit.diagnostics)
        return
    assert audit.after is not None, audit.diagnostics
    assert audit.is_settled, audit.diagnostics
    assert saved_and_loaded(tree, "models/m.bin") == before

    path = tree / "models" / "m.bin"
    packed = path.read_bytes().startswith(b"\x1f\x8b")
    data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    assert data.startswith(b"SFH1")
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 0x40
    marker = tree / "ran"
    planted = b"cposix\nsystem\n(S'touch %s'\ntR." % os.fsencode(marker)
    for bad in (bytes(flipped), planted, pickle.dumps(VALUE)):
        path.write_bytes(gzip.compress(bad) if packed else bad)
        text = loaded(tree, "models/m.bin")
        assert "Traceback" in text, text
        assert any(name in text for name in ("Tampered", "NotSealed")), text
    assert not marker.exists()

    assert migrate(tree).after is None
    rollback(tree)
    assert (tree / "app.py").read_bytes() == source
