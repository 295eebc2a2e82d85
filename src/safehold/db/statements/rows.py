"""The table of what is looked for in a statement's skeleton: add a row here, with its examples.

A row counts at once where no program does such a thing at run time. The others are found in
statements of many good programs, and count where the statement has an input of the request in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from safehold.db.statements import rules
from safehold.findings import Rule

When = Literal["always", "input", "limits"]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of statement: its pattern, when it counts, and examples in the named dialects.

    ``words``: texts without any of them are not searched, as almost all are; ``;`` is one.
    ``on_text``: values count, so that the text is searched.
    """

    rule: Rule
    when: When
    words: frozenset[str]
    pattern: re.Pattern[str]
    harmful: tuple[tuple[str, str], ...]
    harmless: tuple[tuple[str, str], ...]
    dialects: tuple[str, ...] = ("sqlite", "postgresql", "mysql")
    on_text: bool = False


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _called(*names: str) -> str:
    """Return the pattern of calls; PostgreSQL and SQLite let the name be quoted."""
    return rf"(?<![\w.])(?:\"?\w+\"?\.)?\"?(?:{'|'.join(names)})\"?\s?\("


_LITERAL: Final = r"(?:''|[-+~]?0|true|null)"
_COMPARED: Final = r"(?:=|<=>|==|<>|!=|<=?|>=?|like|is)"
_SELECT_LIST: Final = rf"(?:{_LITERAL}|@@\w+|\w+\(\))"

_FILES: Final = (
    "load_file pg_read_file pg_read_binary_file pg_stat_file pg_logdir_ls lo_import lo_export "
    "pg_ls_dir pg_ls_logdir pg_ls_waldir pg_ls_tmpdir pg_ls_archive_statusdir pg_ls_summariesdir "
    "pg_ls_logicalsnapdir pg_ls_logicalmapdir pg_ls_replslotdir "
    "pg_file_write pg_file_read pg_file_rename pg_file_unlink pg_file_sync"
)
_LINKS: Final = (
    "dblink dblink_connect dblink_connect_u dblink_exec dblink_open dblink_send_query "
    "openrowset opendatasource"
)

ROWS: Final = (
    Row(
        rules.STACKED,
        "input",
        _words(";"),
        re.compile(r"\A(?!create (?:or replace )?(?:\w+ )*(?:trigger|procedure|function) ).*; ?\S"),
        (
            ("sqlite", "SELECT id FROM users WHERE name = 'x'; DELETE FROM users"),
            ("postgresql", "SELECT 1;SELECT 2"),
            ("mysql", "SELECT 1; UPDATE users SET role = 'admin'"),
        ),
        (
            ("sqlite", "SELECT id FROM users WHERE name = 'a; b';"),
            ("postgresql", "SELECT 1 ; -- the end\n"),
            ("sqlite", "CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; END"),
        ),
    ),
    Row(
        rules.UNION,
        "input",
        _words("union"),
        re.compile(
            rf"\bunion (?:all |distinct )?\(?(?:select|values ?\() ?{_SELECT_LIST} ?"
            rf"(?:, ?{_SELECT_LIST} ?)*(?:\)|,|\Z|from|where|order|limit|union)"
        ),
        (
            ("sqlite", "SELECT a, b FROM t WHERE c = 'x' UNION SELECT NULL, NULL"),
            ("mysql", "SELECT a FROM t UNION ALL SELECT 1,2,@@version"),
            ("postgresql", "SELECT a FROM t UNION SELECT null,'x' FROM users"),
        ),
        (
            ("sqlite", "SELECT a FROM t UNION SELECT b FROM u"),
            ("postgresql", "SELECT a, 1 AS kind FROM t UNION ALL SELECT b, 2 AS kind FROM u"),
            ("mysql", "SELECT name FROM t WHERE name = 'union select null'"),
        ),
    ),
    Row(
        rules.TAUTOLOGY,
        "input",
        _words("or ||"),
        re.compile(
            rf"(?:\bor|\|\|) (?:not )?\(*{_LITERAL} ?{_COMPARED} ?{_LITERAL}"
            rf"|(?:\bor) (?:not )?(?:true|[-+]?0|not false)(?= ?\)*(?:\Z|and|or|order|limit|group))"
            rf"|\bor \(*(\"?[a-z_]\w*+\"?) ?(?:=|like) ?\1(?![\w.(\"])"
        ),
        (
            ("sqlite", "SELECT id FROM users WHERE name = '' OR 1=1"),
            ("postgresql", "SELECT id FROM users WHERE name = '' or 'a'='a'"),
            ("mysql", "SELECT id FROM users WHERE id = 1 OR true"),
            ("sqlite", "SELECT id FROM users WHERE name = 'x' OR name=name"),
        ),
        (
            ("sqlite", "SELECT id FROM users WHERE 1 = 1 AND name = ?"),
            ("postgresql", "SELECT id FROM users WHERE name = 'or 1=1' OR role = 'a'"),
            ("mysql", "SELECT id FROM users WHERE a = b OR c = 1"),
            ("sqlite", "SELECT id FROM users WHERE a = 1 OR t.id = u.id"),
        ),
    ),
    Row(
        rules.SCHEMA,
        "input",
        _words(
            "information_schema pg_catalog pg_shadow pg_authid pg_user pg_roles pg_class pg_tables "
            "pg_database sqlite_master sqlite_schema sqlite_temp_master pragma_table_info "
            "performance_schema mysql"
        ),
        re.compile(
            r"\b(?:information_schema|pg_catalog|pg_shadow|pg_authid|pg_user|pg_roles|pg_class"
            r"|pg_tables|pg_database|sqlite_master|sqlite_schema|sqlite_temp_master"
            r"|pragma_table_info|performance_schema)\b|\bmysql\"?\.\"?(?:user|db)\b"
        ),
        (
            ("sqlite", "SELECT sql FROM sqlite_master WHERE name = 'x'"),
            ("postgresql", "SELECT table_name FROM information_schema.tables"),
            ("mysql", "SELECT authentication_string FROM mysql.user"),
        ),
        (
            ("sqlite", "SELECT 'sqlite_master' FROM t"),
            ("postgresql", "SELECT id FROM information WHERE schema_name = 'pg_class'"),
            ("mysql", "SELECT user FROM mysql_users"),
        ),
    ),
    Row(
        rules.DELAY,
        "always",
        _words("pg_sleep pg_sleep_for pg_sleep_until waitfor"),
        re.compile(
            _called("pg_sleep", "pg_sleep_for", "pg_sleep_until") + r"|\bwaitfor (?:delay|time)\b"
        ),
        (
            ("postgresql", "SELECT pg_sleep(10)"),
            ("postgresql", 'SELECT pg_catalog."pg_sleep"(10)'),
            ("postgresql", 'SELECT U&"pg\\005Fsleep"(10)'),
        ),
        (
            ("postgresql", "SELECT 'pg_sleep(10)'"),
            ("postgresql", "SELECT pg_sleepers(1), sleep FROM t"),
            ("sqlite", "SELECT waitfor FROM delays"),
        ),
    ),
    Row(
        rules.DELAY,
        "always",
        _words("sleep benchmark"),
        re.compile(_called("sleep", "benchmark")),
        (
            ("mysql", "SELECT SLEEP(5)"),
            ("mysql", "SELECT id FROM t WHERE id = 1 AND benchmark(10000000, md5(1))"),
            ("mysql", "SELECT /*!50000sleep*/(5)"),
        ),
        (
            ("mysql", "SELECT sleep FROM nights WHERE benchmark = 1"),
            ("mysql", "SELECT 'sleep(5)'"),
            ("sqlite", "SELECT sleep(5)"),
        ),
        ("mysql",),
    ),
    Row(
        rules.FILES,
        "always",
        _words(f"{_FILES} outfile dumpfile infile copy"),
        re.compile(
            _called(*_FILES.split())
            + r"|\binto (?:outfile|dumpfile)\b|\bload (?:data|xml) .*\binfile\b"
            r"|\Acopy .*\b(?:from|to) (?:''|%s|\$\d)"
        ),
        (
            ("mysql", "SELECT LOAD_FILE('/etc/passwd')"),
            ("mysql", "SELECT 'x' INTO OUTFILE '/srv/x.php'"),
            ("mysql", "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t"),
            ("postgresql", "SELECT pg_read_file('postgresql.conf')"),
            ("postgresql", "COPY t FROM '/etc/passwd'"),
            ("postgresql", "SELECT lo_import('/etc/passwd')"),
            ("postgresql", "SELECT pg_ls_dir('.')"),
        ),
        (
            ("mysql", "SELECT load_file FROM files"),
            ("mysql", "INSERT INTO outfile_names VALUES ('into outfile')"),
            ("postgresql", "COPY t (a, b) FROM STDIN"),
            ("postgresql", "COPY (SELECT a FROM t WHERE b = 'to') TO STDOUT"),
            ("postgresql", "SELECT 'pg_read_file(1)'"),
            ("postgresql", "SELECT a FROM t WHERE copy = 'from'"),
        ),
    ),
    Row(
        rules.FILES,
        "always",
        _words(
            "attach vacuum writable_schema temp_store_directory data_store_directory readfile "
            "writefile edit fts3_tokenizer"
        ),
        re.compile(
            r"(?:\A|; ?)attach (?:database )?|(?:\A|; ?)vacuum (?:\w+ |\"[^\"]*\" )?into\b"
            r"|\bpragma (?:\w+\.)?(?:writable_schema|temp_store_directory|data_store_directory)\b"
            "|" + _called("readfile", "writefile", "edit", "fts3_tokenizer")
        ),
        (
            ("sqlite", "ATTACH DATABASE '/srv/x.php' AS x"),
            ("sqlite", "attach ? as x"),
            ("sqlite", "VACUUM INTO '/tmp/copy.db'"),
            ("sqlite", "PRAGMA writable_schema = 1"),
            ("sqlite", "SELECT writefile('/srv/x', 'y')"),
        ),
        (
            ("sqlite", "SELECT attach FROM files"),
            ("sqlite", "VACUUM"),
            ("sqlite", "PRAGMA table_info(users)"),
            ("sqlite", "INSERT INTO notes VALUES ('attach database x as y')"),
            ("sqlite", "SELECT edit FROM notes"),
        ),
        ("sqlite",),
    ),
    Row(
        rules.PROGRAMS,
        "always",
        _words(
            "program xp_cmdshell sp_oacreate language load soname load_extension sys_exec sys_eval"
        ),
        re.compile(
            r"\bcopy .*\b(?:from|to) program\b|\bxp_cmdshell\b|\bsp_oacreate\b"
            r"|\blanguage '?'?\"?(?:c|internal|\w+u)\"?(?![\w.])|\Aload ''"
            r"|\bcreate (?:or replace )?(?:trusted )?(?:procedural )?language\b"
            r"|\bcreate (?:aggregate )?function \S+ returns \w+ soname\b"
            "|" + _called("load_extension", "sys_exec", "sys_eval")
        ),
        (
            ("postgresql", "COPY t FROM PROGRAM 'id'"),
            ("postgresql", "copy (select 1) to program 'touch /tmp/x'"),
            ("postgresql", "CREATE FUNCTION f() RETURNS int AS 'x.so', 'f' LANGUAGE c"),
            ("postgresql", "CREATE FUNCTION f() RETURNS int AS 'import os' LANGUAGE plpython3u"),
            ("postgresql", "LOAD 'x'"),
            ("sqlite", "SELECT load_extension('x.so')"),
            ("mysql", "CREATE FUNCTION sys_exec RETURNS int SONAME 'udf.so'"),
            ("sqlite", "EXEC xp_cmdshell 'dir'"),
        ),
        (
            ("postgresql", "CREATE FUNCTION f() RETURNS int AS 'select 1' LANGUAGE sql"),
            ("postgresql", "CREATE FUNCTION f() RETURNS trigger AS 'x' LANGUAGE plpgsql"),
            ("postgresql", "SELECT program, language FROM copies"),
            ("sqlite", "SELECT 'load_extension(1)'"),
            ("mysql", "SELECT language FROM books"),
            ("sqlite", "SELECT name FROM load_extensions"),
        ),
    ),
    Row(
        rules.NETWORK,
        "always",
        _words(f"{_LINKS} server subscription mapping utl_http"),
        re.compile(
            _called(*_LINKS.split())
            + r"|\bcreate (?:server|subscription|user mapping)\b|\butl_http\b"
        ),
        (
            ("postgresql", "SELECT * FROM dblink('host=x', 'select 1') AS t(a int)"),
            ("postgresql", "SELECT dblink_connect('host=x')"),
            ("postgresql", "CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p"),
        ),
        (
            ("postgresql", "SELECT dblink FROM links"),
            ("postgresql", "SELECT 'dblink(1)'"),
            ("mysql", "SELECT server FROM servers"),
        ),
    ),
    Row(
        rules.PRIVILEGES,
        "always",
        _words("grant revoke role user group system privileges authorization password owner owned"),
        re.compile(
            r"(?:\A|; ?)(?:grant|revoke) |\b(?:create|alter|drop) (?:role|user|group) (?!mapping)"
            r"|\balter (?:system|default privileges)\b|\bset session authorization\b"
            r"|\Aset password\b|\balter .+ owner to\b|\breassign owned\b|\brename user\b"
        ),
        (
            ("postgresql", "GRANT ALL ON users TO public"),
            ("postgresql", "ALTER ROLE app SUPERUSER"),
            ("postgresql", "CREATE USER x PASSWORD 'y'"),
            ("postgresql", "ALTER TABLE users OWNER TO x"),
            ("mysql", "CREATE USER 'x'@'%' IDENTIFIED BY 'y'"),
            ("mysql", "REVOKE ALL ON d.* FROM 'x'"),
        ),
        (
            ("postgresql", "SELECT grant_id, role FROM grants"),
            ("postgresql", 'CREATE TABLE "user" (id int)'),
            ("postgresql", "ALTER SEQUENCE s OWNED BY t.id"),
            ("mysql", "UPDATE users SET password = 'x', role = 'grant'"),
            ("sqlite", "INSERT INTO notes VALUES ('grant all on users to x')"),
        ),
    ),
    Row(
        rules.SETTINGS,
        "limits",
        _words("set reset discard write query_only set_config"),
        re.compile(
            r"\bset (?:session |local )?\"?(?:\w*statement_timeout|lock_timeout"
            r"|(?:default_)?transaction_read_only|max_execution_time)\b"
            r"|\b(?:reset|discard) (?:all|\w*_timeout|\w*read_only)\b"
            r"|\bset session characteristics\b"
            r"|\bread write\b|\bpragma (?:\w+\.)?query_only\b"
        ),
        (
            ("postgresql", "SET statement_timeout = 0"),
            ("postgresql", "SET TRANSACTION READ WRITE"),
            ("postgresql", "RESET ALL"),
            ("sqlite", "PRAGMA query_only = 0"),
        ),
        (
            ("postgresql", "SET search_path = app"),
            ("postgresql", "SELECT statement_timeout FROM settings"),
            ("sqlite", "PRAGMA foreign_keys = ON"),
        ),
    ),
    Row(
        rules.SETTINGS,
        "limits",
        _words("set_config"),
        # Django sets the time zone by it, and row level security reads names with a dot in them.
        re.compile(
            r"\bset_config\"?\s*\((?!\s*'(?:timezone|search_path|application_name|\w+\.[\w.]+)')",
            re.IGNORECASE,
        ),
        (
            ("postgresql", "SELECT set_config('statement_timeout', '0', false)"),
            ("postgresql", "SELECT pg_catalog.\"set_config\" ( 'lock_timeout', '0', false)"),
            ("postgresql", "SELECT set_config(%s, '0', false)"),
        ),
        (
            ("postgresql", "SELECT set_config('TimeZone', %s, false)"),
            ("postgresql", "SELECT set_config('app.tenant', %s, true)"),
            ("postgresql", "SELECT set_config FROM settings"),
        ),
        ("postgresql",),
        on_text=True,
    ),
    Row(
        rules.SETTINGS,
        "always",
        _words("standard_conforming_strings"),
        # After which the server reads other tokens than the guard.
        re.compile(
            r"\bset (?:session |local )?\"?standard_conforming_strings\"? ?(?:=|to) ?+"
            r"(?!(?:on|true)\b)"
        ),
        (
            ("postgresql", "SET standard_conforming_strings = off"),
            ("postgresql", "set session standard_conforming_strings to 'off'"),
            ("postgresql", 'SET LOCAL "standard_conforming_strings"=0'),
        ),
        (
            ("postgresql", "SET standard_conforming_strings = on"),
            ("postgresql", "SHOW standard_conforming_strings"),
            ("postgresql", "SELECT 'set standard_conforming_strings = off'"),
        ),
        ("postgresql",),
    ),
)
