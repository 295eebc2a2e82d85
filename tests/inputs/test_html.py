from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.extras

from typing import Annotated

from pydantic import TypeAdapter, ValidationError

from safehold.inputs import HTML
from safehold.inputs.html import ATTRIBUTES, ELEMENTS, SCHEMES, Cleaned

CHECKED = TypeAdapter(HTML)
clean = CHECKED.validate_python


@pytest.mark.parametrize(
    "text",
    [
        "", "plain text", "<p>one <b>two</b> <em>three</em></p>", "<ul><li>a</li><li>b</li></ul>",
        "<pre><code>x &lt; y &amp;&amp; z</code></pre>", "O'Brien \"quoted\"", "日本 é 😀",
        '<table><tbody><tr><td colspan="2">x</td></tr></tbody></table>', "a &lt;script&gt; b",
    ],
)  # fmt: skip
def test_does_nothing_to_formatted_text(text):
    assert clean(text) == text


def test_links_are_kept_and_say_that_they_are_strangers():
    found = clean('<a href="https://example.com/?a=1" title="t">x</a>')
    assert 'href="https://example.com/?a=1"' in found
    assert 'rel="noopener noreferrer nofollow ugc"' in found


HOSTILE = [
    "<script>alert(1)</script>", "<ScRiPt src=//evil.example>", "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>", "<svg><script>alert(1)</script>", "<math><mi xlink:href='javascript:alert(1)'>",
    "<a href='javascript:alert(1)'>x</a>", "<a href=' java\tscript:alert(1)'>x</a>",
    "<a href='&#106;avascript:alert(1)'>x</a>", "<a href='data:text/html,<script>'>x</a>",
    "<a href='vbscript:x'>x</a>", "<iframe srcdoc='<script>alert(1)</script>'>", "<b onclick=alert(1)>x</b>",
    "<p style='background:url(javascript:alert(1))'>x</p>", "<style>*{x:expression(alert(1))}</style>",
    "<form action=//evil.example><input name=x></form>", "<base href=//evil.example>",
    "<meta http-equiv=refresh content=0>", "<link rel=stylesheet href=//evil.example>",
    "<object data=x>", "<embed src=x>", "<div id=app name=x class=y>x</div>",
    "<!--><script>alert(1)</script>-->", "<![CDATA[<script>alert(1)</script>]]>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<svg></p><style><a id='</style><img src=1 onerror=alert(1)>'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<template><script>alert(1)</script></template>", "<textarea></textarea><script>alert(1)</script>",
    "<select><template><img src=x onerror=alert(1)></template></select>", "<x onfocus=alert(1) tabindex=1>",
    "<a href=https://x onmouseover=alert(1)>x</a>", "<<script>alert(1)//<</script>", "<img src='x' ",
    "<video><source onerror=alert(1)>", "<details open ontoggle=alert(1)>", "\0<scr\0ipt>alert(1)</script>",
]  # fmt: skip
_TAG = re.compile(r"<(/?)([a-z0-9]+)((?: [a-z]+=\"[^\"<>]*\")*)>")


@pytest.mark.parametrize("text", HOSTILE)
def test_only_what_is_allowed_is_left(text):
    found = clean(text)
    rest = _TAG.sub("", found)
    assert "<" not in rest
    for _, name, attributes in _TAG.findall(found):
        assert name in ELEMENTS
        for attribute, value in re.findall(r" ([a-z]+)=\"([^\"]*)\"", attributes):
            assert attribute in ATTRIBUTES.get(name, ()) or attribute == "rel"
            assert attribute != "href" or value.split(":")[0] in SCHEMES
    assert clean(found) == found  # a second reader changes nothing


def test_length_and_schema():
    short = TypeAdapter(Annotated[str, Cleaned(10)])
    assert short.validate_python("x" * 10)
    with pytest.raises(ValidationError):
        short.validate_python("x" * 11)
    schema = short.json_schema()
    assert (schema["maxLength"], schema["contentMediaType"]) == (10, "text/html")
    assert "blockquote" in schema["description"]
