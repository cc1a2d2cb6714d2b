"""What a forward detaches, kept on the record: a constant to the gradient, but known by what it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..engine import Op, Tensor
from .program import HELD as NAME

HELD = Op(NAME, "{0}", lambda x: x, (lambda g, out, x: g * 0.0,))
_depth = [0]
_detach = Tensor.detach


def _held(t: Tensor) -> Tensor:
    found: Tensor = HELD(t)
    return found.named(t.name) if t.name is not None else found


@contextmanager
def holding() -> Iterator[None]:
    """While a forward is recorded, ``detach`` is an operation that nothing flows through."""
    _depth[0] += 1
    setattr(Tensor, "detach", _held)  # noqa: B010
    try:
        yield
    finally:
        _depth[0] -= 1
        if not _depth[0]:
            setattr(Tensor, "detach", _detach)  # noqa: B010
