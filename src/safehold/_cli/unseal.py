"""``safehold unseal``: give back the plain file."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safehold._cli._each import Done
    from safehold.artifacts import Store

HELP = """Replace sealed artifacts by the plain files that readers of their format take: pickle,
joblib, numpy, pandas, safetensors and others. A file that was sealed as it stood comes back byte
for byte. Of a file with a sidecar the sidecar goes."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("paths", nargs="+", metavar="PATH", help="files or directories")
    _shared.add_policy(parser)
    _shared.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 when a file is not authentic."""
    from safehold._cli import _each

    def act(store: Store, path: str) -> Done:
        store.unseal(path)
        return _each.Done("unsealed")

    return _each.each(options, act, below=lambda file: file.is_sealed)
