"""What stands on the board while an exercise is done: a derivation's letters, what each means, and their numbers on its records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import Tensor, history
from ..engine.arrays import Array
from .algebra import with_means
from .errors import DerivationError
from .formula import Evaluation, Formula, Line
from .plain import Plain, layouts
from .record import Record, cotangent_of
from .spelling import Known
from .symbols import Letter
from .tree import Letter as Leaf
from .tree import Node, Product, letters, product_of, replace

if TYPE_CHECKING:
    from .derivation import Derivation


class Board:
    """The letters that may be used in a line for ``left``, those that are made from it excepted."""

    def __init__(self, d: Derivation, left: str) -> None:
        self.d, self.left, self.plain = d, left, d.plain
        calling = Plain(d.letters, [d.dy, *d.named], calling=True)
        found = {a.name: a for a in d.letters.values} | {a.name: a for a in d.named}
        chain = {s.left: s.expr for s in d.steps if s.kind == "chain" and s.left in found and s.left != d.gradient}
        meanings = {
            **{a: (e, "statistic") for a, e in d.letters.definitions.items()},
            **{found[n]: (e, "cotangent") for n, e in chain.items()},
            **{a: (e, "cotangent" if a in d.stages else "abbreviation") for a, e in d.named.items()},
        }
        lines = {a.name: Line(self.plain.letter(a), calling(with_means(e)), kind) for a, (e, kind) in meanings.items()}
        from_left = {left, d.gradient}
        self.lines: dict[str, Line] = {}
        for n in _in_order({n: [b for b in letters(line.expression) if b in lines] for n, line in lines.items()}):
            if n in from_left or from_left & set(letters(lines[n].expression)):
                from_left.add(n)
            else:
                self.lines[n] = lines[n]
        leaves = {n: self.plain.letter(a) for n, a in found.items() if n not in lines and n not in from_left and "⟨" not in n}
        self.letters: dict[str, Leaf] = {**leaves, **{n: line.letter for n, line in self.lines.items()}}
        self.numbers = {
            a.name: float(d.letters.values[a])
            for a in d.letters.literals.values()
            if isinstance(a, Letter) and a in d.letters.values
        }
        self.target = d.record.inputs[d.of] if left == d.gradient else None

    @cached_property
    def known(self) -> Known:
        return Known(self.letters, self.plain.axes, self.plain.last, {n: m for m, n in self.parameters.items()})

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The names of inputs and of the cotangent, as a function takes them, by letter."""
        d = self.d
        of = {n: d.letters.of[t].expr.name for n, t in d.record.inputs.items() if t in d.letters.of}
        found = {name: n for n, name in of.items() if n.isidentifier()}
        if d.record.order == 2 and d.record.dy in d.letters.of:
            found[d.letters.of[d.record.dy].expr.name] = "dy"
        return {**found, d.dy.name: "dy" if d.record.order == 1 else "v"}

    def needed(self, tree: Node) -> list[Line]:
        """The lines that a tree needs, in order."""
        used = set(letters(tree))
        found: list[Line] = []
        for n, line in reversed(self.lines.items()):
            if n in used:
                found.insert(0, line)
                used |= set(letters(line.expression))
        return found

    def formula(self, tree: Node, statistics: bool = True) -> Formula:
        """A tree as a formula for the board's gradient."""
        lines = [line for line in self.needed(tree) if statistics or line.kind != "statistic"]
        used = set(letters(tree)).union(*(letters(line.expression) for line in lines))
        base = self.d.formula
        return Formula(
            self.left, base.of, tree, tuple(lines), base.axes, layouts(self.plain, {*used, base.of}),
            tuple((n, v) for n, v in self.numbers.items() if n in used), base.sizes, base.fixed,
        )  # fmt: skip

    def cost(self, tree: Node) -> int:
        """Operations, those of gradients on the way among them; what the forward computes is there."""
        return self.formula(self.abbreviated(tree), False).cost[0]

    def abbreviated(self, tree: Node) -> Node:
        """Products that have a name are called by it."""
        names = {line.letter: line.expression for line in self.lines.values() if line.kind == "abbreviation"}

        def named(node: Node) -> Node | None:
            for letter, meaning in names.items():
                if isinstance(node, Product) and isinstance(meaning, Product) and set(meaning.factors) <= set(node.factors):
                    return product_of(letter, *(f for f in node.factors if f not in meaning.factors))
            return None

        return replace(tree, named)

    # What the record holds -------------------------------------------------------------------------------------

    @cached_property
    def held(self) -> dict[str, Tensor]:
        """Constants of the record that no line tells: a running mean, a statistic that is held."""
        d = self.d
        inputs = {*d.record.inputs.values(), d.record.dy}
        found: dict[str, Tensor] = {}
        for t, s in d.letters.of.items():
            own = t.op is None or s.expr in d.letters.opaque
            if own and t not in inputs and isinstance(s.expr, Letter) and s.expr.name not in {*self.lines, *self.numbers}:
                found.setdefault(s.expr.name, t)
        return found

    def held_on(self, record: Record) -> dict[str, Array]:
        """The same constants on another record, which has them at the same places."""
        mine, theirs = history(self.d.record.output), history(record.output)
        if [t.op for t in mine] != [t.op for t in theirs]:
            return {}
        place = {t: k for k, t in enumerate(mine)}
        return {n: theirs[place[t]].data for n, t in self.held.items() if t in place}

    def given(self, tensors: Mapping[str, Tensor]) -> dict[str, Array]:
        """Constants for a function that is called with these tensors, by its parameters: those of the record that they are of."""
        for r in (self.d.record, *self.d.record.others):
            own = {n: t.data for n, t in r.inputs.items()} | {"dy": r.dy.data}
            if r.order == 2:
                own["v"] = cotangent_of(r)
            if all(n in own and np.array_equal(t.data, own[n]) for n, t in tensors.items()):
                return self.held_on(r)
        return {}

    # In numbers ------------------------------------------------------------------------------------------------

    @cached_property
    def records(self) -> list[Evaluation]:
        """The letters' numbers on the record, and on those at other sizes."""
        return [self._on(r) for r in (self.d.record, *self.d.record.others)]

    def _on(self, record: Record) -> Evaluation:
        d, own = self.d, self.d.record
        arrays = {d.letters.of[t].expr.name: record.inputs[n].data for n, t in own.inputs.items() if t in d.letters.of}
        if record.order == 2 and own.dy in d.letters.of:
            arrays[d.letters.of[own.dy].expr.name] = record.dy.data
        arrays[d.dy.name] = cotangent_of(record)
        arrays |= self.held_on(record)
        whole = dict(layouts(self.plain, set(arrays)))
        base = Formula(
            self.left,
            d.formula.of,
            d.formula.result,
            (),
            d.formula.axes,
            tuple(whole.items()),
            (),
            d.formula.sizes,
            d.formula.fixed,
        )
        sizes = base.sizes_in({n: a for n, a in arrays.items() if n in whole})
        known: dict[str, Any] = dict(self.numbers)
        if record is own:
            known |= {a.name: v for a, v in d.letters.values.items()}
        known |= {n: base.spread(n, a, whole[n], sizes) for n, a in arrays.items() if n in whole}
        at = Evaluation(known, sizes, d.formula.axes)
        for n, line in self.lines.items():
            try:
                known[n] = at(line.expression)
            except DerivationError:  # a constant of the record, which another one lacks
                continue
        return at

    def values(self, tree: Node, record: int = 0) -> Array | None:
        """A tree's numbers along the axes of what is asked for; None where there are none."""
        at = self.records[record]
        try:
            with np.errstate(all="ignore"):
                found = np.asarray(at(tree), dtype=np.float64)
            found = np.broadcast_to(found, np.broadcast_shapes(found.shape, self.shape(record)))
        except (DerivationError, ValueError, TypeError, ArithmeticError):
            return None
        return found if np.all(np.isfinite(found)) else None

    def shape(self, record: int = 0) -> tuple[int, ...]:
        at, axes = self.records[record], self.axes
        return tuple(at.sizes[a] if a in axes else 1 for a in at.axes)

    @cached_property
    def axes(self) -> set[str]:
        """Along which the gradient varies."""
        d = self.d
        if self.target is not None:
            return {str(a) for dim in d.letters.axes.dims[self.target] for a in dim}
        own = next(a for a in (*d.letters.values, *d.named) if a.name == self.left)
        return {str(a) for a in own.axes}


def _in_order(uses: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Names, each after those that it uses, otherwise as they stand."""
    waiting, done = list(uses), set()  # type: list[str], set[str]
    while waiting:
        later = []
        for n in waiting:
            if done.issuperset(uses[n]):
                done.add(n)
                yield n
            else:
                later.append(n)
        if len(later) == len(waiting):
            return
        waiting = later


def same(a: Array | None, b: Array | None, allowed: float) -> bool:
    """Whether two arrays are one, but for rounding."""
    if a is None or b is None or a.shape != b.shape:
        return False
    scale = max(float(np.max(np.abs(a), initial=0)), float(np.max(np.abs(b), initial=0)))
    return float(np.max(np.abs(a - b), initial=0)) <= allowed * scale
