"""Windows that slide over images: cut out, added up again, and convolved.

Nothing here knows of gradients. float16 is computed in float32 and rounded once; complex arrays go through.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .arrays import Array
from .values import Axes, wide


def windows(x: Array, size: Axes, stride: Axes, dilation: Axes) -> Array:
    """Windows over the last ``len(size)`` axes, as a view: (…, places…, size…)."""
    k = len(size)
    span = tuple(d * (n - 1) + 1 for n, d in zip(size, dilation))
    view: Array = np.lib.stride_tricks.sliding_window_view(x, span, tuple(range(-k, 0)))
    steps: tuple[Any, ...] = (..., *(slice(None, None, s) for s in (*stride, *dilation)))
    cut: Array = view[steps]
    return cut


def fold(g: Array, size: Axes, stride: Axes, dilation: Axes, shape: Axes) -> Array:
    """Windows added up where they lie, on last axes of that shape: what ``windows`` took apart, summed."""
    k = len(size)
    places = g.shape[g.ndim - 2 * k : g.ndim - k]
    out = np.zeros((*g.shape[: g.ndim - 2 * k], *shape), wide(g[:0]).dtype)
    for offset in np.ndindex(size):
        starts = [i * d for i, d in zip(offset, dilation)]
        lands: tuple[Any, ...] = (..., *(slice(a, a + s * (n - 1) + 1 if n else a, s) for a, s, n in zip(starts, stride, places)))
        entry: tuple[Any, ...] = (..., *offset)
        out[lands] += g[entry]
    return out.astype(g.dtype, copy=False)


# Convolution --------------------------------------------------------------------------------------------
# The window's columns are laid out side by side, (kW·C, rows, N, W′) with what is padded as zeros; each of its rows is
# then one product of matrices, over a slice of that: nothing is copied once for each entry of the window.

Ends = tuple[tuple[int, int], tuple[int, int]]
_IMAGES = 1 << 17  # entries laid out at a time: so many images that they stay in cache
_SHORT = 16  # entries of a row; so short ones are shifted many at a time


def conv2d(x: Array, w: Array, stride: Axes, padding: Ends, dilation: Axes, groups: int) -> Array:
    """(N, C, H, W) by (O, C/groups, kH, kW): windows of the padded images, each times the kernel, summed. (N, O, H′, W′)."""
    grid = _Grid(x.shape, w.shape, stride, padding, dilation, groups)
    x, w, dtype = *_alike(x, w), np.result_type(x, w)
    rows_of_w, out = grid.rows_of(w), np.empty((len(x), len(w), *grid.out), dtype)
    for part, n in grid.parts(len(x)):
        columns = grid.columns(x[part])
        total = rows_of_w[0] @ grid.row(columns, 0)
        for i in range(1, grid.size[0]):
            total += rows_of_w[i] @ grid.row(columns, i)
        out[part] = total.reshape(len(w), grid.out[0], n, grid.out[1]).transpose(2, 0, 1, 3)
    return out


def conv2d_input(y: Array, w: Array, shape: Axes, stride: Axes, padding: Ends, dilation: Axes, groups: int) -> Array:
    """The adjoint of ``conv2d`` in x, for images of that (H, W): each y adds y·w where its window lies. (N, C, H, W)."""
    reach = [d * (k - 1) for d, k in zip(dilation, w.shape[2:])]
    narrow = len(w) <= 2 * groups * w.shape[1]  # laying out y pays
    if narrow and max(stride) == 1 and all(max(ends) <= n for ends, n in zip(padding, reach)):  # by the kernel turned around
        outside = tuple((n - before, n - after) for (before, after), n in zip(padding, reach))
        turned = w.reshape(groups, -1, *w.shape[1:])[..., ::-1, ::-1].swapaxes(1, 2)
        return conv2d(y, turned.reshape(-1, *turned.shape[2:]), stride, outside, dilation, groups)  # type: ignore[arg-type]
    grid = _Grid((len(y), w.shape[1] * groups, *shape), w.shape, stride, padding, dilation, groups)
    y, w, dtype = *_alike(y, w), np.result_type(y, w)
    rows_of_w, out = grid.rows_of(w).swapaxes(2, 3), np.zeros((len(y), w.shape[1] * groups, *shape), w.dtype)
    for part, n in grid.parts(len(y)):
        flat, columns = grid.flat(y[part]), np.zeros(grid.laid_out(n), w.dtype)
        for i in range(grid.size[0]):
            lands = columns[:, :, :, grid.rows[i]]
            more = rows_of_w[i] @ flat if flat.shape[1] > 1 else rows_of_w[i] * flat
            lands += more.reshape(lands.shape)
        images = grid.by_columns(out[part])
        for j, (to, source) in enumerate(grid.across):
            images[..., source] += columns[:, j, :, grid.inside, :, to]
    return out.astype(dtype, copy=False)


def conv2d_weight(y: Array, x: Array, size: Axes, stride: Axes, padding: Ends, dilation: Axes, groups: int) -> Array:
    """The adjoint of ``conv2d`` in w, for a kernel of that (kH, kW): Σ of each y times its window. (O, C/groups, kH, kW)."""
    outs, per_group = y.shape[1], x.shape[1] // groups
    grid = _Grid(x.shape, (outs, per_group, *size), stride, padding, dilation, groups)
    y, x, dtype = *_alike(y, x), np.result_type(y, x)
    sums = np.zeros((size[0], groups, outs // groups, size[1] * per_group), np.result_type(x, np.float64))
    for part, _ in grid.parts(len(x)):
        flat, columns = grid.flat(y[part]), grid.columns(x[part])
        for i in range(size[0]):
            sums[i] += flat @ grid.row(columns, i).swapaxes(1, 2)
    w: Array = sums.reshape(size[0], groups, outs // groups, size[1], per_group).transpose(1, 2, 4, 0, 3).astype(dtype)
    return w.reshape(outs, per_group, *size)


def _alike(a: Array, b: Array) -> tuple[Array, Array]:
    dtype = np.result_type(a, b, np.float32)  # float16 is computed in float32
    return a.astype(dtype, copy=False), b.astype(dtype, copy=False)


class _Grid:
    """Where in the images a window's rows and columns lie.

    out:     how many windows there are, (H′, W′)
    rows:    for each row of the window, the rows of the padded image that it meets
    inside:  the rows of the padded image that are the image's
    across:  for each column of the window, the windows in which it lies inside the image; and the image's columns there
    shifted: each column of the window meets the image's columns, shifted by as many as ``shifts`` says, and these are few
    """

    def __init__(self, x: Axes, w: Axes, stride: Axes, padding: Ends, dilation: Axes, groups: int) -> None:
        (_, _, h, width), (self.outs, self.per_group, *self.size), self.groups = x, w, groups
        spans = [d * (k - 1) + 1 for d, k in zip(dilation, self.size)]
        self.out = [(n + sum(ends) - span) // s + 1 for n, ends, span, s in zip((h, width), padding, spans, stride)]
        (above, below), (left, _) = padding
        self.height, self.inside, self.padded = above + h + below, slice(above, above + h), any(map(any, padding))
        self.rows = [slice(i, i + stride[0] * (self.out[0] - 1) + 1, stride[0]) for i in range(0, spans[0], dilation[0])]
        self.across, self.shifts = [], range(-left, spans[1] - left, dilation[1])
        for at in self.shifts:
            first = max(0, -(at // stride[1]))
            last = max(first, min(self.out[1], (width - 1 - at) // stride[1] + 1))
            start = at + first * stride[1]
            self.across.append((slice(first, last), slice(start, start + (last - first - 1) * stride[1] + 1, stride[1])))
        self.shifted = stride[1] == 1 and self.out[1] == width <= _SHORT and 0 in self.shifts

    def laid_out(self, n: int) -> Axes:
        return self.groups, self.size[1], self.per_group, self.height, n, self.out[1]

    def parts(self, n: int) -> Iterator[tuple[slice, int]]:
        step = max(1, _IMAGES // max(1, math.prod(self.laid_out(1))))
        for start in range(0, n, step):
            yield slice(start, start + step), min(step, n - start)

    def by_columns(self, x: Array) -> Array:
        """Images as (groups, C/groups, H, N, W)."""
        n, _, h, width = x.shape
        grouped: Array = x.reshape(n, self.groups, self.per_group, h, width).transpose(1, 2, 3, 0, 4)
        return grouped

    def columns(self, x: Array) -> Array:
        """Images as (groups, kW, C/groups, padded rows, N, W′)."""
        columns: Array = (np.zeros if self.padded else np.empty)(self.laid_out(len(x)), x.dtype)
        images, inside = self.by_columns(x), columns[:, :, :, self.inside]
        if not self.shifted:
            for j, (to, source) in enumerate(self.across):
                inside[:, j, ..., to] = images[..., source]
            return columns
        middle = self.shifts.index(0)
        inside[:, middle] = images
        rows = columns.reshape(*columns.shape[:4], -1)[:, :, :, self.inside]
        for j, by in enumerate(self.shifts):  # many short rows at once; what comes over from the row beside is taken out again
            if by > 0:
                rows[:, j, ..., :-by], inside[:, j, ..., -by:] = rows[:, middle, ..., by:], 0
            elif by < 0:
                rows[:, j, ..., -by:], inside[:, j, ..., :-by] = rows[:, middle, ..., :by], 0
        return columns

    def row(self, columns: Array, i: int) -> Array:
        """What row i of the window meets, as a matrix for each group."""
        rows: Array = columns[:, :, :, self.rows[i]]
        return rows.reshape(self.groups, self.size[1] * self.per_group, math.prod(rows.shape[3:]))

    def rows_of(self, w: Array) -> Array:
        """The kernel as one matrix for each of its rows and each group."""
        kh, kw = self.size
        w = w.reshape(self.groups, self.outs // self.groups, self.per_group, kh, kw).transpose(3, 0, 1, 4, 2)
        return w.reshape(kh, self.groups, self.outs // self.groups, kw * self.per_group)

    def flat(self, y: Array) -> Array:
        """The windows' results as one matrix for each group."""
        n, _, h, width = y.shape
        flat: Array = y.transpose(1, 2, 0, 3).reshape(self.groups, self.outs // self.groups, n * h * width)
        return flat
