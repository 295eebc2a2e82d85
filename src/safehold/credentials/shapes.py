"""Shapes of the keys and tokens that services give out.

Sources are searched for fewer than texts that are recorded: there a false alarm costs somebody's
time, here it costs a word of a line.
"""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """One shape. `label` is what takes its place in the trail, empty if it is not found alone.

    One of the `needles`, in lower case, is in every text that holds one. `in_source` is the
    expression for sources, `in_text` the one for what is recorded, `in_file` the one for files of
    any kind where neither does. `is_issued`: a service gives it out, so that it is a leak in
    tests, too.
    """

    name: str
    label: str
    needles: tuple[str, ...]
    in_source: str = ""
    in_text: str = ""
    is_issued: bool = False
    in_file: str = ""

    @property
    def for_files(self) -> str:
        """The expression for files of any kind."""
        return self.in_file or self.in_source or self.in_text


_ALONE = r"(?<![A-Za-z0-9])"  # what follows a letter or digit is a part of something longer
SHAPES = (
    Shape("an access key of AWS", "aws", ("akia",), r"\bAKIA[A-Z0-9]{16}\b",
          _ALONE + r"AKIA[A-Z0-9]{16}(?![A-Za-z0-9])", is_issued=True),
    Shape("a token of GitHub", "github",
          ("ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_"),
          r"\bgh[ps]_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{40,}",
          _ALONE + r"(?:gh[opsur]_[A-Za-z0-9]{36,}|github_pat_\w{40,})", is_issued=True,
          in_file=_ALONE + r"(?:gh[opsur]_[A-Za-z0-9]{36,}|github_pat_\w{40,})"),
    Shape("a token of GitLab", "gitlab", ("glpat-",),
          r"\bglpat-[A-Za-z0-9_-]{20,}",
          _ALONE + r"glpat-[\w-]{20,}", is_issued=True),
    Shape("a token of Slack", "slack", ("xox",), r"\bxox[abeprs]-\d{6,}-[A-Za-z0-9-]{10,}",
          _ALONE + r"xox[a-z](?:\.xox[a-z])?-[\w-]{10,}", is_issued=True),
    Shape("a key of Stripe", "stripe", ("k_live_", "k_test_"), r"\b[rs]k_live_[A-Za-z0-9]{16,}",
          _ALONE + r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}", is_issued=True),
    Shape("a key of Google", "google", ("aiza",), r"\bAIza[A-Za-z0-9_-]{35}\b",
          _ALONE + r"AIza[\w-]{35,}", is_issued=True, in_file=_ALONE + r"AIza[\w-]{35}(?![\w-])"),
    Shape("a token of Hugging Face", "huggingface", ("hf_",), r"\bhf_[A-Za-z0-9]{34}\b",
          _ALONE + r"hf_[A-Za-z0-9]{34,}", is_issued=True),
    Shape("a key of OpenAI", "openai", ("sk-",),
          r"\bsk-(?:proj-)?[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,}",
          # Bounded: each of many `sk-` would look at the rest of a long text.
          _ALONE + r"sk-(?=[\w-]{0,99}\d)(?=[\w-]{0,99}[A-Z])(?=[\w-]{0,99}[a-z])[\w-]{20,}",
          is_issued=True,
          in_file=_ALONE + r"sk-(?:[a-z]{4,8}-)?[\w-]{20,200}T3BlbkFJ[\w-]{20,200}"),
    Shape("a token of PyPI", "pypi", ("pypi-",), r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}",
          _ALONE + r"pypi-AgE[\w-]{16,}", is_issued=True),
    Shape("a private key", "", ("key",),
          r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*[A-Za-z0-9+/=\s\\n]{40,}",
          in_file=r"-----BEGIN (?:[A-Z]{2,10} ){0,2}PRIVATE KEY(?: BLOCK)?-----"
          r"(?=[^-]{0,400}?[A-Za-z0-9+/=]{40})"),
    Shape("a signed web token", "jwt", ("eyj",),
          r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{16,}",
          _ALONE + r"eyJ[\w-]{10,}\.[\w-]{8,}(?:\.[\w-]*){0,3}",
          in_file=r"(?<![\w-])eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{16,}"),
    Shape("a URL with a password", "", ("://",),
          r"\b[a-z][a-z0-9+]*://[^\s/:@'\"{}<>%$]+:([^\s/@'\"{}<>%$]+)@[\w.-]+",
          in_file=r"(?<![a-z0-9])[a-z][a-z0-9+]{1,30}://[^\s/:@'\"`{}<>$()]{0,200}"
          r":([^\s/@'\"`{}<>$()]{3,200})@[\w.\-\[\]:]+"),
    Shape("a passing key of AWS", "aws", ("asia",),
          in_text=_ALONE + r"ASIA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    Shape("an application's token of Slack", "slack", ("xapp-",),
          in_text=_ALONE + r"xapp-[\w-]{10,}"),
    Shape("a webhook of Slack", "slack", ("://",),
          in_text=r"(?<=hooks\.slack\.com/)[\w/-]{20,}"),
    Shape("a webhook secret of Stripe", "stripe", ("whsec_",),
          in_text=_ALONE + r"whsec_[A-Za-z0-9+/=]{16,}"),
    Shape("a client secret of Google", "google", ("gocspx-",),
          in_text=_ALONE + r"GOCSPX-[\w-]{20,}"),
    Shape("an access token of Google", "google", ("ya29.",), in_text=_ALONE + r"ya29\.[\w-]{20,}"),
    Shape("a token of npm", "npm", ("npm_",), in_text=_ALONE + r"npm_[A-Za-z0-9]{36,}"),
    Shape("a key of SendGrid", "sendgrid", ("sg.",),
          in_text=_ALONE + r"SG\.[\w-]{16,}\.[\w-]{16,}"),
    Shape("a token of DigitalOcean", "digitalocean", ("_v1_",),
          in_text=_ALONE + r"do[opr]_v1_[a-f0-9]{64}"),
    Shape("a private key of safehold", "key", ("private:",),
          in_text=r"(?<=ed25519-private:)[0-9a-fA-F]{32,}"),
    Shape("a token of GitLab's runners or pipelines", "gitlab", ("glptt-", "gldt-", "glrt-"),
          in_text=_ALONE + r"gl(?:ptt|dt|rt)-[\w-]{20,}"),
    Shape("a key of Anthropic", "anthropic", ("sk-ant-",),
          in_text=_ALONE + r"sk-ant-[a-z]{3,5}\d\d-[\w-]{80,}"),
    Shape("a key of an Azure storage account", "azure", ("accountkey=",),
          in_text=r"(?<=AccountKey=)[A-Za-z0-9+/]{80,}={0,2}"),
    Shape("a shared access key of Azure", "azure", ("sharedaccesskey=",),
          in_text=r"(?<=SharedAccessKey=)[A-Za-z0-9+/]{40,}={0,2}"),
    Shape("a client secret of Azure", "azure", ("q~",),
          in_text=r"(?<![\w~.-])[A-Za-z0-9_~.-]{3}[78]Q~[A-Za-z0-9_~.-]{31,34}(?![\w~.-])"),
    Shape("a token of Docker", "docker", ("dckr_pat_",), in_text=_ALONE + r"dckr_pat_[\w-]{24,}"),
    Shape("a token of Vault", "vault", ("hvs.", "hvb."), in_text=_ALONE + r"hv[sb]\.[\w-]{24,}"),
    Shape("a token of Terraform Cloud", "terraform", (".atlasv1.",),
          in_text=_ALONE + r"[A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,}"),
    Shape("a token of Grafana", "grafana", ("glsa_", "glc_"),
          in_text=_ALONE + r"(?:glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}|glc_[A-Za-z0-9+/]{32,})"),
    Shape("a token of Databricks", "databricks", ("dapi",),
          in_text=_ALONE + r"dapi[a-f0-9]{32}(?:-\d)?(?![A-Za-z0-9])"),
    Shape("a token of Shopify", "shopify", ("shpat_", "shpss_", "shpca_", "shppa_"),
          in_text=_ALONE + r"shp(?:at|ss|ca|pa)_[a-fA-F0-9]{32}"),
    Shape("a token of Square", "square", ("sq0",),
          in_text=_ALONE + r"sq0(?:atp|csp)-[\w-]{22,}"),
    Shape("a token of Atlassian", "atlassian", ("atatt3",),
          in_text=_ALONE + r"ATATT3[\w=-]{100,}"),
    Shape("a token of Telegram", "telegram", (":aa",),
          in_text=_ALONE + r"\d{8,10}:AA[\w-]{33}(?![\w-])"),
    Shape("a webhook of Discord", "discord", ("/api/webhooks/",),
          in_text=r"(?<=/api/webhooks/)\d{17,20}/[\w-]{60,}"),
    Shape("a key of Mailgun", "mailgun", ("key-",),
          in_text=_ALONE + r"key-[a-f0-9]{32}(?![A-Za-z0-9])"),
    Shape("a key of Mailchimp", "mailchimp", ("-us",),
          in_text=_ALONE + r"[a-f0-9]{32}-us\d{1,2}(?!\d)"),
    Shape("a key of New Relic", "newrelic", ("nrak-",), in_text=_ALONE + r"NRAK-[A-Z0-9]{27}"),
    Shape("a token of Sentry", "sentry", ("sntrys_",), in_text=_ALONE + r"sntrys_[\w+/=-]{40,}"),
    Shape("a key of Postman", "postman", ("pmak-",),
          in_text=_ALONE + r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    Shape("a key of RubyGems", "rubygems", ("rubygems_",),
          in_text=_ALONE + r"rubygems_[a-f0-9]{48}"),
    Shape("a key of age", "age", ("age-secret-key-1",),
          in_text=r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
    Shape("a key of Linear", "linear", ("lin_api_",), in_text=_ALONE + r"lin_api_[A-Za-z0-9]{40}"),
)  # fmt: skip
