"""Opens below a directory while another process exchanges directories and links: who gets out?

``python -m tests.inputs.racing --opens 1000000`` prints, for one way of opening, how many opens
gave a file inside, how many were refused or found nothing, and how many led out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from safehold import paths
from safehold.errors import InputRefused
from safehold.inputs.confining import confine

ROOT = Path(__file__).parents[2]
RACED = ("a/file", "b/file", "c/file", "d/e/../../stay/file", "x/y/file")
STAYS = "stay/file"


def make(base):
    """Make a tree with an inside and an outside; return the inside."""
    root = Path(base) / "root"
    for name in ("stay", "a", "b", "c", "d/e", "x/y"):
        (root / name).mkdir(parents=True)
        (root / name / "file").write_bytes(b"inside")
    outside = Path(base) / "outside"
    (outside / "y").mkdir(parents=True)
    for name in ("file", "y/file", "stay/file"):
        (outside / name).parent.mkdir(exist_ok=True)
        (outside / name).write_bytes(b"outside")
    os.symlink("../outside", root / "a.other")
    os.symlink(outside, root / "b.other")
    os.symlink("stay", root / "c.other")  # which is allowed
    os.symlink("../outside", root / "x.other")
    return root


def flip(root):
    """Exchange them until the parent is gone."""
    parent = os.getppid()
    fd = os.open(root, os.O_RDONLY)
    while os.getppid() == parent:
        for name in ("a", "b", "c", "x"):
            _exchange(fd, name)
        os.rename("d/e", "../outside/e", src_dir_fd=fd, dst_dir_fd=fd)
        for name in ("a", "b", "c", "x"):
            _exchange(fd, name)
        os.rename("../outside/e", "d/e", src_dir_fd=fd, dst_dir_fd=fd)


def _exchange(fd, name):
    now, other = f"{name}.now", f"{name}.other"
    for old, new in ((name, now), (other, name), (now, other)):
        os.rename(old, new, src_dir_fd=fd, dst_dir_fd=fd)


def checked_first(root):
    """Return the usual way, which is not safe: look where it leads, then open."""

    def open_fd(path):
        try:
            full = os.path.realpath(os.path.join(root, path))
        except OSError as error:
            raise FileNotFoundError from error
        if not full.startswith(f"{root}/"):
            raise InputRefused("it leads out")
        return os.open(full, os.O_RDONLY)

    return open_fd


def race(base, way, opens):
    """Return how the opens ended."""
    root = make(base)
    program = [sys.executable, "-m", "tests.inputs.racing", "--flip", str(root)]
    confined = confine(root)
    works = paths._openat2_works
    if way == "walk":
        paths._openat2_works = lambda: False
    open_fd = checked_first(str(root)) if way == "checked-first" else confined.open_fd
    ended = Counter()
    with subprocess.Popen(program, cwd=ROOT) as other:
        try:
            while (root / "a").is_dir() and not (root / "a").is_symlink():
                pass  # until it has begun
            for number in range(opens):
                stays = not number % 10
                ended[_one(open_fd, STAYS if stays else RACED[number % len(RACED)], stays)] += 1
        finally:
            paths._openat2_works = works
            other.kill()
    confined.close()
    return ended


def _one(open_fd, path, stays):
    try:
        fd = open_fd(path)
    except InputRefused:
        return "legitimate refused" if stays else "refused"
    except FileNotFoundError:  # between two renames
        return "legitimate missed" if stays else "missing"
    try:
        found = os.pread(fd, 10, 0)
    finally:
        os.close(fd)
    if found != b"inside":
        return "escaped"
    return "legitimate" if stays else "inside"


def main():
    """Run one way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--opens", type=int, default=100_000)
    parser.add_argument("--way", choices=("kernel", "walk", "checked-first"), default="kernel")
    parser.add_argument("--flip", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.flip:
        flip(args.flip)
        return
    with tempfile.TemporaryDirectory() as base:
        print(args.way, dict(race(base, args.way, args.opens)))  # noqa: T201  a program's result


if __name__ == "__main__":
    main()
