"""GRN, global response normalization: each channel is weighed by how strongly it responds, compared with the others.

    G = ‖x‖ over the places        n = G/(mean(G) + ε), the mean over channels        y = γ·(x·n) + β + x

Axes        (N, *, C): G over all places between, once for each sample and channel; ``channels_last=False``: (N, C, *)
ε           outside, beside the mean; 1e-6 in the authors' code
γ, β        of shape (C,), each optional. They start at 0, so the layer starts as the identity; x is added back
statistics  nothing is centred and nothing is divided by a deviation: n is a competition between channels

Backward, with g = dy, q = 1/(mean(G) + ε), s = Σ g·γ·x over the places, which is the cotangent of n:

    dx = g·(1 + γ·n) + dG·x/G,   dG = q·(s − mean(s·n)), the mean over channels        dγ = Σ g·x·n        dβ = Σ g

Where a channel is 0 at every place, the slope of its G counts as 0.

Source: Woo et al. 2023, "ConvNeXt V2" (arXiv:2301.00808), eqs. 1 to 4 and algorithm 1.
"""

from __future__ import annotations

from typing import Any

from ..engine import Op, ShapeError, Tensor, describe, scope
from ..engine.arguments import floating
from ..engine.primitives import mean, sum
from .arguments import affine_inputs, affine_pair, flag, is_analytic, narrow, node_for, number, widen
from .l2_normalize import length
from .moments import affine, of_nothing, pull_shift
from .registry import Norm, by_name, register


@scope("GRN")
def global_response_norm(
    input: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-6,
    backward: str = "recorded",
    *,
    channels_last: bool = True,
) -> Tensor:
    """γ·(x·n) + β + x; see the file's head for the formula.

    input:          float tensor, shape (N, *, C), or (N, C, *) with ``channels_last=False``; at least one axis of places
    weight, bias:   γ and β, shape (C,), or None: then y = x·n + x
    eps:            added to the mean over channels
    backward:       "recorded" or "analytic"

    Returns a tensor of the input's shape. float16 computes in float32 and returns float16.
    Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for integers.
    """
    x = floating(input, "global_response_norm")
    last = flag("global_response_norm", "channels_last", channels_last)
    if x.ndim < 3:
        raise ShapeError(
            f"global_response_norm: input {describe(x)} has {x.ndim} axes; it takes {'(N, …, C)' if last else '(N, C, …)'}: at least 3."
        )
    channel = x.ndim - 1 if last else 1
    c = x.shape[channel]
    spread = (c,) if last else (c, *(1,) * (x.ndim - 2))
    w, b = affine_pair("global_response_norm", x, weight, bias, (c,), f"{c} channels and channels_last={channels_last}", spread)
    axes: dict[str, Any] = {"places": tuple(range(1, x.ndim - 1)) if last else tuple(range(2, x.ndim)), "channel": (channel,)}
    eps, analytic = number("global_response_norm", "eps", eps), is_analytic("global_response_norm", backward)
    if not x.size:
        return of_nothing(x, w, b)
    if analytic:
        return node_for(ANALYTIC, backward)(x, *affine_inputs(w, b), eps=eps, **axes)  # type: ignore[no-any-return]
    wide = widen(x)
    with scope("aggregate"):
        response = length(wide, axes["places"])[0].named("G")
    with scope("compare"):
        n = (response / (mean(response, axis=axes["channel"]).named("mean(G)") + eps)).named("n")
    with scope("calibrate"):
        y: Tensor = narrow(affine(wide * n, w, b) + wide, x)
    return y


# The hand-derived node ------------------------------------------------------------------------------------------


def _competition(x: Any, places: tuple[int, ...], channel: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """n, q = 1/(mean(G) + ε), and G as a divisor: 1 where it is 0."""
    response, divisor = length(x, places)
    q = 1 / (mean(response, axis=channel) + eps)
    return response * q, q, divisor


def _dx(g: Any, out: Any, x: Any, w: Any = 1.0, b: Any = 0.0, *, places: Any, channel: Any, eps: float) -> Any:
    x, g = widen(x), widen(g)
    n, q, divisor = _competition(x, places, channel, eps)
    s = sum(g * w * x, axis=places)
    return g * (1 + w * n) + q * (s - mean(s * n, axis=channel)) * (x / divisor)


def _dw(g: Any, out: Any, x: Any, w: Any, b: Any = 0.0, *, places: Any, channel: Any, eps: float) -> Any:
    x = widen(x)
    return widen(g) * x * _competition(x, places, channel, eps)[0]


def _forward(x: Any, w: Any = 1.0, b: Any = 0.0, *, places: Any, channel: Any, eps: float) -> Any:
    wide = widen(x)
    return narrow(wide * _competition(wide, places, channel, eps)[0] * w + b + wide, x)


ANALYTIC = Op("global_response_norm", "GRN({0})", _forward, (_dx, _dw, pull_shift))


# What the rest of the house asks --------------------------------------------------------------------------------


def _parameters(shape: tuple[int, ...], channels_last: bool = True, **options: Any) -> dict[str, tuple[int, ...]]:
    c = shape[-1:] if channels_last else shape[1:2]
    return {"weight": c, "bias": c}


NORM = register(
    Norm(
        name="global_response_norm",
        title="GRN",
        apply=by_name(global_response_norm),
        parameters=_parameters,
        options={"eps": 1e-6, "channels_last": True},
        shape=(2, 3, 4),
        samples=({"shape": (2, 3, 2, 4), "eps": 0.3}, {"shape": (2, 3, 2, 2), "channels_last": False}),
        min_ndim=3,
        formula="y = γ·x·n + β + x,  n = G/(mean(G) + ε),  G = ‖x‖ over the places",
        backward_formula="dx = dy·(1 + γ·n) + q·(s − mean(s·n))·x/G,  q = 1/(mean(G) + ε),  s = Σ dy·γ·x,  dγ = Σ dy·x·n,  dβ = Σ dy",
        references=("Woo et al. 2023, ConvNeXt V2, arXiv:2301.00808",),
    )
)
