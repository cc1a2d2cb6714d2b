"""GraphNorm: within each graph, each channel loses a learned share of its mean, then is scaled by what is left.

    c = x − α·μ        σ² = mean(c²)        x̂ = c/√(σ² + ε)        y = γ·x̂ + β        means over the nodes of one graph

Axes        the nodes: (N, C) is one graph, (G, N, C) several, padded to one size; ``mask`` (G, N) says which are nodes.
            Padding takes part in no mean, its y is 0, and no gradient flows to it
α           of shape (C,), starts at 1, where it is InstanceNorm over nodes. The mean of a graph can say something (in a
            regular graph all aggregated features are equal, and subtracting the mean leaves 0): α learns how much of it to keep
ε           inside the root; default 1e-5 (PyTorch Geometric), the authors' code 1e-6
σ²          about α·μ, not about μ, unless α = 1: it is the mean square of what is left, and biased
γ, β        of shape (C,), each optional

Backward, with g = dy·γ, rstd = 1/√(σ² + ε):

    dc = rstd·(g − x̂·mean(g·x̂))        dx = dc − α·mean(dc)        dα = −Σ μ·dc        dγ = Σ dy·x̂        dβ = Σ dy

Source: Cai, Luo, Xu, He, Liu, Wang 2021, "GraphNorm" (arXiv:2009.03294), eq. 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engine import Op, Tensor, scope
from ..engine.arguments import floating
from ..engine.primitives import rsqrt, sum
from .arguments import affine_pair, is_analytic, narrow, number, parameter, widen
from .masked import drawn, in_range, mean_over, nodes, only, real_nodes
from .moments import affine, of_nothing
from .registry import Norm, by_name, register


@scope("GraphNorm")
def graph_norm(
    input: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    mean_scale: Tensor | None = None,
    eps: float = 1e-5,
    backward: str = "recorded",
    *,
    mask: Any = None,
) -> Tensor:
    """GraphNorm of (N, C) or (*, N, C); see the file's head for the formula.

    input:         float tensor, the nodes' features
    weight, bias:  γ and β, shape (C,), or None
    mean_scale:    α, shape (C,), or None for 1
    backward:      "recorded" or "analytic"
    mask:          (*, N) of booleans or integers: which are nodes; None: all

    Returns a tensor of the input's shape, 0 at padding. float16 computes in float32 and returns float16.
    Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for an integer input or a mask of other numbers.
    """
    x = floating(input, "graph_norm")
    axis = nodes("graph_norm", x)
    c = x.shape[-1:]
    w, b = affine_pair("graph_norm", x, weight, bias, c, f"input of {c[0]} channels")
    a = parameter("graph_norm", "mean_scale", mean_scale, c, f"input of {c[0]} channels", x)
    real = real_nodes("graph_norm", x, mask)
    eps, analytic = number("graph_norm", "eps", eps), is_analytic("graph_norm", backward)
    if not x.size:
        return of_nothing(x if a is None else x * a, w, b)
    wide, of = widen(x), () if a is None else (a,)
    if analytic:
        xhat = (ANALYTIC if real is None else MASKED)(wide, *(() if real is None else (Tensor(real),)), *of, axis=axis, eps=eps)
    else:
        with scope("mean"):
            mu = mean_over(wide, real, axis).named("μ")
            left = only(wide - (mu if a is None else mu * a), real).named("c")
        with scope("variance"):
            left, variance, _ = in_range(lambda c: mean_over(c**2, real, axis).named("σ²"), left, axis, eps)
            rstd = rsqrt(variance).named("rstd")
        with scope("normalize"):
            xhat = (left * rstd).named("x̂")
    return narrow(only(affine(xhat, w, b), real), x)  # type: ignore[no-any-return]


# The hand-derived node: x̂ from x, and α if there is one -----------------------------------------------------------


def _parts(x: Any, mask: Any, a: Any, axis: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """x̂, rstd and μ."""
    mu = mean_over(x, mask, axis)
    left, variance, scale = in_range(lambda c: mean_over(c**2, mask, axis), only(x - mu * a, mask), axis, eps)
    rstd = rsqrt(variance)
    return left * rstd, rstd / scale, mu


def _dc(g: Any, x: Any, mask: Any, a: Any, axis: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """The cotangent of c, and μ."""
    xhat, rstd, mu = _parts(x, mask, a, axis, eps)
    return rstd * (only(g, mask) - xhat * mean_over(g * xhat, mask, axis)), mu


def _dx(g: Any, out: Any, x: Any, mask: Any = None, a: Any = 1.0, *, axis: tuple[int, ...], eps: float) -> Any:
    dc, _ = _dc(g, x, mask, a, axis, eps)
    return dc - only(a * mean_over(dc, mask, axis), mask)


def _da(g: Any, out: Any, x: Any, mask: Any, a: Any, *, axis: tuple[int, ...], eps: float) -> Any:
    dc, mu = _dc(g, x, mask, a, axis, eps)
    return -mu * sum(dc, axis=axis)


ANALYTIC = Op(
    "graph_norm",
    "GraphNorm({0})",
    lambda x, a=1.0, axis=(), eps=0.0: _parts(x, None, a, axis, eps)[0],
    (
        lambda g, out, x, a=1.0, axis=(), eps=0.0: _dx(g, out, x, None, a, axis=axis, eps=eps),
        lambda g, out, x, a, axis=(), eps=0.0: _da(g, out, x, None, a, axis=axis, eps=eps),
    ),
)
MASKED = Op(
    "graph_norm",
    "GraphNorm({0}; {1})",
    lambda x, mask, a=1.0, axis=(), eps=0.0: _parts(x, mask, a, axis, eps)[0],
    (_dx, None, _da),
)
"""With the mask as a second input, that nothing flows to."""


# What the rest of the house asks --------------------------------------------------------------------------------


def _parameters(shape: tuple[int, ...], masked: bool = False, **options: Any) -> dict[str, tuple[int, ...]]:
    c = shape[-1:]
    return {"weight": c, "bias": c, "mean_scale": c, **({"mask": shape[:-1]} if masked else {})}


def _apply(inputs: Mapping[str, Tensor], backward: str = "recorded", masked: bool = False, **options: Any) -> Tensor:
    return by_name(graph_norm)(inputs, backward, **options)


NORM = register(
    Norm(
        name="graph_norm",
        title="GraphNorm",
        apply=_apply,
        parameters=_parameters,
        symbols={"input": "x", "weight": "γ", "bias": "β", "mean_scale": "α", "mask": "m"},
        options={"eps": 1e-5, "masked": False},
        shape=(5, 4),
        samples=({"shape": (2, 4, 3), "eps": 0.3}, {"shape": (3, 4, 2), "masked": True}, {"shape": (5, 3), "masked": True}),
        draw={"mask": drawn},
        min_ndim=2,
        formula="y = γ·c/√(mean(c²) + ε) + β,  c = x − α·μ, means over the nodes of each graph",
        backward_formula="dx = dc − α·mean(dc),  dc = rstd·(g − x̂·mean(g·x̂)),  g = dy·γ,  dα = −Σ μ·dc,  dγ = Σ dy·x̂,  dβ = Σ dy",
        references=("Cai, Luo, Xu, He, Liu, Wang 2021, GraphNorm, arXiv:2009.03294",),
    )
)
