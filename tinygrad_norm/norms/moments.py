"""Centre and scale: the one computation behind Layer, Batch, Group and Instance normalization.

They differ only in the axes the moments are taken over and in how the affine part is broadcast.
Everything here is written in operators and ops, so it holds for arrays, tensors and symbols.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..engine.arrays import SLAB, Array, sum_to
from ..engine.primitives import mean, rsqrt


def standardize(x: Any, axis: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """x̂ = (x − μ)·rstd and rstd = 1/√(σ² + ε); σ² is biased and taken by its definition, in two passes.

    E[x²] − E[x]² would save a pass and lose everything where the mean is large.
    """
    centred = x - mean(x, axis=axis)
    rstd = rsqrt(mean(centred**2, axis=axis) + eps)
    return centred * rstd, rstd


def pull_standardize(g: Any, xhat: Any, rstd: Any, axis: tuple[int, ...]) -> Any:
    """dx = rstd·(g − mean(g) − x̂·mean(g·x̂)) for the cotangent g of x̂. Exact for every ε ≥ 0."""
    return rstd * (g - mean(g, axis=axis) - xhat * mean(g * xhat, axis=axis))


# Over arrays ---------------------------------------------------------------------------------------------


def slabs(shape: tuple[int, ...], axis: tuple[int, ...]) -> Iterator[Any]:
    """Index the array in pieces that stay in cache and that no moment reaches across."""
    if not shape or 0 in axis or math.prod(shape) <= SLAB:
        yield ...
        return
    step = max(1, SLAB // max(1, math.prod(shape[1:])))
    for start in range(0, shape[0], step):
        yield slice(start, start + step)


def affine_standardize(x: Array, weight: Any, bias: Any, axis: tuple[int, ...], eps: float) -> Array:
    """γ·x̂ + β over arrays; float16 is computed in float32."""
    dtype = x.dtype if x.dtype == np.float16 else np.result_type(x, weight, bias)  # half in, half out, as PyTorch
    wide = np.float32 if dtype == np.float16 else dtype
    out = np.empty(np.broadcast_shapes(x.shape, np.shape(weight), np.shape(bias)), dtype)
    for piece in slabs(x.shape, axis):
        xhat, _ = standardize(x[piece].astype(wide, copy=False), axis, eps)
        xhat *= weight
        xhat += bias
        out[piece] = xhat
    return out


def affine_standardize_pullbacks(
    wanted: tuple[bool, bool, bool], g: Array, x: Array, weight: Any, bias: Any, axis: tuple[int, ...], eps: float
) -> tuple[Array | None, Array | None, Array | None]:
    """dx, dγ, dβ in one pass over the rows: the statistics are recomputed once, in cache, for all three.

    ``weight`` and ``bias`` have the trailing axes of x. Their sums over the rows are carried in float64.
    """
    wide = np.float32 if x.dtype == np.float16 else np.result_type(x, g)
    dx = np.empty(x.shape, x.dtype) if wanted[0] else None
    dw, db = (np.zeros(np.shape(p), np.float64) if want else None for p, want in zip((weight, bias), wanted[1:]))
    for piece in slabs(x.shape, axis):
        gs = g[piece].astype(wide, copy=False)
        if db is not None:
            db += sum_to(gs, db.shape)
        if dw is None and dx is None:
            continue
        xhat, rstd = standardize(x[piece].astype(wide, copy=False), axis, eps)
        if dw is not None:
            dw += sum_to(gs * xhat, dw.shape)
        if dx is not None:
            gs = gs * weight
            xhat *= mean(gs * xhat, axis=axis)
            gs -= mean(gs, axis=axis)
            gs -= xhat
            gs *= rstd
            dx[piece] = gs
    return (
        dx,
        None if dw is None else dw.astype(weight.dtype, copy=False),
        None if db is None else db.astype(bias.dtype, copy=False),
    )
