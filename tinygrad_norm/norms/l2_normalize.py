"""L2 normalization: a vector divided by its length, so that only its direction is left.

    y = x/max(‖x‖, ε)        ‖x‖ = (Σ|x|ᵖ)^(1/p), p = 2 unless told otherwise

Axes        ``dim``, an axis or several together; 1 by default as in PyTorch, −1 in Keras
ε           a least length, not a summand; default 1e-12 (PyTorch). TensorFlow's l2_normalize has
            √max(Σx², 1e-12): there vectors shorter than 1e-6 are not normalized
float16     computed in float32. In float16 itself 1e-12 is 0 and so is ε²: PyTorch's zero vector becomes NaN (torch 2.13),
            Keras had infinite gradients from 0.01 on (keras#23546)
parameters  none

Backward, with n = ‖x‖:

    dx = (dy − y·Σ dy·y)/n                               p = 2: what is left of dy after its part along x is taken out
    dx = (dy − s·Σ dy·y)/n,  s = sign(x)·(|x|/n)ᵖ⁻¹      any p > 0; s is the slope of the length. p = 1: sign(x);
                                                         p = ∞: sign(x) on the largest entries, shared evenly
    dx = dy/ε                                            where n < ε: y = x/ε is linear there

For p = 2, J = (I − y·yᵀ)/n: a projection, over the length. At x = 0 the gradient is dy/ε, with the default ε 1e12·dy: finite,
true, and of no use. (PyTorch gives the same.) Mask such rows, or choose an ε that means something. At n = ε the slope of
n ≥ ε counts, as in PyTorch. The slope of |x| at 0 counts as 0; below p = 1 so does the infinite slope of |x|ᵖ there.

Source: torch.nn.functional.normalize; for p = 2 also Schroff, Kalenichenko, Philbin 2015, "FaceNet" (arXiv:1503.03832).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..engine import Op, Tensor, canonical_axes, scope
from ..engine import primitives as op
from ..engine.arguments import floating
from ..engine.state import sure
from .arguments import is_analytic, narrow, node_for, number, widen
from .moments import of_nothing, root
from .ranges import power_of_two
from .registry import Norm, by_name, register


@scope("L2 normalization")
def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, backward: str = "recorded") -> Tensor:
    """x/max(‖x‖ₚ, ε) along ``dim``, with PyTorch's signature; see the file's head for the formula.

    input:     float tensor of any shape
    p:         which length: above 0, ``inf`` for the largest |x|
    dim:       an axis, or several together
    eps:       the least length divided by
    backward:  "recorded" or "analytic"

    Returns a tensor of the input's shape. Raises ``ShapeError`` for an axis that is not there, ``OptionError`` for a p that is
    not above 0 (PyTorch takes those, too), ``DTypeError`` for an integer input.
    """
    x = floating(input, "normalize")
    axis = canonical_axes(dim, x.ndim, "normalize")
    how: dict[str, Any] = {"axis": axis, "eps": number("normalize", "eps", eps), "p": number("normalize", "p", p, above=0)}
    analytic = is_analytic("normalize", backward)
    if not x.size:
        return of_nothing(x)
    if analytic:
        return node_for(ANALYTIC, backward)(x, **how)  # type: ignore[no-any-return]
    wide = widen(x)
    with scope("norm"):
        wide, n, _, eps, _ = in_range(wide, **how)
        divisor = at_least(n.named("‖x‖"), eps)[0]
    with scope("normalize"):
        y: Tensor = wide / divisor
    return narrow(y, x)  # type: ignore[no-any-return]


def length(x: Any, axis: tuple[int, ...], p: float = 2) -> tuple[Any, Any]:
    """‖x‖ₚ, with slope 0 where x is 0; and the same as a divisor, 1 where x is 0."""
    if p == 2:
        return root(op.sum(x**2, axis=axis))
    size = op.abs(x)
    if p == 1 or p == math.inf:
        n = op.sum(size, axis=axis) if p == 1 else op.max(size, axis=axis)
        return n, op.where(n == 0, 1.0, n)
    powers = op.sum(op.where(size == 0, 0.0, op.where(size == 0, 1.0, size) ** p), axis=axis)
    some = op.where(powers == 0, 1.0, powers) ** (1 / p)
    return op.where(powers == 0, 0.0, some), some


def in_range(x: Any, axis: tuple[int, ...], eps: float, p: float = 2) -> tuple[Any, Any, Any, Any, Any]:
    """x, ‖x‖ in ``length``'s two forms, ε, and what x and ε were divided by because of the range of their dtype, mostly None."""
    n, some = length(x, axis, p)
    scale = None if p in (1, math.inf) else power_of_two(n, x, axis, p, of_roots=True)
    if scale is None:
        return x, n, some, eps, None
    x = x / scale
    return x, *length(x, axis, p), eps / scale, scale


def at_least(n: Any, eps: Any) -> tuple[Any, Any]:
    """max(n, ε), and 1 where that is n or 0 where it is ε: a fact, nothing flows through it.

    As in ``root``, what does not happen is not on the record.
    """
    if isinstance(n, (np.ndarray, Tensor)):
        below = (n.data if isinstance(n, Tensor) else n) < eps
        if not sure(not np.any(below)):
            divisor = op.where(below, eps, n)
            return (divisor.named("max(‖x‖, ε)") if isinstance(divisor, Tensor) else divisor), np.where(below, 0, 1).astype(
                n.dtype
            )
    return n, 1.0


def unit(x: Any, axis: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """x̂ for p = 2, what x was divided by, and 1 where that is ‖x‖, 0 where it is ε."""
    x, n, _, least, scale = in_range(x, axis, eps)
    divisor, free = at_least(n, least)
    return x / divisor, divisor if scale is None else divisor * scale, free


# The hand-derived node ------------------------------------------------------------------------------------------


def _slope(x: Any, n: Any, axis: tuple[int, ...], p: float) -> Any:
    """d‖x‖/dx, for n = ‖x‖ as a divisor."""
    if p == 2:
        return x / n
    if p == 1:
        return op.sign(x)
    size = op.abs(x)
    if p == math.inf:
        best = op.astype(size == op.max(size, axis=axis), dtype=x.dtype)
        return op.sign(x) * best / op.sum(best, axis=axis)
    return op.sign(x) * (op.where(size == 0, n, size) / n) ** (p - 1)  # where x is 0, so is its sign


def _dx(g: Any, out: Any, x: Any, *, axis: tuple[int, ...], eps: float, p: float) -> Any:
    g = widen(g)
    x, n, nonzero, eps, scale = in_range(widen(x), axis, eps, p)
    divisor, free = at_least(n, eps)
    along = op.sum(g * x, axis=axis) / divisor
    dx = (g - _slope(x, nonzero, axis, p) * (along * free)) / divisor
    return dx if scale is None else dx / scale


def _forward(x: Any, *, axis: tuple[int, ...], eps: float, p: float) -> Any:
    wide, n, _, eps, _ = in_range(widen(x), axis, eps, p)
    return narrow(wide / at_least(n, eps)[0], x)


ANALYTIC = Op("normalize", "L2Norm({0})", _forward, (_dx,))


NORM = register(
    Norm(
        name="normalize",
        title="L2 normalization",
        apply=by_name(normalize),
        parameters=lambda shape, **options: {},
        symbols={"input": "x"},
        options={"p": 2.0, "dim": 1, "eps": 1e-12},
        samples=(
            {"shape": (2, 3, 4), "dim": -1},
            {"eps": 2.5},  # some rows are shorter than that, some are longer
            {"p": 3.0},
            {"p": 1.0, "dim": 0},
            {"p": 1.5, "shape": (3, 5), "eps": 2.5},
        ),
        min_ndim=2,
        projects=True,
        formula="y = x/max(‖x‖, ε)",
        backward_formula="dx = (dy − y·Σ dy·y)/‖x‖;  dy/ε where ‖x‖ < ε",
        references=("torch.nn.functional.normalize", "Schroff, Kalenichenko, Philbin 2015, FaceNet, arXiv:1503.03832"),
    )
)
