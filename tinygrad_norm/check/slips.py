"""What people do to one term of a formula: a factor dropped, doubled, or another letter's; a sum for a mean, over other axes."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, combinations, product
from typing import NamedTuple

import numpy as np

from ..derive.formula import (
    Letter,
    Node,
    Number,
    Path,
    Power,
    Product,
    Sum,
    Total,
    places,
    product_of,
    put,
    replace,
    sum_of,
    varies,
)
from ..derive.tree import ONE, ZERO, children
from .fused import Fused, inverse, inward, length


class Slip(NamedTuple):
    """The term as it was written, and in words what is wrong with it."""

    node: Node
    words: str
    only_a_number: bool = False


def slips(fused: Fused, term: Node) -> Iterator[Slip]:
    """All of them, the likeliest first."""
    text = fused.hand
    yield Slip(ZERO, "is missing", True)
    yield Slip(product_of(Number(-1), term), "has the wrong sign", True)
    yield Slip(product_of(Number(2), term), "stands there twice", True)
    yield Slip(product_of(Number(Fraction(1, 2)), term), "is half as big as it should be", True)
    yield Slip(product_of(Number(3), term), "stands there three times", True)
    yield Slip(product_of(Number(-2), term), "is −2 times what it should be", True)
    other = inward(term)
    for path, node in places(other) if other != term else ():
        if isinstance(node, Total):
            yield from _totals(fused, other, path, node)
    spots = list(places(term))
    for path, node in spots:
        if isinstance(node, Total) and node.function in ("sum", "mean"):
            yield from _totals(fused, term, path, node)
    for path, node in spots:
        if isinstance(node, (Letter, Total, Power)) and _is_factor(term, path):
            yield Slip(put(term, path, None) if path else ONE, f"lacks the factor {text(node)}{_inside(fused, term, path)}")
    for path, node in spots:
        if isinstance(node, Letter) and node.axes:
            for other in fused.arrays():
                if other != node and alike(fused, node, other):
                    yield Slip(put(term, path, other), f"has {other.name} where {node.name} belongs{_inside(fused, term, path)}")
        if isinstance(node, Power) and isinstance(node.exponent, Number):
            for n in (-4, -3, -2, -1, 1, 2):
                if n != node.exponent.value:
                    new = Power(node.base, Number(n)) if n != 1 else node.base
                    yield Slip(put(term, path, new), f"has {text(new)} where {text(node)} belongs")
    for path, node in spots:
        if isinstance(node, Letter) and node.axes and _is_factor(term, path):
            where = _inside(fused, term, path)
            yield Slip(put(term, path, product_of(node, node)), f"has the factor {node.name} twice{where}")
            yield Slip(put(term, path, product_of(node, node, node)), f"has {node.name}³ where {node.name} belongs{where}")
            yield Slip(put(term, path, inverse(node)), f"has 1/{node.name} where {node.name} belongs{where}")
    for letter in fused.arrays():
        if letter.kind != "cotangent" or letter.name.startswith("d") or letter.name in ("p",):
            yield Slip(product_of(term, letter), f"has {letter.name} as a factor too much")
            yield Slip(product_of(term, inverse(letter)), f"is divided by {letter.name}")
    for path, node in spots:
        if isinstance(node, Total):
            yield from _across(fused, term, path, node)
    for a in fused.axes:
        yield Slip(product_of(length((a,)), term), f"is {a} = {fused.sizes[a]} times too big", True)
        yield Slip(product_of(inverse(length((a,))), term), f"is {a} = {fused.sizes[a]} times too small", True)


def _totals(fused: Fused, term: Node, path: Path, node: Total) -> Iterator[Slip]:
    """A sum for a mean, the axes, N − 1, and no sum at all."""
    text = fused.hand
    there = text(node)
    other = "sum" if node.function == "mean" else "mean"
    said = {"sum": "Σ", "mean": "mean"}
    yield Slip(
        put(term, path, Total(node.inside, node.axes, other)),
        f"has {said[other]} where {said[node.function]} belongs, in {there}",
        True,
    )
    subsets = chain.from_iterable(combinations(fused.axes, k) for k in range(1, len(fused.axes) + 1))
    for axes in subsets:
        if axes != node.axes:
            for function in (node.function, other):
                words, own = fused.over(axes), fused.over(node.axes)
                yield Slip(
                    put(term, path, Total(node.inside, axes, function)),
                    f"has the {function} over {words} where the {node.function} over {own} belongs, in {there}",
                )
    n = length(node.axes)
    alone = f"has no {said[node.function]}: {text(node.inside)} where {there} belongs, of the Jacobian the diagonal only"
    yield Slip(put(term, path, node.inside), alone)
    share = node.inside if node.function == "sum" else product_of(node.inside, inverse(n))  # the entry's own
    other_sign = sum_of(product_of(Number(2), share), product_of(Number(-1), node))
    yield Slip(put(term, path, other_sign), f"has the wrong sign off the diagonal, in {there}")
    without = sum_of(node, product_of(Number(-1), share))
    yield Slip(put(term, path, without), f"leaves the entry itself out of {there}: off the diagonal only")
    yield from _so_far(fused, term, path, node)
    outer, total = _taken_out(fused, node)
    for axes in chain.from_iterable(combinations(fused.axes, k) for k in range(1, len(fused.axes) + 1)) if total != node else ():
        if axes != node.axes:
            words = f"has the {node.function} over {fused.over(axes)} where the {node.function} over {fused.over(node.axes)} belongs, in {there}"
            yield Slip(
                put(term, path, product_of(outer, Total(total.inside, axes, node.function))),
                f"{words}, with {text(outer)} before it",
            )
    if node.function == "mean":
        less = product_of(n, inverse(sum_of(n, Number(-1))))
        yield Slip(product_of(term, less), f"is divided by N − 1 where N belongs, in {there}")
    for axis in node.axes:
        for k, word in ((-1, "last"), (0, "first")):
            rest = tuple(a for a in node.axes if a != axis)
            one = replace(node.inside, lambda n, axis=axis, k=k: _one(fused, n, axis, k))  # type: ignore[misc]
            new = Total(one, rest, node.function) if rest else one
            yield Slip(put(term, path, new), f"has only the {word} of {fused.over((axis,))} in {there}: an assignment for a sum")
    if isinstance(node.inside, Product):
        parts = [f for f in node.inside.factors if varies(f) & set(node.axes)]
        if len(parts) > 1:
            each = [Total(f, node.axes, node.function) for f in node.inside.factors]
            yield Slip(put(term, path, product_of(*each)), f"has {text(product_of(*each))} where {there} belongs")


def _taken_out(fused: Fused, node: Total) -> tuple[Node, Total]:
    """What of a sum's factors is the same in all that it adds up, and the sum of the rest."""
    made: dict[Node, Node] = {x.letter: x.expression for x in fused.formula.lines if isinstance(x.expression, Product)}
    inside = replace(node.inside, made)
    factors = inside.factors if isinstance(inside, Product) else (inside,)
    before = [f for f in factors if not varies(f) & set(node.axes)]
    rest = product_of(*(f for f in factors if f not in before))
    return (product_of(*before), Total(rest, node.axes, node.function)) if before else (ONE, node)


def _so_far(fused: Fused, term: Node, path: Path, node: Total) -> Iterator[Slip]:
    """What is added up row after row, and never set back to zero; with the rows' own factors inside of it, and before it."""
    for outer, total in ((ONE, node), _taken_out(fused, node)):
        if total == node and outer != ONE:
            continue
        there, value = fused.hand(total), np.asarray(fused.at(total), np.float64)
        sizes = [1] * (len(fused.axes) - value.ndim) + list(value.shape)
        value, left = value.reshape(sizes), tuple(a for a, m in zip(fused.axes, sizes) if m > 1)
        for axis in left:
            name = f"{there} so far along {axis}"
            fused.known[name] = np.cumsum(value, axis=fused.axes.index(axis))
            words = f"has {there} of all of {fused.over((axis,))} so far: what it is added up in is not set back to zero"
            yield Slip(put(term, path, product_of(outer, Letter(name, left, "statistic"))), words)


def _inside(fused: Fused, term: Node, path: Path) -> str:
    """In which sum of the term that is."""
    node, found = term, ""
    for k in path:
        if isinstance(node, Total):
            found = f", inside {fused.hand(node)}"
        node = children(node)[k]
    return found


def _across(fused: Fused, term: Node, path: Path, node: Total) -> Iterator[Slip]:
    """What stands inside a sum and belongs outside, and the other way round."""
    inside = node.inside.factors if isinstance(node.inside, Product) else (node.inside,)
    for k, f in enumerate(inside):
        rest = product_of(*inside[:k], *inside[k + 1 :])
        moved = product_of(f, put(term, path, Total(rest, node.axes, node.function)))
        yield Slip(moved, f"has {fused.hand(f)} outside of {fused.hand(node)}, where it belongs inside")
    for letter in fused.arrays():
        extra = put(term, path, Total(product_of(node.inside, letter), node.axes, node.function))
        yield Slip(extra, f"has {letter.name} inside {fused.hand(node)}, where it does not belong")
        over = put(term, path, Total(product_of(node.inside, inverse(letter)), node.axes, node.function))
        yield Slip(over, f"divides by {letter.name} inside {fused.hand(node)}")
    if len(path) == 1 and isinstance(term, Product):
        for k, f in enumerate(term.factors):
            if isinstance(f, Letter) and k != path[0] and f.axes:
                rest = put(term, path, Total(product_of(node.inside, f), node.axes, node.function))
                yield Slip(put(rest, (k,), None), f"has {f.name} inside {fused.hand(node)}, where it belongs outside")


def everywhere(fused: Fused) -> Iterator[tuple[tuple[Node, ...], str]]:
    """The same slip in all terms at once, and what is added to them or stands in their place."""
    text, terms = fused.hand, fused.terms
    used = [a for a in fused.arrays() if any(a == n for t in terms for _, n in places(t))]
    for a in used:
        yield tuple(replace(t, {a: ONE}) for t in terms), f"lacks {_as_it_stands(terms, a)} in every term"
        summed = [any(isinstance(n, Total) for _, n in places(t)) for t in terms]
        if 1 < sum(summed) < len(terms):
            some = tuple(replace(t, {a: ONE}) if s else t for t, s in zip(terms, summed))
            yield some, f"lacks {_as_it_stands(terms, a)} in every term with a sum, and has it in the others"
        for b in fused.arrays():
            if a != b and alike(fused, a, b):
                yield tuple(replace(t, {a: b}) for t in terms), f"has {b.name} where {a.name} belongs, everywhere"
        for n in (2, 3, -1):
            if a.kind != "cotangent":
                yield tuple(replace(t, {a: Power(a, Number(n))}) for t in terms), f"has {text(Power(a, Number(n)))} where {a.name} belongs, everywhere"  # fmt: skip
    for _, node in places(fused.whole):
        numbers = [t for t in node.terms if isinstance(t, Number)] if isinstance(node, Sum) else []
        if numbers and isinstance(node, Sum):
            rest = sum_of(*(t for t in node.terms if t not in numbers))
            yield (replace(fused.whole, {node: rest}),), f"has {text(rest)} where {text(node)} belongs, everywhere"
    for letter in fused.arrays():
        yield tuple(product_of(t, letter) for t in terms), f"is multiplied by {letter.name}, which does not belong there"
        yield tuple(product_of(t, inverse(letter)) for t in terms), f"is divided by {letter.name}, which does not belong there"
    yield from _of_one_row(fused, used)
    subsets = list(chain.from_iterable(combinations(fused.axes, k) for k in range(1, len(fused.axes) + 1)))
    for axes in subsets:
        for form, function in product((terms, tuple(map(inward, terms))), ("mean", "sum")):

            def over(n: Node, axes: tuple[str, ...] = axes, function: str = function) -> Node | None:
                return Total(n.inside, axes, function) if isinstance(n, Total) and n.function in ("mean", "sum") else None

            new = tuple(replace(t, over) for t in form)
            if new != form:
                where = fused.over(axes)
                yield new, f"has {_sums(form, fused)} as the {function} over {where}"
        yield tuple(replace(t, lambda n, axes=axes: _counted(n, axes)) for t in terms), f"has every mean over {fused.over(axes)}, divided by the size of its own axes only"  # type: ignore[misc]  # fmt: skip
    yield from _cut(fused)
    yield from _blockwise(fused)
    yield from _regrouped(fused)
    for letter in fused.arrays():
        if letter.kind not in ("parameter",):
            yield (*terms, letter), f"has {letter.name} added: a residual's share, which is another input's"
            yield (*terms, product_of(Number(-1), letter)), f"has {letter.name} subtracted, which does not belong there"
    whole = [a for a in fused.arrays() if len(a.axes) == len(max((b.axes for b in fused.arrays()), key=len))]
    for a in whole:
        yield (a,), f"is {a.name}, the formula is another"
        for b in whole:
            if a != b:
                yield (a, product_of(Number(-1), b)), f"is {a.name} − {b.name}, a formula of something else"
                yield (product_of(a, b),), f"is {a.name}·{b.name} only"
            yield (a, product_of(Number(-1), b, b)), f"is {a.name} − {b.name}² only"
    for a in whole:
        for b in whole:
            for c in whole:
                if b != c:
                    yield (product_of(a, b), product_of(Number(-1), a, c)), f"is {a.name}·({b.name} − {c.name}), a formula of something else"  # fmt: skip


def _sums(terms: tuple[Node, ...], fused: Fused, axis: str | None = None) -> str:
    """Every sum of the formula that runs along the axis; by itself where it is one."""
    own = dict.fromkeys(n for t in terms for _, n in places(t) if isinstance(n, Total) and n.function in ("sum", "mean"))
    found = [n for n in own if axis is None or axis in n.axes]
    return fused.hand(found[0]) if len(found) == 1 else "every Σ and mean"


def _one(fused: Fused, node: Node, axis: str, k: int) -> Node | None:
    """A letter at one index of an axis."""
    if not isinstance(node, Letter) or axis not in node.axes:
        return None
    at = fused.axes.index(axis)
    name = f"{node.name} at {k} of {axis}"
    fused.known[name] = np.take(fused.known[node.name], [k], axis=at)
    return Letter(name, tuple(a for a in node.axes if a != axis), node.kind)


def _counted(node: Node, axes: tuple[str, ...]) -> Node | None:
    """A mean as a sum over other axes, divided by how many there are in its own."""
    if not (isinstance(node, Total) and node.function == "mean" and set(axes) > set(node.axes)):
        return None
    return product_of(Total(node.inside, axes, "sum"), inverse(length(node.axes)))


def _blockwise(fused: Fused) -> Iterator[tuple[tuple[Node, ...], str]]:
    """Every sum within blocks of an axis: what each device has of the batch, by itself."""
    for axis in dict.fromkeys(a for t in fused.terms for _, n in places(t) if isinstance(n, Total) for a in n.axes):
        at, n = fused.axes.index(axis), fused.sizes[axis]
        for block in (b for b in (2, 3, 4, 8, 16, 32) if b < n <= 64):

            def within(node: Node, axis: str = axis, at: int = at, n: int = n, block: int = block) -> Node | None:
                if not (isinstance(node, Total) and axis in node.axes and node.function in ("mean", "sum")):
                    return None
                name = f"{fused.hand(node)} within blocks of {block} of {axis}"
                inside = fused.known_as(node.inside)
                along = tuple(fused.axes.index(a) for a in node.axes)
                parts = [np.take(inside, range(k, min(k + block, n)), axis=at) for k in range(0, n, block)]
                each = [getattr(np, node.function)(p, axis=along, keepdims=True) for p in parts]
                fused.known[name] = np.concatenate([np.repeat(e, p.shape[at], axis=at) for e, p in zip(each, parts)], axis=at)
                left = tuple(a for a in fused.axes if a == axis or a not in node.axes)
                return Letter(name, left, "statistic")

            words = f"has {_sums(fused.terms, fused, axis)} within blocks of {block} of {fused.over((axis,))}, each by itself"
            yield tuple(replace(t, within) for t in fused.terms), words


def _regrouped(fused: Fused) -> Iterator[tuple[tuple[Node, ...], str]]:
    """Every sum over groups of another number of channels."""
    for a, b in zip(fused.axes, fused.axes[1:]):
        totals = [n for t in fused.terms for _, n in places(t) if isinstance(n, Total)]
        if not any(b in n.axes and a not in n.axes for n in totals) or not any({a, b} <= set(d) for d in _dims(fused)):
            continue
        g, k, at = fused.sizes[a], fused.sizes[b], fused.axes.index(a)
        for m in (m for m in range(1, g * k + 1) if g * k % m == 0 and m != k):

            def over(node: Node, a: str = a, b: str = b, m: int = m, at: int = at) -> Node | None:
                if not (isinstance(node, Total) and b in node.axes and a not in node.axes and node.function in ("mean", "sum")):
                    return None
                inside = fused.known_as(node.inside)
                whole = inside.reshape(
                    *inside.shape[:at], inside.shape[at] * inside.shape[at + 1] // m, m, *inside.shape[at + 2 :]
                )
                along = tuple(fused.axes.index(x) for x in node.axes)
                made = getattr(np, node.function)(whole, axis=along, keepdims=True)
                made = np.repeat(made, m, axis=at + 1).reshape(
                    *made.shape[:at], *inside.shape[at : at + 2], *made.shape[at + 2 :]
                )
                name = f"{fused.hand(node)} over groups of {m}"
                fused.known[name] = made
                return Letter(name, tuple(x for x in fused.axes if x in (a, b) or x not in node.axes), "statistic")

            exchanged = f": {a} and {b} are exchanged" if m == g else ""
            words = f"has {_sums(fused.terms, fused, b)} over groups of {m} channels, where groups of {k}, C/G, belong{exchanged}"
            yield tuple(replace(t, over) for t in fused.terms), words


def _dims(fused: Fused) -> list[tuple[str, ...]]:
    return [tuple(dim) for dim in dict(fused.formula.layouts)[fused.formula.main]]


def _cut(fused: Fused) -> Iterator[tuple[tuple[Node, ...], str]]:
    """Every sum of the line without the rest of a division, or with one block only."""
    for axis in dict.fromkeys(a for t in fused.terms for _, n in places(t) if isinstance(n, Total) for a in n.axes):
        n = fused.sizes[axis]
        for block in (2, 3, 4, 5, 8, 16, 32, 64, 128, 256, 512, 1024):
            rest = n % block
            if not rest or block > n:
                continue
            for keep, words in (
                (np.arange(n) < n - rest, f"leaves out the last {n} mod {block} = {rest}"),
                (np.arange(n) >= n - rest, f"has only the last {n} mod {block} = {rest}"),
            ):
                mask = Letter(f"{words} of {axis}", (axis,), "constant")
                fused.known[mask.name] = keep.astype(np.float64).reshape([n if a == axis else 1 for a in fused.axes])

                def cut(node: Node, axis: str = axis, mask: Letter = mask) -> Node | None:
                    has = isinstance(node, Total) and axis in node.axes
                    return Total(product_of(node.inside, mask), node.axes, node.function) if has else None  # type: ignore[union-attr]

                yield (
                    tuple(replace(t, cut) for t in fused.terms),
                    f"{words} entries of {fused.over((axis,))} in {_sums(fused.terms, fused, axis).replace('every Σ and mean', 'every sum')}",
                )


def _of_one_row(fused: Fused, used: list[Letter]) -> Iterator[tuple[tuple[Node, ...], str]]:
    """What the forward computed of one row, for every row."""
    first = fused.axes[0]
    own = [a for a in used if a.kind != "cotangent" and first in a.axes]
    for k, word in ((0, "first"), (-1, "last")):
        change: dict[Node, Node] = {}
        for a in own:
            value = fused.known[a.name][[k]]
            one = Letter(f"{a.name} of the {word}", a.axes, a.kind)
            fused.known[one.name] = value
            change[a] = one
        if change:
            names = ", ".join(a.name for a in own)
            yield tuple(replace(t, change) for t in fused.terms), f"has {names} of the {word} index of axis 0 for every other one"


def _as_it_stands(terms: tuple[Node, ...], letter: Letter) -> str:
    under = any(isinstance(n, Power) and n.base == letter and n.exponent == Number(-1) for t in terms for _, n in places(t))
    return f"the division by {letter.name}" if under else f"the factor {letter.name}"


def _is_factor(term: Node, path: Path) -> bool:
    """Whether what stands there is multiplied into something."""
    node, above = term, term
    for k in path:
        node, above = children(node)[k], node
    return not path or isinstance(above, (Product, Total))


def alike(fused: Fused, a: Letter, b: Letter) -> bool:
    """Whether the one may stand for the other: an array of the same axes."""
    return set(a.axes) == set(b.axes)
