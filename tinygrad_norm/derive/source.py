"""A derived formula as a NumPy function: what a person would be glad to have written. It runs without this package."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import sympy as sp

from . import tree
from .letters import Letters
from .normal import Normal
from .plain import Plain
from .rules import with_means
from .symbols import Letter, Mean, Sigma, varies
from .tree import Node, Number
from .writer import DIGITS, GREEK, Hand

_USUAL = {"σ²": "var", "x̂": "xhat", "μ": "mu", "ŷ": "yhat", "Σe": "total", "Ŵ": "what", "1/‖v‖": "scale", "v/‖v‖": "unit"}


def identifier(name: str, taken: Mapping[Any, str]) -> str:
    """A Python name for a letter: ``var`` for σ², ``xhat`` for x̂."""
    plain = _USUAL.get(unicodedata.normalize("NFC", name)) or _USUAL.get(name)
    if plain is None:
        text = "".join(
            "norm_" if c == "‖" else GREEK.get(c, {"\u0302": "hat", "²": "2", **DIGITS}.get(c, c))
            for c in unicodedata.normalize("NFD", name)
        )
        text = re.sub(r"norm_(\w+?)norm_", r"norm_\1", text)
        plain = re.sub(r"\W+", "_", text.encode("ascii", "ignore").decode()).strip("_") or "t"
        plain = "_" + plain if plain[0].isdigit() else plain
    while plain in taken.values() or keyword.iskeyword(plain) or plain in ("np", "math"):
        plain += "_"
    return plain


class NumPy(Hand):
    """The same in NumPy."""

    minus, plus, times = " - ", " + ", " * "

    def __init__(self, plain: Plain, names: Mapping[Any, str]) -> None:
        super().__init__(plain.axes, plain.last)
        self.plain = plain
        self.names = {k.name: v for k, v in names.items() if isinstance(k, Letter)}
        self.sizes = {str(k): v for k, v in names.items() if not isinstance(k, Letter)}

    def of(self, expr: Any) -> str:
        return self(self.plain(expr))

    def loose(self, name: str) -> bool:
        return False

    def letter(self, name: str) -> str:
        return self.names[name]

    def size(self, axis: str) -> str:
        return self.sizes[str(axis)]

    def number(self, n: Any) -> str:
        if isinstance(n, Fraction) and n.denominator > 1:
            return f"{n.numerator} / {n.denominator}" if n.denominator < 1000 else repr(float(n))
        return repr(n) if isinstance(n, float) else str(n)

    def power(self, base: str, n: Node) -> str:
        value = n.value if isinstance(n, Number) else None
        return f"{base}**{value}" if isinstance(value, int) else f"{base} ** {self.exponent(n)}"

    def exponent(self, n: Node) -> str:
        return repr(float(n.value)) if isinstance(n, Number) else f"({self(n)})"

    def root(self, inside: Node) -> str:
        return f"np.sqrt({self(inside)})"

    def ratio(self, over: Sequence[str], under: Sequence[str]) -> str:
        beneath = under[0] if len(under) == 1 else f"({self.times.join(under)})"
        return self.times.join(over) + (f" / {beneath}" if under else "")

    def total(self, function: str, axes: Sequence[str], inside: Node, keep: bool = True) -> str:
        at = sorted(self.axes.index(a) - len(self.axes) for a in axes)
        where = str(at[0]) if len(at) == 1 else str(tuple(at))
        body = self(inside)
        body = body if isinstance(inside, (tree.Letter, tree.Call)) else f"({body})"
        return f"{body}.{function}(axis={where}{', keepdims=True' if keep else ''})"

    def call(self, node: tree.Call) -> str:
        inside = ", ".join(map(self, node.arguments))
        if node.function == "erf":
            return f"np.vectorize(math.erf)({inside})"
        return f"np.{node.function}({inside})"


class Program:
    """Assignments and a result, from leaves: what the formula needs, and what it costs.

    lines:  (letter, expression) in order; the result last, under the name of the gradient
    """

    def __init__(self, letters: Letters, expr: Any, named: Mapping[Letter, Any], target: str) -> None:
        meanings = {**letters.definitions, **named}
        needed: set[Letter] = set()
        stack = [expr]
        while stack:
            for a in stack.pop().atoms(Letter):
                if a in meanings and a not in needed:
                    needed.add(a)
                    stack.append(meanings[a])
        self.letters, self.target, self.named = letters, target, named
        self.lines = [(a, with_means(meanings[a])) for a in meanings if a in needed]
        self.result = expr

    @property
    def cost(self) -> tuple[int, int]:
        """Operations, and those of them that go over an array of full size."""
        full = self.letters.of[self.letters.graph.main_input].expr.axes
        done: set[Any] = set()
        operations = passes = 0
        for _, e in [*self.lines, (None, self.result)]:
            for p in sp.preorder_traversal(e):
                if p in done or isinstance(p, Letter) or not p.args or (not varies(p) and not p.has(Sigma, Mean)):
                    continue
                done.add(p)
                count = len([a for a in p.args if a.has(Letter)]) - 1 if p.is_Add or p.is_Mul else 1
                over = varies(p.args[0]) if isinstance(p, (Sigma, Mean)) else varies(p)
                operations += max(count, 1)
                passes += max(count, 1) if full <= over else 0
        return operations, passes

    def source(self, function: str, arguments: Mapping[Letter, str], dy: Letter, of: Letter, about: str) -> str:
        """The function's text.

        arguments:  Python names of the inputs, by letter
        of:         the input whose gradient it is
        """
        letters = self.letters
        order = letters.order
        used = {a for _, e in [*self.lines, (None, self.result)] for a in e.atoms(Letter)} | {of}
        inputs = [dy, *(a for a in arguments if a in used and a != dy)]
        numbers = {a: letters.values[a] for a in used if a in letters.literals.values() and isinstance(a, Letter)}
        dims = {s.expr: s.dims for t, s in letters.of.items() if t.op is None}
        dims[dy] = letters.of[letters.graph.output].dims
        plain = all(self._aligned(dims[a]) for a in inputs)
        names: dict[Any, str] = dict(arguments)
        for a in numbers:
            names[a] = identifier("eps" if a.name == "ε" else a.name, names)
        constants = [a for a in letters.leaves if a in used and a not in names]
        for a in [*constants, *(a for a, _ in self.lines)]:
            names[a] = identifier(a.name, names)
        sizes = [a for a in order if any(a in e.free_symbols for _, e in [*self.lines, (None, self.result)] if True)]
        splits = {dim: dim for a in inputs for dim in dims[a] if len(dim) > 1}
        fixed = [a for dim in splits for a in dim[:-1]]
        bare = {a for a in sizes if _counts(a, [e for _, e in self.lines] + [self.result])}
        wanted = [a for a in order if a in bare or not plain]
        for a in wanted:
            names[a] = identifier(str(a), names)
        hand = NumPy(Plain(letters, [dy, *self.named]), names)

        parameters = [names[a] for a in inputs] + [names[a] for a in constants if not self._cancels(a)]
        parameters += [f"{names[a]}={v!r}" for a, v in numbers.items()] + [
            f"{names[a]}={letters.sizes[a]}" for a in fixed if a in wanted
        ]
        parameters += [f"{names[a]}=0.0" for a in constants if self._cancels(a)]
        lines = [f"def {function}({', '.join(parameters)}):", f'    """{about}"""']
        lines += self._sizes(inputs, dims, wanted, fixed, names)
        shape_of = f"{names[of]}.shape"
        if not plain:
            if of in inputs:
                lines.append(f"    shape = {names[of]}.shape")
                shape_of = "shape"
            for a in inputs:
                if not self._aligned(dims[a], strict=True):
                    full = [names[x] if x in varies(a) else "1" for x in order]
                    lines.append(f"    {names[a]} = {names[a]}{self._turned(dims[a], hand)}.reshape({', '.join(full)})")
        lines += [f"    {names[a]} = {hand.of(e)}" for a, e in self.lines]
        lines.append(f"    return {self._returned(hand, of, dims, plain, shape_of)}")
        head = "import math\n" if any("math." in line for line in lines) else ""
        return f"{head}import numpy as np\n\n\n" + "\n".join(lines) + "\n"

    def _cancels(self, a: Letter) -> bool:
        """Whether the gradient is the same whatever this constant is, as the maximum that a softmax takes off."""
        meanings = dict(self.lines)
        expr = self.result
        while expr.atoms(Letter) & set(meanings):
            expr = expr.xreplace(meanings)
        return not Normal().form(expr, self.letters).has(a) and a in expr.atoms(Letter) and self._exponent(a, expr)

    def _exponent(self, a: Letter, expr: Any) -> bool:
        return all(not e.has(a) or isinstance(e, sp.exp) for e in expr.atoms(sp.exp))

    def _aligned(self, dims: Any, strict: bool = False) -> bool:
        """Whether broadcasting puts an input's axes where the common layout has them."""
        order = self.letters.order
        fits = all(dim in ((), (order[k],)) for k, dim in zip(range(len(order) - 1, -1, -1), reversed(dims)))
        return fits and len(dims) <= len(order)

    def _sizes(self, inputs: Any, dims: Any, wanted: Any, fixed: Any, names: Any) -> list[str]:
        lines = []
        known = set(fixed)
        for a in inputs:
            for k, dim in enumerate(dims[a]):
                new = [x for x in dim if x not in known and x in wanted]
                if new and all(x in known or x is new[-1] for x in dim):
                    rest = [names[x] for x in dim if x is not new[-1]]
                    lines.append(f"    {names[new[-1]]} = {names[a]}.shape[{k}]" + "".join(f" // {r}" for r in rest))
                    known |= set(dim)
        return lines

    def _turned(self, dims: Any, hand: NumPy, back: bool = False) -> str:
        """What brings an array's axes into the common order, or from there into its own; nothing where they are in it."""
        own = [a for dim in dims for a in dim]
        common = sorted(own, key=self.letters.order.index)
        if own == common:
            return ""
        here, there = (common, own) if back else (own, common)
        sizes, turn = (", ".join(map(hand.size, here))), ", ".join(str(here.index(a)) for a in there)
        return f".reshape({sizes}).transpose({turn})"

    def _returned(self, hand: NumPy, of: Letter, dims: Any, plain: bool, shape_of: str) -> str:
        expr, order = self.result, self.letters.order
        target = dims[of]
        if plain and isinstance(expr, Sigma) and varies(expr) == varies(of) and len(target) == len(varies(of)):
            total = hand.plain(expr)
            assert isinstance(total, tree.Total)
            return hand.total(total.function, total.axes, total.inside, keep=False)  # the axes that are left are the input's own
        text = hand.of(expr)
        if varies(expr) != varies(of):
            ones = "np.ones(" + shape_of + ")"
            return (
                f"{text} * {ones}"
                if plain
                else f"({text} * np.ones(({', '.join(hand.size(a) if a in varies(of) else '1' for a in order)})))"
                f"{self._turned(target, hand, True)}.reshape({shape_of})"
            )
        if plain and len(target) == len(order):
            return text
        return f"({text}){'' if plain else self._turned(target, hand, True)}.reshape({shape_of})"


def _counts(axis: Any, expressions: Sequence[Any]) -> bool:
    """Whether the size itself is in the formula, not only a sum over the axis."""
    for e in expressions:
        for p in sp.preorder_traversal(e):
            if isinstance(p, (Sigma, Mean)):
                continue
            if not isinstance(p, Letter) and axis in p.args and not isinstance(p, (Sigma, Mean)):
                return True
        if e == axis:
            return True
    return False
