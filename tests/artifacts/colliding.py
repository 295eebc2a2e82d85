"""Bytes that AES-GCM decrypts under two keys, with one tag: what a commitment must prevent."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_REDUCTION = 0xE1 << 120  # NIST SP 800-38D, section 6.3


def _multiply(x: int, y: int) -> int:
    product = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= y
        y = y >> 1 ^ (_REDUCTION if y & 1 else 0)
    return product


def _inverse(x: int) -> int:
    """Return x to the power of 2**128 - 2."""
    result, power = 1 << 127, x
    for _ in range(127):
        power = _multiply(power, power)
        result = _multiply(result, power)
    return result


def _block(key: bytes, data: bytes) -> int:
    cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305  one block, as GCM uses it
    return int.from_bytes(cipher.encryptor().update(data), "big")


def colliding_chunk(
    first: bytes, second: bytes, nonce: bytes, associated: bytes = b""
) -> tuple[bytes, bytes]:
    """Return 32 bytes of ciphertext and the tag that is right under both keys.

    tag = (… ⊕ c1)·H³ ⊕ c2·H² ⊕ lengths·H ⊕ E(J0); c1 is chosen, c2 makes the two tags equal.
    """
    c1 = b"any block of 16."
    lengths = len(associated) * 8 << 64 | 256
    padded = associated + bytes(-len(associated) % 16) + c1
    blocks = [int.from_bytes(padded[at : at + 16], "big") for at in range(0, len(padded), 16)]
    sums, squares = [], []
    for key in (first, second):
        h, total = _block(key, bytes(16)), 0
        for block in blocks:
            total = _multiply(total ^ block, h)
        mask = _block(key, nonce + b"\0\0\0\1")
        sums.append(_multiply(_multiply(total, h) ^ lengths, h) ^ mask)
        squares.append(_multiply(h, h))
    c2 = _multiply(sums[0] ^ sums[1], _inverse(squares[0] ^ squares[1]))
    tag = sums[0] ^ _multiply(c2, squares[0])
    return c1 + c2.to_bytes(16, "big"), tag.to_bytes(16, "big")
