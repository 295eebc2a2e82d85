"""A text with holes: its characters, what fills the holes, and where each comes from."""

from __future__ import annotations

import ast
import enum
from dataclasses import dataclass, field

from safehold.source.scopes import Scope

HOLE = "\ue000"  # stands for a hole in a text; a source that has it is not looked at


class Form(enum.Enum):
    """How a string literal gets its holes."""

    PLAIN = enum.auto()
    FSTRING = enum.auto()
    PERCENT = enum.auto()
    FORMAT = enum.auto()


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A string literal, adjacent ones being one, and the expression that fills its holes."""

    form: Form
    node: ast.expr
    whole: ast.expr


@dataclass(frozen=True, slots=True, eq=False)
class Hole:
    """What is put into a text. A `spec` of None is one that cannot be carried over."""

    value: ast.expr
    scope: Scope
    conversion: str = ""
    spec: str | None = ""

    @property
    def is_number(self) -> bool:
        """Whether its format lets nothing but a number through."""
        return bool(self.spec) and str(self.spec)[-1] in "bdeEfFgGioxXu"


@dataclass(frozen=True, slots=True, eq=False)
class Bit:
    """One character of a text, or a hole; without a leaf, an operand of `+`."""

    text: str
    leaf: Leaf | None
    hole: Hole | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """An expression that is part of a text; `name` is the variable that it came through."""

    node: ast.expr
    scope: Scope
    name: ast.Name | None = None


@dataclass(slots=True, eq=False)
class Built:
    """A text with holes. `parts` are the expressions to edit; `obstacle` says why they are not."""

    bits: list[Bit] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    obstacle: str = ""

    @property
    def text(self) -> str:
        """The text, with HOLE for each hole."""
        return "".join(bit.text for bit in self.bits)

    @property
    def is_text(self) -> bool:
        """Whether anything but holes is known of it."""
        return any(bit.hole is None for bit in self.bits)

    def add(self, other: Built) -> None:
        """Append another text."""
        self.bits += other.bits
        self.parts += other.parts
        self.obstacle = self.obstacle or other.obstacle
