"""What a forward detaches, kept on the record: a constant to the gradient, but known by what it is made of."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..derive.swapped import swapped
from ..engine import Op, Tensor
from .program import HELD as NAME

HELD = Op(NAME, "{0}", lambda x: x, (lambda g, out, x: g * 0.0,))


def _held(t: Tensor) -> Tensor:
    found: Tensor = HELD(t)
    return found.named(t.name) if t.name is not None else found


def holding() -> AbstractContextManager[None]:
    """While a forward is recorded, ``detach`` is an operation that nothing flows through."""
    return swapped(Tensor, {"detach": _held})
