"""Explanations by a scale that is another in each row, whatever it is: the rest of the formula is right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace as changed

import numpy as np

from ..derive.formula import Call, Letter, Power, Total, letters, places
from ..engine.arrays import Array
from ..graph.table import number
from .case import Case
from .fused import Fused
from .judgement import Explanation, Given
from .line import explained, formula_of
from .variants import placed

_COMPUTED, _EVERY = ", and in all that is computed from it", ", in every term"


def another_scale(case: Case, given: Given) -> Explanation | None:
    """One over σ, or a length, with other numbers: in every term, or in all that is computed from it, too."""
    found = formula_of(case, given)
    if found is None:
        return None
    mine = found.spread(given.array)
    gate = given.gate(case)
    causes = []
    suspects = []
    for letter, along, times in _candidates(found, mine):
        right = placed(found, found.known[letter.name])
        if np.max(np.abs(times - 1)) < 1e-9 or not np.all(times > 0):  # a root is positive, and so is what e^z is divided by
            continue
        for value in (right * times, right / times):
            for lines, where in ((found.formula.lines, _COMPUTED), ((), _EVERY)):
                with np.errstate(all="ignore"):
                    other = found.with_lines(lines, {letter.name: value})
                    other.known[letter.name] = value
                    made = [other.value(t) for t in found.terms]
                if all(m is not None for m in made) and np.max(np.abs(np.sum(made, axis=0) - mine)) <= gate:  # type: ignore[arg-type]
                    said = _said(found, case.eps, letter, along, value, where)
                    causes.append(f"your {given.symbol} has {said}")
                    suspects.append((said, letter.name, value, "all" if lines else "none"))
    causes = list({c.replace(_COMPUTED, "").replace(_EVERY, ""): c for c in reversed(causes)}.values())[::-1]
    if not causes:
        return None
    case.suspects.extend(suspects[:1])
    off = float(np.max(np.abs(given.array - case.truth[given.name]), initial=0))
    single = given.dtype == np.float64 and off <= case.gate(given.name, np.float32)
    return changed(explained(found, given, causes), status="imprecise" if single else "wrong")


def _candidates(found: Fused, mine: Array) -> Iterator[tuple[Letter, tuple[str, ...], Array]]:
    """Letters that are scaled: roots, and what is divided by a sum; the axes along which each has its own scale, and that scale."""
    read = {a for t in found.terms for a in letters(t)}
    for line in found.formula.lines:
        e, letter = line.expression, line.letter
        if letter.name not in read or not letter.axes:
            continue
        if isinstance(e, Power) and line in found.statistics():
            along = letter.axes
        elif isinstance(e, Call) and e.function == "softmax":
            along = tuple(a for a in found.axes if a not in e.axes)
        else:
            continue
        for k, times in enumerate(_times(found, along, mine)):
            direct = not any(isinstance(n, Total) for _, n in places(found.terms[k]))
            if along and (isinstance(e, Call) or direct):
                yield letter, along, times


def _times(found: Fused, axes: tuple[str, ...], mine: Array) -> list[Array]:
    """How many times each term is what it should be, in each index of these axes: by least squares."""
    values = [np.asarray(found.value(t)) for t in found.terms]
    along = [k for k, a in enumerate(found.axes) if a in axes]
    if values[0].ndim != len(found.axes):
        return []
    shape = [found.sizes[a] if a in axes else 1 for a in found.axes]
    n = int(np.prod(shape))
    rows = [np.moveaxis(v, along, range(len(along))).reshape(n, -1) for v in (*values, mine)]
    if rows[0].shape[1] <= len(values):
        return []
    times = np.empty((len(values), n))
    for i in range(n):
        c, _, rank, _ = np.linalg.lstsq(np.stack([r[i] for r in rows[:-1]], axis=1), rows[-1][i], rcond=1e-12)
        if rank < len(values):
            return []
        times[:, i] = c
    return [t.reshape(shape) for t in times]


def _of_another(right: Array, value: Array) -> str:
    """Of which index it is, where it is that of another one but for the first or the last."""
    a, b = right.ravel(), value.ravel()
    if right.size < 3:
        return ""
    each = [(np.moveaxis(right, k, 0), np.moveaxis(value, k, 0)) for k, n in enumerate(right.shape) if n > 2 or n == right.size]
    for one, other in ((a, b), *(each if len(each) else ())):
        for words, mine, theirs in (("before", other[1:], one[:-1]), ("after", other[:-1], one[1:])):
            if np.allclose(mine, theirs, rtol=1e-9, atol=0):
                end, rest = ("first", other[:1]) if words == "before" else ("last", other[-1:])
                own = number(float(rest.flat[0])) if np.ptp(rest) <= 1e-9 * np.max(np.abs(rest)) else "a number of its own"
                return f"that of the index {words}, [i {'−' if words == 'before' else '+'} 1], and {own} at the {end}"
    return ""


def _known_as(found: Fused, eps: float, letter: Letter, value: Array) -> str:
    """What it is in terms of the statistics, if it is something that people compute."""
    right = placed(found, found.known[letter.name])
    if value.size != right.size or value.size < 2:
        return ""
    low, high = float(np.min(value)), float(np.max(value))
    with np.errstate(all="ignore"):
        if high - low <= 1e-9 * abs(high):
            for words, one in (("the mean", np.mean(right)), ("the largest", np.max(right)), ("the smallest", np.min(right))):
                if abs(float(one) - low) <= 1e-9 * abs(low):
                    return f"{words} of all {letter.name}"
            for words, one in (("σ", np.mean(1 / right)), ("σ²", np.mean(right**-2.0))):
                if abs(float(one) ** (-1 if words == "σ" else -0.5) - low) <= 1e-9 * abs(low):
                    return f"one over {'the mean of' if words == 'σ' else 'the root of the mean of'} all 1/{letter.name}{'²' * (words == 'σ²')}"
            return f"{number(low)} in every index"
        for bound, words in ((high, "no larger than"), (low, "no smaller than")):
            cut = np.minimum(right, bound) if bound == high else np.maximum(right, bound)
            if np.allclose(value, cut, rtol=1e-9, atol=0):
                return f"{letter.name} clipped, {words} {number(bound)}"
        small = {x.letter.name: placed(found, found.known[x.letter.name]) for x in found.statistics()}
        for name, a in small.items():
            for words, other in _functions(name, a, eps) if a.shape == right.shape else ():
                if np.allclose(value, other, rtol=1e-9, atol=0):
                    return words
        along = tuple(k for k, n in enumerate(right.shape) if n == 1)
        for full in (x for x in found.arrays() if set(x.axes) == set(found.axes) and along):
            u = found.known_as(full) ** 2
            for name, other in (
                (f"Σ{full.name}²", u.sum(along, keepdims=True)),
                (f"mean({full.name}²)", u.mean(along, keepdims=True)),
            ):
                for words, made in _functions(name, other, eps):
                    if np.allclose(value, made, rtol=1e-9, atol=0):
                        return words
    return ""


def _functions(name: str, a: Array, eps: float) -> Iterator[tuple[str, Array]]:
    for power, words in (
        (1.0, "{}"),
        (2.0, "{}²"),
        (3.0, "{}³"),
        (0.5, "√{}"),
        (0.25, "√√{}"),
        (-1.0, "1/{}"),
        (-2.0, "1/{}²"),
        (-0.5, "1/√{}"),
    ):
        yield words.format(name), a**power
        yield words.format(f"({name} + ε)"), (a + eps) ** power
        yield words.format(f"|{name}|"), np.abs(a) ** power
    yield f"1/(√{name} + ε)", 1 / (np.sqrt(a) + eps)


def _said(found: Fused, eps: float, letter: Letter, along: tuple[str, ...], value: Array, where: str) -> str:
    right = placed(found, found.known[letter.name])
    times = value / right
    other = _of_another(right, value) if right.size == times.size else ""
    if other:
        return f"another {letter.name}{where}, along {found.over(along)}: {other}"
    known = _known_as(found, eps, letter, value)
    if known:
        return f"{known} where {letter.name} belongs{where}"
    if set(along) != set(letter.axes):
        where = f"{where}: what it is divided by is another, and it does not add up to 1"
    low, high = float(np.min(times)), float(np.max(times))
    much = number(low) if abs(high - low) <= 1e-9 * abs(high) else f"between {number(low)} and {number(high)} times"
    own = " of its own" if low != high else ""
    if np.max(np.abs(times - 1)) < 5e-4:
        much = f"up to {number(float(np.max(np.abs(times - 1))))} of it off"
        return f"another {letter.name}{where}: {much}, more than rounding; all else in the formula is right"
    return (
        f"another {letter.name}{where}: {much} what {letter.name} is, with a factor{own} in each index of "
        f"{found.over(along)}; all else in the formula is right"
    )
