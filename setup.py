"""The one part of the build that is not in pyproject.toml, where extensions are experimental."""

from setuptools import Extension, setup

# Without a compiler the guard is Python alone.
_NATIVE = Extension("safehold.guard._native", ["src/safehold/guard/_native.c"], optional=True)

setup(ext_modules=[_NATIVE])
