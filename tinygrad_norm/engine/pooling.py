"""Pools: the largest or the mean of each window of a signal (N, C, L) or an image (N, C, H, W), with or without N.

Names, argument order and defaults are PyTorch's. One implementation serves any number of pooled axes: ``_AXES`` names them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from . import primitives as op
from .arguments import floating, in_float32, ordered, steps
from .arrays import Array
from .errors import OptionError, ShapeError, describe
from .shapes import each, flag, number
from .state import scope
from .tensor import Tensor

Sizes = int | Sequence[int]

_AXES = {1: ("entries",), 2: ("rows", "columns")}
_FORMS = {1: ("signals", "(N, C, L) or (C, L)"), 2: ("images", "(N, C, H, W) or (C, H, W)")}


class Pooled(NamedTuple):
    """What a max pool with ``return_indices=True`` gives: the values, and where each stood among the pooled axes, row by row."""

    values: Tensor
    indices: Tensor


class _Windows(NamedTuple):
    """Where the windows lie, axis by axis."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    spread: tuple[int, ...]
    around: list[tuple[int, int]]  # padding before and after, with what ceil_mode adds
    padding: tuple[int, ...]


def _signal(value: Any, name: str, axes: int) -> Tensor:
    x = floating(value, name)
    if x.ndim not in (axes + 1, axes + 2):
        things, form = _FORMS[axes]
        raise ShapeError(f"{name}: input {describe(x)} has {x.ndim} axes; {things} are {form}. Reshape it.")
    return x


def _windows(
    name: str, x: Tensor, axes: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> _Windows:
    """The arguments of a pool, checked against each other and the input."""
    words = _AXES[axes]
    size, spread = each(name, "kernel_size", kernel_size, words, 1), each(name, "dilation", dilation, words, 1)
    empty = stride is None or (isinstance(stride, (tuple, list)) and not stride)
    step = size if empty else each(name, "stride", stride, words, 1)
    pads = each(name, "padding", padding, words, 0)
    span = tuple(d * (k - 1) + 1 for k, d in zip(size, spread))
    if any(2 * p > k for p, k in zip(pads, span)):
        raise ShapeError(f"{name}: padding={padding!r} for a window that spans {span}; at most half of it.")
    around = []
    for n, p, k, s, axis in zip(x.shape[-axes:], pads, span, step, words):
        left = n + 2 * p - k
        extra = -left % s if ceil_mode else 0
        if extra and (left + extra) // s * s >= n + p:  # the last window would begin in the padding behind
            extra = 0
        if left + extra < 0:
            padded = f" and {2 * p} of padding" if p else ""
            raise ShapeError(
                f"{name}: window {size} spans {k} {axis}, input {describe(x)} has {n}{padded}. Pad more, or take a smaller one."
            )
        around.append((p, p + extra))
    return _Windows(size, step, spread, around, pads)


# The largest --------------------------------------------------------------------------------------------


def _max_pool(
    name: str, axes: int, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any, indices: Any
) -> Any:
    x = _signal(input, name, axes)
    ordered(name, x)
    w = _windows(name, x, axes, kernel_size, stride, padding, dilation, flag(name, "ceil_mode", ceil_mode))
    values = x.data
    followed = hasattr(values, "apply_op")  # by a record that is to be computed elsewhere, with other data
    return _picked(name, x, axes, (_asked_of_each if followed else _of_largest)(values, w), indices)


def _asked_of_each(x: Array, w: _Windows) -> Array:
    """As ``_of_largest``, in functions that a record for elsewhere can hold, and slow."""
    axes = len(w.size)
    sizes = x.shape[x.ndim - axes :]
    places = _cut(np.arange(math.prod(sizes)).reshape(sizes), -1, w)
    values = _cut(x, -np.inf, w)
    best = np.argmax(values, -1)[..., None]
    beside = np.take_along_axis(np.broadcast_to(places, values.shape), best, -1) < 0  # −∞ everywhere: the padding came first
    best = np.where(beside, np.argmax(places >= 0, -1)[..., None], best)
    found: Array = np.take_along_axis(np.broadcast_to(places, values.shape), best, -1)[..., 0]
    return found


def _cut(x: Array, value: float, w: _Windows) -> Array:
    """Padded and cut into windows, each as one row: (…, places…, window)."""
    axes = len(w.size)
    padded = op.pad(x, width=[(0, 0)] * (x.ndim - axes) + w.around, value=value)
    view: Array = op.windows(padded, size=w.size, stride=w.stride, dilation=w.spread)
    return view.reshape(*view.shape[:-axes], math.prod(w.size))


def _of_largest(x: Array, w: _Windows) -> Array:
    """Where the largest entry of each window stands in the flat last axes; of equal ones the first, NaN the largest of all."""
    axes = len(w.size)
    lead, sizes = x.shape[: x.ndim - axes], x.shape[x.ndim - axes :]
    padded = any(map(any, w.around))
    if padded:
        x = op.pad.forward(x, [(0, 0)] * len(lead) + w.around, -np.inf)
    view = op.windows.forward(x, w.size, w.stride, w.spread)
    offsets = list(np.ndindex(w.size))
    places: list[tuple[Any, ...]] = [(..., *offset) for offset in offsets]
    entries = [np.ascontiguousarray(view[entry]) for entry in places]
    best = reduce(np.maximum, entries)
    nan = bool(np.isnan(np.max(best, initial=0)))
    at = np.zeros(best.shape, np.int16 if len(entries) < 1 << 15 else np.intp)
    corners = [
        np.arange(n) * min(step, 1 << 31) - before for n, step, (before, _) in zip(best.shape[len(lead) :], w.stride, w.around)
    ]
    steps = np.array([[k * d for k, d in zip(offset, w.spread)] for offset in offsets])
    for i, entry in reversed(list(enumerate(entries))):
        here = entry == best
        if nan:
            here |= entry != entry
        if padded:  # which never wins, not even against −∞
            inside = [(c + s >= 0) & (c + s < n) for c, s, n in zip(corners, steps[i], sizes)]
            here &= reduce(np.logical_and.outer, inside)
        at += here * (i - at)
    strides = [math.prod(sizes[i + 1 :]) for i in range(axes)]
    corner = reduce(np.add.outer, [c * s for c, s in zip(corners, strides)])
    return np.asarray(np.take(steps @ strides, at) + corner)


def _picked(name: str, x: Tensor, axes: int, found: Array, indices: Any) -> Any:
    """The entries at these places of the flat last axes; with ``indices`` the places too."""
    lead, last = x.shape[: x.ndim - axes], math.prod(x.shape[x.ndim - axes :])
    rows = np.arange(0, math.prod(lead) * last, last or 1).reshape((*lead, *(1,) * axes))
    values = x.reshape(-1)[found + rows]
    return Pooled(values, Tensor(found)) if flag(name, "return_indices", indices) else values


@scope("max pool 1d")
def max_pool1d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest entry of each window of (N, C, L) or (C, L). See ``max_pool2d``."""
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@scope("max pool 2d")
def max_pool2d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest entry of each window (``stride``: the window's size unless given); padding never wins.

    The gradient goes to that entry; of equal ones to the first, row by row, as PyTorch's index has it. NaN wins.

    ceil_mode:       a last window may reach beyond the padding, if it begins before
    return_indices:  give (values, indices), each index counted row by row through its image
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


# The mean -----------------------------------------------------------------------------------------------


def _avg_pool(
    name: str,
    axes: int,
    x: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor: Any,
) -> Tensor:
    _signal(x, name, axes)
    w = _windows(name, x, axes, kernel_size, stride, padding, 1, flag(name, "ceil_mode", ceil_mode))
    if divisor is not None and number(name, "divisor_override", divisor, whole=True) == 0:
        raise OptionError(f"{name}: divisor_override=0; nothing can be divided by it.")
    padded = op.pad(x, width=((0, 0),) * (x.ndim - axes) + tuple(w.around), value=0.0) if any(map(any, w.around)) else x
    view = op.windows(padded, size=w.size, stride=w.stride, dilation=w.spread)
    over, shape = tuple(range(x.ndim, x.ndim + axes)), view.shape[:-axes]
    count_include_pad = flag(name, "count_include_pad", count_include_pad)
    counted = all(p == q for p, q in w.around) if count_include_pad else not any(map(any, w.around))
    if divisor is None and counted:
        return op.mean(view, axis=over).reshape(shape)  # type: ignore[no-any-return]
    total: Tensor = op.sum(view, axis=over).reshape(shape)
    return total / (divisor if divisor is not None else Tensor(_counts(x, axes, w, count_include_pad)))


def _counts(x: Tensor, axes: int, w: _Windows, include_pad: bool) -> Array:
    """How many entries each window holds; what lies beyond the padding is none."""
    along = []
    for n, size, step, p, (before, after) in zip(x.shape[x.ndim - axes :], w.size, w.stride, w.padding, w.around):
        start = np.arange(0, before + n + after - size + 1, step) - p
        low, high = (-p, n + p) if include_pad else (0, n)
        along.append(np.minimum(start + size, high) - np.maximum(start, low))
    return np.asarray(reduce(np.multiply.outer, along)).astype(x.dtype)


@scope("avg pool 1d")
@in_float32
def avg_pool1d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of (N, C, L) or (C, L). See ``avg_pool2d``."""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@scope("avg pool 2d")
@in_float32
def avg_pool2d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window (``stride``: the window's size unless given).

    ceil_mode:          a last window may reach beyond the padding, if it begins before; what lies beyond is not counted
    count_include_pad:  padding counts as zeros; without, the mean is over the entries that are there
    divisor_override:   divide by this instead
    """
    return _avg_pool("avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


# As many windows as are wanted --------------------------------------------------------------------------


def _wanted(name: str, x: Tensor, axes: int, output_size: Any) -> tuple[int, ...]:
    there = x.shape[x.ndim - axes :]
    given = output_size
    if isinstance(given, (tuple, list)) and len(given) == axes:
        given = [n if m is None else m for m, n in zip(given, there)]
    sizes = each(name, "output_size", given, _AXES[axes], 0)
    for n, m, axis in zip(there, sizes, _AXES[axes]):
        if m and not n:
            raise ShapeError(f"{name}: input {describe(x)} has no {axis} to make {m} of.")
    return sizes


def _shares(name: str, n: int, count: int) -> tuple[Array, Array]:
    """``count`` windows over n entries, from ⌊i·n/count⌋ to ⌈(i + 1)·n/count⌉: their indices, and which of these count."""
    i = steps(name, "output_size", count)
    start, stop = i * n // max(count, 1), -(-(i + 1) * n // max(count, 1))
    places = start[:, None] + np.arange(int((stop - start).max(initial=0)))
    return np.minimum(places, stop[:, None] - 1), places < stop[:, None]


def _adaptive(name: str, x: Tensor, axes: int, output_size: Any) -> tuple[list[Array], Array]:
    """For each pooled axis its indices, shaped to meet as (places…, window…), and which of them count."""
    wanted = _wanted(name, x, axes, output_size)
    places, counts = [], []
    for a, (n, m) in enumerate(zip(x.shape[x.ndim - axes :], wanted)):
        index, inside = _shares(name, n, m)
        shape = [1] * (2 * axes)
        shape[a], shape[axes + a] = index.shape
        places.append(index.reshape(shape))
        counts.append(inside.reshape(shape))
    return places, reduce(np.logical_and, counts)


def _adaptive_avg(name: str, axes: int, x: Tensor, output_size: Any) -> Tensor:
    _signal(x, name, axes)
    places, counts = _adaptive(name, x, axes, output_size)
    over, index = tuple(range(x.ndim, x.ndim + axes)), (..., *places)
    view = x[index]
    if counts.all():
        return op.mean(view, axis=over).reshape(view.shape[:-axes])  # type: ignore[no-any-return]
    total = op.sum(op.where(Tensor(counts), view, 0.0), axis=over).reshape(view.shape[:-axes])
    return total / Tensor(counts.sum(tuple(range(axes, 2 * axes))).astype(x.dtype))  # type: ignore[no-any-return]


def _adaptive_max(name: str, axes: int, input: Any, output_size: Any, indices: Any) -> Any:
    x = _signal(input, name, axes)
    ordered(name, x)
    places, counts = _adaptive(name, x, axes, output_size)
    sizes = x.shape[x.ndim - axes :]
    flat = np.asarray(np.ravel_multi_index(np.broadcast_arrays(*places), sizes)) if min(sizes) else counts * 0
    values = x.data.reshape((*x.shape[: x.ndim - axes], -1 if x.size else math.prod(sizes)))[..., flat]
    rows = (*flat.shape[:axes], math.prod(flat.shape[axes:]))
    if not values.size:
        found = np.zeros((*x.shape[: x.ndim - axes], *rows[:-1]), np.intp)
    else:  # what stands twice in a window stands first where it belongs: an index that is repeated changes nothing
        best = np.argmax(values.reshape((*x.shape[: x.ndim - axes], *rows)), -1)[..., None]
        found = np.take_along_axis(np.broadcast_to(flat.reshape(rows), (*best.shape[:-1], rows[-1])), best, -1)[..., 0]
    return _picked(name, x, axes, found, indices)


@scope("adaptive avg pool 1d")
@in_float32
def adaptive_avg_pool1d(input: Any, output_size: Any) -> Tensor:
    """The means of ``output_size`` windows that cover (N, C, L) or (C, L). See ``adaptive_avg_pool2d``."""
    return _adaptive_avg("adaptive_avg_pool1d", 1, input, output_size)


@scope("adaptive avg pool 2d")
@in_float32
def adaptive_avg_pool2d(input: Any, output_size: Any) -> Tensor:
    """The means of windows that cover the image: as many rows and columns of them as ``output_size`` says (None: as there are).

    Window i of m over n entries reaches from ⌊i·n/m⌋ to ⌈(i + 1)·n/m⌉; neighbours overlap where m does not divide n.
    """
    return _adaptive_avg("adaptive_avg_pool2d", 2, input, output_size)


@scope("adaptive max pool 1d")
def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest entries of ``output_size`` windows that cover (N, C, L) or (C, L). See ``adaptive_avg_pool2d``, ``max_pool2d``."""
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


@scope("adaptive max pool 2d")
def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest entries of windows that cover the image. See ``adaptive_avg_pool2d`` for the windows, ``max_pool2d`` for ties."""
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)
