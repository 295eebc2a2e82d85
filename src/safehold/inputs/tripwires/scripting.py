"""Script and markup that runs in a page."""

from __future__ import annotations

import re

from safehold.findings import Rule, Severity
from safehold.inputs.tripwires.row import Tripwire

SCRIPTING = Tripwire(
    rule=Rule(
        id="SH521",
        name="tripwire-scripting",
        title="A text looks like script for a page",
        why="Somebody tries whether a page shows an input as markup.",
        remedy="Nothing, if the endpoint does what it is for; see who sends it, and whether the place where the input goes escapes it.",
        severity=Severity.LOW,
        cwe=79,
        cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
        score=6.3,
    ),
    hints=(
        "<",
        "on",
        "javascript",
        "alert",
        "document",
        "script",
        "srcdoc",
        "expression",
        "data:",
        "{{",
    ),
    pattern=re.compile(
        r"""
        <\s*+/?\s*+script\b|<[a-z!/?%][^<>]{0,400}?[\s/"']on[a-z]{3,24}\s*+=|["'\s/]on(?:error|load|click|dblclick|mouse\w{2,6}|focus\w{0,3}|blur|key\w{2,5}|toggle|pointer\w{2,8}|animation\w{3,10}|transition\w{3,6}|begin|end|start|scroll|wheel|copy|cut|paste|drag\w{0,5}|drop|input|change|submit|show|message|hashchange|pageshow|resize|select|unload|beforeunload|readystatechange|finish|bounce)\s*+=\s*+\S
        |(?:java|vb|live)\s*+script\s*+:(?=\S)(?![ ])|\bdata:(?:text/html|image/svg|application/x?html|text/xml)|<\s*+(?:iframe|object|embed|base|meta|link|form|applet|frame|portal|bgsound)\b[^<>]{0,300}?=\s*+["'`]?\s*+(?://|https?:|x\b|blob:)
        |<[a-z/!?][^<>]{0,300}?(?:=\s*+["'`]?\s*+(?:&\#|(?:java|vb)script|data:(?!image/(?:png|jpe?g|gif|webp)))|srcdoc|http-equiv|xlink|@import|expression\s*+\(|url\s*+\(\s*+['"]?(?:java|data|http))
        |\bexpression\s*+\(|-moz-binding|\bbehaviou?r\s*+:\s*+url|\bdocument\s*+[.[]\s*+['"]?(?:cookie|domain|write|location|body)|(?<!`)\b(?:alert|prompt|confirm)(?:\s?\([^a-z]|`[^`])|\bwindow\s*+[.[]\s*+['"]?(?:location|name|open|alert)|\b(?:eval|setTimeout|setInterval|Function|atob)\s*+\(\s*+['"`]|String\.fromCharCode|\.innerHTML\b|\blocation\s*+(?:\.\w{1,9}\s*+)?=\s*+['"]|constructor\s*+[.[(]\s*+['"]?constructor|\{\{[^}]{0,80}constructor|<!\[CDATA\[|<!--\[if|<!ENTITY|<\?xml-stylesheet|\bsrcdoc\s*+=|<\s*+svg\b""",
        re.VERBOSE | re.IGNORECASE,
    ),
    harmful=(
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onfocus=alert(1) autofocus='",
        "javascript:alert(1)",
        "<svg/onload=alert(1)>",
        '<a href="javascript&#58;:alert(1)">',
    ),
    harmless=(
        "a < b and b > c",
        "I <3 you",
        "JavaScript: The Good Parts",
        "<b>bold</b>",
        "on = off",
        "the document was closed",
        "be alert (always)",
    ),
)
