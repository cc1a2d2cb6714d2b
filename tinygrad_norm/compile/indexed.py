"""An input that is 1 at one class and 0 elsewhere, given by the number of that class: nothing of its size is made."""

from __future__ import annotations

from dataclasses import replace as dataclass_replace

from ..derive.tree import MINUS, Indicator, Letter, Node, Number, Power, Size, product_of, replace, sum_of
from .program import Array, Definition, Program, Reduction, Step, Target


def place(axis: str) -> Letter:
    """The number of a place along an axis."""
    return Letter(f"place {axis}", (axis,), "place")


def by_index(program: Program, name: str, smoothing: float = 0.0, ignored: int | None = None) -> Program:
    """The program with an input that is 1 at one class (of the second axis) and 0 elsewhere given by that class.

    name:       what the record calls the input
    smoothing:  that share of it is spread evenly over the classes
    ignored:    the index for which the formula does not hold, as for one that is no class
    """
    old = next(a for n, a in zip(program.record_names, program.inputs) if n == name)
    (along,) = old.layout[min(1, len(old.layout) - 1)]
    layout = tuple(dim for dim in old.layout if dim != (along,))
    index = Array("t", "target", layout, "index", along)
    while index.letter in {*program.arrays, *program.steps, program.y.array.letter}:
        index = dataclass_replace(index, letter=index.letter + "′")
    hit: Node = Indicator(place(along), "=", Letter(index.letter, index.axes, "constant"))
    one = hit
    if smoothing:
        one = sum_of(product_of(Number(1 - smoothing), hit), product_of(Number(smoothing), Power(Size(along), MINUS)))

    def change(node: Node) -> Node | None:
        return one if isinstance(node, Letter) and node.name == old.letter else None

    steps: dict[str, Step] = {}
    for n, step in program.steps.items():
        if isinstance(step, Definition):
            steps[n] = Definition(step.letter, replace(step.expression, change))
        elif isinstance(step.inside, Letter) and step.inside.name == old.letter and step.over == (along,):
            steps[n] = Definition(step.letter, Number(1))
        else:
            steps[n] = Reduction(step.letter, replace(step.inside, change), step.over, step.function)
    gradients = {n: Target(t.array, replace(t.expression, change)) for n, t in program.gradients.items() if n != name}
    least = Letter(index.letter, index.axes, "constant")
    return dataclass_replace(
        program,
        inputs=tuple(index if a is old else a for a in program.inputs),
        steps=steps,
        y=Target(program.y.array, replace(program.y.expression, change)),
        gradients=gradients,
        conditions=(
            *program.conditions,
            Indicator(least, "≥", Number(0)),
            Indicator(least, "<", Size(along)),
            *([Indicator(least, "≠", Number(ignored))] if ignored is not None and ignored >= 0 else []),
        ),
        record_names=tuple("target" if n == name else n for n in program.record_names),
    )
