"""The example service: trained, attacked, hardened, attacked again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.extras

from examples import demo  # noqa: E402  (the marker of extras comes first)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TRADER = EXAMPLES / "trader"
ATTACKS = demo.ATTACKS
PLANTS = demo.PLANTS


@dataclass(frozen=True)
class Service:
    """A copy of the service and the variables that its programs get besides the usual ones."""

    root: Path
    variables: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        usual = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SAFEHOLD_", "TRADER_", "PYTEST_"))
        }
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=usual | self.variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def attack(self, name: str, marker: Path) -> subprocess.CompletedProcess[str]:
        return self.run(f"attacks/{name}.py", "--marker", str(marker))

    def artifacts(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for directory in ("models", "data", "configs")
            for path in (self.root / directory).iterdir()
            if path.suffix in {".joblib", ".pkl"}
        }


def checked(done: subprocess.CompletedProcess[str], *codes: int) -> str:
    assert done.returncode in codes, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained") / "trader"
    left_behind = shutil.ignore_patterns("__pycache__", "models", "data", "configs")
    shutil.copytree(TRADER, root, ignore=left_behind)
    checked(Service(root, {}).run("-m", "trader.train"), 0)
    return root


@pytest.fixture(scope="module")
def plain(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Service:
    root = tmp_path_factory.mktemp("plain") / "trader"
    shutil.copytree(trained, root)
    return Service(root, {})


@pytest.fixture(scope="module")
def hardened(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Service:
    root = tmp_path_factory.mktemp("hardened") / "trader"
    shutil.copytree(trained, root)
    key = checked(Service(root, {}).run("-m", "safehold", "keygen"), 0).strip()
    command = ("-m", "safehold", "harden", ".", "--write", "--report", "report")
    keyed = Service(root, {"SAFEHOLD_SECRET_KEY": key})
    checked(keyed.run(*command, "--exclude", "attacks"), 0, 1)
    demo.guard(root)
    return Service(root, keyed.variables | {"SAFEHOLD_POLICY": str(root / "safehold.toml")})


def summary(service: Service) -> str:
    done = service.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no")
    # Warnings of its libraries, which a slow machine provokes, are not counted.
    return re.split(" in |, ", checked(done, 0).splitlines()[-1])[0]


def test_the_example_does_not_know_what_hardens_it() -> None:
    sources = [path for path in TRADER.rglob("*") if path.suffix in {".py", ".html", ".md", ".txt"}]
    assert len(sources) > 20
    assert [path for path in sources if "safehold" in path.read_text().lower()] == []


def test_the_attacks_need_no_library_that_hardening_replaces() -> None:
    imported = re.compile(
        r"^\s*(?:import|from) +(?:c?Pickle|pickle|_pickle|joblib)\b", re.MULTILINE
    )
    attacks = list((TRADER / "attacks").glob("*.py"))
    assert {path.stem for path in attacks} == {*ATTACKS, "payload", "service"}
    assert [path for path in attacks if imported.search(path.read_text())] == []


def test_the_plain_service_passes_its_tests(plain: Service) -> None:
    assert re.fullmatch(r"\d\d passed", summary(plain))


@pytest.mark.parametrize("name", ATTACKS)
def test_the_plain_service_falls_to(name: str, plain: Service, tmp_path: Path) -> None:
    victims = plain.artifacts()
    done = plain.attack(name, tmp_path / "marker")
    assert checked(done, 0).startswith("SUCCEEDED: ")
    assert (tmp_path / "marker").exists() == (name in PLANTS)
    left = plain.artifacts()
    newer = {path for path in victims if left[path] != victims[path]}
    # An old model stays valid for an attacker only until the operator's newer one is back.
    assert newer == ({"models/direction.joblib"} if name == "replay_model" else set())


def test_a_planted_model_falls_in_both_files(plain: Service, tmp_path: Path) -> None:
    said = checked(plain.attack("plant_model", tmp_path / "marker"), 0)
    assert "models/direction.joblib" in said
    assert "models/scaler.pkl" in said


def test_an_attack_on_a_service_that_does_not_start_is_an_error(
    trained: Path, tmp_path: Path
) -> None:
    root = tmp_path / "trader"
    shutil.copytree(trained, root)
    (root / "models" / "direction.joblib").unlink()
    done = Service(root, {}).attack("tamper_model", tmp_path / "marker")
    assert checked(done, 2).startswith("ERROR: the service does not start: FileNotFoundError")


def test_hardening_writes_policy_and_reports(hardened: Service) -> None:
    written = (
        "safehold.toml",
        *(f"report/{n}.{f}" for n in ("before", "after") for f in ("html", "txt")),
    )
    assert [name for name in written if not (hardened.root / name).is_file()] == []


def test_hardening_seals_every_artifact(trained: Path, hardened: Service) -> None:
    before, after = Service(trained, {}).artifacts(), hardened.artifacts()
    assert before.keys() <= after.keys()
    assert [path for path in before if not after[path].startswith(b"SFH1")] == []


def test_hardening_leaves_what_is_excluded(hardened: Service) -> None:
    for path in (TRADER / "attacks").glob("*.py"):
        assert (hardened.root / "attacks" / path.name).read_bytes() == path.read_bytes()


def test_the_hardened_service_passes_the_same_tests(plain: Service, hardened: Service) -> None:
    assert summary(hardened) == summary(plain)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_hardened_service_refuses(name: str, hardened: Service, tmp_path: Path) -> None:
    victims = hardened.artifacts()
    done = hardened.attack(name, tmp_path / "marker")
    expected = r"FAILED: NoEffect: ." if name in demo.BOUND else r"FAILED: safehold\.[\w.]+: ."
    assert re.match(expected, checked(done, 1)), done.stdout
    assert not (tmp_path / "marker").exists()
    left = hardened.artifacts()
    newer = {path for path in victims if left[path] != victims[path]}
    assert newer == ({"models/direction.joblib"} if name == "replay_model" else set())


def test_the_findings_of_values_in_sql_are_closed(hardened: Service) -> None:
    before, after = (
        (hardened.root / "report" / f"{name}.txt").read_text() for name in ("before", "after")
    )
    assert "SH201" in before
    assert "SH201" not in after
    assert "SH202" in after  # the order of trades, which the guard stands before


def test_the_trail_has_the_statement_that_was_refused(hardened: Service, tmp_path: Path) -> None:
    hardened.attack("inject_order", tmp_path / "marker")
    asked = ("--action", "statement", "--outcome", "refused", "--format", "jsonl")
    done = hardened.run("-m", "safehold", "trail", "export", *asked, "--policy", "safehold.toml")
    assert '"SH510"' in checked(done, 0)
    assert "substr" not in done.stdout


def test_the_hardened_service_still_trains_and_serves(hardened: Service) -> None:
    checked(hardened.run("-m", "trader.train"), 0)
    load = "from trader.predict import Predictor; print(Predictor.from_disk().symbols)"
    assert "ACME" in checked(hardened.run("-c", load), 0)
