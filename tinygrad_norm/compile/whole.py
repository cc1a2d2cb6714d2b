"""A program over whole arrays, as one writes it by hand: NumPy, PyTorch and JAX differ in a few words only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..derive.source import branches_of, identifier
from ..derive.tree import Call, Indicator, Letter, Node, Number, Product, product_of, varies, walk
from ..derive.writer import Hand
from .program import Array, Definition, Program, Target, closure
from .schedule import saved_by


@dataclass(frozen=True)
class Dialect:
    """The words of a library of arrays.

    total:      a sum with its axes kept, of {x} over {axis}; ``top`` the largest entry
    places:     the numbers of {n} places, on the device of ``x``
    functions:  what differs from ``{module}.{name}``
    """

    module: str
    total: str
    top: str
    where: str
    turn: str
    places: str
    functions: Mapping[str, str] = field(default_factory=dict)


NUMPY = Dialect(
    "np",
    "{x}.sum(axis={axis}, keepdims=True)",
    "{x}.max(axis={axis}, keepdims=True)",
    "np.where({0}, {1}, {2})",
    ".transpose({0})",
    "np.arange({n})",
    {
        "max": "np.maximum({0}, {1})",
        "min": "np.minimum({0}, {1})",
        "sigmoid": "np.exp(-np.logaddexp(0, -({0})))",
        "softplus": "np.logaddexp(0, {0})",
        "erf": "np.vectorize(math.erf, otypes=[float])({0})",
    },
)
TORCH = Dialect(
    "torch",
    "{x}.sum(dim={axis}, keepdim=True)",
    "{x}.amax(dim={axis}, keepdim=True)",
    "torch.where({0}, {1}, {2})",
    ".permute({0})",
    "torch.arange({n}, device=x.device)",
    {"max": "torch.maximum({0}, {1})", "min": "torch.minimum({0}, {1})", "softplus": "torch.nn.functional.softplus({0})"},
)
JAX = Dialect(
    "jnp",
    "{x}.sum(axis={axis}, keepdims=True)",
    "{x}.max(axis={axis}, keepdims=True)",
    "jnp.where({0}, {1}, {2})",
    ".transpose({0})",
    "jnp.arange({n})",
    {
        "max": "jnp.maximum({0}, {1})",
        "min": "jnp.minimum({0}, {1})",
        "sigmoid": "jax.nn.sigmoid({0})",
        "softplus": "jax.nn.softplus({0})",
        "erf": "jax.scipy.special.erf({0})",
    },
)


class Whole(Hand):
    """Expressions over whole arrays, each with an axis for every named one (of size 1 where it does not vary)."""

    minus, plus, times = " - ", " + ", " * "

    def __init__(self, program: Program, names: Mapping[str, str], sizes: Mapping[str, str], dialect: Dialect) -> None:
        super().__init__(program.axes, ())
        self.names, self.sizes, self.dialect = names, sizes, dialect

    def loose(self, name: str) -> bool:
        return False

    def letter(self, name: str) -> str:
        if not name.startswith("place "):
            return self.names[name]
        axis = name.removeprefix("place ")
        shape = ", ".join(self.sizes[a] if a == axis else "1" for a in self.axes)
        return f"{self.dialect.places.format(n=self.sizes[axis])}.reshape({shape})"

    def size(self, axis: str) -> str:
        return self.sizes[axis]

    def number(self, n: Any) -> str:
        return repr(float(n)) if float(n) != int(n) else str(int(n))

    def power(self, base: str, n: Node) -> str:
        value = n.value if isinstance(n, Number) else None
        return f"{base}**{value}" if isinstance(value, int) else f"{base} ** {self._exponent(n)}"

    def _exponent(self, n: Node) -> str:
        return repr(float(n.value)) if isinstance(n, Number) else f"({self(n)})"

    def root(self, inside: Node) -> str:
        if not any(isinstance(n, Letter) for n in walk(inside)):
            return f"{self.factor(inside, True)} ** 0.5"
        return f"{self.dialect.module}.sqrt({self(inside)})"

    def ratio(self, over: Sequence[str], under: Sequence[str]) -> str:
        beneath = under[0] if len(under) == 1 else f"({self.times.join(under)})"
        return self.times.join(over) + (f" / {beneath}" if under else "")

    def indicator(self, node: Indicator) -> str:
        sign = {"≥": ">=", "≤": "<=", "=": "==", "≠": "!="}.get(node.sign, node.sign)
        return f"({self(node.left)} {sign} {self(node.right)})"

    def __call__(self, node: Node) -> str:
        branches = branches_of(node)
        if branches is None:
            return super().__call__(node)
        where, yes, no = branches
        return self.dialect.where.format(self.indicator(where)[1:-1], self(yes), self(no))

    def term(self, node: Node) -> tuple[bool, str]:
        factors = node.factors if isinstance(node, Product) else (node,)
        asked = [f for f in factors if isinstance(f, Indicator)]
        if not asked:
            return super().term(node)
        rest = product_of(*(f for f in factors if f not in asked))
        held = " & ".join(map(self.indicator, asked))
        return False, self.dialect.where.format(held[1:-1] if len(asked) == 1 else held, self(rest), "0")

    def factor(self, f: Node, tight: bool) -> str:
        return self(f) if branches_of(f) is not None else super().factor(f, tight)

    def call(self, node: Call) -> str:
        inside = list(map(self, node.arguments))
        known = self.dialect.functions.get(node.function)
        return known.format(*inside) if known else f"{self.dialect.module}.{node.function}({', '.join(inside)})"

    def total(self, function: str, axes: Sequence[str], inside: Node) -> str:
        at = sorted(self.axes.index(a) for a in axes)
        axis = str(at[0]) if len(at) == 1 else str(tuple(at))
        body = self(inside) if isinstance(inside, Letter) else f"({self(inside)})"
        return (self.dialect.total if function == "sum" else self.dialect.top).format(x=body, axis=axis)


class Functions:
    """Writes ``forward`` and ``backward`` of a program.

    wanted:  the inputs whose gradients are computed
    """

    def __init__(self, program: Program, dialect: Dialect, wanted: Iterable[str] | None = None) -> None:
        self.p, self.dialect = program, dialect
        self.wanted = [n for n in program.gradients if wanted is None or n in set(wanted)]
        self.saved = saved_by(program)
        taken: dict[Any, str] = {n: n for n in ("np", "math", "torch", "jnp", "jax", "saved", "shape", "forward", "backward")}
        self.names: dict[str, str] = {}
        for a in (*program.inputs, program.dy, program.y.array, *(program.gradients[n].array for n in self.wanted)):
            self.names[a.letter] = taken[a.letter] = a.name
        for letter, name, _ in program.numbers:
            self.names[letter] = taken[letter] = name
        self.sizes: dict[str, str] = {}
        for a_ in program.axes:
            self.sizes[a_] = taken["size", a_] = identifier(a_, taken)
        for n in program.steps:
            if n not in self.names:
                self.names[n] = taken[n] = identifier(n, taken)
        self.hand = Whole(program, self.names, self.sizes, dialect)

    def signature(self, *first: str) -> str:
        p = self.p
        numbers = [f"{name}={value!r}" for _, name, value in p.numbers]
        return ", ".join([*first, *(a.name for a in p.inputs), *numbers, *(f"{self.sizes[a]}={n}" for a, n in p.sizes.items())])

    def forward(self, name: str = "forward") -> list[str]:
        """``name(inputs…, numbers…) -> (y, saved)``"""
        p = self.p
        lines = [f"def {name}({self.signature()}):", *self._shapes(p.inputs)]
        needed = closure(p.steps, [p.y.expression, *(t.expression for t in self.saved)])
        lines += self._lines(needed, set())
        y = self.names.get(p.y.array.letter, "y")
        if p.y.array.letter not in p.steps or y not in [line.strip().split(" = ")[0] for line in lines]:
            lines.append(f"    y = {self.hand(p.y.expression)}")
            y = "y"
        saved = [self.names[t.array.letter] for t in self.saved]
        lines.append(f"    return {self._own(p.y, y)}, ({', '.join(saved)}{',' if len(saved) == 1 else ''})")
        return lines

    def backward(self, name: str = "backward") -> list[str]:
        """``name(dy, inputs…, y, saved, numbers…) -> the gradients wanted``"""
        p = self.p
        lines = [f"def {name}({self.signature('dy', 'y', 'saved')}):"]
        lines += self._shapes([p.dy, *p.inputs])
        targets = [p.gradients[n] for n in self.wanted]
        given = {t.array.letter for t in self.saved} | {p.y.array.letter}
        needed = closure(p.steps, [t.expression for t in targets], given)
        saved = [self.names[t.array.letter] for t in self.saved]
        if saved:
            lines.append(f"    {', '.join(saved)}{',' if len(saved) == 1 else ''} = saved")
        if p.y.array.letter in needed:
            lines += self._spread(p.y.array)
        lines += self._lines(needed, given)
        found = []
        for t in targets:
            text = self.hand(t.expression)
            lines.append(f"    {t.array.name} = {text}")
            found.append(self._own(t, t.array.name))
        lines.append(f"    return {', '.join(found)}{',' if len(found) == 1 else ''}")
        return lines

    def holds(self) -> list[str]:
        """``holds(inputs…, numbers…)``: whether the program's conditions do."""
        p, module = self.p, self.dialect.module
        asked = " and ".join(f"{module}.all({self.hand.indicator(c)})" for c in p.conditions)
        lines = [f"def holds({self.signature()}):", *self._shapes(p.inputs), *self._lines(closure(p.steps, p.conditions), set())]
        return [*lines, f"    return {asked or True}"]

    def _lines(self, needed: set[str], given: set[str]) -> list[str]:
        lines = []
        for n, step in self.p.steps.items():
            if n not in needed or n in given:
                continue
            if isinstance(step, Definition):
                text = self.hand(step.expression)
            else:
                text = self.hand.total(step.function, step.over, step.inside)
                if set(step.over) - set(varies(step.inside)):
                    text = self.hand(step.inside)
            lines.append(f"    {self.names[n]} = {text}")
        return lines

    def _shapes(self, arrays: Sequence[Array]) -> list[str]:
        """Sizes from shapes, and every array with an axis for each named one."""
        known, lines = set(self.p.sizes), []
        for array in sorted(arrays, key=lambda a: -len(a.axes)):
            for k, dim in enumerate(array.layout):
                new = [a for a in dim if a not in known]
                if len(new) == 1:
                    rest = "".join(f" // {self.sizes[a]}" for a in dim if a != new[0])
                    lines.append(f"    {self.sizes[new[0]]} = {array.name}.shape[{k}]{rest}")
                    known.update(dim)
        for array in arrays:
            lines += self._spread(array)
        return lines

    def _spread(self, array: Array) -> list[str]:
        own, order = array.axes, [a for a in self.p.axes if a in array.axes]
        if array.layout == tuple((a,) for a in self.p.axes):
            return []
        text = array.name if not array.layout or not own else f"{array.name}"
        if list(own) != order:
            text += f".reshape({', '.join(self.sizes[a] for a in own)})"
            text += self.dialect.turn.format(", ".join(str(own.index(a)) for a in order))
        full = ", ".join(self.sizes[a] if a in own else "1" for a in self.p.axes)
        return [f"    {array.name} = {text}.reshape({full})"]

    def _own(self, t: Target, name: str) -> str:
        """A result in its own shape."""
        array, p = t.array, self.p
        have = varies(t.expression)
        own, order = array.axes, [a for a in p.axes if a in array.axes]
        text = name
        missing = [a for a in own if a not in have]
        if missing:
            ones = ", ".join(self.sizes[a] if a in own else "1" for a in p.axes)
            text = f"({text} * {self.dialect.module}.ones(({ones})))"
        if array.layout == tuple((a,) for a in p.axes):
            return text
        if list(own) != order:
            text += f".reshape({', '.join(self.sizes[a] for a in order)}){self.dialect.turn.format(', '.join(str(order.index(a)) for a in own))}"
        shape = ", ".join("*".join(self.sizes[a] for a in dim) or "1" for dim in array.layout)
        return f"{text}.reshape({f'({shape},)' if len(array.layout) == 1 else shape if array.layout else '()'})"


def source(program: Program, lesson: str = "") -> str:
    """A NumPy module with ``forward`` and ``backward``."""
    made = Functions(program, NUMPY)
    texts = ["\n".join(made.forward()), *(["\n".join(made.backward())] if made.wanted else [])]
    head = "import math\n\n" if any("math." in t for t in texts) else ""
    about = f'"""{program.title}: made from its derived formula by tinygrad_norm."""\n\n'
    return f"{about}{head}import numpy as np\n\n\n" + "\n\n\n".join(texts) + "\n"
