"""Nothing stands outside: each module imports, each file is registered, each name documented."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import json
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import safehold._cli
from safehold.errors import MissingExtra, SafeholdError
from scripts import reference

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

# Packages where one file is one codec, format or rule, and `__init__` holds the table of them;
# and the files there that several of those share.
TABLES: dict[str, set[str]] = {
    "safehold.artifacts.codecs": {
        f"safehold.artifacts.codecs.{name}"
        for name in ("arrays", "enums", "frames", "members", "values")
    },
    "safehold.artifacts.suites": {"safehold.artifacts.suites.parts"},
    "safehold.inputs.lexers": {"safehold.inputs.lexers.scanner"},
    "safehold.inputs.tripwires": {"safehold.inputs.tripwires.row"},
    "safehold.keys.sources": set(),
    "safehold.observe.formats": set(),
    "safehold.prove.probes": set(),
    "safehold.report.formats": set(),
    "safehold.scan.formats": set(),
    "safehold.source.rules": set(),
}


def files(package: ModuleType) -> set[str]:
    """Return the modules of a package, but for those with an underscore."""
    folder = Path(inspect.getfile(package)).parent
    return {
        f"{package.__name__}.{path.stem}"
        for path in folder.iterdir()
        if path.suffix == ".py" and not path.name.startswith("_")
    }


def owner(entry: Any, package: ModuleType) -> str:
    """Return the module that a table's entry comes from: itself, its name, or where it is held."""
    if isinstance(entry, str):
        return entry
    if isinstance(entry, ModuleType):
        return entry.__name__
    holders = [
        name
        for name in sorted(files(package))
        if any(value is entry for value in vars(importlib.import_module(name)).values())
    ]
    return holders[0] if len(holders) == 1 else str(holders)


def tables(package: ModuleType) -> list[Counter[str]]:
    """Return how often each module of the package stands in each of its tables."""
    found = []
    for name, value in list(vars(package).items()):  # owner imports, which adds names
        if name.lstrip("_").isupper() and isinstance(value, Mapping | tuple | list):
            entries = value.values() if isinstance(value, Mapping) else value
            found.append(Counter(owner(entry, package) for entry in entries))
    return found


@pytest.mark.parametrize("name", list(reference.modules()))
def test_module_imports(name, request):
    missing = None
    try:
        importlib.import_module(name)
    except MissingExtra as error:
        if not request.config.getoption("--no-extras"):
            raise
        missing = error.extra
    assert missing is None or missing in PROJECT["optional-dependencies"]


@pytest.mark.extras
@pytest.mark.parametrize(("name", "shared"), TABLES.items(), ids=list(TABLES))
def test_every_file_is_registered_exactly_once(name, shared):
    package = importlib.import_module(name)
    assert shared <= files(package)
    expected = Counter(files(package) - shared)
    assert expected, f"{name} has no files"
    assert expected in tables(package), f"no table of {name} lists each of its files once"


def test_every_verb_is_a_file_and_every_file_a_verb():
    assert {f"safehold._cli.{verb}" for verb in safehold._cli.VERBS} == files(safehold._cli)


@pytest.mark.extras
@pytest.mark.parametrize("name", list(reference.WRITERS))
def test_generated_page_is_what_the_code_says(name):
    committed = (reference.PAGES / name).read_text("utf-8")
    assert committed == reference.WRITERS[name](), "run `make reference` and commit the result"


@pytest.mark.extras
def test_every_rule_is_documented():
    page = (reference.PAGES / "rules.md").read_text("utf-8")
    assert reference.rules()
    for rule in reference.rules():
        assert f"{{#{rule.id.lower()}}}" in page, rule.id


@pytest.mark.parametrize("verb", sorted(safehold._cli.VERBS))
def test_every_command_is_documented(verb):
    assert f"{{#{verb}}}" in (reference.PAGES / "commands.md").read_text("utf-8")


@pytest.mark.parametrize("error", [error.__name__ for error in reference.errors()])
def test_every_error_is_documented(error):
    assert f"{{#{error.lower()}}}" in (reference.PAGES / "errors.md").read_text("utf-8")


@pytest.mark.parametrize("error", [error.__name__ for error in reference.errors()])
def test_every_error_stands_in_the_tree_on_top_of_the_file(error):
    head = inspect.getdoc(safehold.errors) or ""
    assert f"{error} " in head or f"{error}\n" in head


@pytest.mark.extras
def test_no_public_error_is_defined_elsewhere():
    for name in reference.modules():
        importlib.import_module(name)
    known, strangers = {SafeholdError}, set()
    waiting = [SafeholdError]
    while waiting:
        for error in waiting.pop().__subclasses__():
            if error not in known:
                known.add(error)
                waiting.append(error)
                if error.__module__.startswith("safehold.") and not error.__name__.startswith("_"):
                    strangers.add(error)
    assert strangers == set(reference.errors()) - {SafeholdError}


@pytest.mark.parametrize("statement", ["import safehold", "import safehold._cli"])
def test_import_loads_nothing_heavy_and_nothing_optional(statement):
    heavy = {
        "asyncio", "concurrent", "cryptography", "email", "html", "http", "importlib.metadata",
        "inspect", "json", "logging", "msgspec", "multiprocessing", "pickle", "socket", "sqlite3",
        "ssl", "subprocess", "tempfile", "tomllib", "unittest", "urllib", "xml", "zipfile",
        "blake3", "joblib", "numpy", "pandas", "prometheus_client", "pyarrow", "rich", "scipy",
        "sklearn", "torch",
    }  # fmt: skip
    program = "import sys; before = set(sys.modules); {}; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", program.format(statement)],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    loaded = set(done.stdout.split())
    assert "safehold" in loaded
    assert not loaded & heavy


def test_public_names_resolve():
    for name in safehold.__all__:
        assert getattr(safehold, name) is not None
    assert sorted(safehold.__all__) == dir(safehold)
    with pytest.raises(AttributeError):
        safehold.no_such_name  # noqa: B018  the look-up is the test


def test_version_is_written_once():
    assert importlib.metadata.version("safehold") == safehold.__version__
    assert "version" in PROJECT["dynamic"]


def test_every_page_of_the_documentation_stands_in_the_navigation():
    listed = (ROOT / "mkdocs.yml").read_text("utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert str(page.relative_to(ROOT / "docs")) in listed


def test_locks_hold_no_addresses():
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text("utf-8")
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "--index-url" not in text


def test_the_lock_of_the_judges_of_headers_names_no_registry():
    lock = json.loads((ROOT / "tests/web/browser/package-lock.json").read_text("utf-8"))
    for name, package in lock["packages"].items():
        assert "resolved" not in package
        assert name == "" or package["integrity"].startswith("sha512-"), name


def test_allow_presets_are_valid_json():
    for preset in (ROOT / "src" / "safehold" / "allow").glob("*.json"):
        assert json.loads(preset.read_text("utf-8"))


def test_every_codec_is_documented_with_its_suffixes():
    from safehold.artifacts.codecs import CODECS

    lines = (ROOT / "docs/reference/codecs.md").read_text("utf-8").splitlines()
    for name, row in CODECS.items():
        (line,) = [line for line in lines if line.startswith(f"| `{name}` |")]
        assert ", ".join(f"`{suffix}`" for suffix in row.suffixes) in line


def test_every_output_format_is_documented():
    from safehold._cli._output import FORMATS

    page = (ROOT / "docs/how-to/scan.md").read_text("utf-8")
    for name in FORMATS:
        assert f"\n| `{name}` |" in page


def test_every_export_format_is_documented():
    from safehold.observe.formats import FORMATS

    page = (ROOT / "docs/how-to/trail.md").read_text("utf-8")
    for name in FORMATS:
        assert f"\n| `{name}` |" in page


def test_every_key_source_is_documented():
    from safehold.keys.sources import SOURCES

    page = (ROOT / "docs/how-to/keys.md").read_text("utf-8")
    for scheme in SOURCES:
        assert f"\n| `{scheme}:" in page


def test_changelog_says_what_is_not_released_yet():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    unreleased = text.partition("## [Unreleased]")[2].partition("\n## [")[0]
    assert unreleased.count("\n- ") > 5
