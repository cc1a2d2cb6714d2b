"""Tensors that modules hold: how they start, and what is told from what. Arguments of constructors, checked in one voice."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ..engine import DTypeError, GradientError, OptionError, ShapeError, Tensor, describe, tensor
from ..engine.shapes import flag, number
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
        t = data.detach() if isinstance(data, Tensor) else tensor(data)
        said = t.name if name is None else word("Parameter", "name", name)
        t = Tensor(t.data, flag("Parameter", "requires_grad", requires_grad), said)
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


def ones(shape: int | tuple[int, ...], dtype: Any, name: str) -> Tensor:
    """A parameter that starts at 1."""
    return full(shape, 1.0, dtype, name)


def zeros(shape: int | tuple[int, ...], dtype: Any, name: str) -> Tensor:
    """A parameter that starts at 0."""
    return full(shape, 0.0, dtype, name)


def full(shape: int | tuple[int, ...], value: float, dtype: Any, name: str) -> Tensor:
    """A parameter that starts at ``value``; ``ShapeError`` where no memory holds it."""
    try:
        return Tensor(np.full(shape, value, dtype), requires_grad=True, name=name)
    except (ValueError, MemoryError, OverflowError) as error:  # sizes were checked: whole, and not below 0
        raise ShapeError(f"{name}: a parameter of shape {shape} and dtype {np.dtype(dtype)} is too large: {error}") from None


def buffer(value: Any, dtype: Any, name: str) -> Tensor:
    """State that no optimizer moves."""
    return Tensor(np.array(value, dtype), name=name)


def gain_and_shift(
    shape: int | tuple[int, ...], dtype: Any, weight: bool = True, bias: bool = True
) -> tuple[Tensor | None, Tensor | None]:
    """γ, which starts at 1, and β, which starts at 0; None where there is none. Without γ there is no β, as in PyTorch."""
    return ones(shape, dtype, "γ") if weight else None, zeros(shape, dtype, "β") if weight and bias else None


def fill(p: Tensor | None, value: float) -> None:
    """New values for a parameter or a buffer, all the same; None has none."""
    if p is not None:
        p.data = np.full(p.shape, value, p.dtype)


# Arguments of constructors ----------------------------------------------------------------------------------------


def size(name: str, what: str, value: Any, least: int = 0) -> int:
    """How many features, channels, …: a whole number; ``DTypeError`` or ``OptionError`` for what is none."""
    return int(number(name, what, value, least, whole=True))


def shape_of(name: str, normalized_shape: Any) -> tuple[int, ...]:
    """The sizes that are normalized over: at least one, and none below 0; else ``ShapeError``."""
    found = sizes(normalized_shape, name)
    if not found or min(found) < 0:
        raise ShapeError(f"{name}: normalized_shape={normalized_shape!r}; it is a size from 0 on, or a tuple of one or more.")
    return found


def word(name: str, what: str, value: Any) -> str:
    """A piece of a key; ``DTypeError`` for what is no string."""
    if not isinstance(value, str):
        raise DTypeError(f"{name}: {what}={describe(value)}; it is a string.")
    return value


def real_dtype(name: str, dtype: Any, usual: Any = np.float32) -> np.dtype[Any]:
    """The dtype of parameters: the ``usual`` one for None, float32 as in PyTorch; ``DTypeError`` for what is no floating-point dtype."""
    found: np.dtype[Any] | None
    try:
        with warnings.catch_warnings():  # NumPy's about old names, such as "a"
            warnings.simplefilter("ignore")
            found = np.dtype(usual if dtype is None else dtype)
    except (TypeError, ValueError, SyntaxError, AttributeError):  # NumPy's words for "foo", 3, (1, "a"), "f4,("
        found = None
    if found is None or found.kind != "f" or not found.isnative:
        given = dtype.__name__ if isinstance(dtype, type) else describe(dtype)
        raise DTypeError(f'{name}: dtype={given}; it is a floating-point dtype: "float32", "float64" or "float16".')
    return found


def seeded(name: str, seed: Any) -> np.random.Generator:
    """The generator of initial values; ``OptionError`` for what is no seed."""
    several = isinstance(seed, Sequence) and not isinstance(seed, (str, bytes))
    try:
        if seed is None or isinstance(seed, (int, np.integer, np.random.Generator)) or several:
            return np.random.default_rng(seed)
    except (TypeError, ValueError):
        pass
    raise OptionError(f"{name}: seed={describe(seed)}; it is a whole number from 0 on, or None for others each time.")
