"""Over arrays: forward and backward of γ·x̂ + β in pieces that stay in cache."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..engine.arrays import SLAB, Array, sum_to
from ..engine.primitives import mean, rsqrt


def slabs(shape: tuple[int, ...], axis: tuple[int, ...]) -> Iterator[Any]:
    """Index the array in pieces that stay in cache and that no moment reaches across."""
    if not shape or 0 in axis or math.prod(shape) <= SLAB:
        yield ...
        return
    step = max(1, SLAB // max(1, math.prod(shape[1:])))
    for start in range(0, shape[0], step):
        yield slice(start, start + step)


def _standardize(x: Any, axis: tuple[int, ...], eps: float, center: bool = True) -> tuple[Any, Any]:
    centred = x - mean(x, axis=axis) if center else x
    rstd = rsqrt(mean(centred**2, axis=axis) + eps)
    return centred * rstd, rstd


def _piece(p: Any, piece: Any, ndim: int) -> Any:
    return p if piece is ... or np.ndim(p) < ndim or np.shape(p)[0] == 1 else p[piece]


def affine_standardize(x: Array, weight: Any, bias: Any, axis: tuple[int, ...], eps: float, center: bool = True) -> Array:
    """γ·x̂ + β over arrays; float16 is computed in float32."""
    dtype = x.dtype if x.dtype == np.float16 else np.result_type(x, weight, bias)  # half in, half out, as PyTorch
    wide = np.float32 if dtype == np.float16 else dtype
    out = np.empty(np.broadcast_shapes(x.shape, np.shape(weight), np.shape(bias)), dtype)
    for piece in slabs(x.shape, axis):
        xhat, _ = _standardize(x[piece].astype(wide, copy=False), axis, eps, center)
        out[piece] = xhat * _piece(weight, piece, x.ndim) + _piece(bias, piece, x.ndim)
    return out


def affine_standardize_pullbacks(
    wanted: tuple[bool, bool, bool],
    g: Array,
    x: Array,
    weight: Any,
    bias: Any,
    axis: tuple[int, ...],
    eps: float,
    center: bool = True,
) -> tuple[Array | None, Array | None, Array | None]:
    """dx, dγ, dβ in one pass: the statistics are recomputed once, in cache, for all three.

    The sums for dγ and dβ are carried in float64.
    """
    wide = np.float32 if x.dtype == np.float16 else np.result_type(x, g)
    dx = np.empty(x.shape, x.dtype) if wanted[0] else None
    dw, db = (np.zeros(np.shape(p), np.float64) if want else None for p, want in zip((weight, bias), wanted[1:]))
    for piece in slabs(x.shape, axis):
        gs = g[piece].astype(wide, copy=False)
        if db is not None:
            part = _piece(db, piece, x.ndim)
            part += sum_to(gs, part.shape)
        if dw is None and dx is None:
            continue
        xhat, rstd = _standardize(x[piece].astype(wide, copy=False), axis, eps, center)
        if dw is not None:
            part = _piece(dw, piece, x.ndim)
            part += sum_to(gs * xhat, part.shape)
        if dx is not None:
            gs = gs * _piece(weight, piece, x.ndim)
            xhat = xhat * mean(gs * xhat, axis=axis)
            if center:
                gs = gs - mean(gs, axis=axis)
            dx[piece] = rstd * (gs - xhat)
    return (
        dx,
        None if dw is None else dw.astype(weight.dtype, copy=False),
        None if db is None else db.astype(bias.dtype, copy=False),
    )
