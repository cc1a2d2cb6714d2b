"""Log-softmax: the logarithm of softmax, without ever taking the logarithm of a p that has become 0.

    z = x − max(x)    y = z − log Σ exp(z)

Axes        ``dim``: one axis, or several taken together
ε           none: Σ exp(z) is at least 1
max         held constant, as in softmax
parameters  none

Backward, with p = exp(y):

    dx = dy − p·Σ dy

Every row of dx sums to zero. log(softmax(x)) is the same function; but where p is below the smallest number there is, its
value is −∞ and its gradient NaN.

Precision   recorded, dx adds up two routes, 1 and −p, and is right to a few ε of the cotangents; the analytic node has
            1 − p = −expm1(y), relative to itself. So has ``cross_entropy``, both ways

Edges       as softmax: a row of −∞ only, or with +∞ or NaN in it, is NaN; single −∞ stay −∞
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine import Tensor, canonical_axes, scope
from ..engine import primitives as op
from ..engine.arguments import floating
from .arguments import by_node, is_analytic, named_axes, narrow, widen
from .moments import of_nothing
from .registry import Norm, by_name, register
from .softmax import shifted


@scope("log-softmax")
def log_softmax(input: Tensor, dim: Any, backward: str = "recorded") -> Tensor:
    """x − log Σexp(x) along ``dim``; see the file's head for the formula.

    input:     float tensor of any shape
    dim:       an axis, or several together
    backward:  "recorded" or "analytic"

    Returns a tensor of the input's shape; stable for any size of x. float16 is computed in float32 and comes back as float16.
    Raises ``ShapeError`` for an axis that is not there and where none is named, ``DTypeError`` for an integer input.
    """
    x = floating(input, "log_softmax")
    named_axes("log_softmax", x, dim)
    axis = canonical_axes(dim, x.ndim, "log_softmax")
    analytic = is_analytic("log_softmax", backward)
    if not x.size:
        return of_nothing(x)
    if analytic:
        return narrow(by_node(op.log_softmax, backward, widen(x), axis=axis), x)  # type: ignore[no-any-return]
    z = shifted(widen(x), axis)
    with scope("exponentials"):
        total = op.sum(op.exp(z).named("e"), axis=axis).named("Σe")
    with scope("normalize"):
        y: Tensor = z - op.log(total)
    return narrow(y, x)  # type: ignore[no-any-return]


def log_probabilities(x: Any, dim: Any) -> Any:
    """Of an array."""
    z = x - np.max(x, axis=dim, keepdims=True)
    return z - np.log(np.sum(np.exp(z), axis=dim, keepdims=True))


def _saved(inputs: Mapping[str, Any], dim: Any, **_: Any) -> dict[str, Any]:
    logp = log_probabilities(inputs["input"], dim)
    return {"probs": np.exp(logp), "log_probs": logp}


NORM = register(
    Norm(
        name="log_softmax",
        title="Log-softmax",
        apply=by_name(log_softmax),
        parameters=lambda shape, **options: {},
        symbols={"input": "x"},
        options={"dim": -1},
        saved=_saved,
        samples=({"shape": (2, 3, 5), "dim": 1}, {"shape": (6,)}, {"shape": (3, 2), "dim": 0}),
        formula="y = x − max − log Σ exp(x − max)",
        backward_formula="dx = dy − exp(y)·Σ dy",
        references=("Bridle 1990, Probabilistic Interpretation of Feedforward Classification Network Outputs",),
    )
)
