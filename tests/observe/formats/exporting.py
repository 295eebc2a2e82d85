"""Lines that each format has to write."""

from __future__ import annotations

import io
import random

from safehold.events import Event, Recorder
from safehold.keys import Key, Keyring, generate_key
from safehold.observe.formats import open_writer
from safehold.observe.reading import verified_lines
from safehold.observe.trail import Trail

HOSTILE = "a|b\\c=d\ne\rf\x1b[31m\u202e\u2028é cs1=x|y\\=z \x00\x7f"
EVENTS = (
    Event(action="load", outcome="allowed", zone="models", artifact="models/a b.pkl", size=7,
          codec="pickle", key="k1", generation=3, seconds=0.25, caller="src/app.py",
          request={"user": "u1", "trace": "t1", "request": "r1"}),
    Event(action="load", outcome="refused", reason="Blocked", rule="SH101", zone="data",
          artifact="data/x.pkl", caller="lib/y.py", detail={"global": "posix.system", "n": [1]}),
    Event(action="load", outcome="allowed", reason="mode monitor", rule="SH116", artifact="m"),
    Event(action="export", outcome="failed", reason="OSError", detail={"exporter": "X"}),
    Event(action="policy.load", outcome="done"),
    Event(action=HOSTILE, outcome="refused", reason=HOSTILE, rule=HOSTILE, zone=HOSTILE,
          artifact=HOSTILE, codec=HOSTILE, key=HOSTILE, caller=HOSTILE,
          request={HOSTILE: HOSTILE}, detail={HOSTILE: HOSTILE}),
)  # fmt: skip


def lines(directory, events=EVENTS):
    ring = Keyring(Key("k1", generate_key().encode()))
    trail = Trail(directory, ring)
    for event in events:
        Recorder(trail).record(event)
    trail.close()
    return list(verified_lines(directory, ring))[1:]


def exported(form, found):
    file = io.BytesIO()
    writer = open_writer(form, file, "host1")
    for line in found:
        writer.write(line)
    writer.close()
    return file.getvalue()


def odd_events(seed, count=300):
    """Return events whose texts are of signs that formats give a meaning to."""
    draw = random.Random(seed)
    signs = "\\|= \n\r\t\"'{}[]:,;é\u2028\u202e\x1b\x00\x7f=ab1"
    for _ in range(count):
        texts = ["".join(draw.choice(signs) for _ in range(draw.randrange(12))) for _ in range(6)]
        yield Event(action="load", outcome=draw.choice(["allowed", "failed"]), reason=texts[0],
                    zone=texts[1], artifact=texts[2], caller=texts[3], rule=texts[4],
                    detail={"x": texts[5]})  # fmt: skip
