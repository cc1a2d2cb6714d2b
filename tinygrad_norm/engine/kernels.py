"""Shortcuts over arrays for the rules that backward passes spend their time in.

A kernel gives what the rules in the table give, summed to the inputs' shapes, with fewer passes over memory.
The table stays the truth; tests hold each kernel to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .arrays import Array, contract, sum_to


def add(wanted: Sequence[int], g: Array, out: Array, a: Any, b: Any) -> list[Array]:
    """(g, g)."""
    return [sum_to(g, a.shape) if position == 0 else sum_to(g, b.shape) for position in wanted]


def sub(wanted: Sequence[int], g: Array, out: Array, a: Any, b: Any) -> list[Array]:
    """(g, −g): sum first, negate what is left."""
    return [sum_to(g, a.shape) if position == 0 else -sum_to(g, b.shape) for position in wanted]


def mul(wanted: Sequence[int], g: Array, out: Array, a: Any, b: Any) -> list[Array]:
    """(g·b, g·a): where the product is only wanted summed, it is a contraction."""
    return [_times(g, *((a, b) if position == 0 else (b, a))) for position in wanted]


def _times(g: Array, x: Any, other: Any) -> Array:
    if x.shape != g.shape and type(other) is np.ndarray and other.shape == g.shape and other.dtype == g.dtype:
        return contract(g, other, x.shape)
    return sum_to(g * other, x.shape)
