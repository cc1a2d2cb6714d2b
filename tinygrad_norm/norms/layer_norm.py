"""LayerNorm: each sample is centred and scaled by its own mean and variance, then stretched and shifted.

    μ = mean(x)    σ² = mean((x − μ)²)    x̂ = (x − μ)/√(σ² + ε)    y = γ·x̂ + β

Axes        the last ``len(normalized_shape)`` axes, together; each leading index is a sample of its own
ε           inside the root (the paper has none); default 1e-5 as PyTorch and ONNX; Keras 1e-3, Flax 1e-6, BERT 1e-12.
            ``eps_mode="std"`` is the other reading found in textbooks, x̂ = (x − μ)/(σ + ε)
variance    biased: divided by N. ``correction=1`` divides by N − 1, which is what ``x.std()`` gives in PyTorch
            (AdaNorm's code and "The Annotated Transformer" do that, with σ + ε)
γ, β        of shape ``normalized_shape``, each optional. Keras and Flax normalize the last axis unless told otherwise
Elsewhere   Flax computes σ² as mean(x²) − mean(x)² unless told otherwise, and so does ONNX's own function body:
            both lose a large mean's digits

Backward, with g = dy·γ and rstd = 1/√(σ² + ε):

    dx = rstd·(g − mean(g) − x̂·mean(g·x̂))      means over the normalized axes
    dγ = Σ dy·x̂        dβ = Σ dy                sums over all the other axes

and for x̂ = c·q, c = x − μ, q any function of v = Σc²/(N − d):   dx = q·(g − mean(g)) + 2q′(v)/(N − d)·c·Σ(g·c),
where 2q′ = −rstd³ with ε inside the root and −q²/σ outside. At σ = 0 the root has no slope; it counts as 0 here.
There c/(σ + ε) has one derivative only, as c·|c| has at 0: both ways give 0 for the second, and nothing to rely on after it.

Source: Ba, Kiros, Hinton 2016, "Layer Normalization" (arXiv:1607.06450), eqs. 3 and 4. (Its supplement
writes the initial gain 0 and bias 1; taken literally the layer would be constant. It is 1 and 0.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..engine import Op, ShapeError, Tensor, describe, scope
from ..engine.arguments import floating
from ..engine.primitives import mean, rsqrt, sum
from .arguments import affine_pair, choice, is_analytic, narrow, node_for, number, trailing, widen
from .moments import affine, normalization, normalize, of_nothing, root
from .ranges import power_of_two, shrunk
from .registry import Norm, register

ANALYTIC = normalization("layer_norm", "LayerNorm({0})")


@scope("LayerNorm")
def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    backward: str = "recorded",
    *,
    eps_mode: str = "variance",
    correction: float = 0,
) -> Tensor:
    """LayerNorm over the last axes of ``input``, with PyTorch's signature; see the file's head for the formula.

    input:             float tensor, shape (*, *normalized_shape)
    normalized_shape:  the sizes of the normalized axes, or the size of the last one
    weight, bias:      γ and β, shape ``normalized_shape``, or None
    backward:          "recorded": every operation is on the record; "analytic": one node with the hand-derived
                       pullback. Values and derivatives of every order agree to rounding, except from the third on
                       where there are none: at σ = 0 with ``eps_mode="std"``
    eps_mode:          "variance": √(σ² + ε); "std": σ + ε
    correction:        the variance is divided by N − ``correction``

    Returns a tensor of the input's shape. float16 computes its statistics in float32 and returns float16.
    Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for an integer input, ``OptionError`` for an option that is
    none.
    """
    x = floating(input, "layer_norm")
    shape, axis = trailing("layer_norm", x, normalized_shape)
    w, b = affine_pair("layer_norm", x, weight, bias, shape, "normalized_shape {}")
    eps, correction = number("layer_norm", "eps", eps), number("layer_norm", "correction", correction)
    if choice("layer_norm", "eps_mode", eps_mode, ("variance", "std")) == "variance" and not correction:
        return normalize(ANALYTIC, x, w, b, axis, eps, backward)
    analytic = is_analytic("layer_norm", backward)
    if not x.size:
        return of_nothing(x, w, b)
    n = math.prod(shape) - correction
    if n <= 0:
        raise ShapeError(
            f"layer_norm: input {describe(x)} with normalized_shape {shape} and correction={correction:g}: N − correction is {n:g}."
        )
    variant: dict[str, Any] = {"axis": axis, "eps": eps, "eps_mode": eps_mode, "n": n}
    xhat = node_for(VARIANT, backward)(widen(x), **variant) if analytic else _record_variant(widen(x), **variant)
    y: Tensor = narrow(affine(xhat, w, b), x)
    return y


# The textbook disagreement: where ε stands, and what the variance is divided by ----------------------------------


def _deviations(x: Any, axis: tuple[int, ...], eps: float, eps_mode: str, n: float) -> tuple[Any, Any, Any]:
    """c, q and −2q′(v)/q³, which is a number next to 1 where q³ itself may leave the dtype's range."""
    x = widen(x)
    c = x - mean(x, axis=axis)
    return c, *_factor(c, axis, eps, eps_mode, n)


def _factor(c: Any, axis: tuple[int, ...], eps: Any, eps_mode: str, n: float) -> tuple[Any, Any]:
    inside = eps_mode == "variance"
    v = sum(c**2, axis=axis) / n
    scale = power_of_two(v + eps if inside else v, c, axis)
    if scale is not None:
        q, slope = _factor(c / scale, axis, shrunk(eps, scale, 2 if inside else 1), eps_mode, n)
        return q / scale, slope
    if inside:
        return rsqrt(v + eps), 1.0
    sigma, divisor = root(v)
    return 1 / (sigma + eps), (sigma + eps) / divisor  # where σ is 0, so is c


def _variant_dx(g: Any, out: Any, x: Any, *, axis: tuple[int, ...], n: float, **how: Any) -> Any:
    c, q, slope = _deviations(x, axis, n=n, **how)
    xhat = c * q
    return q * (g - mean(g, axis=axis) - xhat * (sum(g * xhat, axis=axis) * (slope / n)))


def _variant_forward(x: Any, **how: Any) -> Any:
    c, q, _ = _deviations(x, **how)
    return narrow(c * q, x)


VARIANT = Op("layer_norm", "LayerNorm({0})", _variant_forward, (_variant_dx,))


def _record_variant(x: Tensor, axis: tuple[int, ...], eps: Any, eps_mode: str, n: float) -> Tensor:
    with scope("mean"):
        mu = mean(x, axis=axis).named("μ")
        c = (x - mu).named("c")
    with scope("variance"):
        v = (sum(c**2, axis=axis) / n).named("σ²")
        inside = eps_mode == "variance"
        shifted = v + eps if inside else v
        scale = power_of_two(shifted, c, axis)
        if scale is not None:
            return _record_variant(c / scale, axis, shrunk(eps, scale, 2 if inside else 1), eps_mode, n)
        q = rsqrt(shifted).named("rstd") if inside else (1 / (root(v)[0].named("σ") + eps)).named("q")
    with scope("normalize"):
        xhat: Tensor = (c * q).named("x̂")
    return xhat


# What the rest of the house asks --------------------------------------------------------------------------------


def _apply(inputs: Mapping[str, Tensor], backward: str = "recorded", **options: Any) -> Tensor:
    w = inputs["weight"]
    return layer_norm(inputs["input"], w.shape, w, inputs["bias"], backward=backward, **options)


NORM = register(
    Norm(
        name="layer_norm",
        title="LayerNorm",
        apply=_apply,
        parameters=lambda shape, **options: {"weight": shape[-1:], "bias": shape[-1:]},
        options={"eps": 1e-5, "eps_mode": "variance", "correction": 0},
        samples=(
            {"shape": (2, 3, 5), "eps": 0.3},
            {"eps_mode": "std", "eps": 0.1},
            {"correction": 1},
            {"eps_mode": "std", "correction": 1},
        ),
        projects=True,
        formula="y = γ·(x − μ)/√(σ² + ε) + β",
        backward_formula="dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·γ,  dγ = Σ dy·x̂,  dβ = Σ dy",
        references=("Ba, Kiros, Hinton 2016, Layer Normalization, arXiv:1607.06450",),
    )
)
