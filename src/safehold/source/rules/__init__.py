"""The table of source rules, one file each: add a file, add its row here."""

from __future__ import annotations

from safehold.source.row import SourceRule
from safehold.source.rules.bytesjson import BYTES_JSON
from safehold.source.rules.cloudpickle import CLOUDPICKLE
from safehold.source.rules.cpickle import CPICKLE
from safehold.source.rules.debug import DEBUG
from safehold.source.rules.default import DEFAULT
from safehold.source.rules.dill import DILL
from safehold.source.rules.evaluated import EVALUATED
from safehold.source.rules.ignored import IGNORED
from safehold.source.rules.joblib import JOBLIB
from safehold.source.rules.moved import MOVED
from safehold.source.rules.numpy import NUMPY
from safehold.source.rules.others import OTHERS
from safehold.source.rules.pandas import PANDAS
from safehold.source.rules.pickle import PICKLE
from safehold.source.rules.pickletools import PICKLETOOLS
from safehold.source.rules.reference import REFERENCE
from safehold.source.rules.secret import SECRET
from safehold.source.rules.serializers import SERIALIZERS
from safehold.source.rules.shell import SHELL
from safehold.source.rules.shelve import SHELVE
from safehold.source.rules.sql_names import SQL_NAMES
from safehold.source.rules.sql_parts import SQL_PARTS
from safehold.source.rules.sql_values import SQL_VALUES
from safehold.source.rules.temporary import MKTEMP
from safehold.source.rules.torch import TORCH
from safehold.source.rules.underpickle import UNDERPICKLE
from safehold.source.rules.unreadable import UNREADABLE
from safehold.source.rules.unverified import UNVERIFIED
from safehold.source.rules.weakhash import WEAK_HASH
from safehold.source.rules.yaml import YAML

RULES: tuple[SourceRule, ...] = (
    PICKLE,
    CPICKLE,
    UNDERPICKLE,
    PICKLETOOLS,
    JOBLIB,
    TORCH,
    NUMPY,
    PANDAS,
    YAML,
    DILL,
    CLOUDPICKLE,
    SHELVE,
    SERIALIZERS,
    OTHERS,
    MOVED,
    BYTES_JSON,
    SQL_VALUES,
    SQL_NAMES,
    SQL_PARTS,
    REFERENCE,
    UNREADABLE,
    SECRET,
    DEBUG,
    DEFAULT,
    EVALUATED,
    SHELL,
    MKTEMP,
    WEAK_HASH,
    UNVERIFIED,
    IGNORED,  # last: it tells what the others had no use for
)

MIGRATED: tuple[SourceRule, ...] = tuple(row for row in RULES if row.migrates)
"""The rules that `safehold migrate` follows."""
