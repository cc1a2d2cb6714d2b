"""AdaIN: an image gives up its own mean and spread, channel by channel, and takes those of another, the style.

    x̂ = (x − μ(x))/√(σ²(x) + ε)        y = σₛ·x̂ + μ(s),        σₛ = √(σ²(s) + ε)

Axes        all but the first two: (N, C, *), each sample and channel by itself. The style is (N, C, *) too, with as many
            axes; its places may be fewer or more
ε           inside both roots, the same: so ``adaptive_instance_norm(x, x)`` is x, for every ε. Default 1e-5
variance    biased, both. The PyTorch code that most people use (pytorch-AdaIN) takes the unbiased variance for both: the
            factors √(M/(M − 1)) cancel where content and style have as many places, up to ε
Elsewhere   no framework has it. StyleGAN's "AdaIN" is another thing: scale and shift come from a learned affine map of a
            latent vector, which is InstanceNorm followed by ``film``

Backward, with g = dy·σₛ, rstd = 1/√(σ²(x) + ε), ŝ = (s − μ(s))/σₛ; M places in the content, K in the style:

    dx = rstd·(g − mean(g) − x̂·mean(g·x̂))        means over the content's places
    ds = (Σ dy + ŝ·Σ dy·x̂)/K                      sums over the content's places

because ∂μ(s)/∂sᵢ = 1/K and ∂σₛ/∂sᵢ = (sᵢ − μ(s))/(K·σₛ) = ŝᵢ/K: ŝ has the ε, too. Where M = K the sums over K are means,
and that is how ds is mostly quoted; for other sizes it is M/K times those means.

Source: Huang, Belongie 2017, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization"
(arXiv:1703.06868), eq. 8.
"""

from __future__ import annotations

import math
from typing import Any

from ..engine import Op, ShapeError, Tensor, describe, scope
from ..engine.arguments import floating
from ..engine.primitives import mean, sqrt, sum
from .arguments import is_analytic, narrow, node_for, number, widen
from .moments import pull_standardize, record, standardize
from .registry import Norm, by_name, register


@scope("AdaIN")
def adaptive_instance_norm(input: Tensor, style: Tensor, eps: float = 1e-5, backward: str = "recorded") -> Tensor:
    """``input`` with the mean and the spread of ``style``, for each sample and channel; see the file's head.

    input:     the content, float tensor, shape (N, C, *), at least 2 places
    style:     shape (N, C, *), with the same N, C and number of axes, at least 2 places
    backward:  "recorded", or "analytic": one node with the hand-derived pullbacks

    Returns a tensor of the input's shape. float16 computes in float32 and returns float16.
    Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for integers.
    """
    x = floating(input, "adaptive_instance_norm")
    s = floating(style, "adaptive_instance_norm", "style")
    if x.ndim < 3 or x.ndim != s.ndim or x.shape[:2] != s.shape[:2]:
        raise ShapeError(
            f"adaptive_instance_norm: input {describe(x)} and style {describe(s)}: both are (N, C, *) with places after the "
            "channels, the same N and C, and the same number of axes. One style for all samples: style.broadcast_to(N, …)."
        )
    for what, t in (("input", x), ("style", s)):
        places = math.prod(t.shape[2:])
        if math.prod(t.shape[:2]) and places < 2 and (places or what == "style"):  # content without places gives an empty y
            raise ShapeError(
                f"adaptive_instance_norm: {what} {describe(t)} has {'one place' if places else 'no place'} per channel; it takes "
                f"at least 2 places, for {'one value has' if places else 'nothing has'} no spread. Normalize before the places "
                "are pooled."
            )
    axis, eps = tuple(range(2, x.ndim)), number("adaptive_instance_norm", "eps", eps)
    if is_analytic("adaptive_instance_norm", backward) and x.size:
        return node_for(ANALYTIC, backward)(x, s, axis=axis, eps=eps)  # type: ignore[no-any-return]
    with scope("content"):
        xhat = record(widen(x), axis, eps)
    with scope("style"):
        mu, variance = _moments(s, axis)
        mu, sigma = mu.named("μ(s)"), sqrt(variance.named("σ²(s)") + eps).named("σₛ")
    with scope("affine"):
        y: Tensor = narrow(xhat * sigma + mu, x)
    return y


# The hand-derived node -------------------------------------------------------------------------------------------


def _moments(s: Any, axis: tuple[int, ...]) -> tuple[Any, Any]:
    s = widen(s)
    mu = mean(s, axis=axis)
    return mu, mean((s - mu) ** 2, axis=axis)


def _forward(x: Any, s: Any, *, axis: tuple[int, ...], eps: float) -> Any:
    xhat, _ = standardize(x, axis, eps)
    mu, variance = _moments(s, axis)
    return narrow(xhat * sqrt(variance + eps) + mu, x)


def _dx(g: Any, out: Any, x: Any, s: Any, *, axis: tuple[int, ...], eps: float) -> Any:
    xhat, rstd = standardize(x, axis, eps)
    return pull_standardize(widen(g) * sqrt(_moments(s, axis)[1] + eps), xhat, rstd, axis)


def _ds(g: Any, out: Any, x: Any, s: Any, *, axis: tuple[int, ...], eps: float) -> Any:
    g = widen(g)  # a sum of halves may overflow where its mean does not
    xhat, _ = standardize(x, axis, eps)
    shat, _ = standardize(s, axis, eps)
    places = math.prod([s.shape[a] for a in axis])
    return (sum(g, axis=axis) + shat * sum(g * xhat, axis=axis)) * (1 / places)


ANALYTIC = Op("adaptive_instance_norm", "AdaIN({0}, {1})", _forward, (_dx, _ds))


# What the rest of the house asks --------------------------------------------------------------------------------

NORM = register(
    Norm(
        name="adaptive_instance_norm",
        title="AdaIN",
        apply=by_name(adaptive_instance_norm),
        parameters=lambda shape, **options: {"style": (*shape[:-1], shape[-1] + 1)},  # of another size than the content
        symbols={"input": "x", "style": "s"},
        options={"eps": 1e-5},
        shape=(2, 3, 4),
        samples=({"shape": (2, 2, 2, 3), "eps": 0.3},),
        min_ndim=3,
        projects=True,
        formula="y = σ(s)·(x − μ)/√(σ² + ε) + μ(s), σ(s) = √(σ²(s) + ε)",
        backward_formula="dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·σ(s),  ds = (Σ dy + ŝ·Σ dy·x̂)/K, K places in s",
        references=("Huang, Belongie 2017, Arbitrary Style Transfer in Real-time with AdaIN, arXiv:1703.06868",),
    )
)
