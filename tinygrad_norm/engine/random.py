"""Random numbers, repeatable: one default source, and sources of one's own.

    tn.manual_seed(0)                       # from here on, the same numbers in every run
    F.dropout(x, 0.1)                       # draws from the default source
    F.dropout(x, 0.1, generator=Generator(7))

Threads     Each call draws what it needs in one piece, so no number is given out twice; but which thread comes first is
            chance. For repeatable threads each one draws from a source of its own: ``with drawing_from(Generator(k)):``.
Recomputing What is computed twice (a checkpoint's forward pass) must draw the same numbers twice. Keep
            ``state = default_generator().get_state()`` before the first time, and compute again inside
            ``with drawing_from(Generator.at(state)):``, which leaves the default source, and other threads, where they are.
"""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np

from .arguments import in_float32
from .arrays import Array
from .errors import DTypeError, OptionError, speaking_as
from .shapes import flag, number
from .state import scope
from .tensor import Tensor


class Generator:
    """A source of random numbers. ``seed``: where it starts; None takes entropy from the system."""

    __slots__ = ("_seed", "numpy")

    numpy: np.random.Generator
    """NumPy's, which draws."""

    def __init__(self, seed: int | None = None) -> None:
        with speaking_as("Generator"):
            self.manual_seed(np.random.SeedSequence().entropy if seed is None else seed)  # type: ignore[arg-type]

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from ``seed``, a whole number from 0 on."""
        self._seed = number("manual_seed", "seed", seed, least=0, whole=True)
        self.numpy = np.random.default_rng(self._seed)
        return self

    def initial_seed(self) -> int:
        """What it was last seeded with."""
        return self._seed  # type: ignore[no-any-return]

    def get_state(self) -> dict[str, Any]:
        """Where it stands: a plain dict of words and whole numbers, that may be saved."""
        return {"seed": self._seed, **deepcopy(dict(self.numpy.bit_generator.state))}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        try:
            inner = {k: v for k, v in state.items() if k != "seed"}
            fresh = np.random.default_rng(0)
            fresh.bit_generator.state = deepcopy(inner)
            self._seed = state["seed"]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise OptionError(f"set_state: that is no state of a Generator ({error}). Take one from get_state().") from None
        self.numpy = fresh

    @classmethod
    def at(cls, state: dict[str, Any]) -> Generator:
        """A new one that goes on from ``state``."""
        generator = cls(0)
        generator.set_state(state)
        return generator

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed})"


class _Local(threading.local):
    generator: Generator | None = None

    def __init__(self) -> None:  # once in every thread
        self.outside: list[Generator | None] = []


_local = _Local()


@cache
def _default() -> Generator:
    return Generator()  # made when first asked for: NumPy's generators take long to import


def default_generator() -> Generator:
    """The source that functions draw from unless given another: this thread's own inside ``drawing_from``."""
    return _local.generator or _default()


def manual_seed(seed: int) -> Generator:
    """Start the default source anew from ``seed``; returns it."""
    return default_generator().manual_seed(seed)


class drawing_from(ContextDecorator):
    """Inside, and in this thread only, the default source is ``generator``. A context and a decorator, as often as you like,
    also inside itself."""

    def __init__(self, generator: Generator) -> None:
        self.generator = source(generator, "drawing_from")

    def __enter__(self) -> Generator:
        _local.outside.append(_local.generator)
        _local.generator = self.generator
        return self.generator

    def __exit__(self, *error: object) -> None:
        _local.generator = _local.outside.pop()


def source(generator: Any, name: str) -> Generator:
    """The generator that was given, or the default one."""
    if generator is None:
        return default_generator()
    if not isinstance(generator, Generator):
        raise DTypeError(f"{name}: generator is {type(generator).__name__}. Make one: tn.Generator(0).")
    return generator


def kept(shape: tuple[int, ...], p: float, dtype: Any, generator: Generator) -> Array:
    """1/(1 − p) where an entry stays, which each does with the probability 1 − p; 0 elsewhere."""
    if p == 1:
        return np.zeros(shape, dtype)
    return ((generator.numpy.random(shape, np.float32) >= p) * (1 / (1 - p))).astype(dtype)


@scope("dropout")
@in_float32
def dropout(input: Any, p: float = 0.5, training: bool = True, *, generator: Generator | None = None) -> Tensor:
    """Each entry 0 with the probability ``p``, else multiplied by 1/(1 − p), so that the mean stays; unchanged unless ``training``.

    generator:  where the random numbers come from; the default source unless given (see ``manual_seed``)

    Source: Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 15.
    """
    p, drawn = number("dropout", "p", p, 0, 1), source(generator, "dropout")
    if not flag("dropout", "training", training) or p == 0:
        return input  # type: ignore[no-any-return]
    return input * Tensor(kept(input.shape, p, input.dtype, drawn), name="mask")  # type: ignore[no-any-return]
