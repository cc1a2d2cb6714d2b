"""In which order a program goes over its arrays: rows, and for each row one loop per level of sums.

A row is what shares its statistics: its axes are those along which no statistic is summed. Within it the definitions have
levels: how many sums stand between them and the inputs. Level by level, one loop computes all the sums that can be; what
varies along whole rows is computed again in each loop that wants it, for that costs less than to store and to load it.
Where the axis that lies closest in memory is not summed along, as in BatchNorm of (N, C), many rows are taken side by side:
it is the loops' innermost, and a statistic is a line of numbers. A sum over the rows themselves, as dγ, is accumulated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..derive.source import identifier
from ..derive.tree import Call, Indicator, Letter, Node, Number, Power, varies, walk
from .parts import Between, Loop, Schedule, order_of, sum_of_target
from .program import Array, Definition, Program, Reduction, Step, Target, closure, tree_of

COSTLY = ("exp", "tanh", "erf", "log", "sigmoid", "softplus", "sin", "cos")


def schedules(program: Program, wanted: Iterable[str] | None = None) -> tuple[Schedule, Schedule | None]:
    """Of the forward, and of the way back to the inputs ``wanted`` (by default all that have a gradient)."""
    names = [n for n in program.gradients if wanted is None or n in set(wanted)]
    gradients = [program.gradients[n] for n in names]
    saved = saved_by(program)
    targets = [program.y, *saved]
    asked = (*program.conditions, *guards(program, targets))
    forward = schedule("forward", program, targets, (), asked, [t.array for t in saved])
    if not gradients:
        return forward, None
    return forward, schedule("backward", program, gradients, [t.array for t in saved])


LEAST, MOST = Letter("least", (), "constant"), Letter("most", (), "constant")
"""The ends of the range in which a dtype holds a number and its cube."""


def guards(program: Program, targets: Iterable[Target]) -> list[Indicator]:
    """What a statistic must be for the formula to hold in a dtype: where it is rooted or divided by, within its range; and no
    less than the setting that no formula holds, as ‖x‖ ≥ ε."""
    trees = [t.expression for t in targets]
    needed = closure(program.steps, trees)
    trees += [tree_of(s) for n, s in program.steps.items() if n in needed]
    level = Levels(program.steps, program.arrays)
    found: dict[Indicator, None] = {}
    for node in (n for tree in trees for n in walk(tree)):
        if not isinstance(node, Power) or not isinstance(node.exponent, Number) or not level(node.base):
            continue
        if isinstance(node.exponent.value, int) and node.exponent.value > 0:
            continue
        found |= {Indicator(node.base, ">", LEAST): None, Indicator(node.base, "<", MOST): None}
        if program.floor and node.exponent.value == -1:
            found[Indicator(node.base, "≥", Letter(program.floor, (), "constant"))] = None
    return list(found)


def saved_by(program: Program) -> list[Target]:
    """What the forward leaves for the way back: statistics that it reads, not what each entry can be computed from again; the
    value itself where the gradient is written in it."""
    forward = closure(program.steps, [program.y.expression, Letter(program.y.array.letter), *program.conditions])
    level = Levels(program.steps, program.arrays)
    axes = set(program.y.array.axes) | set(order_of(program))
    main = {a for a in order_of(program) if a in axes}
    wide = [frozenset(a.axes) for a in (*program.inputs, program.y.array)]
    found: dict[str, None] = {}
    seen: set[str] = set()
    stack = [t.expression for t in program.gradients.values()]
    while stack:
        for n in walk(stack.pop()):
            if not isinstance(n, Letter) or n.name in seen or n.name not in program.steps:
                continue
            seen.add(n.name)
            small = level(n.name) > 0 and n.name in forward and not any(w <= frozenset(n.axes) for w in _widest(wide))
            if small and set(n.axes) <= main:
                found[n.name] = None
            elif n.name != program.y.array.letter:
                stack.append(tree_of(program.steps[n.name]))
    order = [n for n in program.steps if n in found]
    taken = {a.name for a in (*program.inputs, program.dy, program.y.array)} | {t.array.name for t in program.gradients.values()}
    names = {n: n for n in taken} | {n: n for _, n, _ in program.numbers}
    made = []
    for saved in order:
        letter = program.steps[saved].letter
        name = names[saved] = identifier(saved, names)
        axes_ = tuple(a for a in order_of(program) if a in letter.axes)
        made.append(Target(Array(saved, name, tuple((a,) for a in axes_), "saved"), letter))
    return made


def _widest(sets: list[frozenset[str]]) -> list[frozenset[str]]:
    return [s for s in sets if not any(s < other for other in sets)]


class Levels:
    """How many sums stand between a letter, or a tree, and what is given."""

    def __init__(self, steps: Mapping[str, Step], given: Iterable[str]) -> None:
        self.steps, self.given = steps, set(given)
        self._known: dict[str, int] = {}

    def __call__(self, what: str | Node) -> int:
        if not isinstance(what, str):
            return max((self(n.name) for n in walk(what) if isinstance(n, Letter)), default=0)
        if what not in self._known:
            step = None if what in self.given else self.steps.get(what)
            self._known[what] = 0 if step is None else self(tree_of(step)) + isinstance(step, Reduction)
        return self._known[what]


def schedule(
    name: str,
    program: Program,
    targets: list[Target],
    given: Iterable[Array] = (),
    conditions: Iterable[Indicator] = (),
    saved: Iterable[Array] = (),
) -> Schedule:
    """One pass that computes these targets.

    given:  arrays besides the program's own: what the forward saved; the value where it is read on the way back
    """
    arrays = dict(program.arrays) | {a.letter: a for a in given}
    if name == "backward":
        arrays[program.y.array.letter] = program.y.array
    steps = {n: s for n, s in program.steps.items() if n not in arrays}
    conditions = tuple(conditions)
    needed = closure(steps, [*(t.expression for t in targets), *conditions], arrays)
    steps = {n: s for n, s in steps.items() if n in needed}
    level = Levels(steps, arrays)
    order = order_of(program)
    late = {t.array.letter for t in targets if _is_late(t, steps, targets, arrays)}
    early = [s for s in steps.values() if isinstance(s, Reduction) and not _only_late(s, late, targets, steps)]
    summed = {a for s in early for a in s.over}
    used = {a for s in steps.values() for a in (*varies(tree_of(s)), *s.letter.axes)} | {a for t in targets for a in t.array.axes}
    across = [a for a in order if a in used]
    # along an axis of rows everything varies: what does not would be computed once for each of them
    shared = [{*varies(s.inside), *s.over} for s in steps.values() if isinstance(s, Reduction)]
    shared += [set(t.array.axes) for t in targets if t.array.letter not in late]
    able = [a for a in across if a not in summed and all(a in axes for axes in shared)]
    if not summed and able:
        able = able[:-1]
    lane = able[-1] if summed and able and able[-1] == across[-1] else ""
    rows = tuple(a for a in able if a != lane)
    # sums over rows of which nothing else is made; one within the row is a statistic like any
    added = {t.array.letter for t in targets if t.array.letter in late and set(sum_of_target(t, steps).over) & {*rows, lane}}
    plan = _Plan(steps, arrays, level, rows, across, added, targets)
    parts = plan.parts(conditions)
    stored = [t for t in targets if t.array.letter not in added]
    reads = tuple(a for n, a in arrays.items() if n in needed)
    numbers = tuple(n for n in program.numbers if n[0] in needed)
    return Schedule(
        name, rows, lane, tuple(parts), reads, tuple(t.array for t in targets),
        tuple(t for t in targets if t not in stored), tuple(saved), numbers, program,
    )  # fmt: skip


def _is_late(t: Target, steps: Mapping[str, Step], targets: list[Target], arrays: Mapping[str, Array]) -> bool:
    """Whether a target is one sum, along axes that it has not itself, that nothing else is made of."""
    if not isinstance(t.expression, Letter) or not isinstance(s := steps.get(t.expression.name), Reduction):
        return False
    if s.function != "sum" or set(s.over) & set(t.array.axes) or set(s.letter.axes) != set(t.array.axes):
        return False
    return not any(
        s.letter.name in {n.name for n in walk(tree_of(o)) if isinstance(n, Letter)} for o in steps.values()
    ) and not any(s.letter.name in {n.name for n in walk(o.expression) if isinstance(n, Letter)} for o in targets if o is not t)


def _only_late(s: Reduction, late: set[str], targets: list[Target], steps: Mapping[str, Step]) -> bool:
    return any(t.array.letter in late and sum_of_target(t, steps) is s for t in targets)


class _Plan:
    """The parts of one pass."""

    def __init__(
        self,
        steps: Mapping[str, Step],
        arrays: Mapping[str, Array],
        level: Levels,
        rows: tuple[str, ...],
        across: list[str],
        added: set[str],
        targets: list[Target],
    ) -> None:
        self.steps, self.arrays, self.level, self.rows, self.across = steps, arrays, level, rows, across
        self.added, self.targets = added, targets
        sums = [s for s in steps.values() if isinstance(s, Reduction)]
        self.wide = _widest(
            [frozenset(self.free(varies(s.inside))) for s in sums] + [frozenset(self.free(t.array.axes)) for t in targets]
        )

    def free(self, axes: Iterable[str]) -> tuple[str, ...]:
        """Of these axes, those within a row."""
        return tuple(a for a in self.across if a in set(axes) and a not in self.rows)

    def is_between(self, d: Definition) -> bool:
        """Whether it is computed once for a row, or once along fewer axes than loops go over, after a sum that it needs."""
        own = frozenset(self.free(varies(d.expression)))
        return not own or (self.level(d.letter.name) > 0 and own not in self.wide)

    def parts(self, conditions: Iterable[Indicator]) -> list[Loop | Between]:
        steps, level = self.steps, self.level
        definitions = [s for s in steps.values() if isinstance(s, Definition)]
        written = [t for t in self.targets if t.array.letter not in self.added]
        stores = [t for t in written if frozenset(self.free(t.array.axes)) in self.wide and self.free(t.array.axes)]
        ends = [t for t in written if t not in stores]
        added = [t for t in self.targets if t.array.letter in self.added]
        own_sum = {t.expression.name for t in added if isinstance(t.expression, Letter)}
        sums = [s for s in steps.values() if isinstance(s, Reduction) and s.letter.name not in own_sum]
        asked = list(conditions)
        sum_letters = {n for n, s in steps.items() if isinstance(s, Reduction)}
        roots = [d.expression for d in definitions if self.is_between(d)] + [t.expression for t in ends]
        roots += [c for c in asked if frozenset(self.free(varies(c))) not in self.wide]
        between = {d.letter.name for d in definitions if self.is_between(d)}
        between |= closure(steps, roots, {*self.arrays, *sum_letters}) & {d.letter.name for d in definitions}
        top = max([level(s.inside) for s in sums] + [level(t.expression) for t in self.targets] + [level(c) for c in asked] + [0])
        top = max([top, *(level(n) for n in between)])
        loops: list[tuple[int, tuple[str, ...], dict[str, Any]]] = []

        def loop(lv: int, axes: tuple[str, ...]) -> dict[str, Any]:
            for l, a, what in loops:
                if l == lv and a == axes:
                    return what
            loops.append((lv, axes, {"sums": [], "added": [], "stores": [], "checked": [], "roots": []}))
            return loops[-1][2]

        for s in sums:
            what = loop(level(s.inside), self.free((*varies(s.inside), *s.over)))
            what["sums"].append(s)
            what["roots"].append(s.inside)
        apart = []
        for t in added:
            s = sum_of_target(t, steps)
            if not self.free((*varies(s.inside), *s.over)):
                apart.append(t)
                continue
            what = loop(level(s.inside), self.free((*varies(s.inside), *s.over)))
            what["added"].append(t)
            what["roots"].append(s.inside)
        for t in stores:
            what = loop(level(t.expression), self.free(t.array.axes))
            what["stores"].append(t)
            what["roots"].append(t.expression)
        small: list[tuple[int, Indicator]] = []
        for c in asked:
            if frozenset(axes := self.free(varies(c))) in self.wide:
                what = loop(level(c), axes)
                what["checked"].append(c)
                what["roots"].append(c)
            else:
                small.append((level(c), c))
        loops.sort(key=lambda found: (found[0], len(found[1])))
        kept = self._kept(loops, between)
        parts: list[Loop | Between] = []
        for lv in range(top + 1):
            values = tuple(d for d in definitions if d.letter.name in between and level(d.letter.name) == lv)
            checks = tuple(c for l, c in small if l == lv)
            end = tuple(t for t in ends if level(t.expression) == lv)
            more = tuple(t for t in apart if level(sum_of_target(t, steps).inside) == lv)
            if values or checks or end or more:
                parts.append(Between(lv, values, checks, end, more))
            for l, axes, what in loops:
                if l != lv:
                    continue
                there = [n for n, first in kept.items() if first < len(self._before(parts))]
                wanted = closure(steps, what["roots"], {*self.arrays, *between, *there, *sum_letters})
                values = tuple(
                    d
                    for d in definitions
                    if d.letter.name in wanted and d.letter.name not in between and d.letter.name not in there
                )
                here = tuple(n for n, first in kept.items() if first == len(self._before(parts)))
                parts.append(
                    Loop(
                        lv,
                        axes,
                        values,
                        here,
                        tuple(n for n in there if n in wanted),
                        tuple(what["sums"]),
                        tuple(what["added"]),
                        tuple(what["stores"]),
                        tuple(what["checked"]),
                    )
                )
        return parts

    @staticmethod
    def _before(parts: list[Loop | Between]) -> list[Loop]:
        return [p for p in parts if isinstance(p, Loop)]

    def _kept(self, loops: list[Any], between: set[str]) -> dict[str, int]:
        """What costs an exponential or the like and is wanted by more than one loop: stored by the first (its place)."""
        users: dict[str, list[int]] = {}
        for k, (_, _, what) in enumerate(loops):
            for n in closure(self.steps, what["roots"], self.arrays):
                step = self.steps.get(n)
                if isinstance(step, Definition) and n not in between and _is_costly(step.expression) and n not in self.arrays:
                    users.setdefault(n, []).append(k)
        found = {}
        for n, ks in users.items():
            direct = [k for k in ks if n in self._reached(loops[k][2]["roots"], between)]
            if len(direct) > 1:
                found[n] = direct[0]
        return found

    def _reached(self, roots: list[Node], between: set[str]) -> set[str]:
        stops = {n for n, s in self.steps.items() if n in between or isinstance(s, Reduction)}
        return closure(self.steps, roots, {*self.arrays, *stops})


def _is_costly(node: Node) -> bool:
    return any(isinstance(n, Call) and n.function in COSTLY for n in walk(node))
