"""Places: entries taken by their indices, in order, or as rows of a table. The gradient goes back to where each came from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import primitives as op
from .arguments import as_tensor, floating, integers, one_axis, ordered, steps
from .arrays import Array
from .errors import DTypeError, ShapeError, describe
from .shapes import flag, whole
from .state import state
from .tensor import Tensor


class Sorted(NamedTuple):
    """What ``sort`` and ``topk`` give: the values, and where along the axis each one stood."""

    values: Tensor
    indices: Tensor


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Tensor:
    """The entries at ``indices`` along ``dim`` (of the flat tensor without one); the other axes of both broadcast.

    NumPy's take_along_axis. An entry taken twice receives both cotangents.
    """
    x = as_tensor(input, "take_along_dim")
    if dim is None:
        return x.reshape(-1)[integers(indices, "take_along_dim", "indices", x.size).reshape(-1)]
    axis = one_axis(dim, x, "take_along_dim")
    index = integers(indices, "take_along_dim", "indices", x.shape[axis])
    others = tuple(1 if a == axis else n for a, n in enumerate(x.shape))
    if index.ndim != x.ndim or any(1 != m != n != 1 for a, (n, m) in enumerate(zip(x.shape, index.shape)) if a != axis):
        raise ShapeError(
            f"take_along_dim: indices {describe(index)} for {describe(x)}: but for dim {axis}, sizes must be equal or 1. "
            f"Give indices of shape {(*x.shape[:axis], 'any', *x.shape[axis + 1 :])}."
        )
    places: list[Any] = list(np.indices(np.broadcast_shapes(others, index.shape), sparse=True))
    places = [index if a == axis else (i if n > 1 else i * 0) for a, (i, n) in enumerate(zip(places, x.shape))]
    return x[tuple(places)]


def gather(input: Any, dim: int, index: Any) -> Tensor:
    """``out[i][j] = input[index[i][j]][j]`` for dim 0, and so on: the shape of ``index``, whose other sizes may be smaller.

    As PyTorch's, nothing broadcasts; ``take_along_dim`` does. An entry taken twice receives both cotangents.
    """
    x = as_tensor(input, "gather")
    if not x.ndim:
        x = x.reshape(1)
    axis = one_axis(dim, x, "gather")
    places = integers(index, "gather", "index", x.shape[axis])
    places = places.reshape(1) if not places.ndim else places
    if places.ndim != x.ndim or any(m > n for a, (n, m) in enumerate(zip(x.shape, places.shape)) if a != axis):
        raise ShapeError(
            f"gather: index {describe(places)} for {describe(x)}: as many axes as the input, none larger but dim {axis}. "
            "take_along_dim broadcasts."
        )
    where: list[Any] = list(np.indices(places.shape, sparse=True))
    where[axis] = places
    y = x[tuple(where)]
    return y if np.ndim(index.data if isinstance(index, Tensor) else index) else y.reshape(())


def _order(x: Array, axis: int, descending: bool) -> Any:
    """Equal entries keep their order; NaN counts as the largest."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)


def sort(input: Any, dim: int = -1, descending: bool = False) -> Sorted:
    """The entries in order along ``dim``, and their indices. Equal entries keep their order; NaN counts as the largest."""
    x = as_tensor(input, "sort")
    ordered("sort", x)
    axis = one_axis(dim, x, "sort")
    order = _order(x.data, axis, flag("sort", "descending", descending))
    return Sorted(take_along_dim(x, order, axis), Tensor(order))


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Sorted:
    """The ``k`` largest (or smallest) entries along ``dim``, in order, and their indices. Of equal entries the first come first."""
    x = as_tensor(input, "topk")
    ordered("topk", x)
    axis = one_axis(dim, x, "topk")
    count, _ = whole("topk", "k", k), flag("topk", "sorted", sorted)
    if not 0 <= count <= x.shape[axis]:
        raise ShapeError(f"topk: k={k} of {describe(x)}: along dim {axis} there are {x.shape[axis]}; k is between 0 and that.")
    order = _order(x.data, axis, flag("topk", "largest", largest))[(slice(None),) * axis + (slice(0, count),)]
    return Sorted(take_along_dim(x, order, axis), Tensor(order))


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Tensor:
    """Row ``input[i]`` of ``weight`` (V, D) for every index: input.shape + (D,). A row picked twice receives both cotangents.

    padding_idx:  a row (negative: counted from the last) that receives none, so that training leaves it as it is
    """
    w = floating(weight, "embedding", "weight")
    if w.ndim != 2:
        raise ShapeError(f"embedding: weight {describe(w)} has {w.ndim} axes; it is (number of rows, their length).")
    index = integers(input, "embedding", "input", w.shape[0])
    rows = w[index]
    if padding_idx is None:
        return rows
    padding = whole("embedding", "padding_idx", padding_idx, -len(w), len(w) - 1) % len(w)
    return op.where(Tensor((index == padding)[..., None]), rows.detach(), rows)  # type: ignore[no-any-return]


def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """For each class index a row with 1 at that place, 0 elsewhere: tensor.shape + (num_classes,), int64.

    num_classes:  −1: one more than the largest index
    """
    t = as_tensor(tensor, "one_hot", "tensor").data
    count = whole("one_hot", "num_classes", num_classes, -1)
    if t.dtype.kind not in "iu":
        raise DTypeError(f"one_hot: tensor {describe(t)} must be integers. Cast first: tensor.astype('int64').")
    if count == -1 and not t.size:
        raise ShapeError(f"one_hot: {describe(t)} has no index to count the classes by; give num_classes.")
    if count == -1 and state.general:
        raise ShapeError(
            f"one_hot: num_classes=-1 counts the classes of {describe(t)}, and others may have more. Give their number."
        )
    count = int(t.max()) + 1 if count == -1 else count
    integers(t, "one_hot", "tensor", count if t.size else 1)
    return Tensor((t[..., None] == steps("one_hot", "num_classes", count)).astype(np.int64))
