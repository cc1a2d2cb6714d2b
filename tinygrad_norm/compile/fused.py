"""``tn.kernel``: a norm, or anybody's forward, as two fused functions over arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..engine.arrays import Array as Numbers
from .cache import say
from .errors import KernelError
from .lesson import lesson
from .merged import merged
from .parts import Schedule
from .program import Array, Program
from .runners import NumPyRunner, Runner, language, runner
from .schedule import schedules
from .texts import text

Reference = Callable[..., Any]


@dataclass(frozen=True)
class Both:
    """The schedules of both ways; prints as a lesson."""

    forward: Schedule
    backward: Schedule | None

    def __str__(self) -> str:
        return "\n\n".join(lesson(s) for s in (self.forward, self.backward) if s is not None)


@dataclass(frozen=True)
class _How:
    """The dtype that is computed in, None where the record is asked; that of the result; the sizes of the axes."""

    dtype: Any
    result: Any
    sizes: tuple[tuple[str, int], ...]


class Kernel:
    """Two fused functions over NumPy arrays, made from the derived formula.

    forward:   ``forward(x, weight, …, eps=…) -> y``
    backward:  ``backward(dy, x, weight, …) -> (dx, dweight, …)``, of every input that has a gradient
    schedule:  in which order they go over their arrays; it prints as a lesson
    language:  what they run in: "numba", or "numpy" where Numba is not installed

    Arrays are of any layout, read-only ones too; float16 computes in float32. What comes out is new and in the inputs' dtypes.
    Where the formula does not hold (a variance of zero without ε, squares beyond the dtype's range, NaN and infinity, a tie),
    the record is asked, so that its numbers come.
    """

    def __init__(self, program: Program, reference: Reference | None = None, wanted: Any = None) -> None:
        self.program, self.reference = program, reference
        self.wanted = tuple(n for n in program.gradients if wanted is None or n in wanted)
        self._runners: dict[Any, Runner] = {}
        self._known: dict[Any, _How] = {}
        self._usual = {letter: value for letter, _, value in program.numbers}

    @cached_property
    def schedule(self) -> Both:
        return Both(*schedules(self.loops, self.wanted))

    @cached_property
    def loops(self) -> Program:
        """The program with as few axes as there can be."""
        return merged(self.program)

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def language(self) -> str:
        return language()

    def __repr__(self) -> str:
        inputs = ", ".join(a.name for a in self.program.inputs)
        return f"<kernel {self.name}({inputs}) in {self.language}>"

    def source(self, language: str = "numpy", dtype: str = "float32") -> str:
        """The text of both functions: "numpy", "numba", "c", "triton", "torch" or "jax"; Numba's and C's in ``dtype``."""
        both = Both(*schedules(self.program, self.wanted)) if language == "triton" else self.schedule
        return text(self.program, both.forward, both.backward, language, dtype)

    # Over arrays ------------------------------------------------------------------------------------------------

    def forward(self, *inputs: Any, **numbers: float) -> Any:
        """y. Inputs in order, constants that the forward holds after them; raises ``KernelError`` where a shape does not fit."""
        return self.run_forward([np.asarray(a) for a in inputs], numbers)[0]

    def backward(self, dy: Any, *inputs: Any, **numbers: float) -> tuple[Any, ...]:
        """The gradient of every input that has one, for the cotangent dy of y."""
        arrays = [np.asarray(a) for a in inputs]
        y, saved = self.run_forward(arrays, numbers)
        return self.run_backward(np.asarray(dy), arrays, y, saved, numbers)

    def run_forward(self, inputs: Sequence[Numbers], numbers: Mapping[str, float]) -> tuple[Numbers, Any]:
        """y, and what the way back needs: None where the record was asked."""
        how = self._how(inputs, numbers)
        if how.dtype is None:
            return self._ask(inputs, numbers), None
        given, settings = dict(zip(self._letters, inputs)), self._numbers(numbers)
        try:
            found = self._runner(how.dtype).forward(given, how.sizes, settings)
        except KernelError as error:
            found = self._in_numpy(how.dtype, error).forward(given, how.sizes, settings)
        if found is None:
            return self._ask(inputs, numbers), None
        y, saved = found
        return y if y.dtype is how.result else y.astype(how.result), saved

    def run_backward(
        self, dy: Numbers, inputs: Sequence[Numbers], y: Numbers, saved: Any, numbers: Mapping[str, float]
    ) -> tuple[Numbers, ...]:
        """The gradients wanted."""
        p = self.program
        if saved is None or dy.dtype.char not in "efd":
            return self._ask(inputs, numbers, dy)  # type: ignore[no-any-return]
        how = self._how(inputs, numbers)
        given = dict(zip(self._letters, inputs))
        given[p.dy.letter], given[p.y.array.letter] = dy, y
        settings = self._numbers(numbers)
        try:
            found = self._runner(how.dtype).backward(given, saved, how.sizes, settings)
        except KernelError as error:
            run = self._in_numpy(how.dtype, error)
            again = run.forward(given, how.sizes, settings)
            if again is None:
                return self._ask(inputs, numbers, dy)  # type: ignore[no-any-return]
            found = run.backward(given, again[1], how.sizes, settings)
        for k, letter in enumerate(self._targets):
            g, like = found[k], given[letter]
            if g.dtype is not like.dtype or g.shape != like.shape:
                found[k] = g.reshape(like.shape).astype(like.dtype, copy=False)
        return tuple(found)

    @cached_property
    def _letters(self) -> list[str]:
        return [a.letter for a in self.program.inputs]

    @cached_property
    def _targets(self) -> list[str]:
        """The letter of each input whose gradient is wanted."""
        return [self.program.gradients[n].array.letter[1:] for n in self.wanted]

    def _how(self, inputs: Sequence[Numbers], numbers: Mapping[str, float]) -> _How:
        """What shapes and dtypes decide, found out once."""
        key = (*[(a.shape, a.dtype.char) for a in inputs], *numbers)
        found = self._known.get(key)
        if found is None:
            self._check(inputs, numbers)
            sizes = self.sizes(inputs)
            numbers_ = [a for a, of in zip(inputs, self.program.inputs) if of.role != "index"]
            dtype = None if 0 in sizes.values() or not self._fit(inputs, sizes) else computed_in(numbers_)
            found = self._known[key] = _How(dtype, result_dtype(numbers_), tuple(sizes.items()))
            if len(self._known) > 1000:
                self._known.clear()
        return found

    def _fit(self, inputs: Sequence[Numbers], sizes: Mapping[str, int]) -> bool:
        """Whether every index is a whole number that float32 holds."""
        return all(
            a.dtype.kind in "iu" and sizes[of.along] < 2**24 for a, of in zip(inputs, self.program.inputs) if of.role == "index"
        )

    def _runner(self, dtype: Any) -> Runner:
        if dtype not in self._runners:
            both = self.schedule
            self._runners[dtype] = runner(self.program, both.forward, both.backward, dtype)
        return self._runners[dtype]

    def _in_numpy(self, dtype: Any, error: KernelError) -> Runner:
        """What computes where the compiler fails."""
        say(f"{self.name}: NumPy computes its formula: {error}")
        both = self.schedule
        self._runners[dtype] = found = NumPyRunner(self.program, both.forward, both.backward, dtype)
        return found

    def _numbers(self, given: Mapping[str, float]) -> dict[str, float]:
        if not given:
            return self._usual
        return {letter: float(given.get(name, value)) for letter, name, value in self.program.numbers}

    def _ask(self, inputs: Sequence[Numbers], numbers: Mapping[str, float], dy: Numbers | None = None) -> Any:
        if self.reference is None:
            raise KernelError(f"kernel: {self.name}: for these numbers the formula does not hold, and there is no record to ask.")
        return self.reference(inputs, dict(numbers), dy)

    def _check(self, inputs: Sequence[Numbers], numbers: Mapping[str, float]) -> None:
        p = self.program
        if len(inputs) != len(p.inputs):
            raise KernelError(f"kernel: {p.title} takes {', '.join(a.name for a in p.inputs)}; {len(inputs)} arrays were given.")
        known = [name for _, name, _ in p.numbers]
        if unknown := [n for n in numbers if n not in known]:
            raise KernelError(f"kernel: {p.title} has no setting {unknown[0]}; it has {', '.join(known) or 'none'}.")

    def sizes(self, inputs: Sequence[Numbers]) -> dict[str, int]:
        """The size of each axis; ``KernelError`` where a shape does not fit."""
        p = self.program
        sizes = dict(p.sizes)
        for array, value in zip(p.inputs, inputs):
            if value.ndim != len(array.layout):
                self._misfit(array, value, sizes)
            for dim, n in zip(array.layout, value.shape):
                if len(dim) == 1 and sizes.setdefault(dim[0], n) != n:
                    self._misfit(array, value, sizes)
        for array, value in zip(p.inputs, inputs):
            for dim, n in zip(array.layout, value.shape):
                if len(dim) > 1:
                    rest = math.prod(sizes.get(a, 1) for a in dim if a != p.free(dim))
                    if rest == 0 or n % rest or sizes.setdefault(p.free(dim), n // rest) * rest != n:
                        self._misfit(array, value, sizes)
                elif not dim and n != 1:
                    self._misfit(array, value, sizes)
        return sizes | {a: math.prod([sizes[x] for x in of]) for a, of in self.loops.merged.items()}

    def _misfit(self, array: Array, value: Numbers, sizes: Mapping[str, int]) -> None:
        want = ", ".join(
            "·".join(dim) + (f" = {sizes[dim[0]]}" if len(dim) == 1 and dim[0] in sizes else "") or "1" for dim in array.layout
        )
        raise KernelError(f"kernel: {self.program.title}: {array.name} has shape {value.shape}; its axes are ({want}).")


def computed_in(arrays: Sequence[Numbers]) -> Any:
    """float32 or float64; None for what a kernel does not take."""
    if any(a.dtype.char not in "efd" for a in arrays):
        return None
    return "float64" if any(a.dtype.char == "d" for a in arrays) else "float32"


def result_dtype(arrays: Sequence[Numbers]) -> Any:
    """Half in, half out; else what all of them fit into."""
    return arrays[0].dtype if arrays[0].dtype.char == "e" else np.result_type(*arrays)
