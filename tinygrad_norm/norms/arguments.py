"""What every normalization asks of its arguments, in one voice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..engine import Op, ShapeError, Tensor, describe
from ..engine.arguments import as_tensor, floating
from ..engine.arrays import Array
from ..engine.primitives import astype, reshape
from ..engine.shapes import choice as choice  # in the same voice as the engine
from ..engine.shapes import flag as flag
from ..engine.shapes import number as number
from ..engine.state import state
from ..loans import open_lenders

# Options ---------------------------------------------------------------------------------------------------


def is_analytic(name: str, backward: str) -> bool:
    """Whether one node is wanted and not the record; ``OptionError`` for any other word. On a record that is to be
    computed elsewhere, where nobody knows the node, its operations are."""
    return choice(name, "backward", backward, ("recorded", "analytic", "compiled")) != "recorded" and not state.general


_compiler: list[Callable[[Op], Op]] = []


def lend_compiler(function: Callable[[Op], Op]) -> None:
    """Teach ``backward="compiled"`` what it is: ``function`` gives a node's twin, with the same rules and faster numbers."""
    _compiler[:] = [function]


def node_for(node: Op, backward: str) -> Op:
    """The node that was asked for: the hand-derived one itself, or for "compiled" its twin."""
    if backward != "compiled":
        return node
    if not _compiler:
        open_lenders("norms")
    return _compiler[0](node)


def by_node(node: Op, backward: str, x: Tensor, *others: Tensor, **params: Any) -> Tensor:
    """The node that was asked for, of tensors."""
    return x.apply_op(node_for(node, backward), (x, *others), params)


# Parameters ------------------------------------------------------------------------------------------------


def as_parameter(name: str, what: str, value: Any, like: Tensor | Array | None = None) -> Tensor:
    """γ, β, α, … as a floating-point tensor. Python numbers and lists have no dtype of their own: they take that of ``like``."""
    if type(value) is not Tensor and like is not None and isinstance(value, (int, float, np.number, list, tuple)):
        p = as_tensor(value, name, what)
        return p.astype(like.dtype) if p.dtype.kind in "iuf" and p.dtype != like.dtype else floating(p, name, what)
    return floating(value, name, what)


def parameter(name: str, what: str, value: Any, shape: tuple[int, ...], of: str, like: Tensor | None = None) -> Tensor | None:
    """γ, β, … as a tensor of exactly ``shape``, or None; ``of`` says in words what the shape comes from, {} in it is the shape.

    like:  the input, whose dtype Python numbers and lists take
    """
    if value is None:
        return None
    p = value if type(value) is Tensor and value._data.dtype.kind == "f" else as_parameter(name, what, value, like)
    if p._data.shape != shape:
        raise ShapeError(f"{name}: {what} {describe(p)} with {of.replace('{}', str(shape))}: its shape must be {shape}.")
    return p


def affine_pair(
    name: str, x: Tensor, weight: Any, bias: Any, shape: tuple[int, ...], of: str, spread: tuple[int, ...] | None = None
) -> tuple[Tensor | None, Tensor | None]:
    """γ and β of ``shape``, each or None, as they broadcast against x: reshaped to ``spread`` if that is given."""
    w, b = parameter(name, "weight", weight, shape, of, x), parameter(name, "bias", bias, shape, of, x)
    return (w, b) if spread is None else (per_channel(w, spread), per_channel(b, spread))


def affine_inputs(weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor, ...]:
    """What an analytic node takes after its other inputs: (), (γ,) or (γ, β). β alone comes with a γ of 1."""
    if bias is None:
        return () if weight is None else (weight,)
    return Tensor(np.ones((), bias.dtype)) if weight is None else weight, bias


def modulation(
    name: str,
    what: str,
    value: Any,
    x: Tensor,
    short: tuple[int, ...],
    called: str,
    spread: tuple[int, ...],
    fix: Callable[[Tensor], str],
) -> Tensor:
    """What a condition says: of as many axes as x, each of its size or 1; or of the shape ``short``, reshaped to ``spread``.

    called, fix:  how messages call the short shape, and the likely fix for one that does not fit
    """
    p = as_parameter(name, what, value, x)
    if p.ndim == x.ndim and all(n in (1, m) for n, m in zip(p.shape, x.shape)):
        return p
    if p.shape == short:
        return p if spread == short else p.reshape(spread)
    raise ShapeError(
        f"{name}: {what} {describe(p)} for input {describe(x)}: it is {called}, or has as many axes as the input ({x.ndim}), "
        f"each of its size or 1.{fix(p)}"
    )


# Axes ------------------------------------------------------------------------------------------------------


def channels(name: str, x: Tensor, least: int = 2) -> tuple[int, tuple[int, ...]]:
    """The number of channels of (N, C, *), and the shape that broadcasts a value per channel: (C, 1, …)."""
    if x.ndim < least:
        axes = ("N", "C", "L")[:least]
        raise ShapeError(f"{name}: input {describe(x)} has {x.ndim} axes; it takes ({', '.join(axes)}, …): at least {least}.")
    return x.shape[1], (x.shape[1], *(1,) * (x.ndim - 2))


def per_channel(p: Tensor | None, spread: tuple[int, ...]) -> Tensor | None:
    """(C,) as (C, 1, …), recorded where it changes anything."""
    return p if p is None or p.shape == spread else reshape(p, shape=spread)


def several_values(x: Tensor, axis: tuple[int, ...], name: str, otherwise: str = "y would be β whatever x is") -> None:
    """``ShapeError`` where the statistics of a channel would be those of one value; ``otherwise``: what would come of it."""
    if x.size and math.prod([x.shape[a] for a in axis]) == 1:
        raise ShapeError(
            f"{name}: input {describe(x)}: Expected more than 1 value per channel when training. One value is its own mean, so "
            f"{otherwise}. Take a larger batch, or training=False with running statistics."
        )


def sizes(normalized_shape: int | Sequence[int], name: str = "normalized_shape") -> tuple[int, ...]:
    """The sizes of the normalized axes as a tuple; ``ShapeError`` for what are none."""
    several = isinstance(normalized_shape, (tuple, list)) or (
        isinstance(normalized_shape, np.ndarray) and normalized_shape.ndim == 1
    )
    given: Any = normalized_shape if several else (normalized_shape,)
    if any(isinstance(n, (bool, np.bool_)) or not isinstance(n, (int, np.integer)) for n in given):
        raise ShapeError(
            f"{name}: normalized_shape={describe(normalized_shape)}; it is the size of the last axis, or a tuple of the sizes of "
            "the last axes: whole numbers, such as x.shape[-1]."
        )
    return tuple(int(n) for n in given)


_INTS = {int}


def trailing(name: str, x: Tensor, normalized_shape: int | Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """``normalized_shape`` as a tuple, and the last axes of x that it names."""
    if type(normalized_shape) is tuple and _INTS.issuperset(map(type, normalized_shape)):
        shape: tuple[int, ...] = normalized_shape
    else:
        shape = (normalized_shape,) if type(normalized_shape) is int else sizes(normalized_shape, name)
    axis = _last(x.shape, shape)
    if not axis:
        raise ShapeError(
            f"{name}: input {describe(x)} with normalized_shape {shape}: the input's last axes must be exactly these sizes. "
            f"Did you mean normalized_shape={x.shape[-1:] if x.ndim else '(N,), with an input of at least one axis'}?"
        )
    return shape, axis


@lru_cache(maxsize=256)
def _last(full: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The last axes, if they are of these sizes."""
    return tuple(range(len(full) - len(shape), len(full))) if shape and full[-len(shape) :] == shape else ()


def named_axes(name: str, x: Tensor, dim: Any) -> None:
    """``ShapeError`` where no axis is named: a softmax over nothing, or over whatever a guess would be."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        raise ShapeError(
            f"{name}: dim={describe(dim)} for input {describe(x)}: name the axis along which it goes, or several. Mostly it is dim=-1. "
            "(PyTorch guesses one, and warns.)"
        )


# dtypes ----------------------------------------------------------------------------------------------------


_HALF = np.dtype(np.float16)


def wide_dtype(x: Any) -> np.dtype[Any]:
    """The dtype that is computed in: float32 for float16, else that of x."""
    return np.dtype(np.float32) if x.dtype == _HALF else x.dtype


def widen(x: Any) -> Any:
    """float16 as float32, whose squares and sums do not overflow; anything else as it is. Array, tensor or symbol.

    An analytic rule widens its cotangent first: half times half is half, and overflows where the record does not.
    """
    return astype(x, dtype=np.dtype(np.float32)) if x.dtype == _HALF else x


def narrow(y: Any, x: Any) -> Any:
    """Back to float16 where x was: half in, half out."""
    return astype(y, dtype=_HALF) if x.dtype == _HALF else y
