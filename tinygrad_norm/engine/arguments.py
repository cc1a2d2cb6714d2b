"""What the functions ask of their operands, in one voice: tensors, dtypes, axes, places."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from . import primitives as op
from .arrays import Array
from .errors import DTypeError, ShapeError, TinygradNormError, describe
from .op import NONE, Op
from .shapes import canonical_axes, flag
from .tensor import Tensor, tensor

F = TypeVar("F", bound=Callable[..., Tensor])

# Tensors ------------------------------------------------------------------------------------------------


def as_tensor(value: Any, name: str = "tensor", what: str = "input") -> Tensor:
    """A tensor as it is; numbers, lists and arrays as a constant. ``DTypeError`` for what is not numeric."""
    if isinstance(value, Tensor):
        return value
    try:
        return tensor(value)
    except TinygradNormError as error:
        kind = type(value).__name__
        raise DTypeError(f"{name}: {what} ({kind}): {str(error).removeprefix('tensor: ')}") from None


def floating(value: Any, name: str, what: str = "input") -> Tensor:
    """The operand as a tensor; ``DTypeError`` unless it is floating point (or complex)."""
    x = value if type(value) is Tensor else as_tensor(value, name, what)
    if x._data.dtype.kind not in "fc":
        raise DTypeError(f"{name}: {what} {describe(x)} is not floating point. Cast first: {what}.astype('float64').")
    return x


def beside(value: Any, x: Tensor, name: str, what: str) -> Tensor:
    """A second operand as a tensor. Numbers and lists have no dtype of their own: they take that of ``x``."""
    if type(value) is Tensor:
        return value
    if isinstance(value, (int, float, np.number, list, tuple, range)):
        p = as_tensor(value, name, what)
        return p.astype(x.dtype) if p.dtype.kind in "iuf" and x.dtype.kind == "f" and p.dtype != x.dtype else p
    return as_tensor(value, name, what)


def first(value: Any, others: Sequence[Any], name: str) -> Tensor:
    """The first operand where it is a number or a list, which has no dtype of its own: it takes that of the first of the others."""
    like = next((v for v in others if isinstance(v, (Tensor, np.ndarray)) and v.dtype.kind == "f"), None)
    return as_tensor(value, name) if like is None else beside(value, as_tensor(like, name), name, "input")


def operand(value: Any, x: Tensor, name: str, what: str) -> Any:
    """What stands beside ``x`` in an op: a number stays a number, which has no dtype; anything else as a tensor."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if type(value) in (int, float, bool) else beside(value, x, name, what)


def boolean(value: Any, x: Tensor, name: str, what: str = "mask") -> Array:
    """A mask as an array; ``DTypeError`` unless it is of truth values, ``ShapeError`` unless it broadcasts to ``x``."""
    mask = as_tensor(value, name, what).data
    if mask.dtype.kind != "b":
        raise DTypeError(f"{name}: {what} {describe(mask)} is not of truth values. Ask a question: {what} > 0.")
    try:
        fits = np.broadcast_shapes(mask.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"{name}: {what} {describe(mask)} does not broadcast to {describe(x)}. Its sizes must be equal or 1, counted from the "
            "last axis."
        )
    return mask


def integers(value: Any, name: str, what: str, below: int) -> Array:
    """Indices as an array, each of them 0 … below − 1."""
    index = as_tensor(value, name, what).data
    if index.size == 0 and not hasattr(value, "dtype"):
        index = index.astype(np.intp)  # an empty list has no dtype of its own
    if index.dtype.kind not in "iu":
        raise DTypeError(f"{name}: {what} {describe(index)} must be integers. Cast first: {what}.astype('int64').")
    if index.size and not 0 <= index.min() <= index.max() < below:
        wrong = int(index.min() if index.min() < 0 else index.max())
        raise ShapeError(f"{name}: {what} {describe(index)} has {wrong}; an index must be between 0 and {below - 1}.")
    return index


def steps(name: str, what: str, count: int) -> Array:
    """0 … count − 1; ``ShapeError`` where there is no room for so many."""
    try:
        return np.arange(count)
    except (MemoryError, ValueError, OverflowError):
        raise ShapeError(f"{name}: {what}={count}: there is no room for so many. Take fewer.") from None


def meeting(name: str, *operands: Any) -> None:
    """``ShapeError`` unless the operands broadcast."""
    try:
        np.broadcast_shapes(*(getattr(x, "shape", ()) for x in operands))
    except ValueError:
        raise ShapeError(
            f"{name}: {' and '.join(map(describe, operands))} do not broadcast. Sizes must be equal or 1, counted from the last axis."
        ) from None


def several(tensors: Any, name: str) -> list[Tensor]:
    """Tensors to be joined; ``ShapeError`` for none, and for what is no sequence."""
    try:
        parts = [] if isinstance(tensors, (str, bytes)) else list(tensors)
    except (TypeError, ShapeError):  # one number, as a tensor
        raise DTypeError(f"{name}: {describe(tensors)} is no list of tensors; give several: [a, b].") from None
    if not parts:
        raise ShapeError(f"{name}: {describe(tensors)}: nothing to join; give at least one tensor.")
    return [as_tensor(t, name, f"tensor {i}") for i, t in enumerate(parts)]


def ordered(name: str, *operands: Any) -> None:
    """``DTypeError`` for complex numbers, of which none is larger than another."""
    for x in operands:
        if type(x) is complex or (isinstance(x, (Tensor, np.ndarray, np.generic)) and x.dtype.kind == "c"):
            raise DTypeError(
                f"{name}: {describe(x)} is complex, and of two such numbers none is larger. Compare abs(x), or one part."
            )


# Axes ---------------------------------------------------------------------------------------------------


def one_axis(dim: Any, x: Tensor, name: str) -> int:
    if dim is not None:
        axes = canonical_axes(dim, x.ndim, name)
        if len(axes) == 1:
            return axes[0]
    raise ShapeError(f"{name}: dim={describe(dim)} for {describe(x)}: it goes along one axis; give its number.")


def over(dim: Any, x: Tensor, name: str) -> tuple[int, ...]:
    """The axes that a reduction goes over: those of ``dim``; all for None and, as PyTorch has it, for none at all."""
    return canonical_axes(dim, x.ndim, name) or tuple(range(x.ndim))


def reduced(reduction: Op, x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    """An op that keeps its axes as 1, over the axes as a user names them."""
    axes = over(dim, x, reduction.name)
    keepdim = flag(reduction.name, "keepdim", keepdim)
    return drop(reduction(x, axis=axes) if axes else reduction(x.reshape(1), axis=(0,)).reshape(x.shape), axes, keepdim)


def drop(x: Tensor, axes: Sequence[int], keepdim: bool) -> Tensor:
    return x if keepdim or not axes else x.reshape(tuple(n for a, n in enumerate(x.shape) if a not in axes))


def part(x: Tensor, axis: int, start: int | None, stop: int | None) -> Tensor:
    """The entries from ``start`` to ``stop`` along an axis."""
    return x[(slice(None),) * axis + (slice(start, stop),)]


# Functions ----------------------------------------------------------------------------------------------


def in_float32(function: F) -> F:
    """A function whose float16 operands are cast to float32, and its result back."""

    @wraps(function)
    def wide(input: Any, *args: Any, **kwargs: Any) -> Tensor:
        if not hasattr(input, "dtype"):
            input = first(input, (*args, *kwargs.values()), function.__name__)
        x = floating(input, function.__name__)
        if x._data.dtype.char != "e":
            return function(x, *args, **kwargs)
        more = {k: _wide(a) for k, a in kwargs.items()}
        return function(x.astype(np.float32), *(_wide(a) for a in args), **more).astype(np.float16)

    return wide  # type: ignore[return-value]


def _wide(a: Any) -> Any:
    if isinstance(a, (Tensor, np.ndarray)) and a.dtype == np.float16:
        return as_tensor(a).astype(np.float32)
    return a


def public(operation: Op, module: str, says: str, order: bool = False) -> Callable[..., Tensor]:
    """An op as a function for users: arrays and lists go in, a tensor comes out. (Over arrays the op itself gives arrays.)

    order:  it asks which of two numbers is larger, so complex ones are refused
    """
    name, many = operation.name, len(operation.pullbacks) > 1

    def function(input: Any) -> Tensor:
        x = input if type(input) is Tensor else as_tensor(input, name)
        if order:
            ordered(name, x)
        return x.apply_op(operation, (x,), NONE)

    def of_two(input: Any, other: Any) -> Tensor:
        if type(input) is not Tensor:
            input = operand(input, other, name, "input") if type(other) is Tensor else as_tensor(input, name)
        if type(other) is not Tensor:
            other = operand(other, input, name, "other") if type(input) is Tensor else other
        if order:
            ordered(name, input, other)
        return (input if type(input) is Tensor else other).apply_op(operation, (input, other), NONE)

    made: Callable[..., Tensor] = of_two if many else function
    made.__name__ = made.__qualname__ = name
    made.__module__, made.__doc__ = module, says
    return made


# Roots --------------------------------------------------------------------------------------------------


def root(x: Tensor, n: float = 2) -> Tensor:
    """ⁿ√x with the gradient 0 where x is 0."""
    zero = x == 0
    some = op.where(zero, 1.0, x)
    return op.where(zero, 0.0, some.sqrt() if n == 2 else some ** (1 / n))  # type: ignore[no-any-return]


def in_range(function: Callable[[Tensor], Tensor], x: Tensor, axes: tuple[int, ...], p: float = 2) -> Tensor:
    """A length of x over ``axes``, ⁿ√ of a sum of nth powers, where the powers leave the dtype's range as well.

    There x is divided by a power of two first, which costs no digit; elsewhere that is not on the record.
    """
    largest = np.max(np.abs(x.data), axes, keepdims=True, initial=0)
    kind, count = np.finfo(x.dtype), math.prod(x.shape[a] for a in axes)
    near = 1 / p if p == 2 else 1 / (8 * p)  # the rounding of another exponent shows long before
    low, high = (float(kind.tiny) / float(kind.eps)) ** near, (float(kind.max) / max(count, 1)) ** near
    outside = (largest > 0) & np.isfinite(largest) & ((largest < low) | (largest > high))
    if not outside.any():
        return function(x)
    scale = np.where(outside, np.ldexp(1.0, np.frexp(largest)[1] - 1), 1).astype(largest.dtype)
    length = function(x / scale)
    return length * scale.reshape(length.shape)
