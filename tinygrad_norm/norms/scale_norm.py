"""ScaleNorm: every vector on a sphere of one learned radius. One number takes the place of LayerNorm's 2·C.

    y = g·x/max(‖x‖, ε)

Axes        the last one
ε           a least length, not a summand; 1e-5 in the authors' code
g           one number, of shape () or (1,); starts at √C, so that the entries start with mean square 1. With γ = g/√C for
            every channel it is RMSNorm without its ε
dtype       float16 is computed in float32

Backward, with n = ‖x‖, x̂ = x/n:

    dx = g·(dy − x̂·Σ dy·x̂)/n        dy·g/ε where n < ε        dg = Σ dy·x̂ over everything

At x = 0 the slope of ‖x‖ counts as 0, and dx = g·dy/ε.

Source: Nguyen, Salazar 2019, "Transformers without Tears" (arXiv:1910.05895), eq. 3.
"""

from __future__ import annotations

from typing import Any

from ..engine import Op, ShapeError, Tensor, describe, scope
from ..engine import primitives as op
from ..engine.arguments import floating
from .arguments import as_parameter, is_analytic, narrow, node_for, number, widen
from .l2_normalize import at_least, in_range, unit
from .registry import Norm, by_name, register


@scope("ScaleNorm")
def scale_norm(input: Tensor, scale: Tensor, eps: float = 1e-5, backward: str = "recorded") -> Tensor:
    """g·x/max(‖x‖, ε) along the last axis; see the file's head for the formula.

    input:     float tensor, shape (*, C)
    scale:     g, one number, shape () or (1,); a Python number takes the input's dtype
    eps:       the least length divided by
    backward:  "recorded" or "analytic"

    Returns a tensor of the input's shape. Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for integers.
    """
    x = floating(input, "scale_norm")
    if not x.ndim:
        raise ShapeError(f"scale_norm: input {describe(x)} has no axis to take a length of; it takes (*, C).")
    g = one_number("scale_norm", "scale", scale, x, "g")
    axis, eps = (x.ndim - 1,), number("scale_norm", "eps", eps)
    if is_analytic("scale_norm", backward) and x.size:
        return node_for(ANALYTIC, backward)(x, g, axis=axis, eps=eps)  # type: ignore[no-any-return]
    wide = widen(x)
    with scope("norm"):
        wide, n, _, least, _ = in_range(wide, axis, eps)
        divisor = at_least(n.named("‖x‖"), least)[0]
    with scope("normalize"):
        xhat = (wide / divisor).named("x̂")
    with scope("scale"):
        y: Tensor = narrow(xhat * g, x)
    return y


def one_number(name: str, what: str, value: Any, x: Tensor, symbol: str) -> Tensor:
    """One learned number for all of x, of shape () or (1,)."""
    p = as_parameter(name, what, value, x)
    if p.shape not in ((), (1,)):
        raise ShapeError(
            f"{name}: {what} {describe(p)} for input {describe(x)}: {symbol} is one number for all, of shape () or (1,)."
        )
    return p


# The hand-derived node ------------------------------------------------------------------------------------------


def pull_unit(g: Any, x: Any, axis: tuple[int, ...], eps: float) -> Any:
    """dx for the cotangent g of x̂: what is left of g after its part along x̂ is taken out, over the length."""
    xhat, divisor, free = unit(x, axis, eps)
    return (g - xhat * (op.sum(g * xhat, axis=axis) * free)) / divisor


ANALYTIC = Op(
    "scale_norm",
    "ScaleNorm({0})",
    lambda x, g, axis, eps: narrow(unit(widen(x), axis, eps)[0] * g, x),
    (
        lambda dy, out, x, g, axis, eps: pull_unit(widen(dy) * g, widen(x), axis, eps),
        lambda dy, out, x, g, axis, eps: widen(dy) * unit(widen(x), axis, eps)[0],
    ),
)


# What the rest of the house asks --------------------------------------------------------------------------------


NORM = register(
    Norm(
        name="scale_norm",
        title="ScaleNorm",
        apply=by_name(scale_norm),
        parameters=lambda shape, **options: {"scale": (1,)},
        symbols={"input": "x", "scale": "g"},
        options={"eps": 1e-5},
        samples=({"shape": (2, 3, 5)}, {"eps": 2.5}, {"shape": (7,)}),
        formula="y = g·x/max(‖x‖, ε)",
        backward_formula="dx = g·(dy − x̂·Σ dy·x̂)/‖x‖,  dg = Σ dy·x̂;  dx = g·dy/ε where ‖x‖ < ε",
        references=("Nguyen, Salazar 2019, Transformers without Tears, arXiv:1910.05895",),
    )
)
