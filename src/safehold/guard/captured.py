"""Unpicklers of C whose ``load`` the program took before the guard was on.

That function cannot be replaced any more, and asks the object for ``find_class`` and
``persistent_load``. So every class below the type gives judged answers, by a ``__getattribute__``
that stands in the type's own dictionary: a class that is made later finds it there.
"""

from __future__ import annotations

import gc

from safehold.guard import unpicklers
from safehold.guard.unpicklers import JUDGES, PERSISTENT, TYPE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_NAME: Final = "__getattribute__"


def install() -> None:
    """Judge what the classes and unpicklers that are there already answer, and later ones."""
    own: dict[str, Any] = gc.get_referents(TYPE.__dict__)[0]
    own[_NAME] = _answering(object.__getattribute__)
    own["__init_subclass__"] = classmethod(_new_subclass)
    unpicklers.forget_lookups(TYPE)
    for kind in unpicklers.below(TYPE):
        _judge_answers(kind)
        if _NAME not in vars(kind):  # so that the interpreter looks for it among the bases
            type.__setattr__(kind, _NAME, own[_NAME])
            type.__delattr__(kind, _NAME)
    for made in gc.get_objects() if PERSISTENT is not None else ():
        if issubclass(type(made), TYPE):
            unpicklers.judge_persistent_of(made)


def _new_subclass(cls: Any, /, **options: Any) -> None:
    unpicklers.judge_own(cls)
    _judge_answers(cls)
    super(TYPE, cls).__init_subclass__(**options)


def _judge_answers(kind: type) -> None:
    """Judge what a class's own ``__getattribute__`` returns."""
    ask: Any = vars(kind).get(_NAME)
    if ask is not None and not hasattr(ask, "safehold"):
        type.__setattr__(kind, _NAME, _answering(ask))


def _answering(ask: Any) -> Any:
    def __getattribute__(self: Any, name: str) -> Any:  # noqa: N807
        judge = JUDGES.get(name)
        if judge is None:
            return ask.__get__(self, type(self))(name)
        try:
            found = ask.__get__(self, type(self))(name)
        except AttributeError:
            other = getattr(type(self), "__getattr__", None)
            if other is None:
                raise
            found = other(self, name)
        return judge(found)

    __getattribute__.safehold = ask  # type: ignore[attr-defined]
    return __getattribute__
