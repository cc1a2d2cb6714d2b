"""The functions networks are built of, made of the table's ops: no backward rule stands here.

Names, argument order and defaults are PyTorch's. Images are (N, C, H, W), or (C, H, W) for a single one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import primitives as op
from .arrays import Array
from .errors import DTypeError, OptionError, ShapeError, describe
from .functions import as_tensor, floating, in_float32, integers, log_softmax
from .functions import pad as padded
from .tensor import Tensor

Pair = int | Sequence[int]


def _pair(value: Any, name: str, what: str, least: int) -> tuple[int, int]:
    """An int, or one for rows and one for columns."""
    both = (value, value) if isinstance(value, (int, np.integer)) else value
    if not isinstance(both, (tuple, list)) or len(both) != 2 or not all(isinstance(n, (int, np.integer)) for n in both):
        raise ShapeError(f"{name}: {what}={value!r}; give an int, or two: rows and columns.")
    if min(both) < least:
        raise ShapeError(f"{name}: {what}={value!r}; it must be at least {least}.")
    return int(both[0]), int(both[1])


def _images(value: Any, name: str) -> Tensor:
    x = floating(value, name)
    if x.ndim not in (3, 4):
        raise ShapeError(f"{name}: input {describe(x)} has {x.ndim} axes; images are (N, C, H, W) or (C, H, W). Reshape it.")
    return x


def _fits(
    name: str, x: Tensor, what: str, size: Sequence[int], dilation: Sequence[int], around: Sequence[tuple[int, int]]
) -> None:
    """``ShapeError`` where the window is larger than the padded image."""
    for n, k, d, (before, after), axis in zip(x.shape[-2:], size, dilation, around, ("rows", "columns")):
        if d * (k - 1) + 1 > before + n + after:
            raise ShapeError(
                f"{name}: {what} {tuple(size)} spans {d * (k - 1) + 1} {axis}, input {describe(x)} has {n}"
                f"{f' and {before + after} of padding' if before + after else ''}. Pad more, or take a smaller one."
            )


# Pooling ------------------------------------------------------------------------------------------------


def _pad(x: Tensor, around: Sequence[tuple[int, int]]) -> Tensor:
    (top, bottom), (left, right) = around
    return padded(x, (left, right, top, bottom)) if any((top, bottom, left, right)) else x


def max_pool2d(input: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1) -> Tensor:
    """The largest entry of each window (``stride``: the window's size unless given); padding never wins.

    The gradient goes to that entry; of equal ones to the first, row by row, as PyTorch's index has it. NaN wins.
    """
    x = _images(input, "max_pool2d")
    size, spread = _pair(kernel_size, "max_pool2d", "kernel_size", 1), _pair(dilation, "max_pool2d", "dilation", 1)
    step = size if stride is None else _pair(stride, "max_pool2d", "stride", 1)
    around = _half(padding, "max_pool2d", [d * (k - 1) + 1 for d, k in zip(spread, size)])
    _fits("max_pool2d", x, "window", size, spread, around)

    lead, (rows, columns) = x.shape[:-2], x.shape[-2:]
    places = _cut(np.arange(rows * columns).reshape(rows, columns), -1, around, size, step, spread)
    values = _cut(x.data, -np.inf, around, size, step, spread)
    best = np.argmax(values, -1)[..., None]
    beside = np.take_along_axis(np.broadcast_to(places, values.shape), best, -1) < 0  # −∞ everywhere: the padding came first
    best = np.where(beside, np.argmax(places >= 0, -1)[..., None], best)
    found = np.take_along_axis(np.broadcast_to(places, values.shape), best, -1)[..., 0]
    index = (*(i[..., None, None] for i in np.indices(lead, sparse=True)), found)
    return x.reshape(*lead, rows * columns)[index]


def _cut(x: Array, value: float, around: Any, size: Any, step: Any, spread: Any) -> Array:
    """Padded and cut into windows, each as one row: (…, H', W', kH·kW)."""
    around = [(0, 0)] * (x.ndim - 2) + list(around)
    view = op.windows.forward(op.pad.forward(x, around, value), size, step, spread)
    return np.asarray(view).reshape(*view.shape[:-2], size[0] * size[1])


def _half(padding: Pair, name: str, span: Sequence[int]) -> list[tuple[int, int]]:
    both = _pair(padding, name, "padding", 0)
    if any(2 * n > k for n, k in zip(both, span)):
        raise ShapeError(f"{name}: padding={padding!r} for a window that spans {tuple(span)}; at most half of it.")
    return [(n, n) for n in both]


def avg_pool2d(input: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> Tensor:
    """The mean of each window (``stride``: the window's size unless given); padding counts as zeros."""
    x = _images(input, "avg_pool2d")
    size = _pair(kernel_size, "avg_pool2d", "kernel_size", 1)
    step = size if stride is None else _pair(stride, "avg_pool2d", "stride", 1)
    around = _half(padding, "avg_pool2d", size)
    _fits("avg_pool2d", x, "window", size, (1, 1), around)
    view = op.windows(_pad(x, around), size=size, stride=step, dilation=(1, 1))
    return op.mean(view, axis=(x.ndim, x.ndim + 1)).reshape(view.shape[:-2])  # type: ignore[no-any-return]


# Words and classes --------------------------------------------------------------------------------------


def embedding(input: Any, weight: Any) -> Tensor:
    """Row ``input[i]`` of ``weight`` (V, D) for every index: input.shape + (D,). A row picked twice receives both cotangents."""
    w = floating(weight, "embedding", "weight")
    if w.ndim != 2:
        raise ShapeError(f"embedding: weight {describe(w)} has {w.ndim} axes; it is (number of rows, their length).")
    return w[integers(input, "embedding", "input", w.shape[0])]


@in_float32
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−Σ target·log softmax(input) over the classes.

    input:   logits (C,), (N, C) or (N, C, d1, …)
    target:  class indices, of the input's shape without C; or floating-point class probabilities, of the input's shape
             (a gradient flows to these as well)
    weight:  a number for each class, (C,); no gradient flows to it
    ignore_index:     targets of this value count for nothing (class indices only)
    reduction:        "none", "sum", or "mean": over the targets' weights for class indices, over the samples for
                      probabilities
    label_smoothing:  that share of each target is spread evenly over the classes

    Raises ``ShapeError`` for shapes that do not fit, for a class that does not exist, and for the mean over no targets
    (where PyTorch gives NaN).
    """
    if reduction not in ("none", "sum", "mean"):
        raise OptionError(f'cross_entropy: reduction={reduction!r}; it is "none", "sum" or "mean".')
    if not input.ndim:
        raise ShapeError(f"cross_entropy: input {describe(input)} has no axis of classes; it is (C,), (N, C) or (N, C, d1, …).")
    t = as_tensor(target)
    axis = min(1, input.ndim - 1)
    classes = input.shape[axis]
    logp = log_softmax(input, axis)
    shares = _class_weights(weight, input, axis)

    if t.dtype.kind == "f":
        if t.shape != input.shape:
            raise ShapeError(
                f"cross_entropy: target {describe(t)} for input {describe(input)}: class probabilities have the input's shape. "
                "Class indices are integers: target.astype('int64')."
            )
        t = t * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else t
        losses = -(logp * t if weight is None else logp * t * shares).sum(axis)
        return _reduced(losses, np.ones(losses.shape, losses.dtype), reduction)

    shape = input.shape[:axis] + input.shape[axis + 1 :]
    if t.dtype.kind not in "iu":
        raise DTypeError(f"cross_entropy: target {describe(t)} is neither class indices nor probabilities. Cast it to int64.")
    if t.shape != shape:
        raise ShapeError(
            f"cross_entropy: target {describe(t)} for input {describe(input)}: class indices have the input's shape without its "
            f"{classes} classes, {shape}."
        )
    counts = t.data != ignore_index
    index = integers(np.where(counts, t.data, 0), "cross_entropy", "target", classes)
    places = list(np.indices(shape, sparse=True))
    places.insert(axis, index)
    of_target = np.broadcast_to(shares, input.shape)[tuple(places)] * counts
    losses = -logp[tuple(places)]
    losses = losses if weight is None else losses * of_target
    if label_smoothing:
        everywhere = -(logp if weight is None else logp * shares).sum(axis)
        losses = losses * (1 - label_smoothing) + everywhere * (label_smoothing / classes)
    losses = losses if counts.all() else op.where(counts, losses, 0.0)  # not times 0: it may be infinite
    return _reduced(losses, of_target, reduction)


def _class_weights(weight: Any, input: Tensor, axis: int) -> Array:
    """A factor for every class, shaped to broadcast against the input."""
    classes = input.shape[axis]
    w = np.ones(classes, input.dtype) if weight is None else floating(weight, "cross_entropy", "weight").data
    if w.shape != (classes,):
        raise ShapeError(
            f"cross_entropy: weight {describe(w)} for input {describe(input)}: one number per class, shape ({classes},)."
        )
    return w.astype(input.dtype, copy=False).reshape(classes, *(1,) * (input.ndim - axis - 1))


def _reduced(losses: Tensor, counts: Array, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    total = losses.sum()
    if reduction == "sum":
        return total
    weight = float(counts.sum(dtype=np.float64))
    if weight == 0:
        raise ShapeError(
            f"cross_entropy: the mean over {describe(losses)} losses of which none counts: no samples, every target ignored, or weights "
            'of 0. Take reduction="sum".'
        )
    return total / weight
