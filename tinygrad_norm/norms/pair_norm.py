"""PairNorm: keeps the nodes of a graph apart. Their mean is taken out, and their mean squared length is set to s².

    c = x − mean(x) over the nodes        y = s·c/√(mean(‖c‖²) + ε)

Why that: the mean squared distance between all pairs of nodes is then 2·s², however many layers have smoothed them

Axes        the mean over the nodes; ‖c‖² over the channels, its mean over the nodes: one number for a graph.
            (N, C) is one graph, (G, N, C) several, padded to one size; ``mask`` (G, N) says which are nodes. Padding takes
            part in no mean, its y is 0, and no gradient flows to it
s           a hyper-parameter, 1; nothing is learned
ε           inside the root; 1e-6 in the authors' code (1e-5 in PyTorch Geometric)
PN-SI       ``scale_individually=True``: y = s·c/√(‖c‖² + ε), each node by its own length

Backward, with g = s·dy, r = 1/√(… + ε), ĉ = c·r, Σ over the channels:

    dx = dc − mean(dc)        dc = r·(g − ĉ·mean(Σ g·ĉ))        PN-SI: dc = r·(g − ĉ·Σ g·ĉ)

Σ dx over the nodes is 0, and for ε = 0 so is Σ dx·c over everything.

Source: Zhao, Akoglu 2020, "PairNorm: Tackling Oversmoothing in GNNs" (arXiv:1909.12223), eqs. 10 and 11.
"""

from __future__ import annotations

from typing import Any

from ..engine import Op, Tensor, scope
from ..engine.arguments import floating
from ..engine.primitives import rsqrt, sum
from .arguments import flag, is_analytic, narrow, node_for, number, widen
from .masked import drawn, in_range, mean_over, nodes, only, real_nodes
from .moments import of_nothing
from .registry import Norm, register


@scope("PairNorm")
def pair_norm(
    input: Tensor,
    scale: float = 1.0,
    scale_individually: bool = False,
    eps: float = 1e-6,
    backward: str = "recorded",
    *,
    mask: Any = None,
) -> Tensor:
    """PairNorm of (N, C) or (*, N, C); see the file's head for the formula.

    input:               float tensor, the nodes' features
    scale:               s
    scale_individually:  each node by its own length
    backward:            "recorded" or "analytic"
    mask:                (*, N) of booleans or integers: which are nodes; None: all

    Returns a tensor of the input's shape, 0 at padding. float16 computes in float32 and returns float16.
    Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for an integer input or a mask of other numbers.
    """
    x = floating(input, "pair_norm")
    axis = nodes("pair_norm", x)
    eps, scale = number("pair_norm", "eps", eps), number("pair_norm", "scale", scale)
    each = flag("pair_norm", "scale_individually", scale_individually)
    real, analytic = real_nodes("pair_norm", x, mask), is_analytic("pair_norm", backward)
    if not x.size:
        return of_nothing(x)
    wide, how = widen(x), {"axis": axis, "eps": eps, "each": each}
    if analytic:
        apart = (
            node_for(ANALYTIC, backward)(wide, **how) if real is None else node_for(MASKED, backward)(wide, Tensor(real), **how)
        )
    else:
        with scope("centre"):
            c = only(wide - mean_over(wide, real, axis).named("μ"), real).named("c")
        with scope("length"):
            name = "‖c‖²" if each else "mean(‖c‖²)"
            c, square, _ = in_range(lambda c: _square(c, real, axis, each).named(name), c, _shared(axis, each), eps)
            r = rsqrt(square).named("r")
        with scope("normalize"):
            apart = (c * r).named("ĉ")
    with scope("scale"):
        return narrow(apart * scale, x)  # type: ignore[no-any-return]


def _square(c: Any, mask: Any, axis: tuple[int, ...], each: bool) -> Any:
    """‖c‖², of each node or the mean of all."""
    square = sum(c**2, axis=(axis[0] + 1,))
    if not each:
        return mean_over(square, mask, axis)
    return square if mask is None else square + (1 - mask)  # padding has no length, and is divided by none


def _shared(axis: tuple[int, ...], each: bool) -> tuple[int, ...]:
    """The axes that share one length."""
    return (axis[0] + 1,) if each else (*axis, axis[0] + 1)


# The hand-derived node ------------------------------------------------------------------------------------------


def _parts(x: Any, mask: Any, axis: tuple[int, ...], eps: float, each: bool) -> tuple[Any, Any]:
    """ĉ and r."""
    c = only(x - mean_over(x, mask, axis), mask)
    c, square, scale = in_range(lambda c: _square(c, mask, axis, each), c, _shared(axis, each), eps)
    r = rsqrt(square)
    return c * r, r / scale


def _dx(g: Any, out: Any, x: Any, mask: Any = None, *, axis: tuple[int, ...], eps: float, each: bool) -> Any:
    unit, r = _parts(x, mask, axis, eps, each)
    along = sum(g * unit, axis=(axis[0] + 1,))
    dc = r * (only(g, mask) - unit * (along if each else mean_over(along, mask, axis)))
    return dc - only(mean_over(dc, mask, axis), mask)


ANALYTIC = Op("pair_norm", "PairNorm({0})", lambda x, **how: _parts(x, None, **how)[0], (_dx,))
MASKED = Op("pair_norm", "PairNorm({0}; {1})", lambda x, mask, **how: _parts(x, mask, **how)[0], (_dx, None))
"""With the mask as a second input, that nothing flows to."""


# What the rest of the house asks --------------------------------------------------------------------------------


def _apply(inputs: Any, backward: str = "recorded", masked: bool = False, **options: Any) -> Tensor:
    return pair_norm(inputs["input"], backward=backward, mask=inputs.get("mask"), **options)


NORM = register(
    Norm(
        name="pair_norm",
        title="PairNorm",
        apply=_apply,
        parameters=lambda shape, masked=False, **options: {"mask": shape[:-1]} if masked else {},
        symbols={"input": "x", "mask": "m"},
        options={"scale": 1.0, "scale_individually": False, "eps": 1e-6, "masked": False},
        shape=(5, 4),
        samples=(
            {"shape": (2, 4, 3), "eps": 0.3, "scale": 2.0},
            {"scale_individually": True},
            {"shape": (3, 4, 2), "masked": True},
            {"shape": (5, 3), "masked": True, "scale_individually": True},
        ),
        draw={"mask": drawn},
        min_ndim=2,
        formula="y = s·c/√(mean(‖c‖²) + ε),  c = x − mean(x), means over the nodes",
        backward_formula="dx = dc − mean(dc),  dc = r·(g − ĉ·mean(Σ g·ĉ)),  g = s·dy,  ĉ = c·r",
        references=("Zhao, Akoglu 2020, PairNorm: Tackling Oversmoothing in GNNs, arXiv:1909.12223",),
    )
)
