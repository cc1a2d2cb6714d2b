"""Means over the nodes of graphs that were padded to one size: what is padding counts for nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine import DTypeError, ShapeError, Tensor, describe
from ..engine.arguments import as_tensor
from ..engine.arrays import Array
from ..engine.primitives import mean, sum
from .arguments import wide_dtype
from .ranges import power_of_two, shrunk


def nodes(name: str, x: Tensor) -> tuple[int, ...]:
    """The axis of the nodes of (N, C) or (*, N, C)."""
    if x.ndim < 2:
        raise ShapeError(f"{name}: input {describe(x)} has {x.ndim} axes; it takes (N, C), the nodes of a graph, or (G, N, C).")
    return (x.ndim - 2,)


def real_nodes(name: str, x: Tensor, mask: Any) -> Array | None:
    """1 for a node, 0 for padding, in the dtype computed in and with an axis for the channels; None where all are nodes."""
    if mask is None:
        return None
    m = as_tensor(mask, name, "mask").data
    if m.dtype.kind not in "biu":
        raise DTypeError(f"{name}: mask {describe(mask)}; it is True (or 1) for a node and False (or 0) for padding.")
    if m.shape != x.shape[:-1]:
        raise ShapeError(f"{name}: mask {describe(mask)} for input {describe(x)}: one entry for each node, so {x.shape[:-1]}.")
    nodes: Array = (m != 0).astype(wide_dtype(x))
    return nodes[..., None]


def mean_over(x: Any, mask: Any, axis: tuple[int, ...]) -> Any:
    """The mean over the nodes: over all, or over those that the mask says are. What is averaged is 0 at padding already,
    or it is not: both are right. Of no nodes it is 0."""
    return mean(x, axis=axis) if mask is None else sum(x * (mask * share_of_one(mask, axis)), axis=axis)


def share_of_one(mask: Any, axis: tuple[int, ...]) -> Any:
    """1/(how many nodes)."""
    m = mask.data if isinstance(mask, Tensor) else mask
    return (1 / np.maximum(np.sum(m, axis=tuple(a for a in axis if a < m.ndim - 1), keepdims=True), 1)).astype(m.dtype)


def in_range(square: Callable[[Any], Any], c: Any, axis: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """c/2ᵏ, the variance ``square`` of that plus what ε comes to, and 2ᵏ, 1 unless c's own squares leave the dtype's range."""
    variance = square(c) + eps
    scale = power_of_two(variance, c, axis, least=eps)
    if scale is None:
        return c, variance, 1.0
    c = c / scale
    return c, square(c) + shrunk(eps, scale, 2), scale


def only(x: Any, mask: Any) -> Any:
    """0 at padding."""
    return x if mask is None else x * mask


def drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """A mask for tests and tables: some nodes, where there is room two at least, and one that is padding."""
    real = rng.integers(0, 2, shape)
    real[..., :2], real[..., 2:][..., -1:] = 1, 0
    return real
