"""By which term a line is wrong: the right line is altered in one place after the other until it has the wrong one's numbers.

Looked for in numbers on the record, and said only where it holds on those at other sizes, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from .blackboard import Board, same
from .other import tolerance
from .tree import (
    MINUS,
    ONE,
    Indicator,
    Letter,
    Node,
    Number,
    Path,
    Power,
    Product,
    Size,
    Sum,
    Total,
    children,
    letters,
    places,
    product_of,
    put,
    sum_of,
)
from .tree import replace as swapped
from .writer import Text

_MOST = 1500  # alterations that are tried
_SIMPLE = sorted({Fraction(a, b) for a in range(1, 5) for b in range(1, 5)})


def what_is_wrong(board: Board, yours: Node, right: Sequence[Node]) -> tuple[str, ...]:
    """Sentences that name the terms; none where no single mistake explains it.

    right:  lines that are right, the one to compare with first
    """
    search = _Search(board, yours)
    if search.mine is None:
        return ()
    for tree in right:
        if found := search.by_terms(tree):
            return found
    for tree in right:
        if said := search.by_altering(tree):
            return (said,)
    return search.by_repairing(right[0]) or search.by_matching(right[0])


@dataclass(frozen=True)
class _Alteration:
    """One change: ``tree`` is what comes of it; the words are for a line that has it and for one that lacks it."""

    tree: Node
    has: str
    lacks: str


class _Search:
    def __init__(self, board: Board, yours: Node) -> None:
        self.board, self.yours, self.mine = board, yours, board.values(yours)
        self.close = 10 * tolerance(board.d.record.output.dtype)
        self.write = Text(board.plain.axes, board.plain.last)

    def _is_yours(self, tree: Node) -> bool:
        return self._same(tree, self.yours)

    def _same(self, one: Node, other: Node) -> bool:
        """On the record, and where that holds on those at other sizes that have numbers for both."""
        board = self.board
        if not same(board.values(one), board.values(other), self.close):
            return False
        rest = [(board.values(one, k), board.values(other, k)) for k in range(1, len(board.records))]
        return all(same(a, b, self.close) for a, b in rest if a is not None and b is not None)

    # Terms of the right line, each with a number ---------------------------------------------------------------

    def by_terms(self, right: Node) -> tuple[str, ...]:
        """Yours as the right line's terms with other numbers before them."""
        head, terms = _terms(right)
        columns = [self.board.values(product_of(head, t)) for t in terms]
        if self.mine is None or any(c is None or not np.any(c) or c.shape != self.mine.shape for c in columns):
            return ()
        scale = [float(np.max(np.abs(c))) for c in columns if c is not None]
        matrix = np.stack([c.ravel() / s for c, s in zip(columns, scale) if c is not None], axis=1)
        if np.linalg.matrix_rank(matrix, tol=1e-6 * len(matrix)) < len(terms):
            return ()
        found = np.linalg.lstsq(matrix, self.mine.ravel(), rcond=None)[0] / scale
        numbers = [self._simple(float(n)) for n in found]
        if any(n is None for n in numbers):
            return ()
        made = product_of(head, sum_of(*(product_of(n, t) for n, t in zip(numbers, terms) if n is not None)))
        if not self._is_yours(made):
            return ()
        off = [(t, n) for t, n in zip(terms, numbers) if n != ONE and n is not None]
        if not off:
            return ()
        if len(terms) > 1 and len(off) == len(terms) and len(set(numbers)) == 1:
            return (self._told("the whole line", numbers[0]),)
        return tuple(self._told(self.write(t), n) for t, n in off)

    def _told(self, term: str, n: Any) -> str:
        if n == Number(0):
            return f"{term} is missing"
        if n == MINUS:
            return f"{term} has the other sign"
        if isinstance(n, Number) and n.value > 0:
            return f"{term} stands {self.write(n)} times" if n != Number(2) else f"{term} stands twice"
        return f"{term} is multiplied by {self.write(n)}"

    def _simple(self, n: float) -> Node | None:
        """A number as zero, a small fraction, or one times or divided by a size."""
        if abs(n) < 10 * self.close:
            return Number(0)
        sizes = self.board.records[0].sizes
        axes = [(Size(a), float(s)) for a, s in sizes.items()]
        pairs = [(product_of(a, b), p * q) for (a, p), (b, q) in combinations(axes, 2)]
        whole: list[tuple[Node, float]] = [(ONE, 1.0), *axes, *pairs]
        units = [*whole, *((Power(u, MINUS) if isinstance(u, Size) else _inverse(u), 1 / v) for u, v in whole[1:])]
        for unit, value in units:
            for f in _SIMPLE if unit == ONE else _SIMPLE[:0] or (Fraction(1), Fraction(2)):
                if abs(abs(n) - float(f) * value) < 10 * self.close * abs(n):
                    number = Number(int(f) if f.denominator == 1 else f)
                    return product_of(MINUS if n < 0 else ONE, number, unit)
        return None

    # One place altered -----------------------------------------------------------------------------------------

    def by_altering(self, right: Node) -> str:
        for k, a in enumerate(self._alterations(right)):
            if k == _MOST:
                break
            if self._is_yours(a.tree):
                return a.has
        return ""

    def by_repairing(self, right: Node) -> tuple[str, ...]:
        """What to change in yours."""
        for k, a in enumerate(self._alterations(self.yours)):
            if k == _MOST:
                break
            if self._same(a.tree, right):
                return (a.lacks,)
        return ()

    def by_matching(self, right: Node) -> tuple[str, ...]:
        """Terms of yours that the right line has not, and the other way round."""
        mine, theirs = (list(_multiplied(t)) for t in (self.yours, right))
        for t in list(mine):
            pair = next((u for u in theirs if self._same(t, u)), None)
            if pair is not None:
                mine.remove(t)
                theirs.remove(pair)
        if len(mine) > 2 or len(theirs) > 2 or len(theirs) == len(list(_multiplied(right))):
            return ()
        yours, own = (", ".join(f"{self.write(t)}" for t in ts) for ts in (mine, theirs))
        if yours and own:
            return (f"yours has {yours} where {own} belongs",)
        return (f"{yours} does not belong there",) if yours else (f"{own} is missing",) if own else ()

    def _alterations(self, tree: Node) -> Iterator[_Alteration]:
        late: list[_Alteration] = []
        for path, node in places(tree):
            parent = _at(tree, path[:-1]) if path else None
            text = self.write(node)
            where = self._where(tree, path)
            term = isinstance(parent, Sum)
            if term:
                yield self._made(tree, path, None, f"{text} is missing{where}", f"{text} is too much{where}")
                yield self._made(tree, path, product_of(MINUS, node), *[f"{text} has the other sign{where}"] * 2)
                yield self._made(
                    tree, path, product_of(Number(2), node), f"{text} stands twice{where}", f"{text} must stand twice{where}"
                )
            elif isinstance(parent, Product) and node != MINUS:
                yield self._made(
                    tree, path, None, f"the factor {text} is missing{where}", f"the factor {text} is too much{where}"
                )
                yield self._made(
                    tree,
                    path,
                    product_of(node, node),
                    f"the factor {text} stands twice{where}",
                    f"the factor {text} must stand twice{where}",
                )
                if not isinstance(node, Number):
                    yield self._made(tree, path, _inverse(node), *[f"{text} is on the wrong side of the fraction{where}"] * 2)
            late += [
                self._made(
                    tree,
                    path,
                    new,
                    f"{self.write(new)} stands where {text} belongs{where}",
                    f"{text} stands where {self.write(new)} belongs{where}",
                )
                for new in self._instead(node)
            ]
        yield from late
        for name, letter in letters(tree).items():
            for new in (*self._without(name), *self._instead(letter)):
                text, other = self.write(letter), self.write(new)
                yield _Alteration(
                    swapped(tree, {letter: new}),
                    f"{other} stands wherever {text} belongs",
                    f"{text} stands wherever {other} belongs",
                )

    def _without(self, name: str) -> Iterator[Node]:
        """What a letter stands for, less one factor or term."""
        line = self.board.lines.get(name)
        if line is not None and isinstance(line.expression, (Product, Sum)):
            yield from (put(line.expression, (k,), None) for k in range(len(children(line.expression))))

    def _made(self, tree: Node, path: Path, new: Node | None, has: str, lacks: str) -> _Alteration:
        return _Alteration(put(tree, path, new), has, lacks)

    def _where(self, tree: Node, path: Path) -> str:
        """`` in mean(g·x̂)``: the nearest that has a name, or the term."""
        for k in range(len(path) - 1, -1, -1):
            above, parent = _at(tree, path[:k]), _at(tree, path[: k - 1]) if k else None
            if isinstance(above, (Total, Indicator)) or (isinstance(parent, Sum) and len(path) > k):
                return f" in {self.write(above)}"
        return ""

    def _instead(self, node: Node) -> Iterator[Node]:
        """What could have been written for it."""
        if isinstance(node, Letter):
            same_kind = [a for a in self.board.letters.values() if a != node and a.kind != "constant"]
            yield from sorted(same_kind, key=lambda a: (a.axes != node.axes, a.kind != node.kind))
            yield Power(node, Number(2))
            yield Power(node, Number(Fraction(1, 2)))
        elif isinstance(node, Size):
            yield from (Size(a) for a in self.board.plain.axes if a != node.axis)
            yield sum_of(node, MINUS)
        elif isinstance(node, Total):
            yield replace(node, function="sum" if node.function == "mean" else "mean")
            yield node.inside
            axes = self.board.plain.axes
            for many in range(1, len(axes) + 1):
                yield from (replace(node, axes=over) for over in combinations(axes, many) if over != node.axes)
            for k, factor in enumerate(children(node.inside)) if isinstance(node.inside, Product) else ():
                yield product_of(factor, replace(node, inside=put(node.inside, (k,), None)))
        elif isinstance(node, Power) and isinstance(node.exponent, Number):
            n: Any = node.exponent.value
            for other in (n + 1, n - 1, n * 2, Fraction(n) / 2 if not isinstance(n, float) else n / 2, -n):
                yield Power(node.base, Number(int(other) if other == int(other) else other)) if other else ONE
        elif isinstance(node, Number):
            yield from (Number(n) for n in (-node.value, node.value + 1, node.value - 1))
        elif isinstance(node, Indicator):
            yield sum_of(ONE, product_of(MINUS, node))


def _at(tree: Node, path: Path) -> Node:
    for k in path:
        tree = children(tree)[k]
    return tree


def _inverse(node: Node) -> Node:
    if isinstance(node, Product):
        return product_of(*map(_inverse, node.factors))
    if isinstance(node, Power) and isinstance(node.exponent, Number):
        return node.base if node.exponent == MINUS else Power(node.base, Number(-node.exponent.value))
    return Power(node, MINUS)


def _terms(tree: Node) -> tuple[Node, list[Node]]:
    """A common factor and the terms in the brackets."""
    if isinstance(tree, Sum):
        return ONE, list(tree.terms)
    if isinstance(tree, Product):
        sums = [f for f in tree.factors if isinstance(f, Sum)]
        if len(sums) == 1:
            rest = list(tree.factors)
            rest.remove(sums[0])
            return product_of(*rest), list(sums[0].terms)
    return ONE, [tree]


def _multiplied(tree: Node) -> Iterator[Node]:
    """The terms of a line, those in a bracket with what stands before it."""
    head, terms = _terms(tree)
    for t in terms:
        if len(terms) > 1:
            yield from _multiplied(product_of(head, t))
        else:
            yield product_of(head, t)
