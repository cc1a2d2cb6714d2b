"""Centre and scale: the one computation behind Layer, Batch, Group, Instance and RMS normalization.

    x̂ = (x − mean(x))·rstd,  rstd = 1/√(mean((x − mean(x))²) + ε)          without centring: x̂ = x/√(mean(x²) + ε)

The members of the family differ in the axes the means are taken over, in whether they centre, and in how the affine
part is broadcast. The rules are written in operators and ops, so they hold for arrays, tensors and symbols.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine import Op, Tensor, scope
from ..engine.arrays import Array, sums
from ..engine.primitives import mean, rsqrt, sqrt, where
from ..engine.state import state, sure
from .arguments import affine_inputs, by_node, is_analytic, narrow, widen
from .kernels import affine_standardize, affine_standardize_pullbacks, pieces
from .ranges import power_of_two, shrunk

# The mathematics ------------------------------------------------------------------------------------------


def standardize(x: Any, axis: tuple[int, ...], eps: float, center: bool = True) -> tuple[Any, Any]:
    """x̂ and rstd; σ² is biased and taken by its definition, in two passes.

    E[x²] − E[x]² would save a pass and lose everything where the mean is large. (What remains is the rounding of μ itself: half
    a unit of its last place, so that x̂ is off by as much as if each x had been rounded once more.)
    """
    x = widen(x)
    centred = x - mean(x, axis=axis) if center else x
    variance = mean(centred**2, axis=axis) + eps
    scale = power_of_two(variance, centred, axis, least=eps)
    if scale is not None:
        centred = centred / scale
        rstd = rsqrt(mean(centred**2, axis=axis) + shrunk(eps, scale, 2))
        return centred * rstd, rstd / scale
    rstd = rsqrt(variance)
    return centred * rstd, rstd


def pull_standardize(g: Any, xhat: Any, rstd: Any, axis: tuple[int, ...], center: bool = True) -> Any:
    """dx = rstd·(g − mean(g) − x̂·mean(g·x̂)) for the cotangent g of x̂; without centring, no mean(g). Exact for every ε ≥ 0."""
    rest = g - mean(g, axis=axis) if center else g
    return rstd * (rest - xhat * mean(g * xhat, axis=axis))


def root(v: Any) -> tuple[Any, Any]:
    """√v with the slope 0 where v is 0 (it has none there), and √v as a divisor: 1 where v is 0.

    The guard is on the record only where some v is 0, so that pictures of ordinary numbers stay plain.
    """
    if isinstance(v, (np.ndarray, Tensor)) and not sure(np.all(v.data if isinstance(v, Tensor) else v)):
        some = sqrt(where(v == 0, 1.0, v))
        return where(v == 0, 0.0, some), some
    sigma = sqrt(v)
    return sigma, sigma


# The hand-derived node: y = γ·x̂ + β -----------------------------------------------------------------------
# The statistics are recomputed from the input, in the same operators: over tensors they are recorded
# like anything else, which is what makes the second and all higher derivatives right.


def _dx(g: Any, out: Any, x: Any, w: Any = 1.0, b: Any = 0.0, *, axis: tuple[int, ...], eps: float, center: bool = True) -> Any:
    xhat, rstd = standardize(x, axis, eps, center)
    return pull_standardize(widen(g) * w, xhat, rstd, axis, center)


def pull_gain(g: Any, out: Any, x: Any, w: Any, b: Any = 0.0, *, axis: tuple[int, ...], eps: float, center: bool = True) -> Any:
    """dγ = dy·x̂, summed by the engine over the axes along which γ was spread."""
    xhat, _ = standardize(x, axis, eps, center)
    return widen(g) * xhat


def pull_shift(g: Any, *others: Any, **params: Any) -> Any:
    """dβ = dy, summed by the engine over the axes along which β was spread; in float32 for float16."""
    return widen(g)


def affine_array(x: Any, w: Any, b: Any, axis: tuple[int, ...], eps: float, center: bool = True) -> Any:
    """γ·x̂ + β: over arrays by the kernel, by the definition where the kernel gives up, and over tensors and symbols."""
    y = affine_standardize(x, w, b, axis, eps, center) if isinstance(x, np.ndarray) else None
    return narrow(standardize(x, axis, eps, center)[0] * w + b, x) if y is None else y


def _forward(x: Any, w: Any = 1.0, b: Any = 0.0, *, axis: tuple[int, ...], eps: float, center: bool = True) -> Any:
    return affine_array(x, w, b, axis, eps, center)


def _kernel(
    wanted: Sequence[int],
    g: Any,
    out: Any,
    x: Any,
    w: Any = 1.0,
    b: Any = 0.0,
    *,
    axis: tuple[int, ...],
    eps: float,
    center: bool = True,
) -> list[Any]:
    shares = affine_standardize_pullbacks((0 in wanted, 1 in wanted, 2 in wanted), g, x, w, b, axis, eps, center)
    if shares is None:
        return [(_dx, pull_gain, pull_shift)[i](g, out, x, w, b, axis=axis, eps=eps, center=center) for i in wanted]
    return [share for share in shares if share is not None]


def normalization(name: str, text: str) -> Op:
    """The analytic node of a member of the family, under its own name: inputs x, γ, β (the last ones may be left out);
    γ and β broadcast against x. Params: ``axis``, ``eps``, ``center``."""
    return Op(name, text, _forward, (_dx, pull_gain, pull_shift), kernel=_kernel)


_MEAN, _VARIANCE, _MEAN_SQUARE, _NORMALIZE, _AFFINE = map(scope, ("mean", "variance", "mean square", "normalize", "affine"))

# The recorded form ----------------------------------------------------------------------------------------


def record(
    x: Tensor, axis: tuple[int, ...], eps: float, center: bool = True, hold_mean: bool = False, hold_std: bool = False
) -> Tensor:
    """x̂ with every step on the record, named and in scopes; μ or rstd as constants if they are to be held.

    Of nothing there are no moments: an empty x stays empty.
    """
    if not x.size:
        return x * 1.0
    centred, square = x, "ms"
    if center:
        with _MEAN:
            mu = mean(x.detach() if hold_mean else x, axis=axis).named("μ")
            centred, square = (x - mu).named("c"), "σ²"
    with _VARIANCE if center else _MEAN_SQUARE:
        variance = mean((centred.detach() if hold_std else centred) ** 2, axis=axis).named(square)
        shifted = variance + eps
        scale = power_of_two(shifted, centred, axis, least=eps)
        if scale is not None:
            centred, eps = (centred / scale).named(f"{centred.name}/2ᵏ"), shrunk(eps, scale, 2)
            variance = mean((centred.detach() if hold_std else centred) ** 2, axis=axis).named(square)
            shifted = variance + eps
        rstd = rsqrt(shifted).named("rstd")
    with _NORMALIZE:
        xhat: Tensor = (centred * rstd).named("x̂")
    return xhat


def affine(xhat: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """γ·x̂ + β, recorded; either may be None."""
    with _AFFINE:
        y = xhat if weight is None else xhat * weight
        return y if bias is None else y + bias


def of_nothing(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """y of an empty x, either way backward: as empty, and the gradients of γ and β are 0. No mean of nothing is asked for."""
    y: Tensor = narrow(affine(widen(x) * 1.0, weight, bias), x)
    return y


def normalize(
    node: Op,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    axis: tuple[int, ...],
    eps: float,
    backward: str,
    center: bool = True,
) -> Tensor:
    """γ·x̂ + β, recorded or as the ``node``. float16 computes its statistics in float32 and gives float16."""
    analytic = is_analytic(node.name, backward)
    if not x._data.size:
        return of_nothing(x, weight, bias)
    if analytic:
        return by_node(node, backward, x, *affine_inputs(weight, bias), axis=axis, eps=eps, center=center)
    y: Tensor = narrow(affine(record(widen(x), axis, eps, center), weight, bias), x)
    return y


# Numbers that no record knows -------------------------------------------------------------------------------


def batch_moments(x: Array, axis: tuple[int, ...], center: bool = True) -> tuple[Array, Array]:
    """Over an array: μ (0 without centring) and the sum of (x − μ)², in float64, the axes kept.

    By definition, in two passes over pieces that stay in cache: nothing of the size of x is made.
    """
    if state.general:
        x = x.astype(np.float64)
        mean_of = np.mean(x, axis, keepdims=True) if center else np.zeros_like(x[:0], shape=())
        return mean_of, np.sum((x - mean_of) ** 2, axis, keepdims=True)
    stat = tuple(1 if a in axis else n for a, n in enumerate(x.shape))
    count = math.prod([x.shape[a] for a in axis])
    mu, square = np.zeros(stat), np.zeros(stat)
    for some in pieces(x.shape, axis) if x.size else ():
        for piece in some:  # what is reduced has one place in a statistic, whatever part of it the piece is
            at = tuple(part if n > 1 else slice(None) for part, n in zip(piece, stat))
            if center:
                mu[at] += sums(x[piece].astype(np.float64), None, mu[at].shape) / count
        for piece in some:
            at = tuple(part if n > 1 else slice(None) for part, n in zip(piece, stat))
            c = np.subtract(x[piece], mu[at], dtype=np.float64)
            square[at] += sums(c, c, square[at].shape)
    return mu, square
