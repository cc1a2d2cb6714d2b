"""A derived formula as a NumPy function: what a person would be glad to have written. It runs without this package.

Exponentials are shifted, so that what is finite on the record is finite here; branches are ``np.where``.
"""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from .formula import Formula, Layout
from .tree import Call, Indicator, Letter, Node, Number, Product, Size, Sum, Total, children, made_of, product_of, varies, walk
from .writer import DIGITS, GREEK, Hand

_USUAL = {"σ²": "var", "x̂": "xhat", "μ": "mu", "ŷ": "yhat", "Σe": "total", "Ŵ": "what", "1/‖v‖": "scale", "v/‖v‖": "unit"}
_SHIFTED = ("softmax", "log_softmax", "logsumexp")


def identifier(name: str, taken: Mapping[Any, str]) -> str:
    """A Python name for a letter: ``var`` for σ², ``xhat`` for x̂; none that Python or NumPy has."""
    bare = name.rstrip("₀₁₂₃₄₅₆₇₈₉")
    if bare != name and _USUAL.get(unicodedata.normalize("NFC", bare)):
        return identifier(_USUAL[unicodedata.normalize("NFC", bare)] + "".join(DIGITS[c] for c in name[len(bare) :]), taken)
    plain = _USUAL.get(unicodedata.normalize("NFC", name)) or _USUAL.get(name)
    if plain is None:
        text = "".join(
            "norm_" if c == "‖" else GREEK.get(c, {"\u0302": "hat", "²": "2", "′": "_other", **DIGITS}.get(c, c))
            for c in unicodedata.normalize("NFD", name)
        )
        text = re.sub(r"norm_(\w+?)norm_", r"norm_\1", text)
        plain = re.sub(r"\W+", "_", text.encode("ascii", "ignore").decode()).strip("_") or "t"
        plain = "_" + plain if plain[0].isdigit() else plain
    while plain in taken.values() or keyword.iskeyword(plain) or plain in ("np", "math") or hasattr(builtins, plain):
        plain += "_"
    return plain


class NumPy(Hand):
    """The same in NumPy.

    names:  of letters and of sizes
    """

    minus, plus, times = " - ", " + ", " * "

    def __init__(self, formula: Formula, names: Mapping[str, str], sizes: Mapping[str, str]) -> None:
        super().__init__(formula.axes, formula.last)
        self.names, self.sizes = names, sizes

    def loose(self, name: str) -> bool:
        return False

    def letter(self, name: str) -> str:
        return self.names[name]

    def size(self, axis: str) -> str:
        return self.sizes[axis]

    def number(self, n: Any) -> str:
        if isinstance(n, Fraction) and n.denominator > 1:
            return f"{n.numerator} / {n.denominator}" if n.denominator < 100 and n.numerator < 100 else repr(float(n))
        return repr(n) if isinstance(n, float) else str(n)

    def power(self, base: str, n: Node) -> str:
        value = n.value if isinstance(n, Number) else None
        return f"{base}**{value}" if isinstance(value, int) else f"{base} ** {self.exponent(n)}"

    def exponent(self, n: Node) -> str:
        return repr(float(n.value)) if isinstance(n, Number) else f"({self(n)})"

    def root(self, inside: Node) -> str:
        if not any(isinstance(n, Letter) for n in walk(inside)):
            return f"{self.factor(inside, True)} ** 0.5"  # of a size: a plain number, which keeps an array's dtype
        return f"np.sqrt({self(inside)})"

    def ratio(self, over: Sequence[str], under: Sequence[str]) -> str:
        beneath = under[0] if len(under) == 1 else f"({self.times.join(under)})"
        return self.times.join(over) + (f" / {beneath}" if under else "")

    def axis(self, axes: Sequence[str]) -> str:
        at = sorted(self.axes.index(a) - len(self.axes) for a in axes)
        return str(at[0]) if len(at) == 1 else str(tuple(at))

    def total(self, function: str, axes: Sequence[str], inside: Node, keep: bool = True) -> str:
        body = self(inside)
        body = body if isinstance(inside, Letter) or (isinstance(inside, Call) and inside.function != "abs") else f"({body})"
        return f"{body}.{function}(axis={self.axis(axes)}{', keepdims=True' if keep else ''})"

    def indicator(self, node: Indicator) -> str:
        sign = {"≥": ">=", "≤": "<=", "=": "==", "≠": "!="}.get(node.sign, node.sign)
        return f"({self(node.left)} {sign} {self(node.right)})"

    def __call__(self, node: Node) -> str:
        branches = branches_of(node)
        if branches is None:
            return self.indicator(node) if isinstance(node, Indicator) else super().__call__(node)
        where, yes, no = branches
        return f"np.where({self.indicator(where)[1:-1]}, {self(yes)}, {self(no)})"

    def term(self, node: Node) -> tuple[bool, str]:
        negative, body = super().term(node)
        factors = [f for f in (node.factors if isinstance(node, Product) else (node,)) if not isinstance(f, Number)]
        masks = [isinstance(f, Indicator) for f in factors]
        if masks and masks[0] and body.startswith("(") and (negative or all(masks)):
            body = f"1 * {body}"  # NumPy's True + True is True, and there is no −True
        return negative, body

    def factor(self, f: Node, tight: bool) -> str:
        return self(f) if branches_of(f) is not None else super().factor(f, tight)

    def call(self, node: Call) -> str:
        inside = ", ".join(map(self, node.arguments))
        if node.function == "sigmoid":
            return f"np.exp(-np.logaddexp(0, {self(product_of(Number(-1), node.arguments[0]))}))"
        if node.function == "softplus":
            return f"np.logaddexp(0, {inside})"
        if node.function == "erf":
            return f"np.vectorize(math.erf)({inside})"
        return f"np.{ {'max': 'maximum', 'min': 'minimum'}.get(node.function, node.function) }({inside})"


_OTHER = {">": "≤", "≤": ">", "<": "≥", "≥": "<"}


def branches_of(node: Node) -> tuple[Indicator, Node, Node] | None:
    """The condition and both branches of ``[x > 0]·a + [x ≤ 0]·b``."""
    if not isinstance(node, Sum) or len(node.terms) != 2:
        return None
    split = []
    for t in node.terms:
        factors = t.factors if isinstance(t, Product) else (t,)
        conditions = [f for f in factors if isinstance(f, Indicator)]
        split.append((conditions, product_of(*(f for f in factors if not isinstance(f, Indicator)))))
    (yes, a), (no, b) = split
    if len(yes) != 1 or len(no) != 1 or no[0] != Indicator(yes[0].left, _OTHER.get(yes[0].sign, ""), yes[0].right):
        return None
    return yes[0], a, b


class Source:
    """The text of one function.

    names:  Python names of what is given, by letter, in the order of the arguments
    """

    def __init__(self, formula: Formula, function: str, names: Mapping[str, str], about: str) -> None:
        self.formula, self.function, self.about = formula, function, about
        self.layouts = dict(formula.layouts)
        self.inputs = [a.name for a in formula.inputs]
        self.inputs.sort(key=lambda n: list(names).index(n) if n in names else len(names))
        if formula.of not in self.inputs and not self._has_own_shape():
            self.inputs.append(formula.of)
        self.names: dict[str, str] = {n: names[n] for n in self.inputs if n in names}
        self.constants = [n for n in self.inputs if n not in names]
        for n, _ in formula.numbers:
            self.names[n] = identifier("eps" if n == "ε" else n, self.names)
        for n in [*self.constants, *(line.letter.name for line in formula.lines)]:
            self.names.setdefault(n, identifier(n, self.names))
        self.plain = all(self._aligned(self.layouts[n]) for n in self.inputs)
        trees = [*(line.expression for line in formula.lines), formula.result]
        bare = {n.axis for t in trees for n in walk(t) if isinstance(n, Size)}
        self.wanted = [a for a in formula.axes if a in bare or not self.plain]
        self.sizes: dict[str, str] = {}
        for a in self.wanted:
            self.sizes[a] = identifier(a, {**self.names, **self.sizes})
        self.hand = NumPy(formula, self.names, self.sizes)

    def _has_own_shape(self) -> bool:
        """Whether the result comes out in its input's shape by itself."""
        layout, result = self.layouts[self.formula.of], self.formula.result
        own = {a for dim in layout for a in dim}
        if not all(self._aligned(self.layouts[n]) for n in self.inputs) or varies(result) != own:
            return False
        return len(layout) == len(self.formula.axes) or (isinstance(result, Total) and len(layout) == len(own))

    def __str__(self) -> str:
        formula = self.formula
        fixed = [a for layout in (self.layouts[n] for n in self.inputs) for dim in layout for a in dim if self._is_fixed(a, dim)]
        fixed = [a for a in dict.fromkeys(fixed) if a in self.wanted]
        parameters = [self.names[n] for n in self.inputs]
        parameters += [f"{self.names[n]}={v!r}" for n, v in formula.numbers]
        parameters += [f"{self.sizes[a]}={dict(formula.sizes)[a]}" for a in fixed]
        body = self._sizes(fixed)
        if not self.plain:
            for n in self.inputs:
                if self._aligned(self.layouts[n], strict=True) or not self.layouts[n]:
                    continue
                own = {a for dim in self.layouts[n] for a in dim}
                full = ", ".join(self.sizes[a] if a in own else "1" for a in formula.axes)
                text = f"    {self.names[n]} = {self.names[n]}{self._turned(self.layouts[n])}.reshape({full})"
                body.append(text)
            if formula.of in self.inputs:
                body.insert(0, f"    shape = np.shape({self.names[formula.of]})")
        for line in formula.lines:
            tree = self._hoisted(line.expression, body, line.letter.name)
            if not (isinstance(tree, Letter) and tree.name == line.letter.name):
                body.append(f"    {self.names[line.letter.name]} = {self.hand(tree)}")
        result = self._returned(self._hoisted(formula.result, body))
        lines = [f"def {self.function}({', '.join(parameters)}):", *self._about(), *body, f"    return {result}"]
        head = "import math\n" if any("math." in line for line in lines) else ""
        return f"{head}import numpy as np\n\n\n" + "\n".join(lines) + "\n"

    def _about(self) -> list[str]:
        said = self.about.split("\n")
        shapes = [
            f"{self.names[n]}: {self._shape(n)}" + (", a constant of the forward" if n in self.constants else "")
            for n in self.inputs
        ]
        return [f'    """{said[0]}', *(f"    {t}" for t in said[1:]), "", f"    {'; '.join(shapes)}", '    """']

    def _shape(self, n: str) -> str:
        dims = ["·".join(dim) or "1" for dim in self.layouts.get(n, ())]
        return f"({', '.join(dims)}{',' if len(dims) == 1 else ''})" if dims else "a number"

    # Functions along axes ------------------------------------------------------------------------------------

    def _hoisted(self, tree: Node, body: list[str], name: str | None = None) -> Node:
        """The tree with shifted exponentials computed on lines of their own; ``name`` is the letter that the whole is."""
        parts = tuple(self._hoisted(p, body) for p in children(tree))
        tree = made_of(tree, parts) if parts != children(tree) else tree
        if not (isinstance(tree, Call) and tree.function in _SHIFTED):
            return tree
        if name is None:
            name = f"{tree.function}{len(body)}"
            usual = {"softmax": "p", "log_softmax": "logp", "logsumexp": "lse"}[tree.function]
            self.names[name] = identifier(usual, self.names)
        letter, z = Letter(name, self.formula.axes), tree.arguments[0]
        own, axis = self.names[name], f"(axis={self.hand.axis(tree.axes)}, keepdims=True)"
        if not isinstance(z, Letter):
            self.names[f"of {name}"] = identifier("z", self.names)
            body.append(f"    {self.names[f'of {name}']} = {self.hand(z)}")
        text = self.names[z.name if isinstance(z, Letter) else f"of {name}"]
        if tree.function == "softmax":
            body += [f"    {own} = np.exp({text} - {text}.max{axis})", f"    {own} = {own} / {own}.sum{axis}"]
        elif tree.function == "log_softmax":
            body += [f"    {own} = {text} - {text}.max{axis}", f"    {own} = {own} - np.log(np.exp({own}).sum{axis})"]
        else:
            body += [f"    {own} = {text}.max{axis}", f"    {own} = {own} + np.log(np.exp({text} - {own}).sum{axis})"]
        return letter

    # Shapes --------------------------------------------------------------------------------------------------

    def _is_fixed(self, a: str, dim: tuple[str, ...]) -> bool:
        return len(dim) > 1 and a != self.formula.free(dim)

    def _aligned(self, dims: Layout, strict: bool = False) -> bool:
        """Whether broadcasting puts an input's axes where the common layout has them."""
        order = self.formula.axes
        fits = all(dim in ((), (order[k],)) for k, dim in zip(range(len(order) - 1, -1, -1), reversed(dims)))
        return fits and len(dims) <= len(order)

    def _sizes(self, fixed: Sequence[str]) -> list[str]:
        lines, known = [], set(fixed)
        for n in self.inputs:
            for k, dim in enumerate(self.layouts[n]):
                new = [x for x in dim if x not in known and x in self.wanted]
                if len(new) == 1 and all(x in known or x == new[0] for x in dim):
                    rest = [self.sizes[x] for x in dim if x != new[0]]
                    lines.append(f"    {self.sizes[new[0]]} = {self.names[n]}.shape[{k}]" + "".join(f" // {r}" for r in rest))
                    known |= set(dim)
        return lines

    def _turned(self, dims: Layout, back: bool = False) -> str:
        """What brings an array's axes into the common order, or from there into its own; nothing where they are in it."""
        own = [a for dim in dims for a in dim]
        common = sorted(own, key=self.formula.axes.index)
        if own == common:
            return ""
        here, there = (common, own) if back else (own, common)
        return f".reshape({', '.join(map(self.hand.size, here))}).transpose({', '.join(str(here.index(a)) for a in there)})"

    def _returned(self, result: Node) -> str:
        formula, hand = self.formula, self.hand
        target, own = self.layouts[formula.of], {a for dim in self.layouts[formula.of] for a in dim}
        trees = [result, *(line.expression for line in formula.lines)]
        wide = any(isinstance(n, Indicator) or (isinstance(n, Call) and n.function == "erf") for t in trees for n in walk(t))
        cast = f".astype({self.names[self.inputs[0]]}.dtype)" if wide else ""  # of a mask, and of erf entry by entry
        if self.plain and isinstance(result, Total) and varies(result) == own and len(target) == len(own):
            text = hand.total(result.function, result.axes, result.inside, keep=False)
            return f"{text}{cast}"  # the axes that are left are the input's own
        text = hand(result)
        shape = "shape" if not self.plain and formula.of in self.inputs else f"np.shape({self.names.get(formula.of)})"
        if varies(result) != own:
            if self.plain:
                spread = f"{hand.factor(result, True)} * np.ones_like({self.names[formula.of]})"
                return spread if len(target) == len(formula.axes) else f"({spread}).reshape({shape})"
            full = ", ".join(hand.size(a) if a in own else "1" for a in formula.axes)
            return f"({text} * np.ones(({full}))){self._turned(target, True)}.reshape({shape})"
        if self.plain and len(target) == len(formula.axes):
            return f"({text}){cast}" if cast else text
        return f"({text}){'' if self.plain else self._turned(target, True)}.reshape({shape}){cast}"
