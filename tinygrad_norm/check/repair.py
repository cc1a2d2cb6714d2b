"""The line of a candidate's own source that is wrong: what, changed there and nowhere else, makes its gradients right.

Every call on its record is changed in every way that people mean one thing and write another, what is nearest to the source
first, and the rest of the record is replayed. A change that makes the gradients right to rounding, also at a second place, is
what is said; so it holds whatever the mistake is called.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .change import Change
from .recorded import Step
from .source import line_of, text_of, the_return
from .together import Attempt, Key, attempts, calls_of
from .world import World

BUDGET = 40_000  # calls replayed, at most
_TOLD = 3  # lines that no number tells apart, at most
_KNOWN = 0.3  # a change that gives what the right record has is nearer by that


@dataclass(frozen=True)
class Line:
    """One place in the source, and what is wrong there.

    number, text:  of the line; the expression on it
    words:         what is wrong: ``Σ where mean belongs``
    file:          where it stands, if not where the candidate does
    """

    number: int
    text: str
    words: str
    file: str = ""

    def __str__(self) -> str:
        return (
            f"line {self.number}{f' of {self.file}' if self.file else ''}: {f'`{self.text}`: ' if self.text else ''}{self.words}"
        )


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
    told += [Repair(g, tuple(search.departs(g[0], home)), True) for g in goals if g not in found]
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
            if cost > best.get(whole, np.inf) + _KNOWN or self.left <= 0:
                break
            fixed, known = self._tried(attempt)
            for g in ([whole] if fixed >= set(whole) else []) + [(n,) for n in whole if n in fixed]:
                if cost <= best.get(g, np.inf) + _KNOWN and self._holds(attempt, g):
                    found.setdefault(g, []).append(_Hit(cost - _KNOWN * known, when, attempt))
        return {g: _cheapest(hits) for g, hits in found.items()}

    def _priced(self) -> Iterator[tuple[float, int, Attempt]]:
        """What is tried, with its cost and time. Where a call gives what the right record has, hardly anything is wrong with it."""
        base, calls = self.base, self.calls[0]
        wanted = _behind(base.trace.steps, [base.trace.outputs[n].step for n in self.goal])
        right = [o.step for n, o in base.trace.outputs.items() if n not in base.wrong]
        tied = _behind(base.trace.steps, right)
        there = {key: [all(base.knows(s.value, back) for s in steps) for back in (False, True)] for key, steps in calls.items()}
        for a in attempts(base, calls, wanted, tied):
            forth, back = there[a.keys[0]] if len(a.keys) == 1 else (False, False)
            much = 0.0 if not forth and not back else 1.5 if _is_of_value(a.change) else 0.6 if back else 0.1
            yield a.change.cost + much, calls[a.keys[0]][0].index, a

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
        return fixed, bool(made) and all(base.knows(v) and not base.given(v) for v in made)

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
        calls = self.calls[0]
        shared = _called_from_several(list(calls))
        told: set[tuple[str, int]] = set()
        for h in hits:
            place = calls[h.attempt.keys[0]][0].place
            if not place:
                continue
            level = 0
            while level + 1 < len(place) and place[level][0] in shared:
                level += 1
            code, instruction = place[level]
            number, text = h.change.at or (line_of(code, instruction), text_of(code, instruction))
            if (code.co_filename, number) in told or len(told) == _TOLD:
                continue
            told.add((code.co_filename, number))
            yield Line(number, _short(text), h.change.words, _elsewhere(code.co_filename, home))


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


def _is_of_value(change: Change) -> bool:
    """Whether it is about what a call gives, not about how it is written."""
    return change.general or " is missing" in change.words or " is too much" in change.words or "sign" in change.words


def _behind(steps: Sequence[Step], ends: Sequence[Step]) -> set[Step]:
    wanted = set(ends)
    for s in reversed(steps):
        if s in wanted:
            wanted.update(s.operands())
    return wanted


def _cheapest(hits: Sequence[_Hit]) -> list[_Hit]:
    best = min(h.cost for h in hits)
    return sorted((h for h in hits if h.cost <= best + 1e-9), key=lambda h: h.when)


def _called_from_several(keys: Sequence[Key]) -> set[Any]:
    """Functions that are called at several places: what is wrong is then said where they are called."""
    callers: dict[Any, set[Any]] = {}
    for place, _ in keys:
        for (code, _), caller in pairwise(place):
            callers.setdefault(code, set()).add(caller)
    return {code for code, where in callers.items() if len(where) > 1}


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:99] + "…"
