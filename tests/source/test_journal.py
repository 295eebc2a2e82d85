from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from safehold.errors import ConfigError
from safehold.paths import replace_file, temporary_stem
from safehold.policy import default_policy
from safehold.source import Journal, audit_tree, migrate_file, rollback, runs
from safehold.source import journal as journal_module


def snapshot(root: Path) -> dict[str, tuple]:
    found = {}
    for directory, names, files in os.walk(root):
        for name in [*names, *files]:
            path = Path(directory, name)
            status = path.lstat()
            if path.is_symlink():
                content = os.readlink(path)
            elif path.is_dir():
                found[str(path.relative_to(root))] = ("directory", stat.S_IMODE(status.st_mode))
                continue
            else:
                content = path.read_bytes()
            found[str(path.relative_to(root))] = (
                content,
                stat.S_IMODE(status.st_mode),
                status.st_mtime_ns,
            )
    return found


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "service"
    for name, content, mode in [
        ("app.py", b"import pickle\r\npickle.loads(b'')\r\n", 0o640),
        ("pkg/load.py", b"from joblib import load\nload('models/m.joblib')\n", 0o755),
        ("pkg/clean.py", b"x = 1\n", 0o600),
        ("models/m.joblib", b"\x80\x04model" * 50, 0o604),
        ("models/evil.pkl", b"\x80\x04evil", 0o644),
        ("data/old.pkl", b"\x80\x04old", 0o444),
    ]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        os.utime(path, ns=(10**18 + len(name), 10**18 + len(name)))
    (root / "link.py").symlink_to("app.py")
    return root


def replace_as_other_code_does(path: Path, data: bytes, step) -> None:
    parent = os.open(path.parent, os.O_RDONLY)
    try:

        def chunks():
            step("other: write")
            yield data

        replace_file(parent, path.name, chunks(), before_rename=lambda: step("other: rename"))
        step("other: renamed")
    finally:
        os.close(parent)


def harden(root: Path, step=lambda _: None) -> None:
    """Every kind of change that a hardening run makes."""
    audits = list(audit_tree(root, policy=default_policy(root)))
    with Journal.begin(root, step=step) as journal:
        for audit in audits:
            assert migrate_file(journal, root, audit) is None
        model = root / "models/m.joblib"
        journal.adopt(model)
        replace_as_other_code_does(model, b"SFH1 sealed", step)
        journal.rename(root / "models/evil.pkl", root / "models/evil.pkl.quarantined")
        journal.replace(root / "app.py", iter([b"again ", b"changed"]))
        journal.remove(root / "data/old.pkl")
        journal.create(root / "conf/deep/safehold.toml", b"version = 1\n")
        journal.will_create(root / "var/trail")
        step("other: make directory")
        (root / "var").mkdir()
        (root / "var/trail").mkdir()
        step("other: append")
        (root / "var/trail/0001.jsonl").write_bytes(b"{}\n")


def killed_at(number: int, action) -> bool:
    """Run an action in a child that kills itself before step `number`; False when it ends."""
    child = os.fork()
    if child == 0:
        steps = iter(range(number))

        def step(_: str) -> None:
            if next(steps, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            action(step)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_rollback_of_a_finished_run_restores_every_byte_mode_and_mtime(tree):
    before = snapshot(tree)
    harden(tree)
    assert (tree / "app.py").read_bytes() == b"again changed"
    assert stat.S_IMODE((tree / "app.py").stat().st_mode) == 0o640
    assert (tree / "models/evil.pkl.quarantined").exists()
    assert (tree / ".safehold/journal/.gitignore").read_text() == "*\n"
    report = rollback(tree)
    assert snapshot(tree) == before
    assert report.problems == report.kept == []
    assert "app.py" in report.restored
    assert rollback(tree).runs == []
    assert snapshot(tree) == before


def test_a_run_killed_at_any_step_is_rolled_back_to_the_byte(tree):
    before = snapshot(tree)
    number = 0
    while killed_at(number, lambda step: harden(tree, step)):
        report = rollback(tree)
        assert snapshot(tree) == before, f"step {number}"
        assert report.problems == report.kept == [], f"step {number}"
        number += 1
    assert number > 40  # the matrix really has that many points
    rollback(tree)
    assert snapshot(tree) == before


def test_a_killed_rollback_is_run_again(tree):
    before = snapshot(tree)
    number = 0
    while True:
        harden(tree)
        if not killed_at(number, lambda step: rollback(tree, step=step)):
            break
        rollback(tree)
        assert snapshot(tree) == before, f"step {number}"
        number += 1
    assert number > 8
    assert snapshot(tree) == before


def test_rollback_works_where_hard_links_are_impossible(tree, monkeypatch):
    def no_links(*_args, **_kwargs):
        raise PermissionError

    monkeypatch.setattr(journal_module.os, "link", no_links)
    before = snapshot(tree)
    harden(tree)
    rollback(tree)
    assert snapshot(tree) == before


def test_a_last_entry_cut_at_any_byte_is_ignored(tree):
    before = snapshot(tree)
    journal = Journal.begin(tree)
    journal.adopt(tree / "app.py")
    journal.close()
    (run,) = runs(tree)
    whole = (run.path / "entries").read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(start, len(whole) - 1):
        (run.path / "entries").write_bytes(whole[:cut])
        assert [entry.operation for entry in runs(tree)[0].entries] == ["begin"]
    rollback(tree)
    assert snapshot(tree) == before


def test_an_entry_with_a_changed_byte_is_not_believed(tree):
    journal = Journal.begin(tree)
    journal.rename(tree / "app.py", tree / "other.py")
    journal.close()
    (run,) = runs(tree)
    file = run.path / "entries"
    file.write_bytes(file.read_bytes().replace(b"other.py", b"owner.py"))
    assert runs(tree)[0].changes == ()


def test_begin_refuses_after_a_cut_off_run_and_names_the_command(tree):
    Journal.begin(tree).close()
    with pytest.raises(ConfigError, match=r"safehold migrate .* --rollback"):
        Journal.begin(tree)
    rollback(tree)
    Journal.begin(tree).commit()
    Journal.begin(tree).commit()
    assert len(runs(tree)) == 2


def test_a_working_run_is_neither_joined_nor_rolled_back(tree):
    journal = Journal.begin(tree)
    with pytest.raises(ConfigError, match="still working"):
        Journal.begin(tree)
    with pytest.raises(ConfigError, match="still working"):
        rollback(tree)
    journal.commit()
    assert rollback(tree).problems == []


def test_runs_are_rolled_back_newest_first(tree):
    first = snapshot(tree)
    with Journal.begin(tree) as journal:
        journal.replace(tree / "app.py", b"one")
    with Journal.begin(tree) as journal:
        journal.replace(tree / "app.py", b"two")
    rollback(tree)
    assert (tree / "app.py").read_bytes() == b"one"
    rollback(tree)
    assert snapshot(tree) == first


def test_rollback_of_all_runs_at_once(tree):
    first = snapshot(tree)
    for data in (b"one", b"two", b"three"):
        with Journal.begin(tree) as journal:
            journal.replace(tree / "app.py", data)
    oldest = runs(tree)[0].id
    assert len(rollback(tree, "all").runs) == 3
    assert snapshot(tree) == first
    with pytest.raises(ConfigError, match="no run"):
        rollback(tree, oldest)


def test_a_file_changed_after_the_run_is_kept_beside(tree):
    harden(tree)
    (tree / "app.py").write_bytes(b"edited by hand")
    (tree / "models/m.joblib").write_bytes(b"trained again")
    (tree / "conf/deep/safehold.toml").write_bytes(b"edited")
    (tree / "data/old.pkl").write_bytes(b"new file")
    report = rollback(tree)
    assert (tree / "app.py").read_bytes() == b"import pickle\r\npickle.loads(b'')\r\n"
    assert (tree / "app.py.before-rollback").read_bytes() == b"edited by hand"
    assert (tree / "models/m.joblib.before-rollback").read_bytes() == b"trained again"
    assert (tree / "conf/deep/safehold.toml.before-rollback").read_bytes() == b"edited"
    assert (tree / "data/old.pkl.before-rollback").read_bytes() == b"new file"
    assert "app.py.before-rollback" in report.kept


def test_records_written_after_the_run_are_kept(tree):
    harden(tree)
    later = tree / "var/trail/0002.jsonl"
    later.write_bytes(b"later\n")
    future = time.time() + 60
    os.utime(later, (future, future))
    report = rollback(tree)
    assert any("before-rollback" in name for name in report.kept)
    assert [path.read_bytes() for path in tree.rglob("0002.jsonl")] == [b"later\n"]


def test_nothing_outside_the_root_is_changed(tree, tmp_path):
    outside = tmp_path / "outside.py"
    outside.write_bytes(b"import pickle\n")
    (tree / "leak.py").symlink_to(outside)
    journal = Journal.begin(tree)
    for change in (
        lambda: journal.replace(tree / "leak.py", b"x"),
        lambda: journal.remove(outside),
        lambda: journal.create(tmp_path / "new.py", b"x"),
        lambda: journal.rename(tree / "app.py", tmp_path / "app.py"),
        lambda: journal.adopt(tree / "../outside.py"),
        lambda: journal.replace(tree / ".safehold/journal/.gitignore", b""),
    ):
        with pytest.raises(ConfigError):
            change()
    assert outside.read_bytes() == b"import pickle\n"


def test_create_and_rename_never_take_a_name_that_is_used(tree):
    with Journal.begin(tree) as journal:
        with pytest.raises(FileExistsError):
            journal.create(tree / "app.py", b"x")
        with pytest.raises(FileExistsError):
            journal.rename(tree / "app.py", tree / "models/evil.pkl")
    assert (tree / "app.py").read_bytes().startswith(b"import")


def test_an_error_leaves_the_run_open_for_rollback(tree):
    before = snapshot(tree)

    def fail() -> None:
        with Journal.begin(tree) as journal:
            journal.replace(tree / "app.py", b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not runs(tree)[0].is_finished
    rollback(tree)
    assert snapshot(tree) == before


def test_a_full_disk_leaves_the_journal_readable(tree, monkeypatch):
    before = snapshot(tree)
    journal = Journal.begin(tree)
    real_write = os.write

    def short_write(fd, data):
        return real_write(fd, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "write", short_write)
        with pytest.raises(OSError, match="full"):
            journal.replace(tree / "app.py", b"x")
    journal.replace(tree / "pkg/clean.py", b"y = 2\n")
    journal.commit()
    assert [entry.path for entry in runs(tree)[0].changes] == ["pkg/clean.py"]
    rollback(tree)
    assert snapshot(tree) == before


def test_a_name_that_is_not_unicode_is_restored(tree):
    path = os.fsencode(tree) + b"/x\xe9.py"
    with open(path, "wb") as file:
        file.write(b"old")
    with Journal.begin(tree) as journal:
        journal.replace(os.fsdecode(path), b"new")
    rollback(tree)
    with open(path, "rb") as file:
        assert file.read() == b"old"


def test_the_lock_of_a_killed_process_is_released(tree):
    code = (
        "import os, signal, sys\nfrom safehold.source import Journal\n"
        "Journal.begin(sys.argv[1])\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, tree], check=False)
    (run,) = runs(tree)
    assert not run.is_active
    rollback(tree)
    assert runs(tree) == []


LONG = "é" * 120  # 240 bytes; a temporary name made of its first 200 characters would not fit


def test_what_a_kill_left_of_a_long_name_is_cleaned_up(tree):
    path = tree / LONG
    path.write_bytes(b"before")
    with Journal.begin(tree) as journal:
        journal.replace(path, b"after")
    litter = tree / f".{temporary_stem(LONG)}.00000000000a.sfh-tmp"
    litter.write_bytes(b"half")

    assert rollback(tree).problems == []

    assert path.read_bytes() == b"before"
    assert not litter.exists()


def test_a_long_name_is_restored_from_a_backup_on_another_device(tree, monkeypatch):
    path = tree / LONG
    path.write_bytes(b"before")
    with Journal.begin(tree) as journal:
        journal.replace(path, b"after")
    rename = os.rename

    def across_devices(source, target, **options):
        if ".safehold" in str(source) and ".safehold" not in str(target):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target, **options)

    monkeypatch.setattr(os, "rename", across_devices)

    assert rollback(tree).problems == []
    assert path.read_bytes() == b"before"
