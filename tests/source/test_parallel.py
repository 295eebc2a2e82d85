"""Several processes find what one finds, in its order, or say that they did not."""

from __future__ import annotations

import os
import signal

import pytest

from safehold._cli import main
from safehold.errors import ConfigError
from safehold.policy import default_policy
from safehold.source import audit_tree
from safehold.source import tree as tree_module
from safehold.source.parallel import batches

pytestmark = pytest.mark.extras


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "service"
    for number in range(40):
        package = root / f"pkg{number % 3}"
        package.mkdir(parents=True, exist_ok=True)
        text = f"import pickle\npickle.loads(b'{number}')\n" if number % 2 else "x = 1\n"
        (package / f"m{number}.py").write_text(text)
    (root / "where.py").write_text("PLACE = 'data/a.pkl'\n")
    (root / "uses.py").write_text(
        "import pickle\nfrom where import PLACE\npickle.dump({}, open(PLACE, 'wb'))\n"
    )
    (root / "broken.py").write_text("import pickle\nx = (\n")
    (root / "gone.py").symlink_to("gone.py")
    (root / "script").write_text("#!/usr/bin/python\nimport joblib\njoblib.load('m')\n")
    return root


def test_results_and_their_order_are_those_of_one_process(tree):
    policy = default_policy(tree)
    alone = list(audit_tree(tree, policy=policy, exclude=["m3.*"]))
    told: list[str] = []

    shared = list(audit_tree(tree, policy=policy, exclude=["m3.*"], jobs=2, progress=told.append))

    assert shared == alone
    assert told == [item.path for item in alone]
    kept = list(audit_tree(tree, policy=policy, jobs=2, keep=lambda name: "pkg1" in name))
    assert kept == [item for item in audit_tree(tree, policy=policy) if "pkg1" in item.path]


def test_every_item_is_in_one_batch_in_its_order():
    for count in (0, 1, 7, 130, 5000):
        for jobs in (-1, 2, 9):
            shared = batches(range(count), jobs)
            assert [item for batch in shared for item in batch] == list(range(count))
            assert all(0 < len(batch) <= 64 for batch in shared)


def test_what_is_printed_and_written_is_the_same(tree, tmp_path, capsys):
    printed = []
    for jobs in ("1", "2"):
        assert main(["migrate", str(tree), "--format", "json", "--jobs", jobs]) == 1
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    written = []
    for jobs in ("1", "2"):
        assert main(["migrate", str(tree), "--write", "--jobs", jobs]) == 1
        written.append({path: path.read_bytes() for path in tree.rglob("*.py") if path.exists()})
        assert main(["migrate", str(tree), "--rollback"]) == 0
    assert written[0] == written[1]
    assert any(b"compat" in data for data in written[0].values())


def killed(candidate, *_rest):
    if candidate.relative.endswith("m7.py"):
        os.kill(os.getpid(), signal.SIGKILL)


def failing(candidate, *_rest):
    if candidate.relative.endswith("m7.py"):
        raise RuntimeError("broken")


class Look(tree_module._Look):
    """Looks at files by another function, in whatever process."""

    def at(self, batch):
        return [self.work(candidate) for candidate in batch]

    work = staticmethod(killed)


class FailingLook(Look):
    work = staticmethod(failing)


@pytest.mark.parametrize("look", [Look, FailingLook])
def test_a_worker_that_fails_is_an_error_and_nothing_is_written(tree, monkeypatch, look, capsys):
    monkeypatch.setattr(tree_module, "_Look", look)
    with pytest.raises(
        ConfigError, match=r"no answer for \S+ or a file after it: .*use fewer --jobs"
    ):
        list(audit_tree(tree, policy=default_policy(tree), jobs=2))
    before = {path: path.read_bytes() for path in tree.rglob("*.py") if path.exists()}
    assert main(["migrate", str(tree), "--write", "--jobs", "2"]) == 2
    assert "use fewer --jobs" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before
    assert not (tree / ".safehold").exists()


def test_a_number_that_is_none_is_refused(tree, capsys):
    for number in ("0", "-2", "many"):
        with pytest.raises(SystemExit):
            main(["migrate", str(tree), "--jobs", number])
    assert "-1 for all cores" in capsys.readouterr().err
