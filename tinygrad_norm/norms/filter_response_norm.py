"""FRN, filter response normalization, with its TLU: each channel of each sample over its root mean square, then a learned floor.

    ν² = mean(x²) over the places        x̂ = x/√(ν² + ε)        y = max(γ·x̂ + β, τ)

Axes        all places of each channel of each sample, (N, C, *). Nothing is centred, nothing shared between samples, and
            inference is the same as training
ε           inside the root, 1e-6 in the paper (|ε|, learned, where there is a single place: there x̂ = x/√(x² + ε))
γ, β, τ     of shape (C,), each optional; they start at 1, 0 and 0. Without centring a ReLU would cut at a place nobody chose:
            the TLU, max(·, τ), learns it. ``threshold=None`` leaves it out, which is RMSNorm over the places

Backward, with m = 1[γ·x̂ + β > τ], g = dy·m·γ, rstd = 1/√(ν² + ε):

    dx = rstd·(g − x̂·mean(g·x̂))        dγ = Σ dy·m·x̂        dβ = Σ dy·m        dτ = Σ dy·(1 − m)

An entry exactly at τ shares its cotangent half and half, as every maximum here.

Source: Singh, Krishnan 2020, "Filter Response Normalization Layer" (arXiv:1911.09737), eqs. 1 to 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine import Tensor, scope
from ..engine.arguments import floating
from ..engine.primitives import maximum
from .arguments import affine_pair, channels, is_analytic, narrow, number, parameter, per_channel
from .moments import normalization, normalize
from .registry import Norm, by_name, register

ANALYTIC = normalization("filter_response_norm", "FRN({0})")


@scope("FRN")
def filter_response_norm(
    input: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    threshold: Tensor | None = None,
    eps: float = 1e-6,
    backward: str = "recorded",
) -> Tensor:
    """max(γ·x/√(mean(x²) + ε) + β, τ) of (N, C, *); see the file's head for the formula.

    input:                    float tensor of at least 3 axes
    weight, bias, threshold:  γ, β and τ, shape (C,), or None
    backward:                 "recorded", or "analytic": one node, before the floor

    Returns a tensor of the input's shape. float16 computes in float32 and returns float16.
    Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for integers.
    """
    x = floating(input, "filter_response_norm")
    c, spread = channels("filter_response_norm", x, 3)
    w, b = affine_pair("filter_response_norm", x, weight, bias, (c,), f"{c} channels", spread)
    floor = per_channel(parameter("filter_response_norm", "threshold", threshold, (c,), f"{c} channels", x), spread)
    eps = number("filter_response_norm", "eps", eps)
    is_analytic("filter_response_norm", backward)
    y = normalize(ANALYTIC, x, w, b, tuple(range(2, x.ndim)), eps, backward, center=False)
    if floor is None:
        return y
    with scope("TLU"):
        return narrow(maximum(y, floor), x)  # type: ignore[no-any-return]


# What the rest of the house asks --------------------------------------------------------------------------------


def _parameters(shape: tuple[int, ...], floor: bool = True, **options: Any) -> dict[str, tuple[int, ...]]:
    return dict.fromkeys(("weight", "bias", "threshold") if floor else ("weight", "bias"), shape[1:2])


def _apply(inputs: Any, backward: str = "recorded", floor: bool = True, **options: Any) -> Tensor:
    return by_name(filter_response_norm)(inputs, backward, **options)


NORM = register(
    Norm(
        name="filter_response_norm",
        title="FRN",
        apply=_apply,
        parameters=_parameters,
        symbols={"input": "x", "weight": "γ", "bias": "β", "threshold": "τ"},
        options={"eps": 1e-6, "floor": True},
        shape=(2, 3, 5),
        samples=({"shape": (2, 3, 2, 3), "eps": 0.3}, {"shape": (2, 2, 4), "floor": False}, {"shape": (2, 2, 2, 2, 2)}),
        draw={"threshold": lambda rng, shape: rng.uniform(-0.5, 0.1, shape) if np.prod(shape) else np.zeros(shape)},
        min_ndim=3,
        formula="y = max(γ·x/√(mean(x²) + ε) + β, τ), the mean over the places of each channel of each sample",
        backward_formula="dx = rstd·(g − x̂·mean(g·x̂)),  g = dy·m·γ,  dγ = Σ dy·m·x̂,  dβ = Σ dy·m,  dτ = Σ dy·(1 − m),  m = 1[γ·x̂ + β > τ]",
        references=("Singh, Krishnan 2020, Filter Response Normalization Layer, arXiv:1911.09737",),
    )
)
