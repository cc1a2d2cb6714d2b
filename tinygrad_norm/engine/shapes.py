"""Axes and sizes as users write them, and what to say when they do not fit."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .errors import ShapeError, TinygradNormError, describe
from .op import Op


def canonical_axes(axis: Any, ndim: int, name: str, ordered: bool = False, twice: bool = False) -> tuple[int, ...]:
    """``None``, an int or several, negative or not, as a tuple of axes; sorted unless ``ordered``, each once unless ``twice``."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    if any(isinstance(a, (bool, np.bool_)) or not hasattr(a, "__index__") for a in axes):
        raise ShapeError(f"{name}: axis {axis!r} is not an axis; give an int or a tuple of ints.")
    axes = tuple(a.__index__() for a in axes)
    for a in axes:
        if not -ndim <= a < ndim:
            raise ShapeError(f"{name}: axis {a} does not exist; with {ndim} axes it is between {-ndim} and {ndim - 1}.")
    axes = tuple(a % ndim for a in axes)
    if len(set(axes)) < len(axes) and not twice:
        raise ShapeError(f"{name}: axes {axis} name one axis twice.")
    return axes if ordered else tuple(sorted(axes))


def sizes_of(sizes: tuple[Any, ...], name: str = "reshape") -> tuple[int, ...]:
    """Whole numbers, given one by one or as a tuple; ``ShapeError`` for what is none."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    try:
        return tuple([operator.index(n) for n in sizes])
    except TypeError:
        raise ShapeError(
            f"{name}: {sizes if len(sizes) > 1 else repr(*sizes)}: sizes are whole numbers, one by one or in a tuple."
        ) from None


def explain(op: Op, operands: tuple[Any, ...], params: dict[str, Any], error: Exception) -> TinygradNormError:
    """NumPy's complaint with what it was about: the operation, the operands, a likely fix."""
    what = " and ".join(describe(x) for x in operands)
    given = "".join(f", {k}={v}" for k, v in params.items() if k != "index")
    if op.elementwise and len(operands) > 1 and isinstance(error, ValueError):
        fix = "Sizes must be equal or 1, counted from the last axis; reshape one, or keep a reduction's axis with keepdim=True."
        return ShapeError(f"{op.name}: {what} do not broadcast. {fix}")
    if op.name == "matmul":
        return ShapeError(
            f"matmul: {what}: the last axis of the first must have the size of the second's last but one. Transpose one?"
        )
    return ShapeError(f"{op.name}: {what}{given}: {error}")
