"""Every change to every call of a candidate's record, the likeliest first, until its gradients are right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .change import Change
from .recorded import Step
from .together import Attempt, Key, attempts, calls_of
from .world import World

BUDGET = 40_000  # calls replayed, at most
_KNOWN = 0.3  # a change that gives what the right record has is nearer by that
_ALIKE = 0.02  # costs that are one
_NEARER = _KNOWN + 0.05 + _ALIKE  # so much more a change may cost that is still looked at


@dataclass(frozen=True)
class Hit:
    cost: float
    when: int
    attempt: Attempt

    @property
    def change(self) -> Change:
        return self.attempt.change


class Search:
    def __init__(self, worlds: Sequence[World]) -> None:
        self.worlds, self.base = worlds, worlds[0]
        self.calls = [calls_of(w.trace.steps) for w in worlds]
        self.left = BUDGET
        self.goal: list[str] = []
        self._reads = [[[o.index for o in s.operands()] for s in w.trace.steps] for w in worlds]
        self._after: dict[Any, list[Step]] = {}
        rng = np.random.default_rng(0)
        self._weights = {n: rng.normal(size=self.base.case.truth[n].shape) for n in self.base.wrong}
        self._shifts: dict[str, list[tuple[float, Attempt]]] = {n: [] for n in self.base.wrong}

    def run(self, goal: list[str]) -> dict[tuple[str, ...], list[Hit]]:
        """By the gradients made right: the cheapest changes that do, in order of time."""
        self.goal, whole = goal, tuple(goal)
        found: dict[tuple[str, ...], list[Hit]] = {}
        for cost, when, attempt in sorted(self._priced(), key=lambda c: c[:2]) if goal else ():
            best = {g: min(h.cost for h in hits) for g, hits in found.items()}
            if cost > best.get(whole, np.inf) + _NEARER or self.left <= 0:
                break
            fixed, known = self._tried(attempt)
            for g in ([whole] if fixed >= set(whole) else []) + [(n,) for n in whole if n in fixed]:
                if cost <= best.get(g, np.inf) + _NEARER and self._holds((attempt,), g):
                    found.setdefault(g, []).append(Hit(cost - known * (_KNOWN + 0.05 * attempt.change.of_value), when, attempt))
        return {g: _cheapest(hits) for g, hits in found.items()}

    def _priced(self) -> Iterator[tuple[float, int, Attempt]]:
        """What is tried, with its cost and time. Where a call gives what the right record has, hardly anything is wrong with it."""
        base, calls = self.base, self.calls[0]
        wanted = behind(base.trace.steps, [base.trace.outputs[n].step for n in self.goal])
        right = [o.step for n, o in base.trace.outputs.items() if n not in base.wrong]
        tied = behind(base.trace.steps, right)
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
        values = self._replayed(0, (attempt,))
        if values is None:
            return set(), False
        y = base.trace.y
        if y is not None and base.y_is_right and not np.array_equal(values[y.index], y.value):
            return set(), False  # what belongs to a forward that is right is none
        fixed, gaps = set(), {}
        for n, o in base.trace.outputs.items():
            value = o.of(values)
            right = base.is_right(n, value)
            if not right and n not in base.wrong:
                return set(), False
            if right and n in self.goal:
                fixed.add(n)
            elif n in self.goal and np.shape(value) == self._weights[n].shape:
                gaps[n] = float(np.sum(value * self._weights[n]))
        for n, gap in gaps.items():
            if not (attempt.change.of_result or attempt.change.of_term) and np.isfinite(gap):
                self._shifts[n].append((gap, attempt))
        made = [values[s.index] for key in attempt.keys for s in self.calls[0][key]] if fixed else []
        return fixed, bool(made) and all(base.knows(v, True, 1.0) and not base.given(v) for v in made)

    def two(self, name: str) -> tuple[Attempt, Attempt] | None:
        """Two changes that together make a gradient right, each in a term of its own: then what they do to it adds up."""
        base, tried = self.base, self._shifts[name]
        now = base.trace.outputs[name].of(base.values)
        weights = self._weights[name]
        if len(tried) < 2 or np.shape(now) != weights.shape:
            return None
        start = float(np.sum(now * weights))
        aim = float(np.sum(base.case.truth[name] * weights)) - start
        gaps = np.array([gap - start for gap, _ in tried])
        order = np.argsort(gaps, kind="stable")
        ranked = gaps[order]
        near = 1e-9 * float(np.sum(np.abs(base.case.truth[name] * weights)))
        for i in range(len(tried)):  # the cheapest stand first
            low, high = np.searchsorted(ranked, [aim - gaps[i] - near, aim - gaps[i] + near])
            for j in sorted(order[low:high])[:20]:
                pair = tried[i][1], tried[j][1]
                if (
                    j > i
                    and abs(gaps[i]) > near < abs(gaps[j])
                    and self._makes_right(0, pair, (name,))
                    and self._holds(pair, (name,))
                ):
                    return pair
        return None

    def _makes_right(self, k: int, together: tuple[Attempt, ...], goal: Sequence[str]) -> bool:
        world = self.worlds[k]
        values = self._replayed(k, together) if all(key in self.calls[k] for a in together for key in a.keys) else None
        outputs = world.trace.outputs
        if values is None:  # nothing is changed there: well, where nothing was wrong
            return not set(goal) & set(world.wrong)
        return all(n in outputs and world.is_right(n, outputs[n].of(values)) for n in goal)

    def _holds(self, together: tuple[Attempt, ...], goal: Sequence[str]) -> bool:
        """Whether they do the same elsewhere."""
        return all(self._makes_right(k, together, goal) for k in range(1, len(self.worlds)))

    def _replayed(self, k: int, together: tuple[Attempt, ...]) -> list[Any] | None:
        """What every step gives with these changes; None where they change nothing, or cannot be made."""
        world = self.worlds[k]
        changed = {s: a.change for a in together for key in a.keys for s in self.calls[k][key]}
        values, touched, differs = list(world.values), set[int](), False
        with np.errstate(all="ignore"):
            try:
                for s in self._later(k, tuple(key for a in together for key in a.keys)):
                    self.left -= 1
                    if not touched.isdisjoint(self._reads[k][s.index]):
                        values[s.index] = s.again(values)
                        touched.add(s.index)
                    if s in changed:
                        made = changed[s].make(world, s, values)
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


def behind(steps: Sequence[Step], ends: Sequence[Step]) -> set[Step]:
    wanted = set(ends)
    for s in reversed(steps):
        if s in wanted:
            wanted.update(s.operands())
    return wanted


def _cheapest(hits: Sequence[Hit]) -> list[Hit]:
    best = min(h.cost for h in hits)
    near = [h for h in hits if h.cost <= best + _ALIKE]
    return sorted(
        near, key=lambda h: (h.change.of_value or h.change.of_result, h.when)
    )  # first what is written, then what comes out
