"""Functions over axes: sums and products of a kind, what is largest, and where."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import primitives as op
from .arguments import as_tensor, boolean, drop, floating, in_float32, in_range, one_axis, ordered, over, part, reduced, root
from .errors import OptionError, ShapeError, describe
from .shapes import canonical_axes, flag, number
from .state import scope
from .tensor import Tensor

# Softmax ------------------------------------------------------------------------------------------------


def softmax(input: Any, dim: Any) -> Tensor:
    """exp(x)/Σexp(x) along ``dim`` (an axis, or several together); stable for any size of x.

    Values are right relative to themselves; the gradient p·(g − Σg·p) to a few ε of the cotangents, of which it is a difference.
    """
    x = floating(input, "softmax")
    return op.softmax(x, axis=canonical_axes(dim, x.ndim, "softmax"))  # type: ignore[no-any-return]


def log_softmax(input: Any, dim: Any) -> Tensor:
    """x − log Σexp(x) along ``dim``; stable for any size of x."""
    x = floating(input, "log_softmax")
    return op.log_softmax(x, axis=canonical_axes(dim, x.ndim, "log_softmax"))  # type: ignore[no-any-return]


@scope("masked softmax")
def masked_softmax(input: Any, mask: Any, dim: Any) -> Tensor:
    """The softmax along ``dim`` of the entries where ``mask`` is true; 0 elsewhere, and no gradient flows there.

    mask:  truth values that broadcast to the input (the caller's: no gradient asks for them)

    A row of which no entry takes part is 0 throughout, and so is its gradient (where a softmax of −∞ is NaN).
    """
    x = floating(input, "masked_softmax")
    axes = canonical_axes(dim, x.ndim, "masked_softmax")
    takes_part = boolean(mask, x, "masked_softmax")
    some = np.broadcast_to(takes_part, x.shape).any(axes, keepdims=True)
    m, left_out = Tensor(takes_part), Tensor(np.where(some, -np.inf, 0.0).astype(x.dtype))
    return op.where(m, op.softmax(op.where(m, x, left_out), axis=axes), 0.0)  # type: ignore[no-any-return]


def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Tensor:
    """log Σexp(x) over ``dim`` (none at all, ``()``, is all); −∞ where every entry is −∞."""
    return reduced(op.logsumexp, floating(input, "logsumexp"), dim, keepdim)


# Sums and products --------------------------------------------------------------------------------------


def prod(input: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The product over ``dim``, or over all axes. The gradient is the product of the others, right where entries are 0."""
    return reduced(op.prod, as_tensor(input, "prod"), dim, keepdim)


def cumsum(input: Any, dim: int) -> Tensor:
    """Running sums along ``dim``."""
    x = as_tensor(input, "cumsum")
    return op.cumsum(x, axis=one_axis(dim, x, "cumsum"), reverse=False)  # type: ignore[no-any-return]


@scope("cumprod")
def cumprod(input: Any, dim: int) -> Tensor:
    """Running products along ``dim``; the gradient is right where entries are 0, at every order.

    By doubling: after k steps each entry is the product of the last 2ᵏ, so log₂ N products of arrays are enough.
    """
    y = as_tensor(input, "cumprod")
    axis = one_axis(dim, y, "cumprod")
    half = y.dtype == np.float16
    y = y.astype(np.float32) if half else y
    n, step = y.shape[axis], 1
    while step < n:
        y = op.concatenate(part(y, axis, 0, step), part(y, axis, step, None) * part(y, axis, 0, n - step), axis=axis)
        step *= 2
    return y.astype(np.float16) if half else y


@scope("variance")
@in_float32
def var(
    input: Any,
    dim: Any = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    unbiased: bool | None = None,
    axis: Any = None,
    keepdims: bool | None = None,
    ddof: float | None = None,
) -> Tensor:
    """Σ(x − mean)²/(N − ``correction``) over ``dim``, in two passes. ``correction=0``, or ``unbiased=False``, is the biased one of
    normalizations; without either it is 1. Where the mean is so large that its own rounding would show, what is left of it in
    x − mean is taken out, too, so that the result keeps its digits. Where a word is NumPy's, ``axis``, ``keepdims`` or ``ddof``, so is
    what N is lessened by: ``ddof``, which is 0 if it is not given.

    Source: Chan, Golub, LeVeque 1983, "Algorithms for Computing the Sample Variance", eq. 1.7.

    Raises ``ShapeError`` where N ≤ ``correction``: nothing is left to divide by.
    """
    dim, correction, keepdim = _worded("var", (dim, correction, keepdim), (axis, ddof, keepdims), unbiased)
    return _var("var", input, dim, _less("var", correction, unbiased), keepdim)


def _worded(name: str, torchs: tuple[Any, Any, Any], numpys: tuple[Any, Any, Any], unbiased: Any) -> tuple[Any, Any, Any]:
    """dim, correction and keepdim, by whichever name they were given."""
    if all(v is None for v in numpys):
        return torchs
    for mine, its, (word, theirs) in zip(("dim", "correction", "keepdim"), torchs, zip(("axis", "ddof", "keepdims"), numpys)):
        if its is not None and its is not False and theirs is not None:
            raise OptionError(
                f"{name}: {mine}={describe(its)} and {word}={describe(theirs)} are two names of one argument; give one of them."
            )
    dim, less, kept = (its if theirs is None else theirs for its, theirs in zip(torchs, numpys))
    return dim, 0 if less is None and unbiased is None else less, kept


def _less(name: str, correction: Any, unbiased: Any) -> Any:
    """What N is lessened by: ``correction``, or 1 or 0 by PyTorch's older word."""
    if correction is not None and unbiased is not None:
        raise OptionError(f"{name}: correction={describe(correction)} and unbiased={describe(unbiased)}; give one of them.")
    return (1 if correction is None else correction) if unbiased is None else int(flag(name, "unbiased", unbiased))


def _var(name: str, input: Tensor, dim: Any, correction: Any, keepdim: Any) -> Tensor:
    axes, keepdim = over(dim, input, name), flag(name, "keepdim", keepdim)
    correction = number(name, "correction", correction)
    count = math.prod(input.shape[a] for a in axes)
    if count <= correction:
        raise ShapeError(
            f"{name}: {describe(input)} has {count} {'entry' if count == 1 else 'entries'} over dim={dim} and correction={correction:g}; "
            f"it divides by {count} − {correction:g}. Take more entries, or correction=0 for the biased variance."
        )
    mean = input.mean(axes, keepdims=True)
    centred = input - mean
    squares = op.sum(centred**2, axis=axes)
    small = 64 * count * np.finfo(input.dtype).eps if input.dtype.kind == "f" else 0.0
    if small and np.count_nonzero(mean._data * mean._data * small > squares._data):
        centred = centred - centred.mean(axes, keepdims=True)  # what the rounding of so large a mean has left in it
        squares = op.sum(centred**2, axis=axes)
    return drop(squares, axes, keepdim) / (count - correction)  # type: ignore[no-any-return]


@scope("standard deviation")
@in_float32
def std(
    input: Any,
    dim: Any = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    unbiased: bool | None = None,
    axis: Any = None,
    keepdims: bool | None = None,
    ddof: float | None = None,
) -> Tensor:
    """√var; the gradient is 0 where the deviation is 0. See ``var``; of large or small numbers it is right where var overflows."""
    dim, correction, keepdim = _worded("std", (dim, correction, keepdim), (axis, ddof, keepdims), unbiased)
    axes, correction = over(dim, input, "std"), _less("std", correction, unbiased)
    return in_range(lambda x: root(_var("std", x, dim, correction, keepdim)), input, axes)


@scope("norm")
@in_float32
def norm(input: Any, p: float | str = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
    """(Σ|x|ᵖ)^(1/p) over ``dim``, or over all axes (also for ``()``); p > 0, ``inf`` the largest |x|, ``"fro"`` is 2.

    The gradient is 0 at 0; for ``inf`` the largest entries share it evenly.
    """
    p = 2 if isinstance(p, str) and p == "fro" else p
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not p > 0:
        raise ShapeError(f"norm: p={describe(p)} for {describe(input)}; p is a number above 0, inf, or 'fro'.")
    axes, keepdim = over(dim, input, "norm"), flag("norm", "keepdim", keepdim)
    size = op.abs(input)
    if p == math.inf:
        return size.max(axes, keepdims=keepdim)  # type: ignore[no-any-return]
    if p == 1:
        return size.sum(axes, keepdims=keepdim)  # type: ignore[no-any-return]
    if p == 2:
        return in_range(lambda x: root((x**2).sum(axes, keepdims=keepdim)), input, axes)

    def length(size: Tensor) -> Tensor:
        powers = op.where(size == 0, 0.0, op.where(size == 0, 1.0, size) ** p)  # a power below 2 has no slope of a slope at 0
        return root(powers.sum(axes, keepdims=keepdim), p)

    return in_range(length, size, axes, p)


# The largest and the smallest ---------------------------------------------------------------------------


def _extreme(name: str, input: Any, dim: Any, keepdim: bool, smallest: bool) -> Tensor:
    x = as_tensor(input, name)
    axes, keepdim = over(dim, x, name), flag(name, "keepdim", keepdim)
    ordered(name, x)
    empty = [a for a in axes if not x.shape[a]]
    if empty:
        raise ShapeError(
            f"{name}: {describe(x)} has no entries along dim {empty[0]}; none is the {name[-3:]}. Leave out empty tensors."
        )
    if not smallest or x.dtype.kind == "f":  # the smallest is the largest of −x, which integers may not have
        found = reduced(op.max, -x if smallest else x, axes, keepdim)
        return -found if smallest else found
    return drop(Tensor(np.asarray(np.min(x.data, axes, keepdims=True))), axes, keepdim)


def amax(input: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The largest entry over ``dim``, or of all (also for ``()``). Equal ones share the gradient evenly; NaN where one is."""
    return _extreme("amax", input, dim, keepdim, False)


def amin(input: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The smallest entry over ``dim``, or of all (also for ``()``). Equal ones share the gradient evenly; NaN where one is."""
    return _extreme("amin", input, dim, keepdim, True)


def _place(name: str, input: Any, dim: Any, keepdim: bool, find: Any) -> Tensor:
    x = as_tensor(input, name)
    axis = None if dim is None else one_axis(dim, x, name)
    ordered(name, x)
    if not (x.size if axis is None else x.shape[axis]):
        raise ShapeError(f"{name}: {describe(x)} has no entries along dim {dim}, so none has a place. Leave out empty tensors.")
    return Tensor(np.asarray(find(x.data, axis, keepdims=flag(name, "keepdim", keepdim))))


def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest entry stands along ``dim``, or among all, row by row; of equal ones the first. NaN is largest."""
    return _place("argmax", input, dim, keepdim, np.argmax)


def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest entry stands along ``dim``, or among all, row by row; of equal ones the first. NaN counts as smallest."""
    return _place("argmin", input, dim, keepdim, np.argmin)
