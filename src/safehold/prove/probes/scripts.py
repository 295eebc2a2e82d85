"""Sends markup that would run a script; a headless Chromium, where there is one, says if it does.

Markup that comes back in another answer than that of its request (stored) is not looked for.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Final

from safehold.prove.asking import Asker, path_of
from safehold.prove.hints import Endpoint
from safehold.prove.probe import Probe
from safehold.prove.result import Attempt, Said
from safehold.prove.world import World

_SCRIPT: Final = "document.title=73*8191"
_RAN: Final = b"<title>597943</title>"
_TEXTS: Final = (
    f"<img src=x onerror={_SCRIPT}>",
    f'"><img src=x onerror={_SCRIPT}>',
    f"<script>{_SCRIPT}</script>",
    f"</title><svg onload={_SCRIPT}></svg>",
)
_FLAGS: Final = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-dev-shm-usage", "--virtual-time-budget=3000", "--dump-dom",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
_SECONDS: Final = 30.0


def _attempts(world: World) -> Iterator[Attempt]:
    for endpoint in world.texts():
        what = f"markup with a script at {endpoint.name}"
        yield Attempt(what, functools.partial(_reflect, world, endpoint))


def _reflect(world: World, endpoint: Endpoint) -> Said:
    asker, blocked = world.asker(), ""
    if away := asker.at(endpoint, endpoint.value).away:
        return Said("not-tried", away)
    for text in _TEXTS:
        answer = asker.at(endpoint, text)
        if not answer.is_html or text.encode() not in answer.body:
            continue
        if not world.browser or endpoint.method != "GET":
            why = "no browser was at hand" if not world.browser else "browsers do not open it"
            return Said("got-in", f"the page holds the markup as it was sent ({why}): {text}")
        ran = _runs(world, asker, path_of(endpoint, text))
        if ran is None:
            return Said("got-in", f"the page holds the markup as it was sent (no word from the"
                        f" browser): {text}")  # fmt: skip
        if ran:
            return Said("got-in", f"the script ran in a browser: {text}")
        blocked = "the page holds the markup as it was sent, and the browser did not run it"
    return Said("held", blocked or "no page holds the markup as it was sent")


def _runs(world: World, asker: Asker, path: str) -> bool | None:
    """Say whether the page runs the script; None if the browser does not say."""
    folder = world.place / "browser"
    folder.mkdir(exist_ok=True)
    # Chromium's own sandbox does not start as root; the pages are the service's, with our markup.
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    words = [world.browser, *_FLAGS, *root, f"--user-data-dir={folder}", asker.url + path]
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    try:
        page, _ = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    finally:
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
        process.wait()
    return _RAN in page if page.strip() else None


SCRIPTS = Probe("cross-site-scripting", "SH401", "Markup that runs a script in a page", _attempts)
