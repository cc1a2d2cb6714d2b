"""What runs a schedule: Numba where it is installed, NumPy everywhere."""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np
from numpy import empty, zeros

from ..engine.arrays import Array as Numbers
from . import numba_writer, threads, whole
from .cache import module
from .parts import Schedule
from .program import Array, Program
from .ranges import ENDS
from .words import STEPS

Sizes = tuple[tuple[str, int], ...]
"""Of each axis."""


class Running(Protocol):
    """Both functions for arrays of known sizes.

    inputs:   in the program's order; numbers: by letter
    saved:    what ``forward`` gave beside y
    """

    def forward(self, inputs: Sequence[Numbers], numbers: Mapping[str, float]) -> tuple[Numbers, Any] | None: ...

    def backward(
        self, dy: Numbers, inputs: Sequence[Numbers], y: Numbers, saved: Any, numbers: Mapping[str, float]
    ) -> list[Numbers]: ...


class Runner(Protocol):
    """Both functions in one dtype."""

    def at(self, sizes: Sizes) -> Running: ...


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

    def compiled(self, s: Schedule) -> Any:
        return module(numba_writer.source([s], self.dtype.name, *ENDS[self.dtype.name]))[s.name]

    def at(self, sizes: Sizes) -> Running:
        return _Compiled(self, dict(sizes))


class _Compiled:
    """The loops for arrays of these sizes; each way is compiled, or loaded, when it is first gone."""

    def __init__(self, runner: NumbaRunner, sizes: Mapping[str, int]) -> None:
        self.runner, self.sizes = runner, sizes

    @cached_property
    def ahead(self) -> _Way:
        s = self.runner.f
        places = {a.letter: k for k, a in enumerate(s.program.inputs)}
        return _Way(self.runner.compiled(s), s, self.sizes, self.runner.dtype, places)

    @cached_property
    def back(self) -> _Way:
        s = self.runner.b
        assert s is not None
        p, saved = s.program, self.runner.f.saved
        places = {a.letter: k for k, a in enumerate((p.dy, *p.inputs, p.y.array, *saved))}
        return _Way(self.runner.compiled(s), s, self.sizes, self.runner.dtype, places)

    def forward(self, inputs: Sequence[Numbers], numbers: Mapping[str, float]) -> tuple[Numbers, Any] | None:
        odd, written = self.ahead(inputs, numbers)
        return None if odd else (written[0], written[1:])

    def backward(
        self, dy: Numbers, inputs: Sequence[Numbers], y: Numbers, saved: Any, numbers: Mapping[str, float]
    ) -> list[Numbers]:
        return self.back((dy, *inputs, y, *saved), numbers)[1]


class _Way:
    """A compiled function and the arrays it is called with.

    reads:   by its place among what is given, what is read, and the shape in which loops see it
    made:    shapes of what is written, and whether it is added to
    shaped:  by its place, the shape that a result has in the end
    """

    def __init__(
        self, function: Any, s: Schedule, size: Mapping[str, int], dtype: np.dtype[Any], places: Mapping[str, int]
    ) -> None:
        self.function, self.dtype = function, dtype

        def flat(a: Array) -> tuple[int, ...]:
            return tuple([size[x] for x in a.axes]) or (1,)

        def own(a: Array) -> tuple[int, ...]:
            return tuple([math.prod([size[x] for x in dim]) for dim in a.layout])

        added = {t.array.name for t in s.added}
        outer = s.rows[0] if s.rows else s.lane
        self.reads = [(places[a.letter], flat(a)) for a in s.reads]
        self.plain = all(own(a) == flat(a) for a in s.reads)
        self.places = [place for place, _ in self.reads]
        self.made = [(flat(a), a.name in added) for a in s.writes]
        self.shaped = [(k, own(a)) for k, a in enumerate(s.writes) if own(a) != flat(a)]
        self.letters = [letter for letter, _, _ in s.numbers]
        self.stop = size[outer] if outer else 1
        entries = max(math.prod(flat(a)) for a in (*s.reads, *s.writes))
        more = sum(math.prod(shape) for shape, added in self.made if added) * threads.PIECES  # each piece adds up on its own
        step = 1 if s.rows else STEPS["LANES"]
        self.pieces = threads.cut(self.stop, entries if more < entries else 0, step)

    def __call__(self, given: Sequence[Numbers], numbers: Mapping[str, float]) -> tuple[Any, list[Numbers]]:
        dtype = self.dtype
        writes = [zeros(shape) if added else empty(shape, dtype) for shape, added in self.made]
        settings = [numbers[letter] for letter in self.letters]
        reads = [given[place] for place in self.places] if self.plain else self._read(given)
        run = self.function if len(self.pieces) == 1 else self._in_pieces
        try:
            odd = run(0, self.stop, *reads, *writes, *settings)
        except TypeError:  # of another dtype, or entries that do not lie side by side
            self.plain = False
            odd = run(0, self.stop, *self._read(given), *writes, *settings)
        for k, own in self.shaped:
            writes[k] = writes[k].reshape(own)
        return odd, writes

    def _in_pieces(self, start: int, stop: int, *arguments: Any) -> bool:
        first = len(self.reads)
        added = [first + k for k, (_, added) in enumerate(self.made) if added]
        own = [[np.zeros_like(arguments[k]) for k in added] for _ in self.pieces]
        odd = [False] * len(self.pieces)

        def work(piece: int) -> None:
            given = list(arguments)
            for k, array in zip(added, own[piece]):
                given[k] = array
            odd[piece] = self.function(*self.pieces[piece], *given)

        threads.share(work, len(self.pieces))
        for arrays in own:
            for k, array in zip(added, arrays):
                arguments[k].__iadd__(array)
        return any(odd)

    def _read(self, given: Sequence[Numbers]) -> list[Numbers]:
        reads = []
        for place, shape in self.reads:
            value = given[place]
            if value.dtype is not self.dtype or value.shape != shape or not value.flags.c_contiguous:
                value = np.ascontiguousarray(value, self.dtype).reshape(shape)
            reads.append(value)
        return reads


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

    def at(self, sizes: Sizes) -> Running:
        return self

    def _read(self, inputs: Sequence[Numbers]) -> list[Numbers]:
        return [a.astype(self.dtype, copy=False) for a in inputs]

    def _settings(self, numbers: Mapping[str, float]) -> dict[str, float]:
        return {name: numbers[letter] for letter, name, _ in self.p.numbers}

    def forward(self, inputs: Sequence[Numbers], numbers: Mapping[str, float]) -> tuple[Numbers, Any] | None:
        values, settings = self._read(inputs), self._settings(numbers)
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

    def backward(
        self, dy: Numbers, inputs: Sequence[Numbers], y: Numbers, saved: Any, numbers: Mapping[str, float]
    ) -> list[Numbers]:
        dy, y, *values = self._read([dy, y, *inputs])
        with np.errstate(all="ignore"):
            assert self.backward_ is not None
            found = self.backward_(dy, y, saved, *values, **self._settings(numbers))
        return [np.asarray(g, self.dtype) for g in found]
