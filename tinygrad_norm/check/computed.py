"""Explanations by statistics that were computed otherwise: over other axes, of padded rows, read elsewhere, or handed over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace as changed
from itertools import chain, combinations, permutations

import numpy as np

from ..derive.formula import Call, Line, Node, Power, Total, replace, walk
from ..derive.formula import letters as letters_in
from ..engine.arrays import Array
from .case import Case
from .counts import BLOCKS
from .fused import Fused
from .judgement import Given


def otherwise(case: Case, given: Given, found: Fused, mine: Array) -> Iterator[str]:
    """Every other way to compute the statistics that gives these numbers."""
    for attempt in (_statistics, _handed, _elsewhere, _padded, _of_one):
        yield from attempt(case, given, found, mine)


def quietly(found: Fused, node: Node) -> Array | None:
    """What a tree is; None where that is no array of the gradient's shape."""
    with np.errstate(all="ignore"):
        return found.value(node)


def total(found: Fused, terms: object) -> Array | None:
    """Of the terms of a formula."""
    summed = np.zeros(found.shape)
    for t in terms:  # type: ignore[attr-defined]
        value = quietly(found, t)
        if value is None:
            return None
        summed = summed + value
    return summed


def is_it(case: Case, given: Given, found: Fused, mine: Array, other: Array | None) -> bool:
    """Whether these are the numbers, to rounding."""
    if other is None or (other.shape == mine.shape and abs(other.item(0) - mine.item(0)) > given.gate(case)):
        return False
    off = float(np.max(np.abs(mine - other), initial=0))
    return off <= given.gate(case)


def _statistics(case: Case, given: Given, found: Fused, mine: Array) -> Iterator[str]:
    """The statistics taken over other axes, or as a sum for a mean; by themselves, or with all that is summed in the gradient."""
    subsets = dict.fromkeys(n.axes for line in found.formula.lines for n in _totals(line.expression))
    for own in subsets:
        for axes in chain.from_iterable(combinations(found.axes, k) for k in range(1, len(found.axes) + 1)):
            told = set[tuple[Node, ...]]()
            for function in ("", "mean", "sum"):

                def over(
                    n: Node, own: tuple[str, ...] = own, axes: tuple[str, ...] = axes, function: str = function
                ) -> Node | None:
                    if isinstance(n, Call) and n.axes == own and not function:
                        return changed(n, axes=axes)
                    if not (isinstance(n, Total) and n.axes == own and n.function in ("mean", "sum")):
                        return None
                    return Total(n.inside, axes, function or n.function)

                lines = [Line(line.letter, replace(line.expression, over), line.kind) for line in found.formula.lines]
                made = tuple(line.expression for line in lines)
                if made in told:  # (a sum that is one already)
                    continue
                told.add(made)
                with np.errstate(all="ignore"):
                    other = found.with_lines(lines)
                where, belongs = found.over(axes), found.over(own)
                kind = f"as a {function} " if function else ""
                which = [a.letter.name for a, b in zip(found.formula.lines, lines) if a.expression != b.expression]
                are = f"{', '.join(which)} {'is' if len(which) == 1 else 'are'}"
                if which and is_it(case, given, found, mine, total(other, found.terms)):
                    if axes == own:
                        yield f"{are} taken as a {function} over {where} where a {'mean' if function == 'sum' else 'sum'} belongs"
                    else:
                        yield f"{are} taken {kind}over {where} where {'the ' + ('sum' if function == 'mean' else 'mean') + ' over ' if kind else ''}{belongs} belongs"
                elif not function and is_it(case, given, found, mine, total(other, [replace(t, over) for t in found.terms])):
                    yield f"{', '.join(which)} and all sums are taken over {where} where {belongs} belongs"


def _handed(case: Case, given: Given, found: Fused, mine: Array) -> Iterator[str]:
    """Statistics that are not the input's own, but what the candidate was handed besides: running ones."""
    own = [x.letter for x in found.formula.lines if isinstance(x.expression, Total) and x.letter.axes]
    for k in range(1, len(own) + 1):
        for letters in combinations(own, k):
            for handed in permutations(case.besides.items(), k):
                values = {a.name: np.asarray(v) for a, (_, v) in zip(letters, handed)}
                if any(v.size != np.size(found.known[n]) for n, v in values.items()):
                    continue
                fixed = {n: v.reshape(np.shape(found.known[n])) for n, v in values.items()}
                with np.errstate(all="ignore"):
                    other = found.with_lines(found.formula.lines, fixed)
                if is_it(case, given, found, mine, total(other, found.terms)):
                    which = ", ".join(f"{n} for {a.name}" for a, (n, _) in zip(letters, handed))
                    yield f"your {given.symbol} has {which}: what was handed over, where the statistics of the input itself belong"


def _elsewhere(case: Case, given: Given, found: Fused, mine: Array) -> Iterator[str]:
    """Statistics of groups, read at c % G where c // (C/G) belongs."""
    for a, b in zip(found.axes, found.axes[1:]):
        own = [x.letter for x in found.formula.lines if a in x.letter.axes and b not in x.letter.axes]
        if not own or found.sizes[b] < 2:
            continue
        at, (g, k) = found.axes.index(a), (found.sizes[a], found.sizes[b])
        where = (np.arange(g * k) % g).reshape(g, k)
        fixed = {x.name: np.moveaxis(np.squeeze(np.moveaxis(found.known[x.name], (at, at + 1), (0, 1)), 1)[where], (0, 1), (at, at + 1)) for x in own}  # fmt: skip
        with np.errstate(all="ignore"):
            other = found.with_lines(found.formula.lines, fixed)
        if is_it(case, given, found, mine, total(other, found.terms)):
            names = ", ".join(x.name for x in own)
            yield f"your {given.symbol} reads {names} of group c % {a}, where channel c is in group c // (C/{a})"


def _padded(case: Case, given: Given, found: Fused, mine: Array) -> Iterator[str]:
    """The zeros that fill up the last block, counted in the variance as (0 − μ)²."""
    lines: dict[Node, Node] = {x.letter: x.expression for x in found.formula.lines}
    for letter in (x.letter for x in found.formula.lines):
        e = lines[letter]
        if not (isinstance(e, Total) and e.function == "mean" and isinstance(e.inside, Power) and e.inside.base in lines):
            continue
        means = [t for t in letters_in(lines[e.inside.base]).values() if isinstance(lines.get(t), Total)]
        n = int(np.prod([found.sizes[a] for a in e.axes]))
        for zeros in sorted({-n % block for block in BLOCKS} - {0}) if len(means) == 1 else ():
            more = zeros / n * np.asarray(found.known[means[0].name]) ** 2
            other = found.with_lines(found.formula.lines, {letter.name: found.known[letter.name] + more})
            if is_it(case, given, found, mine, total(other, found.terms)):
                yield f"{letter.name} counts the zeros that fill up the last block, from {n} to {n + zeros}, as {means[0].name}² each"


def _of_one(case: Case, given: Given, found: Fused, mine: Array) -> Iterator[str]:
    """A statistic that is read at one index of an axis for all of them."""
    for letter in (x.letter for x in found.formula.lines if isinstance(x.expression, (Total, Power))):
        for axis in letter.axes:
            value, at = np.asarray(found.known[letter.name]), found.axes.index(axis)
            for k, word in ((0, "first"), (-1, "last")):
                fixed = {letter.name: np.broadcast_to(np.take(value, [k], axis=at), value.shape)}
                other = found.with_lines(found.formula.lines, fixed)
                if is_it(case, given, found, mine, total(other, found.terms)):
                    yield f"your {given.symbol} reads {letter.name} of the {word} index of {found.over((axis,))} for every other one"


def _totals(node: Node) -> Iterator[Total | Call]:
    return (n for n in walk(node) if (isinstance(n, Total) and n.function in ("mean", "sum")) or (isinstance(n, Call) and n.axes))
