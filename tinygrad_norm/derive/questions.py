"""What Python asks while a function runs: answers on which it may branch, and of which the record keeps nothing.

``if x.shape[-1] % 4``, ``if x.data.max() > 50``, a cache by shape: such a function is as many functions as there are answers, and
no number of runs finds them all. So while one runs, its own lines are given sizes that tell what they are asked, and it is noted
where they read values. Arithmetic asks nothing: N − 1, 1/N and B·N follow the sizes. N // 2, N % 3 and N & 1 are noted where they
are compared or stand in the formula. What this package asks inside of a function of its own is part of what that function is.
"""

from __future__ import annotations

import linecache
import operator
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import numpy as np

from ..engine import Op, Tensor

ASKED = "what it asks is answered as on the record"
"""What the sentences begin with."""

_HIDDEN = tuple(
    os.path.dirname(os.path.abspath(path or "")) + os.sep
    for path in (sys.modules[__package__.rpartition(".")[0]].__file__, np.__file__)
)
"""Whose lines are nobody's function."""

_asking_for: set[CodeType] = set()
_ROUGHLY = "a size that was rounded or taken by its bits is a number of the formula"
_heard: list[Heard] = []


def asks_for_its_caller(function: Callable[..., Any]) -> Callable[..., Any]:
    """The size that this function asks for is for whoever calls it."""
    _asking_for.add(function.__code__)
    return function


class Heard:
    """The sentences: what was asked, and by which line."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.owner = threading.get_ident()
        self.made: dict[int, Tensor] = {}  # constants that were made of the inputs

    def follows(self, t: Tensor) -> bool:
        """Whether a tensor is another one when the inputs are."""
        return t._requires_grad or id(t) in self.made


def _line(frame: FrameType | None) -> str:
    """The first line from here upwards that is not this package's."""
    while frame is not None and frame.f_code.co_filename.startswith(_HIDDEN):
        frame = frame.f_back
    if frame is None:
        return ""
    path, number = frame.f_code.co_filename, frame.f_lineno
    linecache.checkcache(path)
    return f" ({os.path.basename(path)}:{number}: {linecache.getline(path, number).strip()[:100]})"


def _asks(what: str, frame: FrameType) -> None:
    text = f"{ASKED}: {what}{_line(frame)}"
    if text not in _heard[-1].said:
        _heard[-1].said.append(text)


def _listens(frame: FrameType, passing: bool = False) -> bool:
    """Whether a line of the function itself is asking, and somebody listens; ``passing``, also by way of what asks for it."""
    if not _heard or threading.get_ident() != _heard[-1].owner:
        return False
    asking: FrameType | None = frame
    while passing and asking is not None and asking.f_code in _asking_for:
        asking = asking.f_back
    return asking is not None and not asking.f_code.co_filename.startswith(_HIDDEN)


# Sizes --------------------------------------------------------------------------------------------------------


class _Size(int):
    """A size, or a whole number made of sizes."""

    plain = False  # as it came from a tensor
    rough = False  # of a division with a remainder, or of single bits: no formula of the sizes


class _Ratio(float):
    """A number made of sizes."""

    plain = False
    rough = False


def _bare(value: Any) -> Any:
    """The number itself."""
    if isinstance(value, _Size):
        return int(value)
    if isinstance(value, _Ratio):
        return float.__float__(value)
    return tuple(map(_bare, value)) if type(value) is tuple else value


def _size(value: int) -> Any:
    found = _Size(value)
    found.plain = True
    return found


def _made(value: Any, rough: bool) -> Any:
    found = _Size(value) if type(value) is int else _Ratio(value) if type(value) is float else value
    if rough and isinstance(found, (_Size, _Ratio)):
        found.rough = True
    return found


def _computing(name: str, rough: bool) -> Callable[..., Any]:
    def method(self: Any, *others: Any) -> Any:
        if not all(isinstance(x, (int, float)) for x in others):
            return NotImplemented
        found = getattr(_bare(self), name)(*map(_bare, others))
        if found is NotImplemented:  # an int asks a float
            found = getattr(float(_bare(self)), name)(*map(_bare, others))
        if name == "__floordiv__" and self.plain and getattr(others[0], "plain", False) and _bare(self) % _bare(others[0]) == 0:
            return _size(found)  # one of the axes out of several
        return _made(found, rough or self.rough or any(getattr(x, "rough", False) for x in others))

    return method


def _comparing(name: str) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        answer = getattr(operator, name)(_bare(self), _bare(other))
        frame = sys._getframe(1)
        if _listens(frame) and not _sure(self, other, name):
            _asks("a size is compared", frame)
        return answer

    return method


def _sure(a: Any, b: Any, name: str) -> bool:
    """Whether it is answered so at all sizes: an axis has one size, and no size is below 1."""
    if not a.plain:
        return False
    if isinstance(b, _Size):
        return b.plain and int(a) == int(b)
    return (name in ("gt", "le", "eq", "ne") and b <= 0) or (name in ("ge", "lt") and b <= 1)


def _truth(self: Any) -> bool:
    frame = sys._getframe(1)
    if _listens(frame) and not self.plain:
        _asks("whether a size is zero", frame)
    return bool(_bare(self))


def _leaving(self: Any) -> float:
    if self.rough and _heard:
        _asks(_ROUGHLY, sys._getframe(1))
    return float.__float__(self) if isinstance(self, float) else int.__float__(self)


def _key(self: Any) -> int:
    frame = sys._getframe(1)
    if _listens(frame):
        _asks("a size is a key", frame)
    return hash(_bare(self))


_EXACT = ("add", "sub", "mul", "truediv", "pow", "radd", "rsub", "rmul", "rtruediv", "rpow", "neg", "pos", "abs")
_ROUGH = ("floordiv", "mod", "rfloordiv", "rmod", "round", "trunc", "floor", "ceil")
_BITS = ("and", "or", "xor", "lshift", "rshift", "rand", "ror", "rxor", "rlshift", "rrshift", "invert")
for _kind in (_Size, _Ratio):
    for _name in (*_EXACT, *_ROUGH, *(_BITS if _kind is _Size else ())):
        setattr(_kind, f"__{_name}__", _computing(f"__{_name}__", _name not in _EXACT))
    for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(_kind, f"__{_name}__", _comparing(_name))
    for _name, _method in (("bool", _truth), ("hash", _key), ("float", _leaving)):
        setattr(_kind, f"__{_name}__", _method)


# Tensors ------------------------------------------------------------------------------------------------------

_VALUES = (
    "data",
    "numpy",
    "item",
    "tolist",
    "__array__",
    "__bool__",
    "__float__",
    "__int__",
    "__index__",
    "__contains__",
    "__format__",
)
_FACTS = {"requires_grad": "whether it requires a gradient", "name": "how it is called", "__len__": "its length"}


def _reading(name: str, plain: Any) -> Any:
    """An attribute of tensors that says, asked from outside, that it was asked."""
    what = _FACTS.get(name, "the values that it computes from")

    def ask(self: Tensor, frame: FrameType) -> None:
        if _listens(frame) and (name in _FACTS or _heard[-1].follows(self)):
            _asks(what, frame)

    if isinstance(plain, property):

        def read(self: Tensor) -> Any:
            ask(self, sys._getframe(1))
            return plain.fget(self)  # type: ignore[misc]

        return property(read, plain.fset, plain.fdel)

    def method(self: Tensor, *args: Any, **options: Any) -> Any:
        ask(self, sys._getframe(1))
        return plain(self, *args, **options)

    return method


def _shape(plain: Any) -> Any:
    def shape(self: Tensor) -> tuple[int, ...]:
        sizes = plain.fget(self)
        return tuple(map(_size, sizes)) if _listens(sys._getframe(1), passing=True) else sizes

    return property(shape)


def _count(plain: Any) -> Any:
    def size(self: Tensor) -> Any:
        return _size(plain.fget(self)) if _listens(sys._getframe(1), passing=True) else plain.fget(self)

    return property(size)


def _numel(plain: Any) -> Any:
    def numel(self: Tensor) -> Any:
        return _size(plain(self)) if _listens(sys._getframe(1), passing=True) else plain(self)

    return numel


def _applying(plain: Any) -> Any:
    """Ops take plain numbers; of a rough one it is noted that it stands in the formula."""

    def apply_op(self: Tensor, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
        if not _heard or threading.get_ident() != _heard[-1].owner:
            return plain(self, op, inputs, params)  # type: ignore[no-any-return]
        if any(getattr(x, "rough", False) for x in (*inputs, *params.values())):
            _asks(_ROUGHLY, sys._getframe(1))
        out: Tensor = plain(self, op, tuple(map(_bare, inputs)), {k: _bare(v) for k, v in params.items()})
        if out.op is None and any(isinstance(x, Tensor) and _heard[-1].follows(x) for x in inputs):
            _heard[-1].made[id(out)] = out
        return out

    return apply_op


def _detaching(plain: Any) -> Any:
    def detach(self: Tensor) -> Tensor:
        out: Tensor = plain(self)
        if _heard and _heard[-1].follows(self):
            _heard[-1].made[id(out)] = out
        return out

    return detach


@contextmanager
def hearing() -> Iterator[list[str]]:
    """What the functions that run inside ask of tensors: sentences, each once."""
    names = ("shape", "size", "numel", "apply_op", "detach", *_VALUES, *_FACTS)
    plain = {n: Tensor.__dict__.get(n, getattr(Tensor, n)) for n in names}
    own = {n: n in Tensor.__dict__ for n in names}
    special = {"shape": _shape, "size": _count, "numel": _numel, "apply_op": _applying, "detach": _detaching}
    for n, what in plain.items():
        setattr(Tensor, n, special[n](what) if n in special else _reading(n, what))
    heard = Heard()
    _heard.append(heard)
    try:
        yield heard.said
    finally:
        _heard.remove(heard)
        for n, what in plain.items():
            setattr(Tensor, n, what) if own[n] else delattr(Tensor, n)
