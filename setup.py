"""The one part of the build that is not in pyproject.toml, where extensions are experimental."""

from setuptools import Extension, setup

# Without a compiler the guard is Python alone.
_HERE = "src/safehold/guard"
_NATIVE = Extension(
    "safehold.guard._native",
    [f"{_HERE}/_native.c", f"{_HERE}/_entries.c"],
    depends=[f"{_HERE}/_native.h"],
    optional=True,
)

setup(ext_modules=[_NATIVE])
