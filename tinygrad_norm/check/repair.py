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

from .change import Change
from .recorded import Step
from .source import definition, line_of, text_of, the_return
from .together import Attempt, Key, attempts, calls_of
from .world import World

BUDGET = 40_000  # calls replayed, at most
_TOLD = 3  # lines that no number tells apart, at most
_KNOWN = 0.3  # a change that gives what the right record has is nearer by that
_ALIKE = 0.02  # costs that are one
_NEARER = _KNOWN + 0.05 + _ALIKE  # so much more a change may cost that is still looked at


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
    """

    gradients: tuple[str, ...]
    lines: tuple[Line, ...]
    general: bool = False

    def sentences(self) -> list[str]:
        return [f"{'or, with the same result, ' * (k > 0)}{line}" for k, line in enumerate(self.lines)]


def repairs(worlds: Sequence[World], home: str | None) -> list[Repair]:
    """What makes the wrong gradients right: all of them at once, or else each by itself.

    worlds:  the first is searched; a change must do the same in all the others
    home:    the candidate's file, which need not be said
    """
    search = _Search(worlds)
    swapped = _exchanged(worlds[0])
    found = search.run([n for n in worlds[0].wrong if not swapped or n not in swapped.gradients])
    whole = tuple(search.goal)
    goals = [whole] if whole in found else [(n,) for n in whole]
    told = [Repair(g, tuple(search.lines(found[g], home)), all(h.change.general for h in found[g])) for g in goals if g in found]
    for (name,) in (g for g in goals if g not in found):
        line = _as_returned(worlds, name, home)
        told.append(Repair((name,), tuple(search.departs(name, home)), True) if line is None else Repair((name,), (line,)))
    return [r for r in ([swapped] if swapped else []) + told if r.lines]


@dataclass(frozen=True)
class _Hit:
    cost: float
    when: int
    attempt: Attempt

    @property
    def change(self) -> Change:
        return self.attempt.change


class _Search:
    def __init__(self, worlds: Sequence[World]) -> None:
        self.worlds, self.base = worlds, worlds[0]
        self.calls = [calls_of(w.trace.steps) for w in worlds]
        self.left = BUDGET
        self.goal: list[str] = []
        self._after: dict[Any, list[Step]] = {}

    def run(self, goal: list[str]) -> dict[tuple[str, ...], list[_Hit]]:
        """By the gradients made right: the cheapest changes that do, in order of time."""
        self.goal, whole = goal, tuple(goal)
        found: dict[tuple[str, ...], list[_Hit]] = {}
        for cost, when, attempt in sorted(self._priced(), key=lambda c: c[:2]) if goal else ():
            best = {g: min(h.cost for h in hits) for g, hits in found.items()}
            if cost > best.get(whole, np.inf) + _NEARER or self.left <= 0:
                break
            fixed, known = self._tried(attempt)
            for g in ([whole] if fixed >= set(whole) else []) + [(n,) for n in whole if n in fixed]:
                if cost <= best.get(g, np.inf) + _NEARER and self._holds(attempt, g):
                    found.setdefault(g, []).append(_Hit(cost - known * (_KNOWN + 0.05 * attempt.change.of_value), when, attempt))
        return {g: _cheapest(hits) for g, hits in found.items()}

    def _priced(self) -> Iterator[tuple[float, int, Attempt]]:
        """What is tried, with its cost and time. Where a call gives what the right record has, hardly anything is wrong with it."""
        base, calls = self.base, self.calls[0]
        wanted = _behind(base.trace.steps, [base.trace.outputs[n].step for n in self.goal])
        right = [o.step for n, o in base.trace.outputs.items() if n not in base.wrong]
        tied = _behind(base.trace.steps, right)
        there = {key: self._there(steps) for key, steps in calls.items()}
        for a in attempts(base, calls, wanted, tied):
            forth, back, sign = there[a.keys[0]] if len(a.keys) == 1 else (False, False, False)
            sign = sign and a.change.of_sign
            much = 0.0 if sign or not (forth or back) else 1.5 if a.change.of_value else 0.6 if back else 0.1
            yield a.change.cost + much, calls[a.keys[0]][0].index, a

    def _there(self, steps: Sequence[Step]) -> tuple[bool, bool, bool]:
        """Whether a call gives what the right record has on the way to y, or back; and whether that is so but for the sign."""
        forth, back = (all(self.base.knows(s.value, way) for s in steps) for way in (False, True))
        return forth, back, (forth or back) and all(self.base.knows(s.value, None, -1.0) for s in steps)

    def _tried(self, attempt: Attempt) -> tuple[set[str], bool]:
        """The wrong gradients that it makes right, none that were right being wrong then; whether it gives what the right record has."""
        base = self.base
        values = self._replayed(0, attempt)
        if values is None:
            return set(), False
        fixed = set()
        for n, o in base.trace.outputs.items():
            right = base.is_right(n, o.of(values))
            if not right and n not in base.wrong:
                return set(), False
            if right and n in self.goal:
                fixed.add(n)
        made = [values[s.index] for key in attempt.keys for s in self.calls[0][key]] if fixed else []
        return fixed, bool(made) and all(base.knows(v, True, 1.0) and not base.given(v) for v in made)

    def _holds(self, attempt: Attempt, goal: Sequence[str]) -> bool:
        """Whether it does the same elsewhere."""
        for k in range(1, len(self.worlds)):
            world = self.worlds[k]
            values = self._replayed(k, attempt) if all(key in self.calls[k] for key in attempt.keys) else None
            if values is None:
                return False
            if not all(n in world.trace.outputs and world.is_right(n, world.trace.outputs[n].of(values)) for n in goal):
                return False
        return True

    def _replayed(self, k: int, attempt: Attempt) -> list[Any] | None:
        world, change = self.worlds[k], attempt.change
        changed = {s for key in attempt.keys for s in self.calls[k][key]}
        values, touched, differs = list(world.values), set[int](), False
        with np.errstate(all="ignore"):
            try:
                for s in self._later(k, attempt.keys):
                    self.left -= 1
                    if any(o.index in touched for o in s.operands()):
                        values[s.index] = s.again(values)
                        touched.add(s.index)
                    if s in changed:
                        made = change.make(world, s, values)
                        if made is None:
                            return None
                        if np.shape(made) == np.shape(values[s.index]) and np.array_equal(made, values[s.index]):
                            continue
                        values[s.index], differs = made, True
                        touched.add(s.index)
            except Exception:  # shapes that do not go together, an index out of bounds: no repair
                return None
        return values if differs else None

    def _later(self, k: int, keys: tuple[Key, ...]) -> list[Step]:
        """What depends on these calls, and they themselves."""
        if (k, keys) not in self._after:
            hit = {s for key in keys for s in self.calls[k][key]}
            for s in self.worlds[k].trace.steps:
                if s not in hit and any(o in hit for o in s.operands()):
                    hit.add(s)
            self._after[k, keys] = [s for s in self.worlds[k].trace.steps if s in hit]
        return self._after[k, keys]

    # In words

    def departs(self, name: str, home: str | None) -> Iterator[Line]:
        """The one line on which anything is computed for a gradient that the right record does not have."""
        base = self.base
        if np.shape(base.trace.outputs[name].of(base.values)) != base.case.truth[name].shape:
            return  # that is said already
        wanted = _behind(base.trace.steps, [base.trace.outputs[name].step])
        own = [s for s in base.trace.steps if s in wanted and s.place and s.function is not None and not base.knows(s.value)]
        places = {(s.place[0][0].co_filename, line_of(*s.place[0])) for s in own if np.size(s.value) > 1}
        if len(places) == 1:
            code, instruction = own[-1].place[0]
            label = f"d{base.symbols.get(name, name)}"
            words = f"here it departs: all that is read here is right, and it does not give {label}"
            yield Line(line_of(code, instruction), _short(text_of(code, instruction)), words, _elsewhere(code.co_filename, home))

    def lines(self, hits: Sequence[_Hit], home: str | None) -> Iterator[Line]:
        """One for each line of the source."""
        told: dict[tuple[str, int], tuple[float, Line]] = {}
        for h in hits:
            code, number, text = self._place(h.attempt.keys[0])
            if code is None:
                continue
            number, text = h.change.at or (number, text)
            others = (
                {self._place(key)[1] for key in h.attempt.keys if self._place(key)[0] is code} if h.change.at is None else set()
            )
            line = Line(
                number, _short(text), h.change.words, _elsewhere(code.co_filename, home), tuple(sorted(others - {number}))
            )
            key = code.co_filename, number
            if key not in told or h.cost < told[key][0]:
                told[key] = h.cost, line
        yield from (line for _, line in list(told.values())[:_TOLD])

    def _place(self, key: Key) -> tuple[Any, int, str]:
        """Function, line and expression; of the caller, where a function is called from several."""
        place = self.calls[0][key][0].place
        level = 0
        while level + 1 < len(place) and place[level][0] in self._shared:
            level += 1
        return (place[level][0], line_of(*place[level]), text_of(*place[level])) if place else (None, 0, "")

    @cached_property
    def _shared(self) -> set[Any]:
        return _called_from_several(list(self.calls[0]))


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
    return Repair(pair, () if at is None else (Line(at[0], at[1], f"{one} and {other} are exchanged"),))


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


def _behind(steps: Sequence[Step], ends: Sequence[Step]) -> set[Step]:
    wanted = set(ends)
    for s in reversed(steps):
        if s in wanted:
            wanted.update(s.operands())
    return wanted


def _cheapest(hits: Sequence[_Hit]) -> list[_Hit]:
    best = min(h.cost for h in hits)
    return sorted((h for h in hits if h.cost <= best + _ALIKE), key=lambda h: h.when)


def _called_from_several(keys: Sequence[Key]) -> set[Any]:
    """Functions that are called at several places: what is wrong is then said where they are called."""
    callers: dict[Any, set[Any]] = {}
    for place, _ in keys:
        for (code, _), caller in pairwise(place):
            callers.setdefault(code, set()).add(caller)
    return {code for code, where in callers.items() if len(where) > 1}


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:99] + "…"
