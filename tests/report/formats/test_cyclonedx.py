"""The bill of materials: valid, the same each time, and says what loading a file needs."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from safehold.findings import Severity
from safehold.report.baseline import Baseline
from safehold.report.formats import cyclonedx
from safehold.report.result import Origin, Result, entry_of
from safehold.scan import FileReport, GlobalUse, Verdict, scan_bytes
from safehold.scan.rules import DANGEROUS_GLOBAL
from tests.report.samples import EVIL, GOOD, NAMES, result, tree


def errors(text: str) -> list[str]:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text, all_errors=True)
    return [str(error) for error in found or ()]


def bom(*reports: FileReport):
    return json.loads(cyclonedx.render(Result(tuple(map(entry_of, reports)), "/base", 1)))


def naming(*names: str, form: str = "pickle", plain: bool = False) -> FileReport:
    uses = tuple(GlobalUse(name, "called") for name in names)
    return FileReport("/base/m.pkl", form, Verdict.CLEAN, globals=uses, plain=plain)


@pytest.mark.extras
def test_valid_by_the_schema(tmp_path):
    whole = result(tree(tmp_path))
    text = cyclonedx.render(whole)

    assert errors(text) == []
    assert errors(text.replace('"machine-learning-model"', '"model"').replace('"file"', '"fil"'))


@pytest.mark.extras
def test_valid_with_a_baseline_a_time_and_a_revision(tmp_path):
    whole = result(tree(tmp_path))
    baseline = Baseline(str(tmp_path / "b.json"), {}, date(2026, 1, 1))
    known = baseline.renewed(whole.entries, [str(tmp_path)], "because")
    made = replace(
        result(tmp_path, known),
        made=datetime(2026, 1, 2, tzinfo=UTC),
        origin=Origin("https://example.org/a/b", "0" * 40),
    )

    text = cyclonedx.render(made)

    assert errors(text) == []
    assert json.loads(text)["metadata"]["timestamp"] == "2026-01-02T00:00:00Z"
    details = [row.get("analysis", {}).get("detail") for row in json.loads(text)["vulnerabilities"]]
    assert "in the baseline: because" in details


@pytest.mark.extras
def test_valid_for_names_that_nobody_gives():
    report = naming("a b.c", "..", "x\x1b.y", "é.z", "_x.y", "sklearn.a\ud800")

    text = cyclonedx.render(Result((entry_of(report),), "/base", 0))

    assert errors(text) == []
    assert text.isascii()


def test_every_file_is_a_component_with_its_digest(tmp_path):
    whole = result(tree(tmp_path))
    found = {row["bom-ref"]: row for row in json.loads(cyclonedx.render(whole))["components"]}

    assert found["file:evil.pkl"]["hashes"] == [
        {"alg": "SHA-256", "content": hashlib.sha256(EVIL).hexdigest()}
    ]
    assert "hashes" not in found["file:gone.pkl"]  # which could not be read
    assert len([ref for ref in found if ref.startswith("file:")]) == len(whole.entries)
    assert len(whole.entries) == 7 + len(NAMES)


def test_findings_are_vulnerabilities_of_their_file():
    made = bom(scan_bytes(EVIL, "/base/e.pkl"), scan_bytes(GOOD, "/base/g.pkl"))
    (row,) = made["vulnerabilities"]

    assert row["id"] == "SH101"
    assert row["affects"] == [{"ref": "file:e.pkl"}]
    assert row["cwes"] == [502]
    rating = row["ratings"][0]
    assert (rating["method"], rating["score"], rating["severity"]) == ("CVSSv4", 10.0, "critical")
    assert rating["vector"] == DANGEROUS_GLOBAL.cvss


def test_a_finding_below_its_rule_has_no_vector():
    report = scan_bytes(EVIL, "/base/e.pkl")
    milder = tuple(replace(item, severity=Severity.LOW) for item in report.findings)

    (row,) = bom(replace(report, findings=milder))["vulnerabilities"]

    assert row["ratings"] == [{"source": {"name": "safehold"}, "severity": "low"}]


@pytest.mark.parametrize(
    ("report", "kind"),
    [
        (naming("sklearn.svm._classes.SVC", "numpy.dtype"), "machine-learning-model"),
        (naming(form="safetensors"), "machine-learning-model"),
        (naming(form="tflite"), "machine-learning-model"),
        (naming("torch._utils._rebuild", form="gzip+torch"), "machine-learning-model"),
        (naming("numpy.dtype"), "data"),
        (naming(form="parquet"), "data"),
        (naming(plain=True), "data"),
        (naming("app.Model"), "file"),
        (naming("numpy.dtype", "app.Model"), "file"),
        (naming(form="python"), "file"),
        (naming(form="unknown", plain=True), "file"),
    ],
)
def test_kind(report, kind):
    assert bom(report)["components"][0]["type"] == kind


def test_libraries_are_what_the_names_belong_to():
    made = bom(naming("sklearn.svm.SVC", "sklearn.tree.T", "posix.system", "app.M", "__main__.X"))

    (row,) = made["dependencies"]
    assert row["dependsOn"] == ["module:app", "pkg:pypi/scikit-learn"]
    libraries = {row["bom-ref"]: row for row in made["components"][1:]}
    assert libraries["pkg:pypi/scikit-learn"]["name"] == "scikit-learn"
    assert "purl" not in libraries["module:app"]  # a package of that name may be anybody's


def test_the_serial_number_is_that_of_the_content():
    one, same, other = (bom(scan_bytes(data, "/base/x.pkl")) for data in (GOOD, GOOD, EVIL))

    assert one == same
    assert one["serialNumber"] != other["serialNumber"]


def test_a_file_that_is_named_twice_is_one_component():
    made = bom(scan_bytes(GOOD, "/base/x.pkl"), scan_bytes(GOOD, "/base/./x.pkl"))

    assert [row["bom-ref"] for row in made["components"]] == ["file:x.pkl"]


@pytest.mark.extras
def test_a_real_forest_names_its_libraries():
    import sklearn
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(n_estimators=2).fit([[0], [1]], [0, 1])

    made = bom(scan_bytes(pickle.dumps(model), "/base/m.pkl"))

    assert made["components"][0]["type"] == "machine-learning-model"
    learn = f"pkg:pypi/scikit-learn@{sklearn.__version__}"
    assert made["dependencies"][0]["dependsOn"] == ["pkg:pypi/numpy", learn]


def estimator(version: object, top: str = "sklearn.linear_model._base") -> bytes:
    """A pickle of an estimator with a state, as scikit-learn writes it, without the library."""
    state = pickle.dumps({"fit_intercept": True, "_sklearn_version": version}, protocol=2)[2:-1]
    return b"\x80\x02c" + top.encode() + b"\nLinearRegression\n)\x81" + state + b"b."


@pytest.mark.parametrize("version", ["1.5.2", "1.6.dev0", "1.6.1.post1+local"])
def test_an_estimator_says_which_version_wrote_it(version):
    made = bom(scan_bytes(estimator(version), "/base/m.pkl"))
    [row] = [row for row in made["components"] if row["type"] == "library"]

    assert (row["name"], row["version"]) == ("scikit-learn", version)
    assert row["purl"] == f"pkg:pypi/scikit-learn@{version.replace('+', '%2B')}"
    [needed] = [row for row in made["dependencies"] if row["ref"] == "file:m.pkl"]
    assert needed["dependsOn"] == [row["bom-ref"]]


@pytest.mark.parametrize("version", ["", "x", "1\n2", "1" * 50, 15, None, "1<script>"])
def test_what_is_no_version_is_left_out(version):
    made = bom(scan_bytes(estimator(version), "/base/m.pkl"))
    assert ["version" in row for row in made["components"] if row["type"] == "library"] == [False]


def test_the_version_of_somebody_else_is_not_believed():
    made = bom(scan_bytes(estimator("1.5.2", "app.models"), "/base/m.pkl"))
    assert not any("version" in row for row in made["components"])


@pytest.mark.extras
def test_two_versions_are_two_components(tmp_path):
    reports = [
        scan_bytes(estimator(version), f"/base/{number}.pkl")
        for number, version in enumerate(["1.5.2", "1.6.0", "1.5.2", None])
    ]
    text = cyclonedx.render(Result(tuple(map(entry_of, reports)), "/base", 0))

    assert errors(text) == []
    found = [row["bom-ref"] for row in json.loads(text)["components"] if row["type"] == "library"]
    assert found == [
        "pkg:pypi/scikit-learn", "pkg:pypi/scikit-learn@1.5.2", "pkg:pypi/scikit-learn@1.6.0",
    ]  # fmt: skip


@pytest.mark.extras
def test_real_estimators_say_their_version():
    sklearn = pytest.importorskip("sklearn")
    from sklearn.linear_model import LinearRegression

    for protocol in range(6):
        data = pickle.dumps(LinearRegression().fit([[1], [2]], [1, 2]), protocol=protocol)
        assert scan_bytes(data).versions == (("sklearn", sklearn.__version__),)


@pytest.mark.extras
def test_models_of_skops_say_their_version(tmp_path):
    io = pytest.importorskip("skops.io")
    import skops
    from sklearn.linear_model import LinearRegression

    data = io.dumps(LinearRegression())
    assert ("skops", skops.__version__) in scan_bytes(data, "m.skops").versions
