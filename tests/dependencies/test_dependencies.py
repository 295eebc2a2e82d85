"""Locks, holes of a database, drift, environments, bills of materials; no network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safehold._cli import main
from safehold.dependencies import known
from safehold.dependencies.locks import Pin, parse_declared, parse_pins

pytestmark = pytest.mark.extras

HASH = " --hash=sha256:" + "0" * 64
HOLE = {
    "schema_version": "1.6.0",
    "id": "GHSA-1",
    "aliases": ["CVE-2030-1"],
    "summary": "Runs\nwhat it is sent",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "Left_Pad"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "1.0"}, {"fixed": "1.4"}]},
                {"type": "ECOSYSTEM", "events": [{"introduced": "2"}, {"last_affected": "2.2"}]},
            ],
            "versions": ["0.1.dev3"],
        }
    ],
}
SAME = {**HOLE, "id": "PYSEC-2030-1", "aliases": ["CVE-2030-1"]}
GONE = {**HOLE, "id": "GHSA-2", "aliases": [], "withdrawn": "2030-01-01T00:00:00Z"}
OTHER = {
    "id": "RUSTSEC-1",
    "affected": [{"package": {"ecosystem": "crates.io", "name": "left-pad"}, "versions": ["1.0"]}],
}
UV = """\
version = 1
[[package]]
name = "service"
version = "0.1"
source = { editable = "." }
[[package]]
name = "left-pad"
version = "1.4"
source = { registry = "https://example.org" }
wheels = [{ url = "https://example.org/a.whl", hash = "sha256:00" }]
"""
POETRY = """\
[[package]]
name = "left-pad"
version = "1.2"
files = [{file = "a.whl", hash = "sha256:00"}]
"""
PYLOCK = """\
lock-version = "1.0"
[[packages]]
name = "left-pad"
version = "1.2"
wheels = [{ name = "a.whl", hashes = { sha256 = "00" } }]
"""
PIPFILE = '{"default": {\n"Left_Pad": {"version": "==1.2", "hashes": ["sha256:00"]}}}'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("osv.json").write_text(json.dumps([HOLE, SAME, GONE, OTHER]))

    def refused(*_arguments, **_options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("pip_audit._service.PyPIService", refused)
    return tmp_path


def scanned(capsys, *arguments: str) -> tuple[int, dict]:
    code = main(["scan", "--deps", "--deps-database", "osv.json", "--format", "json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def rules(whole: dict) -> list[str]:
    return [found["rule"] for file in whole["files"] for found in file["findings"]]


def test_does_nothing_to_a_lock_with_hashes_and_without_holes(folder, capsys):
    Path("requirements.in").write_text("left-pad>=1.4\n# a remark\n")
    Path("requirements.txt").write_text(f"left-pad==1.4 \\\n   {HASH}\n")
    assert scanned(capsys, ".") == (
        0,
        {
            "schema": 1,
            "files": [
                {
                    "path": "./requirements.txt",
                    "format": "lock",
                    "verdict": "clean",
                    "findings": [],
                }
            ],
            "summary": {"files": 1, "clean": 1, "suspicious": 0, "malicious": 0, "error": 0},
        },
    )


@pytest.mark.parametrize(
    ("version", "is_hit"),
    [
        ("0.9", False), ("1.0", True), ("1.3.9", True), ("1.4rc1", True), ("1.4", False),
        ("2.0", True), ("2.2", True), ("2.2.1", False), ("0.1.dev3", True),
    ],
)  # fmt: skip
def test_a_version_is_within_the_ranges_or_not(folder, version, is_hit):
    found = list(known.vulnerabilities([Pin("left-pad", version, 1, True)], "osv.json"))
    # The same hole under two names is told once, by the name that pip-audit prefers.
    assert [one.id for one in found] == (["PYSEC-2030-1"] if is_hit else [])
    for one in found:
        assert one.aliases == ("CVE-2030-1", "GHSA-1")
        assert one.mended == ("1.4",)


def test_a_hole_is_told_with_its_line_and_the_versions_without_it(folder, capsys):
    Path("requirements.txt").write_text(f"# x\nother==1{HASH}\nLeft.Pad[a]==1.2{HASH}\n")
    code, whole = scanned(capsys, "requirements.txt")
    (found,) = whole["files"][0]["findings"]
    assert (code, found["rule"], found["location"]["line"]) == (1, "SH601", 3)
    assert "Runs what it is sent; mended in 1.4" in found["message"]


@pytest.mark.parametrize(
    ("name", "text", "version"),
    [
        ("uv.lock", UV, "1.4"),
        ("poetry.lock", POETRY, "1.2"),
        ("pylock.toml", PYLOCK, "1.2"),
        ("Pipfile.lock", PIPFILE, "1.2"),
    ],
)
def test_locks_of_other_programs_are_read(name, text, version):
    (pin,) = parse_pins(text, name)
    assert (pin.name, pin.version, pin.hashed) == ("left-pad", version, True)
    assert not parse_pins(text.replace("hash", "cash"), name)[0].hashed


def test_pins_without_hashes_are_one_finding(folder, capsys):
    Path("requirements.txt").write_text(f"a==1\nb==2{HASH}\nc==3\nd>=4\n")
    code, whole = scanned(capsys, ".")
    assert (code, rules(whole)) == (1, ["SH602"])
    assert "2 of 3 packages have no hash: a, c" in whole["files"][0]["findings"][0]["message"]


def test_declarations_that_the_lock_does_not_have_are_drift(folder, capsys):
    Path("pyproject.toml").write_text(
        "[project]\nname = 'x'\ndependencies = [\n'left_pad>=1.5',\n'missing',\n"
        "'elsewhere; sys_platform == \"win32\"',\n]\n"
    )
    Path("uv.lock").write_text(UV)
    code, whole = scanned(capsys, ".")
    assert (code, rules(whole)) == (1, ["SH603", "SH603"])
    messages = [found["message"] for found in whole["files"][0]["findings"]]
    assert messages == [
        "pyproject.toml: left_pad>=1.5 is declared, and the lock has 1.4",
        "pyproject.toml: missing is declared and not in the lock",
    ]


def installed(folder: Path, name: str, version: str, licence: str) -> None:
    place = folder / f"{name}-{version}.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{licence}\n"
    )


def test_an_environment_with_another_version_is_told_and_licences_are_listed(folder, capsys):
    installed(folder / "site", "left_pad", "1.9", "License-Expression: MIT")
    installed(folder / "site", "b", "2", "Classifier: License :: OSI Approved :: BSD License")
    Path("requirements.txt").write_text(f"left-pad==1.4{HASH}\nb==2{HASH}\n")
    code, whole = scanned(capsys, ".", "--deps-environment", "site", "--also", "cyclonedx=bom.json")
    assert (code, rules(whole)) == (1, ["SH604"])
    bom = json.loads(Path("bom.json").read_text())
    rows = {row["purl"]: row for row in bom["components"] if row["type"] == "library"}
    assert rows["pkg:pypi/left-pad@1.4"]["licenses"] == [{"license": {"name": "MIT"}}]
    assert rows["pkg:pypi/b@2"]["licenses"] == [{"license": {"name": "BSD License"}}]
    assert bom["dependencies"][0]["dependsOn"] == sorted(rows)


def test_the_bill_is_as_the_schema_of_cyclonedx_says(folder, capsys):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    installed(folder / "site", "b", "2", "License: a licence of our own")
    Path("requirements.txt").write_text(f"left-pad==1.2\nb==2{HASH}\n")
    arguments = [".", "--deps-environment", "site", "--also", "cyclonedx=bom.json"]
    assert scanned(capsys, *arguments)[0] == 1
    text = Path("bom.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


@pytest.mark.parametrize(
    "text", ["", "{", "3", '[{"id": 1}, 2]', '{"vulns": [{"affected": [{"package": {}}]}]}']
)
def test_a_broken_database_is_an_error_and_not_clean(folder, capsys, text):
    Path("osv.json").write_text(text)
    Path("requirements.txt").write_text(f"a==1{HASH}\n")
    assert main(["scan", "--deps", "--deps-database", "osv.json", "."]) == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uv.lock", "x ="), ("Pipfile.lock", "{"), ("requirements.txt", "a==not a version" + HASH),
        ("pylock.toml", "packages = 3"),
    ],
)  # fmt: skip
def test_a_lock_that_cannot_be_audited_is_an_error_and_not_clean(folder, capsys, name, text):
    Path(name).write_text(text)
    assert scanned(capsys, ".")[0] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["."],
        ["--deps-database", "osv.json", "."],
        ["--deps", "--since", "HEAD", "."],
        ["--deps"],
        ["--deps", "--deps-environment", ".", "."],
        ["--deps", "nothing.txt"],
    ],
)
def test_options_that_contradict_each_other_are_an_error(folder, arguments):
    assert main(["scan", *arguments]) == (0 if arguments == ["."] else 2)


def test_without_a_database_pip_audit_is_asked(folder, capsys, monkeypatch):
    from pip_audit._service import ServiceError, VulnerabilityService

    class Down(VulnerabilityService):
        def query(self, spec):
            raise ServiceError

    monkeypatch.setattr("pip_audit._service.PyPIService", Down)
    Path("requirements.txt").write_text(f"a==1{HASH}\n")
    assert main(["scan", "--deps", "."]) == 2
    assert "could not be looked up" in capsys.readouterr().out


def test_declared_lines_have_no_options():
    text = "-r other.in\n--hash=x\nflask>=2  # why\nhttps://x/y.whl\nb[c] ; python_version>'3'\n"
    assert [(one.text, one.line) for one in parse_declared(text, "requirements.in")] == [
        ("flask>=2", 3),
        ("b[c] ; python_version>'3'", 5),
    ]
