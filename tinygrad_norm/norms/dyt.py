"""DyT, dynamic tanh: an S-curve in the place of a normalization. No statistics: every entry is on its own.

    t = tanh(α·x)        y = γ·t + β

α           one number, learned; shape (1,) or (). Starts at 0.5; in language models by width, and larger before
            attention than elsewhere (0.8 and 0.2 at 7B parameters, 0.2 and 0.05 at 70B)
γ, β        of shape (C,) along the last axis, each optional (Llama's have no β); ``channels_last=False``: along axis 1
            of (N, C, *)
Elsewhere   no framework has it; this is the authors' own module

Backward, with g = dy·γ:

    dx = α·g·(1 − t²)        dα = Σ g·x·(1 − t²)        dγ = Σ dy·t        dβ = Σ dy        dα over everything

Why a tanh? LayerNorm of one entry x, the N − 1 others held fixed with mean m and variance v, is exactly

    x̂ = p·(x − m)/√(p·v + p·(x − m)²/N + ε),    p = (N − 1)/N

an S-curve that levels off at ±√(N − 1). It is not a tanh, only shaped alike. What DyT has not: J is diagonal, so nothing is
projected out of the gradient, and a scaled input gives another output.

Source: Zhu, Chen, He, LeCun, Liu 2025, "Transformers without Normalization" (arXiv:2503.10622), section 4.
"""

from __future__ import annotations

from typing import Any

from ..engine import Op, ShapeError, Tensor, describe, scope
from ..engine.arguments import floating
from ..engine.primitives import tanh
from .arguments import affine_inputs, affine_pair, as_parameter, channels, flag, is_analytic, narrow, node_for, widen
from .moments import affine, pull_shift
from .registry import Norm, by_name, register


@scope("DyT")
def dynamic_tanh(
    input: Tensor,
    alpha: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    backward: str = "recorded",
    *,
    channels_last: bool = True,
) -> Tensor:
    """γ·tanh(α·x) + β; see the file's head.

    input:          float tensor, shape (*, C), or (N, C, *) with ``channels_last=False``
    alpha:          α, one number, shape (1,) or (); a Python number takes the input's dtype
    weight, bias:   γ and β, shape (C,), or None
    backward:       "recorded", or "analytic": one node with the hand-derived pullbacks
    channels_last:  γ and β go along the last axis; False: along axis 1

    Returns a tensor of the input's shape. float16 computes in float32 and returns float16.
    Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for integers.
    """
    x = floating(input, "dynamic_tanh")
    a = as_parameter("dynamic_tanh", "alpha", alpha, x)
    if a.shape not in ((), (1,)) or a.ndim > x.ndim:
        raise ShapeError(
            f"dynamic_tanh: alpha {describe(a)} for input {describe(x)}: α is one number for all, of shape (1,) or ()."
        )
    if flag("dynamic_tanh", "channels_last", channels_last):
        shape = spread = x.shape[-1:]
    else:
        c, spread = channels("dynamic_tanh", x)
        shape = (c,)
    of = f"an input of shape {x.shape} and channels_last={channels_last}"
    w, b = affine_pair("dynamic_tanh", x, weight, bias, shape, of, spread)
    if is_analytic("dynamic_tanh", backward):
        return node_for(ANALYTIC, backward)(x, a, *affine_inputs(w, b))  # type: ignore[no-any-return]
    with scope("squash"):
        t = tanh(a * widen(x)).named("t")
    y: Tensor = narrow(affine(t, w, b), x)
    return y


# The hand-derived node -------------------------------------------------------------------------------------------


def _forward(x: Any, a: Any, w: Any = 1.0, b: Any = 0.0) -> Any:
    return narrow(tanh(widen(x) * a) * w + b, x)


def _slope(x: Any, a: Any) -> Any:
    """dt/d(α·x)"""
    return 1 - tanh(widen(x) * a) ** 2


ANALYTIC = Op(
    "dynamic_tanh",
    "DyT({0})",
    _forward,
    (
        lambda g, out, x, a, w=1.0, b=0.0: widen(g) * w * _slope(x, a) * a,
        lambda g, out, x, a, w=1.0, b=0.0: widen(g) * w * _slope(x, a) * x,
        lambda g, out, x, a, w, b=0.0: widen(g) * tanh(widen(x) * a),
        pull_shift,
    ),
    elementwise=True,
)


# What the rest of the house asks --------------------------------------------------------------------------------


def _parameters(shape: tuple[int, ...], channels_last: bool = True, **options: Any) -> dict[str, tuple[int, ...]]:
    c = shape[-1:] if channels_last else shape[1:2]
    return {"alpha": (1,), "weight": c, "bias": c}


NORM = register(
    Norm(
        name="dynamic_tanh",
        title="DyT",
        apply=by_name(dynamic_tanh),
        parameters=_parameters,
        symbols={"input": "x", "alpha": "α", "weight": "γ", "bias": "β"},
        options={"channels_last": True},
        samples=({"shape": (2, 3, 5)}, {"shape": (2, 3, 4), "channels_last": False}),
        formula="y = γ·tanh(α·x) + β",
        backward_formula="dx = α·g·(1 − t²),  g = dy·γ,  dα = Σ g·x·(1 − t²),  dγ = Σ dy·t,  dβ = Σ dy,  t = tanh(α·x)",
        references=("Zhu et al. 2025, Transformers without Normalization, arXiv:2503.10622",),
    )
)
