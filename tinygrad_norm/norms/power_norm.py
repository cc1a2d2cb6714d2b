"""PowerNorm: each channel divided by a *running* quadratic mean, with a backward pass that is not the gradient.

    x̂ = x/ψ,  ψ = √(φ + ε)        y = γ·x̂ + β        φ the running mean of x² before this batch

Axes        statistics per channel, axis 1, of (N, C) or (N, C, *)
ε           inside the root; default 1e-5, as the authors' code
φ           of shape (C,), held constant. After the step  φ ← α·φ + (1 − α)·mean(x²);  ``tn.nn.PowerNorm`` does that.
            None: the batch's own mean(x²), *held constant* all the same: the forward pass of the authors' warm-up
ν           of shape (C,), the running memory of the backward pass; None: zeros
γ, β        of shape (C,), each optional

Backward, with g = dy·γ and B values per channel:

    "recorded"  the gradient, ψ being a constant      dx = g/ψ
    "analytic"  what the paper publishes              dx = (g − ν·x̂)/ψ
    both                                              dγ = Σ dy·x̂        dβ = Σ dy

Why: the exact gradient of x/ψ_B (``power_norm_v``) is (g − x̂·mean(g·x̂))/ψ_B. PowerNorm replaces both statistics of the
batch by running ones, in the forward pass ψ_B and in the backward pass mean(g·x̂), by ν. So it is *by design* not the
gradient of its forward pass; no finite difference will confirm it.

The step of ν:   ν ← ν·(1 − (1 − α)·Γ) + (1 − α)·Λ,   Γ = mean(x̂²),  Λ = mean(g·x̂)

is computed in the backward pass. Published code writes it into a buffer there; here a backward pass writes nothing. Instead
ν is an input, which the values ignore, and "analytic" sends it a *pseudo-gradient*, the step it should take:

    dν = Λ − ν·Γ        so that   ν ← ν + (1 − α)·dν   is the line above

ν is no parameter: no optimizer may move it (and least of all against dν). On one batch, repeated, ν tends to Λ/Γ and φ to
mean(x²): there the published backward is PN-V's exact gradient.

Elsewhere   the authors' code differs from their paper in that dx is divided by the batch's ψ_B even where the forward pass
            used ψ; that each sample is first scaled, by the root mean square of a group of its channels; and that
            it keeps ν/(1 − α), as ``ema_gz``. Its φ is called ``running_phi``, too

Source: Shen, Yao, Gholami, Mahoney, Keutzer 2020, "PowerNorm: Rethinking Batch Normalization in Transformers"
(arXiv:2003.07845), algorithm 2; code: github.com/sIncerass/powernorm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine import Op, Tensor, scope
from ..engine.arguments import floating
from ..engine.primitives import mean
from .arguments import (
    affine_inputs,
    affine_pair,
    channels,
    is_analytic,
    narrow,
    node_for,
    number,
    parameter,
    per_channel,
    wide_dtype,
    widen,
)
from .moments import affine, batch_moments, of_nothing, pull_shift
from .registry import Norm, register


@scope("PowerNorm")
def power_norm(
    input: Tensor,
    running_phi: Any = None,
    nu: Any = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    backward: str = "recorded",
) -> Tensor:
    """PowerNorm of (N, C) or (N, C, *); see the file's head for the formulas. Changes no running statistic.

    running_phi:   φ, shape (C,), a constant; None: the batch's own mean of x², a constant as well
    nu:            ν, shape (C,), or None for zeros; one that requires gradients gets its step as its "gradient"
    weight, bias:  γ and β, shape (C,), or None
    backward:      "recorded": the gradient of y with φ constant, in which ν does not occur;
                   "analytic": the published approximation, which differs from it by design

    Returns a tensor of the input's shape; float16 computes in float32. Raises ``ShapeError``, ``DTypeError``.
    """
    x = floating(input, "power_norm")
    c, spread = channels("power_norm", x)
    of = f"{c} channels"
    phi, v = (
        per_channel(parameter("power_norm", n, p, (c,), of, x), spread) for n, p in (("running_phi", running_phi), ("nu", nu))
    )
    w, b = affine_pair("power_norm", x, weight, bias, (c,), of, spread)
    eps, analytic = number("power_norm", "eps", eps), is_analytic("power_norm", backward)
    if not x.size:
        return of_nothing(x, w, b)
    axis, dtype = (0, *range(2, x.ndim)), wide_dtype(x)
    square = mean_square(x, axis).reshape(spread) if phi is None else phi.data.astype(np.float64)
    psi = Tensor(np.sqrt(square + eps).astype(dtype)).named("ψ")
    if analytic:
        v = Tensor(np.zeros(spread, dtype)).named("ν") if v is None else v
        return node_for(PUBLISHED, backward)(x, psi, v, *affine_inputs(w, b), axis=axis)  # type: ignore[no-any-return]
    with scope("normalize"):
        xhat = (widen(x) / psi).named("x̂")
    y: Tensor = narrow(affine(xhat, w, b), x)
    return y


def mean_square(x: Tensor, axis: tuple[int, ...]) -> Any:
    """mean(x²) as an array of shape (C,) that no record knows; 1 where there is nothing to average."""
    if not x.size:
        return np.ones(x.shape[1])
    return batch_moments(x.data, axis, center=False)[1].reshape(-1) * (x.shape[1] / x.size)


# The published backward. ψ has no rule: it is constant. That of ν is no derivative, but the step it should take ---


def _forward(x: Any, psi: Any, nu: Any, w: Any = 1.0, b: Any = 0.0, *, axis: tuple[int, ...]) -> Any:
    return narrow(widen(x) / psi * w + b, x)


def _dx(g: Any, out: Any, x: Any, psi: Any, nu: Any, w: Any = 1.0, b: Any = 0.0, *, axis: tuple[int, ...]) -> Any:
    return (widen(g) * w - nu * (widen(x) / psi)) / psi


def _step_of_nu(g: Any, out: Any, x: Any, psi: Any, nu: Any, w: Any = 1.0, b: Any = 0.0, *, axis: tuple[int, ...]) -> Any:
    xhat = widen(x) / psi
    return mean(widen(g) * w * xhat, axis=axis) - nu * mean(xhat**2, axis=axis)


def _dw(g: Any, out: Any, x: Any, psi: Any, nu: Any, w: Any, b: Any = 0.0, *, axis: tuple[int, ...]) -> Any:
    return widen(g) * (widen(x) / psi)


PUBLISHED = Op("power_norm", "PowerNorm({0})", _forward, (_dx, None, _step_of_nu, _dw, pull_shift))


# What the rest of the house asks --------------------------------------------------------------------------------


def _apply(inputs: Mapping[str, Tensor], backward: str = "recorded", nu: float = 0.3, **options: Any) -> Tensor:
    """φ and ν are made up here and are no inputs: y is constant in φ by definition and does not depend on ν at all, so
    there is no gradient to compare. The option ``nu`` is the largest ν; 0: the published backward is the gradient."""
    x = inputs["input"]
    phi, v = np.linspace(0.5, 1.5, x.shape[1]), nu * np.linspace(1.0, 0.5, x.shape[1])
    dtype = wide_dtype(x)
    return power_norm(x, phi.astype(dtype), v.astype(dtype), inputs["weight"], inputs["bias"], backward=backward, **options)


NORM = register(
    Norm(
        name="power_norm",
        title="PowerNorm",
        apply=_apply,
        parameters=lambda shape, **options: {"weight": shape[1:2], "bias": shape[1:2]},
        options={"eps": 1e-5, "nu": 0.3},
        detaches=True,
        samples=({"shape": (3, 2, 4)}, {"shape": (3, 2, 2, 3), "eps": 0.3}, {"nu": 0.0}),
        min_ndim=2,
        formula="y = γ·x/ψ + β, ψ = √(φ + ε), φ the running mean of x²",
        backward_formula="published: dx = (g − ν·x̂)/ψ, ν the running mean of g·x̂;  the gradient: dx = g/ψ;  "
        "g = dy·γ,  dγ = Σ dy·x̂,  dβ = Σ dy",
        references=("Shen, Yao, Gholami, Mahoney, Keutzer 2020, PowerNorm, arXiv:2003.07845",),
        by_design={
            "input": "ψ is a running statistic, so the gradient is g/ψ; the paper subtracts ν·x̂/ψ, in memory of the part along "
            "x̂ that dividing by the batch's own ψ would have taken out"
        },
    )
)
