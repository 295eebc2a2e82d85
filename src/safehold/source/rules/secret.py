"""SH301: passwords, keys and tokens that the source holds.

Not looked at: secrets in comments, in files that are not Python, and by their name alone in
tests, which have their own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from safehold.credentials.names import Kind, kind_of
from safehold.facts import HARD_CODED as RULE
from safehold.findings import Confidence, Severity
from safehold.source.credentials import PLACED, fingerprint, is_secret, shape_of
from safehold.source.named import Given, Named, named_literals
from safehold.source.row import Example, Hint, Item, SourceRule
from safehold.source.unit import Unit, is_test

_GIVEN = r"\w*(?:['\"]\]?\s*(?:==|!=|=|:)|\s*(?::[^=\n]{0,60}=|==|!=|=))\s*"
_PASSED = r"\w*['\"]\s*,\s*"
_MADE = r"\b(?:or|else|default|environ|getenv|config|env|Secret\w*|Field|bytes)\b"
_KEYS = "".join(
    f"|(?<={word}_)|(?<={word})"
    for word in (
        "api access account auth cipher crypt encryption fernet hmac jwt license master private "
        "service sign signing storage subscription"
    ).split()
)


def _valued(least: int) -> str:
    """Return the expression for a text of some length, or part of it, behind a name."""
    text = rf"(?:\"[^\"\n]{{{least}}}|'[^'\n]{{{least}}})"
    return (
        rf"(?:\(?\s*[rbu]{{0,2}}(?:{text}|'{{3}}|\"{{3}})"
        rf"|[^\n#]{{0,120}}?{_MADE}[^\n#]{{0,120}}?{text})"
    )


NAMED = tuple(
    Hint.of(needle, around + given + _valued(least), any_case=True, beside=beside)
    for needle, around, least in (
        ("pass", "pass(?:w|phrase|code)", 3), ("_pwd", "_pwd", 3), ("secret", "secret", 3),
        ("token", "token", 16), ("key", rf"(?:{_KEYS[1:]})key", 3),
    )
    for given, beside in ((_GIVEN, ""), (_PASSED, "environ|getenv|decouple"))
)  # fmt: skip
"""What a secret that has a name needs; also of the rule about defaults."""
_STANDING_FOR = "|".join(sorted(PLACED))
_SHAPED = tuple(
    Hint.of(needle, around)
    for needle, around in (
        ("AKIA", r"AKIA[A-Z0-9]{16}"), ("ghp_", r"ghp_[A-Za-z0-9]{36}"),
        ("ghs_", r"ghs_[A-Za-z0-9]{36}"),
        ("github_pat_", ""), ("glpat-", ""), ("xox", r"xox[abeprs]-\d"), ("k_live_", ""),
        ("AIza", r"AIza[\w-]{35}"), ("hf_", r"hf_[A-Za-z0-9]{34}"), ("T3BlbkFJ", ""),
        ("pypi-AgEI", ""), ("PRIVATE KEY-----", ""), ("eyJ", r"eyJ[\w-]{10,}\.eyJ"),
        ("://", rf"://[^\s/:@'\"{{}}<>%$]+:(?!(?i:{_STANDING_FOR})@)[^\s/@'\"{{}}<>%$]+@"),
    )
)  # fmt: skip


def _check(unit: Unit) -> Iterator[Item]:
    """Yield what has the shape of a token, and what has the name of a secret and can be one."""
    found: set[ast.AST] = set()
    tested = is_test(unit.path)
    shaped = any(hint.holds(unit.text.utf8) for hint in _SHAPED)
    for node in unit.nodes(ast.Constant) if shaped else ():
        if isinstance(node.value, str | bytes) and len(node.value) > 12:
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            shape = shape_of(text, in_test=tested)
            if shape and not _is_documentation(node, unit):
                found.add(node)
                yield _shaped(node, text, shape)
    if tested:
        return
    for named in named_literals(unit):
        kind = kind_of(named.name)
        if kind is None or named.given is Given.DEFAULT or named.node in found:
            continue
        if is_secret(named.text, kind, named.name, paired=named.is_paired):
            found.add(named.node)
            message = f"{named.name} is a {kind.value} that stands in the source"
            if named.given is Given.COMPARED:
                message = f"{named.name} is compared with a {kind.value} that stands in the source"
            yield item_of(named, kind, message)


def item_of(named: Named, kind: Kind, message: str) -> Item:
    """Return the item of a secret; nothing in it is the secret or tells a guess from it."""
    detail = {"name": named.name, "kind": kind.value, "fingerprint": fingerprint(named.text)}
    return Item(
        named.node,
        message,
        severity=Severity.HIGH if kind is Kind.PASSWORD else None,
        confidence=Confidence.HIGH if detail["fingerprint"] else Confidence.MEDIUM,
        detail={key: value for key, value in detail.items() if value},
    )


def _shaped(node: ast.Constant, text: str, shape: str) -> Item:
    is_url = shape == "a URL with a password"
    detail = {"kind": shape} if is_url else {"kind": shape, "fingerprint": fingerprint(text)}
    return Item(
        node,
        f"{shape} stands in the source",
        severity=Severity.HIGH if is_url else None,
        confidence=Confidence.MEDIUM if is_url else Confidence.HIGH,
        detail={key: value for key, value in detail.items() if value},
    )


def _is_documentation(node: ast.Constant, unit: Unit) -> bool:
    return isinstance(unit.module.parents.get(node), ast.Expr)


SECRET = SourceRule(
    rule=RULE,
    check=_check,
    migrates=False,
    hints=(*NAMED, *_SHAPED),
    bad=(
        Example("API_KEY = 'q9Zf3mB7xT2kLw8Rv5Yd'\n", (1,)),
        Example("SECRET_KEY = 'django-insecure-4k2!x9'\n", (1,)),
        Example("SECRET_KEY = 'changeme'\n", (1,)),
        Example("class Config:\n    jwt_secret: str = 'super-secret-key'\n", (2,)),
        Example("import psycopg\n\n"
                "psycopg.connect(host='db', user='app', password='winter')\n", (3,)),
        Example("DATABASE = {\n    'USER': 'app',\n    'PASSWORD': 'Tr0ub4dor',\n}\n", (3,)),
        Example("app.config['SECRET_KEY'] = b'k3y-of-the-house'\n", (1,)),
        Example("def enter(password):\n    return password == 'l3tm31n!'\n", (2,)),
        Example("KEY = 'AKIA" + "Q3EGRTJWXNZ7M5LP'\n", (1,)),
        Example("URL = 'postgresql://app:Wq7rTz1@db.internal/app'\n", (1,)),
        Example("PEM = '''-----BEGIN PRIVATE KEY-----\n"
                "MIIBVQIBADANBgkqhkiG9w0BAQEFAASCAT8wggE7AgEAAkEAq7BFUpkGp3+LQmlQ\n'''\n", (1,)),
        Example("from pydantic import SecretStr\n\ntoken_secret = SecretStr('s7Jq2Lx')\n", (3,)),
    ),
    good=(
        Example("import os\n\nSECRET_KEY = os.environ['SECRET_KEY']\n"),
        Example("PASSWORD_FIELD = 'password'\nAPI_KEY = 'api_key'\nHEADER_TOKEN = 'X-Api-Token'\n"),
        Example("token = '('\nTOKEN_TYPE = 'urn:ietf:params:oauth:token-type:jwt'\n"),
        Example("api_key = 'YOUR_API_KEY'\napi_key = '<your key>'\n"),
        Example("password = ''\npassword = '${PASSWORD}'\npassword = '{password}'\n"),
        Example("import getpass\n\npassword = getpass.getpass('Password: ')\n"),
        Example("URL = 'postgresql://user:password@localhost/app'\nURL = 'http://{u}:{p}@host'\n"),
        Example("KEYS = {'password': 'hidden', 'token': 'string', 'secret': 'Secret'}\n"),
        Example("primary_key = 'id2024abcdefgh1234'\ntokenizer = 'bert-base-uncased-1'\n"),
        Example("EXAMPLE = 'AKIAIOSFODNN7EXAMPLE'\n"),
        Example("private_key = '/etc/keys/service.pem'\npassword_file = 'x1y2z3'\n"),
        Example("if token == 'NAME':\n    secret = True\n"),
    ),
)  # fmt: skip
