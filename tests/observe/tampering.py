"""Random tamperings with a trail, and where a check has to see each of them first.

python -m tests.observe.tampering --rounds 10000
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from safehold.events import Event
from safehold.keys import Key, Keyring
from safehold.observe import chain, writer
from safehold.observe.check import check_trail
from safehold.observe.check_manifest import Listed
from safehold.observe.trail import Trail

RING = Keyring(Key("k1", hashlib.sha256(b"a key of these tests").digest()))
_SEGMENT = 2_500

Place = tuple[str, int]
Files = dict[str, bytes]


class Tampering(NamedTuple):
    """What the files become (None: gone), and where that may be seen first."""

    files: dict[str, bytes | None]
    places: set[Place]


class World:
    """A trail of several writers and segments, as it was written."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        before, writer._SEGMENT_BYTES = writer._SEGMENT_BYTES, _SEGMENT
        try:
            for count in (25, 3, 40):
                self._write(count)
        finally:
            writer._SEGMENT_BYTES = before
        self.files: Files = {
            str(path.relative_to(directory)): path.read_bytes()
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        }
        self.writers = sorted({name.split("/")[0] for name in self.files if "/" in name})

    def _write(self, count: int) -> None:
        trail = Trail(self.directory, RING)
        for number in range(count - 1):
            trail.export(
                Event(action="load", outcome="allowed", artifact=f"m{number}.pkl", size=number)
            )
        trail.close()

    def segments(self, home: str) -> list[str]:
        return sorted(name for name in self.files if name.startswith(f"{home}/0"))

    def lines(self, segment: str) -> list[bytes]:
        return self.files[segment].splitlines(keepends=True)

    def after(self, segment: str, line: int) -> set[Place]:
        """Return the place after a line of a segment, whichever segment it is in."""
        home = segment.split("/", maxsplit=1)[0]
        segments = self.segments(home)
        if line < len(self.lines(segment)):
            return {(segment, line + 1)}
        if segment != segments[-1]:
            return {(segments[segments.index(segment) + 1], 1)}
        return self.end(home)

    def end(self, home: str) -> set[Place]:
        """Where lines that are gone at the end of a writer are told."""
        return {(f"{home}/state", 0), (home, 0)}

    def seen(self, tampering: Tampering) -> list[tuple[str, int, str]]:
        """Return the problems of the trail, changed so; it is whole again afterwards."""
        gone = {name.split("/")[0] for name, data in tampering.files.items() if data is None}
        try:
            for name, data in tampering.files.items():
                path = self.directory / name
                if data is None:
                    path.unlink()
                else:
                    path.write_bytes(data)
            for home in gone & set(self.writers):
                if not any((self.directory / home).iterdir()):
                    (self.directory / home).rmdir()
            return self.problems()
        finally:
            for name in tampering.files:
                path = self.directory / name
                path.parent.mkdir(exist_ok=True)
                if name in self.files:
                    path.write_bytes(self.files[name])
                else:
                    path.unlink()

    def problems(self) -> list[tuple[str, int, str]]:
        listed = Listed(self.directory, RING)
        results = list(check_trail(self.directory, RING))
        found = [result.problem for result in results if result.problem] + listed.compare(results)
        return [(str(one.path.relative_to(self.directory)), one.line, one.kind) for one in found]


Kind = Callable[[World, random.Random], Tampering]
KINDS: dict[str, Kind] = {}


def kind(function: Kind) -> Kind:
    KINDS[function.__name__.replace("_", " ")] = function
    return function


def _line(world: World, rng: random.Random) -> tuple[str, int, list[bytes]]:
    segment = rng.choice(world.segments(rng.choice(world.writers)))
    lines = world.lines(segment)
    return segment, rng.randrange(len(lines)), lines


def _changed(segment: str, lines: list[bytes], places: set[Place]) -> Tampering:
    return Tampering({segment: b"".join(lines)}, places)


@kind
def edit(world: World, rng: random.Random) -> Tampering:
    segment, index, lines = _line(world, rng)
    line = bytearray(lines[index])
    place = rng.randrange(len(line))
    line[place] ^= rng.randrange(1, 256)
    lines[index] = bytes(line)
    places = {(segment, index + 1)}
    if place == len(line) - 1:  # without its end, a last line is one that a kill cut
        places |= world.end(segment.split("/")[0])
    return _changed(segment, lines, places)


@kind
def edit_of_a_word(world: World, rng: random.Random) -> Tampering:
    segment, index, lines = _line(world, rng)
    lines[index] = lines[index].replace(b'"outcome":"', b'"outcome":"x', 1)
    return _changed(segment, lines, {(segment, index + 1)})


@kind
def deleted_line(world: World, rng: random.Random) -> Tampering:
    segment, index, lines = _line(world, rng)
    places = world.after(segment, index + 1)
    if index + 1 < len(lines):
        places = {(segment, index + 1)}
    del lines[index]
    return _changed(segment, lines, places)


@kind
def reordered_lines(world: World, rng: random.Random) -> Tampering:
    segment, first, lines = _line(world, rng)
    while len(lines) < 2:
        segment, first, lines = _line(world, rng)
    second = rng.choice([index for index in range(len(lines)) if index != first])
    lines[first], lines[second] = lines[second], lines[first]
    return _changed(segment, lines, {(segment, min(first, second) + 1)})


@kind
def cut_off(world: World, rng: random.Random) -> Tampering:
    home = rng.choice(world.writers)
    segments = world.segments(home)
    segment = rng.choice(segments)
    data = world.files[segment]
    cut = rng.randrange(len(data))
    count = data[:cut].count(b"\n")
    changes: dict[str, bytes | None] = {segment: data[:cut]}
    later = segments[segments.index(segment) + 1 :]
    if later and rng.random() < 0.5:
        changes.update(dict.fromkeys(later))
        later = []
    places = world.end(home) | {(segment, count + 1)}
    return Tampering(changes, places | ({(later[0], 1)} if later else set()))


@kind
def duplicated_line(world: World, rng: random.Random) -> Tampering:
    segment, index, lines = _line(world, rng)
    at = rng.randrange(len(lines) + 1)
    lines.insert(at, lines[index])
    # One that stands where its copy stood is the same line; what follows it is not.
    return _changed(segment, lines, {(segment, at + 1), (segment, at + 2)})


@kind
def splice(world: World, rng: random.Random) -> Tampering:
    segment, at, lines = _line(world, rng)
    other, index, others = _line(world, rng)
    while other.split("/")[0] == segment.split("/")[0]:
        other, index, others = _line(world, rng)
    lines[at : at + rng.randrange(2)] = [others[index]]
    return _changed(segment, lines, {(segment, at + 1)})


@kind
def replaced_file(world: World, rng: random.Random) -> Tampering:
    home, other = rng.sample(world.writers, 2)
    if rng.random() < 0.3:
        return Tampering({f"{home}/state": world.files[f"{other}/state"]}, {(f"{home}/state", 0)})
    segment = rng.choice(world.segments(home))
    return Tampering({segment: world.files[rng.choice(world.segments(other))]}, {(segment, 1)})


@kind
def deleted_segment(world: World, rng: random.Random) -> Tampering:
    home = rng.choice(world.writers)
    segments = world.segments(home)
    segment = rng.choice(segments)
    later = segments[segments.index(segment) + 1 :]
    return Tampering({segment: None}, {(later[0], 0)} if later else world.end(home))


@kind
def deleted_writer(world: World, rng: random.Random) -> Tampering:
    home = rng.choice(world.writers)
    names = [name for name in world.files if name.startswith(f"{home}/")]
    return Tampering(dict.fromkeys(names), {(home, 0)})


@kind
def old_state(world: World, rng: random.Random) -> Tampering:
    home = rng.choice(world.writers)
    key = chain.first_key(RING.local, home)
    count = rng.randrange(struct.unpack_from("<Q", world.files[f"{home}/state"])[0] - 1)
    for _ in range(count):
        key = chain.next_key(key)
    return Tampering({f"{home}/state": _state(count, key)}, {(f"{home}/state", 0)})


def _state(count: int, key: bytes) -> bytes:
    proof = chain.on_disk(key, count)
    return struct.pack("<Q32s", count, key) * 2 + struct.pack("<Q32s", count, proof) * 2


@kind
def rewritten_with_the_current_key(world: World, rng: random.Random) -> Tampering:
    """Write lines anew, to the writer's end, with a chain and a state that fit."""
    segment, index, _ = _line(world, rng)
    return _rewritten(world, segment, index, None, {(segment, index + 1)})


@kind
def end_rewritten_with_its_key(world: World, rng: random.Random) -> Tampering:
    """Write the last lines anew as somebody could who had seen the state before them."""
    home = rng.choice(world.writers)
    segment = world.segments(home)[-1]
    lines = world.lines(segment)
    index = rng.randrange(b'"seq":0,' in lines[0], len(lines))  # the first names the root key
    count = json.loads(lines[index])["seq"]
    key = chain.first_key(RING.local, home)
    for _ in range(count):
        key = chain.next_key(key)
    return _rewritten(world, segment, index, key, {(home, 0)})


def _rewritten(
    world: World, segment: str, index: int, key: bytes | None, places: set[Place]
) -> Tampering:
    home = segment.split("/", maxsplit=1)[0]
    if key is None:
        key = world.files[f"{home}/state"][8:40]
    changes: dict[str, bytes | None] = {}
    previous, count, is_on = chain.START, 0, False
    for name in world.segments(home):
        lines = world.lines(name)
        for number, line in enumerate(lines):
            count += 1
            is_on = is_on or (name == segment and number == index)
            if is_on:
                body = line.rpartition(b',"mac"')[0].replace(b"allowed", b"refused")
                previous = chain.line_mac(key, previous, body)
                lines[number] = body + b',"mac":"' + previous.hex().encode() + b'"}\n'
                key = chain.next_key(key)
            else:
                previous = bytes.fromhex(json.loads(line)["mac"])
        if is_on:
            changes[name] = b"".join(lines)
    changes[f"{home}/state"] = _state(count, key)
    return Tampering(changes, places)


@kind
def manifest_edit(world: World, rng: random.Random) -> Tampering:
    data = bytearray(world.files[".manifest"])
    place = rng.randrange(len(data))
    line = data[:place].count(b"\n") + 1
    data[place] ^= rng.randrange(1, 256)
    last = line == world.files[".manifest"].count(b"\n")
    state = {(".manifest.state", 0)} if last else set()
    return Tampering({".manifest": bytes(data)}, {(".manifest", line), *state})


@kind
def manifest_cut_with_a_writer(world: World, rng: random.Random) -> Tampering:
    home = rng.choice(world.writers)
    lines = world.files[".manifest"].splitlines(keepends=True)
    left = b"".join(line for line in lines if home.encode() not in line)
    first = next(number for number, line in enumerate(lines) if home.encode() in line)
    place = (".manifest", first + 1) if left.count(b"\n") > first else (".manifest.state", 0)
    names = [name for name in world.files if name.startswith(f"{home}/")]
    return Tampering({".manifest": left, **dict.fromkeys(names)}, {place})


def tampered(world: World, rounds: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield the kind of each tampering and what is wrong with what was seen, or nothing."""
    rng = random.Random(seed)
    names = list(KINDS)
    for number in range(rounds):
        name = names[number % len(names)]
        tampering = KINDS[name](world, rng)
        if all(world.files.get(file) == data for file, data in tampering.files.items()):
            continue  # it happened to change nothing
        seen = world.seen(tampering)
        where = {place[:2] for place in seen[:1]}
        wrong = "" if where & tampering.places else f"{number}: {seen} for {tampering.places}"
        yield name, wrong


def main() -> int:
    """Run it; exit code 1 when a tampering was not seen where it is."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp())
    try:
        world = World(directory / "trail")
        counts: Counter[str] = Counter()
        bad = []
        for name, wrong in tampered(world, options.rounds, options.seed):
            counts[name] += 1
            bad += [f"{name}: {wrong}"] if wrong else []
        said = [json.dumps(counts, indent=1), *bad[:20]]
        said.append(f"{sum(counts.values())} tamperings, {len(bad)} not seen where they are")
        sys.stdout.write("\n".join(said) + "\n")
    finally:
        shutil.rmtree(directory)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
