"""How an operation becomes a method: operators, reductions, questions, casts, and numbers that leave the record."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from . import primitives as ops
from .arguments import as_tensor, drop, meeting, one_axis, ordered, over
from .arrays import Array
from .axes import amax, amin, argmax, argmin
from .errors import DTypeError, HistoryLostWarning, OptionError, ShapeError, describe, speaking_as
from .op import NONE, Op
from .places import take_along_dim
from .shapes import canonical_axes, flag
from .tensor import Tensor, not_real

Method = TypeVar("Method", bound="Callable[..., Tensor]")


def described(method: Method, operation: Op) -> Method:
    method.__name__, method.__doc__ = operation.name, operation.text.format("self", "other")
    return method


def unary(operation: Op) -> Callable[[Any], Tensor]:
    def method(self: Tensor) -> Tensor:
        return self.apply_op(operation, (self,), NONE)

    return described(method, operation)


def binary(operation: Op) -> Callable[[Any, Any], Tensor]:
    def method(self: Tensor, other: Any) -> Tensor:
        return self.apply_op(operation, (self, other), NONE)

    return described(method, operation)


def ordering(operation: Op) -> Callable[[Any, Any], Tensor]:
    def method(self: Tensor, other: Any) -> Tensor:
        ordered(operation.name, self, other)
        return self.apply_op(operation, (self, other), NONE)

    return described(method, operation)


def equality(operation: Op) -> Callable[[Any, Any], Any]:
    """``x == y`` compares values; with what holds none (None, text, a module) it is Python's: another object."""

    def method(self: Tensor, other: Any) -> Any:
        return self.apply_op(operation, (self, other), NONE) if isinstance(other, _VALUES) else NotImplemented

    return described(method, operation)


_VALUES = (Tensor, int, float, np.ndarray, np.generic, complex, list, tuple)


def reflected(operation: Op) -> Callable[[Any, Any], Tensor]:
    def method(self: Tensor, other: Any) -> Tensor:
        return self.apply_op(operation, (other, self), NONE)

    return described(method, operation)


def cast(name: str, dtype: str) -> Callable[[Any], Tensor]:
    def method(self: Tensor) -> Tensor:
        return as_dtype_of(name, self, np.dtype(dtype))

    method.__name__ = name
    method.__doc__ = f"In {dtype}; itself where it is that already."
    return method


def as_dtype_of(name: str, x: Tensor, dtype: np.dtype[Any]) -> Tensor:
    return x if dtype == x.dtype else copied(name, x, dtype)


def copied(name: str, x: Tensor, dtype: np.dtype[Any]) -> Tensor:
    if x.dtype.kind == "c" and dtype.kind != "c":
        raise not_real(name, x, dtype)
    return x.apply_op(ops.astype, (x,), {"dtype": dtype})


def other_tensor(name: str, other: Any) -> Tensor:
    """Another tensor, whose shape or dtype is asked for."""
    if not isinstance(other, (Tensor, np.ndarray)):
        raise DTypeError(f"{name}: other is {describe(other)}; it is a tensor.")
    return as_tensor(other, name, "other")


def reduced_over(x: Tensor, reduction: Op, axis: Any, keepdims: bool, dim: Any, keepdim: bool) -> Tensor:
    axes = over(one_name(reduction.name, axis, dim), x, reduction.name)
    if type(keepdims) is not bool or type(keepdim) is not bool:
        keepdims = kept_axes(reduction.name, keepdims, keepdim)
    out = x.apply_op(reduction, (x,), {"axis": axes}) if axes else x
    if keepdims or keepdim or not axes:
        return out
    return out.reshape(tuple([n for a, n in enumerate(x.shape) if a not in axes]))


class Extreme(NamedTuple):
    """What ``x.max(dim)`` and ``x.min(dim)`` give: the values, and where along the axis each one stood."""

    values: Tensor
    indices: Tensor


def extreme(name: str, x: Tensor, dim: Any, keepdim: Any, axis: Any, keepdims: Any) -> Tensor | Extreme:
    """PyTorch's pair where PyTorch's hands ask for it, along one ``dim``; NumPy's values where a word is NumPy's."""
    along, kept = one_name(name, axis, dim), kept_axes(name, False if keepdims is None else keepdims, keepdim)
    values, places = (amax, argmax) if name == "max" else (amin, argmin)
    with speaking_as(name):
        if dim is None or keepdims is not None or isinstance(dim, (tuple, list)):
            return values(x, along, kept)
        at = (one_axis(dim, x, name),)
        indices = places(x, dim, True)
        return Extreme(drop(take_along_dim(x, indices, dim), at, kept), drop(indices, at, kept))


def kept_axes(name: str, keepdims: Any, keepdim: Any) -> bool:
    """One flag by two names."""
    return flag(name, "keepdims", keepdims) | flag(name, "keepdim", keepdim)


def one_name(name: str, axis: Any, dim: Any) -> Any:
    if axis is not None and dim is not None:
        raise OptionError(
            f"{name}: axis={describe(axis)} and dim={describe(dim)} are two names of one argument; give one of them."
        )
    return axis if dim is None else dim


def asked(question: Callable[..., Any], name: str, x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    axes = canonical_axes(axis, x.ndim, name)  # no axis at all leaves every entry to itself, as PyTorch and NumPy have it here
    return Tensor(np.asarray(question(x.data, axes, keepdims=flag(name, "keepdim", keepdims))))


def bits(ufunc: np.ufunc, *operands: Any) -> Tensor:
    """~x, x & y, …: of truth values and whole numbers; nothing flows back."""
    xs = [as_tensor(x, ufunc.__name__, "operand") for x in operands]
    if any(x.dtype.kind not in "biu" for x in xs):
        raise DTypeError(
            f"{ufunc.__name__}: {' and '.join(map(describe, xs))}: only truth values and whole numbers have bits. Ask x > 0."
        )
    meeting(ufunc.__name__, *xs)
    return Tensor(np.asarray(ufunc(*(x.data for x in xs))))


def leaving(x: Tensor, as_what: str) -> float:
    """The one number of a tensor that leaves the record."""
    if x.size != 1 or (x.dtype.kind == "c" and as_what != "complex"):
        raise ShapeError(f"{as_what}: {describe(x)} is not one real number. Use .item() for one, .numpy() for more.")
    value = x.item()
    if x.requires_grad:
        warnings.warn(
            f"{as_what}: {describe(x)} requires a gradient, and its history ends here. Use .item() or .detach() to leave the record on purpose.",
            HistoryLostWarning,
            stacklevel=3,
        )
    return value


def leaf_again(data: Array, requires_grad: bool, name: str | None, grad: Tensor | None) -> Tensor:
    leaf = Tensor(data, requires_grad, name)
    leaf.grad = grad
    return leaf
