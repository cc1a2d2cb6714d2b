"""Spectral normalization: a weight divided by its largest singular value, so that the layer stretches nothing.

    Ŵ = W/σ,  σ = uᵀ·W·v        u, v: the singular vectors, approximated by power iteration

Axes        a weight (out, in, …) is read as the matrix (out, in·…)
ε           none in the division: a weight of zeros gives NaN, as in PyTorch. ``power_iteration`` divides by
            max(‖·‖, ε), ε 1e-12, as PyTorch and the authors' code do
u, v        of length 1, shapes (out,) and (in·…,). They are constants: nothing flows back through the iteration. The
            module keeps them and iterates once per training step; torch starts with 15 iterations
statistics  σ, one number

Backward, u and v held:

    dW = (dŴ − (Σ dŴ·Ŵ)·u·vᵀ)/σ

When u and v are the singular vectors this is the whole gradient of W/σ₁(W), for ∂σ₁/∂W = u·vᵀ is all there is at first
order. Before they have converged, and at the second order always, it is the gradient of the function with u and v held,
which is what PyTorch differentiates, too.

Source: Miyato, Kataoka, Koyama, Yoshida 2018, "Spectral Normalization for GANs" (arXiv:1802.05957), eqs. 8 to 12, algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine import Op, ShapeError, Tensor, describe, scope
from ..engine.arguments import floating
from ..engine.arrays import Array
from ..engine.primitives import reshape, sum
from ..engine.state import state
from .arguments import is_analytic, narrow, node_for, number, parameter, wide_dtype, widen
from .registry import Norm, register


@scope("spectral norm")
def spectral_norm(input: Tensor, u: Any, v: Any, backward: str = "recorded") -> Tensor:
    """W/(uᵀWv), with u and v as constants; see the file's head for the formula.

    input:     W, a float tensor (out, in, …) of at least two axes
    u, v:      shapes (out,) and (in·…,), tensors or arrays, as ``power_iteration`` gives them; nothing flows to them
    backward:  "recorded" or "analytic"

    Returns a tensor of the input's shape. float16 computes σ in float32 and returns float16.
    Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for integers.
    """
    x = floating(input, "spectral_norm")
    rows, columns = matrix_shape(x)
    left, right = (
        _constant(parameter("spectral_norm", name, p, (n,), f"input {describe(x)}, a matrix ({rows}, {columns})"), name, x)
        for name, p, n in (("u", u, rows), ("v", v, columns))
    )
    if is_analytic("spectral_norm", backward):
        return node_for(ANALYTIC, backward)(x, left, right)  # type: ignore[no-any-return]
    wide = widen(x)
    with scope("largest singular value"):
        matrix = wide if x.ndim == 2 else wide.reshape(rows, columns)
        sigma = (left.reshape(1, rows) @ (matrix @ right.reshape(columns, 1))).named("σ")
    with scope("normalize"):
        y: Tensor = narrow(wide / (sigma if x.ndim == 2 else sigma.reshape((1,) * x.ndim)), x)
    return y


def matrix_shape(x: Any) -> tuple[int, int]:
    """(out, in·…); ``ShapeError`` for what is no weight of a layer."""
    if x.ndim < 2 or not x.size:
        raise ShapeError(f"spectral_norm: input {describe(x)} is no matrix; it is a weight (out, in, …), and not empty.")
    return x.shape[0], math.prod(x.shape[1:])


def _constant(p: Tensor | None, name: str, x: Tensor) -> Tensor:
    """As wide as what is computed in: a buffer's dtype must not change the weight's."""
    if p is None:
        raise ShapeError(f"spectral_norm: {name} is None for input {describe(x)}. power_iteration(W, u) gives both.")
    held = p.data.astype(wide_dtype(x))
    return Tensor(
        np.asarray(held) if isinstance(held, np.ndarray) else held, name=name
    )  # else followed, by a record for elsewhere


def power_iteration(W: Any, u: Any, steps: int = 1, eps: float = 1e-12) -> tuple[Array, Array]:
    """u and v after ``steps`` rounds of v ← Wᵀu/‖Wᵀu‖, u ← Wv/‖Wv‖; outside the record.

    W:    tensor or array (out, in, …), read as a matrix
    u:    shape (out,): where to start; random is right. Not orthogonal to the singular vector that is looked for
    eps:  a length below it counts as it

    The error shrinks by (σ₂/σ₁)² a round. Returns arrays of W's dtype (float32 for float16), new ones.
    Raises ``ShapeError`` where shapes do not fit, ``OptionError`` for ``steps`` below 1, ``DTypeError`` for what is no whole
    number.
    """
    w = W.data if isinstance(W, Tensor) else np.asarray(W)
    rows, columns = matrix_shape(w)
    start = u.data if isinstance(u, Tensor) else np.asarray(u)
    steps, eps = number("power_iteration", "steps", steps, least=1, whole=True), number("power_iteration", "eps", eps)
    if start.shape != (rows,):
        raise ShapeError(f"power_iteration: u {describe(start)} for W {describe(w)}: u must be of shape ({rows},).")
    matrix = widen(w).reshape(rows, columns)
    u = start.astype(matrix.dtype)
    for _ in range(steps):
        v = _unit(matrix.T @ u, eps)
        u = _unit(matrix @ v, eps)
    return u, v


def _unit(a: Array, eps: float) -> Array:
    if state.general:
        return np.asanyarray(a / np.maximum(np.sqrt(np.sum(a * a)), eps))
    return a / max(math.sqrt(np.vdot(a, a)), eps)


# The hand-derived node ------------------------------------------------------------------------------------------


def _outer(x: Any, u: Any, v: Any) -> tuple[Any, Any]:
    """u and v, each along its axes of x."""
    ones = (1,) * (len(x.shape) - 1)
    return reshape(u, shape=(*u.shape, *ones)), reshape(v, shape=(1, *x.shape[1:]))


def _sigma(x: Any, u: Any, v: Any) -> Any:
    left, right = _outer(x, u, v)
    return sum(left * sum(x * right, axis=tuple(range(1, len(x.shape)))), axis=(0,))


def _forward(x: Any, u: Any, v: Any) -> Any:
    wide = widen(x)
    return narrow(wide / _sigma(wide, u, v), x)


def _dx(g: Any, out: Any, x: Any, u: Any, v: Any) -> Any:
    x, g = widen(x), widen(g)
    sigma = _sigma(x, u, v)
    left, right = _outer(x, u, v)
    along = sum(g * x, axis=tuple(range(len(x.shape)))) / sigma
    return (g - along * left * right) / sigma


ANALYTIC = Op("spectral_norm", "SpectralNorm({0})", _forward, (_dx, None, None))


# What the rest of the house asks --------------------------------------------------------------------------------


def _apply(inputs: Mapping[str, Tensor], backward: str = "recorded", n_power_iterations: int = 15, **options: Any) -> Tensor:
    x = inputs["input"]
    n_power_iterations = number("spectral_norm", "n_power_iterations", n_power_iterations, least=1, whole=True)
    u, v = power_iteration(x, np.ones(x.shape[:1]), n_power_iterations)
    return spectral_norm(x, u, v, backward=backward, **options)


NORM = register(
    Norm(
        name="spectral_norm",
        title="Spectral normalization",
        apply=_apply,
        parameters=lambda shape, **options: {},
        symbols={"input": "W"},
        options={"n_power_iterations": 15},
        samples=({"n_power_iterations": 1}, {"shape": (3, 2, 2, 2)}, {"shape": (1, 5)}),
        min_ndim=2,
        formula="Ŵ = W/σ,  σ = uᵀ·W·v, u and v held",
        backward_formula="dW = (dŴ − (Σ dŴ·Ŵ)·u·vᵀ)/σ",
        references=("Miyato et al. 2018, Spectral Normalization for Generative Adversarial Networks, arXiv:1802.05957",),
    )
)
