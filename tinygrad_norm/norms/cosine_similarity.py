"""Cosine similarity: the scalar product of two vectors after each is divided by its length.

    cos = Σ â·b̂        â = a/max(‖a‖, ε)        b̂ = b/max(‖b‖, ε)

Axes        ``dim``, one axis of the common shape of a and b, which broadcast; 1 by default as in PyTorch. It is summed away
ε           a least length for each of the two by itself; default 1e-8 (PyTorch). Keras' loss of that name has l2_normalize's
            1e-12 on the square, and a minus sign
parameters  none

Backward:

    da = dy·(b̂ − cos·â)/‖a‖        db = dy·(â − cos·b̂)/‖b‖
    da = dy·b̂/ε                    where ‖a‖ < ε; so for b

Each gradient is perpendicular to its own vector: a longer a has the same cosine. At a = 0 it is dy·b̂/ε, 1e8 with the default ε.

PyTorch's values are these; its gradients for 0 < ‖a‖ < ε are not. It clamps the length out of autograd's sight, so its
gradient there is (b̂ − cos·a/‖a‖)/ε, which is not the derivative of what it computes (torch 2.13).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine import Op, ShapeError, Tensor, describe, scope
from ..engine import primitives as op
from ..engine.arguments import drop, one_axis
from .arguments import as_parameter, is_analytic, narrow, node_for, number, widen
from .l2_normalize import at_least, in_range, unit
from .registry import Norm, register


@scope("cosine similarity")
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8, backward: str = "recorded") -> Tensor:
    """The cosine of the angle between vectors along ``dim``, with PyTorch's signature; see the file's head for the formula.

    x1, x2:    float tensors whose shapes broadcast; a Python number takes the other's dtype
    dim:       an axis of their common shape
    eps:       the least length divided by
    backward:  "recorded" or "analytic"

    Returns a tensor of the common shape without ``dim``. float16 is computed in float32. Raises ``ShapeError`` where the shapes
    do not fit, ``DTypeError`` for integers.
    """
    a = as_parameter("cosine_similarity", "x1", x1, x2 if isinstance(x2, (Tensor, np.ndarray)) else None)
    b = as_parameter("cosine_similarity", "x2", x2, a)
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ShapeError(
            f"cosine_similarity: x1 {describe(a)} and x2 {describe(b)} do not broadcast. "
            "Sizes must be equal or 1, counted from the last axis."
        ) from None
    a, b = (t if t.shape == shape else t.broadcast_to(shape) for t in (a, b))  # the lengths are those of the common shape
    axis, eps = (one_axis(dim, a, "cosine_similarity"),), number("cosine_similarity", "eps", eps, 0)
    if is_analytic("cosine_similarity", backward):
        return drop(node_for(ANALYTIC, backward)(a, b, axis=axis, eps=eps), axis, False)
    units = []
    for t, name in ((a, "a"), (b, "b")):
        wide = widen(t)
        with scope("norms"):
            wide, n, _, least, _ = in_range(wide, axis, eps)
            divisor = at_least(n.named(f"‖{name}‖"), least)[0]
        with scope("normalize"):
            units.append((wide / divisor).named(f"{name}̂"))
    with scope("product"):
        product = op.sum(units[0] * units[1], axis=axis).named("cos")
    return drop(_narrow(product, a, b), axis, False)


def _narrow(y: Any, a: Any, b: Any) -> Any:
    """To float16 where both are."""
    return narrow(y, a) if a.dtype == b.dtype else y


def _pull(g: Any, mine: Any, other: Any, axis: tuple[int, ...], eps: float) -> Any:
    direction, divisor, free = unit(widen(mine), axis, eps)
    towards, *_ = unit(widen(other), axis, eps)
    return widen(g) * (towards - direction * (op.sum(direction * towards, axis=axis) * free)) / divisor


def _forward(a: Any, b: Any, *, axis: tuple[int, ...], eps: float) -> Any:
    return _narrow(op.sum(unit(widen(a), axis, eps)[0] * unit(widen(b), axis, eps)[0], axis=axis), a, b)


ANALYTIC = Op(
    "cosine_similarity",
    "cos({0}, {1})",
    _forward,
    (
        lambda g, out, a, b, axis, eps: _pull(g, a, b, axis, eps),
        lambda g, out, a, b, axis, eps: _pull(g, b, a, axis, eps),
    ),
)


def _apply(inputs: Mapping[str, Tensor], backward: str = "recorded", **options: Any) -> Tensor:
    return cosine_similarity(inputs["input"], inputs["other"], backward=backward, **options)


NORM = register(
    Norm(
        name="cosine_similarity",
        title="Cosine similarity",
        apply=_apply,
        parameters=lambda shape, **options: {"other": shape},
        symbols={"input": "a", "other": "b"},
        options={"dim": 1, "eps": 1e-8},
        samples=({"shape": (2, 3, 4), "dim": -1}, {"eps": 2.5}, {"shape": (3, 5), "dim": 0}),
        min_ndim=2,
        formula="cos = Σ a·b/(max(‖a‖, ε)·max(‖b‖, ε))",
        backward_formula="da = dy·(b̂ − cos·â)/‖a‖,  db = dy·(â − cos·b̂)/‖b‖;  over ε where shorter",
        references=("torch.nn.functional.cosine_similarity",),
    )
)
