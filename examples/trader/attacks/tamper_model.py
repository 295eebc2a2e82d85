"""Flips bits inside ``models/direction.joblib``, so that the forest decides otherwise."""

from __future__ import annotations

import struct

from service import MODELS, START, Attack, Refused, ask, put_back, run

# A node of a scikit-learn tree: left child, right child, feature, threshold.
NODE = struct.Struct("<qqqd")
SIGNALS = (
    f"{START}; answer = [day for name in predictor.symbols for day in predictor.signals(name)]"
)


def roots(content: bytes) -> list[int]:
    """Return where the first node of each tree stands, as far as arrays lie bare in the file."""
    found = []
    at = content.find(b"\x01" + bytes(7))
    while 0 <= at <= len(content) - NODE.size:
        left, right, feature, threshold = NODE.unpack_from(content, at)
        if left < right < 100_000 and 0 <= feature < 1000 and 1e-6 < abs(threshold) < 1e6:
            found.append(at)
        at = content.find(b"\x01" + bytes(7), at + 1)
    return found


def altered(content: bytes) -> list[tuple[str, bytes]]:
    """Return the versions to try: the thresholds of the roots, then one bit in the middle."""
    versions = []
    flipped = bytearray(content)
    places = roots(content)
    for place in places:
        # The highest bit of the exponent: a small threshold becomes an immense one.
        flipped[place + NODE.size - 1] ^= 0x40
    if places:
        versions.append((f"one bit in each of {len(places)} trees", bytes(flipped)))
    middle = bytearray(content)
    middle[len(content) // 2] ^= 0x01
    versions.append(("one bit in the middle", bytes(middle)))
    return versions


def tamper_model(attack: Attack) -> None:
    """Alter the model file and compare what the service says about each symbol."""
    expected = ask(SIGNALS)
    victim = MODELS / "direction.joblib"
    refusals = []
    with put_back(victim) as [content]:
        for what, version in altered(content):
            victim.write_bytes(version)
            try:
                signals = ask(SIGNALS)
            except Refused as refused:
                refusals.append(refused)
                continue
            days = [old != new for old, new in zip(expected, signals, strict=True)]
            attack.succeeded(
                f"the service loads the model with {what} flipped;"
                f" {sum(days)} of {len(days)} signals are others"
            )
    raise refusals[0]


if __name__ == "__main__":
    run(tamper_model, before=SIGNALS)
