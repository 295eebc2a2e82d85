"""Made secrets of many kinds in files of many kinds, and what only looks like them; a program.

    python -m tests.credentials.leaked

prints how many were missed and how many alarms were false. Nothing here opens anything.
"""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections import Counter
from collections.abc import Callable, Iterator

from safehold.secrets.detecting import hits_of

ALNUM = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
WIDE = ALNUM + "-_"


def some(draw: random.Random, letters: str, count: int) -> str:
    return "".join(draw.choice(letters) for _ in range(count))


def jwt(draw: random.Random) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    head = part({"alg": "HS256", "typ": "JWT"})
    return f"{head}.{part({'sub': some(draw, HEX, 12)})}.{some(draw, WIDE, 43)}"


def pem(draw: random.Random) -> str:
    kind = draw.choice(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
    body = "\n".join(some(draw, ALNUM + "+/", 64) for _ in range(4))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"


Made = Callable[[random.Random], str]
SHAPED: dict[str, Made] = {
    "aws": lambda r: "AKIA" + some(r, UPPER, 16),
    "github": lambda r: r.choice(["ghp_", "gho_", "ghs_", "ghu_", "ghr_"]) + some(r, ALNUM, 36),
    "github-fine": lambda r: "github_pat_" + some(r, ALNUM, 22) + "_" + some(r, ALNUM, 59),
    "gitlab": lambda r: "glpat-" + some(r, WIDE, 20),
    "gitlab-runner": lambda r: "glrt-" + some(r, WIDE, 20),
    "slack": lambda r: f"xox{r.choice('bp')}-{r.randrange(10**11)}-{some(r, ALNUM, 24)}",
    "slack-webhook": lambda r: "https://hooks.slack.com/services/T" + some(r, UPPER, 8) + "/B"
    + some(r, UPPER, 8) + "/" + some(r, ALNUM, 24),
    "stripe": lambda r: r.choice(["sk_live_", "rk_live_"]) + some(r, ALNUM, 24),
    "stripe-webhook": lambda r: "whsec_" + some(r, ALNUM, 32),
    "google": lambda r: "AIza" + some(r, WIDE, 35),
    "google-oauth": lambda r: "GOCSPX-" + some(r, WIDE, 28),
    "azure-storage": lambda r: "DefaultEndpointsProtocol=https;AccountName=store;AccountKey="
    + some(r, ALNUM + "+/", 86) + "==;EndpointSuffix=core.windows.net",
    "azure-client": lambda r: some(r, ALNUM, 3) + "8Q~" + some(r, ALNUM + "_-", 34),
    "jwt": jwt,
    "pem": pem,
    "npm": lambda r: "npm_" + some(r, ALNUM, 36),
    "pypi": lambda r: "pypi-AgEIcHlwaS5vcmc" + some(r, WIDE, 70),
    "huggingface": lambda r: "hf_" + some(r, ALNUM, 34),
    "openai": lambda r: "sk-proj-" + some(r, ALNUM, 40) + "T3BlbkFJ" + some(r, ALNUM, 40),
    "anthropic": lambda r: "sk-ant-api03-" + some(r, WIDE, 93) + "AA",
    "sendgrid": lambda r: f"SG.{some(r, WIDE, 22)}.{some(r, WIDE, 43)}",
    "digitalocean": lambda r: "dop_v1_" + some(r, HEX, 64),
    "docker": lambda r: "dckr_pat_" + some(r, WIDE, 27),
    "vault": lambda r: "hvs." + some(r, WIDE, 90),
    "grafana": lambda r: "glsa_" + some(r, ALNUM, 32) + "_" + some(r, HEX, 8),
    "databricks": lambda r: "dapi" + some(r, HEX, 32),
    "shopify": lambda r: "shpat_" + some(r, HEX, 32),
    "telegram": lambda r: f"{r.randrange(10**9, 10**10)}:AA" + some(r, WIDE, 33),
    "database-url": lambda r: r.choice(["postgresql", "mysql+pymysql", "redis", "amqp", "mongodb+srv"])
    + f"://svc:{some(r, ALNUM, 14)}@db{r.randrange(9)}.internal:5432/app",
}  # fmt: skip
NAMED: dict[str, Made] = {
    "DB_PASSWORD": lambda r: some(r, ALNUM + "!%&*+-", 11) + r.choice("0123456789"),
    "SECRET_KEY": lambda r: some(r, ALNUM + "!@%^&*-_=+", 49) + "7",
    "api_key": lambda r: some(r, ALNUM, 30) + "42",
    "client_secret": lambda r: some(r, ALNUM, 34) + "17",
    "aws_secret_access_key": lambda r: some(r, ALNUM + "+/", 38) + "1b",
    "auth_token": lambda r: some(r, HEX, 38) + "a1",
}


def line_of(name: str, value: str) -> tuple[tuple[str, str], ...]:
    """Return (path, text) of the ways to write an assignment."""
    return (
        (".env", f"{name.upper()}={value}\n"),
        ("deploy/prod.env", f"# settings\nexport {name.upper()}={value}\n"),
        ("config.yaml", f"service:\n  {name.lower()}: {value}\n"),
        ("config.yml", f"{name}: '{value}'\n"),
        ("settings.json", f'{{"{name}": "{value}"}}\n'),
        ("app.ini", f"[app]\n{name} = {value}\n"),
        ("app.toml", f'[app]\n{name} = "{value}"\n'),
        ("app.properties", f"app.{name}={value}\n"),
        ("src/config.py", f'{name} = "{value}"\n'),
        ("src/config.ts", f"const {name} = '{value}';\n"),
        ("src/Config.java", f'  String {name} = "{value}";\n'),
        ("main.go", f'\t{name} := "{value}"\n'),
        ("Dockerfile", f"FROM x\nENV {name.upper()}={value}\n"),
        ("main.tf", f'variable {{\n  {name} = "{value}"\n}}\n'),
        ("README.md", f'Set `{name}="{value}"` and start.\n'),
    )


def secrets(count: int = 50, seed: int = 1) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, path, text), each text with one secret."""
    draw = random.Random(seed)
    for kind, made in SHAPED.items():
        for number in range(count):
            ways = (*line_of("value", made(draw)), ("notes.txt", f"see {made(draw)} there\n"))
            path, text = ways[number % len(ways)]
            if kind == "pem":
                path, text = f"keys/server{number}.pem", made(draw) + "\n"
            yield kind, path, text
    for name, made in NAMED.items():
        for number in range(count):
            ways = line_of(name, made(draw))
            yield (name, *ways[number % len(ways)])


LIKE: tuple[Made, ...] = (
    lambda r: f"sha256 = {some(r, HEX, 64)}",
    lambda r: f'  "integrity": "sha512-{some(r, ALNUM + "+/", 86)}==",',
    lambda r: f"id: {uuid.UUID(int=r.getrandbits(128))}",
    lambda r: f"client_secret: {uuid.UUID(int=r.getrandbits(128))}",
    lambda r: f'password = "$2b$12${some(r, ALNUM + "./", 53)}"',
    lambda r: f"    --hash=sha256:{some(r, HEX, 64)}",
    lambda r: f"token_hash: {some(r, HEX, 40)}",
    lambda r: f'image = "data:image/png;base64,{some(r, ALNUM + "+/", 200)}"',
    lambda r: f'SECRET_KEY = os.environ["SECRET_KEY_{some(r, UPPER, 4)}"]',
    lambda r: f"password: ${{DB_PASSWORD_{some(r, UPPER, 4)}}}",
    lambda r: f"api_key: {{{{ vault.key_{some(r, HEX, 4)} }}}}",
    lambda r: f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{some(r, ALNUM, 43)} me@host",
    lambda r: f"commit {some(r, HEX, 40)}",
    lambda r: f'private_key = "/etc/keys/{some(r, HEX, 6)}.pem"',
    lambda r: f"public_key = {some(r, ALNUM, 44)}",
    lambda r: f'primary_key = "{some(r, ALNUM, 20)}1"',
    lambda r: f'tokenizer = "bert-base-{some(r, HEX, 8)}"',
    lambda r: f"url: https://user:password@localhost:{r.randrange(9999)}/",
    lambda r: f"postgresql://{{user}}:{{password}}@db{r.randrange(9)}/app",
    lambda r: f"AKIAIOSFODNN7EXAMPLE {r.randrange(99)}",
    lambda r: "api_key = 'YOUR_API_KEY'" + f"  # {r.randrange(99)}",
    lambda r: f"token: str = field(default={r.randrange(9)})",
    lambda r: f"password = getpass.getpass('Password {r.randrange(99)}: ')",
    lambda r: f"key: {some(r, string.ascii_lowercase, 12)}",
    lambda r: f"max_tokens = {r.randrange(4096)}",
    lambda r: f"db_password: ENC[AES256_GCM,data:{some(r, ALNUM, 20)}]",
    lambda r: f"cache_key = '{some(r, HEX, 32)}'",
    lambda r: f'etag: W/"{some(r, HEX, 32)}"',
    lambda r: f"secret_name: projects/{r.randrange(999)}/secrets/db",
    lambda r: "if token == 'NAME':" + " " * r.randrange(3),
    lambda r: f"{some(r, ALNUM + '+/', 76)}",
    lambda r: f"password_hash = '{some(r, HEX, 64)}'",
    lambda r: f"-----BEGIN PUBLIC KEY-----\nMIIB{some(r, ALNUM, 60)}\n-----END PUBLIC KEY-----",
    lambda r: f"-----BEGIN CERTIFICATE-----\nMIID{some(r, ALNUM, 60)}\n-----END CERTIFICATE-----",
)  # fmt: skip
PATHS = ("a.yaml", "conf/app.ini", "README.md", "src/x.py", "app.toml", ".env", "main.js", "x.json")


def look_alikes(count: int = 1360, seed: int = 2) -> Iterator[tuple[str, str]]:
    """Yield (path, text) without a secret."""
    draw = random.Random(seed)
    for number in range(count):
        yield PATHS[(number // len(LIKE)) % len(PATHS)], LIKE[number % len(LIKE)](draw) + "\n"


def measure(
    count: int = 50, like: int = 1360, seed: int = 1
) -> tuple[Counter[str], list[str], int]:
    """Return what was missed by kind, the false alarms, and how many secrets there were."""
    missed: Counter[str] = Counter()
    total = 0
    for kind, path, text in secrets(count, seed):
        total += 1
        missed[kind] += not list(hits_of(text, path, frozenset()))
    alarms = [
        f"{path}: {text.strip()} -> {hit.what} {hit.name}"
        for path, text in look_alikes(like, seed + 1)
        for hit in hits_of(text, path, frozenset())
    ]
    return +missed, alarms, total


if __name__ == "__main__":
    lost, false, whole = measure()
    kinds = len(SHAPED) + len(NAMED)
    print(f"{kinds} kinds, {whole} secrets: {sum(lost.values())} missed {dict(lost)}")
    print(f"1360 look-alikes: {len(false)} alarms")
    for alarm in sorted(false)[:60]:
        print(alarm)
