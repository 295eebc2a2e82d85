"""``safehold sign``: a signature of a sealed artifact for those who do not have safehold."""

from __future__ import annotations

import argparse

HELP = """Write a signature of a sealed artifact in the format of OpenSSF model-signing, under an EC
key. The seal is verified first, and what is signed is the plain file of the very bytes that were
verified: the file itself if it has a sidecar, else what `safehold unseal` gives back. No file is
overwritten. `safehold seal --signature` verifies such a signature before it seals."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("path", metavar="PATH", help="a sealed file, or one with a sidecar")
    parser.add_argument(
        "--key-file", required=True, metavar="KEY.pem", help="private key: P-256, P-384 or P-521"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="the signature (default: PATH.sig)")
    _shared.add_policy(parser)
    _shared.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 when the file is refused."""
    from safehold._cli import _shared
    from safehold.artifacts import Store

    out = options.output or f"{options.path}.sig"
    with _shared.load_context(options) as hold:
        info = Store(hold).export_signature(options.path, options.key_file, out)
    _shared.print_info(options, f"{options.path}: signed: {out}", info)
    return 0
