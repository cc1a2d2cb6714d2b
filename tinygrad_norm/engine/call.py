"""One call of a user's function, recorded on leaves of its own: what every derivative of a function begins with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import primitives as op
from .errors import DTypeError, GradientError, ShapeError, describe
from .shapes import flag
from .state import state
from .tensor import Tensor, tensor
from .walk import grad, history

Function = Callable[..., Any]


@dataclass(frozen=True)
class Call:
    """``f(*leaves)``, recorded on leaves of its own.

    several:  whether f returned a tuple
    outer:    whether a derivative may be recorded; None: where something outside requires a gradient
    linked:   whether something outside does
    """

    name: str
    leaves: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    several: bool
    outer: bool | None
    linked: bool

    @classmethod
    def of(cls, name: str, f: Function, args: Sequence[Any], create_graph: bool | None) -> Call:
        function_of(name, f)
        create_graph = None if create_graph is None else flag(name, "create_graph", create_graph)
        if not args:
            raise GradientError(f"{name}: no argument to differentiate by; give at least one.")
        outer = create_graph if state.recording else False
        with recording():
            leaves = tuple(_leaf(name, i, x, outer) for i, x in enumerate(args))
            result = f(*leaves)
        several = isinstance(result, (tuple, list))
        outputs = tuple(result) if several else (result,)
        if not outputs:
            raise GradientError(f"{name}: the function returned an empty {type(result).__name__}; it must return tensors.")
        for y in outputs:
            if not isinstance(y, Tensor):
                raise GradientError(
                    f"{name}: the function returned {describe(y)}{' in a tuple' if several else ''}; it must return a tensor, or a "
                    "tuple of tensors. Does it leave the record with .data, .item() or float()?"
                )
            if y.dtype.kind != "f":
                raise DTypeError(f"{name}: the function's output {describe(y)} is not floating point, so it has no derivative.")
        own = set(leaves)
        linked = outer is not False and any(t.is_leaf and t.requires_grad and t not in own for t in history(*outputs))
        return cls(name, leaves, outputs, several, outer, linked)

    def records(self, *seeds: Any) -> bool:
        """Whether a derivative is to be recorded."""
        if self.outer is not None:
            return self.outer
        return state.recording and (self.linked or any(isinstance(s, Tensor) and s.requires_grad for s in seeds))

    @property
    def output(self) -> Any:
        """What f returned; without the record of its private leaves where nobody outside can ask for it."""
        ys = self.outputs if self.outer or (self.outer is None and self.linked) else tuple(y.detach() for y in self.outputs)
        return ys if self.several else ys[0]

    def scalar(self) -> Tensor:
        if self.several or self.outputs[0].size != 1:
            got = f"{len(self.outputs)} tensors" if self.several else describe(self.outputs[0])
            raise GradientError(
                f"{self.name}: the function returned {got}; second derivatives are those of one number. "
                "Return a tensor of one element, for instance (dy * y).sum()."
            )
        return self.outputs[0]

    def seeds(self, word: str, values: Any, like: Sequence[Tensor], several: bool) -> list[Any]:
        """Cotangents or tangents, one for each of ``like``, checked."""
        given = list(values) if several and isinstance(values, (tuple, list)) else [values]
        if len(given) != len(like):
            raise GradientError(
                f"{self.name}: {len(given)} {word}{'s' * (len(given) != 1)} for {len(like)} "
                f"{'output' if like is self.outputs else 'argument'}{'s' * (len(like) != 1)}; give one for each, in a tuple."
            )
        return [self._seed(word, v, x) for v, x in zip(given, like)]

    def _seed(self, word: str, value: Any, x: Tensor) -> Any:
        try:
            seed = value if isinstance(value, Tensor) else tensor(value)._data
        except DTypeError:  # not numbers at all
            raise DTypeError(f"{self.name}: {word} {describe(value)} for {describe(x)}; give numbers of its shape.") from None
        data = seed._data if isinstance(seed, Tensor) else seed
        if data.shape != x.shape:
            raise ShapeError(f"{self.name}: {word} {describe(seed)} for {describe(x)}; the shapes must be equal.")
        if data.dtype == x.dtype:
            return seed
        if data.dtype.kind in "iu" or isinstance(value, float):  # integers and Python's numbers mean the same in any dtype
            return data.astype(x.dtype)
        raise DTypeError(
            f"{self.name}: {word} of dtype {data.dtype} for {describe(x)}; the dtypes must be equal. Cast it: .astype('{x.dtype}')."
        )

    def pull_back(self, seeds: Sequence[Any]) -> tuple[Tensor, ...]:
        return pulled_back(self.outputs, self.leaves, seeds, self.records(*seeds))


def _leaf(name: str, position: int, value: Any, outer: bool | None) -> Tensor:
    """The argument as a tensor that nobody else holds: a view where the caller's record is to go on, else a leaf."""
    try:
        x = value if isinstance(value, Tensor) else tensor(value)
    except DTypeError:  # not numbers at all
        x = None
    if x is None or x.dtype.kind != "f":
        raise DTypeError(
            f"{name}: argument {position}, {describe(value if x is None else x)}, is not floating point, so nothing can be "
            "differentiated by it. Cast it, or bind it: lambda x: f(x, n)."
        )
    if x.requires_grad and outer is not False:
        view: Tensor = op.reshape(x, shape=x.shape)
        return view if x.name is None else view.named(x.name)
    return Tensor(x._data, requires_grad=True, name=x.name)


def pulled_back(ys: Sequence[Tensor], xs: Sequence[Tensor], seeds: Sequence[Any] | None, record: bool) -> tuple[Tensor, ...]:
    """``grad``, with zeros where nothing flows."""
    found = grad(ys, xs, seeds, create_graph=record, allow_unused=True)
    return tuple(Tensor(np.zeros(x.shape, x.dtype)) if g is None else g for g, x in zip(found, xs))


def function_of(name: str, f: Any) -> None:
    if not callable(f):
        raise DTypeError(
            f"{name}: f={describe(f)} cannot be called; give a function of tensors, such as lambda x: (x * x).sum()."
        )


def bind(f: Function, args: Sequence[Any], chosen: Sequence[int]) -> Function:
    """f as a function of the chosen arguments alone."""

    def bound(*xs: Any) -> Any:
        full = list(args)
        for i, x in zip(chosen, xs):
            full[i] = x
        return f(*full)

    return bound


@contextmanager
def recording() -> Iterator[None]:
    """A derivative needs the record, also where the user keeps none."""
    before, state.recording = state.recording, True
    try:
        yield
    finally:
        state.recording = before
