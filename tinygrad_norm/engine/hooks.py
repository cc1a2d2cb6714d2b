"""What is done with a gradient on its way: hooks of tensors, and gradients that interior tensors keep."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from . import primitives as op
from .errors import DTypeError, GradientError, ShapeError, describe
from .state import state
from .tensor import Tensor

Hook = Callable[[Tensor], Any]
_hooked: WeakValueDictionary[int, Tensor] = WeakValueDictionary()  # while there is none, a pass need not look


class Handle:
    """What ``register_hook`` gives: ``remove()`` takes the hook off again."""

    def __init__(self, tensor: Tensor, hook: Hook) -> None:
        self._tensor, self._hook = tensor, hook

    def remove(self) -> None:
        """Take the hook off; once is enough."""
        _set(self._tensor, tuple(h for h in hooks_of(self._tensor) if h is not self._hook))


def hooks_of(tensor: Tensor) -> tuple[Hook, ...]:
    return getattr(tensor, "_hooks", ())


def _set(tensor: Tensor, hooks: tuple[Hook, ...]) -> None:
    tensor._hooks = hooks
    if hooks:
        _hooked[id(tensor)] = tensor
    else:
        _hooked.pop(id(tensor), None)


def register_hook(tensor: Tensor, hook: Hook) -> Handle:
    """Have ``hook(gradient)`` called whenever a backward pass knows the whole gradient of this tensor.

    hook:     gets the gradient as a tensor; may return another one of its shape and dtype, which then takes its place
    Returns   a handle with ``remove()``. Raises ``GradientError`` where the tensor requires no gradient, ``DTypeError`` for what
              cannot be called. Hooks are called by ``backward`` and ``grad``, in the order in which they were registered;
              of a tensor inside ``checkpoint`` when its function runs again.
    """
    if not callable(hook):
        raise DTypeError(f"register_hook: {describe(hook)} cannot be called; give a function of the gradient.")
    if state.repeated and not tensor.requires_grad:
        return Handle(tensor, hook)  # the gradient comes when the function runs again, and so will this
    if not tensor.requires_grad:
        raise GradientError(
            f"register_hook: {describe(tensor)} requires no gradient, so no backward pass comes here. Set requires_grad=True on the leaves."
        )
    own = lambda g: hook(g)  # noqa: E731  (one of its own, so that the same function may be registered twice)
    _set(tensor, (*hooks_of(tensor), own))
    return Handle(tensor, own)


def keep_gradient(gradient: Tensor) -> None:
    """The hook that ``retain_grad`` registers; ``_called`` knows it."""


def retain_grad(tensor: Tensor) -> None:
    """Have ``backward`` keep the gradient of a computed tensor in its ``.grad``, as it does for leaves.

    (``tn.grad(y, h)`` gives any interior gradient without being told before.) Raises ``GradientError`` where the tensor
    requires none, and inside ``checkpoint``, which keeps nothing.
    """
    if state.repeated:
        raise GradientError(
            f"retain_grad: {describe(tensor)} is computed inside tn.checkpoint, which keeps nothing of it. h.register_hook(function) "
            "shows its gradient on the way back."
        )
    if not tensor.requires_grad:
        raise GradientError(
            f"retain_grad: {describe(tensor)} requires no gradient, so there is none to keep. Set requires_grad=True on the leaves."
        )
    if tensor.op is not None and keep_gradient not in hooks_of(tensor):
        _set(tensor, (*hooks_of(tensor), keep_gradient))


def visit(keep: bool) -> Callable[[Tensor, Any], Any] | None:
    """What a backward pass does at each node; None: nothing."""
    return partial(_called, keep=keep) if _hooked else None


def _called(tensor: Tensor, g: Any, keep: bool) -> Any:
    """A cotangent after the tensor's hooks: an array, or where the pass records a tensor.

    keep:  whether gradients are kept where that was asked for
    """
    hooks, recorded = hooks_of(tensor), isinstance(g, Tensor)
    for hook in hooks:
        new = None if hook is keep_gradient else hook(_as_tensor(g, tensor))
        if new is None:
            continue
        if not isinstance(new, Tensor) or new.dtype != tensor.dtype:
            raise DTypeError(
                f"register_hook: a hook of {describe(tensor)} returned {describe(new)}; give a tensor of its dtype, or None."
            )
        if new.shape != tensor.shape:
            raise ShapeError(f"register_hook: a hook of {describe(tensor)} returned {describe(new)}; the shape must stay.")
        g = new if recorded else new._data
    if keep and keep_gradient in hooks:  # last, so that what is kept is what was handed on
        kept = _as_tensor(g, tensor)
        tensor.grad = kept if tensor.grad is None else tensor.grad + kept if recorded else Tensor(tensor.grad._data + kept._data)
    return g


def _as_tensor(g: Any, like: Tensor) -> Tensor:
    """In full: a cotangent may be smaller than its node where it does not vary."""
    if isinstance(g, Tensor):
        return g if g.shape == like.shape else op.broadcast_to(g, shape=like.shape)
    return Tensor(np.array(np.broadcast_to(g, like.shape)))
