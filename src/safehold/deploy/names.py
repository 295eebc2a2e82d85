"""What a setting is about, by its name: the words of it, whatever frame or service they stand in.

A name is about what the longest phrase says that it ends with. Spaces do not count, so that
``SSLMODE``, ``ssl_mode`` and ``sslMode`` are one. Of equal phrases the first row decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from safehold.credentials.names import Kind, kind_of, words_of

_MOST_WORDS: Final = 8
_ROWS: Final[tuple[tuple[str, str], ...]] = (
    ("ignored", r"debug (?:toolbar|log|file|port|level|info|toolbar panels|toolbar config)|(?:log|email|smtp|mail) host"
                r"|token type|token url|login url|password reset(?: timeout| url| token)|use debug port"
                r"|python hash seed|schema (?:path|file|dir|name)|secret name|secret id|key id|key name|key size|key length"
                r"|(?:key|token|secret|password) prefix|x forwarded for"
                r"|(?:secret|key|token|password) (?:backend|provider|store|manager|version)"),
    ("key-expiry", r"(?:secret|key|token|password|cert|certificate)s? (?:expiry|expires|expiration|expire|valid until|not "
                   r"after|expires)(?: at| on| date)?"),
    ("key-date", r"(?:secret|key|token|password)s? (?:created|rotated|issued|generated|changed|set|"
                 r"since|updated|last rotated|last changed|rotation|creation)"
                 r"(?: at| on| date| time| timestamp)?"),
    ("key-file", r"(?:secret|key|private key|signing key|secret key|ssl key|tls key|cert key|"
                 r"password|token|jwt key|certificate key|host key|ssh key|master key)s? "
                 r"(?:file|path|file name|location|pem)|key ?file|private key pem path"
                 r"|ssl key|tls key|identity file|certificate key|ssl key ?file"),
    ("serializer", r"(?:session|task|result|event|cache|message|job|celery|redis|rq|cookie|model|"
                   r"pickle|default|queue|broker|data)? ?(?:serializer|serialiser|serialization|"
                   r"serialization format|serializer class|accept content|allowed serializers|"
                   r"serialization method|serializers?)|accept content|result accept content"
                   r"|allow pickle|enable pickle|pickle|use pickle|pickle allowed|unsafe pickle|"
                   r"allow dangerous deserialization|allow unsafe deserialization|"
                   r"enable xcom pickling|xcom pickling"),
    ("algorithm", r"(?:jwt|token|signing|hash|password|session|hmac|digest|signature|cipher|"
                  r"encryption)? ?(?:algorithms?|alg|hashers?|hash method|digest method|"
                  r"hash function|hash scheme|schemes)|(?:tls|ssl) (?:min |minimum )?(?:version|"
                  r"protocol|protocols)|min(?:imum)? (?:tls|ssl) version|ssl ciphers|ciphers"
                  r"|password hash"),
    ("verify", r"(?:ssl|tls|cert|certs|certificate|peer|https|host|hostname)? ?(?:verify|"
               r"verification)(?: (?:ssl|tls|cert|certs|certificate|certificates|peer|hostname|"
               r"host))?|(?:check|validate) (?:hostname|certs?|certificates?|ssl|tls)|"
               r"reject unauthorized|insecure skip verify|skip (?:ssl |tls |cert )?(?:verify|verification)|python ?https "
               r"?verify|node tls reject unauthorized|(?:ssl|tls) insecure|insecure ssl|insecure tls|"
               r"allow invalid certificates|trust server certificate|ssl no verify|no verify ssl|"
               r"tls insecure|disable (?:ssl|tls|cert|certificate) (?:verification|verify|check)|"
               r"cert reqs|ssl cert reqs|no check certificate"),
    ("cookie-secure", r"cookie (?:https only|secure|is secure)|cookies secure|secure cookies?|session "
                      r"middleware https only|session https only|cookie ssl only|secure session|"
                      r"session secure|(?:set|response) cookie secure"),
    ("cookie-httponly", r"cookies? http ?only|session http ?only|http ?only cookies?|http ?only"),
    ("cookie-samesite", r"same ?site(?: policy| cookie| cookies| mode)?"),
    ("csrf", r"(?:csrf|xsrf)(?: (?:enabled|protection|protect|protection enabled|check|checks|"
             r"checks enabled|check default|verify|middleware|cookie protect))?|cookie csrf protect|"
             r"(?:disable|skip|no|without|ignore) (?:csrf|xsrf)(?: protection| check| checks)?|csrf "
             r"(?:disabled|exempt)"),
    ("session-age", r"(?:session|sessions|login|remember|cookie|session cookie|remember cookie|"
                    r"auth|access token|refresh token|token|jwt|jwt token|access|refresh|"
                    r"id token|api token|permanent session|session idle|idle)"
                    r" (?:age|max age|lifetime|life ?time|timeout|ttl|expiry|expiration|expires?(?: in)?|"
                    r"duration|expire (?:time|after|in)|(?:expiry|expiration|expires?) (?:time|delta|in|after)|valid for|"
                    r"validity|delta|time to live)"
                    r"(?: seconds| minutes| hours| days| weeks| sec| min| secs| mins| delta)?"),
    ("cors-credentials", r"(?:cors )?(?:allow|allows|supports?|access control allow|with|enable|cors)"
                         r" credentials|cors credentials"),
    ("cors-origins", r"cors(?: allow| allowed| origin| origins| middleware| allow origin| config| settings| policy)? (?:allow origins?|allowed origins?|origins?|hosts?|domains?|allow all|whitelist|allowlist|"
                     r"regex|regexes)|cors|(?:allow|allowed|access control allow|cross) origins?"
                     r"(?: regex| list| regexes| whitelist)?"
                     r"|cors (?:allow all|origin allow all)(?: origins)?|allow all origins|"
                     r"(?:csrf )?trusted origins|origins|backend cors origins|allow any origin|"
                     r"origin whitelist|ws origins?|websocket origins?|allow websocket origin"),
    ("allowed-hosts", r"(?:allowed|allow|trusted|valid|permitted|accepted) ?hosts?(?: names?| list)?|"
                      r"host whitelist|host allowlist|server names?|virtual hosts?"),
    ("proxy-trust", r"forwarded allow ips|trusted (?:proxies|proxy|proxy ips?|proxy hosts?|"
                    r"proxy list|proxy networks?)|trust (?:proxy|proxies|proxy headers|forwarded|"
                    r"forwarded headers|x forwarded(?: for| host| proto)?|all proxies)|proxy (?:allow ips|"
                    r"trusted hosts|trust|trusted|protocol allow ips|trust all)|use x "
                    r"forwarded (?:host|port)|proxy allow from|proxy headers middleware trusted hosts|"
                    r"secure proxy ssl header|allow forwarded|forwarded allow|"
                    r"real ip from|set real ip from|proxies count|proxy fix x (?:for|host|proto|port|prefix)|"
                    r"num proxies|proxy headers trusted|trust x forwarded for|proxy count|forwarded trusted ips"),
    ("waf", r"(?:waf|web application firewall|mod ?security)(?: (?:enabled|mode|status|engine|state|"
            r"action))?|sec rule engine|(?:disable|skip|bypass) waf|waf disabled"),
    ("transport", r"(?:secure )?(?:ssl|https|tls) redirect|(?:force|require|enforce|use|enable|only|"
                  r"with|redirect to) (?:https|ssl|tls|secure|starttls|start tls)|(?:https|ssl|tls) "
                  r"(?:only|enabled|on|required|enforced|mode enabled|enable)|"
                  r"(?:disable|no|without|skip|allow no) (?:https|ssl|tls)|(?:https|ssl|tls) "
                  r"(?:disabled|off)|https|ssl|tls|(?:allow|permit|enable) (?:http|plain ?text|"
                  r"insecure|insecure transport|insecure http|unencrypted)|insecure|insecure "
                  r"transport|(?:preferred )?url scheme|(?:http )?scheme|web protocol|app protocol|"
                  r"(?:base|public|site|external|app|application|server|frontend|backend|callback|"
                  r"root|service|api|web|redirect|host|webhook|endpoint|oidc|issuer|auth|login|"
                  r"gateway|tracking|mlflow tracking|registry|model|upstream|"
                  r"canonical) (?:url|uri|base url|root url|address url|endpoint)|"
                  r"account default http protocol|default http protocol|encrypt|encryption|"
                  r"encryption in transit|(?:ssl|tls) mode enabled"),
    ("hsts", r"hsts(?: (?:seconds|max age|age|max age seconds|include sub ?domains|sub ?domains|"
             r"enabled|header))?|strict transport security(?: max age| include subdomains| preload)?"),
    ("rate-limit", r"(?:rate ?limit(?:ing|s|er)?|throttl(?:e|ing)|rate ?limit(?:er|ing)?)(?: (?:"
                   r"enabled|on|active|per (?:minute|second|hour|day|ip|user)|requests|requests per (?:minute|second|hour|day)|max|default|count|rpm|rps|"
                   r"rate|rates|storage enabled|max requests|window requests))?|(?:disable|no|skip) "
                   r"(?:rate ?limit(?:ing|s)?|throttl(?:e|ing))|rate ?limit(?:ing)? disabled|"
                   r"max requests per (?:minute|second|hour|day|ip)|requests per (?:minute|second|hour)|axes enabled|"
                   r"max login attempts|login attempts|axes failure limit|login attempts limit"),
    ("limit", r"max(?:imum)? (?:content|upload|uploads|request|body|file|payload|message|form|"
              r"memory|post|input|header|json|request body|upload file|request size|file upload|"
              r"http body|client body|form memory|form parts|queue|connections?|artifact|model|"
              r"batch|decompressed|response|archive|depth|array|field|fields|parts|concurrency|"
              r"requests? in flight|concurrent requests|multipart)"
              r"(?: (?:length|size|bytes|mb|kb|size mb|size bytes|body size|upload size|memory "
              r"size|size in mb|limit|depth|count|body|length bytes|body bytes|body mb|megabytes))?|"
              r"(?:upload|body|request|file|payload|content|content length|message|client body|"
              r"client max body|form|memory|mem|artifact|cpu|pids|request body|post|input|depth|"
              r"request line|request fields?|request field size|json body|concurrency|connection|"
              r"connections|recursion|resource|upload size|body size|file size|request size|cpus)"
              r" (?:limit|limits|max|size limit|maximum|limit mb|limit bytes|max size)"
              r"|limit (?:request line|request fields?|request field ?size|concurrency|upload|"
              r"body size|memory|depth|max requests|request body|rate|request head)|"
              r"(?:data|file) upload max (?:memory size|number fields|number files)|"
              r"client max body size|client max size|mem limit|body limit|max size|request limit|"
              r"limits (?:artifact|depth|expansion|members|seconds|memory|cpus|requests body)|"
              r"h11 max incomplete event size|ws max size|websocket max size|ws max queue|"
              r"max image pixels|max page size"),
    ("timeout", r"(?:request|worker|read|write|graceful|http|server|client|socket|connect|"
                r"connection|query|statement|keep ?alive|gunicorn|header|command line|uvicorn|"
                r"process|inference|prediction|job|task|task time|response|graceful shutdown|"
                r"idle in transaction session|lock|db|database|web|soft task time)"
                r" (?:timeout|limit|time ?out)(?: seconds| secs| ms)?|timeout|timeout graceful "
                r"shutdown|timeout keep ?alive|request timeout seconds|task time limit"),
    ("docs", r"(?:docs?|redoc|openapi|swagger|swagger ui|api docs?|graphiql|graphql playground|"
             r"playground|schema|api schema|rapidoc|scalar|graphql introspection|introspection|"
             r"elements)(?: (?:url|path|enabled|endpoint|route|json url|on|public|ui|ui url|ui path|"
             r"ui enabled|exposed))|(?:enable|expose|show|serve|public|include) (?:docs?|redoc|"
             r"openapi|swagger|swagger ui|api docs?|graphiql|playground|introspection|"
             r"schema|documentation|api documentation)|graphiql|swagger|swagger ui|redoc|"
             r"(?:disable|hide|no) (?:docs|swagger|redoc|openapi|documentation|introspection)|"
             r"docs disabled|"
             r"documentation (?:enabled|public|url)|public docs|docs|api docs|playground|"
             r"introspection|introspection enabled"),
    ("error-detail", r"propagate exceptions|debug propagate exceptions|(?:show|display|expose|"
                     r"return|verbose|detailed|full|include|print|send|render|pretty) (?:errors?|"
                     r"exceptions?|tracebacks?|stack ?traces?|error details?|exception details?|"
                     r"error messages?|error pages?|error traces?|error info)"
                     r"(?: (?:in response|to clients?|details?|messages?|trace|traces|pages?))?|"
                     r"(?:error|errors|exception|exceptions) (?:detail|details|verbose|verbosity|"
                     r"trace|traceback|tracebacks|stack ?trace|full|show|display|include "
                     r"(?:stack ?trace|message|exception|binding errors)|show details|messages|"
                     r"include details|details enabled|expose|level|mode)|(?:stack ?traces?|"
                     r"tracebacks?)(?: (?:enabled|in response|to client|in responses|on|show|show "
                     r"locals))?|explain template loading|show locals|"
                     r"trap http exceptions|trap bad request errors|"
                     r"include stack ?trace|technical errors|debug errors|"
                     r"(?:hide|mask|suppress|sanitize) (?:errors?|error details?|tracebacks?|"
                     r"exceptions?|stack ?traces?)|tracebacks in responses|raise server exceptions"),
    ("log-content", r"(?:log|logging|logs?) (?:sql|queries|bodies|body|request bod(?:y|ies)|"
                    r"response bod(?:y|ies)|headers|request headers|secrets|passwords?|payloads?|"
                    r"credentials|tokens|sensitive|sensitive data|statements|params|parameters|"
                    r"requests body|pii|cookies|environment|env|config|settings|sql params|inputs?)|"
                    r"(?:sql ?alchemy |db |database |engine |sql )echo(?: pool)?|echo|echo sql|sql "
                    r"echo|sql debug|hide parameters|redact(?:ion)?(?: logs| secrets| enabled)?|"
                    r"mask secrets|log redaction|log masking|show sql|capture bod(?:y|ies)|"
                    r"send default pii|sqlalchemy record queries|record queries|print config|"
                    r"disable redaction"),
    ("log-level", r"(?:log|logging|logger|loggers|root|root logger|handlers?|console)(?: root| handlers?| loggers?| console| default| django| app| uvicorn| min| minimum| file| global| root logger| service)? "
                  r"(?:level|verbosity|lvl)|log ?level|logging ?level|verbosity level|level|"
                  r"log verbosity|logging|log|verbosity"),
    ("reload", r"(?:auto|hot|live|use|templates auto|code)? ?(?:reload|reloader|reloading)"
               r"(?: on change| dirs?)?|auto ?reload|hot ?reload|live ?reload|watch|"
               r"templates auto reload|run reload|uvicorn reload"),
    ("testing", r"(?:testing|test mode|testing mode|demo mode|is testing|dev mode|development mode|"
                r"develop mode|mock mode|mock auth|bypass auth|auth disabled|disable auth|skip auth|"
                r"disable authentication|auth bypass|login disabled|no auth|fake auth|skip login|"
                r"allow anonymous|anonymous access|python dev ?mode|is dev|is development|"
                r"authentication disabled|insecure mode|unsafe mode|disable security|sandbox mode)"),
    ("debug", r"debug(?: (?:mode|on|active|errors|server|pages?|true))?|(?:use |enable )?"
              r"debugger|use evalex|evalex|enable debug|debug ?mode|is debug|"
              r"debug tb|debug toolbar|profiling|profiler|enable profil(?:er|ing)|werkzeug debug pin|"
              r"remote debug|debugpy|pdb|interactive debugger|web debug|asyncio debug|trace mode|"
              r"show debug|template debug|console enabled|web console|shell plus|"
              r"debugpy enabled|remote debugging|diagnostics|debug middleware|silk"),
    ("trail", r"(?:audit|trail|audit trail|security)(?: (?:log|logs|logging|trail|events?|logger))?"
              r"(?: (?:path|file|dir|directory|enabled|on|location|destination|sink|output|"
              r"enable|folder|active|level|log path|log file))|audit|trail|audit log(?:ging)?|audit "
              r"trail|(?:disable|no|skip) (?:audit|trail|audit log(?:ging|s)?|audit trail)|security "
              r"log(?:ging)?|(?:audit|trail)(?: log| logging)? disabled"),
    ("guard", r"(?:guard|safehold|enforcement|security|pickle|protection|runtime guard|policy|"
              r"serialization|deserialization|csp|model loading)(?: (?:mode|enforcement|enforce|guard|enabled"
              r"|policy mode|policy|enforce|protection|level|guard mode|guard enabled|strict|"
              r"security))|(?:disable|skip|bypass|no) (?:guard|safehold|security|"
              r"protection|enforcement|verification|signature check|integrity check|"
              r"signature verification)|enforcement|enforce|guard|"
              r"verify (?:signatures?|models?|artifacts?|integrity)|allow unsigned|allow unsafe|"
              r"allow unverified|allow unsigned models|integrity (?:check|checks|enabled)|(?:guard|"
              r"safehold|enforcement) disabled|require signatures?|trust remote code"),
    ("database-tls", r"(?:db|database|postgres|postgresql|pg|mysql|sql|sqlalchemy|options|databases default"
                     r")? ?ssl ?mode|pgsslmode|(?:db|database|postgres|pg|mysql) (?:ssl|"
                     r"tls|require ssl|use ssl)|db sslmode"),
    ("database-user", r"(?:db|database|databases default|postgres|postgresql|pg|mysql|mariadb|mssql"
                      r"|sql|datasource|rds|mongo|mongodb|oracle|dbt|redshift|snowflake)"
                      r" (?:user|user ?name|login|role|owner)|pguser|db ?user|db ?username"),
    ("database-url", r"(?:database|db|postgres|postgresql|pg|mysql|sql ?alchemy|dsn|broker|redis|mongo|"
                     r"mongodb|amqp|rabbitmq|celery|cache|result|backend|async|read|write|replica|"
                     r"sql|connection|alembic|sqlalchemy database|celery broker|celery result|"
                     r"storage|primary|jobstore|optuna storage|mlflow backend store|"
                     r"mlflow|backend store)(?: url| database| broker| result| backend| store| read| write| async| connection| default| db| cache| server)? ?(?:url|uri|dsn|conn|connection string|"
                     r"connection|backend|string|conninfo|sql alchemy conn)|dsn|conninfo|connection "
                     r"string|sql alchemy conn|conn str"),
    ("privileged", r"privileged|allow privilege escalation|run as root|allow root|"
                   r"read only root filesystem|celery force root|c force root|enable root|"
                   r"as root|host (?:network|pid|ipc)|network mode|pid|ipc|cap add|"
                   r"capabilities add|volumes|security opt|ports|run as non root|ipc mode|userns mode|"
                   r"pid mode|hostnetwork|hostpid|hostipc"),
    ("run-as", r"(?:run as )?(?:user|uid|gid|group)|run as|puid|pgid|run as (?:user|group)|service user|app user|"
               r"process user|worker user|container user|unix user|daemon user|supervisor user"),
    ("environment", r"(?:env|environment|environment name|env name|runtime env|runtime "
                    r"environment|deployment environment|deployment env|stage|app mode|run mode|"
                    r"deploy env|deployment stage|profile|profiles active)|django settings module|django "
                    r"configuration|deployment|app settings|settings module|config name|config mode|"
                    r"flask config|app config|fastapi env|mode"),
    ("bind", r"(?:gradio server name|bind|listen|host|address|interface|ip|bind (?:address|host|addr|ip)|listen "
             r"(?:address|host|addr|ip|on)|host ip|server host|app host|uvicorn host|http host|"
             r"web host|binds|server address|addr|endpoint address|binding|host address)"),
)  # fmt: skip
_TAIL: Final = frozenset("enabled enable flag value setting default prod production".split())
"""What may stand behind the words that tell, and changes nothing of what they mean."""
_ALONE: Final = {
    "timeout": frozenset({"cache", "email", "smtp", "ping"}),
    "verify": frozenset({"email", "mail", "phone", "account", "user"}),
    "limit": frozenset({"page", "pagination", "retries"}),
    "environment": frozenset({"build", "virtual", "conda", "tox", "modules"}),
    "log-level": frozenset({"isolation", "compression", "zoom", "water", "confidence", "security"}),
}
# Kept by the redaction as one word or another; here they are what a service signs with.
_SIGNING: Final = frozenset(
    "app flask django jwt session signing sign serialization serializer hmac cookie csrf token auth "
    "encryption master server service backend api application web site pynomaly trader model "
    "refresh access internal shared webhook nextauth".split()
)


def topic_of(name: str, value: Any = None) -> str:
    """Return what a setting is about, empty if nothing that is known."""
    kind = None if name in ("PWD", "OLDPWD") else secret_kind(name)  # the shell's directories
    found = _topic_of(name[-160:])
    if found in ("ignored", "key-file", "key-date", "key-expiry", "session-age"):
        return "" if found == "ignored" else found
    if kind is not None and not isinstance(value, bool | dict):
        return "password" if kind is Kind.PASSWORD else "secret"
    return found


def named(name: str, names: Mapping[str, str]) -> str | None:
    """Return the topic that a policy gives a name; the last words of a dotted one count too."""
    if name in names:
        return names[name]
    return names.get(name.rsplit(".", 1)[-1])


def secret_kind(name: str) -> Kind | None:
    """Say what kind of secret a name speaks of; one that signs is a key."""
    last = re.split(r"[.\]]", name.rstrip("]"))[-1] or name
    kind = kind_of(last)
    words = words_of(last)
    if kind is None and words[-1:] in (("salt",), ("pepper",)):
        return None
    if kind is None and words[-2:] in (("secret", "keys"), ("secret", "fallbacks")):
        return Kind.KEY
    if kind is None and words[-1:] == ("fallbacks",) and "secret" in words:
        return Kind.KEY
    if kind is None and len(words) == 1 and words[0] in ("pass", "pw", "pwd"):
        return Kind.PASSWORD
    if kind is None and words[-1:] in (("pass",), ("pw",), ("pgpassword",), ("dbpassword",)):
        return Kind.PASSWORD
    if kind is Kind.FOREIGN and words[-1] == "secret":
        return Kind.KEY if len(words) == 1 or words[-2] in _SIGNING else kind
    if kind is None and words[-1:] == ("key",) and len(words) > 1 and words[-2] in _SIGNING:
        return Kind.KEY
    return kind


@lru_cache(4096)
def _topic_of(name: str) -> str:
    words = words_of(name)
    topic = _longest(words)
    while not topic and len(words) > 1 and words[-1] in _TAIL:
        words = words[:-1]
        topic = _longest(words)
    return "" if not _ALONE.get(topic, frozenset()).isdisjoint(words) else topic


def _longest(words: tuple[str, ...]) -> str:
    """Return the topic of the longest phrase that the words end with."""
    table = _table()
    for start in range(max(0, len(words) - _MOST_WORDS), len(words)):
        topic = table.get("".join(words[start:]))
        if topic:
            return topic
    return ""


@lru_cache(1)
def _table() -> dict[str, str]:
    """Return every phrase without its spaces, and what it is about."""
    found: dict[str, str] = {}
    for topic, phrases in _ROWS:
        for phrase in _spelled(phrases.replace(" ?", " ").replace(" ", "")):
            found.setdefault(phrase, topic)
    found.pop("", None)
    return found


def _spelled(phrases: str) -> list[str]:
    """Spell out phrases: ``a|b`` one of both, ``(?:a|b)`` within a phrase, ``x?`` or nothing."""
    found, at = _one_of(phrases, 0)
    if at != len(phrases):
        raise ValueError(phrases)
    return found


def _one_of(text: str, at: int) -> tuple[list[str], int]:
    whole: list[str] = []
    here = [""]
    while at < len(text) and text[at] != ")":
        if text[at] == "|":
            whole += here
            here = [""]
            at += 1
            continue
        if text.startswith("(?:", at):
            piece, at = _one_of(text, at + 3)
            at += 1
        else:
            end = at + 1
            while end < len(text) and text[end] not in "(|)?":
                end += 1
            if text[end : end + 1] == "?" and end - at > 1:
                end -= 1  # the mark is about the last letter alone
            piece, at = [text[at:end]], end
        if text[at : at + 1] == "?":
            piece = [*piece, ""]
            at += 1
        here = [first + last for first in here for last in piece]
    return whole + here, at
