"""What every normalization asks of its arguments, in one voice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine import OptionError, ShapeError, Tensor, describe
from ..engine.functions import floating
from ..engine.primitives import astype


def is_analytic(name: str, backward: str) -> bool:
    """Whether the hand-derived node is wanted and not the record; ``OptionError`` for any other word."""
    if backward not in ("recorded", "analytic"):
        raise OptionError(f'{name}: backward={backward!r}; it is "recorded" or "analytic".')
    return backward == "analytic"


def parameter(name: str, what: str, value: Any, shape: tuple[int, ...], of: str) -> Tensor | None:
    """γ, β, … as a tensor of exactly ``shape``, or None; ``of`` says in words what the shape comes from."""
    if value is None:
        return None
    p = floating(value, name, what)
    if p.shape != shape:
        raise ShapeError(f"{name}: {what} {describe(p)} with {of}: its shape must be {shape}.")
    return p


def channels(name: str, x: Tensor, least: int = 2) -> tuple[int, tuple[int, ...]]:
    """The number of channels of (N, C, *), and the shape that broadcasts a value per channel: (C, 1, …)."""
    if x.ndim < least:
        axes = ("N", "C", "L")[:least]
        raise ShapeError(f"{name}: input {describe(x)} has {x.ndim} axes; it takes ({', '.join(axes)}, …): at least {least}.")
    return x.shape[1], (x.shape[1], *(1,) * (x.ndim - 2))


def per_channel(p: Tensor | None, spread: tuple[int, ...]) -> Tensor | None:
    """(C,) as (C, 1, …), recorded where it changes anything."""
    return p if p is None or p.shape == spread else p.reshape(spread)


def sizes(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    return (int(normalized_shape),) if isinstance(normalized_shape, (int, np.integer)) else tuple(normalized_shape)


def trailing(name: str, x: Tensor, normalized_shape: int | Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """``normalized_shape`` as a tuple, and the last axes of x that it names."""
    shape = sizes(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ShapeError(
            f"{name}: input {describe(x)} with normalized_shape {shape}: the input's last axes must be exactly these sizes. "
            f"Did you mean normalized_shape={x.shape[-1:] if x.ndim else '(N,), with an input of at least one axis'}?"
        )
    return shape, tuple(range(x.ndim - len(shape), x.ndim))


def widen(x: Any) -> Any:
    """float16 as float32, whose squares and sums do not overflow; anything else as it is. Array, tensor or symbol."""
    return astype(x, dtype=np.dtype(np.float32)) if x.dtype == np.float16 else x


def narrow(y: Any, x: Any) -> Any:
    """Back to float16 where x was: half in, half out."""
    return astype(y, dtype=np.dtype(np.float16)) if x.dtype == np.float16 else y
