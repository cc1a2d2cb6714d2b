"""What ops of the table compute over arrays, where NumPy has no one name for it.

Nothing here knows of gradients. Where the mathematics allows it, everything takes complex arrays too, so that
complex step can go through. float16 is computed in float32 and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .arrays import Array, total

_PIECE = 1 << 13
Axes = tuple[int, ...]


def _wide(x: Array) -> Array:
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _narrow(y: Any, x: Array) -> Any:
    """A result computed from ``_wide(x)`` as it goes out."""
    return y.astype(np.float16) if x.dtype == np.float16 else y


# Functions ----------------------------------------------------------------------------------------------

# Chebyshev coefficients by interpolation in 50 digits: erf(x)/x in s = 2x² − 1 for 0 ≤ x < 1, and
# exp(x²)·erfc(x) in s = (72/(x + 3) − 13)/5 for 1 ≤ x ≤ 6. What is cut off is below 2⁻⁵⁶.
_ERF_NEAR = (
    *(0.9754769393826541, -0.14226120510371365, 0.010035582187599796, -0.0005768764699767485, 2.741993125219606e-05),
    *(-1.1043175507344507e-06, 3.8488755420345036e-08, -1.1808582533875466e-09, 3.2334215826050907e-11),
    *(-7.991015947004549e-13, 1.7990725113961456e-14, -3.718635487818693e-16, 7.103599003714253e-18),
)
_ERF_FAR = (
    *(0.23376822188092547, 0.16410196278423408, 0.026097812602892758, 0.003281118531499783, 0.0003134638906524851),
    *(2.046056770846006e-05, 5.776987700182602e-07, -3.7726446174366106e-08, -4.115662017323819e-09),
    *(2.040121545843181e-11, 2.0708393696186037e-11, 2.3843849434040655e-13, -1.1516152507336692e-13),
    *(-1.4762836958503498e-15, 7.378013084044974e-16, -2.750204107729445e-19),
)


def _chebyshev(s: Array, coefficients: Sequence[float]) -> Any:
    """Σ cₖ·Tₖ(s), by Clenshaw's recurrence; as many terms as the dtype of s can tell apart."""
    least = np.finfo(s.dtype).eps / 1000
    first, *others = [a for a in coefficients if abs(a) > least]
    twice, b, c = 2 * s, np.zeros_like(s), np.zeros_like(s)
    for a in reversed(others):
        c -= twice * b
        b, c = np.subtract(a, c, out=c), b
    return s * b - c + first


def erf(x: Any) -> Any:
    """The error function 2/√π·∫₀ˣ exp(−t²) dt, to 2 units in the last place; complex next to the real axis."""
    x = np.asarray(x)
    if x.size > _PIECE:  # piece by piece: the many steps stay in cache
        flat = x.reshape(-1)
        return np.concatenate([erf(flat[i : i + _PIECE]) for i in range(0, x.size, _PIECE)]).reshape(x.shape)
    a = _wide(x) * 1.0
    a = np.where(a.real < 0, -a, a)
    a = np.where(a.real > 6, 6, a)  # erfc(6) is 2e-17
    near = a.real < 1
    out = np.empty_like(a)
    s, t = a[near], a[~near]
    out[near] = s * _chebyshev(2 * s * s - 1, _ERF_NEAR)
    out[~near] = 1 - np.exp(-t * t) * _chebyshev((72 / (t + 3) - 13) / 5, _ERF_FAR)
    return _narrow(np.where(x.real < 0, -out, out), x)


def sigmoid(x: Array) -> Any:
    side = np.copysign(1, np.real(x))
    z = np.exp(-side * x)  # never overflows
    return np.where(side > 0, 1 / (1 + z), z / (1 + z))


def softplus(x: Array) -> Any:
    """log(1 + exp(x)); for x > 0 as x + log(1 + exp(−x)), so that nothing overflows."""
    z = np.asarray(_wide(x))
    positive = z.real > 0
    return _narrow(np.log1p(np.exp(np.where(positive, -z, z))) + np.where(positive, z, 0), x)


def _largest(x: Array, axis: Axes) -> Any:
    return np.max(x.real, axis, keepdims=True, initial=-np.inf)


def softmax(x: Array, axis: Axes) -> Any:
    z = _wide(x)
    z = np.exp(z - _largest(z, axis))  # the largest is exp(0): nothing overflows
    return _narrow(z / total(z, axis), x)


def log_softmax(x: Array, axis: Axes) -> Any:
    z = _wide(x)
    z = z - _largest(z, axis)
    return _narrow(z - _log_sum(z, axis), x)


def logsumexp(x: Array, axis: Axes) -> Any:
    z = _wide(x)
    top = _largest(z, axis)
    top = np.where(np.isfinite(top), top, 0)  # ∞ − ∞ is no number
    return _narrow(_log_sum(z - top, axis) + top, x)


def _log_sum(z: Array, axis: Axes) -> Any:
    """log Σexp(z), the largest z being 0: as log(1 + (Σexp(z) − 1)), the 1 never added, so that a sum next to 1 keeps its digits."""
    e = np.exp(z)
    largest = z.real == 0
    if z.dtype.kind == "c":
        np.copyto(e, np.expm1(z), where=largest)
    else:
        e[largest] = 0
    more = np.add.reduce(largest, axis, z.real.dtype, keepdims=True) - 1
    with np.errstate(divide="ignore"):  # the log of a sum of nothing is −∞
        return np.log1p(total(e, axis) + more)


# Over axes ----------------------------------------------------------------------------------------------


def mean(x: Array, axis: Axes) -> Any:
    n = math.prod([x.shape[a] for a in axis])
    if x.dtype == np.float16:  # the sum may overflow where the mean does not
        return np.mean(x, axis=axis, dtype=np.float32, keepdims=True).astype(np.float16)
    means = total(x, axis) / n
    if n > 1 and x.dtype.kind == "f" and not np.vdot(means, means) < np.inf:  # so may it in any dtype
        means = np.where(np.isfinite(means), means, total(x / n, axis))
    return means


def prod(x: Array, axis: Axes) -> Any:
    carried = {"e": np.float32, "f": np.float64}.get(x.dtype.char)  # a product may pass through what it does not come to
    return np.prod(x, axis=axis, keepdims=True, dtype=carried).astype(x.dtype, copy=False)


def cumsum(x: Array, axis: int, reverse: bool) -> Array:
    """Running sums from the first entry on, or from the last; float32 adds up in float64."""
    carried = {"e": np.float32, "f": np.float64}.get(x.dtype.char)
    if reverse:
        return np.flip(cumsum(np.flip(x, axis), axis, False), axis)
    sums = np.cumsum(x, axis, dtype=carried)
    return sums.astype(x.dtype) if carried else sums


# Form ---------------------------------------------------------------------------------------------------


def inside(width: Sequence[tuple[int, int]], shape: Sequence[int]) -> tuple[slice, ...]:
    """Where in the padded array the array of that shape is."""
    return tuple(slice(before, before + n) for (before, _), n in zip(width, shape))


def pad(x: Array, width: Sequence[tuple[int, int]], value: float) -> Array:
    out = np.full([before + n + after for (before, after), n in zip(width, x.shape)], value, x.dtype)
    out[inside(width, x.shape)] = x
    return out


def scatter(g: Array, index: tuple[Any, ...], shape: tuple[int, ...]) -> Array:
    """Zeros, and ``g`` added where ``index`` points: an entry picked twice receives twice."""
    if all(i is None or i is Ellipsis or isinstance(i, (slice, int, np.integer)) for i in index):
        out = np.zeros(shape, g.dtype)
        out[index] = g  # nothing is picked twice
        return out
    size = math.prod(shape)
    places = np.arange(size).reshape(shape)[index].ravel()
    if g.dtype.char in "efd":
        return np.bincount(places, g.ravel(), size).reshape(shape).astype(g.dtype, copy=False)  # adds up in float64
    out = np.zeros(size, g.dtype)
    np.add.at(out, places, g.ravel())
    return out.reshape(shape)


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
    out = np.zeros((*g.shape[: g.ndim - 2 * k], *shape), _wide(g[:0]).dtype)
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
    """

    def __init__(self, x: Axes, w: Axes, stride: Axes, padding: Ends, dilation: Axes, groups: int) -> None:
        (_, _, h, width), (self.outs, self.per_group, *self.size), self.groups = x, w, groups
        spans = [d * (k - 1) + 1 for d, k in zip(dilation, self.size)]
        self.out = [(n + sum(ends) - span) // s + 1 for n, ends, span, s in zip((h, width), padding, spans, stride)]
        (above, below), (left, _) = padding
        self.height, self.inside, self.padded = above + h + below, slice(above, above + h), any(map(any, padding))
        self.rows = [slice(i, i + stride[0] * (self.out[0] - 1) + 1, stride[0]) for i in range(0, spans[0], dilation[0])]
        self.across = []
        for at in range(-left, spans[1] - left, dilation[1]):
            first = max(0, -(at // stride[1]))
            last = max(first, min(self.out[1], (width - 1 - at) // stride[1] + 1))
            start = at + first * stride[1]
            self.across.append((slice(first, last), slice(start, start + (last - first - 1) * stride[1] + 1, stride[1])))

    def laid_out(self, n: int) -> Axes:
        return self.groups, self.size[1], self.per_group, self.height, n, self.out[1]

    def parts(self, n: int) -> Iterator[tuple[slice, int]]:
        step = max(1, _IMAGES // max(1, math.prod(self.laid_out(1))))
        for start in range(0, n, step):
            yield slice(start, start + step), min(step, n - start)

    def by_columns(self, x: Array) -> Array:
        """Images as (groups, C/groups, H, N, W)."""
        n, _, h, width = x.shape
        grouped: Array = x.reshape(n, self.groups, self.per_group, h, width)
        return grouped.transpose(1, 2, 3, 0, 4)

    def columns(self, x: Array) -> Array:
        """Images as (groups, kW, C/groups, padded rows, N, W′)."""
        columns: Array = (np.zeros if self.padded else np.empty)(self.laid_out(len(x)), x.dtype)
        images = self.by_columns(x)
        for j, (to, source) in enumerate(self.across):
            columns[:, j, :, self.inside, :, to] = images[..., source]
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


# Products -----------------------------------------------------------------------------------------------


def einsum(*xs: Array, equation: str) -> Any:
    """The sum of products that ``equation`` says, operand by operand from the left, each pair as one matrix product.

    The equation is explicit, ``ij,jk->ik``, and no term names an axis twice.
    """
    dtype = np.result_type(*xs)
    left, result = equation.split("->")
    terms = left.split(",")
    out, term = _wide(np.asarray(xs[0])), terms[0]
    for i, x in enumerate(xs[1:], 1):
        out, term = _product(out, term, _wide(np.asarray(x)), terms[i], result + "".join(terms[i + 1 :]))
    out, term = _summed(out, term, [c for c in term if c not in result])
    return out.transpose([term.index(c) for c in result]).astype(dtype, copy=False)


def _summed(x: Array, term: str, over: Sequence[str]) -> tuple[Array, str]:
    if not over:
        return x, term
    kept = [i for i, c in enumerate(term) if c not in over]
    summed = total(x, tuple(i for i in range(x.ndim) if i not in kept))
    return summed.reshape([x.shape[i] for i in kept]), "".join(term[i] for i in kept)


def _product(a: Array, left: str, b: Array, right: str, later: str) -> tuple[Array, str]:
    """Two operands as one, keeping the indices that appear later."""
    sizes, others = dict(zip(left, a.shape)), dict(zip(right, b.shape))
    apart = [c for c in left if c in others and sizes[c] != others[c] and c not in later]  # 1 beside n: sums of their own
    a, left = _summed(a, left, [c for c in left if c not in right + later or c in apart])
    b, right = _summed(b, right, [c for c in right if (c not in sizes and c not in later) or c in apart])
    both = [c for c in left if c in right]
    batch, inner = [c for c in both if c in later], [c for c in both if c not in later]
    rows, columns = [c for c in left if c not in right], [c for c in right if c not in left]

    def table(x: Array, term: str, *groups: list[str]) -> Array:
        """The batch axes as they are, then one axis for each group of indices."""
        x = x.transpose([term.index(c) for group in (batch, *groups) for c in group])
        ends = np.cumsum([len(batch), *map(len, groups)]).tolist()
        return x.reshape((*x.shape[: len(batch)], *(math.prod(x.shape[i:j]) for i, j in pairwise(ends))))

    out = table(a, left, rows, inner), table(b, right, inner, columns)
    product = out[0] @ out[1] if inner else out[0] * out[1]  # without a sum it is (rows, 1)·(1, columns)
    shape = [sizes[c] if c in rows else others[c] for c in rows + columns]
    return product.reshape((*product.shape[: len(batch)], *shape)), "".join(batch + rows + columns)
