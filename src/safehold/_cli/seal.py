"""``safehold seal``: seal artifacts that the scanner finds clean."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safehold._cli._each import Done
    from safehold.artifacts import Store

HELP = """Seal plain artifacts in place. Each file is scanned first, and the very bytes that were
scanned are sealed; what is not clean is refused. Below a directory only files whose suffix
belongs to a codec are taken. `--sidecar` leaves each file as it is, for other tools to read, and
writes its seal to PATH.sfh; it seals a file anew that was changed on purpose since. `--renew`
gives files that are sealed and authentic the next generation, which takes an older model back
into service."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("paths", nargs="+", metavar="PATH", help="files or directories")
    parser.add_argument("--codec", help="the codec, where the suffix does not tell")
    parser.add_argument(
        "--sidecar",
        action="store_true",
        default=None,
        help="leave the file as it is and write the seal to PATH.sfh (default: what the zone says)",
    )
    parser.add_argument(
        "--signature",
        metavar="FILE",
        help="refuse PATH unless this signature of OpenSSF model-signing is of its bytes",
    )
    parser.add_argument(
        "--signature-key", metavar="KEY.pem", help="the public key that --signature must be under"
    )
    parser.add_argument("--renew", action="store_true", help="give sealed files a new generation")
    _shared.add_policy(parser)
    _shared.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 when a file was refused, 2 when one could not be sealed."""
    from safehold._cli import _each
    from safehold.artifacts import Signature
    from safehold.errors import ConfigError

    signature = None
    if options.signature or options.signature_key:
        if not (options.signature and options.signature_key) or options.renew:
            message = "--signature and --signature-key go together, and not with --renew"
            raise ConfigError(message)
        signature = Signature(options.signature, options.signature_key)

    def act(store: Store, path: str) -> Done:
        if options.renew:
            info = store.renew(path)
        else:
            info = store.seal(
                path, codec=options.codec, sidecar=options.sidecar, signature=signature
            )
        done = "sealed with a sidecar" if info.sidecar else "sealed"
        text = f": zone {info.zone}, codec {info.codec}, generation {info.generation}"
        return _each.Done(done, text, info)

    if options.renew:
        return _each.each(options, act, below=lambda file: file.is_sealed)
    return _each.each(options, act, below=lambda file: file.is_artifact and not file.is_sealed)
