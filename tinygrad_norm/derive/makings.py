"""Constants that a function makes of its inputs by what keeps no record: an argmax, a cast to whole numbers, ``(x > 0).any()``.

As data they are not the same because they are on a few records: they are where they were made in the same way of the same. Data is
what a line of the function's own hands in, and what has no more of a tensor than its shape; whatever else this package makes, or
writes into a tensor, while a tensor of the inputs is among what its calls were given, is made of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import numpy as np

from ..engine import Op, Tensor
from .following import Number
from .frames import arguments, own_calls, parts

Making = tuple[str, tuple[Any, ...]]
"""A function's name, and what it was given."""

_BY_SHAPE = ("zeros_like", "ones_like", "full_like", "_seed")
"""What takes the first tensor for its shape and dtype."""


class Entering:
    """How the constants came that are made while a function runs.

    makings:  of those that were made of the inputs: by which function, of what
    follows:  whether a tensor may be another one when the inputs are
    """

    def __init__(self, follows: Callable[[Tensor], bool]) -> None:
        self.makings: dict[Tensor, Making] = {}
        self._data: set[Tensor] = set()
        self._follows = follows

    def returned(self, constant: Tensor, frame: FrameType) -> None:
        """By a call of this package, to whoever asked."""
        given = arguments(frame)
        if not any(x is constant for x in parts(given)):
            self._made(constant, frame, given)

    def born(self, constant: Tensor, frame: FrameType | None) -> None:
        """Made, where the nearest call that was given anything was given a tensor: by the outermost, of what that was given. Data,
        where it was what was handed in."""
        if not self._is_new(constant):
            return
        calls = list(own_calls(frame))
        handed = {id(x) for x in arguments(calls[-1]) if isinstance(x, (np.ndarray, list, tuple, float))} if calls else set()
        handed |= {id(x) for x in parts(arguments(calls[-1])) if isinstance(x, np.ndarray)} if calls else set()
        for call in calls:
            given = arguments(call)
            if self._made(constant, call, given, calls[-1]):
                return
            if any(id(x) in handed for x in given):
                self._data.add(constant)
                return

    def written(self, leaf: Tensor, before: Any, frame: FrameType | None) -> None:
        """New data for it: of what it was before, and of what the call was given."""
        for call in own_calls(frame):
            given = tuple(x for x in arguments(call) if x is not leaf)
            if self.has_tensors(given):
                old = self.makings.pop(leaf, None)
                self._data.discard(leaf)
                again = _Data(np.array(before)) if old is None else object()  # written twice, it is like no other
                self.makings[leaf] = call.f_code.co_name, (*given, again)
                return

    def _made(self, constant: Tensor, frame: FrameType, given: tuple[Any, ...], by: FrameType | None = None) -> bool:
        """Whether that is settled: it is data, or is made by this call, on behalf of another."""
        if not self._is_new(constant):
            return True
        name = frame.f_code.co_name
        if not self.has_tensors(given):
            return False
        models = [k for k, x in enumerate(given) if isinstance(x, Tensor)]
        if name in _BY_SHAPE and models and not self.has_tensors(given[: models[0]] + given[models[0] + 1 :]):
            self._data.add(constant)
            return True
        if by is not None:
            name, given = by.f_code.co_name, arguments(by)
        before = sum(n == name and _are_the_same(g[:-1], given) for n, g in self.makings.values())
        self.makings[constant] = name, (*given, before)
        return True

    def _is_new(self, constant: Tensor) -> bool:
        return self._follows(constant) and constant not in self.makings and constant not in self._data

    def has_tensors(self, given: Any) -> bool:
        """Whether something of the inputs is among it."""
        return any(self._follows(x) if isinstance(x, Tensor) else _holds(x, self._follows) for x in parts(given))


def _holds(x: Any, follows: Callable[[Tensor], bool]) -> bool:
    """An object of this package that holds tensors, such as the call of a function that is differentiated."""
    if not type(x).__module__.startswith(_PACKAGE) or not hasattr(x, "__dict__"):
        return False
    return any(isinstance(t, Tensor) and follows(t) for t in parts(dict(vars(x))))


_PACKAGE = __package__.rpartition(".")[0] + "."


def _are_the_same(some: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    return len(some) == len(others) and all(a is b for a, b in zip(some, others))


class Makings:
    """How a tensor was made, as a number that is the same for two that were made in one way.

    known:  (op, operands, options) of tensors that are not on a record
    made:   the makings of constants
    """

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._held: list[Any] = []  # what is told by its address stays at it

    def of(
        self,
        t: Tensor,
        leaves: Mapping[Tensor, Any],
        made: Mapping[Tensor, Making],
        known: Mapping[Tensor, tuple[Op, tuple[Any, ...], dict[str, Any]]],
    ) -> int:
        """leaves: what each input stands for"""
        seen: dict[Tensor, int] = {}
        waiting, opened = [t], set()
        while waiting:
            at = waiting[-1]
            opened.add(at)
            found = _parts(at, leaves, made, known)
            missing = [x for x in _tensors(found) if x not in seen and x not in opened]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            key = self._key(found, seen)
            seen[at] = self._numbers.setdefault(key, len(self._numbers))
        return seen[t]

    def _key(self, x: Any, seen: Mapping[Tensor, int]) -> Any:
        if isinstance(x, Tensor):
            return ("tensor", seen.get(x))  # None: itself, before it was written to
        if isinstance(x, (tuple, list)):
            return tuple(self._key(y, seen) for y in x)
        if isinstance(x, dict):
            return tuple((str(k), self._key(y, seen)) for k, y in x.items())
        if type(x) is _Data:
            return (str(x.values.dtype), x.values.shape, x.values.tobytes())
        if type(x) is Number:
            return ("size", str(x.tree))
        if type(x) is slice:
            return ("slice", *(self._key(y, seen) for y in (x.start, x.stop, x.step)))
        if isinstance(x, (type, np.dtype)) or x is None or x is Ellipsis or type(x) in (int, float, bool, str):
            return (type(x).__name__, repr(x))
        self._held.append(x)  # an op, a function, an index: the same only as itself
        return ("object", id(x))


class _Data:
    def __init__(self, values: Any) -> None:
        self.values = values


def _parts(t: Tensor, leaves: Mapping[Tensor, Any], made: Mapping[Tensor, Making], known: Mapping[Tensor, Any]) -> Any:
    if t in leaves:
        return ("input", str(leaves[t]))
    if t.op is not None or t in known:
        op, inputs, params = known.get(t, (t.op, t.inputs, t.params))
        return (op, *inputs, *sorted(params.items()))
    if t in made:
        name, given = made[t]
        return ("made", name, *_earlier(given, t))
    return ("data", _Data(t.data))


def _earlier(given: Any, t: Tensor) -> Any:
    """Without the tensor itself."""
    if isinstance(given, (tuple, list)):
        return tuple(_earlier(x, t) for x in given if x is not t)
    return {k: _earlier(x, t) for k, x in given.items() if x is not t} if isinstance(given, dict) else given


def _tensors(found: Any) -> list[Tensor]:
    return [x for x in parts(found) if isinstance(x, Tensor)]
