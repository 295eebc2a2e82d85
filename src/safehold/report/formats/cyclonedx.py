"""CycloneDX 1.6 in JSON: a bill of materials of models and data, findings as vulnerabilities.

Each file is a component with its SHA-256, and depends on the libraries that its names belong to:
those that whoever loads it will import. A library has a version where the file says which one
wrote it, as scikit-learn's estimators do; else none, since no other is known. The serial number is
made of the content, so the same files give the same document.
"""

from __future__ import annotations

import hashlib
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from safehold._version import __version__
from safehold.findings import Rule
from safehold.report.names import uri_of
from safehold.report.result import LINES, Entry, Item, Result
from safehold.report.shown import escaped, json_text
from safehold.scan import FileReport

_SCHEMA: Final = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_MOST_NAMES: Final = 1000
# Distributions whose import name is another; what is not listed here is called as it is imported.
_DISTRIBUTIONS: Final[Mapping[str, str]] = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "hdbscan": "hdbscan",
    "imblearn": "imbalanced-learn",
    "pytorch_lightning": "pytorch-lightning",
    "sentence_transformers": "sentence-transformers",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
_KNOWN: Final = frozenset(
    {
        *_DISTRIBUTIONS,
        *"catboost dask dill cloudpickle flax jax joblib keras lightgbm mlflow numpy onnx".split(),
        *"pandas polars pyarrow safetensors scipy skops spacy statsmodels tensorflow".split(),
        *"tokenizers torch torchvision transformers xgboost".split(),
    }
)
_OF_DATA: Final = frozenset("numpy pandas polars pyarrow joblib dill cloudpickle scipy".split())
_DATA_FORMATS: Final = frozenset("npy npz parquet arrow csv".split())
_MODEL_FORMATS: Final = frozenset(
    "catboost gguf hdf5 keras lightgbm mlflow onnx pmml pt2 safetensors skops tensorflow tflite"
    " torch xgboost".split()
)


def render(result: Result) -> str:
    """Return the document."""
    body = {
        "metadata": _metadata(result),
        "components": [*_files(result), *_libraries(result)],
        "dependencies": _dependencies(result),
        "vulnerabilities": list(_vulnerabilities(result)),
    }
    digest = hashlib.sha256(json_text(body).encode()).digest()
    head = {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=5)}",
        "version": 1,
    }
    return json_text(head | body)


def libraries_of(report: FileReport) -> list[str]:
    """Return the top-level modules that a file names, but for Python's own and ``__main__``."""
    tops = {use.name.partition(".")[0] for use in report.globals}
    own = {"__main__", "__builtin__", "builtins", ""} | sys.stdlib_module_names
    return sorted(top for top in tops - own if top.isidentifier())


def _metadata(result: Result) -> dict[str, Any]:
    tool = {"type": "application", "name": "safehold", "version": __version__}
    made: dict[str, Any] = {"tools": {"components": [tool]}, "lifecycles": [{"phase": "build"}]}
    if result.made is not None:
        made["timestamp"] = f"{result.made:%Y-%m-%dT%H:%M:%SZ}"
    if result.origin is not None:
        made["component"] = {
            "type": "application",
            "name": escaped(result.origin.repository.rstrip("/").rpartition("/")[2] or "scan"),
            "version": result.origin.revision,
            "externalReferences": [{"type": "vcs", "url": result.origin.repository}],
        }
    return made


def _reference(result: Result, entry: Entry) -> str:
    return f"file:{uri_of(entry.report.path, result.root)}"


def _files(result: Result) -> Iterator[dict[str, Any]]:
    for reference, entry in _by_reference(result).items():
        report = entry.report
        names = sorted({f"{use.name} ({use.role})" for use in report.globals})
        properties = [
            ("safehold:format", report.format),
            ("safehold:verdict", str(report.verdict)),
            *(("safehold:global", name) for name in names[:_MOST_NAMES]),
        ]
        if len(names) > _MOST_NAMES:
            properties.append(("safehold:globals-not-listed", str(len(names) - _MOST_NAMES)))
        row: dict[str, Any] = {
            "type": _kind(report),
            "bom-ref": reference,
            "name": escaped(report.path),
            "properties": [{"name": name, "value": escaped(value)} for name, value in properties],
        }
        if report.digest:
            row["hashes"] = [{"alg": "SHA-256", "content": report.digest}]
        yield row


def _by_reference(result: Result) -> dict[str, Entry]:
    """Return the entries by reference; a file that was named twice is one component."""
    return {_reference(result, entry): entry for entry in result.entries}


def _kind(report: FileReport) -> str:
    form = report.format.rpartition("+")[2]
    if form in LINES:
        return "file"
    libraries = set(libraries_of(report))
    if form in _MODEL_FORMATS or libraries & (_KNOWN - _OF_DATA):
        return "machine-learning-model"
    if form in _DATA_FORMATS or (report.plain and form != "unknown"):
        return "data"
    return "data" if libraries and libraries <= _OF_DATA else "file"


def _library(top: str, version: str) -> str:
    """Return the reference of a library: a package URL if it is known which package that is."""
    at = f"@{quote(version, safe='')}" if version else ""
    if top in _KNOWN:
        return f"pkg:pypi/{quote(_DISTRIBUTIONS.get(top, top).replace('_', '-').lower())}{at}"
    return f"module:{quote(top)}{at}"


def _needed(report: FileReport) -> Iterator[tuple[str, str]]:
    """Yield the libraries of a file with each version that it names; nothing if it names none."""
    for top in libraries_of(report):
        versions = [version for name, version in report.versions if name == top]
        yield from ((top, version) for version in versions or [""])


def _libraries(result: Result) -> Iterator[dict[str, Any]]:
    for top, version in sorted({row for entry in result.entries for row in _needed(entry.report)}):
        reference = _library(top, version)
        row: dict[str, Any] = {
            "type": "library",
            "bom-ref": reference,
            "name": _DISTRIBUTIONS.get(top, top),
            "properties": [{"name": "safehold:import-name", "value": top}],
        }
        if version:
            row["version"] = version
        if reference.startswith("pkg:"):
            row["purl"] = reference
        yield row
    named = {_library(*row) for entry in result.entries for row in _needed(entry.report)}
    locked = {package for entry in result.entries for package in entry.report.packages}
    licences = {_package(name, version): licence for name, version, licence in sorted(locked)}
    for reference, name, version in sorted({(_package(*row[:2]), *row[:2]) for row in locked}):
        if reference not in named:
            row = {"type": "library", "bom-ref": reference, "name": name, "version": version}
            licence = licences[reference]
            known = {"licenses": [{"license": {"name": escaped(licence)}}]} if licence else {}
            yield row | {"purl": reference} | known


def _package(name: str, version: str) -> str:
    """Return the package URL of what a lock has."""
    return f"pkg:pypi/{quote(name, safe='')}@{quote(version, safe='')}"


def _dependencies(result: Result) -> list[dict[str, Any]]:
    rows = []
    for reference, entry in _by_reference(result).items():
        row: dict[str, Any] = {"ref": reference}
        packages = {_package(*package[:2]) for package in entry.report.packages}
        needed = sorted(packages | {_library(*row) for row in _needed(entry.report)})
        rows.append(row | ({"dependsOn": needed} if needed else {}))
    return rows


def _vulnerabilities(result: Result) -> Iterator[dict[str, Any]]:
    for number, (reference, entry) in enumerate(_by_reference(result).items()):
        for item in entry.items:
            yield _vulnerability(reference, f"finding:{number}:{item.fingerprint}", item)


def _vulnerability(reference: str, name: str, item: Item) -> dict[str, Any]:
    finding, where = item.finding, item.finding.location
    place = [
        ("safehold:rule", finding.rule.name),
        ("safehold:confidence", finding.confidence.label),
        ("safehold:fingerprint", item.fingerprint),
        *(("safehold:member", member) for member in _given(where.member)),
        *(("safehold:offset", str(offset)) for offset in _given(where.offset)),
        *(("safehold:line", str(line)) for line in _given(where.line)),
    ]
    row: dict[str, Any] = {
        "bom-ref": name,
        "id": finding.rule.id,
        "source": {"name": "safehold"},
        "ratings": [_rating(finding.rule, item)],
        "cwes": [finding.rule.cwe],
        "description": finding.rule.title,
        "detail": escaped(finding.message),
        "recommendation": escaped(finding.remedy),
        "affects": [{"ref": reference}],
        "properties": [{"name": key, "value": escaped(value)} for key, value in place],
    }
    if item.known is not None:
        reason = f": {item.known.reason}" if item.known.reason else ""
        row["analysis"] = {"state": "in_triage", "detail": escaped(f"in the baseline{reason}")}
    return row


def _given(value: Any) -> Iterable[Any]:
    return () if value is None else (value,)


def _rating(rule: Rule, item: Item) -> dict[str, Any]:
    rating: dict[str, Any] = {
        "source": {"name": "safehold"},
        "severity": item.finding.severity.label,
    }
    if item.finding.severity == rule.severity:  # else the vector is not this finding's
        rating |= {"score": rule.score, "method": "CVSSv4", "vector": rule.cvss}
    return rating
