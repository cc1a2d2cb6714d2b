"""RMSNorm: LayerNorm without the centring. Each sample is divided by its root mean square.

    y = γ·x/√(mean(x²) + ε)

Axes        the last ``len(normalized_shape)`` axes, together
ε           inside the root. Default ``None``: the smallest step of the dtype computed in, as PyTorch (2.2e-16 for
            float64, 1.2e-7 for float32 and for float16, which computes in float32). Keras, Flax, T5, Llama, Gemma 1e-6;
            ONNX 1e-5. ``eps_mode="rms"`` is the authors' own code, x/(rms + ε) with ε = 1e-8
γ           of shape ``normalized_shape``, optional; no β in PyTorch. (Gemma stores γ − 1: pass ``weight=1 + w``.)
partial     pRMSNorm: the root mean square of the first ``int(partial·N)`` entries only serves them all

Backward, with g = dy·γ, rstd = 1/√(mean(x²) + ε), x̂ = x·rstd:

    dx = rstd·(g − x̂·mean(g·x̂))        dγ = Σ dy·x̂ over all the other axes
    x/(rms + ε):   dx = q·g − q²·x/(N·rms)·Σ(g·x),  q = 1/(rms + ε)
                     at x = 0, where the root counts as having the slope 0, there is no second derivative: both ways
                     give 0 for it, and nothing to rely on from the third on
    partial, k entries:   dx = rstd·(g − 1[i<k]·x̂·Σ(g·x̂)/k)

LayerNorm is RMSNorm after centring, so on rows of mean zero they are the same function.

Source: Zhang, Sennrich 2019, "Root Mean Square Layer Normalization" (arXiv:1910.07467), eqs. 4 and 6.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..engine import Op, ShapeError, Tensor, describe, scope
from ..engine.arguments import floating
from ..engine.primitives import concatenate, getitem, mean, rsqrt, sum
from .arguments import choice, is_analytic, narrow, node_for, number, parameter, trailing, wide_dtype, widen
from .moments import affine, normalization, normalize, of_nothing, root
from .ranges import power_of_two, shrunk
from .registry import Norm, register

ANALYTIC = normalization("rms_norm", "RMSNorm({0})")


@scope("RMSNorm")
def rms_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
    backward: str = "recorded",
    *,
    eps_mode: str = "mean_square",
    partial: float | None = None,
) -> Tensor:
    """RMSNorm over the last axes of ``input``, with PyTorch's signature; see the file's head for the formula.

    input:             float tensor, shape (*, *normalized_shape)
    normalized_shape:  the sizes of the normalized axes, or the size of the last one
    weight:            γ, shape ``normalized_shape``, or None
    eps:               None: the spacing of floating-point numbers at 1 in the dtype computed in
    backward:          "recorded" or "analytic"
    eps_mode:          "mean_square": √(mean(x²) + ε); "rms": rms + ε
    partial:           the share of the last axis that the statistic is taken from, above 0 and up to 1; None: all

    Returns a tensor of the input's shape. Raises ``ShapeError``, ``DTypeError``.
    """
    x = floating(input, "rms_norm")
    shape, axis = trailing("rms_norm", x, normalized_shape)
    w = parameter("rms_norm", "weight", weight, shape, "normalized_shape {}", x)
    eps = float(np.finfo(wide_dtype(x)).eps) if eps is None else number("rms_norm", "eps", eps)
    analytic = is_analytic("rms_norm", backward)
    choice("rms_norm", "eps_mode", eps_mode, ("mean_square", "rms"))
    if partial is None and eps_mode == "mean_square":
        return normalize(ANALYTIC, x, w, None, axis, eps, backward, center=False)
    if partial is not None:
        partial = number("rms_norm", "partial", partial, above=0, most=1)
    if not x.size:
        return of_nothing(x, w)
    first = _first(x, shape, partial)
    variant: dict[str, Any] = {"axis": axis, "eps": eps, "eps_mode": eps_mode, "first": first}
    xhat = node_for(VARIANT, backward)(widen(x), **variant) if analytic else _record_variant(widen(x), **variant)
    y: Tensor = narrow(affine(xhat, w, None), x)
    return y


def _first(x: Tensor, shape: tuple[int, ...], partial: float | None) -> int:
    if partial is None:
        return shape[-1]
    first = int(partial * shape[-1])
    if len(shape) > 1 or not first:
        raise ShapeError(
            f"rms_norm: partial={partial:g} for {describe(x)}: a share above 0 and up to 1 of one axis, and at least one entry of it."
        )
    return first


# ε outside the root, and the statistic of a part ---------------------------------------------------------------


def _part(x: Any, axis: tuple[int, ...], first: int) -> Any:
    whole = first == x.shape[axis[-1]]
    return x if whole else getitem(x, index=(slice(None),) * axis[-1] + (slice(first),))


def _scale(x: Any, axis: tuple[int, ...], eps: Any, eps_mode: str, first: int) -> tuple[Any, Any]:
    """q, by which x is multiplied, and what its slope, −q²/rms or −q³, is in −q³: a number next to 1."""
    part, inside = _part(widen(x), axis, first), eps_mode == "mean_square"
    ms = mean(part**2, axis=axis)
    scale = power_of_two(ms + eps if inside else ms, part, axis)
    if scale is not None:
        q, slope = _scale(widen(x) / scale, axis, shrunk(eps, scale, 2 if inside else 1), eps_mode, first)
        return q / scale, slope
    if inside:
        return rsqrt(ms + eps), 1.0
    rms, divisor = root(ms)
    return 1 / (rms + eps), (rms + eps) / divisor


def _variant_dx(g: Any, out: Any, x: Any, *, axis: tuple[int, ...], first: int, **how: Any) -> Any:
    x = widen(x)
    q, slope = _scale(x, axis, first=first, **how)
    part = _part(x, axis, first)
    count = math.prod([part.shape[a] for a in axis])
    through = part * q * (sum(g * (x * q), axis=axis) * (slope / count))
    if part is not x:
        rest = getitem(x, index=(slice(None),) * axis[-1] + (slice(first, None),))
        through = concatenate(through, rest * 0.0, axis=axis[-1])
    return q * (g - through)


def _variant_forward(x: Any, **how: Any) -> Any:
    return narrow(widen(x) * _scale(x, **how)[0], x)


VARIANT = Op("rms_norm", "RMSNorm({0})", _variant_forward, (_variant_dx,))


def _record_variant(x: Tensor, axis: tuple[int, ...], eps: Any, eps_mode: str, first: int) -> Tensor:
    with scope("mean square"):
        part, inside = _part(x, axis, first), eps_mode == "mean_square"
        ms = mean(part**2, axis=axis).named("ms")
        shifted = ms + eps if inside else ms
        scale = power_of_two(shifted, part, axis)
        if scale is not None:
            return _record_variant(x / scale, axis, shrunk(eps, scale, 2 if inside else 1), eps_mode, first)
        q = rsqrt(shifted).named("rstd") if inside else (1 / (root(ms)[0].named("rms") + eps)).named("q")
    with scope("normalize"):
        xhat: Tensor = (x * q).named("x̂")
    return xhat


# What the rest of the house asks --------------------------------------------------------------------------------


def _apply(inputs: Mapping[str, Tensor], backward: str = "recorded", **options: Any) -> Tensor:
    return rms_norm(inputs["input"], inputs["weight"].shape, inputs["weight"], backward=backward, **options)


NORM = register(
    Norm(
        name="rms_norm",
        title="RMSNorm",
        apply=_apply,
        parameters=lambda shape, **options: {"weight": shape[-1:]},
        options={"eps": 2.0**-23, "eps_mode": "mean_square", "partial": None},  # float32's; None depends on the dtype
        samples=(
            {"shape": (2, 3, 5), "eps": 0.3},
            {"eps_mode": "rms", "eps": 0.1},
            {"partial": 0.4, "eps": 1e-3},
            {"eps_mode": "rms", "partial": 0.5, "eps": 1e-8},
        ),
        projects=True,
        formula="y = γ·x/√(mean(x²) + ε)",
        backward_formula="dx = rstd·(g − x̂·mean(g·x̂)),  g = dy·γ,  dγ = Σ dy·x̂",
        references=("Zhang, Sennrich 2019, Root Mean Square Layer Normalization, arXiv:1910.07467",),
    )
)
