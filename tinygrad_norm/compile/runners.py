"""What runs a schedule: Numba where it is installed, NumPy everywhere."""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np

from ..engine.arrays import Array as Numbers
from . import numba_writer, whole
from .cache import module
from .parts import Schedule
from .program import Array, Program
from .ranges import ENDS

Sizes = tuple[tuple[str, int], ...]
"""Of each axis."""


class Runner(Protocol):
    """Both functions in one dtype; arrays by letter."""

    def forward(self, given: Mapping[str, Numbers], sizes: Sizes, numbers: Mapping[str, float]) -> tuple[Numbers, Any] | None: ...

    def backward(self, given: Mapping[str, Numbers], saved: Any, sizes: Sizes, numbers: Mapping[str, float]) -> list[Numbers]: ...


@lru_cache(maxsize=1)
def language() -> str:
    """ "numba" or "numpy"."""
    return "numba" if importlib.util.find_spec("numba") is not None else "numpy"


def runner(program: Program, forward: Schedule, backward: Schedule | None, dtype: str) -> Runner:
    """What runs here."""
    return NumbaRunner(forward, backward, dtype) if language() == "numba" else NumPyRunner(program, forward, backward, dtype)


class NumbaRunner:
    """Compiled loops."""

    def __init__(self, forward: Schedule, backward: Schedule | None, dtype: str) -> None:
        self.f, self.b, self.dtype = forward, backward, np.dtype(dtype)
        self._plans: dict[Any, _Plan] = {}

    @cached_property
    def forward_(self) -> Any:
        return module(numba_writer.source([self.f], self.dtype.name, *ENDS[self.dtype.name]))["forward"]

    @cached_property
    def backward_(self) -> Any:
        assert self.b is not None
        return module(numba_writer.source([self.b], self.dtype.name, *ENDS[self.dtype.name]))["backward"]

    def _plan(self, s: Schedule, sizes: Sizes) -> _Plan:
        """What is read and written, for these sizes."""
        size, added = dict(sizes), {t.array.name for t in s.added}

        def flat(a: Array) -> tuple[int, ...]:
            return tuple([size[x] for x in a.axes]) or (1,)

        def own(a: Array) -> tuple[int, ...]:
            return tuple([math.prod([size[x] for x in dim]) for dim in a.layout])

        outer = s.rows[0] if s.rows else s.lane
        found = self._plans[s.name, sizes] = _Plan(
            [(a.letter, flat(a)) for a in s.reads],
            [(flat(a), a.name in added) for a in s.writes],
            [(k, own(a)) for k, a in enumerate(s.writes) if own(a) != flat(a)],
            [letter for letter, _, _ in s.numbers],
            size[outer] if outer else 1,
        )
        return found

    def _run(self, function: Any, s: Schedule, given: Mapping[str, Numbers], sizes: Any, numbers: Mapping[str, float]) -> Any:
        dtype = self.dtype
        plan = self._plans.get((s.name, sizes)) or self._plan(s, sizes)
        reads = []
        for letter, shape in plan.reads:
            value = given[letter]
            if value.dtype is not dtype or value.shape != shape or not value.flags.c_contiguous:
                value = np.ascontiguousarray(value, dtype).reshape(shape)
            reads.append(value)
        writes = [np.zeros(shape) if added else np.empty(shape, dtype) for shape, added in plan.made]
        odd = function(0, plan.stop, *reads, *writes, *[numbers[letter] for letter in plan.numbers])
        for k, own in plan.shaped:
            writes[k] = writes[k].reshape(own)
        return odd, writes

    def forward(self, given: Any, sizes: Any, numbers: Any) -> tuple[Numbers, Any] | None:
        odd, written = self._run(self.forward_, self.f, given, sizes, numbers)
        return None if odd else (written[0], written[1:])

    def backward(self, given: Any, saved: Any, sizes: Any, numbers: Any) -> list[Numbers]:
        assert self.b is not None
        known = {**given, **{a.letter: v for a, v in zip(self.f.saved, saved)}}
        found: list[Numbers] = self._run(self.backward_, self.b, known, sizes, numbers)[1]
        return found


@dataclass(frozen=True)
class _Plan:
    """Letters and shapes of what is read; shapes of what is written, and whether it is added to; by its place, the shape that a
    result has in the end; the letters of numbers; where rows end."""

    reads: list[tuple[str, tuple[int, ...]]]
    made: list[tuple[tuple[int, ...], bool]]
    shaped: list[tuple[int, tuple[int, ...]]]
    numbers: list[str]
    stop: int


class NumPyRunner:
    """Whole arrays, line by line. What the loops ask of each statistic is asked here of the result: it must be finite."""

    def __init__(self, program: Program, forward: Schedule, backward: Schedule | None, dtype: str) -> None:
        self.p, self.dtype = program, np.dtype(dtype)
        made = whole.Functions(self.p, whole.NUMPY, None if backward is None else self._wanted(backward))
        texts = ["\n".join(t) for t in (made.forward(), made.holds(), *([made.backward()] if made.wanted else []))]
        names: dict[str, Any] = {}
        exec(compile("import math\nimport numpy as np\n\n" + "\n\n".join(texts), "<kernel>", "exec"), names)
        self.forward_, self.holds, self.backward_ = names["forward"], names["holds"], names.get("backward")

    def _wanted(self, backward: Schedule) -> list[str]:
        letters = {a.letter for a in backward.writes}
        return [n for n, t in self.p.gradients.items() if t.array.letter in letters]

    def _inputs(self, given: Mapping[str, Numbers], numbers: Mapping[str, float]) -> tuple[list[Numbers], dict[str, float]]:
        values = [given[a.letter].astype(self.dtype, copy=False) for a in self.p.inputs]
        return values, {name: numbers[letter] for letter, name, _ in self.p.numbers}

    def forward(self, given: Any, sizes: Any, numbers: Any) -> tuple[Numbers, Any] | None:
        values, settings = self._inputs(given, numbers)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            if self.p.conditions and not self.holds(*values, **settings):
                return None
            y, saved = self.forward_(*values, **settings)
        y = np.asarray(y, self.dtype)
        low, high = ENDS[self.dtype.name]
        well = all(np.isfinite(v).all() and np.all(np.abs(v) < high) for v in (y, *map(np.asarray, saved)))
        if not well or any((np.abs(v) < low).any() for v in map(np.asarray, saved) if self.p.conditions or self.p.floor):
            return None
        return y, saved

    def backward(self, given: Any, saved: Any, sizes: Any, numbers: Any) -> list[Numbers]:
        values, settings = self._inputs(given, numbers)
        dy = given[self.p.dy.letter].astype(self.dtype, copy=False)
        with np.errstate(all="ignore"):
            assert self.backward_ is not None
            found = self.backward_(dy, given[self.p.y.array.letter].astype(self.dtype, copy=False), saved, *values, **settings)
        return [np.asarray(g, self.dtype) for g in found]
