"""The component for GitLab: its job is run as a runner would, with inputs that attack it."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import yaml

from tests.ci.conftest import INJECTIONS, ROOT, commit_all, program

pytestmark = pytest.mark.extras

SPEC, JOBS = yaml.safe_load_all((ROOT / "templates" / "scan.yml").read_text("utf-8"))
INPUTS = SPEC["spec"]["inputs"]
_INPUT = re.compile(r"\$\[\[ inputs\.([a-z-]+) \]\]")


def filled(value, inputs):
    """Put inputs where GitLab does: into the values of the parsed file."""
    if isinstance(value, dict):
        return {filled(key, inputs): filled(item, inputs) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, inputs) for item in value]
    if isinstance(value, str):
        return _INPUT.sub(lambda match: inputs[match[1]], value)
    return value


@pytest.fixture
def job(shell, commands, checkout, tmp_path):
    """Run the job with these inputs."""
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    venv = 'mkdir -p "$3/bin" && cp "{0}" "{1}/python" "$3/bin"'
    program(fakes / "python", f'echo "$@" >> "{tmp_path}/calls"')
    program(fakes / "python3", venv.format(commands / "safehold", fakes))

    def run(**inputs):
        given = {key.replace("_", "-"): value for key, value in inputs.items()}
        assert given.keys() <= INPUTS.keys()
        values = {key: row["default"] for key, row in INPUTS.items()} | given
        (one,) = filled(JOBS, values).values()
        variables = {name: row["value"] for name, row in one["variables"].items()}
        script = "\n".join([f'PATH="{fakes}:$PATH"', *one["before_script"], *one["script"]])
        return shell(script, variables, program="sh")

    return run


def test_no_script_holds_an_input_and_no_variable_is_expanded():
    (one,) = JOBS.values()
    assert not _INPUT.search(json.dumps([one["before_script"], one["script"]]))
    assert all(row["expand"] is False for row in one["variables"].values())


def test_every_input_is_used_and_has_a_default():
    text = json.dumps(JOBS)
    for name, row in INPUTS.items():
        assert "default" in row
        assert f"inputs.{name} " in text


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({}, 1),
        ({"fail_on": "error"}, 0),
        ({"fail_on": "never"}, 0),
        ({"paths": "good.pkl"}, 0),
        ({"paths": "good.pkl\nunknown.pkl"}, 1),
        ({"exclude": "unk*"}, 0),
        ({"paths": "missing.pkl", "fail_on": "error"}, 2),
        ({"paths": "missing.pkl", "fail_on": "never"}, 0),
        ({"paths": ""}, 2),
        ({"fail_on": "no"}, 2),
        ({"baseline": "missing.json", "fail_on": "never"}, 2),
        ({"policy": "missing.toml", "fail_on": "never"}, 2),
    ],
)
def test_what_fails_the_job(job, inputs, code):
    assert job(**inputs).returncode == code


def test_a_program_that_does_not_start_fails_the_job_whatever_may(job, commands, checkout):
    (checkout / "safehold.sarif").write_text("{}")
    program(commands / "safehold", "exit 0")

    assert job(fail_on="never").returncode == 2


def test_documents(job, checkout):
    job()

    (one,) = JOBS.values()
    for name in (*one["artifacts"]["paths"], one["artifacts"]["reports"]["codequality"]):
        assert (checkout / name).stat().st_size
    (row,) = json.loads((checkout / "gl-code-quality-report.json").read_text())
    assert row["location"]["path"] == "unknown.pkl"


@pytest.mark.parametrize("name", ["paths", "policy", "baseline", "exclude", "since", "cache"])
@pytest.mark.parametrize("text", [*INJECTIONS, "--output=owned", "-h"])
def test_no_input_runs_anything_or_is_an_option(job, checkout, recorder, name, text):
    job(**{name: text})

    assert not (checkout / "owned").exists()
    arguments = recorder()
    end = arguments.index("--")
    prefix = "" if name == "paths" else f"--{name}="
    found = arguments[end + 1 :] if name == "paths" else arguments[:end]
    lines = [text] if name in ("policy", "baseline", "since", "cache") else text.split("\n")
    assert all(f"{prefix}{line}" in found for line in lines if line)
    assert all(argument.startswith("--") and "=" in argument for argument in arguments[1:end])


def test_results_are_taken_from_the_cache(job, checkout, tmp_path):
    folder = str(tmp_path / "kept")
    first = job(cache=folder)
    shutil.rmtree(checkout / ".safehold-venv")
    assert "from the cache" not in first.stdout
    assert "from the cache: " in job(cache=folder).stdout


def test_since_looks_at_what_changed_alone(job, checkout):
    commit_all(checkout)
    assert job(since="HEAD").returncode == 0
    (checkout / "good.pkl").write_bytes((checkout / "unknown.pkl").read_bytes())
    shutil.rmtree(checkout / ".safehold-venv")
    assert job(since="HEAD").returncode == 1
    assert job(since="none", fail_on="never").returncode == 2


@pytest.mark.parametrize("text", INJECTIONS)
def test_what_fails_the_job_is_one_of_three_words(job, checkout, recorder, text):
    assert job(fail_on=text).returncode == 2
    assert recorder() == []
    assert not (checkout / "owned").exists()


def test_a_file_that_is_called_like_an_option_is_scanned(job, evil):
    done = job(paths="--output=x.pkl")

    assert done.returncode == 1
    assert "malicious" in done.stdout


@pytest.mark.parametrize(
    "text", ["safehold==1.0", "safehold[numpy] >=1,<2", "x @ git+https://e.x/y@abc"]
)
def test_requirements_that_are_taken(job, recorder, tmp_path, text):
    assert re.fullmatch(INPUTS["requirement"]["regex"], text)
    job(requirement=text)

    assert (tmp_path / "calls").read_text() == f"-m pip install --quiet -- {text}\n"


@pytest.mark.parametrize("text", ["-r x", "--index-url=x", "", *INJECTIONS])
def test_requirements_that_are_refused(text):
    assert not re.fullmatch(INPUTS["requirement"]["regex"], text)
