"""Lines of a trail that were verified, for whoever hands them on.

The whole trail is checked before the first line is given, since that lines are missing shows at the
end. Then each line is checked once more as it is read: somebody may write between the two.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from pathlib import Path

from safehold.errors import Tampered
from safehold.keys import Keyring
from safehold.observe.chain import START, first_key, line_mac, next_key
from safehold.observe.check import check_trail
from safehold.observe.check_manifest import Listed
from safehold.observe.lines import Line, parse_line
from safehold.observe.problems import open_regular

_LONGEST = 2**20


def verified_lines(directory: Path, keyring: Keyring) -> Iterator[Line]:
    """Yield the lines of every writer, one writer after the other.

    Raises:
        Tampered: the trail does not verify; names the first problem.
        OSError
    """
    listed = Listed(directory, keyring)
    results = list(check_trail(directory, keyring))
    problems = listed.compare(results)
    problems += [result.problem for result in results if result.problem is not None]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        message = f"the trail does not verify: {problems[0]}{more}; --unverified takes it as it is"
        raise Tampered(message)
    for result in results:
        yield from _again(directory / result.writer, result.lines, keyring)


def _again(home: Path, count: int, keyring: Keyring) -> Iterator[Line]:
    """Yield so many lines of one writer, each with its mac checked."""
    previous, key, left = START, b"", count
    for path in sorted(home.glob("*.jsonl")):
        with open_regular(path) as file:
            while left and (raw := file.readline(_LONGEST)):
                line = parse_line(raw)
                if line is not None and not key:
                    key = first_key(keyring.local_by_id(line.event.key), home.name)
                body = raw.rpartition(b',"mac":"')[0]
                previous = line_mac(key, previous, body)
                mac = b"" if line is None else line.mac.encode()
                if line is None or not hmac.compare_digest(previous.hex().encode(), mac):
                    message = f"{path}: changed while it was read, or of another version"
                    raise Tampered(message)
                key, left = next_key(key), left - 1
                yield line
    if left:
        message = f"{home}: {left} lines went while it was read"
        raise Tampered(message)
