"""Derivatives of functions: products with the Jacobian from either side, whole Jacobians, Hessians.

Everything here is the one backward pass, run once, several times, or through its own record. Three rules hold
throughout:

arguments  tensors, arrays or numbers, of floating point. Each is differentiated as itself: the function gets leaves
           (or views) of its own, so no ``.grad`` is touched, the same tensor may be given twice, and what a function
           takes from outside its arguments is a constant to the derivative asked for.
results    a derivative is a function of tensors like any other: it is recorded when something it was computed from (an
           argument, a tangent, a tensor the function takes from outside) requires a gradient. So these functions nest
           to any order without being told. ``create_graph`` says otherwise: False never records, True always does.
           Under ``no_grad`` derivatives are computed, and not recorded.
zeros      an output that does not depend on an argument has the derivative zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np

from . import primitives as op
from .errors import DTypeError, GradientError, ShapeError, TinygradNormError, describe
from .forms import concatenate
from .op import Op, Together
from .random import Generator, default_generator, drawing_from
from .shapes import flag
from .state import state
from .tensor import Tensor, tensor
from .walk import grad, history

Function = Callable[..., Any]


# Products with the Jacobian ---------------------------------------------------------------------------------


def vjp(f: Function, *args: Any, create_graph: bool | None = None) -> tuple[Any, Callable[[Any], tuple[Tensor, ...]]]:
    """The output of ``f(*args)`` and its pullback: from a cotangent u to Jᵀu, one tensor per argument.

    f:        returns a tensor, or several as a tuple; then the pullback takes a tuple of cotangents
    args:     floating-point tensors, arrays or numbers
    Returns   (output, pullback); gradients have their argument's shape and dtype. The pullback may be called often.
    Raises    ``DTypeError`` for an argument that is not floating point or a cotangent of another dtype than its output,
              ``ShapeError`` for one of another shape, ``GradientError`` when f returns something else than tensors or
              the cotangents are not as many as the outputs.
    """
    call = _Call.of("vjp", f, args, create_graph)

    def pullback(cotangent: Any) -> tuple[Tensor, ...]:
        return call.pull_back(call.seeds("cotangent", cotangent, call.outputs, call.several))

    return call.output, pullback


def jvp(f: Function, args: Any, tangents: Any, create_graph: bool | None = None) -> tuple[Any, Any]:
    """The output of ``f(*args)`` and its derivative along the tangents, Jv: forward mode.

    The pullback u ↦ Jᵀu is linear in u. So its own pullback, wherever it is taken, is v ↦ Jv: two backward
    passes make one forward one (J. Townsend 2017, "A new trick for calculating Jacobian vector products").

    f:         returns a tensor, or several as a tuple
    args:      one argument, or a tuple of them
    tangents:  one per argument, of its shape and dtype
    Returns    (output, tangent), both as f returns them; the tangent has the output's shape and dtype.
    Raises     as ``vjp``, of the tangents.
    """
    call = _Call.of("jvp", f, _several(args), create_graph)
    vs = call.seeds("tangent", tangents, call.leaves, len(call.leaves) > 1 or isinstance(tangents, (tuple, list)))
    us = [Tensor(np.zeros(y.shape, y.dtype), requires_grad=True) for y in call.outputs]
    with _recording():
        pulled = _grad(call.outputs, call.leaves, us, True)
    record = call.records(*vs)
    along = _grad(pulled, us, vs, record)
    return call.output, tuple(along) if call.several else along[0]


def hvp(f: Function, args: Any, vectors: Any, create_graph: bool | None = None) -> tuple[Tensor, Any]:
    """The output of a scalar function and its Hessian times a vector, Hv, for about twice the price of a gradient.

    It is the gradient of ⟨∇f, v⟩ (Pearlmutter 1994, Neural Computation 6(1)); H itself is never formed.

    f:        returns a tensor of one element
    args:     one argument, or a tuple of them
    vectors:  one per argument, of its shape and dtype
    Returns   (output, Hv): a tensor for one argument, a tuple for a tuple.
    Raises    as ``vjp``, and ``GradientError`` when f returns more than one number.
    """
    call = _Call.of("hvp", f, _several(args), create_graph)
    vs = call.seeds("vector", vectors, call.leaves, len(call.leaves) > 1 or isinstance(vectors, (tuple, list)))
    with _recording():
        first = _grad([call.scalar()], call.leaves, None, True)
    products = _grad(first, call.leaves, vs, call.records(*vs))
    return call.output, products if isinstance(args, (tuple, list)) else products[0]


# Whole matrices -----------------------------------------------------------------------------------------------


def jacobian(f: Function, *args: Any, argnums: int | Sequence[int] | None = None, create_graph: bool | None = None) -> Any:
    """All derivatives of all outputs: J[i, j] = ∂output[i]/∂argument[j], one backward pass per entry of the output.

    f:        returns a tensor, or several as a tuple
    argnums:  which arguments to differentiate (the others are handed to f as they are); all when not given
    Returns   a tensor of shape (*output.shape, *argument.shape) and the argument's dtype. Several outputs make a tuple of
              them, and so do several arguments (or ``argnums`` as a tuple), inside: ``J[output][argument]``, as
              ``torch.autograd.functional.jacobian`` has it.
    Raises    as ``vjp``.
    """
    return _jacobian("jacobian", f, args, argnums, create_graph)


def hessian(f: Function, *args: Any, argnums: int | Sequence[int] | None = None, create_graph: bool | None = None) -> Any:
    """All second derivatives of a scalar function: the Jacobian of its gradient.

    f:        returns a tensor of one element
    argnums:  which arguments to differentiate; all when not given
    Returns   a tensor of shape (*argument.shape, *argument.shape); with several arguments (or ``argnums`` as a tuple)
              a tuple of tuples, ``H[i][j]`` of shape (*argument_i.shape, *argument_j.shape).
    Raises    as ``vjp``, and ``GradientError`` when f returns more than one number.
    """
    chosen, several = _choose("hessian", f, args, argnums)

    def gradient(*xs: Any) -> Any:
        call = _Call.of("hessian", _bind(f, args, chosen), xs, True)
        gradients = _grad([call.scalar()], call.leaves, None, True)
        return gradients if several else gradients[0]

    return _jacobian("hessian", gradient, [args[i] for i in chosen], tuple(range(len(chosen))) if several else 0, create_graph)


def _jacobian(name: str, f: Function, args: Sequence[Any], argnums: Any, create_graph: bool | None) -> Any:
    chosen, several = _choose(name, f, args, argnums)
    call = _Call.of(name, _bind(f, args, chosen), [args[i] for i in chosen], create_graph)
    blocks = [_rows(call, y) for y in call.outputs]
    per_output = [row if several else row[0] for row in blocks]
    return tuple(per_output) if call.several else per_output[0]


def _rows(call: _Call, y: Tensor) -> tuple[Tensor, ...]:
    """d(y)/d(argument) for every argument: one backward pass per entry of y."""
    record = call.records()
    shapes = [y.shape + x.shape for x in call.leaves]
    passes = []
    for i in range(y.size):
        one = np.zeros(y.shape, y.dtype)
        one.flat[i] = 1
        passes.append(_grad([y], call.leaves, [one], record))
    if not passes:
        return tuple(Tensor(np.zeros(shape, x.dtype)) for shape, x in zip(shapes, call.leaves))
    return tuple(
        concatenate([row.reshape(1, *x.shape) for row in rows]).reshape(shape)
        for rows, x, shape in zip(zip(*passes), call.leaves, shapes)
    )


# Memory for time ------------------------------------------------------------------------------------------------


def checkpoint(f: Function) -> Function:
    """``f``, recorded as one node: what happens inside is not kept, but computed again when the gradient is asked for.

    f:       from tensors to one tensor; everything that it differentiates by must be an argument, not taken from outside
    Returns  a function with the same values and the same derivatives of every order. Raises ``GradientError`` when called,
             if f takes a tensor that requires a gradient from outside: its gradient would be lost; and when the gradient is
             asked for, if f gives another result the second time. Random numbers from the default generator are the same both
             times. (What else f does, such as moving running statistics,
             it does twice: once forward, once back.)
    """

    _function("checkpoint", f)

    def forward(*xs: Any, state: Any) -> Any:
        with _recording(), _repeated():  # of constants nothing is recorded, unless f brings something in
            try:
                y = f(*(Tensor(x) if isinstance(x, np.ndarray) else x for x in xs))
            except Exception as error:
                raise _Failed(error) from None
        if not isinstance(y, Tensor):
            raise GradientError(f"checkpoint: the function returned {_kind(y)}; it must return one tensor.")
        if y.requires_grad:
            outside = next(t for t in history(y) if t.is_leaf and t.requires_grad)
            raise GradientError(
                f"checkpoint: the function takes {describe(outside)} from outside, which requires a gradient and would get none. "
                "Pass it as an argument."
            )
        return y._data

    def shares(g: Any, out: Any, *xs: Any, wanted: Sequence[int], state: Any) -> list[Any]:
        tensors = [Tensor(x) if isinstance(x, np.ndarray) else x for x in xs]
        with drawing_from(Generator.at(state)), _repeated():
            again, pullback = vjp(_bind(f, tensors, wanted), *(tensors[i] for i in wanted))
        if not np.array_equal(again._data, out._data if isinstance(out, Tensor) else out, equal_nan=again.dtype.kind in "fc"):
            raise GradientError(
                f"checkpoint: the function gave another result when it was computed again for the gradient, which would be that of "
                f"other numbers ({describe(again)}). Does it draw from a generator of its own, or use statistics that it updates?"
            )
        return [found if isinstance(out, Tensor) else found._data for found in pullback(g)]

    node = Op("checkpoint", "checkpoint({0}, …)", forward, Together(shares), smooth=False)  # f may have kinks

    @wraps(f)
    def checkpointed(*xs: Any) -> Any:
        if state.general:  # a record for elsewhere, where such things are decided anew
            return f(*xs)
        try:
            return node(*xs, state=default_generator().get_state())
        except _Failed as failed:
            error = failed.error
        raise error  # the function's own, as it came

    return checkpointed


class _Failed(TinygradNormError):
    """What a checkpointed function raised, on its way through the op that called it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


# One call of the user's function --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Call:
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
    def of(cls, name: str, f: Function, args: Sequence[Any], create_graph: bool | None) -> _Call:
        _function(name, f)
        create_graph = None if create_graph is None else flag(name, "create_graph", create_graph)
        if not args:
            raise GradientError(f"{name}: no argument to differentiate by; give at least one.")
        outer = create_graph if state.recording else False
        with _recording():
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
        return _grad(self.outputs, self.leaves, seeds, self.records(*seeds))


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


def _grad(ys: Sequence[Tensor], xs: Sequence[Tensor], seeds: Sequence[Any] | None, record: bool) -> tuple[Tensor, ...]:
    """``grad``, with zeros where nothing flows."""
    found = grad(ys, xs, seeds, create_graph=record, allow_unused=True)
    return tuple(Tensor(np.zeros(x.shape, x.dtype)) if g is None else g for g, x in zip(found, xs))


def _several(args: Any) -> tuple[Any, ...]:
    return tuple(args) if isinstance(args, (tuple, list)) else (args,)


def _choose(name: str, f: Any, args: Sequence[Any], argnums: Any) -> tuple[tuple[int, ...], bool]:
    """Which arguments, and whether the answer is a tuple over them."""
    _function(name, f)
    if argnums is None:
        return tuple(range(len(args))), len(args) > 1
    several = isinstance(argnums, (tuple, list))
    given = argnums if several else (argnums,)
    if any(isinstance(i, bool) or not isinstance(i, (int, np.integer)) or not -len(args) <= i < len(args) for i in given):
        raise GradientError(
            f"{name}: argnums={describe(argnums)}, but f has {len(args)} arguments, counted from 0; give a number, or several in a tuple."
        )
    return tuple(int(i) % len(args) for i in given), several


def _kind(value: Any) -> str:
    return "ndarray" if isinstance(value, np.ndarray) else type(value).__name__  # also the array that is a tensor's data


def _function(name: str, f: Any) -> None:
    if not callable(f):
        raise DTypeError(
            f"{name}: f={describe(f)} cannot be called; give a function of tensors, such as lambda x: (x * x).sum()."
        )


def _bind(f: Function, args: Sequence[Any], chosen: Sequence[int]) -> Function:
    """f as a function of the chosen arguments alone."""

    def bound(*xs: Any) -> Any:
        full = list(args)
        for i, x in zip(chosen, xs):
            full[i] = x
        return f(*full)

    return bound


@contextmanager
def _recording() -> Iterator[None]:
    """A derivative needs the record, also where the user keeps none."""
    before, state.recording = state.recording, True
    try:
        yield
    finally:
        state.recording = before


@contextmanager
def _repeated() -> Iterator[None]:
    """What is computed inside is computed again for the gradient."""
    before, state.repeated = state.repeated, True
    try:
        yield
    finally:
        state.repeated = before
