"""A policy that came with the checkout is followed only as far as it stays within it."""

from __future__ import annotations

import pytest

from safehold.keys import generate_key

POLICY = """\
version = 1
[keys]
source = {source!r}
[trail]
path = {trail!r}
[marks]
path = {marks!r}
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("THE_KEY", generate_key())
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "app.py").write_text("import pickle\n\npickle.dumps(1)\n")
    (root / "key").write_text(generate_key())
    return root


def write(root, source="env:THE_KEY", trail="var/trail", marks="var/marks"):
    policy = root / "safehold.toml"
    policy.write_text(POLICY.format(source=source, trail=trail, marks=marks))
    return policy


def test_command_of_a_found_policy_is_not_run(checkout, tmp_path, call):
    marker = tmp_path / "marker"
    policy = write(checkout, f"cmd:sh -c 'touch {marker}; cat key'")

    result = call("harden", checkout, "--write")

    assert result.code == 2
    assert "comes from a command" in result.err
    assert "--policy" in result.err
    assert not marker.exists()
    assert (checkout / "app.py").read_text().startswith("import pickle\n")
    call("harden", checkout)
    call("scan", checkout)
    call("migrate", checkout)
    assert not marker.exists()
    call("harden", checkout, "--write", "--policy", policy)
    assert marker.exists()


def test_witness_of_a_found_policy_is_told_nothing(checkout, tmp_path, call):
    marker = tmp_path / "marker"
    policy = write(checkout)
    line = f'[trail]\nwitness = ["cmd:touch {marker}"]\n'
    policy.write_text(policy.read_text().replace("[trail]\n", line))
    done = call("harden", checkout, "--write")
    assert done.code == 2
    assert "to a witness that it names" in done.err
    assert not marker.exists()


@pytest.mark.parametrize("table", ["[keys.local]", "[[keys.previous]]"])
def test_command_of_no_key_of_a_found_policy_is_run(checkout, tmp_path, call, table):
    marker = tmp_path / "marker"
    policy = write(checkout)
    command = f"cmd:sh -c 'touch {marker}; cat key'"
    policy.write_text(policy.read_text() + f'{table}\nid = "other"\nsource = "{command}"\n')

    result = call("harden", checkout, "--write")

    assert result.code == 2
    assert "key 'other' comes from a command" in result.err
    assert not marker.exists()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"source": "vault:http://127.0.0.1:1/x"}, "comes from vault:"),
        ({"source": "file:../key"}, "file outside"),
        ({"source": "file:link"}, "file outside"),
        ({"source": "file:~/key"}, "file outside"),
        ({"trail": "../trail"}, "trail would be written outside"),
        ({"trail": "outside/trail"}, "trail would be written outside"),
        ({"marks": "/tmp/marks-of-nobody"}, "marks would be written outside"),
    ],
)
def test_places_of_a_found_policy_lie_below_it(checkout, tmp_path, call, options, what):
    (checkout / "key").rename(tmp_path / "key")
    (checkout / "link").symlink_to(tmp_path / "key")
    (checkout / "outside").symlink_to(tmp_path)
    before = sorted(tmp_path.iterdir())
    write(checkout, **options)

    result = call("harden", checkout, "--write")

    assert result.code == 2
    assert what in result.err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("source", ["env:THE_KEY", "file:key"])
def test_found_policy_that_stays_within_is_followed(checkout, call, source):
    write(checkout, source)
    result = call("harden", checkout, "--write")
    assert "wrote app.py" in result.out, result.err
