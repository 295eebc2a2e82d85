"""Attacks on statements of SQL."""

from __future__ import annotations

import re

from safehold.findings import Rule, Severity
from safehold.inputs.tripwires.row import Tripwire

SQL = Tripwire(
    rule=Rule(
        id="SH520",
        name="tripwire-sql",
        title="A text looks like an attack on a statement of SQL",
        why="Somebody tries what happens when an input is written into a statement.",
        remedy="Nothing, if the endpoint does what it is for; see who sends it, and whether the place where the input goes binds it.",
        severity=Severity.LOW,
        cwe=89,
        cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
        score=6.3,
    ),
    hints=(
        "'",
        '"',
        "select",
        "union",
        "sleep",
        "or",
        "and",
        "--",
        "#",
        ";",
        "||",
        "having",
        "waitfor",
        "benchmark",
        "@@",
        "order",
    ),
    pattern=re.compile(
        r"""
        # a quote that ends a value, and a condition behind it
        ['"`][\s)]*+(?:or|and|xor|\|\||&&|having|like|rlike|between|div|mod)(?:[\s(!'"]++|(?=\d))(?:not\s++)?+[\w'"()@.+\s-]{0,60}?(?:[=<>]|\blike\b|\bin\s*+\(|\bis\b|\bbetween\b|\bregexp\b|\(|--|\#)
        |['"`][\s)]*+(?:;|\|\||\+|,|&&|and|or|\s)\s*+\(?\s*+(?:select|exec|declare|waitfor|drop|insert|shutdown|begin|case|if\s*+\(|sleep\s*+\(|pg_sleep|union|order\s++by|group\s++by|limit\s++\d|procedure\s++analyse|into\s++outfile)\b
        |['"`][\s)]*+(?:--|\#|/\*|;%00|;\x00)[\s+-]*+\w{0,8}\Z
        |\A['"`)]{1,4}\s*+(?:or|and|\|\||&&)\b
        # numbers need no quote
        |(?:\b(?:or|and|xor|having|where)|\|\||&&)[\s(!+]*+(?:not\s++)?(?:\d++\s*+(?:=|<|>|<>|!=|like|rlike|in\s*+\()\s*+\(?['"]?\d|(['"])(\w{0,12})\1\s*+(?:=|like|<|>|<>|!=)\s*+\1|true\b\s*+(?:--|\#|\Z))
        |\border\s++by\s++\d++(?:\s*,\s*\d++)*+\s*+(?:--|\#|/\*|;)|\A[^a-z]{0,8}order\s++by\s++\d++
        |\bunion\b[\s(]*+(?:(?:all|distinct)\b)?[\s(]*+select\b
        |;\s*+(?:drop|truncate|alter|create)\s++(?:table|database|user|view|login)\b|;\s*+(?:insert\s++into|delete\s++from|update\s++\w++\s++set|exec(?:ute)?\s++\w|declare\s++@|shutdown\b|waitfor\b|select\b|if\s*+\()
        |\bwaitfor\s++(?:delay|time)\b|\b(?:pg_sleep|benchmark|extractvalue|updatexml|load_file|xp_cmdshell|xp_dirtree|utl_inaddr\.\w++|utl_http\.request|dbms_pipe\.receive_message|dbms_lock\.sleep|dbms_ldap\.\w++|ctxsys\.\w[\w.]*+|randomblob|load_extension|exp\s*+\(\s*+~|procedure\s++analyse)\s*+\(
        |(?:\b(?:and|or|select|if|then|when|xor)\b|[=,'"+|)-])\s*+\(?\s*+(?:sleep|if|case\s++when|elt|make_set|ascii|substring|substr|char|chr|version|database|user)\s*+\([^a-z]{0,3}(?:\d|select|\)|'|ascii|now|substr)
        |(?:\b(?:and|or|in|exists)\b|[=<>,'"+|(-])\s*+\(\s*+select\b|@@(?:version|hostname|datadir|servername)\b|\bfrom\s++(?:information_schema|mysql\.user|pg_catalog|sysobjects|sys\.\w|v\$version|dual\b)
        |\binto\s++(?:out|dump)file\s*+['"]""",
        re.VERBOSE | re.IGNORECASE,
    ),
    harmful=(
        "' OR '1'='1",
        "1 OR 1=1",
        "x'--",
        "1 UNION ALL SELECT NULL,NULL",
        "'; DROP TABLE users; --",
        "1 AND SLEEP(5)",
        "1;WAITFOR DELAY '0:0:5'",
        "' AND (SELECT 1)=1-- -",
    ),
    harmless=(
        "O'Brien",
        "the union selected a committee",
        "select one or two items from the list",
        "rock 'n' roll and blues",
        "Robert'; a name",
        "5 -- five",
        "time.sleep(5)",
        "it's 2 > 1 or so",
    ),
)
