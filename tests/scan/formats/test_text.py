from __future__ import annotations

import json

import pytest

from safehold.scan import scan_bytes, scan_path


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


def test_large_json_that_is_asked_for_is_not_clean():
    text = b'["py/object"' + b" " * 2**24 + b"]"
    assert rules(scan_bytes(text, "a.json")) == {"SH105"}
