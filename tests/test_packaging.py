"""What is handed out as source builds the extension where it can, and installs where it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

pytest.importorskip("setuptools")

_ROOT = Path(__file__).parent.parent
_NEEDED = {
    "setup.py",
    "src/safehold/guard/_native.c",
    "src/safehold/guard/_entries.c",
    "src/safehold/guard/_native.h",
    "src/safehold/guard/_native.pyi",
    "src/safehold/guard/boot/sitecustomize.py",
    "src/safehold/py.typed",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the unpacked source distribution."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(_ROOT / name, checkout)
    unwanted = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
    shutil.copytree(_ROOT / "src", checkout / "src", ignore=unwanted)
    _python(checkout, os.environ["PATH"], "-c",
            "from setuptools import build_meta; build_meta.build_sdist('dist')")  # fmt: skip
    [archive] = (checkout / "dist").iterdir()
    with tarfile.open(archive) as packed:
        packed.extractall(checkout / "unpacked", filter="data")
    [unpacked] = (checkout / "unpacked").iterdir()
    return unpacked


def _python(directory: Path, path: str, *arguments: str) -> None:
    environ = {**os.environ, "PATH": path}
    done = subprocess.run([sys.executable, *arguments], cwd=directory, env=environ, check=False,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def _built(source: Path, into: Path, path: str) -> list[Path]:
    _python(source, path, "setup.py", "-q", "build", "--build-base", str(into))
    assert list(into.rglob("guard/boot/sitecustomize.py"))
    return list(into.rglob("_native.*.so"))


def test_the_source_has_all_that_the_extension_is_made_of(source: Path) -> None:
    held = {str(path.relative_to(source)) for path in source.rglob("*")}
    assert held >= _NEEDED
    assert {path.name for path in (_ROOT / "src/safehold/allow").glob("*.json")} == {
        path.name for path in (source / "src/safehold/allow").glob("*.json")
    }


def test_the_source_builds_the_extension(source: Path, tmp_path: Path) -> None:
    compiler = (sysconfig.get_config_var("CC") or "").split()
    if not compiler or shutil.which(compiler[0]) is None:
        pytest.skip("no compiler")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("no headers")
    assert _built(source, tmp_path, os.environ["PATH"])


def test_the_source_installs_without_a_compiler(source: Path, tmp_path: Path) -> None:
    assert not _built(source, tmp_path, str(tmp_path / "nothing"))
