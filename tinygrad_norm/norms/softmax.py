"""Softmax: the exponentials of a row divided by their sum, so that they are positive and add up to 1.

    z = x − max(x)    e = exp(z)    p = e/Σe

Axes        ``dim``: one axis, or several taken together; no default (PyTorch guesses one and warns, Keras and JAX: −1)
ε           none: Σe is at least 1
max         held constant. p does not depend on what is subtracted, so nothing is lost, at any order; without it exp overflows
            from x = 89 on in float32
parameters  none

Backward:

    dx = p·(dy − Σ dy·p)            J = diag(p) − p·pᵀ

J is symmetric and positive semidefinite, of rank (number of p > 0) − 1, of trace 1 − Σp², and no eigenvalue is above ½.
Every row of dx sums to zero: adding one number to all of x changes nothing.

Precision   p is right relative to itself. dx is a difference of cotangents, right to a few ε of the largest of them: at p ≈ 1 its
            few digits are those of 1 − p. Where they count, take ``cross_entropy``, whose p − 1 keeps them

Edges       a row of −∞ only, or with +∞ or NaN in it, is NaN; single −∞ are p = 0 with gradient 0

Source: Bridle 1990, "Probabilistic Interpretation of Feedforward Classification Network Outputs".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine import Tensor, canonical_axes, scope
from ..engine import primitives as op
from ..engine.arguments import floating
from .arguments import by_node, is_analytic, named_axes, narrow, widen
from .registry import Norm, by_name, register


@scope("softmax")
def softmax(input: Tensor, dim: Any, backward: str = "recorded") -> Tensor:
    """exp(x)/Σexp(x) along ``dim``; see the file's head for the formula.

    input:     float tensor of any shape
    dim:       an axis, or several together
    backward:  "recorded": every operation is on the record; "analytic": one node with the hand-derived pullback

    Returns a tensor of the input's shape; stable for any size of x. float16 is computed in float32 and comes back as float16.
    Raises ``ShapeError`` for an axis that is not there and where none is named, ``DTypeError`` for an integer input.
    """
    x = floating(input, "softmax")
    named_axes("softmax", x, dim)
    axis = canonical_axes(dim, x.ndim, "softmax")
    if is_analytic("softmax", backward):
        return narrow(by_node(op.softmax, backward, widen(x), axis=axis), x).named("p")  # type: ignore[no-any-return]
    z = shifted(widen(x), axis)
    with scope("exponentials"):
        e = op.exp(z).named("e")
    with scope("normalize"):
        p: Tensor = (e / op.sum(e, axis=axis).named("Σe")).named("p")
    return p if p.dtype == x.dtype else narrow(p, x).named("p")


def shifted(x: Tensor, axis: tuple[int, ...]) -> Tensor:
    """x − max(x), the largest entry a constant of the record: the result does not depend on it."""
    with scope("shift"):
        largest = Tensor(np.max(x.data.real, axis, keepdims=True, initial=-np.inf), name="max")
        z: Tensor = (x - largest).named("z")
    return z


def _saved(inputs: Mapping[str, Any], dim: Any, **_: Any) -> dict[str, Any]:
    """The exponentials and their sum where nothing is subtracted first."""
    e = np.exp(np.minimum(inputs["input"], 80))
    return {"exp(x)": e, "Σexp(x)": np.sum(e, axis=dim, keepdims=True)}


NORM = register(
    Norm(
        name="softmax",
        title="Softmax",
        apply=by_name(softmax),
        parameters=lambda shape, **options: {},
        symbols={"input": "x"},
        options={"dim": -1},
        saved=_saved,
        samples=({"shape": (2, 3, 5), "dim": 1}, {"shape": (6,)}, {"shape": (3, 2), "dim": 0}),
        formula="p = exp(x − max)/Σ exp(x − max)",
        backward_formula="dx = p·(dy − Σ dy·p)",
        references=("Bridle 1990, Probabilistic Interpretation of Feedforward Classification Network Outputs",),
    )
)
