"""What gets into a weak service does not get into a strong one, and what was not tried says so."""

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path

import pytest

from safehold.errors import ConfigError, TrailError
from safehold.keys import generate_key
from safehold.observe.lines import read_lines
from safehold.prove import Said
from safehold.prove.artifacts import reads_are_seen
from safehold.prove.confining import confine_network
from safehold.prove.hints import Hints
from safehold.prove.probe import Probe
from safehold.prove.probes import PROBES
from safehold.prove.proving import result_of
from safehold.prove.result import Attempt
from safehold.prove.tree import digest_of
from safehold.prove.watching import Watch
from safehold.prove.world import World, redacted
from safehold.scan.isolated import isolated

IDS = [probe.id for probe in PROBES]
POLICY = """\
version = 1
[keys]
source = "env:THE_KEY"
id = "k1"
[trail]
path = "trail"
[marks]
path = "marks"
"""
CHROMIUM = shutil.which("chromium") or ""


@pytest.fixture(autouse=True)
def _reads_are_seen(tmp_path):
    if not reads_are_seen(tmp_path):
        pytest.skip("this file system does not tell of reads")


def by_id(proof):
    return {result.probe.id: result for result in proof.results}


def test_does_nothing_to_the_tree(tree, weak, strong):
    before = digest_of(tree)
    assert weak.tree == strong.tree == before
    assert sorted(path.name for path in tree.iterdir() if path.name[:2] != "__") == [
        "digests.json", "files", "first.pkl", "second.pkl", "service.py",
    ]  # fmt: skip


@pytest.mark.parametrize("name", IDS)
def test_gets_into_the_weak_service(name, weak):
    result = by_id(weak)[name]
    assert result.outcome == "got-in", result.as_json()


@pytest.mark.parametrize("name", IDS)
def test_does_not_get_into_the_strong_service(name, strong):
    result = by_id(strong)[name]
    assert result.outcome == "held", result.as_json()
    assert {row.outcome for row in result.tried} == {"held"}


def test_each_artifact_is_attacked(weak):
    whats = [row.what for row in by_id(weak)["planted-pickle"].tried]
    assert whats == ["a command in first.pkl", "a command in second.pkl"]


def test_evidence_does_not_hold_the_secret(weak):
    (row,) = by_id(weak)["default-secret"].tried
    assert re.fullmatch(r"the cookie visit is signed with a key that service.py:\d+ holds",
                        row.evidence)  # fmt: skip


def test_the_document_has_what_a_report_needs(weak):
    document = weak.as_json()
    assert (document["schema"], document["tree"][:7]) == (1, "sha256:")
    assert document["summary"] == {"got-in": len(PROBES), "held": 0, "not-tried": 0}
    for row in document["probes"]:
        assert re.fullmatch(r"SH\d{3}", row["rule"])
        assert set(row) == {"id", "rule", "title", "outcome", "reason", "tried"}
        assert all(one["evidence"] for one in row["tried"])


def test_evidence_is_redacted_bounded_and_of_one_line():
    text = "DATABASE_URL=postgresql://app:tr0ub4dor-and-3@db/x\n\x1b[31m" + "a" * 999
    shown = redacted(text)
    assert "tr0ub4dor" not in shown
    assert "[redacted" in shown
    assert (shown.isprintable(), len(shown)) == (True, 400)


def test_the_digest_is_of_names_and_contents_but_for_what_is_left_out(tmp_path):
    (tmp_path / "trail").mkdir()
    (tmp_path / "a").write_bytes(b"1")
    without = (tmp_path / "trail",)
    first = digest_of(tmp_path, without)
    (tmp_path / "trail" / "line").write_bytes(b"2")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_bytes(b"3")
    assert digest_of(tmp_path, without) == first != digest_of(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    second = digest_of(tmp_path, without)
    (tmp_path / "b").write_bytes(b"2")
    assert len({first, second, digest_of(tmp_path, without)}) == 3


def test_what_gives_nothing_to_try_on_is_not_tried_and_says_why(tmp_path, proving):
    program = (
        "import http.server as h, sys\n"
        "h.HTTPServer(('127.0.0.1', int(sys.argv[1])), h.SimpleHTTPRequestHandler).serve_forever()"
    )
    (tmp_path / "bare.py").write_text(program)
    proof = proving("", root=tmp_path, hints=Hints(), against="python bare.py {port}")
    results = by_id(proof)
    reasons = {name: row.reason for name, row in results.items() if row.outcome == "not-tried"}
    assert reasons.keys() == {
        "planted-pickle", "tampered-artifact", "swapped-artifacts", "replayed-artifact",
        "sql-injection", "cross-site-scripting", "default-secret", "oversize-body",
    }  # fmt: skip
    assert all(reasons.values())


def test_an_artifact_that_the_service_does_not_read_is_not_tried(tree, tmp_path, proving):
    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    (root / "idle.pkl").write_bytes(bytes(2**16))  # the largest is tampered with
    names = frozenset({"planted-pickle", "tampered-artifact"})
    place = tmp_path / "run"
    planted, tampered = proving("strong", root=root, only=names, place=place).results
    for name in ("first.pkl", "second.pkl", "idle.pkl"):
        assert (place / "tree" / name).read_bytes() == (root / name).read_bytes()
    outcomes = {row.what: row.outcome for row in planted.tried}
    assert outcomes == {
        "a command in first.pkl": "held",
        "a command in idle.pkl": "not-tried",
        "a command in second.pkl": "held",
    }
    (idle,) = [row for row in tampered.tried if "idle" in row.what]
    assert (idle.outcome, "without reading" in idle.evidence) == ("not-tried", True)


def test_a_command_without_renew_leaves_replaying_untried(proving):
    (result,) = proving("weak", hints=Hints(), only=frozenset({"replayed-artifact"})).results
    assert (result.outcome, "[prove] renew" in result.reason) == ("not-tried", True)


def test_every_attempt_stands_in_the_trail_of_the_service(tree, tmp_path, proving, weak):
    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    (root / "safehold.toml").write_text(POLICY)
    place = tmp_path / "run"
    environ = {"THE_KEY": generate_key(), "SAFEHOLD_POLICY": str(root / "safehold.toml")}
    proof = proving("weak", root=root, environ=environ, place=place)
    events = [line.event for line in read_lines(place / "tree" / "trail")]
    announced = [
        (event.rule, event.detail["probe"], event.detail["what"])
        for event in events
        if event.action == "prove"
    ]
    tried = [(one.probe.rule, one.probe.id, row.what) for one in proof.results for row in one.tried]
    assert announced == tried
    assert len(tried) == sum(len(result.tried) for result in weak.results)
    assert not (root / "trail").exists()


class Refusing(Watch):
    def announce(self, probe, rule, what):
        raise TrailError("full")


def test_what_the_trail_does_not_take_is_not_tried(tmp_path):
    done = []

    def attempts(_world):
        yield Attempt("something", lambda: done.append(1) or Said("got-in", "it ran"))

    probe = Probe("some", "SH101", "Some", attempts)
    world = World(Hints(), tmp_path, ends=float("inf"))
    result = result_of(probe, world, Refusing(None, {}))
    assert (result.outcome, done) == ("not-tried", [])
    assert "the trail did not take it" in result.reason


def test_nothing_is_tried_after_the_time(tmp_path):
    attempts = lambda _: iter([Attempt("it", lambda: Said("got-in", "ran"))])  # noqa: E731
    world = World(Hints(), tmp_path, ends=0.0)
    result = result_of(Probe("some", "SH101", "Some", attempts), world, Watch(None, {}))
    assert (result.outcome, result.reason) == ("not-tried", "the time of the run is over")


def test_a_service_that_does_not_run_is_an_error(proving):
    with pytest.raises(ConfigError, match="does not run, before any attack: it ended with 3"):
        proving("", against="python -c 'raise SystemExit(3)'")


def test_a_copy_within_the_tree_is_an_error(tree, proving):
    with pytest.raises(ConfigError, match="cannot hold itself"):
        proving("weak", place=tree / "files" / "run")


def test_a_policy_outside_the_tree_is_an_error(tmp_path, proving):
    (tmp_path / "safehold.toml").write_text(POLICY)
    with pytest.raises(ConfigError, match="outside the service"):
        proving("weak", environ={"SAFEHOLD_POLICY": str(tmp_path / "safehold.toml")})


def _reaches(address):
    problem = confine_network()
    if problem:
        return problem
    found = [name for _, name in socket.if_nameindex()]
    try:
        socket.create_connection(address, 2).close()
        found.append("the loopback of others")
    except OSError:
        pass
    return found


def test_a_confined_process_reaches_nothing_but_its_own_loopback():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert socket.create_connection(server.getsockname()).close() is None
        found = isolated(lambda: _reaches(server.getsockname()))
    if isinstance(found, str):
        pytest.skip(found)
    assert found == ["lo"]


def test_nothing_of_the_service_is_left(tmp_path, proving):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "child.py").write_text(
        "import subprocess, sys\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)']).pid,"
        " file=open('pid', 'w'), flush=True)\n"
        "import http.server as h\n"
        "h.HTTPServer(('127.0.0.1', int(sys.argv[1])), h.SimpleHTTPRequestHandler).serve_forever()"
    )
    place = tmp_path / "run"
    only = frozenset({"headers"})
    proving("", root=root, place=place, hints=Hints(), only=only,
            against="python child.py {port}")  # fmt: skip
    pid = int((place / "tree" / "pid").read_text())
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium")
@pytest.mark.parametrize(("mode", "outcome"), [("weak", "got-in"), ("policy", "held")])
def test_a_browser_says_whether_a_script_runs(mode, outcome, proving):
    only = frozenset({"cross-site-scripting"})
    (result,) = proving(mode, only=only, browser=CHROMIUM).results
    said = {row.what: row for row in result.tried}["markup with a script at GET /search?q={}"]
    assert said.outcome == outcome, said
    assert "browser" in said.evidence


def test_without_a_browser_it_is_said(weak):
    evidence = [row.evidence for row in by_id(weak)["cross-site-scripting"].tried]
    assert any("no browser was at hand" in text for text in evidence)


def test_a_service_that_runs_already_keeps_its_files(tree, proving):
    import subprocess
    import sys

    from safehold.prove.asking import Asker, free_port

    port = free_port()
    words = [sys.executable, "service.py", str(port), "weak"]
    before = digest_of(tree)
    with subprocess.Popen(words, cwd=tree) as process:
        try:
            while Asker(f"http://127.0.0.1:{port}").get("/").problem:
                assert process.poll() is None
            proof = proving("", against=f"http://localhost:{port}")
        finally:
            process.kill()
    results = by_id(proof)
    assert (proof.tree, digest_of(tree)) == ("", before)
    assert results["sql-injection"].outcome == results["path-traversal"].outcome == "got-in"
    for name in ("planted-pickle", "tampered-artifact", "oversize-body"):
        assert results[name].outcome == "not-tried"
    assert os.path.exists(tree)
