"""A recorded tensor that behaves as NumPy's arrays do, for code that was written for them: ``x.var()`` divides by N, ``x.max(1)``
gives the values, ``a -= b`` writes into ``a``, ``x[:, None]`` is a new axis.

Its methods are NumPy's functions, which tensors understand; what none of them understands raises ``HistoryLostError``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ..derive.questions import asks_for_its_caller
from ..engine import HistoryLostError, Tensor
from ..engine import functions as F
from ..engine.creation import full_like, ones_like, zeros_like
from ..engine.forms import movedim, squeeze, swapaxes, unsqueeze


class AsArray(NDArrayOperatorsMixin):
    """``tensor`` is what it holds at the moment."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    shape = property(asks_for_its_caller(lambda self: self.tensor.shape))
    size = property(asks_for_its_caller(lambda self: self.tensor.size))
    dtype = property(lambda self: self.tensor.dtype)
    T = property(lambda self: self.transpose())
    real = property(lambda self: self)

    @property
    def ndim(self) -> int:
        return self.tensor.ndim

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if ufunc is np.add and method == "reduce":
            return np.sum(inputs[0], axis=kwargs.get("axis", 0), keepdims=kwargs.get("keepdims", False))
        if method != "__call__" or kwargs:
            raise HistoryLostError(f"np.{ufunc.__name__}: no recorded operation stands for this call.")
        found = ufunc(*map(_tensor, inputs))
        if out is None:
            return _wrapped(found)
        target = out[0]
        if not isinstance(target, AsArray) or target.shape != found.shape:
            raise HistoryLostError(f"np.{ufunc.__name__}: the result would be written into an array that is not on the record.")
        target.tensor = found
        return target

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        given = {n: v for n, v in kwargs.items() if n not in ("dtype", "subok") and not (n == "out" and v is None)}
        return _wrapped(_FUNCTIONS.get(func, func)(*map(_tensor, args), **{n: _tensor(v) for n, v in given.items()}))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise HistoryLostError("np.asarray: as a bare array its history would be lost.")

    def __getitem__(self, index: Any) -> Any:
        every = index if isinstance(index, tuple) else (index,)
        if all(k is None or k is Ellipsis or (isinstance(k, slice) and k == slice(None)) for k in every):
            return AsArray(self.tensor.reshape(np.empty(self.shape, bool)[index].shape))
        return _wrapped(self.tensor[_tensor(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, AsArray) and (index is Ellipsis or index == slice(None)) and value.shape == self.shape:
            self.tensor = value.tensor
            return
        if value is not self[index]:
            raise HistoryLostError("a[index] = …: what is written entry by entry cannot be recorded.")

    def __len__(self) -> int:
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))

    def __float__(self) -> float:
        raise HistoryLostError("float: a number that leaves the record becomes a constant.")

    __int__ = __bool__ = __index__ = __float__

    def item(self, *args: Any) -> Any:
        return float(self)

    tolist = item

    def copy(self, order: Any = None) -> AsArray:
        return AsArray(self.tensor)

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> AsArray:
        return self.copy()

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> AsArray:
        if np.dtype(dtype).kind != "f":
            raise HistoryLostError(f"astype: as {np.dtype(dtype)} the history would be lost.")
        return self.copy()

    def reshape(self, *shape: Any, **kwargs: Any) -> AsArray:
        return AsArray(self.tensor.reshape(*shape))

    def transpose(self, *axes: Any) -> AsArray:
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        return AsArray(np.transpose(self.tensor, order))  # type: ignore[arg-type]

    def ravel(self, order: Any = None) -> AsArray:
        return self.reshape(-1)

    flatten = ravel


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: AsArray, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    return method


for _name in ("sum", "mean", "var", "std", "max", "min", "prod", "squeeze", "swapaxes", "dot", "clip", "cumsum", "repeat"):
    setattr(AsArray, _name, _method(getattr(np, _name)))


def _tensor(value: Any) -> Any:
    if isinstance(value, AsArray):
        return value.tensor
    if type(value) in (tuple, list):
        return type(value)(map(_tensor, value))
    return value


def _wrapped(value: Any) -> Any:
    if isinstance(value, Tensor):
        return AsArray(value)
    return type(value)(map(_wrapped, value)) if type(value) in (tuple, list) else value


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if ord not in (None, 2) or (ord is not None and not isinstance(axis, int)):
        raise HistoryLostError(f"np.linalg.norm: no recorded operation stands for ord={ord}.")
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))


def _dot(a: Any, b: Any) -> Any:
    return a * b if np.ndim(a) == 0 or np.ndim(b) == 0 else a @ b


def _variance(a: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False) -> Any:
    c = a - np.mean(a, axis=axis, keepdims=True)
    squares = np.sum(c * c, axis=axis, keepdims=keepdims)
    return squares / (a.size // max(squares.size, 1) - ddof)


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.zeros_like: lambda a, **_: zeros_like(a),
    np.empty_like: lambda a, **_: zeros_like(a),
    np.ones_like: lambda a, **_: ones_like(a),
    np.full_like: lambda a, value, **_: full_like(a, value),
    np.moveaxis: movedim,
    np.swapaxes: swapaxes,
    np.squeeze: lambda a, axis=None: squeeze(a, axis),
    np.expand_dims: unsqueeze,
    np.ravel: lambda a: a.reshape(-1),
    np.copy: lambda a, **_: a,
    np.linalg.norm: _norm,
    np.dot: _dot,
    np.var: _variance,
    np.std: lambda a, axis=None, ddof=0, keepdims=False: np.sqrt(_variance(a, axis, ddof, keepdims)),
    np.clip: lambda a, a_min=None, a_max=None: F.clamp(a, a_min, a_max),
}
