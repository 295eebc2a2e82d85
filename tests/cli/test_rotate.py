from __future__ import annotations

import pickle
from pathlib import Path

from safehold.keys import generate_key

NEW = """[keys]
source = "env:NEW_KEY"
id = "k2027"
[[keys.previous]]
source = "env:THE_KEY"
id = "k2026"
"""


def with_new_key(monkeypatch) -> Path:
    monkeypatch.setenv("NEW_KEY", generate_key())
    policy = Path("safehold.toml")
    old = policy.read_text().partition("[keys]")[2].partition("[[zone]]")[0]
    policy.write_text(policy.read_text().replace("[keys]" + old, NEW))
    return policy


def test_rotates_sealed_files_and_leaves_the_rest(folder, call, monkeypatch):
    call("seal", "models")
    policy = with_new_key(monkeypatch)
    done = call("rotate", "k2026", "k2027", "models")
    assert done.code == 0
    assert done.out.splitlines() == [
        "models/m.pkl: rotated: key k2027, suite HS256, generation 1",
        "models/deep/n.pickle: rotated: key k2027, suite HS256, generation 1",
    ]
    again = call("rotate", "k2026", "k2027", "models/m.pkl")
    assert (again.code, again.out) == (
        0, "models/m.pkl: rotated: key k2027, suite HS256, generation 1\n",
    )  # fmt: skip
    policy.write_text(policy.read_text().partition("[[keys.previous]]")[0]
                      + "[[zone]]" + policy.read_text().partition("[[zone]]")[2])  # fmt: skip
    assert call("verify", "models").code == 0


def test_a_wrong_key_is_an_error_and_a_broken_file_a_refusal(folder, call):
    call("seal", "models/m.pkl")
    done = call("rotate", "k2026", "k2027", "models/m.pkl")
    assert done.code == 2
    assert "signs with 'k2026', not with 'k2027'" in done.err
    done = call("rotate", "k1", "k2026", "models/m.pkl")
    assert done.code == 1
    assert "UnknownKey" in done.err
    data = Path("models/m.pkl").read_bytes()
    Path("models/m.pkl").write_bytes(data[:-1])
    assert call("rotate", "k2026", "k2026", "models/m.pkl").code == 1


def test_rekey_gives_the_next_generation(folder, call, monkeypatch):
    call("seal", "models/m.pkl")
    with_new_key(monkeypatch)
    done = call("rotate", "k2026", "k2027", "models/m.pkl", "--rekey")
    assert (done.code, done.out) == (
        0, "models/m.pkl: rotated: key k2027, suite HS256, generation 2\n",
    )  # fmt: skip
    done = call("rotate", "k2026", "k2027", "models/m.pkl", "--rekey")
    assert done.out == "models/m.pkl: rotated: key k2027, suite HS256, generation 2\n"


def test_a_torn_slot_is_refused_and_repaired_when_asked_for(folder, call, monkeypatch):
    path = Path("models/big.pkl")
    path.write_bytes(pickle.dumps("x" * 2**20))
    call("seal", "models/big.pkl")
    with_new_key(monkeypatch)
    data = bytearray(path.read_bytes())
    data[600:800] = bytes(200)
    data[530:560] = b"torn" * 7 + b"!!"
    path.write_bytes(data)
    done = call("rotate", "k2026", "k2027", "models/big.pkl")
    assert done.code == 1
    assert "safehold rotate --repair" in done.err
    done = call("rotate", "k2026", "k2027", "models/big.pkl", "--repair")
    assert (done.code, done.out) == (
        0, "models/big.pkl: rotated: key k2027, suite HS256, generation 1\n",
    )  # fmt: skip
    assert call("verify", "models/big.pkl").code == 0
