"""What runs a schedule: Numba where it is installed, NumPy everywhere."""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
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

Shape = tuple[int, ...]
Sizes = tuple[tuple[str, int], ...]
"""Of each axis."""


class Running(Protocol):
    """Both functions for arrays of known sizes.

    inputs:   in the program's order; numbers: by letter, None: the usual ones
    saved:    what ``forward`` gave beside y
    """

    def forward(self, inputs: Sequence[Numbers], numbers: Mapping[str, float] | None = None) -> tuple[Numbers, Any] | None: ...

    def backward(
        self, dy: Numbers, inputs: Sequence[Numbers], y: Numbers, saved: Any, numbers: Mapping[str, float] | None = None
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
    def forward(self) -> _Way:
        return self._way(self.runner.f, self.runner.f.program.inputs, "None if odd else ({}, ({}))")

    @cached_property
    def back(self) -> _Way:
        s = self.runner.b
        assert s is not None
        p = s.program
        return self._way(s, (p.dy, *p.inputs, p.y.array, *self.runner.f.saved), "[{}, {}]")

    def _way(self, s: Schedule, given: Sequence[Array], result: str) -> _Way:
        return _Way(self.runner.compiled(s), s, self.sizes, self.runner.dtype, [a.letter for a in given], result)

    def backward(
        self, dy: Numbers, inputs: Sequence[Numbers], y: Numbers, saved: Any, numbers: Mapping[str, float] | None = None
    ) -> list[Numbers]:
        return self.back((dy, *inputs, y, *saved), numbers)  # type: ignore[no-any-return]


class _Way:
    """A compiled function and the arrays it is called with.

    given:   the letters of what it is handed
    result:  what is made of the first array that is written, and of the others

    reads:   by its place among what is given, what is read, and the shape in which loops see it
    made:    shapes of what is written, and whether it is added to
    call:    the call for arrays that are as loops see them, written out, with nothing left to ask
    """

    def __init__(
        self, function: Any, s: Schedule, size: Mapping[str, int], dtype: np.dtype[Any], given: Sequence[str], result: str
    ) -> None:
        self.function, self.dtype = function, dtype

        def flat(a: Array) -> Shape:
            return tuple([size[x] for x in a.axes]) or (1,)

        def own(a: Array) -> Shape:
            return tuple([math.prod([size[x] for x in dim]) for dim in a.layout])

        added = {t.array.name for t in s.added}
        outer = s.rows[0] if s.rows else s.lane
        places = {letter: k for k, letter in enumerate(given)}
        self.reads = [(places[a.letter], flat(a)) for a in s.reads]
        self.plain = True
        self.made = [(flat(a), a.name in added) for a in s.writes]
        self.numbers = [(letter, value) for letter, _, value in s.numbers]
        self.usual = [value for _, value in self.numbers]
        stop = size[outer] if outer else 1
        entries = max(math.prod(flat(a)) for a in (*s.reads, *s.writes))
        more = sum(math.prod(shape) for shape, added in self.made if added) * threads.PIECES  # each piece adds up on its own
        self.pieces = threads.cut(stop, entries if more < entries else 0, 1 if s.rows else STEPS["LANES"])
        run = function if len(self.pieces) == 1 else self._in_pieces
        names = {"run": run, "empty": empty, "zeros": zeros, "dtype": dtype}
        exec(self._written(s, own, len(given), stop, result), names)
        self.call: Any = names["call"]

    def _written(self, s: Schedule, shape: Callable[[Array], Shape], given: int, stop: int, result: str) -> str:
        """Loops see arrays, and write them, with as few axes as there can be; what is saved stays so."""

        def seen(name: str, now: Shape, then: Shape, a: Array) -> str:
            return name if now == then or a.role == "saved" else f"{name}.reshape({then})"

        reads = [seen(f"g{place}", shape(a), flat, a) for a, (place, flat) in zip(s.reads, self.reads)]
        made = [f"zeros({flat})" if added else f"empty({flat}, dtype)" for flat, added in self.made]
        written = [f"w{k}" for k in range(len(made))]
        wide = self.dtype != np.float64  # what is added up is
        cast = [f"{w}.astype(dtype)" if added and wide else w for w, (_, added) in zip(written, self.made)]
        first, *others = [seen(w, flat, shape(a), a) for w, a, (flat, _) in zip(cast, s.writes, self.made)]
        return "\n    ".join([
            "def call(given, numbers):",
            f"{''.join(f'g{k}, ' for k in range(given))}= given",
            *(f"{w} = {made}" for w, made in zip(written, made)),
            f"odd = run(0, {stop}, {', '.join([*reads, *written])}{', *numbers' if self.numbers else ''})",
            f"return {result.format(first, ''.join(f'{w}, ' for w in others))}",
        ])  # fmt: skip

    def __call__(self, given: Sequence[Numbers], numbers: Mapping[str, float] | None = None) -> Any:
        settings = self.usual if numbers is None else [numbers[letter] for letter, _ in self.numbers]
        if self.plain:
            try:
                return self.call(given, settings)
            except TypeError:  # of another dtype, or entries that do not lie side by side
                self.plain = False
        return self.call(self._read(given), settings)

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
        found = list(given)
        for place, shape in self.reads:
            value = given[place]
            if value.dtype is not self.dtype or value.shape != shape or not value.flags.c_contiguous:
                found[place] = np.ascontiguousarray(value, self.dtype).reshape(shape)
        return found


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

    def _settings(self, numbers: Mapping[str, float] | None) -> dict[str, float]:
        return {name: value if numbers is None else numbers[letter] for letter, name, value in self.p.numbers}

    def forward(self, inputs: Sequence[Numbers], numbers: Mapping[str, float] | None = None) -> tuple[Numbers, Any] | None:
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
        self, dy: Numbers, inputs: Sequence[Numbers], y: Numbers, saved: Any, numbers: Mapping[str, float] | None = None
    ) -> list[Numbers]:
        dy, y, *values = self._read([dy, y, *inputs])
        with np.errstate(all="ignore"):
            assert self.backward_ is not None
            found = self.backward_(dy, y, saved, *values, **self._settings(numbers))
        return [np.asarray(g, self.dtype) for g in found]
