"""``safehold scan``: look for what could run code in artifacts and sources."""

from __future__ import annotations

import argparse

HELP = """Look for what could run code in artifacts, also inside archives and compressed files,
and in Python sources for calls that load such artifacts, run data as code and the like. Nothing
that is scanned is imported or run.
Below a directory, files that are neither are left out; a file given by name always gets a
verdict. "-" reads an artifact from standard input."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _output, _shared

    parser.add_argument("paths", nargs="*", metavar="PATH", help='files, directories, URLs, or "-"')
    parser.add_argument(
        "--hf-cache",
        nargs="?",
        const="",
        metavar="DIR",
        help="also the cache of Hugging Face (default: where its library keeps it)",
    )
    parser.add_argument(
        "--stdin-name",
        metavar="NAME",
        default="<stdin>",
        help='what "-" is called in reports; NAME.py is read as source',
    )
    parser.add_argument(
        "--skip-others",
        action="store_true",
        help="leave out files given by name that are neither artifact nor source, as hooks do",
    )
    parser.add_argument(
        "--since",
        metavar="REV",
        help="only files that differ from this git revision, or are not in it; without PATH all "
        "of the checkout",
    )
    parser.add_argument(
        "--deps",
        action="store_true",
        help="look at dependencies instead: locks below PATH, their known vulnerabilities, hashes, "
        "and what has drifted; asks pip-audit's service unless --deps-database is given",
    )
    parser.add_argument(
        "--deps-database",
        metavar="FILE",
        help="with --deps: take vulnerabilities from this file, in the JSON of OSV, and use no "
        "network",
    )
    parser.add_argument(
        "--deps-environment",
        metavar="DIR",
        help="with --deps: compare with the packages installed in DIR, and list their licences",
    )
    _output.arguments(parser)
    parser.add_argument(
        "--policy",
        metavar="FILE",
        help="take limits from this policy, and accept the classes of its zones as known "
        f"(default: what {_shared.VARIABLE} names, if it is set)",
    )
    parser.add_argument(
        "--jobs",
        type=_shared.jobs,
        metavar="N",
        help="workers to use; -1 for all cores (default: 1, or all of another backend)",
    )
    parser.add_argument(
        "--backend",
        choices=("loky", "threading", "dask", "ray"),  # of scan.parallel; a test compares
        default="loky",
        help="where workers run: processes or threads here, or a cluster that exists",
    )
    parser.add_argument(
        "--paranoid",
        action="store_true",
        help="read harmless pickles a second time, too, with CPython's own loader in a confined "
        "process",
    )
    parser.add_argument(
        "--cache",
        nargs="?",
        const="",
        metavar="DIR",
        help="take what an earlier scan found for the same artifact from DIR, and keep there what "
        "this one finds (default: safehold/scan in the user's cache directory)",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="leave out names, or paths below a directory, that match; may be repeated",
    )


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 after a finding, 2 if a file could not be read."""
    from contextlib import closing

    from safehold._cli import _output
    from safehold._cli._progress import Gauge, Line
    from safehold._cli._scanning import dependencies, reports

    if options.deps or options.deps_database or options.deps_environment:
        return _output.emit(dependencies(options), options)
    line = Line()
    gauge = Gauge(line) if line.is_possible and not options.quiet else None
    try:
        # Closed whatever happens: workers end before this process does.
        with closing(reports(options, gauge)) as found:
            return _output.emit(found, options, line.hide)
    finally:
        line.hide()
