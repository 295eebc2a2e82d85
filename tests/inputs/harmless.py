"""Texts that people write, made when a test asks: names, prose, code, documents, any script.

Nothing of them is stored here. They come from Faker, from the sources and documents of installed
packages, and from the names that Unicode gives to its characters; a text is left out only if it
has no letters. `lines` are single ones, `texts` have several.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import re
import unicodedata
from pathlib import Path

from faker import Faker

_LOCALES = [
    "en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "pl_PL", "cs_CZ", "tr_TR", "ru_RU", "uk_UA",
    "el_GR", "bg_BG", "he_IL", "ar_SA", "fa_IR", "hi_IN", "ta_IN", "ne_NP", "th_TH", "ja_JP",
    "zh_CN", "zh_TW", "ko_KR", "vi_VN", "hy_AM", "ka_GE",
]  # fmt: skip
_FORMULAS = [
    "=SUM(A1:A9)", "a² + b² = c²", "∫₀^∞ e^{-x²} dx = √π/2", "∀ε>0 ∃δ>0: |x−a|<δ ⇒ |f(x)−L|<ε",
    "$E = mc^2$", r"\frac{\partial u}{\partial t} = \alpha \nabla^2 u", "H₂O + CO₂ ⇌ H₂CO₃",
    "p ∧ ¬q → r", "x != y && y <= z || !w", "100% of 5' 10\"", "1/2 - 3*(4+5)", "f'(x) = lim_{h→0}",
]  # fmt: skip
_PROSE = [
    "Use SELECT * FROM users WHERE name = 'O''Brien' -- and a comment",
    "DROP TABLE is a statement of SQL; so is UNION ALL SELECT",
    "A <script> element runs JavaScript, <b onclick=...> does too; &lt; stands for <",
    "alert('hello') shows a box, document.cookie is a string",
    "cat /etc/passwd | grep root; rm -rf / is a joke", "../.. is two directories up",
    "{{ user.name }} is Jinja, ${x} is a shell's, #{x} Ruby's, <%= x %> ERB",
    "Content-Type: text/html; Set-Cookie: a=b", "%00 and %2e%2e%2f are escapes", "\\x00 and \\n too",
]  # fmt: skip


def lines():
    """Return single lines, each once."""
    return list(dict.fromkeys(itertools.chain(
        _FORMULAS, _PROSE, _people(), _of_sources(), _of_documents(), _of_scripts()
    )))  # fmt: skip


def texts():
    """Return texts of several lines: paragraphs, functions, sections."""
    found = []
    for path in itertools.chain(_sources(), _documents()):
        parts = re.split(r"\n{2,}", _read(path))
        found += [part for part in parts if "\n" in part and len(part) < 5000][:40]
    return list(dict.fromkeys(found))


def _people():
    for locale in _LOCALES:
        fake = Faker(locale)
        fake.seed_instance(8)
        for _ in range(25):
            yield from (
                fake.name(), fake.address().replace("\n", ", "), fake.sentence(), fake.company(),
            )  # fmt: skip
    fake = Faker()
    fake.seed_instance(8)
    for _ in range(100):
        yield from (fake.email(), fake.uri(), fake.user_agent(), fake.password(), fake.iban())


def _sources():
    here = Path(re.__file__).parent.parent
    return [here / name for name in (
        "html/parser.py", "sqlite3/dump.py", "subprocess.py", "statistics.py", "argparse.py",
        "urllib/parse.py", "json/encoder.py", "calendar.py",
    )]  # fmt: skip


def _documents():
    for name in ("numpy", "pandas", "django", "flask", "sqlalchemy", "pytest", "rich"):
        for file in importlib.metadata.files(name) or ():
            if re.search(r"(?i)(METADATA|README\S*|LICENSE\S*)$", str(file)):
                yield Path(str(file.locate()))


def _read(path):
    text = path.read_text("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\f", "")  # pages of old listings


def _of_sources():
    for path in _sources():
        for line in _read(path).split("\n"):
            # What follows a tab is indented by it, which one line of a form is not.
            if re.search(r"[A-Za-z]", line) and "\t" not in line:
                yield line[:200]


def _of_documents():
    for path in _documents():
        yield from (line[:200] for line in _read(path).split("\n")[:400] if line.strip() and "\t" not in line)  # fmt: skip


def _of_scripts():
    """Words of twelve letters of every script that Unicode names, with marks and digits."""
    scripts = {}
    for code in range(0x20, 0x20000):
        char = chr(code)
        if unicodedata.category(char)[0] in "LMNPS":
            scripts.setdefault(unicodedata.name(char, "?").split()[0], []).append(char)
    for chars in scripts.values():
        for at in range(0, min(len(chars), 600), 12):
            yield "".join(chars[at : at + 12])
