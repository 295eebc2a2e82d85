"""Plants a payload in ``data/cache.pkl``, where anyone with access to the data can write."""

from __future__ import annotations

from service import DATA, LOAD_CACHE, Attack, run


def plant_data(attack: Attack) -> None:
    """Replace the price cache and let the service read it."""
    refused = attack.plant(DATA / "cache.pkl", LOAD_CACHE)
    if refused:
        raise refused
    attack.succeeded("the command in data/cache.pkl ran when the service read its cache")


if __name__ == "__main__":
    run(plant_data, before=LOAD_CACHE)
