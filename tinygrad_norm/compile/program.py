"""What a kernel computes: a forward and all its gradients as one list of definitions, each pointwise or one reduction.

A derivation gives plain trees. Here their sums get letters of their own (a mean is its sum over a count, a softmax is
exp(z − max) over its sum), and what several trees share is defined once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..derive.formula import Layout, Line
from ..derive.source import identifier
from ..derive.tree import (
    MINUS,
    Call,
    Indicator,
    Letter,
    Node,
    Number,
    Power,
    Product,
    Size,
    Sum,
    Total,
    children,
    made_of,
    product_of,
    replace,
    sum_of,
    varies,
    walk,
)
from ..derive.tree import letters as letters_of
from .errors import KernelError

if TYPE_CHECKING:
    from ..derive.derivation import Derivation

HELD = "held"
"""The name of the operation that ``detach`` is while a kernel is made."""


@dataclass(frozen=True)
class Array:
    """An array that a kernel reads or writes.

    letter:  what formulas call it; ``name``: what programs call it
    layout:  the named axes of each of its own axes; ``axes``: the same in one row
    role:    "input", "constant" (held by the forward, and given), "index" (whole numbers), "cotangent", "output" or "saved"
    along:   of an index, the axis that its numbers are places of
    lies:    the axes in a row where several were made one
    """

    letter: str
    name: str
    layout: Layout
    role: str = "input"
    along: str = ""
    lies: tuple[str, ...] | None = None

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(a for dim in self.layout for a in dim) if self.lies is None else self.lies


@dataclass(frozen=True)
class Reduction:
    """``letter`` = Σ (or the largest) of ``inside`` over axes."""

    letter: Letter
    inside: Node
    over: tuple[str, ...]
    function: str = "sum"


@dataclass(frozen=True)
class Definition:
    """``letter = expression``, entry by entry."""

    letter: Letter
    expression: Node


Step = Reduction | Definition


@dataclass(frozen=True)
class Target:
    """What is stored in an array."""

    array: Array
    expression: Node


@dataclass
class Program:
    """One forward and its gradients.

    inputs:      in the order they are given; the constants that a forward holds come last
    numbers:     settings such as ε: (letter, name, value)
    steps:       every definition, in an order in which they can be computed; the forward's first
    y:           the value; gradients: of each input that has one, by its name
    conditions:  which branches were taken: where one does not hold, the formula is another
    sizes:       of axes that no shape tells, such as the number of groups
    floor:       the letter of a setting that no formula holds: the least that a divisor may be
    record_names: what the forward calls each input that is no constant
    held:        whether the forward holds something constant that its inputs make
    merged:      of which axes each is made that stands for several
    """

    name: str
    title: str
    axes: tuple[str, ...]
    inputs: tuple[Array, ...]
    dy: Array
    numbers: tuple[tuple[str, str, float], ...]
    steps: dict[str, Step]
    y: Target
    gradients: dict[str, Target]
    conditions: tuple[Indicator, ...]
    sizes: dict[str, int] = field(default_factory=dict)
    floor: str = ""
    record_names: tuple[str, ...] = ()
    held: bool = False
    merged: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def arrays(self) -> dict[str, Array]:
        """By letter, what is given."""
        return {a.letter: a for a in (*self.inputs, self.dy)}

    def free(self, dim: tuple[str, ...]) -> str:
        """Of axes that were merged, the one that follows from the others."""
        return next((a for a in reversed(dim) if a not in self.sizes), dim[-1])


def program_of(derivations: Mapping[str, Derivation], title: str = "") -> Program:
    """The program of one forward, from the derivation of each gradient by the name of its input."""
    first = next(iter(derivations.values()))
    forward, record = first.forward, first.record
    layouts = dict(forward.layouts)
    names = {f" {n}": n for n in ("y", "dy", "saved", "shape", "start", "stop", "odd")}  # what programs have already
    inputs: list[Array] = []
    gradient_names: dict[str, str] = {}
    for n, t in record.inputs.items():
        if t not in first.letters.of:
            continue
        letter = first.plain.letter(first.letters.of[t].expr).name
        if letter not in layouts:
            continue
        names[letter] = identifier("x" if n == "input" else n, names)
        gradient_names[n] = letter
        inputs.append(Array(letter, names[letter], layouts[letter]))
    known = {a.letter for a in inputs} | {n for n, _ in forward.numbers} | {line.letter.name for line in forward.lines}
    for n, layout in forward.layouts:
        if n not in known and n != forward.of:
            names[n] = identifier(n, names)
            inputs.append(Array(n, names[n], layout, "constant"))
    dy = Array(first.plain.letter(first.dy).name, "dy", layouts[forward.of], "cotangent")
    names[dy.letter] = "dy"
    numbers = []
    for n, v in forward.numbers:
        names[n] = identifier("eps" if n == "ε" else n, names)
        numbers.append((n, names[n], v))
    lowering = Lowering(forward.axes, {*(a.letter for a in inputs), dy.letter, *(n for n, _ in forward.numbers)})
    lowering.define(forward.lines)
    y_letter = Letter(forward.of, tuple(a for dim in layouts[forward.of] for a in dim), "statistic")
    lowering.define([Line(y_letter, forward.result)])
    y_array = Array(forward.of, "y", layouts[forward.of], "output")
    y = Target(y_array, lowering.gathered(lowering.meant(y_letter), y_array.axes))
    asked = {frozenset((c.left, c.right)): c for d in derivations.values() for c in d.conditions}
    conditions = tuple(Indicator(lowering.told(c.left), c.sign, lowering.told(c.right)) for c in asked.values())
    targets: dict[str, Target] = {}
    for n, d in derivations.items():
        formula = d.formula
        renamed = lowering.define(formula.lines)
        result = lowering.lower(replace(formula.result, renamed) if renamed else formula.result)
        letter = gradient_names[n]
        array = Array(
            f"{'δ' if f'd{letter}' == dy.letter else 'd'}{letter}",
            identifier(f"d{names[letter]}", names),
            layouts[letter],
            "output",
        )
        names[array.letter] = array.name
        targets[n] = Target(array, lowering.gathered(result, array.axes))
    needed = closure(lowering.steps, [y.expression, *(t.expression for t in targets.values()), *conditions])
    steps = {n: s for n, s in lowering.steps.items() if n in needed}
    inputs = [a for a in inputs if a.role == "input" or a.letter in needed]
    sizes = dict(forward.sizes)
    merged = {a for a in forward.fixed for _, layout in forward.layouts for dim in layout if len(dim) > 1 and a in dim}
    floor = next((letter for letter, _, _ in numbers if letter not in needed), "")
    return Program(
        record.name, title or record.title, forward.axes, tuple(inputs), dy, tuple(numbers), steps, y, targets,
        conditions, {a: sizes[a] for a in forward.axes if a in merged}, floor,
        tuple(gradient_names), any(t.op is not None and t.op.name == HELD for t in first.letters.graph.tensors),
    )  # fmt: skip


def closure(steps: Mapping[str, Step], trees: Iterable[Node], given: Iterable[str] = ()) -> set[str]:
    """The letters that trees need, and what these need, down to those that are given."""
    stop, stack = set(given), list(trees)
    found: set[str] = set()
    while stack:
        for n in letters_of(stack.pop()):
            if n not in found:
                found.add(n)
                if n in steps and n not in stop:
                    stack.append(tree_of(steps[n]))
    return found


def tree_of(step: Step) -> Node:
    return step.inside if isinstance(step, Reduction) else step.expression


class Lowering:
    """Trees without sums inside: each sum is a step of its own, made once.

    given:  the letters that need no definition
    """

    def __init__(self, axes: Sequence[str], given: Iterable[str]) -> None:
        self.axes, self.given = tuple(axes), set(given)
        self.steps: dict[str, Step] = {}
        self._made: dict[object, Letter] = {}
        self._meant: dict[str, Node] = {}
        self._same: dict[Node, Node] = {}

    def define(self, lines: Iterable[Line]) -> dict[Node, Node]:
        """Take lines in; what has to be renamed, because another line has its letter."""
        renamed: dict[Node, Node] = dict(self._same)
        for line in lines:
            expression = replace(line.expression, renamed) if renamed else line.expression
            letter = line.letter
            if self._meant.get(letter.name) == expression or letter.name in self.given:
                continue
            if isinstance(expression, Letter) and expression.axes == letter.axes and letter.name not in self._meant:
                renamed[letter] = self._same[letter] = expression  # another name for the same
                continue
            if letter.name in self._meant:
                new = letter.name
                while new in self._meant or new in self.given:
                    new += "′"
                renamed[letter] = Letter(new, letter.axes, letter.kind)
                letter = Letter(new, letter.axes, letter.kind)
            self._meant[letter.name] = expression
            if isinstance(expression, Total) and expression.function != "mean":
                self._reduce(self.lower(expression.inside), expression.axes, expression.function, letter)
            elif isinstance(expression, Total):
                mean = self._mean(self.lower(expression.inside), expression.axes)
                self._made.setdefault(mean, letter)
                self.steps[letter.name] = Definition(letter, mean if self._made[mean] == letter else self._made[mean])
            else:
                self.steps[letter.name] = Definition(letter, self.lower(expression))
        return renamed

    def meant(self, letter: Letter) -> Node:
        if letter in self._same:
            return self._same[letter]
        step = self.steps[letter.name]
        return step.expression if isinstance(step, Definition) else letter

    def lower(self, node: Node) -> Node:
        """The tree with letters for its sums."""
        if isinstance(node, Call) and node.axes:
            return self._along(node)
        if isinstance(node, Letter) or not children(node):
            return node
        parts = tuple(self.lower(p) for p in children(node))
        node = node if parts == children(node) else made_of(node, parts)
        if not isinstance(node, Total):
            return node
        if node.function == "mean":
            return self._named("mean", node.inside, self._mean(node.inside, node.axes))
        return self._reduce(node.inside, node.axes, node.function)

    def told(self, node: Node) -> Node:
        """A tree in letters as derivations have them, lowered."""
        return self.lower(replace(node, self._same) if self._same else node)

    def _along(self, node: Call) -> Node:
        """softmax, log_softmax and logsumexp, less the largest entry."""
        z = self.lower(node.arguments[0])
        top = self._reduce(z, node.axes, "max")
        less = sum_of(z, product_of(MINUS, top))
        e = self._named("e", z, Call("exp", (less,)))
        total = self._reduce(e, node.axes, "sum")
        if node.function == "softmax":
            return product_of(e, Power(total, MINUS))
        if node.function == "log_softmax":
            return sum_of(less, product_of(MINUS, self._named("log", total, Call("log", (total,)))))
        if node.function == "logsumexp":
            return sum_of(top, Call("log", (total,)))
        raise KernelError(f"kernel: {node.function} along axes has no loop yet.")

    def _reduce(self, inside: Node, over: tuple[str, ...], function: str, own: Letter | None = None) -> Letter:
        """The letter of a sum; ``own``: the one it is to have."""
        missing = tuple(a for a in over if a not in varies(inside))
        if function == "sum" and missing:  # each entry as often as the axis is long
            inside = product_of(inside, *(Size(a) for a in missing))
            over = tuple(a for a in over if a not in missing)
        key = (function, inside, over)
        if key not in self._made:
            letter = own or Letter(self._fresh(function, inside), self._order(varies(inside) - set(over)), "statistic")
            self._made[key] = letter
            self.steps[letter.name] = Reduction(letter, inside, over, function)
        elif own is not None:
            self.steps[own.name] = Definition(own, self._made[key])
        return self._made[key]

    def _mean(self, inside: Node, over: tuple[str, ...]) -> Node:
        return product_of(self._reduce(inside, over, "sum"), *(Power(Size(a), MINUS) for a in over))

    def _named(self, word: str, of: Node, expression: Node) -> Letter:
        if expression not in self._made:
            letter = Letter(self._fresh(word, of), self._order(varies(expression)), "statistic")
            self._made[expression] = letter
            self.steps[letter.name] = Definition(letter, expression)
        return self._made[expression]

    def _fresh(self, word: str, inside: Node) -> str:
        """``sum_g·x̂``, from the letters that are summed."""
        names = [n.split("_", 1)[1] if n.startswith(("sum_", "e_")) else n for n in letters_of(inside)]
        names = [n for n in dict.fromkeys(names) if not n.startswith(("mean_", "max_"))]
        name = f"{word}_{'_'.join(names[:3])}" if names else word
        while name in self.steps or name in self.given or name in self._meant:
            name += "′"
        return name

    def _order(self, axes: Iterable[str]) -> tuple[str, ...]:
        wanted = set(axes)
        return tuple(a for a in self.axes if a in wanted)

    def gathered(self, result: Node, own: Sequence[str]) -> Node:
        """The same as one sum, where it is one times what does not vary along it: what is accumulated needs no end."""
        if isinstance(result, Sum):
            terms = [self.gathered(t, own) for t in result.terms]
            found = [self.steps.get(t.name) if isinstance(t, Letter) else None for t in terms]
            sums = [s for s in found if isinstance(s, Reduction) and s.function == "sum"]
            if len(sums) == len(terms) and len({s.over for s in sums}) == 1:
                return self._reduce(sum_of(*(s.inside for s in sums)), sums[0].over, "sum")
            return result
        result = self._opened(result)
        if not isinstance(result, Product):
            return result
        sums = [s for f in result.factors if isinstance(f, Letter) and isinstance(s := self.steps.get(f.name), Reduction)]
        if len(sums) != 1 or sums[0].function != "sum" or set(sums[0].over) & set(own):
            return result
        rest = [f for f in result.factors if f != sums[0].letter]
        if any(isinstance(n, Letter) and n.name not in self.given for f in rest for n in walk(f)):
            return result
        return self._reduce(product_of(*rest, sums[0].inside), sums[0].over, "sum")

    def _opened(self, node: Node) -> Node:
        """A mean's or an abbreviation's own expression, as long as that is a product with a sum in it."""
        factors = node.factors if isinstance(node, Product) else (node,)
        opened = []
        for f in factors:
            step = self.steps.get(f.name) if isinstance(f, Letter) else None
            opened.append(step.expression if isinstance(step, Definition) and self._is_scaled_sum(step.expression) else f)
        return product_of(*opened)

    def _is_scaled_sum(self, node: Node) -> bool:
        factors = node.factors if isinstance(node, Product) else (node,)
        return all(
            isinstance(f, (Number, Size, Power)) or (isinstance(f, Letter) and isinstance(self.steps.get(f.name), Reduction))
            for f in factors
        ) and any(isinstance(f, Letter) for f in factors)
