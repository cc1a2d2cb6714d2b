"""Why a gradient is wrong: explanations, tried in order. To add one is to add a function to the list.

Nothing is claimed that the numbers do not force: a mistake is named only where its gradient is the candidate's to
rounding, and mistakes that no number can tell apart are named together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace as changed
from typing import Any

import numpy as np

from ..engine.arrays import Array
from ..graph.table import number
from .blocks import block
from .case import Case
from .fitting import listed, per_index
from .judgement import Explain, Explanation, Given, Judgement
from .known import clamped, pair, rule
from .line import in_the_line, line, two_in_the_line
from .matrices import mixed_rows
from .misplaced import misplaced
from .neighbours import neighbour
from .overwriting import along_the_way
from .partly import partly
from .places import moved, none_there, reshaped
from .replaced import replaced
from .sanity import (
    changes_from_call_to_call,
    in_another_order,
    in_the_place_of_another,
    not_finite,
    of_another_shape,
    overwritten,
    transposed,
    zero_everywhere,
)
from .scales import another_scale
from .shifts import another_statistic, as_in_another
from .targets import of_a_loss
from .variants import in_less
from .weights import unequal

_FAR = 0.25  # an explanation that leaves more than this unexplained is none


def judge(
    case: Case, name: str, symbol: str, mine: Array | None, explained: bool = True, dtype: Any = None, **more: Any
) -> Judgement:
    """The verdict on one gradient, in the dtype it came in.

    explained:  whether to say why it is wrong, if it is
    dtype:      of the arithmetic, where it is known to be another than what came
    more:       what else is known of it, as ``Given`` has it
    """
    if mine is None:
        return Judgement(name, symbol, "missing", lines=(f"the candidate gives no {symbol}",))
    truth = case.truth[name]
    inferred = dtype is None
    dtype = arithmetic(mine, truth) if inferred else dtype
    if inferred and dtype == np.float64 and _beside(case, name, more.get("others", {})):
        dtype = np.dtype(np.float32)
    given = Given(name, symbol, mine.astype(np.float64), dtype, **more)
    measured: dict[str, Any] = {"max_abs": np.inf, "relative": np.inf}
    found = None
    if given.has_shape(case):
        largest = float(np.max(np.abs(truth), initial=0))
        with np.errstate(invalid="ignore"):
            off = float(np.max(np.abs(given.array - truth), initial=0))
        allowed = case.gate(name, dtype)
        measured = {"max_abs": off, "relative": off / largest if largest else off, "allowed": allowed}
        if off <= allowed:
            found = changes_from_call_to_call(case, given)
            if found is None:
                single = inferred and dtype != mine.dtype and off > case.gate(name, mine.dtype)
                told = (f"computed in {dtype} inside; judged by that rounding",) if single else ()
                return Judgement(name, symbol, "right", lines=told, **measured)
    found = found or explain(case, given, EXPLANATIONS if explained else (as_published,))
    said = {k: v for k, v in vars(found).items() if k != "status"}
    return Judgement(name, symbol, found.status, **said, **measured)


def arithmetic(mine: Array, truth: Array) -> Any:
    """The dtype its arithmetic can have been in: what was computed in single precision and widened is still single."""
    if mine.dtype not in (np.float16, np.float32, np.float64):
        return np.dtype(np.float64)
    single = np.dtype(np.float32)  # (half-precision numbers are what it was given: to give such says nothing)
    if mine.dtype == np.float64 and np.array_equal(mine.astype(single), mine) and not np.array_equal(truth.astype(single), truth):
        return single
    return mine.dtype


def _beside(case: Case, name: str, others: Mapping[str, Array | None]) -> bool:
    """Whether another gradient of the same answer was computed in single precision: then sums of such numbers are, too."""
    return any(
        g is not None and n != name and arithmetic(g, case.truth[n]) == np.float32 for n, g in others.items() if n in case.truth
    )


def explain(case: Case, given: Given, explanations: Sequence[Explain]) -> Explanation:
    """The first explanation there is."""
    for attempt in explanations:
        found = attempt(case, given)
        if found is not None:
            return found
    return Explanation(())


# In order -------------------------------------------------------------------------------------------------------------


def as_published(case: Case, given: Given) -> Explanation | None:
    """What the paper gives, which is by design not the gradient."""
    if given.published is None or not given.is_it(case, given.published):
        return None
    return Explanation((given.by_design,), status="by design")


def with_routes(attempt: Explain) -> Explain:
    """The same, after what it is as a combination of the routes, if it is one."""

    def explanation(case: Case, given: Given) -> Explanation | None:
        found = attempt(case, given)
        if found is None:
            return None
        return changed(found, lines=(*given.fit(case).lines(), *found.lines))

    return explanation


def whatever_the_size(attempt: Explain) -> Explain:
    """The same, unless a route that is missing here is there where no two sizes are alike, and what is wrong with it can be said there:
    a loop that only happens to end before its first turn leaves all of it out."""

    def explanation(case: Case, given: Given) -> Explanation | None:
        found = attempt(case, given)
        if (
            found is None
            or not given.has_shape(case)
            or all(abs(c) > d for c, d in zip(given.fit(case).coefficients, given.fit(case).uncertain))
        ):
            return found
        other = given.told_apart()
        if other is None or not other[1].has_shape(other[0]) or other[1].is_it(other[0], other[0].truth[given.name]):
            return found
        if any(abs(c) <= d for c, d in zip(other[1].fit(other[0]).coefficients, other[1].fit(other[0]).uncertain)):
            return found
        there = explain(other[0], other[1], EXPLANATIONS)
        if not there.sure:
            return found
        return changed(there, lines=(f"at {other[1].array.shape}, where no two sizes are alike:", *there.lines))

    return explanation


def combination(case: Case, given: Given) -> Explanation | None:
    """A combination of the routes, with wrong coefficients."""
    fit = given.fit(case)
    return Explanation(tuple(fit.sentences())) if fit.exact else None


def some_routes(case: Case, given: Given) -> Explanation | None:
    """Some routes whole, and at least two not there at all."""
    fit = given.fit(case)
    c = np.array(fit.coefficients)
    if (
        not fit.exact
        or np.sum(np.abs(c) <= fit.uncertain) < 2
        or not np.all((np.abs(c) <= fit.uncertain) | (np.abs(c - 1) <= fit.uncertain))
    ):
        return None
    return Explanation(tuple(fit.sentences()), ("routes missing",))


def by_index(case: Case, given: Given) -> Explanation | None:
    """The same, with coefficients of their own in each index of an axis."""
    lines = per_index(case, given.name, given.symbol, given.array, given.dtype)
    return Explanation(tuple(lines), sure=all("its own part" in text for text in lines)) if lines else None


def coarse(case: Case, given: Given) -> Explanation | None:
    """The right formula, as near as single precision goes."""
    single = np.dtype(np.float32)
    truth = case.truth[given.name]
    if given.dtype != np.float64 or np.max(np.abs(given.array - truth), initial=0) > case.gate(given.name, single):
        return None
    text = "the size of single-precision rounding: part of it is computed in float32, or two large numbers cancel"
    where = _map(given.array, truth, case.gate(given.name, given.dtype))
    return Explanation((text, *where), status="imprecise", sure=False)


def in_half(case: Case, given: Given) -> Explanation | None:
    """Every entry is a number of half precision, and near the right one: that is what it was added up or kept in."""
    truth = case.truth[given.name]
    if not given.has_shape(case) or given.array.size < 3 or not np.all(np.isfinite(given.array)):
        return None
    if np.max(np.abs(given.array - truth), initial=0) > 0.05 * np.max(np.abs(truth), initial=0):
        return None
    for (words, mine), (_, right) in zip(in_less("", given.array), in_less("", truth)):
        if np.array_equal(mine, given.array) and not np.array_equal(right, truth):
            name = words.split()[-1]
            return Explanation(
                (f"every entry is a number that {name} holds: it is added up, or kept, in {name}",), status="imprecise"
            )
    return None


def whole_numbers(case: Case, given: Given) -> Explanation | None:
    """Every entry is a whole number, and near the right one, which is none."""
    truth = case.truth[given.name]
    if not given.has_shape(case) or given.array.size < 3 or not np.array_equal(given.array, np.round(given.array)):
        return None
    terms = max(1, case.dy.size // given.array.size)  # each may have been cut
    if np.max(np.abs(given.array - truth), initial=0) >= terms or np.array_equal(truth, np.round(truth)):
        return None
    how = next(
        (
            w
            for w, f in (("cut off", np.trunc), ("rounded", np.round), ("rounded down", np.floor))
            if np.array_equal(f(truth), given.array)
        ),
        "",
    )
    text = f"every entry is a whole number{f', the right one {how}' if how else ''}: it is kept, or added up, in an array of integers"
    return Explanation((text,), ("in integers",))


def residual(case: Case, given: Given) -> Explanation | None:
    """What comes nearest, what that leaves, and where the difference is."""
    truth = case.truth[given.name]
    where = _map(given.array, truth, case.gate(given.name, given.dtype))
    return Explanation((*_best(case, given), *where, *given.gave_up), sure=False)


EXPLANATIONS: tuple[Explain, ...] = (
    not_finite,
    as_published,
    in_another_order,
    of_another_shape,
    zero_everywhere,
    transposed,
    overwritten,
    none_there,
    along_the_way,
    of_a_loss,
    whatever_the_size(with_routes(in_the_line(rule))),
    whatever_the_size(with_routes(some_routes)),
    neighbour,
    reshaped,
    moved,
    clamped,
    line,
    block,
    replaced,
    misplaced,
    mixed_rows,
    as_in_another,
    whole_numbers,
    in_the_place_of_another,
    with_routes(pair),
    with_routes(combination),
    partly,
    unequal,
    another_scale,
    another_statistic,
    two_in_the_line,
    by_index,
    coarse,
    in_half,
    residual,
)


# What cannot be named ------------------------------------------------------------------------------------------------


def _best(case: Case, given: Given) -> list[str]:
    fit, answer = given.fit(case), given.array
    best: tuple[float, str] = (
        fit.unexplained,
        f"the routes, {' + '.join(f'{c:.3g}·{t}' for c, t in zip(fit.coefficients, fit.titles))}",
    )
    largest = max(float(np.max(np.abs(answer), initial=0)), 1e-300)
    for m in case.library:
        wrong = case.mistaken(m)[given.name]
        if wrong.shape == answer.shape and np.all(np.isfinite(wrong)):
            off = float(np.max(np.abs(answer - wrong), initial=0)) / largest
            best = min(best, (off, m.sentence), key=lambda pair: pair[0])
    share = f"{min(best[0], 1):.1%}" if best[0] > 5e-4 else number(best[0])
    if best[0] > _FAR:
        return [f"no known mistake. Best explanation: none comes near, {share} of it remains unexplained at the least"]
    return [f"no known mistake. Best explanation: {best[1]}; {share} of it remains unexplained"]


def _map(answer: Array, truth: Array, allowed: float) -> list[str]:
    """Where the difference is, if it is not everywhere."""
    bad = np.abs(answer - truth) > allowed
    lines = []
    for axis in range(bad.ndim if bad.ndim > 1 else 0):
        hit = np.flatnonzero(np.any(bad, axis=tuple(a for a in range(bad.ndim) if a != axis)))
        if 0 < len(hit) <= bad.shape[axis] // 2:
            lines.append(f"the difference is in index {listed(hit)} of axis {axis} only")
    if not lines and 0 < bad.sum() <= bad.size // 2:
        lines.append(f"the difference is in {bad.sum()} of {bad.size} entries only")
    return lines
