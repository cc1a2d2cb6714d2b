"""Gradients that are too long are shortened before a step: all together, number by number, or unit by unit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from ..engine import DTypeError, GradientError, ShapeError, Tensor, describe
from ..engine.arrays import Array
from ..norms.arguments import flag, number

Parameters = Tensor | Iterable[Tensor]


def each_parameter(name: str, parameters: Parameters) -> Iterator[Tensor]:
    """One tensor or several, one by one; ``DTypeError`` for what is none."""
    several = isinstance(parameters, Iterable) and not isinstance(parameters, (Tensor, np.ndarray))
    for p in parameters if several else [parameters]:
        if not isinstance(p, Tensor):
            raise DTypeError(f"{name}: {describe(p)} is no parameter; give a tensor, or several, such as net.parameters().")
        yield p


def _gradients(name: str, parameters: Parameters) -> Iterator[tuple[Tensor, Array]]:
    """The parameters that have gradients, with them."""
    for p in each_parameter(name, parameters):
        if p.grad is None:
            continue
        if p.grad.shape != p.shape:
            raise ShapeError(f"{name}: the gradient {describe(p.grad)} of {describe(p)}: the shapes must be equal.")
        yield p, p.grad.numpy()


def _replace(p: Tensor, gradient: Array) -> None:
    """A new tensor takes the gradient's place, outside any record."""
    old = p.grad
    assert old is not None
    p.grad = Tensor(np.asarray(gradient, old.dtype), name=old.name)


def clip_grad_norm_(parameters: Parameters, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """Shorten all gradients by one factor, such that together, as one vector, they are no longer than ``max_norm``.

        G ← G·min(1, max_norm/(‖G‖ + 1e-6))

    parameters:  one tensor or several; those whose ``.grad`` is None are passed over. New tensors take the place of the
                 gradients, outside any record
    norm_type:   p of the p-norm, above 0; ``float("inf")`` for the largest entry
    error_if_nonfinite:  ``GradientError`` where the length is NaN or infinite; otherwise the gradients become NaN or 0

    Returns the length before, a tensor of shape () in the gradients' dtype (the parameters', where none has a gradient); it is
    computed in float64.

    Source: Pascanu, Mikolov, Bengio 2013, "On the difficulty of training Recurrent Neural Networks" (arXiv:1211.5063), algorithm 1.
    """
    name = "clip_grad_norm_"
    most, power = number(name, "max_norm", max_norm, 0), number(name, "norm_type", norm_type, above=0)
    strict = flag(name, "error_if_nonfinite", error_if_nonfinite)
    each = list(each_parameter(name, parameters))
    found = list(_gradients(name, each))
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = [_length(g, power) for _, g in found]
        total = float(_length(np.array(lengths), power))
        if strict and not math.isfinite(total):
            raise GradientError(
                f"{name}: the gradients' norm is {total}. Look for the parameter it comes from: its .grad is not finite."
            )
        factor = most / (total + 1e-6)
        if not factor >= 1:
            for p, g in found:
                _replace(p, g * factor)
        return Tensor(
            np.asarray(total, np.result_type(*{g.dtype for _, g in found} or {p.dtype for p in each} or {np.dtype(np.float64)}))
        )


def _length(a: Array, power: float) -> float:
    a = np.abs(a.astype(np.float64, copy=False))
    if power == math.inf or not a.size:
        return float(a.max(initial=0))
    return float(np.sqrt(np.sum(np.square(a))) if power == 2 else np.sum(a**power) ** (1 / power))


def clip_grad_value_(parameters: Parameters, clip_value: float) -> None:
    """Bring each entry of each gradient into −clip_value … clip_value.

    parameters:  one tensor or several; those whose ``.grad`` is None are passed over. New tensors take the place of the
                 gradients, outside any record

    Raises ``OptionError`` for a value below 0.
    """
    most = number("clip_grad_value_", "clip_value", clip_value, 0)
    for p, g in _gradients("clip_grad_value_", parameters):
        _replace(p, np.clip(g, -most, most))


def adaptive_grad_clip_(parameters: Parameters, clipping: float = 0.01, eps: float = 1e-3) -> None:
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
    for p, g in _gradients("adaptive_grad_clip_", parameters):
        longest = clipping * np.maximum(_lengths(p.data), eps)
        length = _lengths(g)
        long = length > longest
        if np.any(long):
            scale = np.where(long, longest / np.maximum(length, 1e-6), 1.0)
            with np.errstate(invalid="ignore"):  # an infinite gradient, times 0
                _replace(p, g * scale)


def _lengths(a: Array) -> Array:
    """‖·‖ of each unit, in float64: squares of float16 or of large float32 would overflow."""
    units = sum(n != 1 for n in a.shape) > 1
    axis = tuple(range(1, a.ndim)) if units else None
    return np.asarray(np.sqrt(np.sum(np.square(a, dtype=np.float64), axis=axis, keepdims=True)))
