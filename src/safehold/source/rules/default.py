"""SH303: secrets with a default, which is used wherever nobody sets one."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.credentials.names import Kind, kind_of
from safehold.facts import DEFAULT as RULE
from safehold.source.credentials import is_secret
from safehold.source.named import Given, named_literals
from safehold.source.row import Example, Item, SourceRule
from safehold.source.rules.secret import NAMED, item_of
from safehold.source.unit import Unit


def _check(unit: Unit) -> Iterator[Item]:
    """Yield the defaults of what has the name of a secret and can be one."""
    seen = set()
    for named in named_literals(unit):
        kind = kind_of(named.name)
        if kind is None or named.given is not Given.DEFAULT or named.node in seen:
            continue
        paired = named.is_paired or kind is not Kind.TOKEN
        if is_secret(named.text, kind, named.name, paired=paired):
            seen.add(named.node)
            message = f"{named.name} is a {kind.value} whose default stands in the source"
            yield item_of(named, kind, message)


DEFAULT = SourceRule(
    rule=RULE,
    check=_check,
    migrates=False,
    in_tests=False,
    hints=NAMED,
    bad=(
        Example("import os\n\nkey = os.environ.get('SECRET_KEY', 'dev')\n", (3,)),
        Example("import os\n\nSECRET = os.getenv('JWT_SECRET', 'not so secret')\n", (3,)),
        Example("import os\n\nSECRET_KEY = os.environ.get('SECRET_KEY') or 'change-me'\n", (3,)),
        Example("def connect(host, user='app', password='postgres'):\n    pass\n", (1,)),
        Example("from decouple import config\n\n"
                "SECRET_KEY = config('SECRET_KEY', default='k2-insecure')\n", (3,)),
        Example("from pydantic import Field\n\n\nclass Settings:\n"
                "    secret_key: str = Field('topsecret1', min_length=4)\n", (5,)),
    ),
    good=(
        Example("import os\n\nkey = os.environ['SECRET_KEY']\n"),
        Example("import os\n\nkey = os.environ.get('SECRET_KEY', '')\nos.getenv('API_KEY')\n"),
        Example("import os\n\nos.environ.get('API_KEY', 'your-api-key')\n"),
        Example("def connect(host, password=None, token_type='bearer'):\n    pass\n"),
        Example("import os\n\npath = os.environ.get('SECRET_KEY_FILE', '/run/secrets/key1')\n"),
    ),
)  # fmt: skip
