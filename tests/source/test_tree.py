from __future__ import annotations

import os
import stat

import pytest

from safehold.policy import Policy, Zone, default_policy
from safehold.source import Journal, audit_file, audit_tree, migrate_file

UNSAFE = b"import pickle\npickle.loads(b'')\n"


@pytest.fixture
def tree(tmp_path):
    def plant(files: dict[str, bytes]):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path

    return plant


def outcomes(root, **options) -> dict[str, str]:
    policy = default_policy(root)
    audits = list(audit_tree(root, policy=policy, **options))
    found = {audit.path: audit.outcome for audit in audits}
    assert len(found) == len(audits)
    return found


def test_every_source_is_listed_once_in_a_fixed_order(tree):
    root = tree(dict.fromkeys(("b.py", "a/z.py", "a/b/c.pyw", "c.py", "a.py"), UNSAFE))
    assert list(outcomes(root)) == ["a.py", "b.py", "c.py", "a/z.py", "a/b/c.pyw"]


def test_scripts_without_a_suffix_count_by_their_first_line(tree):
    root = tree(
        {
            "run": b"#!/usr/bin/env python3\n" + UNSAFE,
            "shell": b"#!/bin/sh\nimport pickle\n",
            "Makefile": b"import pickle\n",
            "data.bin": b"#!/usr/bin/python\n" + UNSAFE,
        }
    )
    assert outcomes(root) == {"run": "migrated"}


def test_directories_that_hold_no_source_of_the_service_are_skipped(tree):
    skipped = (".git", ".venv", "venv", "node_modules", "__pycache__", ".safehold")
    root = tree({f"{name}/a.py": UNSAFE for name in (*skipped, "lib/site-packages", "src")})
    (root / "env").mkdir()
    (root / "env/pyvenv.cfg").touch()
    (root / "env/a.py").write_bytes(UNSAFE)
    assert outcomes(root) == {"src/a.py": "migrated"}


def test_a_skipped_name_is_looked_at_when_it_is_the_root(tree):
    root = tree({"site-packages/a.py": UNSAFE})
    assert outcomes(root / "site-packages") == {"a.py": "migrated"}


def test_excluded_names_and_paths(tree):
    root = tree(dict.fromkeys(("a.py", "gen/b.py", "x/gen/c.py", "x/d_pb2.py"), UNSAFE))
    assert list(outcomes(root, exclude=["gen/*"])) == ["a.py", "x/d_pb2.py", "x/gen/c.py"]
    assert list(outcomes(root, exclude=["gen", "*_pb2.py"])) == ["a.py"]


def test_links_are_edited_once_and_only_beneath_the_tree(tree, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "o.py").write_bytes(UNSAFE)
    root = tree({"a.py": UNSAFE, "impl.txt": UNSAFE, "pkg/b.py": UNSAFE})
    (root / "same.py").symlink_to("a.py")
    (root / "text.py").symlink_to("impl.txt")
    (root / "leak.py").symlink_to(outside / "o.py")
    (root / "loop").symlink_to(".")
    (root / "pkg/up").symlink_to("..")
    (root / "self.py").symlink_to("self.py")
    (root / "gone.py").symlink_to("nowhere.py")
    (root / "away").symlink_to(outside)
    found = outcomes(root)
    assert found == {
        "a.py": "migrated",
        "pkg/b.py": "migrated",
        "impl.txt": "migrated",
        "away": "diagnosed",
        "leak.py": "diagnosed",
        "self.py": "diagnosed",
        "gone.py": "diagnosed",
    }
    with Journal.begin(root) as journal:
        for audit in audit_tree(root, policy=default_policy(root)):
            assert migrate_file(journal, root, audit) is None
    assert (root / "same.py").is_symlink()
    assert (root / "text.py").read_bytes() == UNSAFE.replace(
        b"import pickle", b"import safehold.compat.pickle as pickle"
    )
    assert (outside / "o.py").read_bytes() == UNSAFE


def test_what_cannot_be_read_is_reported_file_by_file(tree):
    root = tree(
        {
            "broken.py": b"import pickle\ndef (\n",
            "two.py": b"import pickle\nprint 'x'\n",
            "bytes.py": b"import pickle\n'\xff'\n",
            "latin.py": b"x = '\xff'\n",
            "nul.py": b"\0",
            "good.py": UNSAFE,
        }
    )
    os.mkfifo(root / "pipe.py")
    found = outcomes(root)
    assert found.pop("good.py") == "migrated"
    assert "pipe.py" not in found  # not a file
    assert set(found.values()) == {"diagnosed"}
    assert len(found) == 5


def test_a_file_without_permission_is_reported(tree, monkeypatch):
    root = tree({"secret.py": UNSAFE, "open.py": UNSAFE})
    real_open = os.open

    def refuse(path, *rest, **options):  # root may read everything, so this is played
        if str(path).endswith("secret.py"):
            raise PermissionError(13, "Permission denied")
        return real_open(path, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert outcomes(root) == {"secret.py": "diagnosed", "open.py": "migrated"}


def test_a_file_that_vanishes_is_reported(tree):
    root = tree({"a.py": UNSAFE, "b.py": UNSAFE})

    def vanish(path: str) -> None:
        (root / "b.py").unlink(missing_ok=True)

    assert outcomes(root, progress=vanish) == {"a.py": "migrated", "b.py": "diagnosed"}


def test_progress_is_told_of_each_file(tree):
    root = tree({"a.py": b"", "b.py": b""})
    seen = []
    outcomes(root, progress=seen.append)
    assert seen == ["a.py", "b.py"]


def migrate(root) -> list[str]:
    problems = []
    with Journal.begin(root) as journal:
        for audit in audit_tree(root, policy=default_policy(root)):
            problem = migrate_file(journal, root, audit)
            if problem is not None:
                problems.append(f"{audit.path}: {problem.message}")
    return problems


def test_mode_stays_and_read_only_files_are_left_alone(tree):
    root = tree({"a.py": UNSAFE, "b.py": UNSAFE})
    (root / "a.py").chmod(0o751)
    (root / "b.py").chmod(0o444)
    assert migrate(root) == ["b.py: the file is read-only"]
    assert stat.S_IMODE((root / "a.py").stat().st_mode) == 0o751
    assert (root / "b.py").read_bytes() == UNSAFE


def test_a_file_that_changed_after_the_look_is_left_alone(tree):
    root = tree({"a.py": UNSAFE})
    (audit,) = audit_tree(root, policy=default_policy(root))
    (root / "a.py").write_bytes(b"edited\n")
    with Journal.begin(root) as journal:
        problem = migrate_file(journal, root, audit)
        (root / "a.py").unlink()
        gone = migrate_file(journal, root, audit)
    assert "changed" in problem.message
    assert "not written" in gone.message


def test_a_second_migration_changes_nothing(tree):
    root = tree({"a.py": UNSAFE, "b/c.py": b"from joblib import load\r\nload('x')\r\n"})
    migrate(root)
    first = {path: path.read_bytes() for path in root.rglob("*.py")}
    assert outcomes(root) == {"a.py": "unchanged", "b/c.py": "unchanged"}
    migrate(root)
    assert {path: path.read_bytes() for path in root.rglob("*.py")} == first


def test_paths_count_from_the_policys_root(tree):
    root = tree({"svc/app.py": b"import joblib\njoblib.load(__file__ + '.joblib')\n"})
    zone = Zone(name="own", paths=("svc/**",), trust="internal", codecs=("joblib",))
    (audit,) = audit_tree(root / "svc", policy=Policy(root=root, zones=(zone,)))
    assert audit.path == "app.py"
    assert audit.artifacts[0].pattern == "svc/app.py.joblib"
    assert audit.findings[0].detail["zone"] == "own"


def test_one_file_whatever_it_is_called(tree):
    root = tree({"notes.txt": UNSAFE})
    audit = audit_file(root / "notes.txt", policy=default_policy(root))
    assert audit.path == "notes.txt"
    assert audit.outcome == "migrated"


def test_a_root_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(audit_tree(tmp_path / "no", policy=default_policy(tmp_path)))


def test_constants_of_other_modules_show_a_path(tree):
    root = tree(
        {
            "svc/settings.py": b"from pathlib import Path\nMODELS = Path('models')\nX = NOWHERE\n",
            "svc/config.py": b"class S:\n    base: str = 'cache'\nsettings = S()\n",
            "svc/__init__.py": b"NAME = 'exports/models'\n",
            "svc/use.py": b"import joblib, os\n"
            b"from svc import settings, NAME\nfrom svc.settings import MODELS as M, X\n"
            b"from .config import settings as s\nimport svc.settings\nimport no.such as no\n"
            b"joblib.load(settings.MODELS / 'a')\njoblib.load(M / 'b')\n"
            b"joblib.load(os.path.join(s.base, 'c'))\njoblib.load(NAME + '/d')\n"
            b"joblib.load(X)\njoblib.load(no.X)\njoblib.load(settings.MISSING)\n",
        }
    )
    audits = {audit.path: audit for audit in audit_tree(root, policy=default_policy(root))}
    found = [(item.pattern, item.is_sure) for item in audits["svc/use.py"].artifacts]
    assert found == [
        ("models/a", True),
        ("models/b", True),
        ("cache/c", False),
        ("exports/models/d", True),
    ]
    assert len(audits["svc/use.py"].findings) == 7


def test_modules_that_import_from_each_other_end(tree):
    root = tree(
        {
            "a.py": b"import joblib\nfrom b import P\nQ = P\njoblib.load(P)\n",
            "b.py": b"from a import Q\nP = Q\n",
        }
    )
    (audit, _) = audit_tree(root, policy=default_policy(root))
    assert audit.artifacts == ()


def test_a_copy_of_safehold_keeps_the_real_libraries(tree):
    root = tree({"vendor/safehold/compat/pickle.py": UNSAFE, "safehold/mine.py": UNSAFE})
    assert outcomes(root) == {"safehold/mine.py": "migrated"}


def test_a_link_that_leads_to_itself_hides_no_source(tree):
    root = tree({"a.py": UNSAFE, "z/b.py": UNSAFE})
    (root / "loop.pkl").symlink_to("loop.pkl")
    assert list(outcomes(root)) == ["a.py", "z/b.py"]
