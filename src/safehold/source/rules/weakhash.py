"""SH504: MD5 and SHA-1 where somebody could gain from a second text with the same digest.

What the digest is for is told by the names around it: passwords, signatures, tokens, checksums.
Digests that name caches, entity tags, shards or files are not found, nor is HMAC.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from safehold.credentials.names import words_of
from safehold.findings import Confidence, Rule, Severity
from safehold.source.calls import Called
from safehold.source.row import Example, Hint, Item, SourceRule
from safehold.source.unit import Unit
from safehold.source.words import names_in

RULE = Rule(
    id="SH504",
    name="weak-hash",
    title="A broken hash protects passwords, signatures or integrity",
    why="Two texts with one MD5 or SHA-1 digest can be made at will, so what was checked can be "
    "exchanged; passwords under either are tried by the billion in a second.",
    remedy="Use hashlib.sha256 or blake2b, for passwords hashlib.scrypt or argon2; where the "
    "digest protects nothing, say so with usedforsecurity=False.",
    severity=Severity.HIGH,
    cwe=328,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:N/VC:N/VI:H/VA:N/SC:N/SI:N/SA:N",
    score=8.2,
    references=(
        "https://docs.python.org/3/library/hashlib.html",
        "https://www.rfc-editor.org/rfc/rfc6151",
        "https://shattered.io/",
    ),
)

_WEAK = {
    "hashlib.md5": "MD5", "hashlib.sha1": "SHA-1", "md5.new": "MD5",
    "Crypto.Hash.MD5.new": "MD5", "Crypto.Hash.SHA1.new": "SHA-1",
    "Cryptodome.Hash.MD5.new": "MD5", "Cryptodome.Hash.SHA1.new": "SHA-1",
    "cryptography.hazmat.primitives.hashes.MD5": "MD5",
    "cryptography.hazmat.primitives.hashes.SHA1": "SHA-1",
}  # fmt: skip
_BY_NAME = {"md5": "MD5", "sha1": "SHA-1", "md4": "MD4"}
_PASSWORD = frozenset({"password", "passwords", "passwd", "pwd", "passphrase"})
_GUARDS = frozenset(
    "sign signed signature signatures signing token tokens secret auth authenticate authenticated "
    "authentication session csrf integrity verify verified verification tamper tampered "
    "tampering trusted certificate checksum checksums license".split()
)
_HARMLESS = frozenset(
    "cache cached caching etag etags color colour bucket shard filename dedup deduplicate "
    "duplicate duplicates slug seed memo memoize lock ring uuid hmac oaep kdf totp hotp prf "
    "gravatar avatar".split()
)


def _check(unit: Unit) -> Iterator[Item]:
    """Yield the weak digests whose surroundings speak of security."""
    for called, algorithm in _weak(unit):
        if _is_declared(called) or _is_of_table(called, unit):
            continue
        words = _around(called, unit)
        purpose = words & _PASSWORD or (not words & _HARMLESS and words & _GUARDS)
        if not purpose:
            continue
        word = min(purpose)
        sure = words & _PASSWORD or "signature" in words
        yield Item(
            called.node,
            f"{algorithm} where the source speaks of {word}",
            confidence=Confidence.HIGH if sure else Confidence.MEDIUM,
            severity=Severity.HIGH if sure else Severity.MEDIUM,
            detail={"call": called.name, "algorithm": algorithm},
        )


def _weak(unit: Unit) -> Iterator[tuple[Called, str]]:
    for name, algorithm in _WEAK.items():
        for called in unit.calls(name):
            yield called, algorithm
    for called in unit.calls("hashlib.new"):
        given = called.argument(0, "name")
        if isinstance(given, ast.Constant) and str(given.value).lower() in _BY_NAME:
            yield called, _BY_NAME[str(given.value).lower()]


def _is_declared(called: Called) -> bool:
    return any(
        item.arg == "usedforsecurity"
        and not (isinstance(item.value, ast.Constant) and item.value.value)
        for item in called.keywords
    )


def _is_of_table(called: Called, unit: Unit) -> bool:
    """An algorithm in a mapping of algorithms is chosen elsewhere."""
    parent = unit.module.parents.get(called.node)
    return isinstance(parent, ast.Dict) and not called.args


def _around(called: Called, unit: Unit) -> frozenset[str]:
    """Return the words of the statement that holds a call, and of the function around it."""
    node: ast.AST = called.node
    while not isinstance(node, ast.stmt):
        node = unit.module.parents[node]
    names = list(names_in(_head(node)))
    if _is_kept(node):
        names += _users(called, node, unit)
    above: ast.AST | None = unit.module.parents.get(node)
    while above is not None and not isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
        above = unit.module.parents.get(above)
    if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
        # `checksum` as a function's name says that something is told from something else.
        names.append(above.name.replace("checksum", ""))
    return frozenset(word for name in names for word in words_of(name))


def _head(statement: ast.stmt) -> ast.AST:
    """Return what a statement says without the statements in it."""
    if isinstance(statement, ast.If | ast.While):
        return statement.test
    if isinstance(statement, ast.For | ast.AsyncFor):
        return statement.iter
    if isinstance(statement, ast.With | ast.AsyncWith):
        return ast.Tuple([item.context_expr for item in statement.items], ast.Load())
    return statement


def _is_kept(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)


def _users(called: Called, statement: ast.stmt, unit: Unit) -> Iterator[str]:
    """Yield the names in the calls and comparisons of what a digest is kept as."""
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    if not isinstance(target, ast.Name):
        return
    for use, scope in unit.module.loads.get(target.id, ()):
        if scope is not called.scope:
            continue
        parent = unit.module.parents[use]
        above = unit.module.parents.get(parent)
        if isinstance(parent, ast.Attribute) and isinstance(above, ast.Call):
            yield from (name for argument in above.args for name in names_in(argument))
            beyond = unit.module.parents.get(above)
            if isinstance(beyond, ast.Compare):
                yield from names_in(beyond)
        elif isinstance(parent, ast.Compare):
            yield from names_in(parent)


WEAK_HASH = SourceRule(
    rule=RULE,
    check=_check,
    migrates=False,
    in_tests=False,
    hints=(
        Hint.of("md5", r"md5(?!\w)", any_case=True),
        Hint.of("sha1", r"sha1(?!\w)", any_case=True),
    ),
    bad=(
        Example("import hashlib\n\n\ndef store(password):\n"
                "    return hashlib.md5(password.encode()).hexdigest()\n", (5,)),
        Example("import hashlib\n\n\ndef sign(data, secret):\n"
                "    return hashlib.sha1(secret + data).hexdigest()\n", (5,)),
        Example("import hashlib\n\n\ndef verify(path, expected):\n"
                "    digest = hashlib.new('md5')\n"
                "    digest.update(path.read_bytes())\n"
                "    return digest.hexdigest() == expected\n", (5,)),
        Example("from hashlib import md5\n\n\ndef download(data, checksum):\n"
                "    if md5(data).hexdigest() != checksum:\n        raise ValueError\n", (5,)),
        Example("from cryptography.hazmat.primitives import hashes\n\n\ndef check(key, data, s):\n"
                "    key.verify(s, data, hashes.SHA1())\n", (5,)),
    ),
    good=(
        Example("import hashlib\n\n\ndef store(password, salt):\n"
                "    return hashlib.scrypt(password, salt=salt, n=16384, r=8, p=1)\n"),
        Example("import hashlib\n\n\ndef checksum(data):\n"
                "    return hashlib.md5(data, usedforsecurity=False).hexdigest()\n"),
        Example("import hashlib\n\n\ndef source_checksum(text):\n"
                "    return hashlib.sha1(text).hexdigest()\n"),
        Example("import hashlib\n\n\ndef cache_key(token):\n"
                "    return hashlib.md5(token).hexdigest()\n"),
        Example("import hashlib\n\n\ndef verify(data, expected):\n"
                "    return hashlib.sha256(data).hexdigest() == expected\n"),
        Example("import hashlib, hmac\n\n\ndef sign(key, data):\n"
                "    return hmac.new(key, data, hashlib.sha1).hexdigest()\n"),
        Example("import hashlib\n\n\ndef etag(body):\n    return hashlib.sha1(body).hexdigest()\n"),
    ),
)  # fmt: skip
