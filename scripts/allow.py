"""Generate and check the presets of `safehold.allow`.

    python -m scripts.allow names.json...   add the names of these reports (see allow_objects.py)
    python -m scripts.allow --check         compare with the libraries installed here

A preset keeps the names of every version it was ever generated with. Names that the environment
of the lock file does not have stand under "elsewhere" too. Exit code 1: a reviewer is needed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import warnings
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from safehold import dangers
from scripts import allow_objects, allow_review, allow_sources

FOLDER = Path(__file__).parent.parent / "src" / "safehold" / "allow"
PRESETS = ("builtins", *sorted(allow_objects.LIBRARIES))
# Helpers that pandas and scikit-learn dumps name, by the top-level module they come from.
HOMES = {"_loss": "sklearn", "dateutil": "pandas", "pytz": "pandas", "pyarrow": "pandas"}
# numpy 2 renamed its private package; dumps of either version are read by both.
SPELLINGS = (("numpy.core", "numpy._core"), ("numpy._core", "numpy.core"))
# Named by no dump of the corpus, yet by every protocol's way to make an object.
ALWAYS = {
    "copyreg:__newobj__": "function", "copyreg:__newobj_ex__": "function",
    "copyreg:_reconstructor": "function", "builtins:getattr": "function",
    "builtins:type": "function", "functools:partial": "function", "uuid:SafeUUID": "class",
    "zoneinfo:ZoneInfo": "class", "zoneinfo:ZoneInfo._unpickle": "function",
    "pathlib:PurePath": "class", "pathlib:Path": "class", "pathlib:PosixPath": "class",
    "pathlib:WindowsPath": "class",
    "joblib.numpy_pickle:NumpyArrayWrapper": "class", "pyarrow.lib:chunked_array": "function",
}  # fmt: skip
NAMED_ONLY = {"joblib.numpy_pickle:NumpyArrayWrapper"}
PLACED = {"functools:partial": "sklearn"}

Entries = dict[str, dict[str, Any]]


def home(name: str) -> str:
    """Return the preset that a name belongs to."""
    top = name.partition(":")[0].partition(".")[0]
    return PLACED.get(name) or HOMES.get(top) or (top if top in PRESETS else "builtins")


def denied(name: str) -> str:
    """Return why a name is left out, or nothing."""
    for pattern, reason in allow_review.DENIED.items():
        if fnmatchcase(name, pattern):
            return reason
    if name in allow_review.CONDITIONAL:
        return ""
    danger = dangers.lookup(*name.split(":", 1))
    return "" if danger is None else danger.why


def installed(name: str) -> Any:
    """Return the object of a name, or None when this environment does not have it."""
    module, qualname = name.split(":", 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Any = importlib.import_module(module)
            for part in qualname.split("."):
                found = getattr(found, part)
    except (ImportError, AttributeError, OSError):  # OSError: a shared library is missing
        return None
    return found


def is_here(preset: str) -> bool:
    """Whether this environment has the library of a preset."""
    try:
        importlib.import_module(preset)
    except (ImportError, OSError):
        return False
    return True


def load(folder: Path = FOLDER) -> dict[str, Entries]:
    """Read the presets as they are: preset -> name -> role, and where and how it is used."""
    presets: dict[str, Entries] = {name: {} for name in PRESETS}
    for preset in PRESETS:
        path = folder / f"{preset}.json"
        if not path.exists():
            continue
        data = json.loads(path.read_text("utf-8"))
        called, elsewhere = set(_names(data["called"])), set(_names(data["elsewhere"]))
        for kind, role in (("classes", "class"), ("functions", "function")):
            for name in _names(data[kind]):
                presets[preset][name] = {
                    "role": role, "called": name in called, "elsewhere": name in elsewhere,
                }  # fmt: skip
    return presets


def _names(modules: dict[str, list[str]]) -> Iterable[str]:
    return (f"{module}:{name}" for module, names in modules.items() for name in names)


def merge(presets: dict[str, Entries], report: dict[str, Any]) -> None:
    """Add the names of one report, without what the review leaves out."""
    called = set(report["called"])
    for name, role in report["names"].items():
        if denied(":".join(dangers.modern(*name.split(":", 1)))):
            continue
        for spelling in _spellings(":".join(dangers.modern(*name.split(":", 1)))):
            entry = presets[home(spelling)].setdefault(spelling, {"role": role, "called": False})
            entry["called"] = entry["called"] or name in called


def _spellings(name: str) -> Iterable[str]:
    yield name
    for old, new in SPELLINGS:
        if name.startswith((f"{old}.", f"{old}:")):
            yield new + name.removeprefix(old)


def write(presets: dict[str, Entries], versions: dict[str, str], folder: Path = FOLDER) -> None:
    """Write one compact file per preset, sorted."""
    for preset, entries in presets.items():
        here = is_here(preset)

        def absent(name: str, entry: dict[str, Any], here: bool = here) -> bool:  # noqa: FBT001
            return installed(name) is None if here else bool(entry.get("elsewhere"))

        kept = {name: entry for name, entry in entries.items() if not denied(name)}
        data = {
            "versions": versions[preset],
            "classes": _grouped(n for n, e in kept.items() if e["role"] == "class"),
            "functions": _grouped(n for n, e in kept.items() if e["role"] == "function"),
            "called": _grouped(n for n, e in kept.items() if e["called"]),
            "elsewhere": _grouped(n for n, e in kept.items() if absent(n, e)),
        }
        text = json.dumps(data, sort_keys=True, separators=(",", ":"))
        (folder / f"{preset}.json").write_text(text.replace('],"', '],\n"') + "\n", "utf-8")


def _grouped(names: Iterable[str]) -> dict[str, list[str]]:
    modules: dict[str, list[str]] = {}
    for name in sorted(names):
        module, qualname = name.split(":", 1)
        modules.setdefault(module, []).append(qualname)
    return modules


def ranges(folder: Path, reports: list[dict[str, Any]]) -> dict[str, str]:
    """Return the span of versions that each preset was generated with."""
    spans: dict[str, set[str]] = {preset: set() for preset in PRESETS}
    for preset in PRESETS:
        path = folder / f"{preset}.json"
        if path.exists():
            spans[preset].update(json.loads(path.read_text("utf-8"))["versions"].split(" to "))
    for report in reports:
        for library, version in report["versions"].items():
            spans[library].add(version)
    return {
        preset: " to ".join(dict.fromkeys((min(span, key=_order), max(span, key=_order))))
        for preset, span in spans.items()
    }


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def unreviewed(presets: dict[str, Entries]) -> list[str]:
    """Return what loading may reach, and compiled code, that no line of the review covers."""
    lines = []
    for entries in presets.values():
        for name in sorted(entries):
            thing = installed(name)
            if thing is None:
                continue
            if not allow_sources.has_source(thing) and not _covered(name, allow_review.COMPILED):
                lines.append(f"{name}: compiled")
            lines += [
                f"{name}: {line}"
                for line in sorted(allow_sources.suspicions(thing))
                if not _covered(line.partition(": ")[0], allow_review.SAFE_CALLS)
            ]
    return lines


def _covered(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def missing(presets: dict[str, Entries], report: dict[str, Any]) -> list[str]:
    """Return what dumps of the installed versions name and no preset has."""
    lines = []
    for name in sorted(report["names"]):
        modern = ":".join(dangers.modern(*name.split(":", 1)))
        if modern not in presets[home(modern)] and not denied(modern):
            lines.append(f"{modern}: not in a preset")
    return lines


def here() -> dict[str, Any]:
    """Return the report of this environment."""
    names = allow_objects.collect()
    return {
        "versions": allow_objects.versions(),
        "names": names.found,
        "called": sorted(names.called),
    }


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("reports", nargs="*", type=Path, help="output of allow_objects.py")
    options = parser.parse_args()
    presets = load()
    own = here()
    if options.check:
        lines = missing(presets, own)
    else:
        reports = [json.loads(path.read_text("utf-8")) for path in options.reports]
        always = {"names": ALWAYS, "called": set(ALWAYS) - NAMED_ONLY}
        for report in (*reports, own, always):
            merge(presets, report)
        write(presets, ranges(FOLDER, [*reports, own]))
        lines = []
    lines += unreviewed(presets)
    for line in lines:
        print(line)
    for preset, entries in presets.items():
        print(f"{preset}: {len(entries)} names", file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
