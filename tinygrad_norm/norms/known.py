"""What the forward pass knows already of an array: its moments, for the way back."""

from __future__ import annotations

import weakref
from typing import Any

from ..engine.arrays import Array

_moments: dict[int, tuple[Any, Any, Array, Array]] = {}


class _Array(weakref.ref["Array"]):
    """An array, and by which key its moments are known."""

    __slots__ = ("key",)
    key: int


def _forget(gone: Any) -> None:
    _moments.pop(gone.key, None)


def remember(x: Array, how: Any, mu: Array, rstd: Array) -> None:
    """Keep the moments of an array for as long as it lives. Recorded data never changes, so they stay true."""
    held = _Array(x, _forget)
    held.key = key = id(x)
    _moments[key] = (held, how, mu, rstd)


def recall(x: Array, how: Any) -> tuple[Array, Array] | None:
    known = _moments.get(id(x))
    return known[2:] if known is not None and known[0]() is x and known[1] == how else None
