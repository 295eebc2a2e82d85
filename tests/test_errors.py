from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from safehold import errors
from safehold.errors import SafeholdError

ERRORS = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, SafeholdError)
]
# What the replaced libraries raise in the same place, so that callers' handlers still work.
CAUGHT_AS = {
    "MissingExtra": {ImportError},
    "EncodeError": {pickle.PicklingError, TypeError},
    "DecodeError": {pickle.UnpicklingError, ValueError},
    "LimitExceeded": {pickle.UnpicklingError},
    "TypeNotAllowed": {pickle.UnpicklingError},
    "QueryRefused": {ValueError},
    "MigrationError": {RuntimeError},
    "InputRefused": {ValueError},
    "Blocked": {pickle.UnpicklingError},
    "VerificationError": {pickle.UnpicklingError},
    "NotSealed": {pickle.UnpicklingError, errors.VerificationError},
    "Tampered": {pickle.UnpicklingError, errors.VerificationError},
    "UnknownKey": {pickle.UnpicklingError, errors.VerificationError},
    "WrongContext": {pickle.UnpicklingError, errors.VerificationError},
    "Rollback": {pickle.UnpicklingError, errors.VerificationError},
    "Revoked": {pickle.UnpicklingError, errors.VerificationError},
    "ConfigError": set(),
    "WeakKey": {errors.ConfigError},
    "AdapterError": {ImportError},
    "TrailError": set(),
    "ExportError": set(),
    "SafeholdError": set(),
}


def made(kind):
    if kind is errors.MissingExtra:
        return kind("joblib", "joblib")
    if kind is errors.TypeNotAllowed:
        return kind("os.system is not allowed", name="os.system")
    if kind is errors.Blocked:
        return kind("no", rule="SH115", zone="models", caller="app.py")
    return kind("what happened")


def test_every_error_is_listed_here():
    assert {kind.__name__ for kind in ERRORS} == set(CAUGHT_AS)


@pytest.mark.parametrize("kind", ERRORS)
def test_is_caught_by_what_callers_catch_already(kind):
    for other in (SafeholdError, Exception, *CAUGHT_AS[kind.__name__]):
        assert issubclass(kind, other)


@pytest.mark.parametrize("kind", ERRORS)
def test_configuration_trouble_is_no_verification_failure(kind):
    both = issubclass(kind, errors.ConfigError) and issubclass(kind, errors.VerificationError)
    assert not both
    assert not issubclass(kind, (OSError, EOFError, KeyError, AttributeError))


@pytest.mark.parametrize(
    "carry",
    [
        *(lambda error, p=p: pickle.loads(pickle.dumps(error, p)) for p in range(6)),
        copy.copy,
        copy.deepcopy,
    ],
)
@pytest.mark.parametrize("kind", ERRORS)
def test_travels_between_processes(kind, carry):
    error = made(kind)
    error.add_note("seen in worker 3")
    there = carry(error)
    assert type(there) is kind
    assert str(there) == str(error)
    assert there.args == error.args
    assert vars(there) == vars(error)
    assert there.__notes__ == ["seen in worker 3"]


def test_missing_extra_says_what_to_install():
    error = errors.MissingExtra("joblib", "all")
    assert error.extra == "all"
    assert "pip install 'safehold[all]'" in str(error)


def test_refusals_carry_what_was_refused():
    error = made(errors.Blocked)
    assert (error.rule, error.zone, error.caller) == ("SH115", "models", "app.py")
    assert made(errors.TypeNotAllowed).name == "os.system"
