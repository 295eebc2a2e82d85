"""Plants a payload in the joblib model and in the pickled scaler under ``models/``."""

from __future__ import annotations

from service import LOAD_MODELS, MODELS, Attack, run

NAMES = ("direction.joblib", "scaler.pkl")


def plant_model(attack: Attack) -> None:
    """Replace each file in turn and let the service start."""
    results = {f"models/{name}": attack.plant(MODELS / name, LOAD_MODELS) for name in NAMES}
    ran = [name for name, refused in results.items() if refused is None]
    if ran:
        attack.succeeded(f"the command in {' and in '.join(ran)} ran when the service started")
    first, second = (refused for refused in results.values() if refused)
    other = second.reason if second.kind == first.kind else str(second)
    attack.failed(first.kind, f"{first.reason}; {other}")


if __name__ == "__main__":
    run(plant_model, before=LOAD_MODELS)
