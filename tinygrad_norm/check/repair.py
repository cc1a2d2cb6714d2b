"""The line of a candidate's own source that is wrong: what, changed there and nowhere else, makes its gradients right.

Every call on its record is changed in every way that people mean one thing and write another, what is nearest to the source
first, and the rest of the record is replayed. A change that makes the gradients right to rounding, also at a second place, is
what is said; so it holds whatever the mistake is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .departing import departure
from .recorded import Step
from .search import Hit, Search, behind
from .source import definition, line_of, text_of, the_return
from .together import Key
from .world import World

_TOLD = 3  # lines that no number tells apart, at most


@dataclass(frozen=True)
class Line:
    """One place in the source, and what is wrong there.

    number, text:  of the line; the expression on it
    words:         what is wrong: ``Σ where mean belongs``
    file:          where it stands, if not where the candidate does
    also:          other lines on which the same is wrong
    """

    number: int
    text: str
    words: str
    file: str = ""
    also: tuple[int, ...] = ()

    def __str__(self) -> str:
        numbers = f"lines {', '.join(map(str, (self.number, *self.also)))}" if self.also else f"line {self.number}"
        return f"{numbers}{f' of {self.file}' if self.file else ''}: {f'`{self.text}`: ' if self.text else ''}{self.words}"


@dataclass(frozen=True)
class Repair:
    """What makes gradients right.

    gradients:  which, by input name
    lines:      where, and what; more than one where no number tells them apart
    general:    what was taken for what is not known
    both:       the lines are two that are wrong at once
    first:      it is said only where what is computed is first another
    sure:       it is said what was written, not only what should come out
    """

    gradients: tuple[str, ...]
    lines: tuple[Line, ...]
    general: bool = False
    both: bool = False
    sure: bool = False
    first: bool = False

    def sentences(self) -> list[str]:
        more = "and " if self.both else "or, with the same result, "
        return [f"{more * (k > 0)}{line}" for k, line in enumerate(self.lines)]


def repairs(worlds: Sequence[World], home: str | None) -> list[Repair]:
    """What makes the wrong gradients right: all of them at once, or else each by itself.

    worlds:  the first is searched; a change must do the same in all the others
    home:    the candidate's file, which need not be said
    """
    search = Search(worlds)
    said = _Words(search, home)
    swapped = _exchanged(worlds[0])
    found = search.run([n for n in worlds[0].wrong if not swapped or n not in swapped.gradients])
    whole = tuple(search.goal)
    goals = [whole] if whole in found else [(n,) for n in whole]
    if len(goals) > 1 and any(g not in found for g in goals):  # what is wrong with the others came before that
        found = {g: h for g, h in found.items() if not h[0].change.of_result}
    told = [
        Repair(
            g, tuple(said.lines(h)), all(x.change.general for x in h), sure=not (h[0].change.of_result or h[0].change.compensates)
        )
        for g, h in ((g, found[g]) for g in goals if g in found)
    ]
    told += [said.otherwise(g[0]) for g in goals if g not in found]
    return [r for r in ([swapped] if swapped else []) + told if r.lines]


class _Words:
    """What was found, in words."""

    def __init__(self, search: Search, home: str | None) -> None:
        self.search, self.home = search, home

    def otherwise(self, name: str) -> Repair:
        """Where no one change makes a gradient right."""
        line = _as_returned(self.search.worlds, name, self.home)
        if line is not None:
            return Repair((name,), (line,), sure=True)
        pair = self.search.two(name)
        if pair is not None:
            lines = [line for k, a in enumerate(pair) for line in self.lines([Hit(0, k, a)])]
            return Repair((name,), tuple(lines), both=True)
        return Repair((name,), tuple(self.departs(name)), general=True, first=True)

    def departs(self, name: str) -> Iterator[Line]:
        """Where it first computes for a gradient what the right record does not have, from what is right so far."""
        base = self.search.base
        if np.shape(base.trace.outputs[name].of(base.values)) != base.case.truth[name].shape:
            return  # that is said already
        first = departure(base, name)
        if first is not None:
            code, instruction = first.place[0]
            words = f"the first thing on the way to d{base.symbols.get(name, name)} that the right backward does not compute"
            yield Line(
                line_of(code, instruction), _short(text_of(code, instruction)), words, _elsewhere(code.co_filename, self.home)
            )

    def lines(self, hits: Sequence[Hit]) -> Iterator[Line]:
        """One for each line of the source."""
        told: dict[tuple[str, int], tuple[float, Line]] = {}
        for h in hits:
            code, number, text = self._place(h.attempt.keys[0])
            if code is None:
                continue
            number, text = h.change.at or (number, text)
            before = self._before(h) if h.change.of_result and not h.change.general else None
            if before is not None:
                yield before
                return
            others = (
                {self._place(key)[1] for key in h.attempt.keys if self._place(key)[0] is code} if h.change.at is None else set()
            )
            line = Line(
                number, _short(text), h.change.words, _elsewhere(code.co_filename, self.home), tuple(sorted(others - {number}))
            )
            key = code.co_filename, number
            if key not in told or h.cost < told[key][0]:
                told[key] = h.cost, line
        yield from (line for _, line in list(told.values())[:_TOLD])

    def _before(self, hit: Hit) -> Line | None:
        """Where a call gives another thing than it should: the line before, on which that begins to be another."""
        base = self.search.base
        step = self.search.calls[0][hit.attempt.keys[0]][0]
        first = self._first
        if first is None or first.index >= step.index or first not in behind(base.trace.steps, [step]) or not step.place:
            return None
        (code, instruction), there = first.place[0], line_of(*step.place[0])
        number = line_of(code, instruction)
        if code is not step.place[0][0] or number == there:
            return None
        letter = hit.change.words.removesuffix(" belongs here")
        words = f"from here on it is another: {letter} should come out on line {there}"
        return Line(number, _short(text_of(code, instruction)), words, _elsewhere(code.co_filename, self.home), (there,))

    @cached_property
    def _first(self) -> Step | None:
        found = [departure(self.search.base, n) for n in self.search.base.wrong]
        return min((s for s in found if s is not None), key=lambda s: s.index, default=None)

    def _place(self, key: Key) -> tuple[Any, int, str]:
        """Function, line and expression; of the caller, where a function is called from several."""
        place = self.search.calls[0][key][0].place
        level = 0
        while level + 1 < len(place) and place[level][0] in self._shared:
            level += 1
        return (place[level][0], line_of(*place[level]), text_of(*place[level])) if place else (None, 0, "")

    @cached_property
    def _shared(self) -> set[Any]:
        return _called_from_several(list(self.search.calls[0]))


def _elsewhere(file: str, home: str | None) -> str:
    return "" if home is None or file == home else Path(file).name


def _exchanged(world: World) -> Repair | None:
    """Two gradients, each right in the place of the other."""
    found = [
        (a, b)
        for a in world.wrong
        for b in world.wrong
        if a < b and all(world.is_right(m, world.trace.outputs[n].of(world.values)) for m, n in ((a, b), (b, a)))
    ]
    if len(found) != 1:
        return None
    (pair,) = found
    place = world.trace.outputs[pair[0]].step.place
    at = the_return(place[-1][0]) if place else None
    one, other = (f"d{world.symbols.get(n, n)}" for n in sorted(pair, key=list(world.trace.outputs).index))
    return Repair(pair, () if at is None else (Line(at[0], at[1], f"{one} and {other} are exchanged"),), sure=True)


def _as_returned(worlds: Sequence[World], name: str, home: str | None) -> Line | None:
    """A gradient that lacks a factor only as it is returned: what it is made of is right for the others."""
    base = worlds[0]
    place = base.trace.outputs[name].step.place
    at = the_return(place[-1][0]) if place else None
    if at is None:
        return None
    for words, factor in _factors(base):
        if all(w.is_right(name, w.trace.outputs[name].of(w.values) * factor(w, name)) for w in worlds):
            code = place[-1][0]
            parts = [p.strip() for p in at[1].removeprefix("return ").strip("()").split(",")]
            mine = list(base.trace.outputs).index(name)
            where = definition(code, parts[mine]) if mine < len(parts) and parts[mine].isidentifier() else None
            number, text = where or at
            return Line(number, _short(text), words, _elsewhere(code.co_filename, home))
    return None


def _factors(base: World) -> Iterator[tuple[str, Callable[[World, str], Any]]]:
    for size in base.sizes:
        yield f"{size} times too large: 1/{size} is missing", partial(_size_power, size, -1)
        yield f"{size} times too small: the factor {size} is missing", partial(_size_power, size, 1)
    for letter in base.named:
        for words, power in (("missing", 1.0), ("too much", -1.0)):
            yield f"the factor {letter} is {words}", partial(_letters_power, letter, power)
    yield "its sign is wrong", lambda world, name: -1.0


def _size_power(size: str, power: int, world: World, name: str) -> float:
    return float(world.sizes[size]) ** power


def _letters_power(letter: str, power: float, world: World, name: str) -> Any:
    a = world.beside(world.named[letter], world.case.truth[name].shape)
    return np.nan if a is None else a**power


def _called_from_several(keys: Sequence[Key]) -> set[Any]:
    """Functions that are called at several places: what is wrong is then said where they are called."""
    callers: dict[Any, set[Any]] = {}
    for place, _ in keys:
        for (code, _), caller in pairwise(place):
            callers.setdefault(code, set()).add(caller)
    return {code for code, where in callers.items() if len(where) > 1}


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:99] + "…"
