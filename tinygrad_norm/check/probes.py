"""The numbers a candidate is asked with: drawn so that mistakes show, and measured by the mistakes that would pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine import ShapeError, TinygradNormError
from ..engine.arrays import Array
from ..norms import InputError
from .allowance import is_centring
from .case import Case
from .compare import as_numbers
from .subject import Subject, are_axes, as_sequence, rounded

_HALF = float(np.finfo(np.float16).max)
_TRIES = 5  # probes drawn, of which the strongest is taken
_SHAPES = {
    2: ((4, 7), (7, 4), (5, 5), (3, 2), (4, 3), (3, 1027), (1027, 3)),
    3: ((2, 3, 5), (3, 4, 2), (2, 3, 1027), (103, 2, 3)),
    4: ((3, 4, 2, 5),),  # with two samples, half of them, the last one and all but the first would be one
}
_IMAGES = ((3, 2, 4, 4), (4, 6, 1, 3), (2, 2, 13, 79))  # besides, for who is asked with images first
# odd and even, B = N and not, N of 2 and 3, longer than a block
_SIZES = ((4, 7, 3, 5, 2), (5, 5, 5, 5, 5), (7, 4, 5, 3, 2), (3, 2, 4, 3, 5), (3, 131, 2, 3, 2), (131, 3, 2, 2, 3))
""" For axes that only have names, in the order in which they occur."""


@dataclass(frozen=True)
class Site:
    """Where a candidate is asked.

    shape:   of the input; for a forward of one's own the size of each named axis
    words:   how it is told
    special: the index of the norm's special numbers, or None; ``option``: who does not take it need not know them
    """

    shape: Any
    words: str
    ndim: int
    special: int | None = None
    option: str | None = None


def sites(subject: Subject, main: tuple[int, ...] | None) -> list[Site]:
    """The shapes besides the main one, and the norm's special numbers."""
    if not subject.registered:
        if subject.axes is None:
            return []
        letters = list(dict.fromkeys(a for axes in subject.axes.values() for a in axes))
        made = [dict(zip(letters, sizes)) for sizes in _SIZES]
        return [Site(m, ", ".join(f"{k} = {v}" for k, v in m.items()), len(m)) for m in made[1:]]
    norm = subject.norm
    first = norm.shape if main is None else tuple(np.atleast_1d(main).tolist())
    groups = int(subject.options.get("num_groups") or 1)
    found = []
    for ndim, shapes in _SHAPES.items():
        if ndim < norm.min_ndim or (ndim == 2 and min(len(norm.shape), len(first)) > 2):
            continue
        for shape in (*shapes, *(_IMAGES if ndim == len(first) == 4 else ())):
            s = shape if shape[1] % groups == 0 else (shape[0], shape[1] * groups, *shape[2:])
            found += [Site(s, str(s), ndim)] if s != first else []
    found += [Site(first, words, len(first), k, option) for k, (words, _, option) in enumerate(norm.special)]
    return found


def told_apart(subject: Subject, case: Case) -> Case | None:
    """As many axes with no two sizes alike, nor a size like another's part: what a size explains at both is no coincidence."""
    if not subject.registered:
        return None
    ndim, groups = case.inputs[next(iter(case.inputs))].ndim, int(subject.options.get("num_groups") or 1)
    rest = [n for n in (3, 5, 11, 7, 17) if n % groups or groups == 1]
    channels = 4 * groups if groups > 1 else 13  # (no power of two: to that a block may be filled)
    shape = (rest[0], channels, *rest[1 : max(1, ndim - 1)])[:ndim]
    return case_at(subject, Site(shape, str(shape), ndim), 1) if len(shape) == ndim > 1 else None


def case_at(subject: Subject, site: Site, seed: int) -> Case | None:
    """The numbers of one site; None where the norm has nothing of that shape."""
    rng = np.random.default_rng([seed, 77])
    try:
        values = draw(subject, rng, site.shape)
        if site.special is not None:
            other = subject.norm.special[site.special][1](rng, values, **subject.options)
            if other is None:
                return None
            values |= other
        return subject.case(values)
    except (TinygradNormError, ValueError, IndexError):
        return None


@dataclass(frozen=True)
class Probe:
    """The numbers a candidate is asked with, and how strong they are.

    passing:  the known mistakes that would pass with them
    known:    how many known mistakes there are (those that no numbers tell from the right formula are not counted)
    squeezed: statistics smaller than the ε beside them, and the share of their entries
    """

    inputs: Mapping[str, Array]
    dy: Array
    passing: tuple[str, ...]
    known: int
    squeezed: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        if not self.passing:
            return f"strong (0 of {self.known} known mistakes would pass)"
        if len(self.passing) == self.known:
            return f"none: all {self.known} known mistakes would pass; this test could not have failed"
        return f"weak: {len(self.passing)} of {self.known} known mistakes would pass, such as: {'; '.join(self.passing[:3])}"


class Strength:
    """The strongest of some probes, and what any other is measured by."""

    def __init__(self, subject: Subject, shape: tuple[int, ...] | None, seed: int, wanted: Sequence[str] | None = None) -> None:
        cases = [subject.case(draw(subject, np.random.default_rng([seed, k]), shape)) for k in range(_TRIES)]
        self._wanted = list(cases[0].leaves) if wanted is None else list(wanted)
        weak = [self._passing(case) for case in cases]
        self._harmless = set.intersection(*weak)
        best = min(range(_TRIES), key=lambda k: len(weak[k]))
        self.case = cases[best]
        self._known = len({m.name for m in self.case.library} - self._harmless)
        self.probe = self._measured(self.case, weak[best])

    def of(self, case: Case) -> Probe:
        """How strong another probe is."""
        return self._measured(case, self._passing(case))

    def _passing(self, case: Case) -> set[str]:
        return {m.name for m in case.passing(self._wanted, np.float64)}

    def _measured(self, case: Case, passing: set[str]) -> Probe:
        inputs = {n: t.numpy() for n, t in case.inputs.items()}
        return Probe(inputs, case.dy, tuple(sorted(passing - self._harmless)), self._known, tuple(case.squeezed))


def draw(subject: Subject, rng: np.random.Generator, shape: Any) -> dict[str, Array]:
    """Inputs on which mistakes show: every row and column of its own size and mean, some small enough for ε to matter.

    They are numbers of half precision, so that the same problem can be put in any dtype.
    """
    if subject.axes is not None:
        letters = dict.fromkeys(a for axes in subject.axes.values() for a in axes)
        sizes = shape if isinstance(shape, Mapping) else dict(zip(letters, _SIZES[0]))
        return {n: rounded(_uneven(rng, tuple(sizes[a] for a in axes))) for n, axes in subject.axes.items()}
    if not subject.registered:
        return {n: rounded(_like(rng, a)) for n, a in subject.arrays.items()}
    shape = subject.norm.shape if shape is None else tuple(np.atleast_1d(shape).tolist())
    if len(shape) < subject.norm.min_ndim or min(shape) < 1:
        raise ShapeError(
            f"check: {subject.title} needs an input with at least {subject.norm.min_ndim} axes, none empty, not {shape}."
        )
    values = {}
    plain = {n: make for n, make in (("weight", np.ones), ("bias", np.zeros)) if n in subject.plain}
    for n, s in {"input": shape, **subject.norm.parameters(shape, **subject.options)}.items():
        if n in plain:
            values[n] = plain[n](s)
        elif n in subject.norm.draw:
            values[n] = rounded(np.asarray(subject.norm.draw[n](rng, s)))
        else:
            values[n] = rounded(_uneven(rng, s) if n == "input" else rng.normal(size=s))
    return values


def given(subject: Subject, inputs: Any, case: Case) -> dict[str, Array]:
    """The user's own numbers; what was not given is as in our probe."""
    ours = {n: t.numpy() for n, t in case.inputs.items()}
    if not subject.registered:
        return {**ours, **subject.arrays}
    mine = inputs if isinstance(inputs, Mapping) else {} if inputs is None else dict(zip(ours, as_sequence(inputs)))
    if unknown := set(mine) - set(ours):
        raise InputError(f"check: {subject.title} has no input {', '.join(sorted(unknown))}; it has {', '.join(ours)}.")
    found = {n: as_numbers(n, mine.get(n, a), "check") for n, a in ours.items()}
    x = found["input"]
    for n, s in subject.norm.parameters(x.shape, **subject.options).items():
        if found[n].shape != s:
            if n in mine:
                raise ShapeError(f"check: {n} has shape {found[n].shape}; for an input of shape {x.shape} it must be {s}.")
            found[n] = draw(subject, np.random.default_rng(0), x.shape)[n]
    return found


def first_shape(subject: Subject, shape: tuple[int, ...] | None, inputs: Any) -> tuple[int, ...] | None:
    """Of the input that is judged first: as said, or as the given one has it."""
    if shape is not None or inputs is None or not subject.registered:
        return shape
    x = inputs.get("input") if isinstance(inputs, Mapping) else next(iter(as_sequence(inputs)), None)
    if x is None:
        return None
    if are_axes(x):
        return tuple(_SIZES[0][: len(x)])
    x = as_numbers("input", x, "check")
    return x.shape if x.size else None


def far_from_zero(subject: Subject, case: Case) -> Case | None:
    """The same with a mean of 1000 deviations, where something is centred: there a variance by mean(x²) − mean(x)² fails."""
    graph = case.graph
    subs = [t for t in graph.tensors if t.op is not None and t.op.name == "sub"]
    if not (subject.registered and any(is_centring(t) for t in subs)):
        return None
    rng = np.random.default_rng(0)
    values = {n: t.numpy() for n, t in case.inputs.items()}
    values["input"] = (rng.normal(size=values["input"].shape) + 1000).astype(np.float32).astype(np.float64)
    return subject.case(values, case.dy)


def edges_of_half(subject: Subject, case: Case) -> Iterator[tuple[str, Case]]:
    """The same with rows that float16 holds and the squares of which it does not, where there is one input that is normalized."""
    if not subject.registered or next(iter(case.leaves)) != "input":
        return
    x = np.random.default_rng(0).normal(size=case.leaves["input"].shape)
    values = {n: t.numpy() for n, t in case.inputs.items()}
    for words, size in (("entries of about 1e-4, whose squares are 0 in float16, as a small ε is", 1e-4),
                        ("entries of about 300, whose squares float16 does not hold", 300.0)):  # fmt: skip
        other = subject.case({**values, "input": rounded(x * size)}, case.dy)
        if all(np.max(np.abs(g), initial=0) < _HALF for g in other.truth.values()):
            yield words, other


def _uneven(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    x = rng.normal(size=shape)
    for axis, n in enumerate(shape):
        along = tuple(n if a == axis else 1 for a in range(len(shape)))
        x = x * 10 ** rng.uniform(-0.6, 0.3, along) + 0.5 * rng.normal(size=along)
    small = tuple(1 if a else max(1, shape[0]) for a in range(len(shape)))
    return x * np.where(rng.uniform(size=small) < 0.3, 0.05, 1.0) if shape else x


def _like(rng: np.random.Generator, a: Array) -> Array:
    if a.dtype.kind in "iub":
        return a
    spread = float(np.std(a)) or 1.0
    drawn = rng.normal(size=a.shape) * spread + (float(np.mean(a)) if a.size else 0.0)
    return np.abs(drawn) if a.size and a.min() > 0 else drawn


def redrawn(case: Case) -> dict[str, Array]:
    """Other numbers in the same shapes."""
    rng = np.random.default_rng(3)
    every = {n: t.numpy() for n, t in case.inputs.items()}
    return {n: rng.permutation(a.ravel()).reshape(a.shape) if a.dtype.kind == "f" else a for n, a in every.items()}
