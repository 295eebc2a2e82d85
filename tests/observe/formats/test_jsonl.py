from __future__ import annotations

from tests.observe.formats.exporting import exported, lines


def test_lines_are_those_of_the_trail(tmp_path):
    found = lines(tmp_path)
    (file,) = tmp_path.glob("2*/*.jsonl")
    assert exported("jsonl", found) == b"".join(file.read_bytes().splitlines(keepends=True)[1:])
