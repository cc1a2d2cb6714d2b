"""What Python asks while a function runs: answers on which it may branch, and of which the record keeps nothing.

``if x.shape[-1] % 4``, ``if x.data.max() > 50``, a cache by shape: such a function is as many functions as there are answers, and
no number of runs finds them all. So while one runs, whatever but a tensor reaches its own lines is noted with the line that asked:
what this package answers to them (values, a dtype, a name, an error that is caught), and what becomes of sizes (``following``).
What this package asks inside of a function of its own is part of what that function is.

Not seen is what does not come from its tensors: the clock, chance, how often it was called, what another thread reads. A function
that asks these has no gradient to prove anything of.
"""

from __future__ import annotations

import builtins
import contextlib
import dis
import inspect
import linecache
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import CodeType, FrameType, ModuleType
from typing import Any

import numpy as np

from ..engine import Op, Tensor, tensor
from .assumption import asked
from .following import ROUGHLY, Number, Tree, bare, size, told_by
from .habits import IN_NUMPY, Modules, modules, root
from .makings import Making
from .watching import asked_of


def _folder(module: Any) -> str:
    return os.path.dirname(os.path.abspath(module.__file__ or "")) + os.sep


_OWN = _folder(sys.modules[__package__.rpartition(".")[0]])
"""Whose lines are nobody's function."""
_PASSING = (_folder(np), os.path.abspath(contextlib.__file__), root.__code__.co_filename)
"""Who asks for whoever calls."""
_asking_for: set[CodeType] = set()
_heard: list[Heard] = []


def asks_for_its_caller(function: Callable[..., Any]) -> Callable[..., Any]:
    """The size that this function asks for is for whoever calls it."""
    _asking_for.add(function.__code__)
    return function


class Heard:
    """What was asked while a function ran.

    said:   sentences, each once
    trees:  of the numbers on the record, by tensor and place: by which formula of sizes each was computed
    makings: of the constants that this package made of the inputs: by which function, of what
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.trees: dict[Tensor, dict[int | str, Tree]] = {}
        self.makings: dict[Tensor, Making] = {}
        self.thread = threading.get_ident()
        self.first = tensor(0.0).birth
        self.plain = False  # sizes are plain numbers

    def follows(self, t: Tensor) -> bool:
        """Whether a tensor may be another one when the inputs are: not one that was there before."""
        return t._requires_grad or t.birth > self.first


def _asker(frame: FrameType | None, passing: bool = False) -> FrameType | None:
    """Who asks: this frame, or who is asked for."""
    while frame is not None and (frame.f_code.co_filename.startswith(_PASSING) or (passing and frame.f_code in _asking_for)):
        frame = frame.f_back
    return frame


def _listens(frame: FrameType, passing: bool = False) -> bool:
    """Whether a line of the function itself is asking, and somebody listens."""
    if not _heard or threading.get_ident() != _heard[-1].thread:
        return False
    asker = _asker(frame, passing)
    return asker is not None and not asker.f_code.co_filename.startswith(_OWN)


def _line(frame: FrameType | None) -> str:
    """The first line from here upwards that is not this package's."""
    while frame is not None and frame.f_code.co_filename.startswith((_OWN, *_PASSING)):
        frame = frame.f_back
    if frame is None:
        return ""
    path, number = frame.f_code.co_filename, frame.f_lineno
    linecache.checkcache(path)
    return f" ({os.path.basename(path)}:{number}: {linecache.getline(path, number).strip()[:100]})"


def _ask(what: str, frame: FrameType, always: bool = False) -> None:
    if always or _listens(frame):
        text = asked(what, _line(frame))
        if _heard and text not in _heard[-1].said:
            _heard[-1].said.append(text)


# What the package answers -------------------------------------------------------------------------------------

_VALUES = ("data", "numpy", "item", "tolist", "__array__", "__bool__", "__float__", "__int__", "__index__", "__contains__")
_WORDS = {
    **dict.fromkeys(_VALUES, "the values that it computes from"),
    "requires_grad": "whether it requires a gradient",
    "name": "how it is called",
    "dtype": "its dtype",
    "__len__": "its length",
}
_AS_MANY = ("split", "chunk", "unbind")  # as many tensors as sizes say
_NOTHING = ("ndim", "dim", "__init__", "__hash__")  # tell nothing that is not known
_LISTENERS = tuple(f.__code__.co_filename for f in (asks_for_its_caller, size, asked_of, root))
_INIT = Tensor.__init__.__code__
_OP = inspect.getattr_static(Tensor, "op")
_RETURNS = tuple(n for n, name in enumerate(dis.opname) if name.startswith(("RETURN", "YIELD")))


def _hears(previous: Any, home: Modules) -> Callable[[FrameType, str, Any], None]:
    """What listens to each return of a function of this package to a line that is not its."""

    def hear(frame: FrameType, event: str, answer: Any) -> None:
        if previous is not None:
            previous(frame, event, answer)
        path = frame.f_code.co_filename
        if event == "call" and not path.startswith((_OWN, *_PASSING)):
            home.enter(frame)
        if event != "return" or not path.startswith(_OWN) or path in _LISTENERS:
            return
        if type(answer) is Tensor and _OP.__get__(answer) is None and _heard and threading.get_ident() == _heard[-1].thread:
            _made(answer, frame)
        elif frame.f_code is _INIT and frame.f_back is not None and frame.f_back.f_code.co_filename.startswith(_OWN):
            _made(frame.f_locals["self"], frame.f_back)
        if frame.f_back is None or not _listens(frame.f_back):
            return
        code = frame.f_code
        if code.co_code[frame.f_lasti] not in _RETURNS:
            _ask(f"whether {code.co_name} is an error", frame.f_back)
        elif not _is_silent(answer, frame):
            _ask(_WORDS.get(code.co_name, f"what {code.co_name} answers"), frame.f_back)

    return hear


def _made(constant: Tensor, frame: FrameType) -> None:
    """Remember of what a constant was made, where a tensor was among it."""
    given = _arguments(frame)
    if given and type(given[0]) is Number:
        _heard[-1].trees.setdefault(constant, {"value": given[0].tree})
    new = constant.birth > _heard[-1].first and constant not in _heard[-1].makings
    if new and any(map(_has_tensors, given)) and not any(x is constant for x in given):
        _heard[-1].makings[constant] = frame.f_code.co_name, given


def _arguments(frame: FrameType) -> tuple[Any, ...]:
    """But for ``backward=``, which says by which rule one goes back, and never a value."""
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
    return tuple(frame.f_locals.get(n) for n in code.co_varnames[:count] if n != "backward")


def _has_tensors(given: Any) -> bool:
    if isinstance(given, Tensor):
        return _heard[-1].follows(given)
    return isinstance(given, (tuple, list)) and any(map(_has_tensors, given))


def _is_silent(answer: Any, frame: FrameType) -> bool:
    """Whether an answer tells nothing but what is on the record: tensors, what computes them, and sizes that are followed."""
    code = frame.f_code
    if code.co_name in _NOTHING:
        return True
    if code.co_flags & inspect.CO_GENERATOR:
        return answer is None or hasattr(type(answer), "__enter__")
    if answer is None or answer is NotImplemented or isinstance(answer, (Tensor, ModuleType)) or type(answer) is Number:
        return True
    if isinstance(answer, (tuple, list)) and code.co_name not in _AS_MANY:
        return all(x is None or isinstance(x, Tensor) or type(x) is Number for x in answer)
    if not isinstance(answer, (np.ndarray, np.generic)) and (
        callable(answer) or hasattr(type(answer), "__enter__") or hasattr(type(answer), "__array_ufunc__")
    ):
        return True
    return not any(map(_tells, _arguments(frame)))


def _tells(given: Any) -> bool:
    """Whether something of the inputs is in what a function was given."""
    if isinstance(given, Tensor):
        return _heard[-1].follows(given)
    if isinstance(given, (tuple, list, set)):
        return any(map(_tells, given))
    if isinstance(given, dict):
        return any(map(_tells, given.values()))
    return type(given) is Number or hasattr(given, "__dict__") or hasattr(type(given), "__slots__")


# Tensors ------------------------------------------------------------------------------------------------------


_size: Callable[[int], Any] = size


def _shape(plain: Any) -> Any:
    def shape(self: Tensor) -> tuple[int, ...]:
        sizes = plain.fget(self)
        return tuple(map(_size, sizes)) if _follows(sys._getframe(1)) else sizes

    return property(shape)


def _count(plain: Any) -> Any:
    def count(self: Tensor) -> Any:
        return _size(plain.fget(self)) if _follows(sys._getframe(1)) else plain.fget(self)

    return property(count)


def _numel(plain: Any) -> Any:
    def numel(self: Tensor) -> Any:
        return _size(plain(self)) if _follows(sys._getframe(1)) else plain(self)

    return numel


def _follows(frame: FrameType) -> bool:
    if not _listens(frame, passing=True):
        return False
    if _heard[-1].plain:
        _ask("its sizes, which could not be followed", frame)
    return not _heard[-1].plain


def _slot(plain: Any) -> Any:
    """What a node is made of; from outside it is a question."""

    def read(self: Tensor) -> Any:
        if _listens(sys._getframe(1)) and _heard[-1].follows(self):
            _ask("how it was recorded", sys._getframe(1))
        return plain.__get__(self)

    return property(read, plain.__set__, plain.__delete__)


def _applying(plain: Any) -> Any:
    """Ops take plain numbers; how each was computed is kept."""

    def apply_op(self: Tensor, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> Tensor:
        if not _heard or threading.get_ident() != _heard[-1].thread:
            return plain(self, op, inputs, params)  # type: ignore[no-any-return]
        places: list[tuple[int | str, Any]] = [*enumerate(inputs), *params.items()]
        numbers = {place: x for place, x in places if type(x) is Number}
        if any(x.rough for x in numbers.values()):
            _ask(ROUGHLY, sys._getframe(1), always=True)
        out: Tensor = plain(self, op, tuple(map(bare, inputs)), {k: bare(v) for k, v in params.items()})
        if numbers:
            _heard[-1].trees[out] = {place: x.tree for place, x in numbers.items()}
        return out

    return apply_op


_SLOTS = ("op", "inputs", "params", "birth", "scope", "written", "_data", "_name", "_requires_grad", "_grad")


@contextmanager
def _changed(of: Any, changes: Mapping[str, Any]) -> Iterator[None]:
    """Attributes of a class or a module are others inside."""
    missing = object()
    before = {n: vars(of).get(n, missing) for n in changes}
    for n, what in changes.items():
        setattr(of, n, what)
    try:
        yield
    finally:
        for n, plain in before.items():
            setattr(of, n, plain) if plain is not missing else delattr(of, n)


@contextmanager
def hearing() -> Iterator[Heard]:
    """What the functions that run inside ask."""
    heard = Heard()
    special = {"shape": _shape, "size": _count, "numel": _numel, "apply_op": _applying}
    changes = {n: make(inspect.getattr_static(Tensor, n)) for n, make in special.items()}
    changes |= {n: _slot(inspect.getattr_static(Tensor, n)) for n in _SLOTS}
    length = len  # of a tensor it is a size

    def length_of(x: Any) -> Any:
        return _size(length(x)) if type(x) is Tensor and _follows(sys._getframe(1)) else length(x)

    previous = sys.getprofile()
    _heard.append(heard)
    told_by(_ask)
    silent = previous is not None and not callable(previous)  # a profiler in C, which cannot be put back
    if silent:
        heard.said.append(asked("whatever it asks, which is not heard while a profiler runs", ""))
    with (
        _changed(Tensor, changes), _changed(math, {"sqrt": root}), _changed(np, IN_NUMPY), _changed(builtins, {"len": length_of}),
        modules() as home,
    ):  # fmt: skip
        if not silent:
            sys.setprofile(_hears(previous, home))
        try:
            yield heard
        finally:
            if not silent:
                sys.setprofile(previous)
            told_by(None)
            _heard.remove(heard)


def listen(run: Callable[[], Any]) -> tuple[Any, Heard]:
    """What a call answers, and what was asked. Where its sizes cannot be followed (in C they may be asked for their type), it
    is run with plain ones, and that is said."""
    with hearing() as heard, contextlib.suppress(Exception):
        return run(), heard
    with hearing() as heard:
        heard.plain = True
        return run(), heard
