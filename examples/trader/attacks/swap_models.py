"""Swaps the two model files; both hold a forest for the same features."""

from __future__ import annotations

from service import MODELS, START, Attack, ask, put_back, run

OUTLOOK = f"{START}; answer = predictor.outlook('ACME')"


def swap_models(attack: Attack) -> None:
    """Put each model in the place of the other and ask for a prediction."""
    expected = ask(OUTLOOK)
    direction, volatility = MODELS / "direction.joblib", MODELS / "volatility.joblib"
    with put_back(direction, volatility) as [first, second]:
        direction.write_bytes(second)
        volatility.write_bytes(first)
        outlook = ask(OUTLOOK)
    if outlook["volatility"] == expected["volatility"]:
        attack.failed("NoEffect", "the service answers as before")
    attack.succeeded(
        f"the service reports the direction model's {outlook['volatility']}"
        f" as volatility instead of {expected['volatility']}"
    )


if __name__ == "__main__":
    run(swap_models, before=OUTLOOK)
