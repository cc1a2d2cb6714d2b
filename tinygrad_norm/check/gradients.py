"""Is the gradient of this function right, at every order, in both modes? One call that asks oracles from outside.

Order by order: the oracle differentiates the values of order k − 1 by moving the arguments, never by a backward pass,
and the engine's order k must agree. So the first order that is wrong is the one reported wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine import DTypeError, OptionError, TinygradNormError, describe, jvp, vjp
from ..engine.arrays import Array
from ..engine.shapes import flag
from ..engine.shapes import number as real
from ..graph.table import number
from .bench import WAYS, Bench, Function, Subject
from .findings import Finding, GradientCheck, GradientMismatchError
from .oracles import LONGER, Estimate, directions

MODES = ("reverse", "forward")
ADJOINT = "adjoint"


def check_grads(
    f: Function,
    args: Any,
    order: int = 3,
    modes: Sequence[str] = MODES,
    seed: int = 0,
    rtol: float | None = None,
    raises: bool = False,
) -> GradientCheck:
    """Hold every derivative of ``f`` at ``args`` up to ``order`` against oracles that know no backward pass.

    f:      from tensors to a tensor, or to several as a tuple; deterministic
    args:   one floating-point tensor, array or number, or a tuple of them: the point
    order:  1, 2, … : each order is compared given the one before. Order k is the gradient of the derivative of order
            k − 1 along random directions (the cotangent is random, too)
    modes:  "reverse" (gradients, both as numbers and recorded) and "forward" (``jvp``, nested)
    rtol:   how far off an entry may be, relative to the largest. By default what the rounding of every operation of the
            recorded derivative can do to that entry (``check/rounding.py``), twice, in the dtype of the function.
            The oracle's own error, rounding in double precision and what changes with its steps, comes on top in any case
    raises: raise ``GradientMismatchError`` with the table when something disagrees

    Complex step replays the recorded derivative of order k − 1 over complex numbers, entry by entry (sampled where there
    are many) and, where the platform has them, along random directions in long doubles. It is used where every op is
    smooth and central differences of fresh calls of ``f`` do not contradict it, as they do when the record holds constants
    that were computed from the arguments. Otherwise central differences of fresh calls are the oracle.
    Everything that was not compared is named in ``notes``.

    Raises ``DTypeError`` for an argument or an output that is not floating point, ``GradientError`` when f returns something
    else than tensors, ``InputError`` for numbers that are not finite or a function that is not deterministic.
    """
    name = "check_grads"
    order, seed = real(name, "order", order, 1, whole=True), real(name, "seed", seed, 0, whole=True)
    if not isinstance(modes, Collection) or not modes or any(mode not in MODES for mode in list(modes)):
        raise OptionError(f"{name}: modes={describe(modes)}; they are {' and '.join(MODES)}, or one of these in a list.")
    if not callable(f):
        raise DTypeError(
            f"{name}: f={describe(f)} cannot be called; give a function of tensors, such as lambda x: (x * x).sum()."
        )
    rtol, raises = None if rtol is None else real(name, "rtol", rtol, 0), flag(name, "raises", raises)
    subject = Subject.of(f, args, order, np.random.default_rng(seed))
    judge = _Judge(subject, rtol)
    for k in range(1, order + 1):
        for mode in dict.fromkeys(modes):
            try:
                (judge.reverse if mode == "reverse" else judge.forward)(k)
            except (TinygradNormError, ValueError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
                judge.failed(k, mode, error)
        if set(modes) == set(MODES):
            judge.adjoint(k)
        if judge.stopped:
            break
    result = GradientCheck(subject.title, tuple(judge.findings), tuple(dict.fromkeys(judge.notes)))
    if raises and not result.ok:
        raise GradientMismatchError(f"check_grads: the gradient of {subject.title} is wrong.\n{result}")
    return result


def adjoint_test(f: Function, args: Any, seed: int = 0, ways: int = 3) -> Finding:
    """⟨u, Jv⟩ = ⟨Jᵀu, v⟩ for random u and v: do forward mode and reverse mode speak of one Jacobian?

    It needs no oracle, and proves little by itself: our forward mode is made of the pullbacks, so a wrong one is wrong in
    both. What it finds are pullbacks that are not linear in the cotangent, and kernels that differ from their rules.
    Raises as ``check_grads``.
    """
    rng = np.random.default_rng(seed)
    subject = Subject.of(f, args, 1, rng)
    worst: Finding | None = None
    for _ in range(ways):
        vs = directions(subject.point, rng)
        us = [rng.normal(size=u.shape).astype(u.dtype) for u in subject.cotangents]
        gs = [g.numpy() for g in vjp(subject.f, *subject.point)[1](tuple(us))]
        along = [t.numpy() for t in jvp(subject.f, tuple(subject.point), tuple(vs))[1]]
        found = _same_product(1, f"{ways} pairs u, v", us, along, gs, vs, 50 * subject.unit)
        if worst is None or not _excess(found.max_abs, found.allowed) <= _excess(worst.max_abs, worst.allowed):
            worst = found
    assert worst is not None
    return worst


# The trial --------------------------------------------------------------------------------------------------------

_SLACK = 2.0  # kernels take other operations than the rules on the record, not twice as many; the oracle has its own order
_DOUBLE = float(np.finfo(np.float64).eps) / 2
_LITTLE = 1e-3  # an answer that is less certain than this, relative, is asked for again


@dataclass
class _Row:
    """One comparison, entry by entry.

    rounding:  per unit roundoff, by the running analysis of the record
    error:     the oracle's own
    again:     the oracle asked with other steps, at the places where it is contradicted: values and their error there
    """

    name: str
    found: Array
    expected: Array
    rounding: Array
    error: Array
    again: Callable[[Array], tuple[Array, Array]]


class _Judge:
    def __init__(self, subject: Subject, rtol: float | None) -> None:
        self.subject, self.rtol = subject, rtol
        self.findings: list[Finding] = []
        self.notes: list[str] = [] if LONGER else ["long double is no longer than double here; that oracle is not available"]
        self.stopped = self._kinked = False
        self._gradients: tuple[list[Array], list[Array]] | None = None
        self._tangents: tuple[list[Array], list[Array]] | None = None

    def failed(self, k: int, mode: str, error: Exception) -> None:
        """The engine could not compute that order at all."""
        self.findings.append(Finding(k, mode, "—", "nothing", type(error).__name__, math.nan, 0.0))
        self.notes.append(f"order {k}, {mode}: {type(error).__name__}: {str(error).rstrip('.')}; higher orders were not tried")
        self.stopped = True

    def reverse(self, k: int) -> None:
        s = self.subject
        self._gradients = None
        numbers = s.gradient(s.point, k)
        again, recorded = s.gradient(s.point, k), s.gradient(s.point, k, record=True)
        bounds = s.bounds(k)
        self._gradients = numbers, bounds
        bench = Bench(s, k, s.reverse_terms, True, self.notes, "reverse")
        self._look_for_a_kink(bench, lambda point: s.gradient(point, k), numbers)
        estimates = [bench.entries(i) for i in range(len(s.point))]
        slopes = [bench.slope(way) for way in s.asked]
        asked = sum(len(e.entries) for e in estimates)
        size = sum(x.size for x in s.point)
        if asked < size:
            self.notes.append(f"order {k}, reverse: {asked} of {size} entries, drawn at random, and {WAYS} random directions")
        part = f"all {size} entries" if asked == size else f"{asked} of {size} entries"
        for mode, gs in (("reverse", numbers), ("recorded", recorded)):
            rows = []
            for i, (name, g, e, bound) in enumerate(zip(s.names, gs, estimates, bounds)):

                def ask(bad: Array, i: int = i, e: Estimate = e) -> tuple[Array, Array]:
                    other = bench.entries_again(i, e.entries[bad])
                    return other.values, other.error

                rows.append(_Row(name, g.reshape(-1)[e.entries], e.values, bound.reshape(-1)[e.entries], e.error, ask))
            self._judge(k, mode, bench.oracle, part, rows, bool(bench.again))
            rows = []
            for way, slope in zip(s.asked, slopes):
                products = [g.astype(np.float64) * v for g, v in zip(gs, way)]
                total = np.array([sum(float(np.sum(p)) for p in products)])
                bound = np.array([_weighed(bounds, way)])
                summing = _DOUBLE * sum(math.sqrt(p.size) * float(np.sum(np.abs(p))) for p in products)

                def ask_along(bad: Array, way: list[Array] = way) -> tuple[Array, Array]:
                    other = bench.slope(way, first=False)
                    return np.atleast_1d(other.values), np.atleast_1d(other.error)

                rows.append(
                    _Row("all", total, np.atleast_1d(slope.values), bound, np.atleast_1d(slope.error + summing), ask_along)
                )
            self._judge(k, mode, bench.slope_oracle, f"{WAYS} directions", rows, bool(bench.again))
        if any(not np.array_equal(a, b) for a, b in zip(numbers, again)):
            self.findings.append(Finding(k, "reverse", "repetition", f"all {size} entries", "two runs differ", math.inf, 0.0))

    def forward(self, k: int) -> None:
        s = self.subject
        self._tangents = None
        found = [t.numpy() for t in s.along(s.point, k)]
        bounds = s.bounds(k, forward=True)
        self._tangents = found, bounds
        bench = Bench(s, k, s.forward_terms, False, self.notes, "forward")
        self._look_for_a_kink(bench, lambda point: [t.numpy() for t in s.along(point, k)], found)
        slope = bench.slope(s.ways[k - 1])
        rows, start = [], 0
        for i, (t, bound) in enumerate(zip(found, bounds)):
            part = slice(start, start + t.size)
            start += t.size

            def ask(bad: Array, part: slice = part) -> tuple[Array, Array]:
                other = bench.slope(s.ways[k - 1], first=False)
                return other.values[part][bad], other.error[part][bad]

            name = f"output {i}" if len(found) > 1 else "output"
            rows.append(_Row(name, t.reshape(-1), slope.values[part], bound.reshape(-1), slope.error[part], ask))
        self._judge(k, "forward", bench.slope_oracle, "1 direction", rows, bool(bench.again))

    def adjoint(self, k: int) -> None:
        """⟨u, Jv⟩ against ⟨Jᵀu, v⟩."""
        if self._gradients is None or self._tangents is None:
            return
        s = self.subject
        (gs, g_bounds), (ts, t_bounds) = self._gradients, self._tangents
        rounding = _weighed(g_bounds, s.ways[k - 1]) + _weighed(t_bounds, s.cotangents)
        relative = 4 * _DOUBLE if self.rtol is None else self.rtol
        noise = _SLACK * s.unit * rounding
        self.findings.append(_same_product(k, "1 pair u, v", s.cotangents, ts, gs, s.ways[k - 1], relative, noise))

    def _look_for_a_kink(self, bench: Bench, compute: Callable[[list[Array]], list[Array]], at: list[Array]) -> None:
        """Where an op has kinks: whether a result jumps when the arguments move by one rounding. Nothing can be decided there."""
        self._kinked = False
        if bench.kinked:
            moved = self._shake(compute, at)
            sizes = [float(np.max(np.abs(g), initial=0)) for g in at]
            self._kinked = any(m > 1e-3 * (size + max(self.subject.sizes)) for m, size in zip(moved, sizes))

    def _allowed(self, row: _Row, error: Array) -> Array:
        """What may separate the engine from an oracle, entry by entry."""
        if self._kinked and self.rtol is None:
            return np.full(row.rounding.shape, math.inf)
        allowed: Array = _SLACK * row.rounding * _DOUBLE + 4 * error
        if self.rtol is not None:
            allowed += self.rtol * float(np.max(np.abs(row.expected), initial=0))
        else:
            allowed += _SLACK * row.rounding * self.subject.unit
        return allowed

    def _shake(self, compute: Callable[[list[Array]], list[Array]], at: list[Array]) -> list[float]:
        """How far each result moves when the arguments move by one rounding."""
        most = [0.0] * len(at)
        for _ in range(2):
            point = []
            for x in self.subject.point:
                sign = self.subject.rng.choice([-1.0, 1.0], x.shape).astype(x.dtype)
                point.append(x * (1 + sign * np.finfo(x.dtype).eps))
            for i, (moved, still) in enumerate(zip(compute(point), at)):
                most[i] = max(most[i], float(np.max(np.abs(moved.astype(np.float64) - still), initial=0)))
        return most

    def _judge(self, k: int, mode: str, oracle: str, part: str, rows: list[_Row], by_step: bool) -> None:
        """One finding out of several comparisons: the one that exceeds what is allowed the most."""
        worst, size, bound = "", 0.0, 0.0
        for row in rows:
            found = row.found.astype(np.float64)
            expected, error = row.expected, row.error
            knows_little = ~(error <= _LITTLE * np.abs(expected)) & (not by_step)
            bad = np.flatnonzero(~(np.abs(found - expected) <= self._allowed(row, error)) | knows_little)
            if len(bad):  # before anybody is contradicted, or believed on little, the oracle is asked again
                values, doubt = row.again(bad)
                expected, error = expected.copy(), error.copy()
                if by_step:
                    error[bad] += np.abs(values - expected[bad])
                else:
                    better = doubt < error[bad]
                    expected[bad], error[bad] = np.where(better, values, expected[bad]), np.where(better, doubt, error[bad])
            allowed, off = self._allowed(row, error), np.abs(found - expected)
            off = np.where(np.isnan(off), math.inf, off)
            allowed = np.where(np.isfinite(found), allowed, 0.0)
            if not off.size:
                continue
            excess = [_excess(float(o), float(a)) for o, a in zip(off, allowed)]
            at = int(np.argmax(excess))
            if not worst or excess[at] > _excess(size, bound):
                worst, size, bound = row.name, float(off[at]), float(allowed[at])
            largest = float(np.max(np.abs(expected), initial=0))
            if self.rtol is None and 1e-3 * largest < np.max(allowed) < math.inf and np.any(off > 0):
                self.notes.append(
                    f"order {k}, {mode}, {row.name}: rounding alone may move it by {number(float(np.max(allowed)))}, while its largest "
                    f"entry is {number(largest)}: it is zero but for rounding, or badly conditioned here, or at a kink"
                )
        self.findings.append(Finding(k, mode, oracle, part, worst, size, bound))


def _weighed(bounds: Sequence[Array], weights: Sequence[Array]) -> float:
    """What sums with these weights may be off by."""
    with np.errstate(invalid="ignore"):  # ∞·0
        return sum(float(np.sum(np.where(v != 0, b * np.abs(v), 0.0))) for b, v in zip(bounds, weights))


def _excess(size: float, allowed: float) -> float:
    """How many times what is allowed."""
    return 0.0 if not size else size / allowed if allowed else math.inf


def _same_product(
    k: int,
    part: str,
    us: Sequence[Array],
    tangents: Sequence[Array],
    gs: Sequence[Array],
    vs: Sequence[Array],
    relative: float,
    noise: float = 0.0,
) -> Finding:
    left = [u.astype(np.float64) * t for u, t in zip(us, tangents)]
    right = [g.astype(np.float64) * v for g, v in zip(gs, vs)]
    gap = abs(sum(float(np.sum(p)) for p in left) - sum(float(np.sum(p)) for p in right))
    scale = sum(float(np.sum(np.abs(p))) for p in left + right)
    return Finding(k, "both", ADJOINT, part, "⟨u,Jv⟩", gap, relative * scale + noise)
