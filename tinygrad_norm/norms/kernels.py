"""Over arrays: forward and backward of γ·x̂ + β in pieces that stay in cache, the axes a parameter.

The algebra is the rules' own, arranged so that few passes over the entries remain. With c = x − μ, rstd = 1/√(σ² + ε):

    y  = c·rstd·γ + β
    dx = rstd·(dy·γ − mean(dy·γ) − c·rstd²·mean(dy·γ·c))        dγ = Σ rstd·(dy·c)        dβ = Σ dy

c is taken before anything is multiplied by it: in x·(rstd·γ) + (β − μ·rstd·γ) a large mean would cost its digits.
Sums run as products of matrices and vectors. There are two patterns. Where γ runs along the entries of a sample (Layer, RMS),
the product dy·c serves two sums. Where γ is the same along the innermost axes (Batch, Group, Instance), Σ dy and Σ dy·c
along these say all there is to say, and γ·rstd is one factor. The first is in ``rows``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..engine.arrays import SLAB, Array, by_rows, sum_to, sums
from ..engine.primitives import mean, rsqrt
from .columns import columns_backward, columns_forward, few_columns
from .known import recall, remember
from .rows import (
    PIECE,
    TINY,
    Gradients,
    How,
    backward_in_rows,
    few_rows,
    forward_in_rows,
    in_rows,
    like,
    rows_backward,
    rows_forward,
)

Piece = tuple[slice, ...]
_AS_IT_IS = nullcontext()
_RSTD = {char: (float(np.finfo(char).max) ** -0.45, float(np.finfo(char).tiny) ** -0.49) for char in "fd"}
_PLACES = 256  # of a channel; more make loops that are long enough


def affine_standardize(x: Array, weight: Any, bias: Any, axis: tuple[int, ...], eps: float, center: bool = True) -> Array | None:
    """γ·x̂ + β over arrays; float16 is computed in float32. The moments are remembered for the way back.

    None where squares leave the dtype's range: that is left to the rules.
    """
    if few_rows(x, weight, axis) and type(bias) is np.ndarray and bias.shape == weight.shape and bias.dtype is x.dtype:
        n = x.shape[-1]
        y, mu, rstd = rows_forward(x if x.ndim == 2 else x.reshape(-1, n), weight, bias, n, eps, center)
        if not _well(rstd, eps):
            return None
        remember(x, (axis, eps, center, x.dtype), mu, rstd)
        return y if x.ndim == 2 else y.reshape(x.shape)
    if few_columns(x, weight, axis) and type(bias) is np.ndarray and bias.shape == weight.shape and bias.dtype is x.dtype:
        y, mu, rstd = columns_forward(x, weight, bias, eps, center)
        if not _well(rstd, eps):
            return None
        remember(x, (axis, eps, center, x.dtype), mu, rstd)
        return y
    dtype = x.dtype if x.dtype == np.float16 else _common(x, weight, bias)  # half in, half out, as PyTorch
    wide = np.dtype(np.float32) if dtype == np.float16 else dtype
    if dtype.kind == "c":  # complex step: the definition itself, in which no conjugate hides
        c = x - mean(x, axis=axis) if center else x
        return c * rsqrt(mean(c * c, axis=axis) + eps) * weight + bias  # type: ignore[no-any-return]
    how = How(axis, eps, center, wide)
    with by_rows() if x.size > SLAB else _AS_IT_IS:
        forward = forward_in_rows if in_rows(x.shape, weight, bias, axis) else _forward
        y, mu, rstd = forward(x, weight, bias, how, dtype)
    if not _well(rstd, eps):
        return None
    remember(x, how, mu, rstd)
    return y


def affine_standardize_pullbacks(
    wanted: tuple[bool, bool, bool],
    g: Array,
    x: Array,
    weight: Any,
    bias: Any,
    axis: tuple[int, ...],
    eps: float,
    center: bool = True,
) -> Gradients | None:
    """dx, dγ, dβ in one pass over the pieces. Sums over pieces are carried in float64. None as for the forward pass."""
    if few_rows(x, weight, axis) and g.dtype is x.dtype and type(bias) is np.ndarray and bias.shape == weight.shape:
        known = recall(x, (axis, eps, center, x.dtype))
        if known is not None:
            n = x.shape[-1]
            if x.ndim == 2:
                return rows_backward(wanted, g, x, weight, n, eps, center, *known)
            dx, dw, db = rows_backward(wanted, g.reshape(-1, n), x.reshape(-1, n), weight, n, eps, center, *known)
            return None if dx is None else dx.reshape(x.shape), dw, db
    if few_columns(x, weight, axis) and g.dtype is x.dtype and type(bias) is np.ndarray and bias.shape == weight.shape:
        known = recall(x, (axis, eps, center, x.dtype))
        if known is not None:
            mu, rstd = known
            return columns_backward(wanted, g, x, weight, center, mu.reshape(-1), rstd.reshape(-1))
    wide = np.dtype(np.float32) if x.dtype == np.float16 else _common(x, g, weight)
    how = How(axis, eps, center, wide)
    known = recall(x, how)
    with by_rows() if x.size > SLAB else _AS_IT_IS:
        if known is None:
            forward = forward_in_rows if in_rows(x.shape, 1.0, 0.0, axis) else _forward
            known = forward(x, 1.0, 0.0, how, wide)[1:]
            if not _well(known[1], eps):
                return None
        backward = backward_in_rows if in_rows(x.shape, weight, bias, axis) else _backward
        return backward(wanted, g, x, weight, bias, how, *known)


def _well(rstd: Array, eps: float) -> bool:
    """Whether σ² and its cube stay in the dtype's range. Only an ε that is next to nothing lets it be too small."""
    low, high = _RSTD[rstd.dtype.char]
    return bool(np.count_nonzero(rstd > low) == rstd.size and (eps > TINY or np.count_nonzero(rstd < high) == rstd.size))


def _common(first: Array, *others: Any) -> Any:
    """The dtype that all of these arrays fit into (numbers among them do not count)."""
    for p in others:
        if isinstance(p, np.ndarray) and p.dtype != first.dtype:
            return np.result_type(*(a for a in (first, *others) if isinstance(a, np.ndarray)))
    return first.dtype


# Any axes, any γ and β that broadcast ----------------------------------------------------------------------------


def pieces(shape: tuple[int, ...], axis: tuple[int, ...]) -> Iterator[list[Piece]]:
    """Index the array in pieces that stay in cache, if the axes allow it; what shares moments comes in one list.

    Where the first axis is reduced (Batch), all pieces share: they are read one after the other, once for each sum.
    """
    size, free = math.prod(shape), [a for a in range(len(shape)) if a not in axis]
    if size <= PIECE:
        yield [()]
        return
    if 0 in axis and (size // shape[0] <= PIECE or not free):
        step = max(1, PIECE // (size // shape[0]))
        yield [(slice(start, start + step),) for start in range(0, shape[0], step)]
        return
    cut, inner = 0, size
    for cut in free:  # the outermost axis that leaves small enough pieces when cut into single steps
        inner = inner // shape[cut]
        if inner <= PIECE:
            break
    step = max(1, PIECE // max(1, inner))
    outer = [a for a in free if a < cut]
    for place in np.ndindex(*(shape[a] for a in outer)):
        index = [slice(None)] * (cut + 1)
        for a, i in zip(outer, place):
            index[a] = slice(i, i + 1)
        for start in range(0, shape[cut], step):
            index[cut] = slice(start, start + step)
            yield [tuple(index)]


def _at(p: Any, piece: Piece) -> Any:
    """The part of a parameter, of as many axes as x, that meets a piece of x."""
    if not piece or not isinstance(p, np.ndarray) or not p.ndim:
        return p
    return p[tuple([i if n > 1 else slice(None) for i, n in zip(piece, p.shape)])]


def _aligned(p: Any, ndim: int) -> Any:
    return p.reshape((1,) * (ndim - p.ndim) + p.shape) if isinstance(p, np.ndarray) else p


def _long(p: Any, x: Array) -> Any:
    """A value for each channel as one for each of its places, if they are few: NumPy's loops are then as long as a sample."""
    few = x.size > SLAB and x.ndim > 2 and x.size < _PLACES * x.shape[0] * x.shape[1]
    if few and isinstance(p, np.ndarray) and p.ndim > 2 and p.shape[0] == p.shape[-1] == 1:
        return np.ascontiguousarray(np.broadcast_to(p, (1, *x.shape[1:])))
    return p


def _coarse(rstd: Array, w: Any, x: Array) -> tuple[int, ...] | None:
    """The shape of γ·rstd where that has far fewer entries than x."""
    shape = np.broadcast_shapes(rstd.shape, w.shape) if isinstance(w, np.ndarray) else rstd.shape
    return shape if math.prod(shape) * 8 <= x.size else None


def _added(parts: Iterator[Array]) -> Array:
    """The sum of what the pieces give; of several in float64."""
    first = next(parts)
    for i, part in enumerate(parts):
        first = part + (first.astype(np.float64) if i == 0 else first)
    return first


def _forward(x: Array, w: Any, b: Any, how: How, dtype: Any) -> tuple[Array, Array, Array]:
    axis, eps, center, wide = how
    w, b = _aligned(w, x.ndim), _aligned(b, x.ndim)
    stat = tuple([1 if a in axis else n for a, n in enumerate(x.shape)])
    n = math.prod([x.shape[a] for a in axis])
    out = np.empty(x.shape, dtype)
    mu, rstd = np.zeros(stat, wide), np.empty(stat, wide)
    held = out if dtype == wide else np.empty(x.shape, wide)
    for some in pieces(x.shape, axis) if x.size else ():
        m, r = _at(mu, some[0] if len(some) == 1 else ()), _at(rstd, some[0] if len(some) == 1 else ())
        if center:
            m[...] = _added(sums(x[p].astype(wide, copy=False), None, m.shape) for p in some) / n
        r[...] = _added(_centred(x[p], m, held[p], r.shape) for p in some) / n
        r += eps
        np.sqrt(r, out=r)
        np.divide(1.0, r, out=r)
        for p in some:
            c, ws = held[p], _at(w, p)
            if _coarse(r, ws, c) is not None:
                c *= _long(r * ws, c)
            else:
                c *= r
                c *= ws
            if isinstance(b, np.ndarray) or b != 0.0:
                c += _long(_at(b, p), c)
    if held is not out:
        out[...] = held
    return out, mu, rstd


def _centred(x: Array, mu: Array, c: Array, shape: tuple[int, ...]) -> Array:
    """c ← x − μ; Σ c²."""
    np.subtract(x, _long(mu, x), out=c)
    return sums(c, c, shape)


def _backward(
    wanted: tuple[bool, bool, bool], g: Array, x: Array, weight: Any, bias: Any, how: How, mu: Array, rstd: Array
) -> Gradients:
    axis, _, center, wide = how
    w = _aligned(weight, x.ndim)
    stat = tuple([1 if a in axis else n for a, n in enumerate(x.shape)])
    n = math.prod([x.shape[a] for a in axis])
    mu, rstd = mu.reshape(stat), rstd.reshape(stat)
    dx = np.empty(x.shape, x.dtype) if wanted[0] else None
    dw, db = (np.zeros(_aligned(p, x.ndim).shape) if want else None for p, want in zip((weight, bias), wanted[1:]))
    for some in pieces(x.shape, axis) if x.size else ():
        m, r = _at(mu, some[0] if len(some) == 1 else ()), _at(rstd, some[0] if len(some) == 1 else ())
        sums_of: list[tuple[Array, Array]] = []
        for p in some:
            dy = g[p].astype(wide, copy=False)
            c = np.subtract(x[p], _long(m, x[p]), dtype=wide)
            sums_of.append(_gather(dy, c, r, _at(w, p), _at(dw, p), _at(db, p)))
        if dx is None:
            continue
        along, level = (_added(iter(parts)) for parts in zip(*sums_of))
        along, level = (along * r / n * r * r).astype(wide), (level * r / n).astype(wide)
        for p in some:
            if len(some) > 1:
                dy, c = g[p].astype(wide, copy=False), np.subtract(x[p], _long(m, x[p]), dtype=wide)
            ws, place = _at(w, p), dx if not p and dx.dtype == wide else None
            if _coarse(r, ws, c) is not None:
                share = np.multiply(dy, _long(r * ws, c), place)
            else:
                share = np.multiply(dy, ws, place)
                share *= r
            c *= _long(along, c)
            share -= c
            if center:
                share -= _long(level, c)
            if place is None:
                dx[p] = share
    return dx, like(dw, weight), like(db, bias)


def _gather(dy: Array, c: Array, rstd: Array, w: Any, dw: Array | None, db: Array | None) -> tuple[Array, Array]:
    """Σ dy·γ·c and Σ dy·γ along the reduced axes of a piece; dγ and dβ are added to."""
    shape = _coarse(rstd, w, c)
    if shape is not None:  # two sums say it all
        with_c, alone = sums(dy, c, shape), sums(dy, None, shape)
        if dw is not None:
            dw += sum_to(with_c * rstd, dw.shape)
        if db is not None:
            db += sum_to(alone, db.shape) if np.broadcast_shapes(shape, db.shape) == shape else sums(dy, None, db.shape)
        return sum_to(with_c * w, rstd.shape), sum_to(alone * w, rstd.shape)
    product = dy * c
    spread = np.broadcast_to(w, c.shape)
    found = sums(product, spread, rstd.shape), sums(dy, spread, rstd.shape)
    if dw is not None:
        dw += sums(product, np.broadcast_to(rstd, product.shape), dw.shape)
    if db is not None:
        db += sums(dy, None, db.shape)
    return found
