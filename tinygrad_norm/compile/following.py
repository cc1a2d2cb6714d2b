"""Arrays that are followed: what NumPy computes of a tensor's ``.data`` is on the record, too, where an op stands for it.

A record ends where a function takes ``x.data``. For a picture that is as it should be; whoever computes the record again with
other data needs to know what such an array was made of. So while a function is recorded for elsewhere, ``.data`` is an array
that remembers which tensor it is, and NumPy's functions of it are read as that tensor's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine import TABLE, Op, Tensor, TinygradNormError, no_grad
from ..engine.numpy_protocol import FUNCTIONS, UFUNCS, takes

_HOUSE = __name__.partition(".")[0]


class RecordError(TinygradNormError, RuntimeError):
    """A function that cannot be recorded for other data: it does something with the values that no record holds."""


class Followed(np.ndarray[Any, Any]):
    """The values of ``node``; ``lost`` says by which function of NumPy's they were made, where that is no op."""

    node: Tensor | None = None
    lost: str = ""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if len(out := kwargs.get("out", ())) == 1 and isinstance(out[0], Followed):  # a += b: the name moves on to the sum
            del kwargs["out"]
        known = QUESTIONS.get(ufunc) or UFUNCS.get(ufunc)
        if method == "reduce" and "out" not in kwargs and ufunc in _REDUCED:  # what ndarray.max() and its like become
            kwargs = {k: v for k, v in kwargs.items() if k in ("axis", "keepdims") and v is not None} | _over(inputs, kwargs)
            return follow(_REDUCED[ufunc], inputs[:1], kwargs)
        if method != "__call__" or kwargs or known is None:
            return follow(getattr(ufunc, method), inputs, kwargs, f"np.{ufunc.__name__}")
        return followed(known, inputs, {}, lambda: ufunc(*plain(inputs)))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return follow(func, args, kwargs)

    def apply_op(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        found = op(*[known_as(x) for x in inputs], **params)
        return found if any(isinstance(x, Tensor) for x in inputs) else array_of(found)

    def __getitem__(self, index: Any) -> Any:
        return self._as("__getitem__", index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise RecordError(f"{self._told}: values are written into it, which no record holds. Compute a new array instead.")

    def _as(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A method that tensors have, too."""
        if self.node is None:
            return lose(getattr(self.view(np.ndarray), method)(*plain(args), **plain(kwargs)), self.lost)
        args, kwargs = known_as(args), known_as(kwargs)
        with no_grad():
            return array_of(getattr(self.node, method)(*args, **kwargs))

    @property
    def _told(self) -> str:
        return f"an array made by {self.lost}" if self.node is None else f"the data of a tensor of shape {self.shape}"

    # What NumPy's own methods would do without telling

    def astype(self, dtype: Any, *rest: Any, **kwargs: Any) -> Any:
        return self if np.dtype(dtype) == self.dtype else self._as("astype", np.dtype(dtype))

    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        return self._as("reshape", *shape)

    def transpose(self, *axes: Any) -> Any:
        return self._as("transpose", *axes)

    def swapaxes(self, a: Any, b: Any) -> Any:
        return self._as("swapaxes", a, b)

    def ravel(self, order: Any = "C") -> Any:
        return self._as("reshape", -1)

    flatten = ravel

    def copy(self, order: Any = "C") -> Any:
        return self

    @property
    def T(self) -> Any:
        return self._as("transpose")

    @property  # type: ignore[misc]
    def real(self) -> Any:
        return self

    # Where values become numbers, on which a branch may depend

    def __bool__(self) -> bool:
        return bool(leaving(self, "asks whether it is true (a branch, an assertion)"))

    def __float__(self) -> float:
        return float(leaving(self, "float()"))

    def __int__(self) -> int:
        return int(leaving(self, "int()"))

    def __index__(self) -> int:
        return int(leaving(self, "an index"))

    def item(self, *args: Any) -> Any:
        return leaving(self, ".item()").item(*args)

    def tolist(self) -> Any:
        return leaving(self, ".tolist()").tolist()


def _as_function(func: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: follow(func, (self, *args), kwargs)


for _name in ("sum", "mean", "max", "min", "prod", "any", "all", "argmax", "argmin", "argsort", "cumsum", "clip", "squeeze"):
    setattr(Followed, _name, _as_function(getattr(np, _name)))


def _over(inputs: Any, kwargs: Any) -> dict[str, Any]:
    """The axes of a reduction, which a method gives by position."""
    axis = kwargs.get("axis", inputs[1] if len(inputs) > 1 else None)
    return {"axis": axis} if "axis" in kwargs or len(inputs) > 1 else {"axis": 0}


_REDUCED: dict[np.ufunc, Callable[..., Any]] = {
    np.add: np.sum,
    np.maximum: np.max,
    np.minimum: np.min,
    np.multiply: np.prod,
    np.logical_and: np.all,
    np.logical_or: np.any,
}


def _asking() -> Any:
    """The frame that asked for values, past those that only hand them on."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith((f"{_HOUSE}.compile.", "numpy")):
        frame = frame.f_back
    return frame


def _is_ours(frame: Any) -> bool:
    return frame is None or frame.f_globals.get("__name__", "").partition(".")[0] == _HOUSE


def asked_by_the_house() -> bool:
    return _is_ours(_asking())


def leaving(x: Any, how: str) -> Any:
    """The bare array of what leaves the record; refused where it is not the house that asks (to check an argument, to take a
    shorter way, which on a record for other data it does not)."""
    frame = _asking()
    if not _is_ours(frame):
        raise RecordError(
            f"{frame.f_code.co_name}, line {frame.f_lineno} of {frame.f_code.co_filename.rpartition('/')[2]}: it reads the values of a "
            f"tensor of shape {tuple(x.shape)} by {how}; with other data it might do something else, and a record holds one course of "
            "things. Select with tn.where, and keep numbers as tensors."
        )
    return np.asarray(x._data if isinstance(x, Tensor) else x.view(np.ndarray))


# Between arrays and tensors -----------------------------------------------------------------------------------


def array_of(result: Any) -> Any:
    """A tensor as a followed array; anything else as it is."""
    if not isinstance(result, Tensor):
        return result
    values = result._data.view(Followed)
    values.node = result
    return values


def lose(result: Any, how: str) -> Any:
    """Arrays that nobody can make again, as such."""
    if isinstance(result, (np.ndarray, np.generic)):
        values = np.asarray(result).view(Followed)
        values.lost = how
        return values
    return type(result)(lose(r, how) for r in result) if type(result) in (tuple, list) else result


def known_as(value: Any) -> Any:
    """Followed arrays as the tensors they are, in whatever nest; ``RecordError`` for one that is lost."""
    if isinstance(value, Followed):
        if value.node is None:
            raise RecordError(
                f"a constant of shape {value.shape} was made of the data by {value.lost}, for which no op stands. Write it with the "
                "functions of tn, or pass it as an argument."
            )
        return value.node
    if type(value) in (tuple, list):
        return type(value)(known_as(v) for v in value)
    return {k: known_as(v) for k, v in value.items()} if type(value) is dict else value


def plain(value: Any) -> Any:
    """Bare arrays, in whatever nest."""
    if isinstance(value, Tensor):
        return value._data
    if isinstance(value, Followed):
        return value.view(np.ndarray)
    if type(value) in (tuple, list):
        return type(value)(plain(v) for v in value)
    return {k: plain(v) for k, v in value.items()} if type(value) is dict else value


def follow(func: Any, args: Any, kwargs: Any, name: str = "") -> Any:
    """A function of NumPy's, on the record where an op stands for it."""
    name = name or f"np.{getattr(func, '__name__', func)}"
    known = QUESTIONS.get(func) or FUNCTIONS.get(func)
    if known is not None and takes(known, args, kwargs):
        return followed(known, args, kwargs, lambda: func(*plain(args), **plain(kwargs)))
    if _lost(args, kwargs) and func in FORMS:
        return lose(func(*plain(args), **plain(kwargs)), name)
    if func in FORMS:
        return FORMS[func](*args, **kwargs)
    return lose(func(*plain(args), **plain(kwargs)), name)


def _lost(*values: Any) -> str:
    for v in values:
        if isinstance(v, Followed) and v.node is None:
            return v.lost
        if isinstance(v, (tuple, list, dict)) and (found := _lost(*(v.values() if isinstance(v, dict) else v))):
            return found
    return ""


def followed(known: Any, args: Any, kwargs: Any, otherwise: Callable[[], Any]) -> Any:
    if lost := _lost(args, kwargs):
        return lose(otherwise(), lost)
    with no_grad():
        return array_of(known(*[_tensor(a) for a in known_as(args)], **known_as(kwargs)))


def _tensor(value: Any) -> Any:
    """Arrays beside a tensor, as constants."""
    return Tensor(np.asarray(value)) if isinstance(value, np.ndarray) else value


# Questions that NumPy answers and no op of the table does -----------------------------------------------------


def _question(name: str, forward: Callable[..., Any], inputs: int = 1) -> Op:
    return Op(name, f"{name}({', '.join(f'{{{i}}}' for i in range(inputs))})", forward, (None,) * inputs, elementwise=inputs > 1)


def _place(find: Any) -> Callable[..., Any]:
    return lambda x, axis, keepdims: np.asarray(find(x, axis=axis, keepdims=keepdims))


argmax = _question("argmax", _place(np.argmax))
argmin = _question("argmin", _place(np.argmin))
argsort = _question("argsort", lambda x, axis: np.argsort(x, axis, kind="stable"))
min_of = _question("min", lambda x, axis: np.min(x, axis, keepdims=True))
any_of = _question("any", lambda x, axis: np.any(x, axis, keepdims=True))
all_of = _question("all", lambda x, axis: np.all(x, axis, keepdims=True))
isfinite = _question("isfinite", np.isfinite)
isnan = _question("isnan", np.isnan)
both = _question("and", np.bitwise_and, 2)
either = _question("or", np.bitwise_or, 2)
exclusive = _question("xor", np.bitwise_xor, 2)
inverse = _question("not", np.invert)

MORE: dict[str, Op] = {
    op.name: op for op in (argmax, argmin, argsort, min_of, any_of, all_of, isfinite, isnan, both, either, exclusive, inverse)
}
"""Ops that are on such records beside those of the table; nothing flows through them."""


def _axes(x: Any, axis: Any) -> tuple[int, ...]:
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(sorted(a % x.ndim for a in axes))


def _reduce(op: Op) -> Callable[..., Any]:
    def over(a: Any, axis: Any = None, *, keepdims: bool = False, initial: Any = None) -> Any:
        axes = _axes(a, axis)
        found = op(a, axis=axes)
        return found if keepdims else found.reshape(tuple(n for i, n in enumerate(a.shape) if i not in axes))

    return over


def _find(op: Op) -> Callable[..., Any]:
    def place(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
        flat = a.reshape(-1) if axis is None else a
        found = op(flat, axis=0 if axis is None else axis % a.ndim, keepdims=keepdims)
        return found.reshape((1,) * a.ndim) if axis is None and keepdims else found

    return place


QUESTIONS: dict[Any, Callable[..., Any]] = {
    np.argmax: _find(argmax),
    np.argmin: _find(argmin),
    np.argsort: lambda a, axis=-1, *, kind=None, stable=None: argsort(a, axis=axis % a.ndim),
    np.any: _reduce(any_of),
    np.all: _reduce(all_of),
    np.isfinite: isfinite,
    np.isnan: isnan,
    np.bitwise_and: both,
    np.bitwise_or: either,
    np.bitwise_xor: exclusive,
    np.invert: inverse,
    np.logical_and: lambda a, b: both(a != 0, b != 0),
    np.logical_or: lambda a, b: either(a != 0, b != 0),
    np.logical_not: lambda a: a == 0,
    np.max: _reduce(TABLE["max"]),
    np.min: _reduce(min_of),
}

FORMS: dict[Any, Callable[..., Any]] = {
    np.expand_dims: lambda a, axis: a.reshape(np.expand_dims(plain(a), axis).shape),
    np.squeeze: lambda a, axis=None: a.reshape(np.squeeze(plain(a), axis).shape),
    np.ravel: lambda a, order="C": a.reshape(-1),
    np.swapaxes: lambda a, axis1, axis2: a.swapaxes(axis1, axis2),
    np.moveaxis: lambda a, source, destination: a.transpose(*_moved(a.ndim, source, destination)),
    np.zeros_like: lambda a, dtype=None, **how: np.zeros_like(plain(a), dtype, **how),
    np.ones_like: lambda a, dtype=None, **how: np.ones_like(plain(a), dtype, **how),
    np.full_like: lambda a, value, dtype=None, **how: np.full_like(plain(a), value, dtype, **how),
    np.empty_like: lambda a, dtype=None, **how: np.empty_like(plain(a), dtype, **how),
    np.may_share_memory: lambda a, b, *rest: np.may_share_memory(plain(a), plain(b)),
    np.shares_memory: lambda a, b, *rest: np.shares_memory(plain(a), plain(b)),
    np.result_type: lambda *xs: np.result_type(*plain(xs)),
    np.can_cast: lambda *xs: np.can_cast(*plain(xs)),
    np.iscomplexobj: lambda a: np.iscomplexobj(plain(a)),
    np.copyto: lambda *xs, **how: _written(),
}
"""Forms of an array, and what is asked of its form alone."""


def _moved(ndim: int, source: Any, destination: Any) -> tuple[int, ...]:
    """The order of axes after ``np.moveaxis``: read off an array whose sizes tell them apart."""
    return tuple(n - 1 for n in np.moveaxis(np.broadcast_to(0, tuple(range(1, ndim + 1))), source, destination).shape)


def _written() -> None:
    raise RecordError("np.copyto writes into an array of data, which no record holds. Compute a new array: np.where.")
