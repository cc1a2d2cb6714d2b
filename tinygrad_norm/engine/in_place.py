"""Changing a leaf in place, as PyTorch's hands do: it is given new data, and what was computed from the old refuses to go back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .arguments import as_tensor
from .creation import full_like, zeros_like
from .elementwise import clamp
from .errors import DTypeError, GradientError, InPlaceError, ShapeError, describe, speaking_as
from .op import NONE, Op
from .shapes import flag, number
from .state import state
from .tensor import Tensor, renew


def in_place(operation: Op) -> Callable[[Any, Any], Tensor]:
    """``x += y``. A leaf is given new data, where PyTorch would change it in place; a computed tensor is computed anew."""

    def method(self: Tensor, other: Any) -> Tensor:
        mine = self._requires_grad
        recorded = state.recording and (mine or (isinstance(other, Tensor) and other._requires_grad))
        looks_on = self._data.base is not None and not mine
        if self.op is not None or looks_on or (recorded and not mine):
            return self.apply_op(operation, (self, other), NONE)  # x = x + y: the name moves on to the result
        _may_change(self, operation.name)
        return _changed(self, operation.name, self.apply_op(operation, (self, other), NONE))  # of which nothing is recorded

    method.__name__, method.__doc__ = operation.name, f"In place: {operation.text.format('self', 'other')}"
    return method


def changing(operation: Op, scaled: bool = False) -> Callable[..., Tensor]:
    """``x.add_(y)``. As ``x += y``, but the name x stays with the leaf: what cannot be changed is refused, not computed anew.

    scaled:  ``x.add_(y, alpha=a)`` adds a·y
    """
    name = f"{operation.name}_"

    def change(self: Tensor, other: Any) -> Tensor:
        _may_change(self, name)
        if state.recording and isinstance(other, Tensor) and other.requires_grad:
            raise InPlaceError(
                f"{name}: {describe(self)} is a leaf, and would keep no record of {describe(other)}. Write x = {operation.text.format('x', 'y')}."
            )
        return _changed(self, name, operation(self, other))  # of which nothing is recorded

    def change_by(self: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
        return change(self, other if alpha is _ONE else number(name, "alpha", alpha) * other)

    method = change_by if scaled else change
    method.__name__, method.__doc__ = name, f"In place: {operation.text.format('self', 'other')}"
    return method


_ONE = 1


def _may_change(x: Tensor, name: str) -> None:
    if x._data.base is not None:
        raise InPlaceError(
            f"{name}: {describe(x)} looks at the values of another, which would stay as they are. Change that one, or a copy: x.clone()."
        )
    if x.op is not None:
        raise InPlaceError(
            f"{name}: {describe(x)} was computed by {x.op.name}; only leaves can be given new data. Compute a new tensor."
        )
    if state.recording and x.requires_grad:
        raise InPlaceError(
            f"{name}: {describe(x)} is a leaf that requires a gradient, and cannot be changed in place while recording. "
            "Update it under tn.no_grad(), or compute a new tensor."
        )


def _changed(x: Tensor, name: str, new: Tensor) -> Tensor:
    """A leaf with new values, computed for it: of its shape, in its dtype."""
    data, dtype = new._data, x._data.dtype
    if data.shape != x._data.shape or (data.dtype is not dtype and not np.can_cast(data.dtype, dtype, "same_kind")):
        raise ShapeError(f"{name}: {describe(x)} cannot hold {describe(new)}; shape and kind stay. Compute a new tensor instead.")
    if data.base is not None or data.dtype is not dtype or not data.flags.c_contiguous:
        data = np.array(data, dtype, order="C")
    renew(x, data)
    return x


def copy_(self: Tensor, source: Any) -> Tensor:
    """Take these values, spread to this shape and cast to this dtype."""
    _may_change(self, "copy_")
    with speaking_as("copy_"):
        new = as_tensor(source, "copy_", "source").detach()
        return _changed(self, "copy_", new.broadcast_to(self.shape).astype(self.dtype))


def clamp_(self: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Keep it between ``min`` and ``max``; None is no bound."""
    _may_change(self, "clamp_")
    with speaking_as("clamp_"):
        return _changed(self, "clamp_", clamp(self.detach(), min, max))


def fill_(self: Tensor, value: Any) -> Tensor:
    """The same number everywhere."""
    _may_change(self, "fill_")
    with speaking_as("fill_"):
        return _changed(self, "fill_", full_like(self, value))


def zero_(self: Tensor) -> Tensor:
    """Zeros."""
    _may_change(self, "zero_")
    return _changed(self, "zero_", zeros_like(self))


def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Say whether it requires a gradient; returns it. A computed tensor cannot stop: take ``.detach()``."""
    wanted = flag("requires_grad_", "requires_grad", requires_grad)
    if self.op is not None and not wanted:
        raise GradientError(
            f"requires_grad_: {describe(self)} was computed by {self.op.name}. Take .detach() for its values alone."
        )
    if wanted and self.dtype.kind != "f":
        raise DTypeError(
            f"requires_grad_: {describe(self)}: only floating-point tensors can require gradients. Cast first: .astype('float64')."
        )
    self.requires_grad = wanted
    return self
