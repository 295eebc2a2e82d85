from __future__ import annotations

import json

import pytest

from safehold.scan import scan_bytes, scan_path, walking
from safehold.scan.formats import keras
from safehold.scan.formats import text as text_format


def rules(report):
    return {finding.rule.id for finding in report.findings}


def test_ordinary_json_of_a_directory_is_left_out(tmp_path):
    for number, tree in enumerate(
        [
            {"a": [1, "py/"], "b": None},
            {"model_type": "llama", "auto_map": {}},
            {"chat_template": "{{ messages[0].content }}"},
            {"_target_": "shop.nets.Net", "x": "é\u0041"},
            ["py/tuple", {"py/id": 1}],
        ]
    ):
        (tmp_path / f"{number}.json").write_text(json.dumps(tree))
    assert not scan_path(tmp_path).files


@pytest.mark.parametrize(
    ("tree", "found"),
    [
        ({"py/object": "shop.Order", "id": 1}, {"SH102"}),
        ([{"a": {"py/object": "subprocess.Popen"}}], {"SH101", "SH102"}),
        ({"py/reduce": [{"py/function": "os.system"}, {"py/tuple": ["x"]}]}, {"SH101", "SH102"}),
        ({"py/reduce": [{"py/type": "builtins.eval"}, ["x"]]}, {"SH101", "SH102"}),
        ({"py/repr": "os/os.getcwd()"}, {"SH101", "SH102"}),
        ({"auto_map": {"AutoModel": "modeling_x.Model"}}, {"SH109"}),
        ({"auto_map": {"AutoTokenizer": ["other/repo--tok.Tok", None]}}, {"SH109"}),
        ({"custom_pipelines": {"x": {"impl": "p.P"}}}, {"SH109"}),
        ({"model": {"_target_": "builtins.exec", "_args_": ["x"]}}, {"SH101"}),
        ({"_target_": "os.system"}, {"SH101"}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_keys_that_run_code_are_found(tree, found, encoding, tmp_path):
    (tmp_path / "config.json").write_bytes(json.dumps(tree).encode(encoding))
    (only,) = scan_path(tmp_path).files
    assert only.format == "json"
    assert rules(only) == found


@pytest.mark.parametrize(
    "text", ['{"py\\/object": "os.system"}', '{"\\u0070y/object":"os.system"}']
)
def test_keys_with_escapes_are_found(text, tmp_path):
    (tmp_path / "config.json").write_text(text)
    (only,) = scan_path(tmp_path).files
    assert only.verdict == "malicious"


def test_same_key_twice_hides_nothing():
    text = b'{"py/object": "os.system", "py/object": "shop.Order"}'
    assert scan_bytes(text, "a.json").verdict == "malicious"


LARGE = b" " * 2000


@pytest.fixture
def large(monkeypatch):
    """Make a document large that is not, so that walking it takes no time."""
    for module in (text_format, keras):
        monkeypatch.setattr(module, "LARGEST", 1000)


def test_large_json_is_walked(large):
    assert scan_bytes(b'{"a": ["py/object"' + LARGE + b"]}", "a.json").verdict == "clean"
    report = scan_bytes(b'{"a": [{"py/object"' + LARGE + b': "os.system"}]}', "a.json")
    assert rules(report) == {"SH101", "SH102"}


@pytest.mark.parametrize("key", [b"py/object", rb"py\/object", rb"\u0070y/object"])
def test_large_json_hides_nothing(key, large):
    text = b'{"a": ' + LARGE + b'{"b": [1, {"x": {"' + key + b'": "os.system"}}]}}'
    assert "SH101" in rules(scan_bytes(text, "a.json"))
    text = b'{"_target_": {"auto_map": {"' + key + b'": "os.system"}}' + LARGE + b"}"
    assert {"SH101", "SH109"} <= rules(scan_bytes(text, "a.json"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'["a"' + LARGE, "SH103"),
        (b'["a"' + LARGE + b"]]", "SH103"),
        (b'{"class_name": "Lambda", "config": {}' + LARGE + b"}", "SH105"),
        ((b'["a"' + LARGE + b"]").decode().encode("utf-16"), "SH105"),
        (b"[" * 20_000 + LARGE, "SH105"),
        (b'{"auto_map": ["' + b"x" * 2000 + b'"]}', "SH105"),
    ],
    ids=["cut", "closed twice", "keras", "utf-16", "deep", "large value"],
)
def test_large_json_that_is_not_read_is_not_clean(text, found, large):
    assert rules(scan_bytes(text, "a.json")) == {found}


def test_large_json_of_many_parts_is_not_clean(monkeypatch, large):
    monkeypatch.setattr(walking, "_MOST_STEPS", 1000)
    assert rules(scan_bytes(b"[" + b"[]," * 2000 + LARGE + b"1]", "a.json")) == {"SH105"}
    assert scan_bytes(b"[" + b"1," * 2000 + LARGE + b"1]", "a.json").verdict == "clean"
