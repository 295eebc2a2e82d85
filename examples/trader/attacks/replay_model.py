"""Puts an older version of ``models/direction.joblib`` back after a newer training."""

from __future__ import annotations

import subprocess
import sys

from service import LOAD_MODELS, MODELS, ROOT, Attack, Refused, ask, put_back, run


def retrain() -> None:
    """Train the direction model anew, as the service's operator does; raises Refused."""
    command = [sys.executable, "-m", "trader.train", "--only", "direction", "--seed", "8"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused("TrainingFailed", (done.stderr.splitlines() or [""])[-1])


def replay_model(attack: Attack) -> None:
    """Keep the old bytes, train, put the old bytes back.

    What stays in the end is the newer model: it is the one that the operator wrote last.
    """
    victim = MODELS / "direction.joblib"
    old_version, old = ask(LOAD_MODELS)["direction"], victim.read_bytes()
    retrain()
    new_version = ask(LOAD_MODELS)["direction"]
    with put_back(victim):
        victim.write_bytes(old)
        served = ask(LOAD_MODELS)["direction"]
    if served != old_version or served == new_version:
        attack.failed("NoEffect", f"the service serves {served}")
    attack.succeeded(f"the service serves {served} although {new_version} was trained after it")


if __name__ == "__main__":
    run(replay_model, before=LOAD_MODELS)
