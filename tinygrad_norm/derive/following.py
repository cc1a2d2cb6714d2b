"""Whole numbers that came from a tensor's shape, and what is computed from them: each knows by which formula of the sizes it came.

A ``Number`` says that it is an int (or a float), and is none: whoever wants its value, Python's own functions in C included, has to
ask, and asking is heard. Arithmetic asks nothing: N − 1, 1/N, B·N and N**0.5 are formulas of the sizes. What is no such formula (N // 2,
N % 3, |N − 9|, a root of what may be negative, one over what may be zero) is ``rough``.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

Tree = Any
"""A formula of the sizes: a number, ``("size", 11)`` (the size that is 11 on this record), or ``("mul", one, other)``."""

Ask = Callable[[str, FrameType, bool], None]
"""What is asked, the frame that asks, and whether it matters whoever asks."""
_listener: list[Ask] = []

COMPARED, KEY, ZERO, LENT = "a size is compared", "a size is a key", "whether a size is zero", "a size becomes a plain number"
ROUGHLY = "a size that was rounded or taken by its bits is a number of the formula"


class Number:
    """A number made of sizes.

    value:     it, on this record
    tree:      the formula
    plain:     it came from a shape as it is
    positive:  it is positive (or zero) at all sizes, and smooth
    rough:     it is no formula of the sizes; if it is positive, it is an axis over a small number, which a shape may have
    """

    __slots__ = ("plain", "positive", "rough", "tree", "value")

    def __init__(self, value: Any, tree: Tree, plain: bool = False, positive: bool = False, rough: bool = False) -> None:
        self.value, self.tree, self.plain, self.positive, self.rough = value, tree, plain, positive, rough

    @property
    def __class__(self) -> Any:
        return type(self.value)

    @__class__.setter
    def __class__(self, kind: Any) -> None:
        raise TypeError("a number of sizes has no other class.")

    # Leaving -------------------------------------------------------------------------------------------------

    def __index__(self) -> int:
        _lent(self, sys._getframe(1), whole=True)
        return operator.index(self.value)

    def __int__(self) -> int:
        _lent(self, sys._getframe(1), whole=True)
        return int(self.value)

    def __float__(self) -> float:
        _lent(self, sys._getframe(1))
        return float(self.value)

    def __complex__(self) -> complex:
        _lent(self, sys._getframe(1))
        return complex(self.value)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        _lent(self, sys._getframe(1))
        return np.array(self.value, dtype=dtype)

    def __reduce_ex__(self, protocol: Any) -> Any:
        _lent(self, sys._getframe(1))
        return (type(self.value), (self.value,))

    def __format__(self, spec: str) -> str:
        _lent(self, sys._getframe(1), whole=True)
        return format(self.value, spec)

    def __str__(self) -> str:
        _lent(self, sys._getframe(1), whole=True)
        return str(self.value)

    __repr__ = __str__

    def __getattr__(self, name: str) -> Any:
        if hasattr(type(self.value), name):
            _lent(self, sys._getframe(1))
        return getattr(self.value, name)

    def __hash__(self) -> int:
        _told(KEY, sys._getframe(1))
        return hash(self.value)

    def __bool__(self) -> bool:
        if not self.plain:
            _told(ZERO, sys._getframe(1))
        return bool(self.value)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        given = [x.item() if isinstance(x, np.generic) else x for x in inputs]
        if method == "__call__" and not options and ufunc in _UFUNCS and all(map(_is_scalar, given)):
            return _UFUNCS[ufunc](*given)
        if any(hasattr(type(x), "__array_ufunc__") and not isinstance(x, (np.ndarray, np.generic, Number)) for x in given):
            return NotImplemented
        _lent(self, sys._getframe(1))
        return getattr(ufunc, method)(*map(bare, given), **options)


def size(value: int) -> Number:
    """A size as it came from a shape."""
    return Number(value, ("size", value), plain=True, positive=True)


def bare(value: Any) -> Any:
    """The number itself; of tuples and slices, too."""
    if type(value) is Number:
        return value.value
    if type(value) is slice:
        return slice(bare(value.start), bare(value.stop), bare(value.step))
    return tuple(map(bare, value)) if type(value) is tuple else value


def told_by(ask: Ask | None) -> None:
    """Who is told of what is asked of sizes, from now on; None: nobody, as before."""
    _listener.append(ask) if ask is not None else _listener.pop()


def _told(what: str, frame: FrameType) -> None:
    if _listener:
        _listener[-1](what, frame, False)


def _lent(self: Number, frame: FrameType, whole: bool = False) -> None:
    """The value goes somewhere. This package may have a whole number (for a shape, which is on the record) that is a formula of
    sizes, or an even part of one, and what is positive."""
    if _listener:
        always = not (whole and self.positive) if self.rough else not (whole or self.positive)
        _listener[-1](ROUGHLY if self.rough else LENT, frame, always)


def _is_scalar(x: Any) -> bool:
    return type(x) is Number or (isinstance(x, (int, float)) and not isinstance(x, np.generic))


# Arithmetic -------------------------------------------------------------------------------------------------------


def _arithmetic(name: str, a: Any, b: Any) -> Any:
    """a and b by one of the four rules of arithmetic, or a power."""
    if not (_is_scalar(a) and _is_scalar(b)):
        return NotImplemented
    value = getattr(operator, name)(bare(a), bare(b))
    if isinstance(value, complex):
        return value
    positive = _is_positive(a) and _is_positive(b)
    rough = _is_rough(a) or _is_rough(b)
    if name == "sub":
        positive = (type(a) is Number and a.plain and type(b) is not Number and b <= 1) or (
            _is_positive(a) and _is_number_below(b)
        )
    elif name == "truediv" and type(b) is Number:
        rough |= not b.positive
    elif name == "pow":
        whole = type(b) is not Number and float(b).is_integer() and b >= 0
        positive = _is_positive(a) and (type(a) is Number or a > 0)
        rough |= not (whole or positive)
    return Number(value, (name, _tree(a), _tree(b)), False, positive and not rough, rough)


def _is_number_below(b: Any) -> bool:
    return type(b) is not Number and b <= 0


def _is_positive(x: Any) -> bool:
    return x.positive if type(x) is Number else x >= 0


def _is_rough(x: Any) -> bool:
    return type(x) is Number and x.rough


def _tree(x: Any) -> Tree:
    return x.tree if type(x) is Number else x


def _roughly(name: str, *given: Any) -> Any:
    """By a function that is no formula of the sizes."""
    if not all(map(_is_scalar, given)):
        return NotImplemented
    a = given[0]
    if name == "floordiv" and all(type(x) is Number and x.plain for x in given) and a.value % given[1].value == 0:
        return size(a.value // given[1].value)  # one of the axes out of several
    if (
        name == "floordiv"
        and type(a) is Number
        and a.plain
        and type(b := given[1]) is int
        and 0 < b <= a.value
        and a.value % b == 0
    ):
        return Number(a.value // b, (name, a.value // b), positive=True, rough=True)
    value = _ROUGH[name](*map(bare, given))
    if isinstance(value, tuple):
        return tuple(Number(v, (name, v), rough=True) for v in value)
    return Number(value, (name, value), rough=True)


def _absolute(a: Number) -> Number:
    return a if a.positive else Number(abs(a.value), ("abs", abs(a.value)), rough=True)


_EXACT = ("add", "sub", "mul", "truediv", "pow")
_ROUGH: dict[str, Callable[..., Any]] = {
    **{n: getattr(operator, n) for n in ("floordiv", "mod", "and_", "or_", "xor", "lshift", "rshift", "invert")},
    "divmod": divmod,
    "round": round,
    "trunc": int,
    "floor": lambda x: int(x // 1),
    "ceil": lambda x: -int(-x // 1),
}
_TWO = ("floordiv", "mod", "and_", "or_", "xor", "lshift", "rshift", "divmod")


def _both_ways(name: str, compute: Callable[[Any, Any], Any]) -> None:
    plain = name.strip("_")
    setattr(Number, f"__{plain}__", lambda self, other, *modulo: compute(self, other) if not modulo else NotImplemented)
    setattr(Number, f"__r{plain}__", lambda self, other, *modulo: compute(other, self) if not modulo else NotImplemented)


for _name in _EXACT:
    _both_ways(_name, lambda a, b, _name=_name: _arithmetic(_name, a, b))  # type: ignore[misc]
for _name in _TWO:
    _both_ways(_name, lambda a, b, _name=_name: _roughly(_name, a, b))  # type: ignore[misc]
for _name in ("invert", "round", "trunc", "floor", "ceil"):
    setattr(Number, f"__{_name}__", lambda self, *digits, _name=_name: _roughly(_name, self, *digits))
for _name, _method in {"neg": lambda self: _arithmetic("mul", -1, self), "pos": lambda self: self, "abs": _absolute}.items():
    setattr(Number, f"__{_name}__", _method)


def _comparing(name: str) -> Callable[..., Any]:
    def method(self: Number, other: Any) -> Any:
        if not _is_scalar(other):
            return NotImplemented
        if not _is_sure(self, other, name):
            _told(COMPARED, sys._getframe(1))
        return getattr(operator, name)(self.value, bare(other))

    return method


def _is_sure(a: Number, b: Any, name: str) -> bool:
    """Whether it is answered so at all sizes: an axis has one size, and no size is below 1."""
    if not a.plain:
        return False
    if type(b) is Number:
        return b.plain and a.value == b.value
    return (name in ("gt", "le", "eq", "ne") and b <= 0) or (name in ("ge", "lt") and b <= 1)


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Number, f"__{_name}__", _comparing(_name))

_UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.true_divide: operator.truediv,
    np.power: operator.pow,
    np.negative: operator.neg,
    np.sqrt: lambda a: a**0.5,
    np.square: lambda a: a * a,
    np.reciprocal: lambda a: 1.0 / a,
}
