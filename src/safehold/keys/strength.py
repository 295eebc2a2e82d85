"""How hard a key is to guess: the cheapest description of its text, in bits.

Guessers try known values, words with digits and symbols between them, walks over the
keyboard, and repeats. Each such piece costs them a few bits, whatever its length; any other
character costs the entropy of the characters as they stand. The cheapest way to put the
text together from such pieces is what the key is worth.

Not covered: a sentence of words that the list below does not have counts as random letters.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator

MIN_KEY_BYTES = 32
"""NIST SP 800-107: an HMAC-SHA256 key has at least the digest's security strength."""
# Bits that a text needs, by what makes up most of it. Random keys are "other", seldom "run": of
# 450,000 with 32 hexadecimal digits, the shortest that should pass, one was worth 71 bits, one that
# holds 444 and 8888, a "run", 75, the next 78. Walks over the keyboard are worth up to 59.
_ENOUGH = {"word": 110.0, "run": 65.0, "repeat": 80.0, "other": 64.0}
_LOOKED_AT = 256  # characters; the cost of the search is quadratic
_WORD_BITS = 4.0  # words follow one another in set phrases, so one more adds little
_YEAR_BITS = 5.0
_RUN_BITS = 5.0
_SEEN_SEPARATOR_BITS = 1.0
_SPELLED_BITS = 2.0  # per character of what hexadecimal digits or base64 spell out

# Values that documentation and default settings print: whoever copied them shares them.
_KNOWN = frozenset(
    {
        # Flask, configuration handling, SECRET_KEY
        "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
        # FastAPI, OAuth2 with JWT tokens
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
        # Redash, default of REDASH_COOKIE_SECRET (CVE-2021-41192)
        "c292a0a3aa32397cdb050e233733900f",
        # RFC 7515, appendix A.1
        "aym1sysppbydfgzld3umj1qzkobwvmkoqq-estjqlr_t-1qs0gzh75aktmn3yj0ips4hcguutwjazzr1z9caow",
    }
)

# What placeholders and passwords are made of. Shorter words than three letters gain nothing.
_WORDS = frozenset(
    """
    abc abcd abcdef access account actual admin administrator advised all amazon and any api
    app application are asdf asdfgh asdfghjkl auth authentication aws azerty backend bad bar
    base bat battery baz before best bit bits blah boo brown bytes can cat change changed
    changeit changeme changethis char character characters chars cheese client code company
    complex config configuration confidential cookie cool correct crypto cryptographic database
    debug default demo deploy deployment despite dev devel developer development digest digits
    django docker dog dogs dont dragon dummy eight enc encrypt encryption enough enter env
    environment ever example examples fake fastapi file fill fixme flask foo foobar football for
    form forget fox from frontend funny game gen generate generated generic get give global god
    good google guess hard hash hello here hidden highly hmac horse hunter insecure insert
    instead integration internal ipsum iloveyou its jenkins jumps jwt keep key keyboard keys
    lake laravel lazy least length less let letmein letters local localhost login long lorem
    love machine make manager master minimum min mine mock monkey more must my myapp mykey
    mysecret name need never new node not nobody none nosql not nothing now number numbers one
    only open oops org our over own pad padding paper pass passphrase passwd password passwort
    phrase placeholder please prod production project prove provide public put pwd python qux
    quick qwerty qwertyui qwertyuiop qwertz rails random randomly real really red release
    replace replaced required root rotate rsa safe safehold salt sample schema scret secret
    secretkey secrets secure secured security seed server service session set setup sha shared
    should sign signing signature simple site so some something spring staging staple stage
    start store string stringy strong sunshine super supersecret system temp temporary test
    tester testing tests text that the then there these thing this thisis time todo token top
    topsecret truly trustno ultra unsafe unique unknown until update use used user username
    using value var variable vault very wallet web webapp website welcome when will with word
    words work world would write wrong www xxx you your yours zxcv zxcvbn zxcvbnm
    1q2w 1q2w3e4r 1qaz 2wsx 3edc 4rfv 5tgb 6yhn 7ujm qazwsx qazwsxedc qweasd qweasdzxc wsxedc
    """.split()
)
_BEGINNINGS = {
    begin: tuple(sorted({len(word) for word in _WORDS if word.startswith(begin)}))
    for begin in {word[:3] for word in _WORDS}
}
_LEET = str.maketrans("01345789@$!", "oieastbgasi")
_MIN_LEET = 4  # three characters spell too much by chance
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
_HEX = re.compile(r"(?:[0-9a-f]{2})+", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_PRINTABLE = re.compile(rb"[\x20-\x7e]{8,}")
_DIGESTS = {32: hashlib.md5, 40: hashlib.sha1, 64: hashlib.sha256, 128: hashlib.sha512}

_ROWS = ("1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./")
_PLACE = {
    key: (row, column)
    for row, keys in (*enumerate(_ROWS), (0, "!@#$%^&*()_+"))
    for column, key in enumerate(keys)
}
# startproject puts it before the key that it writes into the source, for development.
_DJANGO_MARK = "django-insecure-"

_LOGIN_BITS = 48
"""Of a password, at 10 guesses a second for 100,000 years on average."""

_REASONS = {
    "word": "it is made of well-known words",
    "run": "it follows the alphabet, the digits or the keyboard",
    "repeat": "it repeats a pattern",
    "other": "its characters are too few or too much alike",
}


def weakness(secret: bytes) -> str | None:
    """Say why a secret could be guessed, or None; the answer never shows the secret."""
    if not secret:
        return "it is empty"
    text = secret[:_LOOKED_AT].decode("latin-1")
    if _is_known(text.strip().lower()):
        return "it is a publicly known value"
    if text.startswith(_DJANGO_MARK):
        return "it carries Django's mark of a key for development"
    bits, kind = _cheapest(text)
    enough = bits >= _ENOUGH[kind]
    if not enough and kind == "word":
        return _REASONS[kind]
    if len(secret) < MIN_KEY_BYTES:
        return f"it has {len(secret)} bytes, at least {MIN_KEY_BYTES} are needed"
    if not enough:
        return _REASONS[kind]
    if any(_cheapest(plain)[0] < _SPELLED_BITS * len(plain) for plain in _spelled(text)):
        return "it spells well-known words or a pattern in hexadecimal digits or base64"
    return None


def weakness_of_login(password: str) -> str | None:
    """Say why a password of a login is among the first guesses, or None; never shows it.

    A login is guessed one at a time, so that less is enough than of a key.
    """
    if not password:
        return "it is empty"
    text = password[:_LOOKED_AT]
    if _is_known(text.strip().lower()):
        return "it is a publicly known value"
    bits, kind = _cheapest(text)
    return _REASONS[kind] if bits < _LOGIN_BITS else None


def _is_known(text: str) -> bool:
    digest = _DIGESTS.get(len(text))
    if digest is not None and _HEX.fullmatch(text):
        guesses = (word.encode() for word in ("", *_WORDS))
        if any(digest(guess, usedforsecurity=False).hexdigest() == text for guess in guesses):
            return True
    return text in _KNOWN


def _spelled(text: str) -> Iterator[str]:
    """Yield the printable text that hexadecimal digits or base64 stand for."""
    decoded = []
    if _HEX.fullmatch(text):
        decoded.append(bytes.fromhex(text))
    if _BASE64.fullmatch(text):
        bare = text.rstrip("=").translate(_URL_SAFE)
        with contextlib.suppress(binascii.Error):
            decoded.append(base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4)))
    yield from (data.decode("ascii") for data in decoded if _PRINTABLE.fullmatch(data))


_URL_SAFE = str.maketrans("+/", "-_")


def _cheapest(text: str) -> tuple[float, str]:
    """Return the bits of the cheapest description, and the kind that covers most of it."""
    readings = [_describe(text)]
    letters = "".join(char for char in text if char.isalnum())
    others = "".join(char for char in text if not char.isalnum())
    if letters and others:  # c-h-a-n-g-e-m-e: the same few marks between the letters
        bits, kind = _describe(letters)
        marks = len(set(others))
        bits += marks * _entropy(text) + (len(others) - marks) * _SEEN_SEPARATOR_BITS / 2
        readings.append((bits, kind))
    return min(readings)


def _describe(text: str) -> tuple[float, str]:
    """Find the shortest path over the positions of the text, each piece being one step."""
    size = len(text)
    low = text.lower()
    if len(low) != size:
        low = text
    leet = low.translate(_LEET)
    one = _entropy(text)
    best: list[tuple[float, int, str]] = [(0.0, 0, "")] + [(math.inf, 0, "")] * size
    for start in range(size):
        cost = best[start][0]
        seen = not low[start].isalnum() and low[start] in low[:start]
        steps = [(1, min(one, _SEEN_SEPARATOR_BITS) if seen else one, "other")]
        steps += _pieces(low, leet, start)
        for length, bits, kind in steps:
            if cost + bits < best[start + length][0]:
                best[start + length] = (cost + bits, start, kind)
    covered: Counter[str] = Counter()
    end = size
    while end:
        _, start, kind = best[end]
        covered[kind] += end - start
        end = start
    return best[size][0], max(_REASONS, key=lambda kind: covered[kind])


def _pieces(low: str, leet: str, start: int) -> Iterator[tuple[int, float, str]]:
    for text, least in ((low, 0), (leet, _MIN_LEET)):
        for length in _BEGINNINGS.get(text[start : start + 3], ()):
            word = text[start : start + length]
            if len(word) == length >= least and word in _WORDS:
                yield length, _WORD_BITS, "word"
    if _YEAR.match(low, start):
        yield 4, _YEAR_BITS, "run"
    for stride in (1, 2):
        run = _run(low, start, stride)
        if run >= 3 * stride:
            yield run, _RUN_BITS * stride + math.log2(run) / 2, "run"
    repeat = _repeat(low, start)
    if repeat >= 3:
        yield repeat, math.log2(start + 1) + math.log2(repeat), "repeat"


def _run(text: str, start: int, stride: int) -> int:
    """Return the length of the walk from here: each character one same step from the last."""
    shortest = len(text)
    for first in range(start, start + stride):
        step: frozenset[object] | None = None
        length = 1
        for second in range(first + stride, len(text), stride):
            steps = _steps(text[second - stride], text[second])
            step = steps if step is None else step & steps
            if not step:
                break
            length += 1
        shortest = min(shortest, length)
    return min(shortest * stride, len(text) - start)


@functools.lru_cache(maxsize=4096)
def _steps(first: str, second: str) -> frozenset[object]:
    """Return every way in which one character follows another."""
    found: set[object] = set()
    if (difference := ord(second) - ord(first)) in (-1, 0, 1):
        found.add(difference)
    here, there = _PLACE.get(first), _PLACE.get(second)
    if here is not None and there is not None and here != there:
        across = (there[0] - here[0], there[1] - here[1])
        if max(map(abs, across)) == 1:
            found.add(across)
    return frozenset(found)


def _repeat(text: str, start: int) -> int:
    """Return the length of the longest text from here that also begins further to the left."""
    length = 0
    limit = len(text) - start
    while length < limit and text.find(text[start : start + length + 1], 0, start + length) >= 0:
        length += 1
    return length


def _entropy(text: str) -> float:
    """Return Shannon's entropy of the characters as they stand, in bits for each."""
    size = len(text)
    return -sum(count / size * math.log2(count / size) for count in Counter(text).values())
