"""``safehold export`` and ``safehold import``, between two policies and within one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import POLICY


@pytest.fixture
def sealed(folder, call):
    assert call("seal", "models/m.pkl").code == 0
    Path("server/live").mkdir(parents=True)
    text = POLICY.replace('"models"', '"serving"').replace("models/**", "live/**")
    Path("server/safehold.toml").write_text(text)
    return folder


EXPORT = ("export", "models/m.pkl", "--zone", "serving", "--name", "live/m.pkl", "-o")


def take(call, *more):
    return call("import", "m.sfh", "server/live/m.pkl", "--policy", "server/safehold.toml", *more)


def test_from_one_policy_to_another(sealed, call):
    done = call(*EXPORT, "m.sfh")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "models/m.pkl: exported for live/m.pkl: zone serving, key k2026, generation 1\n"
    )
    done = take(call)
    assert (done.code, done.err) == (0, "")
    assert done.out == ("m.sfh: imported as live/m.pkl: zone serving, key k2026, generation 1\n")
    verify = call("verify", "server/live/m.pkl", "--policy", "server/safehold.toml")
    assert verify.code == 0
    assert call("verify", "models/m.pkl").code == 0


def test_json_is_the_metadata_of_the_new_file(sealed, call):
    sent = json.loads(call(*EXPORT, "m.sfh", "--format", "json").out)
    taken = json.loads(take(call, "--format", "json").out)
    assert sent == taken
    assert (sent["schema"], sent["zone"], sent["name"]) == (1, "serving", "live/m.pkl")
    renewed = json.loads(take(call, "--renew", "--format", "json").out)
    assert (renewed["generation"], renewed["artifact"] == taken["artifact"]) == (2, False)


def test_what_is_older_is_refused_unless_it_is_renewed(sealed, call):
    call(*EXPORT, "m.sfh")
    take(call, "--renew")
    done = take(call)
    assert (done.code, done.out) == (1, "")
    assert "safehold: refused: generation 1" in done.err
    assert take(call, "--renew").code == 0


def test_a_refusal_is_1_and_an_error_2(sealed, call):
    call(*EXPORT, "m.sfh")
    elsewhere = call("import", "m.sfh", "models/x.pkl")
    assert elsewhere.code == 1
    assert not Path("models/x.pkl").exists()
    plain = call("export", "models/deep/n.pickle", *EXPORT[2:], "n.sfh")
    assert plain.code == 1
    assert "not sealed" in plain.err
    again = call(*EXPORT, "m.sfh")
    assert again.code == 2
    assert "File exists" in again.err
    key = call(*EXPORT, "k.sfh", "--key", "none")
    assert key.code == 1
    assert "no key 'none'" in key.err
    name = call("export", "models/m.pkl", "--zone", "z", "--name", "../m.pkl", "-o", "n.sfh")
    assert name.code == 2
    assert call("import", "none.sfh", "models/x.pkl").code == 2
    with pytest.raises(SystemExit):
        call("export", "models/m.pkl", "-o", "x.sfh")
