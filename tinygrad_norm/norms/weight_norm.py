"""WeightNorm: a weight as a length g and a direction v/‖v‖, learned separately.

    w = g·v/‖v‖

Axes        ‖v‖ is taken over all axes but ``dim``: with 0, once for each output unit of a weight (out, in, …).
            ``dim=None`` or −1: once for the whole tensor, as PyTorch reads both; −2, −3, … are axes from the end
ε           none, as in PyTorch and the paper: a unit of zeros gives NaN. ``eps`` adds one inside the root,
            w = g·v/√(Σv² + ε); Flax takes 1e-12
g           of v's shape with every other axis 1: (out, 1, …), or () for the whole tensor. PyTorch starts it at ‖v‖, so that
            w is v at first; Flax starts it at 1
statistics  1/‖v‖, of g's shape

Backward, sums over the axes of the norm:

    dg = Σ dw·v/‖v‖        dv = (g/‖v‖)·dw − (g·dg/‖v‖²)·v

so Σ dv·v = 0: the gradient is tangent, v only ever grows under gradient descent. The Jacobian by v is the projection
(g/‖v‖)·(I − v·vᵀ/‖v‖²). With ε both rules hold with √(Σv² + ε) for ‖v‖, and Σ dv·v is of the order of ε.

Source: Salimans, Kingma 2016, "Weight Normalization" (arXiv:1602.07868), eqs. 2 and 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engine import Op, ShapeError, Tensor, describe, scope
from ..engine.arguments import floating, one_axis
from ..engine.primitives import rsqrt, sum
from .arguments import is_analytic, narrow, node_for, number, parameter, widen
from .ranges import power_of_two, shrunk
from .registry import Norm, by_name, register


@scope("WeightNorm")
def weight_norm(input: Tensor, weight: Tensor, dim: int | None = 0, backward: str = "recorded", *, eps: float = 0.0) -> Tensor:
    """g·v/‖v‖, the function behind ``torch.nn.utils.parametrizations.weight_norm``; see the file's head for the formula.

    input:     v, a float tensor of at least one axis: (out, in, …)
    weight:    g: v's shape with all axes 1 but ``dim``; () where ``dim`` is None or −1
    dim:       the axis that keeps a norm for each of its entries; None or −1: one norm for the whole tensor
    backward:  "recorded" or "analytic"
    eps:       added to Σv²

    Returns a tensor of the input's shape. float16 computes its norm in float32 and returns float16.
    Raises ``ShapeError`` where shapes do not fit or there is nothing to take a norm of, ``DTypeError`` for integers.
    """
    v = floating(input, "weight_norm")
    axis, shape = norm_axes(v, dim)
    g = parameter("weight_norm", "weight", weight, shape, f"input {describe(v)} and dim={dim}", v)
    eps = number("weight_norm", "eps", eps)
    if g is None:
        raise ShapeError(f"weight_norm: weight is None for input {describe(v)}; it is the lengths g, of shape {shape}.")
    g = g if shape else g.reshape((1,) * v.ndim)
    if is_analytic("weight_norm", backward):
        return node_for(ANALYTIC, backward)(v, g, axis=axis, eps=eps)  # type: ignore[no-any-return]
    wide = widen(v)
    with scope("norm"):
        square = sum(wide**2, axis=axis).named("‖v‖²")
        inverse = _rsqrt(square, wide, axis, eps).named("1/‖v‖")
    with scope("direction"):
        direction = (wide * inverse).named("v/‖v‖")
    with scope("length"):
        w: Tensor = narrow(direction * g, v)
    return w


def norm_axes(v: Tensor, dim: int | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes ‖v‖ is taken over, and the shape of g."""
    if not v.ndim:
        raise ShapeError(f"weight_norm: input {describe(v)} has no axes; it is a weight (out, in, …).")
    kept = None if dim is None or (isinstance(dim, int) and dim == -1) else one_axis(dim, v, "weight_norm")
    axis = tuple(a for a in range(v.ndim) if a != kept)
    if not axis or any(v.shape[a] == 0 for a in axis):
        raise ShapeError(
            f"weight_norm: input {describe(v)} with dim={dim} leaves no entries to take a norm of. "
            "dim=None takes one norm of the whole tensor."
            if v.size
            else f"weight_norm: input {describe(v)} with dim={dim} has no entries to take a norm of."
        )
    return axis, () if kept is None else tuple(n if a == kept else 1 for a, n in enumerate(v.shape))


# The hand-derived node ------------------------------------------------------------------------------------------


def _inverse(v: Any, axis: tuple[int, ...], eps: float) -> Any:
    return _rsqrt(sum(v**2, axis=axis), v, axis, eps)


def _rsqrt(square: Any, v: Any, axis: tuple[int, ...], eps: Any) -> Any:
    """1/√(Σv² + ε), also where Σv² leaves the dtype's range."""
    shifted = square if isinstance(eps, float) and not eps else square + eps
    scale = power_of_two(shifted, v, axis)
    if scale is None:
        return rsqrt(shifted)
    v = v / scale
    return _rsqrt(sum(v**2, axis=axis), v, axis, shrunk(eps, scale, 2)) / scale


def _forward(v: Any, g: Any, axis: tuple[int, ...], eps: float) -> Any:
    wide = widen(v)
    return narrow(wide * _inverse(wide, axis, eps) * g, v)


def _dv(dw: Any, out: Any, v: Any, g: Any, axis: tuple[int, ...], eps: float) -> Any:
    v, dw = widen(v), widen(dw)
    r = _inverse(v, axis, eps)
    unit = v * r
    return g * r * (dw - unit * sum(dw * unit, axis=axis))


def _dg(dw: Any, out: Any, v: Any, g: Any, axis: tuple[int, ...], eps: float) -> Any:
    v = widen(v)
    return _inverse(v, axis, eps) * sum(widen(dw) * v, axis=axis)


ANALYTIC = Op("weight_norm", "WeightNorm({0}, {1})", _forward, (_dv, _dg))


# What the rest of the house asks --------------------------------------------------------------------------------


def _parameters(shape: tuple[int, ...], dim: int | None = 0, **options: Any) -> Mapping[str, tuple[int, ...]]:
    if dim is None or dim == -1:
        return {"weight": ()}
    return {"weight": tuple(n if a == dim % len(shape) else 1 for a, n in enumerate(shape))}


NORM = register(
    Norm(
        name="weight_norm",
        title="WeightNorm",
        apply=by_name(weight_norm),
        parameters=_parameters,
        symbols={"input": "v", "weight": "g"},
        options={"dim": 0, "eps": 0.0},
        samples=(
            {"shape": (3, 2, 2, 2)},
            {"shape": (3, 4), "dim": 1},
            {"shape": (3, 4), "dim": -1},
            {"shape": (3, 4), "eps": 0.3},
        ),
        min_ndim=2,
        projects=True,
        formula="w = g·v/‖v‖",
        backward_formula="dg = Σ dw·v/‖v‖,  dv = (g/‖v‖)·dw − (g·dg/‖v‖²)·v",
        references=("Salimans, Kingma 2016, Weight Normalization, arXiv:1602.07868",),
    )
)
