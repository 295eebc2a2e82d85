from __future__ import annotations

import pytest

from safehold.scan import scan_bytes, scan_path


def rules(report):
    return {finding.rule.id for finding in report.findings}


HARMLESS = {
    "plain": "a: 1\nb: [x, y]\nc: {d: !!str 1, e: !!set {x}}\n",
    "custom tags": "Key: !Ref Name\nSub: !Sub '${A}'\nList: !GetAtt a.b\nv: !vault |\n  abc\n",
    "data": "a: !!python/tuple [1, 2]\nb: !!python/none null\nc: !!python/unicode 'x'\n",
    "words": "text: never write !!python/module:os here\n# a: !!python/name:os.system\n",
    "quoted": "a: 'x !!python/name:os.system'\nb: \"!!python/module:os\"\n",
    "mkdocs": (
        "ext:\n  emoji_index: !!python/name:material.extensions.emoji.twemoji\n"
        "  slugify: !!python/object/apply:pymdownx.slugs.slugify\n    kwds: {case: lower}\n"
    ),
    "names": "dtype: !!python/name:numpy.dtype\n",
    "anchors": "base: &base {a: 1}\n" + "".join(f"x{n}: *base\n" for n in range(3000)),
    "hydra": "model:\n  _target_: shop.nets.Net\n  size: 3\n",
    "percent": "url: http://x/%70y\nrate: 5%\n",
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_documents_of_a_directory_are_left_out(name, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(HARMLESS[name])
    assert not scan_path(tmp_path).files
    report = scan_path(path).files[0]
    assert (report.format, report.verdict) == ("yaml", "clean"), report.findings


MALICIOUS = [
    "!!python/object/apply:os.system ['x']",
    "a: !!python/object/apply:subprocess.Popen\n- [x]\n",
    "a:\n  - !!python/object/new:type {args: [x]}\n",
    "a: !!python/name:eval",
    "a: !!python/module:subprocess ''",
    "[!!python/object/apply:os.system [x]]",
    "{a: 1,b: !!python/name:os.system }",
    '{"a":!!python/name:os.system }',
    "? !!python/name:os.system\n: 1\n",
    "a: &x !!python/name:os.system\n",
    "a: &" + "x" * 5000 + " !!python/name:os.system\n",
    "a: !<tag:yaml.org,2002:python/name:os.system> x",
    "%TAG ! tag:yaml.org,2002:python/\n---\n!object/apply:os.system [x]\n",
    "%TAG !p! tag:yaml.org,2002:\n---\na: !p!python/name:os.system x\n",
    "%TAG !! tag:x:\n---\na\n...\n%TAG !! tag:yaml.org,2002:py\n---\n- !!thon/name:os.system\n",
    "a: !!%70ython/name:os.system",
    "a: !!python/name:os%2Esystem",
    "--- !!python/name:os.system\n",
    "a:\r\n    !!python/name:os.system\r\n",
    "a: 1\nx: !!python/object:subprocess.Popen {args: x}\n",
    "model: !apply:os.system [x]\n",
    "_target_: os.system\n",
    "x: {_target_: 'builtins.exec', a: 1}\n",
]


@pytest.mark.parametrize("text", MALICIOUS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tags_that_run_code_are_malicious(text, encoding, tmp_path):
    (tmp_path / "a.yml").write_bytes(text.encode(encoding))
    (only,) = scan_path(tmp_path).files
    assert (only.format, only.verdict, rules(only)) == ("yaml", "malicious", {"SH101"})


@pytest.mark.parametrize(
    "text",
    ["!!python/object:shop.Order {a: 1}", "- !!python/object/apply:shop.make []", "!!python/odd x"],
)
def test_other_objects_are_suspicious(text):
    assert rules(scan_bytes(text.encode(), "a.yaml")) == {"SH102"}


def test_other_name_is_read_if_asked_for(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("a: !!python/name:os.system\n")
    assert not scan_path(tmp_path).files
    assert scan_path(path).files[0].verdict == "malicious"


def test_aliases_that_multiply():
    text = "a0: &a0 [x, x]\n"
    for number in range(1, 12):
        text += f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]\n"
    assert rules(scan_bytes(text.encode(), "a.yaml")) == {"SH105"}


@pytest.mark.parametrize("unit", ["-!<", ":&", "- ", "\n ", "[", "&a *a ", "%TAG ! !\n"])
def test_reading_takes_no_longer_than_the_file(unit):
    text = "python *" + unit * (2**20 // len(unit))
    assert scan_bytes(text.encode(), "a.yaml").format == "yaml"


@pytest.mark.parametrize("data", [b"a: \xff\xfe", b"\0\0\0\0\0", bytes(range(256))])
def test_what_is_no_text_is_not_clean(data):
    assert scan_bytes(data, "a.yaml").verdict != "clean"
