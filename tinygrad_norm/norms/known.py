"""What the forward pass knows already of an array: its moments, for the way back."""

from __future__ import annotations

import weakref
from typing import Any

from ..engine.arrays import Array

_moments: dict[int, tuple[Any, Any, Array, Array]] = {}


def remember(x: Array, how: Any, mu: Array, rstd: Array) -> None:
    """Keep the moments of an array for as long as it lives. Recorded data never changes, so they stay true."""
    key = id(x)
    _moments[key] = (weakref.ref(x, lambda _: _moments.pop(key, None)), how, mu, rstd)


def recall(x: Array, how: Any) -> tuple[Array, Array] | None:
    known = _moments.get(id(x))
    return known[2:] if known is not None and known[0]() is x and known[1] == how else None
