"""Checks whether tokens of the service are signed with a key that its source or a list holds.

Known: JWT with HMAC, a value with its HMAC behind a dot, cookies of Flask and Starlette. Whoever
has the key writes tokens of anybody; none is written here.
"""

from __future__ import annotations

import ast
import base64
import functools
import hashlib
import hmac
import http.cookies
import json
from collections.abc import Callable, Iterator
from typing import Final

from safehold.prove.asking import Answer
from safehold.prove.probe import Probe
from safehold.prove.result import Attempt, Said
from safehold.prove.tree import files_of
from safehold.prove.world import World

_KNOWN: Final = tuple(
    """
    secret changeme change-me change_me changeit password supersecret super-secret topsecret
    secretkey secret-key secret_key your-secret-key your_secret_key mysecret my-secret my_secret
    development dev test testing debug default key jwt-secret jwt_secret jwtsecret admin
    your-256-bit-secret django-insecure flask-secret insecure please-change-me
    192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf
    09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7
    """.split()
)
_LENGTHS: Final = range(3, 129)
_MOST: Final = 20_000
_MOST_SOURCE: Final = 2**20
_HASHES: Final = (hashlib.sha256, hashlib.sha1, hashlib.sha512, hashlib.sha384)
# itsdangerous: the key is derived of a salt; Flask's session by HMAC, Starlette's by a hash.
_DERIVED: Final[tuple[Callable[[bytes], bytes], ...]] = (
    lambda key: key,
    lambda key: hmac.digest(key, b"cookie-session", "sha1"),
    lambda key: hashlib.sha1(b"itsdangerous.Signer" + b"signer" + key).digest(),  # noqa: S324
    lambda key: hashlib.sha1(b"itsdangerous" + b"signer" + key).digest(),  # noqa: S324
)


def _attempts(world: World) -> Iterator[Attempt]:
    yield Attempt("keys that are known, for tokens", functools.partial(_check, world))


def _check(world: World) -> Said:
    tokens = dict(_tokens(world))
    if not tokens:
        return Said(
            "not-tried", "the service gave no signed token; name a request in [prove] login"
        )
    keys = dict(_keys(world))
    for name, token in tokens.items():
        for key, place in keys.items():
            if is_signed_with(token, key.encode()):
                return Said("got-in", f"{name} is signed with a key that {place} holds")
    return Said("held", f"none of {len(keys)} keys signed {', '.join(tokens)}")


def is_signed_with(token: str, key: bytes) -> bool:
    """Say whether a key made the signature behind the last dot."""
    value, _, signature = token.rpartition(".")
    spelled = {signature.rstrip("=").encode(), signature.lower().encode()}
    for derive in _DERIVED:
        derived = derive(key)
        for kind in _HASHES:
            made = hmac.new(derived, value.encode(), kind)
            if spelled & {made.hexdigest().encode(), _in_base64(made.digest())}:
                return True
    return False


def _in_base64(digest: bytes) -> bytes:
    return base64.urlsafe_b64encode(digest).rstrip(b"=")


def _tokens(world: World) -> Iterator[tuple[str, str]]:
    """Yield what the service gives that ends in a signature."""
    asker, login = world.asker(), world.hints.login
    answers = [asker.get(path) for path in dict.fromkeys(("/", *world.hints.warm))]
    if login is not None:
        answers.append(asker.at(login, login.value))
    for answer in answers:
        for name, value in (*_cookies(answer), *_texts(answer)):
            if "." in value and len(value.rpartition(".")[2]) >= 20:
                yield name, value


def _cookies(answer: Answer) -> Iterator[tuple[str, str]]:
    for header in answer.all("set-cookie"):
        jar: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
        try:
            jar.load(header)
        except http.cookies.CookieError:
            continue
        for name, morsel in jar.items():
            yield f"the cookie {name[:40]}", morsel.value


def _texts(answer: Answer) -> Iterator[tuple[str, str]]:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict):
        for name, value in document.items():
            if isinstance(value, str):
                yield f"the field {name[:40]}", value


def _keys(world: World) -> Iterator[tuple[str, str]]:
    """Yield keys to try, and where each stands."""
    yield from ((key, "the list of known keys") for key in _KNOWN)
    if world.started is None:
        return
    root, count = world.started.root, 0
    for path in files_of(root):
        if path.suffix != ".py" or path.stat().st_size > _MOST_SOURCE:
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
                continue
            text = node.value
            if len(text) in _LENGTHS and not any(map(str.isspace, text)):
                count += 1
                if count > _MOST:
                    return
                yield text, f"{path.relative_to(root)}:{node.lineno}"


SECRETS = Probe("default-secret", "SH303", "Tokens signed with a key that is known", _attempts)
