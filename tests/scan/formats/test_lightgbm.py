from __future__ import annotations

import pytest

from safehold.scan import scan_bytes, scan_path
from safehold.scan.formats import lightgbm
from tests.scan.formats.damage import clean_prefixes, flip, replace

TREES = [
    f"Tree={number}\nnum_leaves=2\nnum_cat=0\nsplit_feature=1\nthreshold=0.5\ndecision_type=2\n"
    "left_child=-1\nright_child=-2\nleaf_value=0.5 -0.5\nis_linear=0\nshrinkage=0.1\n\n\n"
    for number in range(3)
]
PARAMETERS = {
    "boosting": "gbdt", "data": "../train.csv", "output_model": "/tmp/model.txt",
    "forcedsplits_filename": "", "forcedbins_filename": "", "machines": "", "num_machines": "1",
    "machine_list_filename": "",
}  # fmt: skip


def rules(report):
    return {finding.rule.id for finding in report.findings}


def model(
    trees=TREES, version="v4", *, flag="", sizes=None, tail="pandas_categorical:null\n", **set_
):
    sizes = " ".join(str(len(tree)) for tree in trees) if sizes is None else sizes
    head = (
        f"tree\nversion={version}\nnum_class=1\nnum_tree_per_iteration=1\n{flag}"
        "objective=binary sigmoid:1\nfeature_names=a b\nfeature_infos=[0:1] [0.5:2]\n"
        f"tree_sizes={sizes}\n\n"
    )
    rows = "".join(f"[{key}: {value}]\n" for key, value in {**PARAMETERS, **set_}.items())
    after = (
        f"end of trees\n\nfeature_importances:\na=3\n\nparameters:\n{rows}\nend of parameters\n\n"
    )
    return (head + "".join(trees) + after + tail).encode()


@pytest.mark.parametrize(
    "data",
    [
        model(),
        model(version="v2"),
        model(version="v3", flag="average_output\n"),
        model([]),
        model(tail=""),
        model(tail='pandas_categorical:[["u", "v"]]\n'),
        model().replace(b"feature_importances", b"feature importances"),
        model().replace(b"\n", b"\r\n").replace(b"tree_sizes", b"sizes"),
    ],
    ids=["v4", "v2", "v3 forest", "no tree", "no categories", "categories", "old", "windows"],
)
def test_model_is_clean(data):
    report = scan_bytes(data, "model.txt")
    assert (report.format, report.verdict) == ("lightgbm", "clean"), report.findings


def test_a_cut_model_is_clean_only_where_lightgbm_takes_it_for_whole():
    """It needs the trees; older versions write nothing behind them, or no categories."""
    data = model()
    trees = data.index(b"end of trees") + len(b"end of trees")
    parameters, end = data.index(b"parameters:"), data.index(b"end of parameters") + 17
    for length in clean_prefixes(data, "model.txt"):
        assert trees <= length <= parameters or end <= length, data[:length][-20:]


def test_damage_is_no_failure():
    flip(model(), "model.txt")
    signs = (b"\n", b"=", b"[", b"Tree=9\n", b"end of trees\n", b"\0", b"")
    replace(model(), "model.txt", lambda rng: rng.choice(signs), 300)


@pytest.mark.parametrize(
    "data",
    [
        model(sizes="1 2 3"),
        model(sizes=f"{len(TREES[0])}"),
        model(sizes="x"),
        model([TREES[0], TREES[2]]),
        model().replace(b"num_cat", b"num cat", 1),
        model().replace(b"a=3", b"a: 3"),
        model().replace(b"[boosting: gbdt]", b"boosting: gbdt"),
        model().replace(b"end of parameters", b""),
        model(tail="pandas_categorical:[\n"),
        model(tail="more\n"),
        model().replace(b"leaf_value=0.5", b"leaf_value=\0"),
    ],
)
def test_broken_model_is_not_clean(data):
    assert rules(scan_bytes(data, "model.txt")) == {"SH103"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("forcedsplits_filename", "/etc/passwd"),
        ("forcedbins_filename", "bins.json"),
        ("machines", "203.0.113.1:12400,203.0.113.2:12400"),
        ("machine_list_filename", "hosts"),
    ],
)
def test_parameters_that_refit_acts_on_are_told(name, value):
    report = scan_bytes(model(**{name: value}), "model.txt")
    assert rules(report) == {"SH102"}
    assert report.findings[0].detail == {name: value}


def test_more_lines_than_are_read(monkeypatch):
    monkeypatch.setattr(lightgbm, "_MOST_LINES", 20)
    assert rules(scan_bytes(model(), "model.txt")) == {"SH103"}


def test_a_text_that_only_begins_like_one_is_none(tmp_path):
    (tmp_path / "a.txt").write_text("tree\nof life\n")
    assert not scan_path(tmp_path).files


@pytest.mark.extras
def test_what_the_real_library_writes_is_clean_and_refit_opens_what_is_told(tmp_path, monkeypatch):
    import numpy as np
    from lightgbm import Booster

    from tests.corpus.harmless import FAMILIES

    for label, value in FAMILIES["lightgbm"]():
        booster = value if isinstance(value, Booster) else value.booster_
        booster.save_model(str(tmp_path / f"{label}.txt"))
    found = {(report.format, str(report.verdict)) for report in scan_path(tmp_path).files}
    assert found == {("lightgbm", "clean")}
    text = (tmp_path / "classifier.txt").read_text()
    flip(text.encode(), "model.txt", 100)
    monkeypatch.chdir(tmp_path)
    refit = Booster(
        model_str=text.replace("[forcedsplits_filename: ]", "[forcedsplits_filename: x]")
    )
    assert refit.params["forcedsplits_filename"] == "x"
    x = np.random.default_rng(0).random((60, 4))
    assert refit.refit(x, (x[:, 0] > 0.5).astype(float)).params["forcedsplits_filename"] == "x"
