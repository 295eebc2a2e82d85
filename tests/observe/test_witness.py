"""A checkpoint elsewhere shows what manifest, state and writers no longer do together."""

from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from safehold.errors import ConfigError
from safehold.events import Event
from safehold.keys import Key, Keyring, generate_pair
from safehold.observe.check import check_trail
from safehold.observe.check_manifest import Listed
from safehold.observe.retention import prune
from safehold.observe.trail import Trail
from safehold.observe.witness import checkpoint, compare, send

pytestmark = pytest.mark.bare

LOCAL = Key("k1", hashlib.sha256(b"a key of these tests").digest())
PAIR = generate_pair()
RINGS = {
    "mac": Keyring(LOCAL),
    "pair": Keyring(Key("p1", PAIR.private.encode(), "ED25519"), local=LOCAL),
}
LOAD = Event(action="load", outcome="allowed", zone="models", artifact="models/m.pkl")


def write(directory, ring, lines=3):
    trail = Trail(directory, ring)
    for _ in range(lines - 1):
        trail.export(LOAD)
    trail.close()


@pytest.fixture(params=RINGS)
def ring(request):
    return RINGS[request.param]


@pytest.fixture
def trail(tmp_path, ring):
    write(tmp_path / "trail", ring)
    write(tmp_path / "trail", ring)
    return tmp_path / "trail"


def problems(trail, ring, *lines):
    return list(compare(lines, "witness", trail, ring, list(check_trail(trail, ring))))


def alone(trail, ring):
    """Return what the trail says by itself."""
    return Listed(trail, ring).compare(list(check_trail(trail, ring)))


def test_a_trail_that_went_on_has_what_it_had(trail, ring):
    lines = []
    for _ in range(3):
        lines.append(checkpoint(trail, ring))
        write(trail, ring)
    assert problems(trail, ring, *lines) == []


def test_what_a_checkpoint_says_is_what_is_there(trail, ring):
    said = json.loads(checkpoint(trail, ring))
    assert said["manifest"]["n"] == 4
    assert [end["n"] for end in said["writers"].values()] == [3, 3]
    assert len(said["proof"]) == (64 if said["k"] == "k1" else 128)


def test_a_trail_put_back_to_an_older_copy_is_found(trail, ring, tmp_path):
    shutil.copytree(trail, tmp_path / "old")
    write(trail, ring)
    line = checkpoint(trail, ring)
    shutil.rmtree(trail)
    shutil.copytree(tmp_path / "old", trail)
    assert alone(trail, ring) == []  # nothing else tells
    found = problems(trail, ring, line)
    assert {problem.kind for problem in found} == {"witness"}
    assert "the manifest had 6 lines" in found[0].message
    assert len(found) == 2


def test_a_new_trail_in_the_place_of_a_deleted_one_is_found(trail, ring):
    line = checkpoint(trail, ring)
    shutil.rmtree(trail)
    write(trail, ring, 9)
    assert alone(trail, ring) == []
    assert len(problems(trail, ring, line)) == 3


def test_an_open_writer_that_was_rewritten_with_the_root_key_is_found(tmp_path, ring):
    directory = tmp_path / "trail"
    trail = Trail(directory, ring)
    trail.export(LOAD)
    line = checkpoint(directory, ring)
    trail.close()
    assert problems(directory, ring, line) == []
    said = json.loads(line)
    (writer,) = said["writers"]
    other = line.replace(said["writers"][writer]["mac"].encode(), b"0" * 64)
    assert [problem.kind for problem in problems(directory, ring, other)] == ["witness"]


def test_any_change_of_a_checkpoint_is_found(trail, ring):
    line = checkpoint(trail, ring)
    for position in range(0, len(line) - 1, 3):
        changed = bytearray(line)
        changed[position] ^= 1
        assert problems(trail, ring, bytes(changed)), position
    assert problems(trail, ring, line[:-5]) == []  # torn: the disk was full, or a kill
    assert problems(trail, ring, b"\n", b"[]\n", b"\xff\n")


def test_a_checkpoint_of_other_keys_says_nothing(trail, ring, tmp_path):
    other = Keyring(Key("k1", hashlib.sha256(b"another").digest()))
    write(tmp_path / "other", other)
    (problem,) = problems(trail, ring, checkpoint(tmp_path / "other", other))
    assert "another trail's" in problem.message


def test_who_has_the_public_half_alone_can_compare(tmp_path):
    ring = RINGS["pair"]
    write(tmp_path, ring)
    public = Keyring(Key("p1", PAIR.public.encode(), "ED25519"), local=LOCAL)
    assert problems(tmp_path, public, checkpoint(tmp_path, ring)) == []


def test_what_retention_removed_is_no_loss(trail, ring):
    line = checkpoint(trail, ring)
    assert len(list(prune(trail, ring, datetime.now(UTC) + timedelta(days=1)))) == 2
    assert problems(trail, ring, line) == []


# --- witnesses


def test_a_file_gets_a_line_more(trail, ring, tmp_path):
    for _ in range(2):
        send(checkpoint(trail, ring), f"file:{tmp_path / 'kept'}", {})
    with open(tmp_path / "kept", "rb") as file:
        assert problems(trail, ring, *file) == []
    assert (tmp_path / "kept").read_bytes().count(b"\n") == 2


def test_a_program_gets_it_on_its_input(trail, ring, tmp_path):
    line = checkpoint(trail, ring)
    code = f"import sys; open({str(tmp_path / 'kept')!r}, 'wb').write(sys.stdin.buffer.read())"
    send(line, f'cmd:{sys.executable} -c "{code}"', {})
    assert (tmp_path / "kept").read_bytes() == line
    with pytest.raises(OSError, match="CalledProcessError"):
        send(line, f'cmd:{sys.executable} -c "raise SystemExit(3)"', {})
    with pytest.raises(OSError, match="nowhere"):
        send(line, "cmd:/nowhere/at-all", {})


class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.got.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.mark.parametrize(("status", "good"), [(204, True), (500, False), (302, False)])
def test_an_address_gets_it_by_post(trail, ring, status, good):
    class Handler(Answers):
        pass

    Handler.got, Handler.status = [], status
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        line = checkpoint(trail, ring)
        url = f"http://127.0.0.1:{server.server_port}/checkpoints?of=this"
        if good:
            send(line, url, {})
        else:
            with pytest.raises(OSError, match=f"answer {status}"):
                send(line, url, {})
        assert Handler.got == [line]
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("witness", ["", "file:", "cmd:", "ftp://a/b", "http://example.org/", "x"])
def test_another_kind_of_witness_is_refused(witness):
    with pytest.raises(ConfigError):
        send(b"x\n", witness, {})
