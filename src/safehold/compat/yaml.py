"""PyYAML's interface without the tags that name Python objects.

The loaders of this module are those of PyYAML, and whatever a program has added to them, but for
the tags ``!!python/name``, ``module``, ``object``, ``object/apply`` and ``object/new``: these are
refused, whichever loader is asked for. Tags of plain Python values (``!!python/tuple``) stay.
YAML is not sealed: who can write the file chooses its data.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import cache
from typing import Any

from safehold.errors import MissingExtra, TypeNotAllowed

try:
    import yaml
except ImportError as error:
    package = "yaml"
    raise MissingExtra(package, "yaml") from error

_STANDARD = "tag:yaml.org,2002:"
_NAMING = tuple(
    f"{_STANDARD}python/{kind}"
    for kind in ("name", "module", "object", "object/apply", "object/new")
)

__all__ = tuple(name for name in vars(yaml) if not name.startswith("_"))


class _RefusedTagError(TypeNotAllowed, yaml.constructor.ConstructorError):  # type: ignore[misc]
    """A document names a Python object; also an error of PyYAML, which callers catch."""

    def __init__(self, message: str, *, name: str, mark: Any) -> None:
        super().__init__(message, name=name)
        self.context, self.context_mark = None, None
        self.problem, self.problem_mark, self.note = message, mark, None


def __getattr__(name: str) -> Any:
    return getattr(yaml, name)


def load(stream: Any, Loader: type = yaml.FullLoader) -> Any:
    """Load the first document.

    Raises:
        TypeNotAllowed: it names a Python object. Otherwise as `yaml.load`.
    """
    return yaml.load(stream, Loader=refusing(Loader))  # noqa: S506  (it refuses objects)


def load_all(stream: Any, Loader: type = yaml.FullLoader) -> Iterator[Any]:
    """Load all documents, one by one. Raises as `load`."""
    return yaml.load_all(stream, Loader=refusing(Loader))  # type: ignore[no-any-return]


def full_load(stream: Any) -> Any:
    """Load the first document, with tags of plain Python values. Raises as `load`."""
    return load(stream, yaml.FullLoader)


def full_load_all(stream: Any) -> Iterator[Any]:
    """Load all documents, with tags of plain Python values. Raises as `load`."""
    return load_all(stream, yaml.FullLoader)


def unsafe_load(stream: Any) -> Any:
    """Load as `full_load` does: no document is trusted. Raises as `load`."""
    return load(stream, yaml.UnsafeLoader)


def unsafe_load_all(stream: Any) -> Iterator[Any]:
    """Load as `full_load_all` does. Raises as `load`."""
    return load_all(stream, yaml.UnsafeLoader)


def refusing(loader: Any) -> Any:
    """Return a loader, or what makes one, that refuses every tag that names a Python object."""
    if isinstance(loader, type):
        return _refusing_class(loader)

    def make(stream: Any) -> Any:
        made = loader(stream)
        made.__class__ = _refusing_class(type(made))  # type: ignore[arg-type]  # every type is hashable
        return made

    return make


@cache
def _refusing_class(loader: Hashable) -> Any:
    known: Any = loader
    ask: Any = known.construct_object

    def construct_object(self: Any, node: Any, deep: bool = False) -> Any:
        if node.tag.startswith(_NAMING):
            tag = node.tag.removeprefix(_STANDARD)
            message = f"the tag !!{tag} names a Python object, which no YAML document may"
            raise _RefusedTagError(message, name=tag.rpartition(":")[2], mark=node.start_mark)
        return ask(self, node, deep=deep)

    space = {"__module__": known.__module__, "construct_object": construct_object}
    return type(known.__name__, (known,), space)
