"""Axes that always stand together, as the height and the width of images, are one axis to whoever loops over them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace as changed
from itertools import pairwise

from ..derive.tree import Indicator, Letter, Node, Number, Power, Product, Size, children, replace, walk
from .program import Array, Definition, Program, Reduction, Step, Target, tree_of


def merged(program: Program) -> Program:
    """The same program with fewer axes; ``merged`` of it says what each new one is made of."""
    for a in program.axes:
        for b in program.axes:
            if a != b and _are_one(program, a, b):
                return merged(_joined(program, a, b))
    return program


def _arrays(p: Program) -> list[Array]:
    return [*p.inputs, p.dy, p.y.array, *(t.array for t in p.gradients.values())]


def _trees(p: Program) -> list[Node]:
    return [*map(tree_of, p.steps.values()), p.y.expression, *(t.expression for t in p.gradients.values()), *p.conditions]


def _are_one(p: Program, a: str, b: str) -> bool:
    """Whether b follows a wherever either is."""
    if a in p.sizes or b in p.sizes or any(a == array.along or b == array.along for array in p.inputs):
        return False
    letters = [n for tree in _trees(p) for n in walk(tree) if isinstance(n, Letter)]
    several = [n.axes for n in letters] + [s.letter.axes for s in p.steps.values()]
    several += [s.over for s in p.steps.values() if isinstance(s, Reduction)]
    if any((a in axes) != (b in axes) for axes in several):
        return False
    if any(n.kind == "place" and a in n.axes for n in letters):
        return False
    lie = [array.axes for array in _arrays(p) if a in array.axes or b in array.axes]
    if not all((a, b) in pairwise(axes) for axes in lie):
        return False
    return all(_is_even(tree, a, b) for tree in _trees(p))


def _is_even(node: Node, a: str, b: str) -> bool:
    """Whether the sizes of both stand only side by side, to the same power."""
    if isinstance(node, Product):
        sizes = {a: [], b: []}  # type: dict[str, list[Node]]
        for f in node.factors:
            base = f.base if isinstance(f, Power) else f
            if isinstance(base, Size) and base.axis in sizes:
                sizes[base.axis].append(f.exponent if isinstance(f, Power) else Number(1))
        alone = [f for f in node.factors if not isinstance(f.base if isinstance(f, Power) else f, Size)]
        return sorted(map(repr, sizes[a])) == sorted(map(repr, sizes[b])) and all(_is_even(f, a, b) for f in alone)
    return not (isinstance(node, Size) and node.axis in (a, b)) and all(_is_even(c, a, b) for c in children(node))


def _joined(p: Program, a: str, b: str) -> Program:
    new = f"{a}{b}"
    while new in p.axes:
        new += "′"

    def axes(old: Iterable[str]) -> tuple[str, ...]:
        return tuple(new if x == a else x for x in old if x != b)

    def change(n: Node) -> Node | None:
        if isinstance(n, Letter):
            return changed(n, axes=axes(n.axes))
        if isinstance(n, Power) and n.base == Number(1):
            return Number(1)
        if n == Size(a):
            return Size(new)
        return Number(1) if n == Size(b) else None

    def array(old: Array) -> Array:
        return changed(old, lies=axes(old.axes))

    def target(t: Target) -> Target:
        return Target(array(t.array), replace(t.expression, change))

    def letter(old: Letter) -> Letter:
        return changed(old, axes=axes(old.axes))

    steps: dict[str, Step] = {}
    for n, s in p.steps.items():
        if isinstance(s, Definition):
            steps[n] = Definition(letter(s.letter), replace(s.expression, change))
        else:
            steps[n] = Reduction(letter(s.letter), replace(s.inside, change), axes(s.over), s.function)
    parts = {x: p.merged.get(x, (x,)) for x in (a, b)}
    return changed(
        p,
        axes=axes(p.axes),
        inputs=tuple(map(array, p.inputs)),
        dy=array(p.dy),
        steps=steps,
        y=target(p.y),
        gradients={n: target(t) for n, t in p.gradients.items()},
        conditions=tuple(Indicator(replace(c.left, change), c.sign, replace(c.right, change)) for c in p.conditions),
        merged={**{k: v for k, v in p.merged.items() if k not in parts}, new: (*parts[a], *parts[b])},
    )
