"""NumPy functions on tensors: record where an op of ours means the same, else say what to do instead.

Never a bare array in silence: that would end the record.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from . import functions
from . import primitives as op
from .arrays import Array
from .errors import HistoryLostError, InPlaceError, ShapeError, describe
from .forms import concatenate
from .products import matmul
from .tensor import Tensor, lift

UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: op.add,
    np.subtract: op.sub,
    np.multiply: op.mul,
    np.true_divide: op.div,
    np.negative: op.neg,
    np.exp: op.exp,
    np.log: op.log,
    np.sqrt: op.sqrt,
    np.tanh: op.tanh,
    np.log1p: op.log1p,
    np.expm1: op.expm1,
    np.sin: op.sin,
    np.cos: op.cos,
    np.absolute: op.abs,
    np.maximum: op.maximum,
    np.minimum: op.minimum,
    np.sign: op.sign,
    np.floor_divide: op.floor_divide,
    np.remainder: op.remainder,
    np.greater: op.greater,
    np.greater_equal: op.greater_equal,
    np.less: op.less,
    np.less_equal: op.less_equal,
    np.equal: op.equal,
    np.not_equal: op.not_equal,
    np.matmul: matmul,
    np.square: lambda x: x**2,
    np.reciprocal: lambda x: 1 / x,
    np.power: functions.pow,
    np.cosh: lambda x: (op.exp(x) + op.exp(-x)) / 2,
    np.sinh: lambda x: (op.exp(x) - op.exp(-x)) / 2,
}

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.sum: lambda a, axis=None, *, keepdims=False: a.sum(axis, keepdims),
    np.mean: lambda a, axis=None, *, keepdims=False: a.mean(axis, keepdims),
    np.max: lambda a, axis=None, *, keepdims=False: a.max(axis=axis, keepdims=keepdims),
    np.min: lambda a, axis=None, *, keepdims=False: a.min(axis=axis, keepdims=keepdims),
    np.prod: lambda a, axis=None, *, keepdims=False: functions.prod(a, axis, keepdims),
    np.var: lambda a, axis=None, *, ddof=0, keepdims=False: functions.var(a, axis, correction=ddof, keepdim=keepdims),
    np.std: lambda a, axis=None, *, ddof=0, keepdims=False: functions.std(a, axis, correction=ddof, keepdim=keepdims),
    np.linalg.norm: lambda x, *, axis=None, keepdims=False: functions.norm(x, 2, axis, keepdims),
    np.cumsum: lambda a, axis=None: functions.cumsum(*((a, axis) if axis is not None else (a.reshape(-1), 0))),
    np.clip: lambda a, a_min=None, a_max=None: functions.clamp(a, a_min, a_max),
    np.sort: lambda a, axis=-1: functions.sort(*((a, axis) if axis is not None else (a.reshape(-1), 0))).values,
    np.flip: lambda m, axis=None: functions.flip(m, axis),
    np.stack: lambda arrays, axis=0: functions.stack(arrays, axis),
    np.take_along_axis: lambda arr, indices, axis: functions.take_along_dim(arr, indices, axis),
    np.einsum: lambda subscripts, *operands: functions.einsum(subscripts, *operands),
    np.pad: lambda array, pad_width: _pad(array, pad_width),
    np.reshape: lambda a, shape: a.reshape(shape),
    np.transpose: lambda a, axes=None: a.transpose(axes),
    np.broadcast_to: lambda array, shape: array.broadcast_to(shape),
    np.concatenate: lambda arrays, axis=0: concatenate(arrays, axis),
    np.where: lambda condition, x, y: op.where(*(lift(v, op.where) for v in (condition, x, y))),
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a: a.size,
}


def _pad(array: Tensor, pad_width: Any) -> Tensor:
    """NumPy's widths, a pair for each axis or one for all, as PyTorch's, from the last axis on."""
    try:
        given = np.array(_bare(pad_width)).astype(np.intp, casting="safe")
        widths = np.broadcast_to(given, (array.ndim, 2))
    except (TypeError, ValueError):
        raise ShapeError(
            f"pad: pad_width={describe(pad_width)} for {describe(array)}; it is a whole number, (before, after), or one such pair per axis."
        ) from None
    if given.size and given.min() < 0:
        raise ShapeError(f"pad: pad_width={describe(pad_width)} for {describe(array)}; NumPy's are from 0 on. F.pad crops.")
    return functions.pad(array, widths[::-1].ravel().tolist())


def apply_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if "out" in kwargs:
        raise InPlaceError(
            f"np.{ufunc.__name__}: out= (or +=, *= on an array) would write a tensor's result into a bare array and lose its "
            "history. Write a = a + t instead of a += t."
        )
    if method != "__call__" or kwargs or ufunc not in UFUNCS:
        return _outside(
            f"np.{ufunc.__name__}{'' if method == '__call__' else '.' + method}", getattr(ufunc, method), inputs, kwargs
        )
    return UFUNCS[ufunc](*inputs)


def apply_function(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if func in FUNCTIONS and takes(FUNCTIONS[func], args, kwargs):
        return FUNCTIONS[func](*args, **kwargs)
    if _tensors(kwargs.get("out")):
        raise InPlaceError(
            f"np.{func.__name__}: out= would write into a tensor, whose data may be part of a record. Leave it out."
        )
    return _outside(f"np.{func.__name__}", func, args, kwargs)


def takes(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether it can be called so: not every option of NumPy's is one of ours."""
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _outside(name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A NumPy function that no op of ours stands for: fine on constants, refused where history would be lost."""
    if any(t.requires_grad for t in _tensors((args, tuple(kwargs.values())))):
        raise HistoryLostError(
            f"{name}: no recorded operation stands for this call, and on the bare array the record would end. Use the tensor's own "
            "methods and operators, or pass x.data to compute outside the record on purpose."
        )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = func(*_bare(args), **{k: _bare(v) for k, v in kwargs.items()})
    for warning in said:  # NumPy's, where NumPy was called
        warnings.warn(warning.message, warning.category, stacklevel=4)
    return found


def as_array(tensor: Tensor, dtype: Any, copy: bool | None) -> Array:
    if tensor.requires_grad:
        raise HistoryLostError(
            "np.asarray: the tensor requires a gradient, and as a bare array its history would be lost. Use x.data (or x.numpy()) to "
            "leave the record on purpose."
        )
    return np.array(tensor.data, dtype=dtype, copy=copy)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [t for v in value for t in _tensors(v)] if isinstance(value, (list, tuple)) else []


def _bare(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.data
    return type(value)(_bare(v) for v in value) if type(value) in (list, tuple) else value
