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
from .runners import NumPyRunner, Runner, Running, language, runner
from .schedule import schedules
from .texts import text

Reference = Callable[..., Any]
NONE: Mapping[str, float] = {}


@dataclass(frozen=True)
class Both:
    """The schedules of both ways; prints as a lesson."""

    forward: Schedule
    backward: Schedule | None

    def __str__(self) -> str:
        return "\n\n".join(lesson(s) for s in (self.forward, self.backward) if s is not None)


class Bound:
    """A kernel for arrays of known shapes and dtypes: what these decide is found out once.

    dtype:   what is computed in; None where the record is asked
    ways:    what others know of the way back from here to some of the inputs
    """

    def __init__(self, kernel: Kernel, inputs: Sequence[Numbers], numbers: Mapping[str, float]) -> None:
        p = kernel.program
        kernel.check(inputs, numbers)
        sizes = kernel.sizes(inputs)
        floats = [a for a, of in zip(inputs, p.inputs) if of.role != "index"]
        self.kernel, self.sizes = kernel, tuple(sizes.items())
        self.dtype = None if 0 in sizes.values() or not kernel.fit(inputs, sizes) else computed_in(floats)
        self.result = result_dtype(floats)
        letters = [a.letter for a in p.inputs]
        of = [inputs[letters.index(p.gradients[n].array.letter[1:])] for n in kernel.wanted]
        self.like = [(a.shape, a.dtype) for a in of]
        self.turned: list[Any] | None = None  # the gradients that come in another shape or dtype than they are wanted in
        self.ways: dict[Any, Bound | None] = {}

    @cached_property
    def run(self) -> Running:
        return self.kernel.runner(self.dtype).at(self.sizes)

    def forward(self, inputs: Sequence[Numbers], numbers: Mapping[str, float] = NONE) -> tuple[Numbers, Any]:
        """y, and what the way back needs: None where the record was asked."""
        kernel = self.kernel
        if self.dtype is None:
            return kernel.ask(inputs, numbers), None
        settings = kernel.numbers(numbers) if numbers else None
        try:
            found = self.run.forward(inputs, settings)
        except KernelError as error:
            self.run = kernel.in_numpy(self.dtype, error)
            found = self.run.forward(inputs, settings)
        if found is None:
            return kernel.ask(inputs, numbers), None
        y = found[0]
        return found if y.dtype is self.result else (y.astype(self.result), found[1])

    def backward(
        self, dy: Numbers, inputs: Sequence[Numbers], y: Numbers, saved: Any, numbers: Mapping[str, float] = NONE
    ) -> Sequence[Numbers]:
        """The gradients wanted."""
        kernel = self.kernel
        if saved is None or dy.dtype.char not in "efd":
            return kernel.ask(inputs, numbers, dy)  # type: ignore[no-any-return]
        settings = kernel.numbers(numbers) if numbers else None
        try:
            found = self.run.backward(dy, inputs, y, saved, settings)
        except KernelError as error:
            self.run = kernel.in_numpy(self.dtype, error)
            again = self.run.forward(inputs, settings)
            if again is None:
                return kernel.ask(inputs, numbers, dy)  # type: ignore[no-any-return]
            found = self.run.backward(dy, inputs, y, again[1], settings)
        if self.turned is None:
            ways = [(k, g.shape != shape, shape, dtype) for k, (g, (shape, dtype)) in enumerate(zip(found, self.like))]
            self.turned = [way for way in ways if way[1] or found[way[0]].dtype != way[3]]
        for k, reshaped, shape, dtype in self.turned:
            g = found[k].reshape(shape) if reshaped else found[k]
            found[k] = g if g.dtype is dtype else g.astype(dtype)
        return found


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
        self._bound: dict[Any, Bound] = {}

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
        arrays = [np.asarray(a) for a in inputs]
        return self.bound(arrays, numbers).forward(arrays, numbers)[0]

    def backward(self, dy: Any, *inputs: Any, **numbers: float) -> tuple[Any, ...]:
        """The gradient of every input that has one, for the cotangent dy of y."""
        arrays = [np.asarray(a) for a in inputs]
        bound = self.bound(arrays, numbers)
        return tuple(bound.backward(np.asarray(dy), arrays, *bound.forward(arrays, numbers), numbers))

    def bound(self, inputs: Sequence[Numbers], numbers: Mapping[str, float] = NONE) -> Bound:
        """The kernel for arrays like these; ``KernelError`` where a shape does not fit."""
        key = (*[(a.shape, a.dtype.char) for a in inputs], *numbers)
        found = self._bound.get(key)
        if found is None:
            if len(self._bound) > 1000:
                self._bound.clear()
            found = self._bound[key] = Bound(self, inputs, numbers)
        return found

    def fit(self, inputs: Sequence[Numbers], sizes: Mapping[str, int]) -> bool:
        """Whether every index is a whole number that float32 holds."""
        return all(
            a.dtype.kind in "iu" and sizes[of.along] < 2**24 for a, of in zip(inputs, self.program.inputs) if of.role == "index"
        )

    def runner(self, dtype: Any) -> Runner:
        if dtype not in self._runners:
            both = self.schedule
            self._runners[dtype] = runner(self.program, both.forward, both.backward, dtype)
        return self._runners[dtype]

    def in_numpy(self, dtype: Any, error: KernelError) -> Running:
        """What computes where the compiler fails."""
        say(f"{self.name}: NumPy computes its formula: {error}")
        both = self.schedule
        self._runners[dtype] = found = NumPyRunner(self.program, both.forward, both.backward, dtype)
        return found

    def numbers(self, given: Mapping[str, float]) -> dict[str, float]:
        return {letter: float(given.get(name, value)) for letter, name, value in self.program.numbers}

    def ask(self, inputs: Sequence[Numbers], numbers: Mapping[str, float], dy: Numbers | None = None) -> Any:
        if self.reference is None:
            raise KernelError(f"kernel: {self.name}: for these numbers the formula does not hold, and there is no record to ask.")
        return self.reference(inputs, dict(numbers), dy)

    def check(self, inputs: Sequence[Numbers], numbers: Mapping[str, float]) -> None:
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
