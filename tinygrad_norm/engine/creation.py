"""Leaves made from nothing: constants, ranges, random numbers. PyTorch's names, argument order and defaults, but for the
default dtype: NumPy's float64, as everywhere here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .arguments import as_tensor
from .arrays import Array
from .errors import DTypeError, GradientError, OptionError, ShapeError, TinygradNormError, describe
from .forms import concatenate
from .random import Generator, source
from .shapes import flag, number, sizes_of, whole
from .tensor import Tensor, as_dtype, not_real


def _leaf(name: str, make: Callable[[], Any], dtype: DTypeLike | None, requires_grad: Any) -> Tensor:
    """A leaf of what ``make`` gives, in ``dtype`` where one is named."""
    to, wanted = None if dtype is None else as_dtype(name, dtype), flag(name, "requires_grad", requires_grad)
    try:
        data: Array = np.asarray(make())
        if to is not None and data.dtype.kind == "c" != to.kind:
            raise not_real(name, data, to)
        if (
            to is not None
            and to.kind in "iu"
            and data.size
            and not np.iinfo(to).min <= data.min() <= data.max() <= np.iinfo(to).max
        ):
            raise DTypeError(
                f"{name}: {data.min()} … {data.max()} does not fit into {to}. Take a larger dtype, or smaller numbers."
            )
        data = data if to is None else data.astype(to, copy=False)
        if wanted and data.dtype.kind != "f":
            raise DTypeError(f"{name}: {describe(data)} requires no gradient; only floating-point tensors can. dtype='float64'?")
        return Tensor(data, wanted)
    except TinygradNormError:
        raise
    except (MemoryError, ValueError, TypeError, OverflowError) as error:
        raise ShapeError(f"{name}: {error}. Take sizes from 0 on that fit into memory.") from None


def _shape(name: str, size: tuple[Any, ...]) -> tuple[int, ...]:
    shape = sizes_of(size, name)
    if min(shape, default=0) < 0:
        raise ShapeError(f"{name}: the sizes {shape}: each must be a whole number from 0 on.")
    return shape


# Constants ----------------------------------------------------------------------------------------------


def zeros(*size: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Zeros of a shape, given as sizes or as one tuple; float64 unless ``dtype`` says otherwise."""
    shape = _shape("zeros", size)
    return _leaf("zeros", lambda: np.zeros(shape), dtype, requires_grad)


def ones(*size: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Ones of a shape, given as sizes or as one tuple; float64 unless ``dtype`` says otherwise."""
    shape = _shape("ones", size)
    return _leaf("ones", lambda: np.ones(shape), dtype, requires_grad)


def full(size: Any, fill_value: Any, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """One number everywhere; the number's own dtype unless ``dtype`` says otherwise."""
    shape, value = _shape("full", (size,)), _value("full", fill_value)
    return _leaf("full", lambda: np.full(shape, value), dtype, requires_grad)


def _value(name: str, value: Any) -> Any:
    if isinstance(value, Tensor) and value.requires_grad:
        raise GradientError(
            f"{name}: fill_value {describe(value)} requires a gradient, and none flows to it. Use .expand(size), or .item()."
        )
    value = value.item() if isinstance(value, (np.generic, Tensor, np.ndarray)) and value.size == 1 else value
    if not isinstance(value, (bool, int, float, complex)):
        raise DTypeError(f"{name}: fill_value={describe(value)}; it is one number.")
    return value


def zeros_like(input: Any, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape and dtype of ``input``."""
    x = _model("zeros_like", input)
    return _leaf("zeros_like", lambda: np.zeros(x.shape), x.dtype if dtype is None else dtype, requires_grad)


def ones_like(input: Any, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape and dtype of ``input``."""
    x = _model("ones_like", input)
    return _leaf("ones_like", lambda: np.ones(x.shape), x.dtype if dtype is None else dtype, requires_grad)


def full_like(input: Any, fill_value: Any, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """One number everywhere, in the shape and dtype of ``input``."""
    x, value = _model("full_like", input), _value("full_like", fill_value)
    return _leaf("full_like", lambda: np.full(x.shape, value), x.dtype if dtype is None else dtype, requires_grad)


def _model(name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray):
        return as_tensor(value, name)
    raise DTypeError(f"{name}: input is {describe(value)}; it is a tensor or an array, whose shape and dtype are taken.")


def eye(n: int, m: int | None = None, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal of an n×m matrix (n×n without m), zeros elsewhere."""
    rows = whole("eye", "n", n, least=0)
    columns = rows if m is None else whole("eye", "m", m, least=0)
    return _leaf("eye", lambda: np.eye(rows, columns), dtype, requires_grad)


# Ranges -------------------------------------------------------------------------------------------------


def arange(
    start: float, end: float | None = None, step: float = 1, *, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """``start``, ``start + step``, … below ``end``; with one number, 0, 1, … below it. Whole numbers give int64."""
    first, last = (0, start) if end is None else (start, end)
    first, last, step = (number("arange", what, v) for what, v in (("start", first), ("end", last), ("step", step)))
    if step == 0 or (last - first) * step < 0:
        raise OptionError(f"arange: from {first} to {last} in steps of {step}; the step must lead from the one to the other.")
    return _leaf("arange", lambda: np.arange(first, last, step), dtype, requires_grad)


def linspace(start: float, end: float, steps: int, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """``steps`` numbers at equal distances, the first and the last included."""
    first, last = number("linspace", "start", start), number("linspace", "end", end)
    count = whole("linspace", "steps", steps, least=0)
    return _leaf("linspace", lambda: np.linspace(first, last, count), dtype, requires_grad)


# Random numbers -----------------------------------------------------------------------------------------


def rand(*size: Any, generator: Generator | None = None, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Uniform between 0 and 1. ``generator``: the source; the default one unless given (see ``manual_seed``)."""
    return _uniform("rand", _shape("rand", size), generator, dtype, requires_grad)


def _uniform(name: str, shape: tuple[int, ...], generator: Any, dtype: Any, requires_grad: Any) -> Tensor:
    drawn, dtype = source(generator, name), _fractions(name, dtype)
    return _leaf(name, lambda: drawn.numpy.random(shape), dtype, requires_grad)


def randn(*size: Any, generator: Generator | None = None, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Normal, of mean 0 and variance 1. ``generator``: the source; the default one unless given (see ``manual_seed``)."""
    return _normal("randn", _shape("randn", size), generator, dtype, requires_grad)


def _normal(name: str, shape: tuple[int, ...], generator: Any, dtype: Any, requires_grad: Any) -> Tensor:
    drawn, dtype = source(generator, name), _fractions(name, dtype)
    return _leaf(name, lambda: drawn.numpy.standard_normal(shape), dtype, requires_grad)


def _fractions(name: str, dtype: Any) -> Any:
    """A dtype that holds what is drawn: as whole numbers, all of it would be 0."""
    return (
        None if dtype is None else as_dtype(name, dtype, "f", "a floating-point dtype, such as 'float32'; randint gives integers")
    )


def rand_like(
    input: Any, *, generator: Generator | None = None, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """Uniform between 0 and 1, of the shape and dtype of ``input``."""
    x = _model("rand_like", input)
    return _uniform("rand_like", x.shape, generator, x.dtype if dtype is None else dtype, requires_grad)


def randn_like(
    input: Any, *, generator: Generator | None = None, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """Normal, of mean 0 and variance 1, of the shape and dtype of ``input``."""
    x = _model("randn_like", input)
    return _normal("randn_like", x.shape, generator, x.dtype if dtype is None else dtype, requires_grad)


def randint(*bounds_and_size: Any, generator: Generator | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """``randint(high, size)`` or ``randint(low, high, size)``: whole numbers from ``low`` (0) to below ``high``."""
    if len(bounds_and_size) not in (2, 3):
        raise OptionError(f"randint: {len(bounds_and_size)} arguments; write randint(high, size) or randint(low, high, size).")
    *low, high, size = bounds_and_size
    first, last = whole("randint", "low", low[0] if low else 0), whole("randint", "high", high)
    if first >= last:
        raise OptionError(f"randint: from {first} to below {last} there is nothing; high must be above low.")
    shape, drawn = _shape("randint", (size,)), source(generator, "randint")
    return _leaf("randint", lambda: drawn.numpy.integers(first, last, shape), dtype, False)


def randperm(n: int, *, generator: Generator | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """0 … n − 1 in random order."""
    count, drawn = whole("randperm", "n", n, least=0), source(generator, "randperm")
    return _leaf("randperm", lambda: drawn.numpy.permutation(count), dtype, False)


# Joined -------------------------------------------------------------------------------------------------


def cat(tensors: Any, dim: int = 0) -> Tensor:
    """Tensors joined along an existing axis."""
    return concatenate(tensors, dim)
