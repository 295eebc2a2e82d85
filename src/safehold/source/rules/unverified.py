"""SH505: connections whose other end is not checked.

Not found: code behind a condition about verification, as clients have it to offer the choice.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from safehold.credentials.names import words_of
from safehold.facts import UNVERIFIED as RULE
from safehold.findings import Confidence
from safehold.source.row import Example, Hint, Item, SourceRule
from safehold.source.unit import Unit
from safehold.source.words import names_in

_CLIENTS = frozenset({"requests", "httpx", "requests_toolbelt", "niquests", "curl_cffi"})
_REQUESTS = frozenset(
    "get post put patch delete head options request send stream Session Client AsyncClient "
    "HTTPTransport AsyncHTTPTransport merge_environment_settings ws_connect".split()
)
_CHOICES = frozenset(
    "verify verified verification validate validated cert certs certificate certificates reqs "
    "hostname insecure check pyopenssl unverified".split()
)
_UNCHECKED = {
    "ssl._create_unverified_context": "accepts any certificate",
    "ssl._create_stdlib_context": "accepts any certificate",
    "paramiko.AutoAddPolicy": "accepts any host key",
    "paramiko.WarningPolicy": "accepts any host key",
    "paramiko.client.AutoAddPolicy": "accepts any host key",
    "paramiko.client.WarningPolicy": "accepts any host key",
}
_OFF = {"verify_ssl": "aiohttp", "ssl_verify": "", "verify_certs": "", "check_hostname": "ssl"}


def _check(unit: Unit) -> Iterator[Item]:
    """Yield what switches verification off."""
    for name, what in _UNCHECKED.items():
        for called in unit.calls(name):
            if not _is_choice(called.node, unit):
                yield Item(called.node, f"{name} {what}", detail={"call": name})
    for call, _ in unit.module.calls:
        yield from _keywords(call, unit)
    for assign in unit.nodes(ast.Assign):
        for target in assign.targets:
            if isinstance(target, ast.Attribute) and not _is_choice(assign, unit):
                yield from _assigned(target, assign, unit)


def _keywords(call: ast.Call, unit: Unit) -> Iterator[Item]:
    func = call.func
    last = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    for item in call.keywords:
        name, value = item.arg or "", item.value
        off = isinstance(value, ast.Constant) and value.value is False
        if (
            (name == "verify" and off and last in _REQUESTS and unit.imported & _CLIENTS)
            or (name in _OFF and off and _OFF[name] in {"", *unit.imported})
            or (name == "ssl" and off and "aiohttp" in unit.imported)
            or (name in ("cert_reqs", "ssl_cert_reqs", "assert_hostname") and _none(value, name))
        ):
            shown = ast.unparse(value)
            yield Item(value, f"{name}={shown} accepts any certificate", detail={"call": last})
    if last == "set_missing_host_key_policy" and call.args:
        policy = call.args[0]
        if isinstance(policy, ast.Attribute | ast.Name):  # a class serves as well
            named = policy.attr if isinstance(policy, ast.Attribute) else policy.id
            if named in ("AutoAddPolicy", "WarningPolicy"):
                yield Item(policy, f"{named} accepts any host key", detail={"call": last})
    if last == "set_verify" and call.args and _last(call.args[0]) == "VERIFY_NONE":
        yield Item(call, "VERIFY_NONE accepts any certificate", detail={"call": last})


def _none(value: ast.expr, name: str) -> bool:
    """`ssl.CERT_NONE` and what clients take for it."""
    if name == "assert_hostname":
        return isinstance(value, ast.Constant) and value.value is False
    return _last(value) == "CERT_NONE" or (
        isinstance(value, ast.Constant) and value.value in ("CERT_NONE", "none", "NONE")
    )


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _assigned(target: ast.Attribute, assign: ast.Assign, unit: Unit) -> Iterator[Item]:
    name, value = target.attr, assign.value
    off = isinstance(value, ast.Constant) and value.value is False
    shown = what = ""
    if name == "check_hostname" and off and not _sets_mode(assign, unit):
        shown, what = "check_hostname = False", "a certificate of any host"
    elif name == "verify_mode" and _last(value) == "CERT_NONE":
        shown, what = "verify_mode = CERT_NONE", "any certificate"
    elif name == "verify" and off and unit.imported & _CLIENTS:
        shown, what = "verify = False", "any certificate"
    elif name == "_create_default_https_context" and _last(value).startswith("_create_unv"):
        shown, what = "ssl._create_default_https_context", "any certificate from now on"
    if shown:
        confidence = Confidence.MEDIUM if name == "verify" else Confidence.HIGH
        yield Item(assign, f"{shown} accepts {what}", confidence=confidence, detail={"call": name})


def _is_choice(node: ast.AST, unit: Unit) -> bool:
    """Whether it stands behind a condition about verification: where that is set is the fault."""
    above = unit.module.parents.get(node)
    while above is not None and not isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
        if isinstance(above, ast.If | ast.IfExp):
            words = {word for name in names_in(above.test) for word in words_of(name)}
            if words & _CHOICES:
                return True
        above = unit.module.parents.get(above)
    return False


def _sets_mode(assign: ast.Assign, unit: Unit) -> bool:
    """Whether the mode is set beside it, which tells more, or the value is put back later."""
    above: ast.AST | None = assign
    while above is not None and not isinstance(
        above, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module
    ):
        above = unit.module.parents.get(above)
    for part in ast.walk(above or unit.module.tree):
        if isinstance(part, ast.Attribute):
            if part.attr == "verify_mode" and isinstance(part.ctx, ast.Store):
                return True
            if part.attr == "check_hostname" and isinstance(part.ctx, ast.Load):
                return True
    target = assign.targets[0]
    return isinstance(target, ast.Attribute) and _last(target.value) == "self"


UNVERIFIED = SourceRule(
    rule=RULE,
    check=_check,
    migrates=False,
    in_tests=False,
    hints=(
        Hint.of("verify", r"verify\s*=\s*False", beside="|".join(sorted(_CLIENTS))),
        Hint.of("verify", r"verify_(?:ssl|certs)\s*=\s*False|(?<=ssl_)verify\s*=\s*False"),
        Hint.of("_NONE", r"(?<=CERT)_NONE|(?<=VERIFY)_NONE"),
        Hint.of("_hostname", r"_hostname\s*=\s*False"),
        Hint.of("cert_reqs", r"cert_reqs\s*=\s*['\"]"),
        Hint.of("ssl", r"ssl\s*=\s*False"),
        Hint.of("_create_", r"_create_(?:unverified|stdlib)_context"),
        Hint.of("paramiko"),
    ),
    bad=(
        Example("import requests\n\nrequests.get('https://api.test', verify=False)\n", (3,)),
        Example("import requests\n\nsession = requests.Session()\nsession.verify = False\n", (4,)),
        Example("import httpx\n\nclient = httpx.Client(\n    verify=False,\n)\n", (4,)),
        Example("import ssl\n\ncontext = ssl.create_default_context()\n"
                "context.check_hostname = False\ncontext.verify_mode = ssl.CERT_NONE\n", (5,)),
        Example("import ssl\n\ncontext = ssl.create_default_context()\n"
                "context.check_hostname = False\n", (4,)),
        Example("import ssl, urllib.request\n\n"
                "urllib.request.urlopen('https://a.test', context=ssl._create_unverified_context())"
                "\n", (3,)),
        Example("import ssl\n\n"
                "ssl._create_default_https_context = ssl._create_unverified_context\n", (3,)),
        Example("import urllib3\n\npool = urllib3.PoolManager(cert_reqs='CERT_NONE')\n", (3,)),
        Example("import aiohttp\n\nconnector = aiohttp.TCPConnector(ssl=False)\n", (3,)),
        Example("import paramiko\n\nclient = paramiko.SSHClient()\n"
                "client.set_missing_host_key_policy(paramiko.AutoAddPolicy())\n", (4,)),
    ),
    good=(
        Example("import requests\n\nrequests.get('https://api.test', verify='/etc/own.pem')\n"),
        Example("import jwt\n\njwt.decode('token', verify=False)\n"),
        Example("import requests\n\n\ndef get(url, verify=False):\n"
                "    return requests.get(url, verify=verify or True)\n"),
        Example("import ssl\n\n\ndef context(verify=True):\n"
                "    made = ssl.create_default_context()\n    if not verify:\n"
                "        made.check_hostname = False\n        made.verify_mode = ssl.CERT_NONE\n"
                "    return made\n"),
        Example("import ssl\n\ncontext = ssl.create_default_context()\n"
                "context.verify_mode = ssl.CERT_REQUIRED\nprint(ssl.CERT_NONE)\n"),
        Example("import paramiko\n\nclient = paramiko.SSHClient()\n"
                "client.set_missing_host_key_policy(paramiko.RejectPolicy())\n"),
        Example("def connect(database):\n    return database.connect(ssl=False)\n"),
    ),
)  # fmt: skip
