from __future__ import annotations

import pytest

from safehold.scan import scan_path

DESCRIPTION = """artifact_path: model
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: {loader}
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.11.7
{more}  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
mlflow_version: 2.19.0
model_uuid: 0123
signature:
  inputs: '[{{"type": "double", "name": "code", "required": true}}]'
"""


def rules(report):
    return {finding.rule.id for finding in report.findings}


def scanned(tmp_path, text):
    (tmp_path / "MLmodel").write_text(text)
    (only,) = scan_path(tmp_path).files
    assert only.format == "mlflow"
    return only


@pytest.mark.parametrize("loader", ["mlflow.sklearn", "mlflow.pytorch", "mlflow.pyfunc.model"])
def test_models_of_known_flavors_are_clean(loader, tmp_path):
    report = scanned(tmp_path, DESCRIPTION.format(loader=loader, more=""))
    assert report.verdict == "clean", report.findings


@pytest.mark.parametrize(
    ("loader", "more", "found"),
    [
        ("shop.loader", "", {"SH109"}),
        ("mlflow.evil", "", {"SH109"}),
        ("'shop.loader' # x", "", {"SH109"}),
        ("subprocess", "", {"SH101"}),
        ("mlflow.sklearn", "    code: code\n", {"SH109"}),
        ("mlflow.pyfunc.model", "    model_code_path: agent.py\n", {"SH109"}),
        ("mlflow.sklearn", "    data: ../../x\n", {"SH121"}),
        ("mlflow.sklearn", "    python_model: /tmp/x.pkl\n", {"SH121"}),
        ('"shop\\u002eloader"', "", {"SH103", "SH109"}),
        ("*loader", "", {"SH103", "SH109"}),
    ],
)
def test_code_beside_the_model_is_found(loader, more, found, tmp_path):
    report = scanned(tmp_path, DESCRIPTION.format(loader=loader, more=more))
    assert rules(report) == found


def test_description_in_one_line(tmp_path):
    text = '{"flavors": {"python_function": {"loader_module": "shop.loader", "code": null}}}'
    assert rules(scanned(tmp_path, text)) == {"SH109"}
