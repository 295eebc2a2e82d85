"""Writes a corpus: ``python -m tests.corpus hostile DIRECTORY``."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from tests.corpus.cases import manifest, write


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.corpus", description=__doc__)
    parser.add_argument("corpus", choices=["hostile"])
    parser.add_argument("directory", type=Path)
    options = parser.parse_args()
    cases = importlib.import_module(f"tests.corpus.{options.corpus}").CASES
    directory = options.directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    text = manifest(write(cases, directory), directory)
    (directory / "manifest.json").write_text(text, "ascii")
    print(f"{len(cases)} files in {directory / 'files'}")  # noqa: T201


if __name__ == "__main__":
    main()
