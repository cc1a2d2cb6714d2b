"""Somebody's NumPy code, recorded while it runs: every call, in order, with the place in the source that made it.

The arrays are NumPy's own, of a subclass, so that code which writes in place, indexes or loops is recorded as well. What leaves
the record (``float(a)``, ``np.asarray(a)``) becomes a constant on it, and shows as soon as it is replayed on other numbers.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np

from ..engine.arrays import Array

Operands = tuple[tuple[Any, ...], dict[str, Any]]
Place = tuple[tuple[CodeType, int], ...]
"""Where a call was made: code and instruction, the innermost first, then who called that."""

MOST = 20_000  # calls; what makes more is not recorded
_OURS, _NUMPY = str(Path(__file__).parent), str(Path(np.__file__).parent)
_CHANGING = frozenset({np.put, np.place, np.fill_diagonal, np.put_along_axis, np.copyto, np.putmask})
_METHODS = (
    "all",
    "any",
    "argmax",
    "argmin",
    "astype",
    "choose",
    "clip",
    "compress",
    "conj",
    "conjugate",
    "copy",
    "cumprod",
    "cumsum",
    "diagonal",
    "dot",
    "flatten",
    "max",
    "mean",
    "min",
    "nonzero",
    "prod",
    "ravel",
    "repeat",
    "reshape",
    "round",
    "searchsorted",
    "squeeze",
    "std",
    "sum",
    "swapaxes",
    "take",
    "trace",
    "transpose",
    "var",
    "view",
)


@dataclass(eq=False)
class Step:
    """One call: ``function(*args, **kwargs)``, in which steps stand for what they gave. A leaf has no function but a name.

    value:  what it gave
    index:  its place on the record
    over:   what it was written over
    """

    function: Callable[..., Any] | None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    place: Place = ()
    value: Any = None
    name: str = ""
    index: int = -1
    over: Step | None = None

    def operands(self) -> Iterator[Step]:
        yield from _steps_in(self.args)
        yield from _steps_in(tuple(self.kwargs.values()))

    def arguments(self, values: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """What it is called with, given what each step on the record is."""
        args = [
            values[a.index] if type(a) is Step else _mapped(a, lambda s: values[s.index]) if type(a) in _NESTED else a
            for a in self.args
        ]
        return args, {n: _mapped(a, lambda s: values[s.index]) for n, a in self.kwargs.items()} if self.kwargs else {}

    def again(self, values: Sequence[Any]) -> Any:
        assert self.function is not None
        args, kwargs = self.arguments(values)
        return self.function(*args, **kwargs)


class Log:
    """What is recorded: leaves first given, then calls."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def leaf(self, array: Array, name: str) -> Any:
        return self._held(np.array(array), Step(None, name=name))

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Make the call, on bare arrays, and remember it."""
        found = function(*_mapped(args, operator.attrgetter("bare")), **_mapped(dict(kwargs), operator.attrgetter("bare")))
        return self._noted(found, Step(function, self.operands(args), self.operands(dict(kwargs)), _place()))

    def onto(self, target: Any, function: Callable[..., Any], operands: Operands, made: Any) -> Any:
        """The same where ``made`` was written into ``target``, which is that from now on."""
        step = self._put_down(Step(function, *operands, _place()), made)
        if isinstance(target, Recorded):
            step.over, bare = target.step, target.bare
            if step.value.shape != bare.shape or step.value.dtype != bare.dtype:
                step = self._put_down(Step(_as_written, (step, bare.shape, bare.dtype), {}, step.place, over=target.step), bare)
            target.step = step
        return target

    def _noted(self, found: Any, step: Step) -> Any:
        if isinstance(found, (tuple, list)) and any(isinstance(v, np.ndarray) for v in found):
            self._put_down(step, found)
            items = [self._noted(v, Step(operator.getitem, (step, k), {}, step.place)) for k, v in enumerate(found)]
            return type(found)(items) if type(found) in (tuple, list) else items
        if not isinstance(found, (np.ndarray, np.generic)) or found.dtype.kind not in "fiubc":
            return found
        return self._held(np.asarray(found), step)

    def _held(self, array: Array, step: Step) -> Any:
        if len(self.steps) >= MOST:
            return array
        self._put_down(step, array)
        made = array.view(Recorded)
        made.step, made.log = step, self
        return made

    def _put_down(self, step: Step, value: Any) -> Step:
        step.value = np.array(value) if isinstance(value, (np.ndarray, np.generic)) else value
        step.index = len(self.steps)
        self.steps.append(step)
        return step

    def operands(self, value: Any) -> Any:
        """With steps for what is recorded, and copies of other arrays, which may be written to later."""

        def operand(a: Any) -> Any:
            return a.step if a.step is not None else np.array(a.bare)

        return _mapped(value, operand, np.array)


class Recorded(np.ndarray[Any, Any]):
    """An array that is on a record."""

    step: Step | None
    log: Log | None

    def __array_finalize__(self, other: Any) -> None:
        self.step, self.log = None, getattr(other, "log", None)

    @property
    def bare(self) -> Array:
        return np.ndarray.view(self, np.ndarray)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        log = _log_of((inputs, out, tuple(kwargs.values())))
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        if method == "at":
            return _changing(log, function, inputs, kwargs)
        if out is None:
            return log.call(function, inputs, kwargs)
        bare = [_mapped(v, operator.attrgetter("bare")) for v in (inputs, out, kwargs)]
        operands = log.operands(inputs), log.operands(kwargs)  # as they are before it is written
        function(*bare[0], out=bare[1], **bare[2])
        if len(out) != 1:
            return out
        return log.onto(out[0], function, operands, np.array(bare[1][0]))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        log = _log_of((args, tuple(kwargs.values())))
        if func in _CHANGING:
            return _changing(log, func, args, kwargs)
        if "out" in kwargs and kwargs["out"] is not None:
            target, rest = kwargs["out"], {n: v for n, v in kwargs.items() if n != "out"}
            operands = log.operands(args), log.operands(rest)
            made = func(*_mapped(args, operator.attrgetter("bare")), **_mapped(kwargs, operator.attrgetter("bare")))
            return log.onto(target, func, operands, np.array(made))
        if func is np.empty_like:
            func = np.zeros_like
        return log.call(func, args, kwargs)

    def __getitem__(self, index: Any) -> Any:
        return _log_of((self, index)).call(operator.getitem, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        _changing(_log_of((self, index, value)), operator.setitem, (self, index, value), {})

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))

    def fill(self, value: Any) -> None:
        self[...] = value

    @property
    def T(self) -> Any:
        return self.transpose()

    @property  # type: ignore[misc]
    def real(self) -> Any:
        return _log_of((self,)).call(np.real, (self,), {})

    @property  # type: ignore[misc]
    def imag(self) -> Any:
        return _log_of((self,)).call(np.imag, (self,), {})

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()


def _method(name: str) -> Callable[..., Any]:
    plain = getattr(np.ndarray, name)

    def method(self: Recorded, *args: Any, **kwargs: Any) -> Any:
        if self.log is None or kwargs.get("out") is not None or (name == "view" and args and args[0] is np.ndarray):
            return plain(self, *args, **kwargs)
        return self.log.call(plain, (self, *args), kwargs)

    return method


for _name in _METHODS:
    setattr(Recorded, _name, _method(_name))


def _changing(log: Log, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """A function that writes into its first argument."""
    operands = log.operands(args), log.operands(dict(kwargs))
    bare = _mapped(args, operator.attrgetter("bare"))
    function(*bare, **_mapped(dict(kwargs), operator.attrgetter("bare")))
    if isinstance(args[0], Recorded):
        log.onto(args[0], _written(function), operands, np.array(bare[0]))


@dataclass(frozen=True)
class _written:
    """What a function makes of a copy of its first argument."""

    function: Callable[..., Any]

    def __call__(self, target: Any, *args: Any, **kwargs: Any) -> Any:
        copy = np.array(target)
        self.function(copy, *args, **kwargs)
        return copy


def _as_written(value: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    return np.array(np.broadcast_to(value, shape)).astype(dtype)


def _log_of(values: Any) -> Log:
    return next(a.log for a in _recorded_in(values) if a.log is not None)


def _recorded_in(value: Any) -> Iterator[Recorded]:
    if isinstance(value, Recorded):
        yield value
    elif isinstance(value, (tuple, list)):
        for v in value:
            yield from _recorded_in(v)
    elif isinstance(value, Mapping):
        yield from _recorded_in(tuple(value.values()))
    elif isinstance(value, slice):
        yield from _recorded_in((value.start, value.stop, value.step))


_NESTED = (tuple, list, dict, slice)


def _mapped(value: Any, change: Callable[[Any], Any], other: Callable[[Any], Any] | None = None) -> Any:
    """The same with each recorded array, or step, changed; other arrays by ``other``."""
    if isinstance(value, (Recorded, Step)):
        return change(value) if not (type(value) is Step and other is not None) else value
    if isinstance(value, np.ndarray):
        return value if other is None else other(value)
    if type(value) in (tuple, list):
        return type(value)([_mapped(v, change, other) for v in value])
    if type(value) is dict:
        return {n: _mapped(v, change, other) for n, v in value.items()}
    if type(value) is slice:
        return slice(*(_mapped(v, change, other) for v in (value.start, value.stop, value.step)))
    return value


def _steps_in(value: Any) -> Iterator[Step]:
    if type(value) is Step:
        yield value
    elif type(value) in (tuple, list):
        for v in value:
            yield from _steps_in(v)
    elif type(value) is dict:
        yield from _steps_in(tuple(value.values()))
    elif type(value) is slice:
        yield from _steps_in((value.start, value.stop, value.step))


# Where ----------------------------------------------------------------------------------------------------------------


def _place() -> Place:
    found: list[tuple[CodeType, int]] = []
    frame: Any = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_OURS):
            if found:
                break
        elif not name.startswith(_NUMPY):
            found.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return tuple(found)
