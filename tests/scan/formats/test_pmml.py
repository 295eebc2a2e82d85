"""Documents written by hand, by the PMML standard 4.4; also held against one of catboost."""

from __future__ import annotations

import pytest

from safehold.scan import scan_bytes, scan_path
from safehold.scan.formats import pmml
from tests.scan.formats.damage import clean_prefixes, flip, replace

MODEL = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<PMML xmlns="http://www.dmg.org/PMML-4_4" xmlns:data="http://jpmml.org/jpmml-model/InlineTable"
 version="4.4">
  <Header><Application name="SkLearn2PMML package" version="0.99"/></Header>
  <DataDictionary><DataField name="x" optype="continuous" dataType="double"/></DataDictionary>
  <TransformationDictionary>
    <DefineFunction name="my.scale" optype="continuous"><ParameterField name="v"/>
      <Apply function="/"><FieldRef field="v"/><Constant>2</Constant></Apply></DefineFunction>
  </TransformationDictionary>
  <RegressionModel functionName="regression"><MiningSchema><MiningField name="x"/></MiningSchema>
    <Extension extender="tool" name="id" value="1"/>
    <RegressionTable intercept="1.5"><NumericPredictor name="x" coefficient="2"/></RegressionTable>
    <Output><OutputField name="y"><Apply function="my.scale"><FieldRef field="x"/></Apply>
    <Apply function="x-min"/></OutputField></Output>
  </RegressionModel>
</PMML>"""


def rules(report):
    return {finding.rule.id for finding in report.findings}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_model_is_clean(encoding):
    text = MODEL.replace("UTF-8", "UTF-16") if "16" in encoding else MODEL
    report = scan_bytes(text.encode(encoding), "a.pmml")
    assert (report.format, report.verdict) == ("pmml", "clean"), report.findings


def test_it_is_known_by_its_content(tmp_path):
    (tmp_path / "model.xml").write_text(MODEL)
    (tmp_path / "pom.xml").write_text('<?xml version="1.0"?><project/>')
    assert [report.format for report in scan_path(tmp_path).files] == ["pmml"]


def test_a_cut_model_is_never_clean_and_damage_is_no_failure():
    data = MODEL.encode()
    assert clean_prefixes(data, "a.pmml") == []
    flip(data, "a.pmml", 500)
    signs = (b"<", b">", b"&a;", b"]]>", b"<!", b"\xff", b"")
    replace(data, "a.pmml", lambda rng: rng.choice(signs), 500)


def test_much_text_is_no_long_token():
    text = MODEL.replace("</PMML>", f"<Array>{'1.5 ' * 400_000}</Array></PMML>")
    assert scan_bytes(text.encode(), "a.pmml").verdict == "clean"


@pytest.mark.parametrize(
    "text",
    [f"<!--{' -' * 10**6}-->", f"<a b='{'x' * 2 * 10**6}'/>", f"<{'a' * 2 * 10**6}/>"],
    ids=["comment", "attribute", "name"],
)
def test_a_long_token_is_not_read(text):
    report = scan_bytes(f"<PMML>{text}</PMML>".encode(), "a.pmml")
    assert rules(report) == {"SH105"}


def declared(*entities, body="&a;", before=""):
    return f"{before}<!DOCTYPE PMML [{''.join(entities)}]><PMML>{body}</PMML>"


EXTERNAL = {
    "general": declared('<!ENTITY a SYSTEM "file:///etc/passwd">'),
    "public": declared('<!ENTITY a PUBLIC "x" "http://127.0.0.1/x">'),
    "parameter": declared('<!ENTITY % a SYSTEM "http://127.0.0.1/x.dtd">%a;', body=""),
    "unparsed": declared('<!NOTATION n SYSTEM "n"><!ENTITY a SYSTEM "x" NDATA n>', body=""),
    "subset": '<!DOCTYPE PMML SYSTEM "http://127.0.0.1/x.dtd"><PMML/>',
    "public subset": '<!DOCTYPE PMML PUBLIC "PMML 2.0" "http://x/pmml_v2_0.dtd"><PMML/>',
    "include": '<PMML xmlns:q="http://www.w3.org/2001/XInclude"><q:include href="/x"/></PMML>',
    "style": '<?xml-stylesheet href="x.xsl" type="text/xsl"?><PMML/>',
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", EXTERNAL)
def test_what_parsers_fetch(name, encoding):
    report = scan_bytes(EXTERNAL[name].encode(encoding), "a.pmml")
    assert "SH124" in rules(report)
    assert report.verdict == "malicious"


def laughs(depth=9, width=10):
    rows = ['<!ENTITY a0 "lol">']
    rows += [f'<!ENTITY a{at + 1} "{f"&a{at};" * width}">' for at in range(depth)]
    return declared(*rows, body=f"&a{depth};")


EXPANDING = {
    "laughs": laughs(),
    "in another order": declared(f'<!ENTITY a "{"&b;" * 40}">', f'<!ENTITY b "{"x" * 500_000}">'),
    "quadratic": declared(f'<!ENTITY a "{"x" * 100_000}">', body="&a;" * 1000),
    "itself": declared('<!ENTITY a "&a;">'),
    "each other": declared('<!ENTITY a "&b;"><!ENTITY b "&a;">'),
    "parameters": declared('<!ENTITY % a "x"><!ENTITY b "&b;">', body=""),
}


@pytest.mark.parametrize("name", EXPANDING)
def test_entities_that_multiply(name):
    report = scan_bytes(EXPANDING[name].encode(), "a.pmml")
    assert {"SH103", "SH125"} == rules(report)
    assert report.verdict == "malicious"


def test_entities_that_do_not_multiply_are_no_model_either():
    assert rules(scan_bytes(declared('<!ENTITY a "b">').encode(), "a.pmml")) == {"SH103"}
    assert rules(scan_bytes(b"<!DOCTYPE PMML><PMML/>", "a.pmml")) == {"SH103"}
    assert rules(scan_bytes(laughs(2, 3).encode(), "a.pmml")) == {"SH103"}


def test_more_entities_than_are_read(monkeypatch):
    monkeypatch.setattr(pmml, "_MOST_ENTITIES", 5)
    assert "SH125" in rules(scan_bytes(laughs(8, 1).encode(), "a.pmml"))


@pytest.mark.parametrize(
    "text",
    [
        b'<?xml version="1.0" encoding="UTF-7"?>+ADw-PMML/+AD4-',
        b'<?xml version="1.0" encoding="rot13"?><PMML/>',
        b'<?xml version="1.0" encoding="cp1252"?><PMML/>',
        '<?xml version="1.0"?><PMML/>'.encode("utf-32"),
        b'<?xml version="1.0" encoding="utf-16"?><PMML/',
        b"<PMML>\xff</PMML>",
        b"<PMML>&a;</PMML>",
        b"<PMML/><PMML/>",
        b"<PMML><a:b/></PMML>",
    ],
)
def test_what_is_not_read_is_not_clean(text):
    assert rules(scan_bytes(text, "a.pmml")) == {"SH103"}


def test_an_encoding_is_never_looked_up(monkeypatch):
    import codecs

    asked = []
    codecs.register(search := asked.append)
    try:
        scan_bytes(b'<?xml version="1.0" encoding="own-codec"?><PMML/>', "a.pmml")
        scan_bytes('<?xml version="1.0" encoding="own-codec"?><PMML/>'.encode("utf-16"), "a.pmml")
    finally:
        codecs.unregister(search)
    assert asked == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<PMML><Apply function="com.example.Evil"/></PMML>', "SH102"),
        ('<p:PMML xmlns:p="x"><p:Apply function="com.example.Evil"/></p:PMML>', "SH102"),
        ("<PMML><Script language='js'>x()</Script></PMML>", "SH109"),
        (
            '<PMML xmlns:x="http://www.w3.org/1999/XSL/Transform"><x:template/></PMML>',
            "SH109",
        ),
        ('<java class="java.beans.XMLDecoder"><object class="java.lang.Runtime"/></java>', "SH101"),
    ],
)
def test_programs_and_classes(text, found):
    assert rules(scan_bytes(f'<?xml version="1.0"?>{text}'.encode(), "a.xml")) == {found}


def test_elements_are_bounded(monkeypatch):
    monkeypatch.setattr(pmml, "_MOST_ELEMENTS", 100)
    assert rules(scan_bytes(b"<PMML>" + b"<a/>" * 200 + b"</PMML>", "a.pmml")) == {"SH105"}
    monkeypatch.setattr(pmml, "_MOST_ELEMENTS", 10**6)
    monkeypatch.setattr(pmml, "_DEEPEST", 50)
    assert rules(scan_bytes(b"<PMML>" + b"<a>" * 60, "a.pmml")) == {"SH105"}
