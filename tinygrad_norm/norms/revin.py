"""RevIN: a window of a series is normalized on the way into a model, and what the model predicts gets its level and width back.

    in    y = γ·(x − μ)/√(σ² + ε) + β        μ and σ² of each series of each sample, over time
    out   z = (p − β)/(γ + ε²)·√(σ² + ε) + μ        with the same μ and σ²; p is the model's prediction

Axes        time: (B, T, C), or (T, C) for one window. The prediction may be of another length
ε           inside the root, default 1e-5; and squared beside γ on the way out, against a γ of 0, as in the authors' code
variance    biased
γ, β        of shape (C,), each optional; they start at 1 and 0
μ, σ        constants in the backward pass in the authors' code (``.detach()``), which the paper does not say:
            ``detach=True`` by default. With ``detach=False`` the way in is InstanceNorm over time, and its gradient whole

Backward of the way in, with g = dy·γ, rstd = 1/√(σ² + ε), means over time:

    detach=True     dx = rstd·g        detach=False    dx = rstd·(g − mean(g) − x̂·mean(g·x̂))
    both            dγ = Σ dy·x̂        dβ = Σ dy

The way out after the way in is x again, up to ε² beside γ; it is a composition, and its gradient the record's.

Source: Kim, Kim, Tae, Park, Choi, Choo 2022, "Reversible Instance Normalization" (ICLR 2022), eqs. 1 to 3.
"""

from __future__ import annotations

from typing import Any

from ..engine import Op, ShapeError, Tensor, describe, scope
from ..engine.arguments import floating
from ..engine.primitives import mean
from .arguments import affine_pair, flag, is_analytic, narrow, node_for, number, widen
from .moments import affine, normalization, normalize, of_nothing, record, standardize
from .registry import Norm, by_name, register

LIVE = normalization("revin", "RevIN({0})")
HELD = Op("revin", "RevIN({0})", lambda x, mu, rstd: (x - mu) * rstd, (lambda g, out, x, mu, rstd: g * rstd, None, None))
"""With μ and rstd from outside, that nothing flows to: constants stay constants at every order."""


@scope("RevIN")
def revin(
    input: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    backward: str = "recorded",
    *,
    detach: bool = True,
) -> Tensor:
    """The way in: γ·(x − μ)/√(σ² + ε) + β over time; see the file's head.

    input:         float tensor, shape (B, T, C) or (T, C)
    weight, bias:  γ and β, shape (C,), or None
    backward:      "recorded", or "analytic": a node with the hand-derived pullback
    detach:        μ and σ are constants in the backward pass, as in the authors' code

    Returns a tensor of the input's shape. float16 computes in float32 and returns float16.
    Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for integers.
    """
    x = floating(input, "revin")
    axis = _time("revin", x)
    w, b = affine_pair("revin", x, weight, bias, x.shape[-1:], f"{x.shape[-1]} series")
    eps, detach, analytic = number("revin", "eps", eps), flag("revin", "detach", detach), is_analytic("revin", backward)
    if not x.size:
        return of_nothing(x, w, b)
    if not detach:
        return normalize(LIVE, x, w, b, axis, eps, backward)
    wide = widen(x)
    if analytic:
        xhat = node_for(HELD, backward)(wide, *_constants(wide.detach(), axis, eps))
    else:
        xhat = record(wide, axis, eps, hold_mean=True, hold_std=True)
    return narrow(affine(xhat, w, b), x)  # type: ignore[no-any-return]


def statistics(x: Tensor, eps: float = 1e-5, detach: bool = True) -> tuple[Tensor, Tensor]:
    """μ and √(σ² + ε) over time, time kept as 1: what the way out needs of the window that went in."""
    x = floating(x, "revin")
    axis, wide = _time("revin", x), widen(x.detach() if detach else x)
    mu, rstd = _constants(wide, axis, eps)
    return mu, (1 / rstd).named("σ")


def _constants(x: Tensor, axis: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor]:
    return mean(x, axis=axis).named("μ"), standardize(x, axis, eps)[1].named("rstd")


@scope("RevIN out")
def revin_out(
    input: Tensor,
    mean: Tensor,
    std: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The way out: (p − β)/(γ + ε²)·σ + μ; see the file's head.

    input:         p, shape (B, T', C) or (T', C)
    mean, std:     μ and √(σ² + ε) of the window, from ``statistics``
    weight, bias:  the γ and β of the way in

    Returns a tensor of the input's shape. Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for integers.
    """
    p = floating(input, "revin_out")
    _time("revin_out", p)
    w, b = affine_pair("revin_out", p, weight, bias, p.shape[-1:], f"{p.shape[-1]} series")
    eps = number("revin_out", "eps", eps)
    mu, sigma = floating(mean, "revin_out", "mean"), floating(std, "revin_out", "std")
    whole = (*p.shape[:-2], 1, p.shape[-1])
    for what, t in (("mean", mu), ("std", sigma)):
        if t.shape != whole:
            raise ShapeError(f"revin_out: {what} {describe(t)} for input {describe(p)}: the window's, of shape {whole}.")
    y = widen(p) if b is None else widen(p) - b
    y = y if w is None else y / (w + eps**2)
    return narrow(y * sigma + mu, p)  # type: ignore[no-any-return]


def _time(name: str, x: Tensor) -> tuple[int, ...]:
    if x.ndim < 2:
        raise ShapeError(f"{name}: input {describe(x)} has {x.ndim} axes; it takes (B, T, C), or (T, C) for one window.")
    return (x.ndim - 2,)


# What the rest of the house asks --------------------------------------------------------------------------------


def _parameters(shape: tuple[int, ...], **options: Any) -> dict[str, tuple[int, ...]]:
    return {"weight": shape[-1:], "bias": shape[-1:]}


NORM = register(
    Norm(
        name="revin",
        title="RevIN",
        apply=by_name(revin),
        parameters=_parameters,
        options={"eps": 1e-5, "detach": True},
        shape=(2, 5, 3),
        samples=({"detach": False}, {"shape": (6, 2), "eps": 0.3}, {"shape": (2, 4, 3), "eps": 0.3, "detach": False}),
        min_ndim=2,
        formula="y = γ·(x − μ)/√(σ² + ε) + β, μ and σ² over time, held constant; the model's prediction goes back by the same",
        backward_formula="dx = rstd·g,  g = dy·γ,  dγ = Σ dy·x̂,  dβ = Σ dy;  with μ and σ live dx = rstd·(g − mean(g) − x̂·mean(g·x̂))",
        references=("Kim, Kim, Tae, Park, Choi, Choo 2022, Reversible Instance Normalization, ICLR",),
    )
)
