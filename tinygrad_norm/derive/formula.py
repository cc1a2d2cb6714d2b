"""``Formula``: a gradient as named lines of plain trees, with what it takes to compute it over arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.arrays import Array
from ..engine.bell import erf
from .errors import DerivationError
from .tree import (
    Call,
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
    replace,
    sum_of,
    varies,
    walk,
)
from .writer import Latex, MathML, Text, below

__all__ = [
    "Call", "Formula", "Indicator", "Letter", "Line", "Node", "Number", "Path", "Power", "Product", "Size", "Sum", "Total",
    "letters", "places", "product_of", "put", "replace", "sum_of", "varies", "walk",
]  # fmt: skip

Layout = tuple[tuple[str, ...], ...]
"""The named axes of each axis of an array: () where it has one entry, several where they were merged."""


@dataclass(frozen=True)
class Line:
    """``letter = expression``.

    kind:  "statistic" (the forward's own), "abbreviation" (g = dy·γ) or "cotangent" (a gradient on the way)
    """

    letter: Letter
    expression: Node
    kind: str = "statistic"


@dataclass(frozen=True)
class Formula:
    """A gradient: its name, its expression, and a line for every letter that is no input.

    lines:    in an order in which they can be computed; only those that the result needs
    axes:     every named axis, outermost first
    layouts:  of each input and of dy, and under ``of`` that of the result: by the letter's name
    numbers:  settings such as ε, by name
    sizes:    as recorded; of use only where shapes do not tell an axis' size, as the number of groups
    fixed:    the axes whose size is the same whatever the input's, as far as is known
    """

    name: str
    of: str
    result: Node
    lines: tuple[Line, ...]
    axes: tuple[str, ...]
    layouts: tuple[tuple[str, Layout], ...]
    numbers: tuple[tuple[str, float], ...] = ()
    sizes: tuple[tuple[str, int], ...] = ()
    fixed: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[Letter, ...]:
        """The letters that must be given, numbers excepted."""
        given = {line.letter.name for line in self.lines} | {n for n, _ in self.numbers}
        found: dict[str, Letter] = {}
        for tree in (*(line.expression for line in self.lines), self.result):
            found |= {n: a for n, a in letters(tree).items() if n not in given}
        return tuple(found.values())

    def evaluate(self, values: Mapping[str, Any]) -> Array:
        """The gradient over arrays, given by the names of letters, in their own shapes; shaped like the input it is of.

        A number such as ε may be given, too. Raises ``DerivationError`` where an array is missing or its shape does not fit.
        """
        layouts = dict(self.layouts)
        arrays = {n: np.asarray(a) for n, a in values.items()}
        missing = [a.name for a in self.inputs if a.name not in arrays]
        if missing:
            raise DerivationError(f"{self.name}: nothing is given for {', '.join(missing)}.")
        sizes = self.sizes_in({n: a for n, a in arrays.items() if n in layouts})
        known: dict[str, Any] = dict(self.numbers)
        for n, a in arrays.items():
            known[n] = self.spread(n, a, layouts[n], sizes) if n in layouts else float(a) if a.ndim == 0 else a
        at = Evaluation(known, sizes, self.axes)
        with np.errstate(over="ignore", under="ignore"):
            for line in self.lines:
                known[line.letter.name] = at(line.expression)
            found = np.asarray(at(self.result))
        own = [a for dim in layouts[self.of] for a in dim]
        found = np.broadcast_to(found, [sizes[a] if a in own else 1 for a in self.axes])
        turn = [self.axes.index(a) for a in own]
        found = np.transpose(found, turn + [k for k in range(len(self.axes)) if k not in turn])
        return np.array(found.reshape([int(np.prod([sizes[a] for a in dim], dtype=int)) for dim in layouts[self.of]]))

    def sizes_in(self, arrays: Mapping[str, Array]) -> dict[str, int]:
        """The size of each axis, as these arrays of the named ones have it; the recorded one for an axis that none has."""
        recorded, sizes = dict(self.sizes), {}
        dims = [(dim, n) for name, a in arrays.items() for dim, n in zip(dict(self.layouts)[name], a.shape)]
        for dim, n in dims:
            if len(dim) == 1:
                sizes[dim[0]] = n
        for dim, n in dims:
            for a in dim:
                if a != self.free(dim):
                    sizes.setdefault(a, recorded[a])
            if dim:
                sizes.setdefault(self.free(dim), n // int(np.prod([sizes[a] for a in dim if a != self.free(dim)], dtype=int)))
        return {a: sizes.get(a, recorded.get(a, 1)) for a in self.axes}

    def free(self, dim: tuple[str, ...]) -> str:
        """Of axes that were merged, the one that follows from the others: the last that is not fixed."""
        return next((a for a in reversed(dim) if a not in self.fixed), dim[-1])

    def spread(self, name: str, array: Array, layout: Layout, sizes: Mapping[str, int]) -> Array:
        """An array with one axis for each named one, in their order."""
        flat = [a for dim in layout for a in dim]
        try:
            array = array.reshape([sizes[a] for a in flat])
        except ValueError:
            want = ", ".join(f"{a} = {sizes[a]}" for a in flat)
            raise DerivationError(f"{self.name}: {name} has shape {array.shape}; expected the axes {want}.") from None
        array = np.transpose(array, sorted(range(len(flat)), key=lambda k: self.axes.index(flat[k])))
        return array.reshape([sizes[a] if a in flat else 1 for a in self.axes])

    @property
    def cost(self) -> tuple[int, int]:
        """Operations, each value computed once, and those of them that go over arrays of the main input's axes."""
        layout = dict(self.layouts)[self.main]
        full = {a for dim in layout for a in dim}
        done: set[Node] = set()
        operations = passes = 0
        for tree in (*(line.expression for line in self.lines), self.result):
            for node in walk(tree):
                if node not in done:
                    n = work(node)
                    done |= {node, *(p for p in children(node) if isinstance(node, Product) and _is_inverse(p))}
                    operations += n
                    passes += n if full <= varies(node.inside if isinstance(node, Total) else node) else 0
        return operations, passes

    # On paper ------------------------------------------------------------------------------------------------

    @property
    def last(self) -> tuple[str, ...]:
        """The axes that a Σ without a subscript is over: the last of the main input."""
        for n, layout in self.layouts:
            if n == self.main and layout:
                return layout[-1]
        return ()

    @property
    def main(self) -> str:
        return self.layouts[0][0]

    def equations(self) -> list[tuple[str, Node]]:
        """What is written: the result and its abbreviations; in stages, the cotangents in order and the result last."""
        named = [(line.letter.name, line.expression) for line in self.lines if line.kind != "statistic"]
        return [*named, (self.name, self.result)] if self.staged else [(self.name, self.result), *named]

    @property
    def staged(self) -> bool:
        """Whether it is a list of cotangents, not one line."""
        return any(line.kind == "cotangent" for line in self.lines)

    def __str__(self) -> str:
        hand = Text(self.axes, self.last)
        return ("\n" if self.staged else ",  ").join(hand.equation(left, e) for left, e in self.equations())

    def latex(self) -> str:
        """In LaTeX's math mode, on one line."""
        hand = Latex(self.axes, self.last)
        return ",\\quad ".join(hand.equation(left, e) for left, e in self.equations())

    def mathml(self) -> str:
        hand = MathML(self.axes, self.last)
        return "".join(hand.equation(left, e) for left, e in self.equations())

    _repr_latex_ = lambda self: f"$\\displaystyle {self.latex()}$"  # noqa: E731


def work(node: Node) -> int:
    """Operations over arrays that a node takes beyond its parts; a quotient is one, a sign none."""
    parts = [p for p in children(node) if any(isinstance(a, Letter) for a in walk(p))]
    if isinstance(node, Indicator):
        return 0  # nor does the tape count a comparison
    if isinstance(node, Product) and len(parts) == 1 and isinstance(parts[0], Indicator):
        return 0  # a number where it holds
    if not parts or isinstance(node, Sum):
        return len(children(node)) - 1 if parts else 0
    if isinstance(node, Product):
        number = isinstance(node.factors[0], Number) and node.factors[0] != Number(-1)
        return len(parts) - 1 + (number or all(map(below, parts)))
    return 1


def _is_inverse(node: Node) -> bool:
    return isinstance(node, Power) and node.exponent == Number(-1)


# In numbers ----------------------------------------------------------------------------------------------------


def sigmoid(x: Any) -> Any:
    """1/(1 + exp(−x)), without overflow on either side."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def _along(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of z less its largest entry, so that no exp is beyond what a float holds."""

    def shifted(z: Any, axis: tuple[int, ...]) -> Any:
        top = np.max(z, axis=axis, keepdims=True)
        return function(z - top, top, axis)

    return shifted


def _softmax(z: Any, top: Any, axis: Any) -> Any:
    e = np.exp(z)
    return e / e.sum(axis=axis, keepdims=True)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "sin": np.sin, "cos": np.cos, "erf": erf, "abs": np.abs, "sign": np.sign,
    "max": np.maximum, "min": np.minimum, "sigmoid": sigmoid, "softplus": lambda x: np.logaddexp(x, np.zeros_like(x)),
    "softmax": _along(_softmax),
    "logsumexp": _along(lambda z, top, axis: np.log(np.exp(z).sum(axis=axis, keepdims=True)) + top),
    "log_softmax": _along(lambda z, top, axis: z - np.log(np.exp(z).sum(axis=axis, keepdims=True))),
}  # fmt: skip
SIGNS: dict[str, Any] = {
    ">": np.greater,
    "≥": np.greater_equal,
    "=": np.equal,
    "≠": np.not_equal,
    "<": np.less,
    "≤": np.less_equal,
}


class Evaluation:
    """Trees over arrays that have one axis for each named one."""

    def __init__(self, values: Mapping[str, Any], sizes: Mapping[str, int], axes: tuple[str, ...]) -> None:
        self.values, self.sizes, self.axes = values, sizes, axes

    def __call__(self, node: Node) -> Any:
        if isinstance(node, Number):
            return int(node.value) if node.value == int(node.value) else float(node.value)
        if isinstance(node, Letter):
            if node.name not in self.values:
                raise DerivationError(f"nothing is given for {node.name}.")
            return self.values[node.name]
        if isinstance(node, Size):
            return self.sizes[node.axis]
        if isinstance(node, Sum):
            found = self(node.terms[0])
            for t in node.terms[1:]:
                found = found + self(t)
            return found
        if isinstance(node, Product):
            found = self(node.factors[0])
            for f in node.factors[1:]:
                found = found * self(f)
            return found
        if isinstance(node, Power):
            base, n = self(node.base), self(node.exponent)
            if not isinstance(n, (int, float)):
                return base**n
            return np.sqrt(base) if n == 0.5 else 1 / base if isinstance(n, int) and n == -1 else self._power(base, n)
        if isinstance(node, Indicator):
            left = self(node.left)
            holds = SIGNS[node.sign](left, self(node.right))
            return holds.astype(np.result_type(left)) if isinstance(left, np.ndarray) else float(holds)
        if isinstance(node, Total):
            return self._total(node)
        if node.axes:
            return FUNCTIONS[node.function](self._full(node.arguments[0], node.axes), axis=self._places(node.axes))
        return FUNCTIONS[node.function](*map(self, node.arguments))

    def _power(self, base: Any, n: Any) -> Any:
        return 1 / base**-n if isinstance(n, int) and n < 0 else base**n

    def _places(self, axes: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(self.axes.index(a) for a in axes)

    def _full(self, node: Node, axes: tuple[str, ...]) -> Any:
        """An array that has all its entries along these axes."""
        found = np.asarray(self(node))
        found = found.reshape((1,) * (len(self.axes) - found.ndim) + found.shape)
        wanted = [self.sizes[a] if a in axes else found.shape[k] for k, a in enumerate(self.axes)]
        return np.broadcast_to(found, wanted)

    def _total(self, node: Total) -> Any:
        found = self._full(node.inside, node.axes)
        return getattr(np, node.function)(found, axis=self._places(node.axes), keepdims=True)
