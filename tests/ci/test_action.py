"""The action for GitHub: its steps are run as a runner would, with inputs that attack them."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.ci.conftest import INJECTIONS, ROOT, commit_all, program

pytestmark = pytest.mark.extras

ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS = {step["id"]: step for step in ACTION["runs"]["steps"] if "id" in step}
_INPUT = re.compile(r"\$\{\{ (inputs|steps\.scan\.outputs)\.([a-z-]+) \}\}")


@pytest.fixture
def step(shell, commands, tmp_path):
    """Run one step; return what it did and the outputs that it set."""

    def run(name, outputs=None, **inputs):
        given = {key.replace("_", "-"): value for key, value in inputs.items()}
        assert given.keys() <= ACTION["inputs"].keys()
        values = {key: row["default"] for key, row in ACTION["inputs"].items()} | given

        def value(match):
            return (values if match[1] == "inputs" else outputs or {}).get(match[2], "")

        variables = {
            key: _INPUT.sub(value, text) for key, text in STEPS[name].get("env", {}).items()
        }
        file = tmp_path / "output"
        file.write_text("")
        variables |= {"RUNNER_TEMP": str(tmp_path), "GITHUB_OUTPUT": str(file)}
        variables |= {"GITHUB_ACTION_PATH": str(ROOT)}
        done = shell(STEPS[name]["run"], variables)
        made = dict(line.split("=", 1) for line in file.read_text().splitlines())
        return done, made

    return run


@pytest.fixture
def job(step):
    """Run scan and verdict; return the code that the job ends with."""

    def run(**inputs):
        done, outputs = step("scan", **inputs)
        if done.returncode:
            return done.returncode
        chosen = {"fail_on": inputs["fail_on"]} if "fail_on" in inputs else {}
        return step("verdict", outputs, **chosen)[0].returncode

    return run


def test_no_script_holds_an_input():
    for one in STEPS.values():
        assert "${{" not in one["run"]
        assert one["shell"] == "bash"
        assert one["run"].startswith("set -euo pipefail\n")


def test_every_input_is_described_and_used():
    text = json.dumps(ACTION["runs"])
    for name, row in ACTION["inputs"].items():
        assert row["description"]
        assert f"inputs.{name} " in text


def test_other_actions_are_pinned_by_hash():
    used = [one["uses"] for one in ACTION["runs"]["steps"] if "uses" in one]
    assert used
    assert all(re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40}", name) for name in used)


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({}, 1),
        ({"fail_on": "error"}, 0),
        ({"fail_on": "never"}, 0),
        ({"paths": "good.pkl"}, 0),
        ({"paths": "\ngood.pkl\nunknown.pkl\n"}, 1),
        ({"exclude": "unk*"}, 0),
        ({"paths": "missing.pkl"}, 2),
        ({"paths": "missing.pkl", "fail_on": "error"}, 2),
        ({"paths": "missing.pkl", "fail_on": "never"}, 0),
        ({"baseline": "missing.json"}, 2),
        ({"baseline": "missing.json", "fail_on": "never"}, 2),
        ({"policy": "missing.toml", "fail_on": "never"}, 2),
    ],
)
def test_what_fails_the_job(job, inputs, code):
    assert job(**inputs) == code


def test_a_program_that_does_not_start_fails_the_job_whatever_may(job, commands):
    program(commands / "safehold", "exit 1")

    assert job(fail_on="never") == 1


def test_a_document_of_an_earlier_run_is_not_taken_for_this_one(job, checkout):
    (checkout / "safehold.sarif").write_text("{}")

    assert job(baseline="missing.json", fail_on="never") == 2
    assert not (checkout / "safehold.sarif").exists()


def test_documents_and_outputs(step, checkout):
    _, outputs = step("scan", html="a page.html", cyclonedx="bom.json", sarif="s.sarif")

    assert outputs == {"exit-code": "1", "sarif": "s.sarif"}
    assert (checkout / "a page.html").exists()
    assert json.loads((checkout / "bom.json").read_text())["bomFormat"] == "CycloneDX"


def test_a_baseline_counts(job, checkout, step, shell, commands):
    shell(f"{commands}/safehold scan --write-baseline known.json .", {})

    assert job(baseline="known.json") == 0


@pytest.mark.parametrize(
    "name",
    [
        "paths",
        "policy",
        "baseline",
        "exclude",
        "since",
        "cache",
        "sarif",
        "html",
        "cyclonedx",
        "category",
    ],
)
@pytest.mark.parametrize("text", [*INJECTIONS, "--output=owned", "-h"])
def test_no_input_runs_anything_or_is_an_option(step, checkout, recorder, name, text):
    done, outputs = step("scan", **{name: text})

    assert not (checkout / "owned").exists()
    assert not outputs.keys() - {"exit-code", "sarif"}
    lines = [line for line in text.split("\n") if line]
    if len(lines) > 1 and name not in ("paths", "exclude"):
        assert done.returncode == 2
        return
    arguments = recorder()
    end = arguments.index("--")
    given = {
        "paths": "",
        "exclude": "--exclude=",
        "since": "--since=",
        "cache": "--cache=",
        "policy": "--policy=",
        "baseline": "--baseline=",
        "category": "--category=",
    }
    prefix = given.get(name, f"--also={name}=")
    found = arguments[end + 1 :] if name == "paths" else arguments[:end]
    assert all(f"{prefix}{line}" in found for line in lines)
    assert all(argument.startswith("--") and "=" in argument for argument in arguments[1:end])


def test_results_are_taken_from_the_cache(step, checkout, tmp_path):
    folder = str(tmp_path / "kept")
    first, _ = step("scan", cache=folder)
    second, _ = step("scan", cache=folder)
    assert "from the cache" not in first.stdout
    assert "from the cache: " in second.stdout


def test_since_looks_at_what_changed_alone(job, checkout, monkeypatch):
    commit_all(checkout)
    assert job(since="HEAD") == 0
    (checkout / "good.pkl").write_bytes((checkout / "unknown.pkl").read_bytes())
    assert job(since="HEAD") == 1
    assert job(since="none", fail_on="never") == 2


@pytest.mark.parametrize("text", ["a\nexit-code=0", "a\rb", "a\x1b[31m"])
def test_a_name_of_several_lines_is_refused(step, text):
    done, outputs = step("scan", sarif=text)

    assert done.returncode == 2
    assert outputs == {}


@pytest.mark.parametrize(
    "inputs", [{"fail_on": "no"}, {"fail_on": ""}, {"paths": "\n\n"}, {"sarif": ""}]
)
def test_inputs_that_mean_nothing_are_refused(step, inputs):
    assert step("scan", **inputs)[0].returncode == 2


def test_a_file_that_is_called_like_an_option_or_a_command_is_scanned(step, evil):
    (evil / "::stop-commands::x.pkl").write_bytes((evil / "unknown.pkl").read_bytes())

    done, outputs = step("scan", paths="--output=x.pkl\n::stop-commands::x.pkl")

    assert outputs["exit-code"] == "1"
    assert "malicious" in done.stdout
    assert not any(line.startswith("::") for line in done.stdout.splitlines())


@pytest.mark.parametrize("extras", ["a;b", "a b", "-r", "numpy,", "A", "a\nb", *INJECTIONS])
def test_extras_are_names(step, checkout, extras):
    done, _ = step("install", extras=extras)

    assert done.returncode == 2
    assert not (checkout / "owned").exists()


def test_what_is_installed_is_locked_and_this_checkout(step, shell, tmp_path):
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    program(fakes / "python3", f'echo "$@" >> "{tmp_path}/calls"')
    program(tmp_path / "safehold" / "bin" / "python", f'echo "$@" >> "{tmp_path}/calls"')
    script = f'PATH="{fakes}:$PATH"\n' + STEPS["install"]["run"]

    done = shell(
        script, {"EXTRAS": "numpy", "RUNNER_TEMP": str(tmp_path), "GITHUB_ACTION_PATH": str(ROOT)}
    )

    assert done.returncode == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert f"-m pip install --quiet --require-hashes -r {ROOT}/requirements/core.txt" in calls
    assert f"-m pip install --quiet --no-deps --no-build-isolation {ROOT}" in calls
    assert calls[-1] == f"-m pip install --quiet {ROOT}[numpy]"
