"""What a name says of its value: a password, a key, a token.

Two questions are asked of the same words. `kind_of`: can a value of this name, written into a
source, be a secret? `label_of`: has a value of this name to stay out of the trail? The second
also knows what is sent, as cookies are, and is held up by no word before the last ones.
"""

from __future__ import annotations

import enum
import re
from functools import lru_cache
from typing import NamedTuple

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of an identifier in lower case: `apiKey`, `API_KEY` are "api", "key"."""
    return tuple(word.lower() for word in _WORD.findall(name))


class Kind(enum.Enum):
    """What a name says that its value is."""

    PASSWORD = "password"  # noqa: S105  the kind's name
    KEY = "key"  # of one's own: who knows it can sign or decrypt
    FOREIGN = "credential"  # what another service gave; a placeholder opens nothing
    TOKEN = "token"  # noqa: S105  the word alone, which mostly speaks of syntax


_OWN = frozenset(
    "secret key|secretkey|signing key|sign key|encryption key|crypt key|cipher key|master key|"
    "jwt key|jwt secret|jwt secret key|session secret|cookie secret|app secret key|hmac key|"
    "hmac secret|fernet key|csrf secret|auth secret|token secret|secret salt".split("|")
)
_FOREIGN = frozenset(
    "api key|apikey|access key|private key|client secret|consumer secret|app secret|webhook secret|"
    "shared secret|secret|api secret|account key|storage key|service key|auth key|license key|"
    "subscription key|secret access key|access token|auth token|api token|bearer token|"
    "refresh token|bot token|github token|gitlab token|slack token|personal token|"
    "personal access token|jwt token|secret token|oauth token|session token|security token|"
    "hf token|id token|deploy token|npm token|pypi token|authtoken|accesstoken".split("|")
)
_PASSWORDS = frozenset({"password", "passwd", "passphrase", "passcode", "passwort"})
_TRAILING = frozenset(
    "default defaults prod production dev development live value string str bytes hex b64 base64 "
    "old new current primary secondary raw".split()
)
_SENT = {
    "authorization": "authorization", "auth": "authorization",
    "bearer": "authorization", "cookie": "cookie", "cookies": "cookie", "session": "session",
    "session id": "session", "sessionid": "session", "sess": "session", "session key": "session",
    "credential": "credential", "credentials": "credential",
    "passwords": "password", "secrets": "credential",
    "api keys": "credential", "private keys": "credential",
    "pass": "password", "pw": "password", "jwt": "token",
    "pgpassword": "password", "sshpass": "password",
    "keypass": "password", "storepass": "password", "userpass": "password", "passwd": "password",
    "accountkey": "credential", "sharedaccesskey": "credential", "privatekey": "credential",
    "accesskey": "credential", "clientsecret": "credential", "dbpassword": "password",
    "shared access key": "credential",
    "secretaccesskey": "credential", "phpsessid": "session", "jsessionid": "session",
    "subscription key": "credential", "signing secret": "credential", "bot secret": "credential",
}  # fmt: skip
"""More names whose values are secret in a program that runs; a source holds none of them."""
_ENDINGS = {
    "password": "password", "passwd": "password", "passphrase": "password", "token": "token",
    "secret": "credential", "apikey": "credential", "secretkey": "credential",
}  # fmt: skip
_MARKS_OF_TEXT = frozenset(
    "pad eos bos unk mask cls sep stop begin end start next special max min num unexpected "
    "additional image audio new prompt completion first last page continuation sync input "
    "output".split()
)
"""What stands before a token that is a piece of a text or a place in a list."""
_WEAK = frozenset("pass pw jwt auth session bearer".split())

_OTHERWISE = frozenset(
    "env var variable header headers field fields param params parameter attr attribute column "
    "label prompt message msg placeholder pattern regex format hint help title url uri endpoint "
    "name names type types scope no without invalid bad wrong incorrect fake dummy mock example "
    "sample test is has use require required need hashed public masked redacted reset missing "
    "empty error doc docs description desc option flag kind mode method algorithm alg policy "
    "validator template prefix suffix separator sep file filename path dir input form old".split()
)


def kind_of(name: str) -> Kind | None:
    """Say what kind of secret a name speaks of, None when of none."""
    words = [word for word in words_of(name) if not word.isdigit()]
    while len(words) > 1 and words[-1] in _TRAILING:
        words.pop()
    if not words or not _OTHERWISE.isdisjoint(words):
        return None
    if words[-1] in _PASSWORDS or (words[-1] == "pwd" and len(words) > 1):
        return Kind.PASSWORD
    for count in (3, 2, 1):
        phrase = " ".join(words[-count:])
        if phrase in _OWN:
            return Kind.KEY
        if phrase in _FOREIGN:
            return Kind.FOREIGN
    return Kind.TOKEN if words[-1] == "token" else None


class Label(NamedTuple):
    """What a redacted value was; `is_weak` when in prose the name alone says too little."""

    kind: str
    is_weak: bool = False


_LONGEST_NAME = 64


def label_of(name: str) -> Label | None:
    """Say what the value of a name is that must not be recorded; None if it may be."""
    return _label_of(name[-_LONGEST_NAME:])


@lru_cache(2048)
def _label_of(name: str) -> Label | None:
    words = [word for word in words_of(name) if not word.isdigit()]
    while len(words) > 1 and words[-1] in _TRAILING:
        words.pop()
    kind = _found(words)
    return Label(kind, len(words) == 1 and words[-1] in _WEAK) if kind else None


def _found(words: list[str]) -> str:
    if not words:
        return ""
    if words[-1] in _PASSWORDS or (words[-1] == "pwd" and len(words) > 1):
        return Kind.PASSWORD.value
    for count in (3, 2, 1):
        phrase = " ".join(words[-count:])
        if phrase in _OWN:
            return Kind.KEY.value
        if phrase in _FOREIGN:
            return Kind.TOKEN.value if words[-1] == "token" else Kind.FOREIGN.value
        if phrase in _SENT:
            return _SENT[phrase]
    for ending, kind in _ENDINGS.items():
        if words[-1].endswith(ending) and words[-1] != ending:  # "mypassword", "-Dpassword"
            return kind
    if words[-1] == "tokens" and " ".join((*words[-2:-1], "token")) in _FOREIGN:
        return Kind.TOKEN.value
    if words[-1] == "token":
        return "" if len(words) > 1 and words[-2] in _MARKS_OF_TEXT else Kind.TOKEN.value
    return ""
