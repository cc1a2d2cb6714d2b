"""Memory for time: a function whose inside is not kept, but computed again when the gradient is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import numpy as np

from .call import Function, bind, function_of, recording
from .errors import GradientError, TinygradNormError, describe
from .op import Op, Together
from .random import Generator, default_generator, drawing_from
from .state import state
from .tensor import Tensor
from .transforms import vjp
from .walk import history


def checkpoint(f: Function) -> Function:
    """``f``, recorded as one node: what happens inside is not kept, but computed again when the gradient is asked for.

    f:       from tensors to one tensor; everything that it differentiates by must be an argument, not taken from outside
    Returns  a function with the same values and the same derivatives of every order. Raises ``GradientError`` when called,
             if f takes a tensor that requires a gradient from outside: its gradient would be lost; and when the gradient is
             asked for, if f gives another result the second time. Random numbers from the default generator are the same both
             times. (What else f does, such as moving running statistics, it does twice: once forward, once back.)
    """
    function_of("checkpoint", f)

    def forward(*xs: Any, state: Any) -> Any:
        with recording(), _repeated():  # of constants nothing is recorded, unless f brings something in
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
            again, pullback = vjp(bind(f, tensors, wanted), *(tensors[i] for i in wanted))
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


def _kind(value: Any) -> str:
    return "ndarray" if isinstance(value, np.ndarray) else type(value).__name__  # also the array that is a tensor's data


@contextmanager
def _repeated() -> Iterator[None]:
    """What is computed inside is computed again for the gradient."""
    before, state.repeated = state.repeated, True
    try:
        yield
    finally:
        state.repeated = before
