"""A schedule as loops over entries, in a language that has them: what Numba and C share.

Sums are carried in the dtype that is computed in over some thousand entries at most, and across these in float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..derive.tree import Indicator, Letter, Node, walk
from .parts import Between, Loop, sum_of_target
from .program import Definition, Reduction, Target
from .words import Words


class Loops(Words):
    """Writes one schedule."""

    @contextmanager
    def over(self, at: str, start: str, stop: str, step: str = "") -> Iterator[None]:
        self.open(at, start, stop, step)
        self.depth += 1
        yield
        self.depth -= 1
        self.close()

    @contextmanager
    def nest(self, axes: Sequence[str]) -> Iterator[None]:
        if not axes:
            yield
            return
        with self.over(self.at_of[axes[0]], *self.bounds(axes[0])), self.nest(axes[1:]):
            yield

    def bounds(self, a: str) -> tuple[str, str]:
        return (f"{self.at_of[a]}0", f"{self.at_of[a]}1") if a == self.s.lane else (self.number_of(0), self.size_of[a])

    def number_of(self, n: int) -> str:
        return str(n)

    def step(self, name: str) -> str:
        return name

    def body(self) -> None:
        """Everything between the head of the function and its end."""
        s = self.s
        self._arrays()
        over = [set(sum_of_target(t, s.program.steps).over) for t in s.added]
        p = next((k for k, a in enumerate(s.rows) if any(a in o for o in over)), len(s.rows))
        self.parts_of = {t.array.letter: tuple(a for a in t.array.axes if a not in s.rows[:p]) for t in s.added}
        self._rows(0, p)

    def _rows(self, k: int, p: int) -> None:
        s = self.s
        if k == len(s.rows):
            if not s.lane:
                self._row()
                return
            a = s.lane
            start, stop = ("start", "stop") if not s.rows else (self.number_of(0), self.size_of[a])
            n0 = f"{self.at_of[a]}0"
            with self.over(n0, start, stop, self.step("LANES")):
                self.let_index(f"{self.at_of[a]}1", self.least(f"{n0} + {self.step('LANES')}", stop))
                if p == k:
                    self._clear_parts()
                self._row()
                if p == k:
                    self._add_parts()
            return
        a = s.rows[k]
        start, stop = ("start", "stop") if k == 0 else (self.number_of(0), self.size_of[a])
        if k == p and s.added:
            first = f"{self.at_of[a]}0"
            with self.over(first, start, stop, self.step("BLOCK")):
                self._clear_parts()
                with self.over(self.at_of[a], first, self.least(f"{first} + {self.step('BLOCK')}", stop)):
                    self._rows(k + 1, p)
                self._add_parts()
            return
        with self.over(self.at_of[a], start, stop):
            self._rows(k + 1, p)

    def _arrays(self) -> None:
        """What rows need room for, made once."""
        s = self.s
        for n, axes in self.statistics.items():
            if axes:
                self.make(self.names[n], axes)
                r = s.reductions.get(n)
                if r is not None and r.function == "sum":
                    self.make(f"{self.names[n]}_total", axes, True)
                    loop = next(q for q in s.parts if isinstance(q, Loop) and r in q.sums)
                    if self._depth_of(loop, axes) == len(loop.axes):
                        self.make(f"{self.names[n]}_part", axes)
        for n, axes in self.kept.items():
            self.make(f"row_{self.names[n]}", axes)
        over = [set(sum_of_target(t, s.program.steps).over) for t in s.added]
        p = next((k for k, a in enumerate(s.rows) if any(a in o for o in over)), len(s.rows))
        for t in s.added:
            self.make_part(f"{t.array.name}_part", tuple(a for a in t.array.axes if a not in s.rows[:p]))

    def _clear_parts(self) -> None:
        for t in self.s.added:
            self.clear_part(f"{t.array.name}_part", self.parts_of[t.array.letter])

    def clear_part(self, name: str, axes: Sequence[str]) -> None:
        with self.whole(axes):
            self.set(self.part_entry(name, axes), self.number(0))

    @contextmanager
    def whole(self, axes: Sequence[str]) -> Iterator[None]:
        """Loops over all of these axes, a lane too."""
        if not axes:
            yield
            return
        with self.over(self.at_of[axes[0]], self.number_of(0), self.size_of[axes[0]]), self.whole(axes[1:]):
            yield

    def _add_parts(self) -> None:
        for t in self.s.added:
            axes = self.parts_of[t.array.letter]
            with self.whole(axes):
                self.add(self.entry(t.array.name, t.array.axes), self.part_entry(f"{t.array.name}_part", axes))

    def _row(self) -> None:
        count = 0
        for part in self.s.parts:
            self.inside = set()
            if isinstance(part, Between):
                self._between(part)
            else:
                count += 1
                self._loop(part, count)

    def _between(self, part: Between) -> None:
        groups: list[tuple[tuple[str, ...], list[Any]]] = []

        def group(axes: tuple[str, ...]) -> list[Any]:
            if not groups or groups[-1][0] != axes:
                groups.append((axes, []))
            return groups[-1][1]

        for d in part.values:
            group(self.free(d.letter.axes)).append(d)
        for c in part.checked:
            group(self.free(_axes_of(c))).append(c)
        for t in (*part.stores, *part.added):
            group(self.free(t.array.axes)).append(t)
        for axes, items in groups:
            with self.nest(axes):
                for item in items:
                    if isinstance(item, Definition) and axes:
                        self.set(self.local(self.names[item.letter.name], axes), self(item.expression))
                    elif isinstance(item, Definition):
                        self.let(self.names[item.letter.name], self(item.expression))
                    elif isinstance(item, Indicator):
                        self.ask(self.indicator(item))
                    elif item in part.added:
                        r = sum_of_target(item, self.s.program.steps)
                        self.add(self.part_entry(f"{item.array.name}_part", self.parts_of[item.array.letter]), self(r.inside))
                    else:
                        self.set(self.entry(item.array.name, item.array.axes), self(item.expression))

    def _depth_of(self, loop: Loop, axes: Sequence[str]) -> int:
        """How many of the loops stand outside a sum's own place."""
        return max((k + 1 for k, a in enumerate(loop.axes) if a in axes), default=0)

    def _loop(self, part: Loop, count: int) -> None:
        axes = part.axes
        deep = len(axes)
        self.remark(f"pass {count} over {', '.join(axes)}")
        sums = [r for r in part.sums if r.function == "sum"]
        free = {r.letter.name: self.free(r.letter.axes) for r in part.sums}
        for r in part.sums:
            name, own = self.names[r.letter.name], free[r.letter.name]
            if r.function == "max":
                self.clear(name, own, self.lowest) if own else self.variable(name, self.lowest)
            elif own:
                self.clear(f"{name}_total", own, "0")
            else:
                self.variable(f"{name}_total", "0", wide=True)
        lines = [r for r in sums if self._depth_of(part, free[r.letter.name]) == deep]
        blocked = bool(lines) and all(axes[0] in r.over for r in lines)
        partial: list[tuple[str, Node, Reduction | Target]] = [
            (f"{self.names[r.letter.name]}_part", r.inside, r) for r in sums if r not in lines
        ]
        partial += [
            (f"{t.array.name}_here", sum_of_target(t, self.s.program.steps).inside, t)
            for t in part.added
            if self._depth_of(part, t.array.axes) < deep
        ]

        def entries() -> None:
            self._entries(part, free, lines, partial)

        def innermost() -> None:
            a = axes[-1]
            at = self.at_of[a]
            start, stop = self.bounds(a)
            if not partial:
                with self.over(at, start, stop):
                    entries()
                return
            with self.over(f"{at}_0", start, stop, self.step("CHUNK")):
                for name, _, _ in partial:
                    self.variable(name, self.number(0))
                self.hint([name for name, _, _ in partial])
                with self.over(at, f"{at}_0", self.least(f"{at}_0 + {self.step('CHUNK')}", stop)):
                    entries()
                for name, _, what in partial:
                    self._flush(name, what, free)

        if self._is_largest(part) and part.axes[-1] != self.s.lane and deep == 1:
            self._largest(part)
            return

        def nested(k: int) -> None:
            if k == deep - 1:
                innermost()
                return
            with self.over(self.at_of[axes[k]], *self.bounds(axes[k])):
                nested(k + 1)

        if blocked and deep > 1:
            a = axes[0]
            first = f"{self.at_of[a]}_0"
            with self.over(first, self.number_of(0), self.size_of[a], self.step("BLOCK")):
                for r in lines:
                    self.clear(f"{self.names[r.letter.name]}_part", free[r.letter.name], self.number(0))
                with self.over(self.at_of[a], first, self.least(f"{first} + {self.step('BLOCK')}", self.size_of[a])):
                    nested(1)
                self._flush_lines(lines, free)
        else:
            for r in lines:
                self.clear(f"{self.names[r.letter.name]}_part", free[r.letter.name], self.number(0))
            nested(0)
            self._flush_lines(lines, free)
        self.inside = set()
        for r in sums:
            name, own = self.names[r.letter.name], free[r.letter.name]
            if own:
                with self.nest(own):
                    self.set(self.local(name, own), self.narrow(self.local(f"{name}_total", own)))
            else:
                self.let(name, self.narrow(f"{name}_total"))

    def _is_largest(self, part: Loop) -> bool:
        """Whether all that a loop does is to look for the largest of what is given."""
        more = (part.values, part.kept, part.read, part.added, part.stores, part.checked)
        return not any(more) and all(r.function == "max" and not self.free(r.letter.axes) for r in part.sums)

    def _largest(self, part: Loop) -> None:
        """Eight at a time, which need not wait for each other: no language may reorder a max by itself."""
        a = part.axes[-1]
        at, (start, stop) = self.at_of[a], self.bounds(a)
        names = [self.names[r.letter.name] for r in part.sums]
        for name in names:
            for k in range(8):
                self.variable(f"{name}_{k}", self.lowest)
        self.let_index(f"{at}_8", f"{stop} - {stop} % {self.count(8)}")
        with self.over(f"{at}_0", start, f"{at}_8", self.count(8)):
            for k in range(8):
                self.at_of[a] = f"{at}_0 + {self.count(k)}" if k else f"{at}_0"
                for name, r in zip(names, part.sums):
                    self.set(f"{name}_{k}", self.larger(f"{name}_{k}", self(r.inside)))
        self.at_of[a] = at
        with self.over(at, f"{at}_8", stop):
            for name, r in zip(names, part.sums):
                self.set(name, self.larger(name, self(r.inside)))
        for name in names:
            for k in range(8):
                self.set(name, self.larger(name, f"{name}_{k}"))

    def count(self, n: int) -> str:
        """A number of places."""
        return str(n)

    def _flush(self, name: str, what: Reduction | Target, free: Mapping[str, tuple[str, ...]]) -> None:
        if isinstance(what, Reduction):
            own, total = free[what.letter.name], f"{self.names[what.letter.name]}_total"
            self.add(self.local(total, own) if own else total, name)
        else:
            self.add(self.part_entry(f"{what.array.name}_part", self.parts_of[what.array.letter]), name)

    def _flush_lines(self, lines: Sequence[Reduction], free: Mapping[str, tuple[str, ...]]) -> None:
        for r in lines:
            name, own = self.names[r.letter.name], free[r.letter.name]
            with self.nest(own):
                self.add(self.local(f"{name}_total", own), self.local(f"{name}_part", own))

    def _entries(
        self,
        part: Loop,
        free: Mapping[str, tuple[str, ...]],
        lines: Sequence[Reduction],
        partial: Sequence[tuple[str, Node, Any]],
    ) -> None:
        self.inside = set()
        for n in part.read:
            self.let(self.names[n], self.local(f"row_{self.names[n]}", self.kept[n]))
            self.inside.add(n)
        for d in part.values:
            self.let(self.names[d.letter.name], self(d.expression))
            self.inside.add(d.letter.name)
            if d.letter.name in part.kept:
                self.set(self.local(f"row_{self.names[d.letter.name]}", part.axes), self.names[d.letter.name])
        for c in part.checked:
            self.ask(self.indicator(c))
        for r in part.sums:
            if r.function == "max":
                own = free[r.letter.name]
                place = self.local(self.names[r.letter.name], own) if own else self.names[r.letter.name]
                self.set(place, self.larger(place, self(r.inside)))
        for name, inside, _ in partial:
            self.add(name, self(inside))
        for r in lines:
            own = free[r.letter.name]
            self.add(self.local(f"{self.names[r.letter.name]}_part", own), self(r.inside))
        for t in part.added:
            if self._depth_of(part, t.array.axes) == len(part.axes):
                inside = sum_of_target(t, self.s.program.steps).inside
                self.add(self.part_entry(f"{t.array.name}_part", self.parts_of[t.array.letter]), self(inside))
        for t in part.stores:
            self.set(self.entry(t.array.name, t.array.axes), self(t.expression))


def _axes_of(c: Indicator) -> set[str]:
    return {a for n in walk(c) if isinstance(n, Letter) for a in n.axes}
