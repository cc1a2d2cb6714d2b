"""Over arrays: forward and backward of γ·x̂ + β where samples are the columns of a small table, and γ and β are one row (Batch).

See ``kernels`` for the algebra. Σ dy and Σ dy·c say all there is to say, and γ·rstd is one row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.arrays import Array, number
from .rows import PIECE, Gradients, down


def few_columns(x: Array, weight: Any, axis: tuple[int, ...]) -> bool:
    """Whether it is the plainest case, as ``few_rows``: one piece, the first of two axes a sample, γ a row of the same dtype."""
    shape = x.shape
    return (
        axis == (0,)
        and len(shape) == 2
        and 0 < x.size <= PIECE
        and x.dtype.char in "fd"
        and type(weight) is np.ndarray
        and weight.dtype is x.dtype
        and weight.shape == shape[1:]
    )


def columns_forward(x: Array, w: Array, b: Array, eps: float, center: bool) -> tuple[Array, Array, Array]:
    """y, μ and rstd."""
    char = x.dtype.char
    size = number(len(x), char)
    if center:
        mu = down(None, x)
        mu /= size
        c = x - mu
    else:
        mu, c = np.zeros(x.shape[1], x.dtype), x
    rstd = down(None, c * c)
    rstd /= size
    rstd += number(eps, char)
    np.sqrt(rstd, out=rstd)
    np.divide(number(1.0, char), rstd, out=rstd)
    y = np.multiply(c, rstd * w, out=c if center else None)
    y += b
    return y, mu, rstd


def columns_backward(
    wanted: tuple[bool, bool, bool], dy: Array, x: Array, w: Array, center: bool, mu: Array, rstd: Array
) -> Gradients:
    """dx, dγ and dβ."""
    dx, db = None, down(None, dy)
    c = x - mu if center else x
    product = dy * c
    dw = down(None, product)
    dw *= rstd
    if wanted[0]:
        size, scale = number(len(x), x.dtype.char), rstd * w
        along = dw * scale
        along /= size
        along *= rstd
        dx = np.multiply(dy, scale, out=product)
        dx -= np.multiply(c, along, out=c if center else None)
        if center:
            scale *= db
            scale /= size
            dx -= scale
    return dx, dw if wanted[1] else None, db if wanted[2] else None
