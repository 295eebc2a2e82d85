from __future__ import annotations

from pathlib import Path

from safehold.keys import generate_key

NEW = """[keys]
source = "env:NEW_KEY"
id = "k2027"
[[keys.previous]]
source = "env:THE_KEY"
id = "k2026"
"""


def test_rotates_sealed_files_and_leaves_the_rest(folder, call, monkeypatch):
    call("seal", "models")
    monkeypatch.setenv("NEW_KEY", generate_key())
    policy = Path("safehold.toml")
    old = policy.read_text().partition("[keys]")[2].partition("[[zone]]")[0]
    policy.write_text(policy.read_text().replace("[keys]" + old, NEW))
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
