"""DetachNorm: LayerNorm in the forward pass; in the backward pass its mean, its deviation or both count as constants.

    μ = mean(x)    c = x − μ    σ² = mean(c²)    r = 1/√(σ² + ε)    x̂ = c·r    y = γ·x̂ + β

Everything as in LayerNorm: the last axes, ε inside the root (default 1e-5), σ² biased, γ and β of shape
``normalized_shape``. It exists to ask what the gradient's routes are good for. LayerNorm's dx, with g = dy·γ, has

    A   direct                r·g
    B   through μ            −r·mean(g)                   re-centres: the sum of dx becomes 0
    C   through σ²           −r·x̂·mean(g·x̂)              re-scales: what is left along x̂ is taken out
    D   through the μ in σ²   r·mean(x̂)·mean(g·x̂) = 0     because deviations from their mean sum to 0

and detaching cuts them:

    nothing             A + B + C (+ D)      dx = r·(g − mean(g) − x̂·mean(g·x̂))
    σ: r is constant    A + B                dx = r·(g − mean(g))
    μ is constant       A + C                dx = r·(g − x̂·mean(g·x̂))
    both                A                    dx = r·g

What a constant μ means inside σ². Here μ is one value, used twice, and a constant in both places: B and D are cut, and
y = c/√(mean(c²) + ε) with c = x − constant, which is RMSNorm of c. The authors' code detaches the mean in x − μ only, and
lets ``x.std()`` take a live mean of its own: that cuts B and keeps D. Since D is 0, dx is the same. Its derivative is not:
along v, the authors' reading has r³·mean(v)·mean(g·c) more in every entry, for γ = 1 or any other.
(Other small differences: they divide by N − 1, and put ε outside the root.)

Constants stay constants at every order. So the analytic nodes take them as inputs, computed outside; a rule that computed
them from x would be right at order 1 only.

With ε = 0, b = mean(g·x̂), ḡ and V the mean and variance of g, the dx of a sample have
mean 0 and variance (V − b²)/σ² (nothing detached), 0 and V/σ² (σ), ḡ/σ and (V − b²)/σ² (μ), ḡ/σ and V/σ² (both).

Source: Xu, Sun, Zhang, Zhao, Lin 2019, "Understanding and Improving Layer Normalization" (arXiv:1911.07013), section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..engine import Op, Tensor, scope
from ..engine.arguments import floating
from ..engine.primitives import mean, rsqrt
from .arguments import affine_pair, flag, is_analytic, narrow, node_for, number, trailing, widen
from .moments import affine, normalization, normalize, of_nothing, pull_standardize, record
from .registry import Norm, register

LIVE = normalization("detach_norm", "DetachNorm({0})")


@scope("DetachNorm")
def detach_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    detach_mean: bool = True,
    detach_std: bool = True,
    backward: str = "recorded",
) -> Tensor:
    """LayerNorm whose statistics, one or both, are constants in the backward pass; see the file's head.

    input:             float tensor, shape (*, *normalized_shape)
    normalized_shape:  the sizes of the normalized axes, or the size of the last one
    weight, bias:      γ and β, shape ``normalized_shape``, or None
    detach_mean:       μ is a constant, in x − μ and inside σ²
    detach_std:        1/√(σ² + ε) is a constant
    backward:          "recorded", or "analytic": a node with the hand-derived pullback

    Returns a tensor of the input's shape. float16 computes in float32 and returns float16.
    Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for an integer input.
    """
    x = floating(input, "detach_norm")
    shape, axis = trailing("detach_norm", x, normalized_shape)
    w, b = affine_pair("detach_norm", x, weight, bias, shape, "normalized_shape {}")
    eps, analytic = number("detach_norm", "eps", eps), is_analytic("detach_norm", backward)
    detach_mean = flag("detach_norm", "detach_mean", detach_mean)
    detach_std = flag("detach_norm", "detach_std", detach_std)
    if not x.size:
        return of_nothing(x, w, b)
    if analytic and not (detach_mean or detach_std):
        return normalize(LIVE, x, w, b, axis, eps, backward)
    held = (
        _held(widen(x), axis, eps, detach_mean, detach_std, backward)
        if analytic
        else record(widen(x), axis, eps, hold_mean=detach_mean, hold_std=detach_std)
    )
    return narrow(affine(held, w, b), x)  # type: ignore[no-any-return]


def _held(x: Tensor, axis: tuple[int, ...], eps: float, detach_mean: bool, detach_std: bool, backward: str) -> Tensor:
    """x̂ as one node that gets as constants what is to be held."""
    fixed = x.detach()
    mu = mean(fixed, axis=axis).named("μ")
    if not detach_std:
        return node_for(MEAN_HELD, backward)(x, mu, axis=axis, eps=eps)  # type: ignore[no-any-return]
    rstd = rsqrt(mean((fixed - mu) ** 2, axis=axis) + eps).named("rstd")
    return node_for(BOTH_HELD, backward)(x, mu, rstd) if detach_mean else node_for(STD_HELD, backward)(x, rstd, axis=axis)  # type: ignore[no-any-return]


# The hand-derived nodes: what is held comes in as a constant, and nothing flows to it. x comes in widened --------


def _mean_held(x: Any, mu: Any, *, axis: tuple[int, ...], eps: float) -> Any:
    c = x - mu
    return c * rsqrt(mean(c**2, axis=axis) + eps)


def _mean_held_dx(g: Any, out: Any, x: Any, mu: Any, *, axis: tuple[int, ...], eps: float) -> Any:
    c = x - mu
    rstd = rsqrt(mean(c**2, axis=axis) + eps)
    return pull_standardize(g, c * rstd, rstd, axis, center=False)


def _std_held(x: Any, rstd: Any, *, axis: tuple[int, ...]) -> Any:
    return (x - mean(x, axis=axis)) * rstd


def _std_held_dx(g: Any, out: Any, x: Any, rstd: Any, *, axis: tuple[int, ...]) -> Any:
    return rstd * (g - mean(g, axis=axis))


def _both_held(x: Any, mu: Any, rstd: Any) -> Any:
    return (x - mu) * rstd


def _both_held_dx(g: Any, out: Any, x: Any, mu: Any, rstd: Any) -> Any:
    return rstd * g


MEAN_HELD = Op("detach_norm", "DetachNorm({0})", _mean_held, (_mean_held_dx, None))
STD_HELD = Op("detach_norm", "DetachNorm({0})", _std_held, (_std_held_dx, None))
BOTH_HELD = Op("detach_norm", "DetachNorm({0})", _both_held, (_both_held_dx, None, None))


# What the rest of the house asks --------------------------------------------------------------------------------


def _apply(inputs: Mapping[str, Tensor], backward: str = "recorded", **options: Any) -> Tensor:
    w = inputs["weight"]
    return detach_norm(inputs["input"], w.shape, w, inputs["bias"], backward=backward, **options)


NORM = register(
    Norm(
        name="detach_norm",
        title="DetachNorm",
        apply=_apply,
        parameters=lambda shape, **options: {"weight": shape[-1:], "bias": shape[-1:]},
        options={"eps": 1e-5, "detach_mean": True, "detach_std": True},
        detaches=True,
        samples=(
            {"shape": (2, 3, 5), "eps": 0.3},
            {"detach_std": False, "eps": 0.1},
            {"detach_mean": False},
            {"detach_mean": False, "detach_std": False},
        ),
        formula="y = γ·(x − μ)/√(σ² + ε) + β, μ and σ² held constant",
        backward_formula="dx = rstd·g,  g = dy·γ,  dγ = Σ dy·x̂,  dβ = Σ dy",
        references=("Xu et al. 2019, Understanding and Improving Layer Normalization, arXiv:1911.07013",),
    )
)
