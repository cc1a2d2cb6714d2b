"""Over arrays: forward and backward of γ·x̂ + β where samples are rows, and γ and β are one row (Layer, RMS).

See ``kernels`` for the algebra. The product dy·c serves two sums.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..engine.arrays import Array, number, ones, row_sums

PIECE = 1 << 17  # entries worked on at a time: 512 kB of float32, half of a core's second cache
_COLUMN = 256  # rows added up in the array's own dtype before they join a float64 sum
TINY = 1e-20  # an ε below lets rstd³ leave the range of float32 where no gradient does
Gradients = tuple["Array | None", "Array | None", "Array | None"]


class How(NamedTuple):
    """The axes of the moments, ε, whether the mean is subtracted, and the dtype that is computed in."""

    axis: tuple[int, ...]
    eps: float
    center: bool
    wide: Any


def in_rows(shape: tuple[int, ...], weight: Any, bias: Any, axis: tuple[int, ...]) -> bool:
    lead = len(shape) - len(axis)
    if not axis or axis[0] != lead:  # axes are sorted: then they are not the last ones
        return False
    one = shape[lead:]
    return (not isinstance(weight, np.ndarray) or weight.shape == one) and (not isinstance(bias, np.ndarray) or bias.shape == one)


def few_rows(x: Array, weight: Any, axis: tuple[int, ...]) -> bool:
    """Whether it is the plainest case, in which every check and every copy would cost as much as the sums: one piece, the last
    axis a sample, γ one of the same dtype."""
    shape = x.shape
    return (
        axis == (len(shape) - 1,)
        and 0 < x.size <= PIECE
        and x.dtype.char in "fd"
        and type(weight) is np.ndarray
        and weight.dtype is x.dtype
        and weight.shape == shape[-1:]
    )


def _flat(p: Any) -> Any:
    return p if not isinstance(p, np.ndarray) or p.ndim == 1 else p.reshape(-1)


def forward_in_rows(x: Array, w: Any, b: Any, how: How, dtype: Any) -> tuple[Array, Array, Array]:
    axis, eps, center, wide = how
    n = math.prod(x.shape[axis[0] :])
    rows, w, b = x.reshape(math.prod(x.shape[: axis[0]]), n), _flat(w), _flat(b)
    if 0 < x.size <= PIECE:
        y, mu, rstd = rows_forward(rows if rows.dtype == wide else rows.astype(wide), w, b, n, eps, center)
        return y.reshape(x.shape) if dtype == wide else y.reshape(x.shape).astype(dtype), mu, rstd
    out = np.empty(rows.shape, dtype)
    mu, rstd = np.zeros(len(rows), wide), np.empty(len(rows), wide)
    step = max(1, PIECE // max(1, n))
    for start in range(0, len(rows) if n else 0, step):
        part = slice(start, start + step)
        place = out[part] if dtype == wide else None
        y, mu[part], rstd[part] = rows_forward(rows[part].astype(wide, copy=False), w, b, n, eps, center, place)
        if place is None:
            out[part] = y
    return out.reshape(x.shape), mu, rstd


def rows_forward(
    x: Array, w: Any, b: Any, n: int, eps: float, center: bool, out: Array | None = None
) -> tuple[Array, Array, Array]:
    """y, μ and rstd of some rows, of the dtype that is computed in."""
    char = x.dtype.char
    size = number(n, char)
    if center:
        mu = row_sums(x)
        mu /= size
        x = out = np.subtract(x, mu[:, None], out)
    else:
        mu = np.zeros(len(x), x.dtype)
    rstd = row_sums(x, x)
    rstd /= size
    rstd += number(eps, char)
    np.sqrt(rstd, rstd)
    np.divide(number(1.0, char), rstd, rstd)
    scale = rstd[:, None]
    if isinstance(w, np.ndarray):
        scale = scale.dot(w[None])
    elif w != 1.0:
        scale = scale * w
    y = np.multiply(x, scale, out)
    if isinstance(b, np.ndarray) or b != 0.0:
        y += b
    return y, mu, rstd


def backward_in_rows(
    wanted: tuple[bool, bool, bool], g: Array, x: Array, weight: Any, bias: Any, how: How, mu: Array, rstd: Array
) -> Gradients:
    axis, eps, center, wide = how
    n = math.prod(x.shape[axis[0] :])
    mu, rstd = _flat(mu), _flat(rstd)
    shape = (len(rstd), n)
    rows, gs = x.reshape(shape), g.reshape(shape)
    w = _flat(weight) if isinstance(weight, np.ndarray) else ones(n, wide.char) * weight
    if 0 < x.size <= PIECE:
        if rows.dtype != wide or gs.dtype != wide:
            rows, gs = rows.astype(wide), gs.astype(wide)
        dx, dw, db = rows_backward(wanted, gs, rows, w, n, eps, center, mu, rstd)
    else:
        dx = np.empty(shape, x.dtype) if wanted[0] else None
        dw, db = (np.zeros(n) if want else None for want in wanted[1:])
        step = max(1, min(PIECE // max(1, n), shape[0]))
        spare = np.empty((step, n), wide)
        direct = dx is not None and dx.dtype == wide
        place: Any = dx if direct else np.empty((step, n), wide)
        for start in range(0, shape[0] if n else 0, step):
            part = slice(start, start + step)
            dy, xs, r = gs[part].astype(wide, copy=False), rows[part].astype(wide, copy=False), rstd[part]
            out = place[part] if direct else place[: len(dy)]
            found = rows_backward(wanted, dy, xs, w, n, eps, center, mu[part], r, out, spare[: len(dy)])
            for whole, some in zip((dw, db), found[1:]):
                if whole is not None and some is not None:
                    whole += some
            if dx is not None and not direct:
                dx[part] = out
    return like(dx, x), like(dw, weight), like(db, bias)


def like(share: Array | None, x: Any) -> Array | None:
    """A gradient in the shape and dtype of what it is the gradient of."""
    if share is not None and (share.shape != x.shape or share.dtype != x.dtype):
        share = share.reshape(x.shape).astype(x.dtype, copy=False)
    return share


def rows_backward(
    wanted: tuple[bool, bool, bool],
    dy: Array,
    x: Array,
    w: Array,
    n: int,
    eps: float,
    center: bool,
    mu: Array,
    rstd: Array,
    out: Array | None = None,
    spare: Array | None = None,
) -> Gradients:
    """dx, dγ and dβ of some rows, of the dtype that is computed in; ``out``, ``spare``: where dx, and c, may stand."""
    dx = dw = None
    db = down(None, dy) if wanted[2] else None
    if wanted[0] or wanted[1]:
        c = np.subtract(x, mu[:, None], spare) if center else x
        far = eps < TINY
        if far:
            c = np.multiply(c, rstd[:, None], c if center else spare)
        product = np.multiply(dy, c, out)
        dw = down(None if far else rstd, product) if wanted[1] else None
        if wanted[0]:
            w_n = w / number(n, w.dtype.char)
            along = product.dot(w_n)
            along *= rstd
            if not far:
                along *= rstd
                along *= rstd
            dx = np.dot(rstd[:, None], w[None], product if product.flags.c_contiguous else None)
            dx *= dy
            dx -= np.multiply(c, along[:, None], c if center or far else spare)
            if center:
                level = dy.dot(w_n)
                level *= rstd
                dx -= level[:, None]
    return dx, dw, db


def down(r: Array | None, t: Array) -> Array:
    """Σ over the rows of t, each times its r; long columns in float64."""
    weights = ones(min(len(t), _COLUMN), t.dtype.char) if r is None else r
    if len(t) <= _COLUMN:
        return np.asarray(weights.dot(t))
    total = np.zeros(t.shape[1])
    for start in range(0, len(t), _COLUMN):
        some = t[start : start + _COLUMN]
        total += (weights[: len(some)] if r is None else weights[start : start + _COLUMN]).dot(some)
    return total.astype(t.dtype, copy=False)
