"""Tensors that modules hold: how they start, and what is told from what. Arguments of constructors, checked in one voice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ..engine import DTypeError, GradientError, OptionError, ShapeError, Tensor, describe
from ..engine.arguments import as_tensor
from ..engine.shapes import flag, number
from ..engine.tensor import as_dtype
from ..norms.arguments import sizes

_marked: WeakValueDictionary[int, Tensor] = WeakValueDictionary()


class _Marks(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, Tensor) and value.op is None and (value.requires_grad or _marked.get(id(value)) is value)


class Parameter(metaclass=_Marks):
    """``Parameter(data, requires_grad=True, name=None)``: a leaf that is a parameter of the module that holds it.

    data: a tensor, whose values it takes without its history, or what ``tn.tensor`` takes.

    A leaf that requires a gradient is a parameter anyway; this is for one that is frozen from the start, and for hands that
    write it. It is no class of its own: what comes back is a ``Tensor``; ``isinstance(p, nn.Parameter)`` asks whether a module
    would hold it as one. Raises ``DTypeError`` for data without gradients, such as integers, unless ``requires_grad=False``.
    """

    def __new__(cls, data: Any, requires_grad: bool = True, name: str | None = None) -> Tensor:  # type: ignore[misc]
        t = as_tensor(data, "Parameter", "data").detach()
        said = t.name if name is None else word("Parameter", "name", name)
        if flag("Parameter", "requires_grad", requires_grad) and t.dtype.kind != "f":
            raise DTypeError(f"Parameter: data {describe(t)} has no gradients. Cast it, or give requires_grad=False.")
        t = Tensor(t.data, bool(requires_grad), said)
        _marked[id(t)] = t
        return t


def leaf(name: str, what: str, value: Any) -> None:
    """``GradientError`` for a tensor that was computed: as a parameter it would be left behind by every step."""
    if isinstance(value, Tensor) and value.op is not None:
        raise GradientError(
            f"{name}.{what}: {describe(value)} was computed by {value.op.name}; a parameter is a leaf, or no "
            f"step reaches it. Give {what}.data new values, or a new parameter: nn.Parameter(value). To compute with this one, `del` the old first."
        )


# How they start ---------------------------------------------------------------------------------------------------


def ones(of: str, shape: int | tuple[int, ...], dtype: Any, name: str) -> Tensor:
    """A parameter of the module ``of`` that starts at 1."""
    return full(of, shape, 1.0, dtype, name)


def zeros(of: str, shape: int | tuple[int, ...], dtype: Any, name: str) -> Tensor:
    """A parameter that starts at 0."""
    return full(of, shape, 0.0, dtype, name)


def full(of: str, shape: int | tuple[int, ...], value: float, dtype: Any, name: str, learned: bool = True) -> Tensor:
    """A parameter that starts at ``value``, or state that no optimizer moves; ``ShapeError`` where no memory holds it."""
    try:
        return Tensor(np.full(shape, value, dtype), learned, name)
    except (ValueError, MemoryError, OverflowError):  # sizes were checked: whole, and not below 0
        raise ShapeError(f"{of}: {name} of shape {shape} and dtype {np.dtype(dtype)} is too large. Take smaller sizes.") from None


def gain_and_shift(
    of: str, shape: int | tuple[int, ...], dtype: Any, weight: bool = True, bias: bool = True
) -> tuple[Tensor | None, Tensor | None]:
    """γ, which starts at 1, and β, which starts at 0; None where there is none. Without γ there is no β, as in PyTorch."""
    return ones(of, shape, dtype, "γ") if weight else None, zeros(of, shape, dtype, "β") if weight and bias else None


def fill(p: Tensor | None, value: float) -> None:
    """New values for a parameter or a buffer, all the same; None has none."""
    if p is not None:
        p.data = np.full(p.shape, value, p.dtype)


# Arguments of constructors ----------------------------------------------------------------------------------------


def size(name: str, what: str, value: Any, least: int = 0) -> int:
    """How many features, channels, …: a whole number; ``DTypeError`` or ``OptionError`` for what is none."""
    return int(number(name, what, value, least, whole=True))


def layers(name: str, value: Any) -> int:
    """How many layers: as many as anybody could compute."""
    return int(number(name, "num_layers", value, 1, 100_000, whole=True))


def shape_of(name: str, normalized_shape: Any) -> tuple[int, ...]:
    """The sizes that are normalized over: at least one, and none below 0; else ``ShapeError``."""
    found = sizes(normalized_shape, name)
    if not found or min(found) < 0:
        raise ShapeError(
            f"{name}: normalized_shape={describe(normalized_shape)}; it is a size from 0 on, or a tuple of one or more."
        )
    return found


def word(name: str, what: str, value: Any) -> str:
    """A piece of a key; ``DTypeError`` for what is no string."""
    if not isinstance(value, str):
        raise DTypeError(f"{name}: {what}={describe(value)}; it is a string.")
    return value


def real_dtype(name: str, dtype: Any, usual: Any = np.float32) -> np.dtype[Any]:
    """The dtype of parameters: the ``usual`` one for None, float32 as in PyTorch; ``DTypeError`` for what is no floating-point dtype."""
    return as_dtype(name, usual if dtype is None else dtype, "f", 'a floating-point dtype: "float32", "float64" or "float16"')


def seeded(name: str, seed: Any) -> np.random.Generator:
    """The generator of initial values; ``OptionError`` for what is no seed."""
    several = isinstance(seed, Sequence) and not isinstance(seed, (str, bytes))
    try:
        if seed is None or isinstance(seed, (int, np.integer, np.random.Generator)) or several:
            return np.random.default_rng(seed)
    except (TypeError, ValueError):
        pass
    raise OptionError(f"{name}: seed={describe(seed)}; it is a whole number from 0 on, or None for others each time.")
