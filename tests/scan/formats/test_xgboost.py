from __future__ import annotations

import json
import struct
import warnings

import pytest

from safehold.scan import scan_bytes, scan_path, ubjson, walking
from safehold.scan.formats import text as text_format
from safehold.scan.formats import xgboost
from tests.scan.formats.damage import clean_prefixes, flip, replace

LEARNER = {
    "attributes": {"scikit_learn": '{"_estimator_type": "classifier"}'},
    "feature_names": [],
    "gradient_booster": {
        "model": {
            "gbtree_model_param": {"num_trees": "1"},
            "tree_info": [0],
            "trees": [{"base_weights": [0.5, -1.5], "id": 0, "left_children": [1, -1]}],
        },
        "name": "gbtree",
    },
    "learner_model_param": {"num_class": "0"},
    "objective": {"name": "binary:logistic"},
}
MODEL = {"learner": LEARNER, "version": [3, 2, 0]}


def rules(report):
    return {finding.rule.id for finding in report.findings}


def text(value):
    raw = value.encode()
    return b"L" + struct.pack(">q", len(raw)) + raw


def typed(kind, *values):
    form = {"d": "f", "D": "d", "l": "i", "L": "q", "U": "B", "i": "b", "I": "h"}[kind]
    head = b"[$" + kind.encode() + b"#L" + struct.pack(">q", len(values))
    return head + struct.pack(f">{len(values)}{form}", *values)


def ubj(value):
    """As `xgboost.Booster.save_model` writes it."""
    if isinstance(value, dict):
        return b"{" + b"".join(text(key) + ubj(one) for key, one in value.items()) + b"}"
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return b"S" + text(value)
    if isinstance(value, float):
        return b"d" + struct.pack(">f", value)
    if isinstance(value, int):
        return b"L" + struct.pack(">q", value)
    if value and all(isinstance(one, float) for one in value):
        return typed("d", *value)
    return b"[#L" + struct.pack(">q", len(value)) + b"".join(map(ubj, value))


def old(booster=b"gbtree", *, magic=b"binf", attributes=(), metrics=()):
    """The layout of LearnerModelParamLegacy and what follows in the source of 2.1."""

    def words(*parts):
        return b"".join(struct.pack("<Q", len(part)) + part for part in parts)

    learner = struct.pack("<fIiiiII", 0.5, 4, 0, bool(attributes), bool(metrics), 2, 1)
    out = magic + learner.ljust(136, b"\0") + words(b"binary:logistic", booster)
    if booster == b"gblinear":
        out += struct.pack("<Ii", 4, 1).ljust(136, b"\0") + struct.pack("<Q5f", 5, *[1.0] * 5)
    else:
        out += struct.pack("<i", 2).ljust(160, b"\0")
        for nodes in (3, 1):
            out += struct.pack("<6i", 1, nodes, 0, 0, 4, 0).ljust(148, b"\0") + bytes(36 * nodes)
        out += bytes(8)
        if booster == b"dart":
            out += struct.pack("<Q2f", 2, 1, 1)
    for listed in (attributes, metrics):
        if listed:
            count = len(listed) // (2 if listed is attributes else 1)
            out += struct.pack("<Q", count) + words(*listed)
    return out


FILES = {
    "json": (json.dumps(MODEL).encode(), "a.json"),
    "ubj": (ubj(MODEL), "a.ubj"),
    "binary": (old(), "a.model"),
    "binary without magic": (old(magic=b""), "a.model"),
    "binary dart": (old(b"dart", attributes=(b"k", b"v", b"l", b"w")), "a.bin"),
    "binary linear": (old(b"gblinear", metrics=(b"rmse",)), "a.model"),
}


@pytest.mark.parametrize("name", FILES)
def test_model_is_clean_to_its_last_byte_and_not_before(name):
    data, path = FILES[name]
    report = scan_bytes(data, path)
    assert (report.format, report.verdict) == ("xgboost", "clean"), report.findings
    assert clean_prefixes(data, path) == []
    assert rules(scan_bytes(data + b"more", path)) in ({"SH107"}, {"SH103"})


@pytest.mark.parametrize("name", FILES)
def test_damage_is_no_failure(name):
    data, path = FILES[name]
    flip(data, path)
    signs = (b"[", b"{", b"$", b"#", b"L", b"\xff" * 8, b"]", b"}", b"")
    replace(data, path, lambda rng: rng.choice(signs), 300)


def test_a_model_is_known_by_its_content(tmp_path):
    for name, (data, _) in FILES.items():
        if name != "binary without magic":
            (tmp_path / f"{name}.x").write_bytes(data)
    assert {report.format for report in scan_path(tmp_path).files} == {"xgboost"}


def test_all_of_a_booster_and_its_configuration_alone():
    whole = {"Config": {"learner": {"generic_param": {}}, "version": [3]}, "Model": MODEL}
    config = {"learner": {**LEARNER, "generic_param": {}}}
    for data in (ubj(whole), ubj(config), json.dumps(config).encode()):
        assert scan_bytes(data, "a.model").verdict == "clean"


def without(*keys):
    tree = json.loads(json.dumps(MODEL))
    node = tree
    for key in keys[:-1]:
        node = node[key]
    del node[keys[-1]]
    return tree


@pytest.mark.parametrize(
    "tree",
    [
        without("version"),
        without("learner", "objective"),
        without("learner", "learner_model_param"),
        without("learner", "gradient_booster"),
        without("learner", "gradient_booster", "name"),
        {**MODEL, "learner": {**LEARNER, "gradient_booster": {"name": "own", "model": {}}}},
    ],
)
@pytest.mark.parametrize("form", ["json", "ubj"])
def test_what_xgboost_would_refuse_is_not_clean(tree, form):
    data = ubj(tree) if form == "ubj" else json.dumps(tree).encode()
    assert rules(scan_bytes(data, f"a.{form}")) == {"SH103"}


BAD = {
    "a type that has none": b"[$Z#L" + struct.pack(">q", 2**40),
    "a negative length": b"[#L" + struct.pack(">q", -1),
    "a huge length": b"[$d#L" + struct.pack(">q", 2**62),
    "a length of another type": b"[$d#U\x01\0\0\0\0",
    "a type without a length": b"[$d\0\0\0\0",
    "numbers as text": b"H" + text("1"),
    "nothing": b"N",
    "too deep": b"[" * 200 + b"]" * 200,
}


@pytest.mark.parametrize("name", BAD)
def test_broken_values(name):
    data = ubj({**MODEL, "more": BAD[name]})
    assert rules(scan_bytes(data, "a.ubj")) == {"SH103"}


def test_arrays_of_every_type_are_stepped_over(monkeypatch):
    monkeypatch.setattr(ubjson, "_MOST_STEPS", 300)
    rows = [typed(kind, *[1] * 10_000) for kind in "dDlLUiI"]
    more = [b"[" + b"T" + b"F" + b"Z" + b"Cx" + b"]"]
    assert scan_bytes(ubj({**MODEL, "more": rows + more}), "a.ubj").verdict == "clean"
    many = b"[#L" + struct.pack(">q", 10_000) + b"T" * 10_000
    assert rules(scan_bytes(ubj({**MODEL, "more": many}), "a.ubj")) == {"SH105"}


def test_a_pickle_behind_a_model_is_found():
    report = scan_bytes(ubj(MODEL) + b"cposix\nsystem\n(S'true'\ntR.", "a.ubj")
    assert report.verdict == "malicious"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Documents count as large soon, so that walking them takes no time."""
    for module in (text_format, xgboost):
        monkeypatch.setattr(module, "LARGEST", 20_000)


def large(**more):
    row = json.dumps({"base_weights": [-0.145161] * 40, "id": 0})
    tree = {"learner": {**LEARNER, **more, "gradient_booster": "@"}, "version": [3, 2, 0]}
    trees = f'{{"name": "gbtree", "model": {{"trees": [{", ".join([row] * 60)}]}}}}'
    return json.dumps(tree).replace('"@"', trees).encode()


def test_large_model_is_read_to_its_end(tmp_path):
    data = large()
    assert len(data) > 20_000
    for name in ("a.json", "a.model"):
        report = scan_bytes(data, name)
        assert (report.format, report.verdict) == ("xgboost", "clean"), report.findings
        assert rules(scan_bytes(data[:-1], name)) == {"SH103"}
    (tmp_path / "cut.json").write_bytes(data[:-1])
    assert rules(scan_path(tmp_path)) == {"SH103"}  # also where nobody asked for it


def test_large_model_hides_no_object_of_jsonpickle():
    data = large(attributes={"py/object": "os.system"})
    assert scan_bytes(data, "a.json").verdict == "malicious"


def test_large_model_of_many_parts_is_not_clean(monkeypatch, tmp_path):
    monkeypatch.setattr(walking, "_MOST_STEPS", 300)
    (tmp_path / "a.json").write_bytes(large())
    assert rules(scan_path(tmp_path)) == {"SH105"}


@pytest.mark.extras
def test_what_the_real_library_writes_is_clean(tmp_path):
    from tests.corpus.harmless import FAMILIES

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # since 3.4, some of them are deprecated
        for label, value in FAMILIES["xgboost"]():
            for suffix in ("json", "ubj"):
                value.save_model(tmp_path / f"{label}.{suffix}")
    found = {(report.format, str(report.verdict)) for report in scan_path(tmp_path).files}
    assert found == {("xgboost", "clean")}
    for path in (tmp_path / "linear.ubj", tmp_path / "linear.json"):
        flip(path.read_bytes(), path.name, 50)
