"""Adaptive gradient clipping: no unit's gradient may be long compared with its weights."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..engine import DTypeError, ShapeError, Tensor, describe
from ..engine.arrays import Array
from ..norms.arguments import number


def adaptive_grad_clip_(parameters: Tensor | Iterable[Tensor], clipping: float = 0.01, eps: float = 1e-3) -> None:
    """Shorten the gradient G of each unit whose length is above λ·max(‖W‖, ε) to that; the others stay as they are.

        G ← G·λ·max(‖W‖, ε)/‖G‖        where ‖G‖ > λ·max(‖W‖, ε)

    parameters:  one tensor or several; those whose ``.grad`` is None are passed over. New tensors take the place of the
                 gradients, outside any record
    clipping:    λ, above 0: the largest ratio of gradient to weight
    eps:         ε, what a unit is taken to weigh at least: weights that start at 0 must be able to leave it

    A unit is an entry of the first axis: weights are (out, in, …), so its norms run over the fan-in. Vectors and scalars
    are one unit, and so is what has one axis longer than 1, such as a gain (out, 1, 1, 1) (as in the authors' code; timm's
    counts axes only). An infinite gradient becomes NaN, which a step may look for. The paper leaves out the last layer.
    Raises ``ShapeError`` for a gradient of another shape, ``OptionError`` for a λ or an ε that is none.

    Source: Brock, De, Smith, Simonyan 2021, "High-Performance Large-Scale Image Recognition Without Normalization"
    (arXiv:2102.06171), eq. 3.
    """
    clipping, eps = number("adaptive_grad_clip_", "clipping", clipping, above=0), number("adaptive_grad_clip_", "eps", eps, 0)
    several = isinstance(parameters, Iterable) and not isinstance(parameters, (Tensor, np.ndarray))
    for p in parameters if several else [parameters]:
        if not isinstance(p, Tensor):
            raise DTypeError(
                f"adaptive_grad_clip_: {describe(p)} is no parameter; give a tensor, or several, such as net.parameters()."
            )
        if p.grad is None:
            continue
        if p.grad.shape != p.shape:
            raise ShapeError(f"adaptive_grad_clip_: the gradient {describe(p.grad)} of {describe(p)}: the shapes must be equal.")
        g = p.grad.data
        longest = clipping * np.maximum(_lengths(p.data), eps)
        length = _lengths(g)
        long = length > longest
        if np.any(long):
            scale = np.where(long, longest / np.maximum(length, 1e-6), 1.0)
            with np.errstate(invalid="ignore"):  # an infinite gradient, times 0
                p.grad = Tensor(np.asarray(g * scale, g.dtype), name=p.grad.name)


def _lengths(a: Array) -> Array:
    """‖·‖ of each unit, in float64: squares of float16 or of large float32 would overflow."""
    units = sum(n != 1 for n in a.shape) > 1
    axis = tuple(range(1, a.ndim)) if units else None
    return np.asarray(np.sqrt(np.sum(np.square(a, dtype=np.float64), axis=axis, keepdims=True)))
