"""Over arrays: forward and backward of γ·x̂ + β in pieces that stay in cache, the axes a parameter.

The algebra is the rules' own, arranged so that few passes over the entries remain. With c = x − μ, rstd = 1/√(σ² + ε):

    y  = c·rstd·γ + β
    dx = rstd·(dy·γ − mean(dy·γ) − c·rstd²·mean(dy·γ·c))        dγ = Σ rstd·(dy·c)        dβ = Σ dy

c is taken before anything is multiplied by it: in x·(rstd·γ) + (β − μ·rstd·γ) a large mean would cost its digits.
Sums run as products of matrices and vectors. There are two patterns. Where γ runs along the entries of a sample (Layer, RMS),
the product dy·c serves two sums. Where γ is the same along the innermost axes (Batch, Group, Instance), Σ dy and Σ dy·c
along these say all there is to say, and γ·rstd is one factor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..engine.arrays import SLAB, Array, by_rows, number, ones, row_sums, sum_to, sums
from ..engine.primitives import mean, rsqrt
from .known import recall, remember

PIECE = 1 << 17  # entries worked on at a time: 512 kB of float32, half of a core's second cache
Gradients = tuple["Array | None", "Array | None", "Array | None"]
Piece = tuple[slice, ...]
_AS_IT_IS = nullcontext()
_RSTD = {char: (float(np.finfo(char).max) ** -0.45, float(np.finfo(char).tiny) ** -0.49) for char in "fd"}
_TINY = 1e-20  # an ε below lets rstd³ leave the range of float32 where no gradient does


def affine_standardize(x: Array, weight: Any, bias: Any, axis: tuple[int, ...], eps: float, center: bool = True) -> Array | None:
    """γ·x̂ + β over arrays; float16 is computed in float32. The moments are remembered for the way back.

    None where squares leave the dtype's range: that is left to the rules.
    """
    if _few_rows(x, weight, axis) and type(bias) is np.ndarray and bias.shape == weight.shape and bias.dtype is x.dtype:
        y, mu, rstd = _rows_forward(x, weight, bias, x.shape[1], eps, center)
        if not _well(rstd, eps):
            return None
        remember(x, (axis, eps, center, x.dtype), mu, rstd)
        return y
    dtype = x.dtype if x.dtype == np.float16 else _common(x, weight, bias)  # half in, half out, as PyTorch
    wide = np.dtype(np.float32) if dtype == np.float16 else dtype
    if dtype.kind == "c":  # complex step: the definition itself, in which no conjugate hides
        c = x - mean(x, axis=axis) if center else x
        return c * rsqrt(mean(c * c, axis=axis) + eps) * weight + bias  # type: ignore[no-any-return]
    with by_rows() if x.size > SLAB else _AS_IT_IS:
        forward = _forward_in_rows if _in_rows(x.shape, weight, bias, axis) else _forward
        y, mu, rstd = forward(x, weight, bias, axis, eps, center, dtype, wide)
    if not _well(rstd, eps):
        return None
    remember(x, (axis, eps, center, wide), mu, rstd)
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
    if _few_rows(x, weight, axis) and g.dtype is x.dtype and type(bias) is np.ndarray and bias.shape == weight.shape:
        known = recall(x, (axis, eps, center, x.dtype))
        if known is not None:
            return _rows_backward(wanted, g, x, weight, x.shape[1], eps, center, *known)
    wide = np.dtype(np.float32) if x.dtype == np.float16 else _common(x, g, weight)
    known = recall(x, (axis, eps, center, wide))
    with by_rows() if x.size > SLAB else _AS_IT_IS:
        if known is None:
            forward = _forward_in_rows if _in_rows(x.shape, 1.0, 0.0, axis) else _forward
            known = forward(x, 1.0, 0.0, axis, eps, center, wide, wide)[1:]
            if not _well(known[1], eps):
                return None
        backward = _backward_in_rows if _in_rows(x.shape, weight, bias, axis) else _backward
        return backward(wanted, g, x, weight, bias, axis, eps, center, *known, wide)


def _well(rstd: Array, eps: float) -> bool:
    """Whether σ² and its cube stay in the dtype's range. Only an ε that is next to nothing lets it be too small."""
    low, high = _RSTD[rstd.dtype.char]
    return bool(np.count_nonzero(rstd > low) == rstd.size and (eps > _TINY or np.count_nonzero(rstd < high) == rstd.size))


def _common(first: Array, *others: Any) -> Any:
    """The dtype that all of these arrays fit into (numbers among them do not count)."""
    for p in others:
        if isinstance(p, np.ndarray) and p.dtype != first.dtype:
            return np.result_type(*(a for a in (first, *others) if isinstance(a, np.ndarray)))
    return first.dtype


# Samples as rows, γ and β as one row ---------------------------------------------------------------------------


def _in_rows(shape: tuple[int, ...], weight: Any, bias: Any, axis: tuple[int, ...]) -> bool:
    lead = len(shape) - len(axis)
    if not axis or axis[0] != lead:  # axes are sorted: then they are not the last ones
        return False
    one = shape[lead:]
    return (not isinstance(weight, np.ndarray) or weight.shape == one) and (not isinstance(bias, np.ndarray) or bias.shape == one)


def _few_rows(x: Array, weight: Any, axis: tuple[int, ...]) -> bool:
    """Whether it is the plainest case, in which every check and every copy would cost as much as the sums: a table of one
    piece, each row a sample, γ one row of the same dtype."""
    shape = x.shape
    return (
        axis == (1,)
        and len(shape) == 2
        and 0 < x.size <= PIECE
        and x.dtype.char in "fd"
        and type(weight) is np.ndarray
        and weight.dtype is x.dtype
        and weight.shape == shape[1:]
    )


def _flat(p: Any) -> Any:
    return p if not isinstance(p, np.ndarray) or p.ndim == 1 else p.reshape(-1)


def _forward_in_rows(
    x: Array, w: Any, b: Any, axis: tuple[int, ...], eps: float, center: bool, dtype: Any, wide: Any
) -> tuple[Array, Array, Array]:
    n = math.prod(x.shape[axis[0] :])
    rows, w, b = x.reshape(math.prod(x.shape[: axis[0]]), n), _flat(w), _flat(b)
    if 0 < x.size <= PIECE:
        y, mu, rstd = _rows_forward(rows if rows.dtype == wide else rows.astype(wide), w, b, n, eps, center)
        return y.reshape(x.shape) if dtype == wide else y.reshape(x.shape).astype(dtype), mu, rstd
    out = np.empty(rows.shape, dtype)
    mu, rstd = np.zeros(len(rows), wide), np.empty(len(rows), wide)
    step = max(1, PIECE // max(1, n))
    for start in range(0, len(rows) if n else 0, step):
        part = slice(start, start + step)
        place = out[part] if dtype == wide else None
        y, mu[part], rstd[part] = _rows_forward(rows[part].astype(wide, copy=False), w, b, n, eps, center, place)
        if place is None:
            out[part] = y
    return out.reshape(x.shape), mu, rstd


def _rows_forward(
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


def _backward_in_rows(
    wanted: tuple[bool, bool, bool],
    g: Array,
    x: Array,
    weight: Any,
    bias: Any,
    axis: tuple[int, ...],
    eps: float,
    center: bool,
    mu: Array,
    rstd: Array,
    wide: Any,
) -> Gradients:
    n = math.prod(x.shape[axis[0] :])
    mu, rstd = _flat(mu), _flat(rstd)
    shape = (len(rstd), n)
    rows, gs = x.reshape(shape), g.reshape(shape)
    w = _flat(weight) if isinstance(weight, np.ndarray) else ones(n, wide.char) * weight
    if 0 < x.size <= PIECE:
        if rows.dtype != wide or gs.dtype != wide:
            rows, gs = rows.astype(wide), gs.astype(wide)
        dx, dw, db = _rows_backward(wanted, gs, rows, w, n, eps, center, mu, rstd)
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
            found = _rows_backward(wanted, dy, xs, w, n, eps, center, mu[part], r, out, spare[: len(dy)])
            for whole, some in zip((dw, db), found[1:]):
                if whole is not None and some is not None:
                    whole += some
            if dx is not None and not direct:
                dx[part] = out
    return _like(dx, x), _like(dw, weight), _like(db, bias)


def _like(share: Array | None, x: Any) -> Array | None:
    """A gradient in the shape and dtype of what it is the gradient of."""
    if share is not None and (share.shape != x.shape or share.dtype != x.dtype):
        share = share.reshape(x.shape).astype(x.dtype, copy=False)
    return share


def _rows_backward(
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
    db = _down(None, dy) if wanted[2] else None
    if wanted[0] or wanted[1]:
        c = np.subtract(x, mu[:, None], spare) if center else x
        far = eps < _TINY
        if far:
            c = np.multiply(c, rstd[:, None], c if center else spare)
        product = np.multiply(dy, c, out)
        dw = _down(None if far else rstd, product) if wanted[1] else None
        if wanted[0]:
            w_n = w / number(n, w.dtype.char)
            along = product.dot(w_n)
            along *= rstd
            if not far:
                along *= rstd
                along *= rstd
            dx = np.dot(rstd[:, None], w[None], out)
            dx *= dy
            dx -= np.multiply(c, along[:, None], c if center or far else spare)
            if center:
                level = dy.dot(w_n)
                level *= rstd
                dx -= level[:, None]
    return dx, dw, db


def _down(r: Array | None, t: Array) -> Array:
    """Σ over the rows of t, each times its r; long columns in float64."""
    if len(t) > 256:
        t = sums(t, None if r is None else np.broadcast_to(r[:, None], t.shape), (1, t.shape[1]))
        return t.reshape(-1)
    return np.asarray((ones(len(t), t.dtype.char) if r is None else r).dot(t))


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


def _forward(
    x: Array, w: Any, b: Any, axis: tuple[int, ...], eps: float, center: bool, dtype: Any, wide: Any
) -> tuple[Array, Array, Array]:
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
                c *= r * ws
            else:
                c *= r
                c *= ws
            if isinstance(b, np.ndarray) or b != 0.0:
                c += _at(b, p)
    if held is not out:
        out[...] = held
    return out, mu, rstd


def _centred(x: Array, mu: Array, c: Array, shape: tuple[int, ...]) -> Array:
    """c ← x − μ; Σ c²."""
    np.subtract(x, mu, out=c)
    return sums(c, c, shape)


def _backward(
    wanted: tuple[bool, bool, bool],
    g: Array,
    x: Array,
    weight: Any,
    bias: Any,
    axis: tuple[int, ...],
    eps: float,
    center: bool,
    mu: Array,
    rstd: Array,
    wide: Any,
) -> Gradients:
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
            c = np.subtract(x[p], m, dtype=wide)
            sums_of.append(_gather(dy, c, r, _at(w, p), _at(dw, p), _at(db, p)))
        if dx is None:
            continue
        along, level = (_added(iter(parts)) for parts in zip(*sums_of))
        along, level = (along * r / n * r * r).astype(wide), (level * r / n).astype(wide)
        for p in some:
            if len(some) > 1:
                dy, c = g[p].astype(wide, copy=False), np.subtract(x[p], m, dtype=wide)
            ws = _at(w, p)
            share = dy * (r * ws) if _coarse(r, ws, c) is not None else dy * ws * r
            c *= along
            share -= c
            if center:
                share -= level
            dx[p] = share
    return dx, _like(dw, weight), _like(db, bias)


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
