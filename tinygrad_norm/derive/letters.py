"""A recorded graph in letters: one for every tensor that has a name, with its definition in terms of the others, and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import sympy as sp

from ..engine import TABLE, DTypeError, GradientError, Reading, Tensor
from ..engine.arrays import Array
from ..engine.bell import erf
from ..graph import REDUCTIONS, Record
from .axes import Axes
from .branches import is_every
from .conditions import MANY, AtLeast, Positive, Zero, asked_in, complement, condition, strict
from .errors import NotSymbolicError
from .finding import Finding
from .marks import Place, Size
from .sizes import Marks
from .symbols import MEANINGS, Highest, Home, Letter, Mean, Sigma, Symbol, varies
from .watching import asked_of

_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_FUNCTIONS: dict[Any, Any] = {
    sp.exp: np.exp,
    sp.log: np.log,
    sp.tanh: np.tanh,
    sp.sin: np.sin,
    sp.cos: np.cos,
    sp.erf: erf,
    sp.Abs: np.abs,
    sp.sign: np.sign,
    Positive: lambda d: np.asarray(d > 0, np.float64),
    AtLeast: lambda d: np.asarray(d >= 0, np.float64),
    Zero: lambda d: np.asarray(d == 0, np.float64),
}


_ASKING = ("maximum", "minimum", "relu", "clip", "abs", "where", "masked_fill")
_OF_MASKS: dict[str, Any] = {
    "invert": lambda a: 1 - a,
    "bitwise_and": lambda a, b: a * b,
    "bitwise_or": lambda a, b: a + b - a * b,
    "bitwise_xor": lambda a, b: a + b - 2 * a * b,
}
_MOST = 32  # named axes: in the common layout each is an axis of an array


class Letters(Home):
    """What a graph's tensors are called, what they are in terms of each other, and what they are on the record.

    of:           the symbol of every tensor: a letter, or a formula of letters where the tensor has no name
    definitions:  of every letter that was computed, oldest first
    leaves:       the letters that were not
    beside:       what tensors stand for of which masks may have asked, though nothing of them is on the graph
    opaque:       why a letter has no definition
    notes:        what is taken to be as on the record, besides ``assumptions``
    """

    def __init__(
        self,
        graph: Record,
        names: Mapping[str, Sequence[str]] | None = None,
        numbers: Mapping[str, float] | None = None,
        marks: Mapping[Place, Size] | None = None,
        axes: Axes | None = None,
        beside: Mapping[Tensor, tuple[Any, Any]] | None = None,
    ) -> None:
        super().__init__()
        self.graph, self.axes = graph, axes or Axes(graph, names)
        self.order, self.sizes = self.axes.order, dict(self.axes.sizes)
        if len(self.order) > _MOST:
            raise NotSymbolicError(f"the record has {len(self.order)} axes to tell apart; {_MOST} at most have names.")
        self.values: dict[Any, Any] = {}
        self.of: dict[Tensor, Symbol] = {}
        self._products = beside is not None  # of what is only compared
        self._beside = {t: Symbol(expr, dims, self) for t, (expr, dims) in (beside or {}).items()}
        self.definitions: dict[Letter, Any] = {}
        self.leaves: list[Letter] = []
        self.opaque: dict[Letter, str] = {}
        self.notes: list[str] = []
        self._count: dict[str, int] = dict.fromkeys(numbers or {}, 1)
        named = {name: Letter(name) for name in numbers or {}}
        self.literals = {float(v): named[n] for n, v in (numbers or {}).items()}
        self.values |= {named[n]: float(v) for n, v in (numbers or {}).items()}
        self.values |= {s.expr: self.spread(t.data.astype(np.float64), s.dims) for t, s in self._beside.items()}
        self.marks = Marks(graph, marks or {}, {**{str(a): a for a in self.order}, **named}, self)
        self._read()

    def _read(self) -> None:
        nodes = self.graph.nodes
        self._users: dict[int, list[tuple[Tensor, int]]] = {id(x): [] for x in self.graph.tensors}
        for t in self.graph.tensors:
            for k, x in enumerate(t.inputs):
                if isinstance(x, Tensor):
                    self._users[id(x)].append((t, k))
        self.finding = Finding(self.definitions, self._make, lambda a: a in self.leaves or a in self.literals.values())
        for node in nodes:
            t, dims = node.tensor, self.axes.dims[node.tensor]
            if t.dtype.kind == "b" and (found := self._asked(t._data)) is not None:
                self.of[t] = Symbol(found, dims, self)
                continue
            if t.dtype.kind == "b" and (t.op is None or t.op.name not in MEANINGS):
                whole = sp.Integer(1) if np.all(t.data) else sp.Integer(0) if not np.any(t.data) else None
                if whole is None:
                    whole = self._letter(t.name or node.operand, {a for dim in dims for a in dim})
                    self.values[whole] = self.spread(t.data.astype(np.float64), dims)
                    self.leaves.append(whole)
                else:
                    self.notes.append(f"the condition {node.text or node.label} is {'true' if whole else 'false'} everywhere")
                self.of[t] = Symbol(whole, dims, self)
                continue
            if t.op is None and (size := self.marks.of(t, "value")) is not None:
                self.of[t] = Symbol(size.expr, dims, self)
                continue
            own = t.name is not None or t.op is None or t is self.graph.output
            why, expr = "", None
            if t.op is not None:
                try:
                    expr = self._found(t, (t.name or node.operand) if own else None)
                except NotSymbolicError as error:
                    why, own = str(error), True
            if not own and not self._deserves(node, expr):
                self.of[t] = Symbol(expr, dims, self)
                continue
            same = (
                next((a for a, e in self.definitions.items() if e == expr), None) if t.name is None and expr is not None else None
            )
            if same is not None and t is not self.graph.output:  # computed twice
                self.of[t] = Symbol(same, dims, self)
                continue
            name = (t.name or node.operand) if own else self._usual_name(node, expr)  # no parentheses: a letter is one thing
            letter = self._letter(name, {a for dim in dims for a in dim})
            self.of[t] = Symbol(letter, dims, self)
            self.values[letter] = self.spread(t.data.astype(np.float64), dims)
            if expr is not None:
                if expr.has(Highest):  # one of those it is the largest of, as they are in letters: to the last bit
                    self.values[letter] = self.number(expr)
                self.definitions[letter] = expr
                self.finding.known(letter, expr)
            else:
                self.leaves.append(letter)
                if why:
                    self.opaque[letter] = why

    def _asked(self, answer: Array) -> Any:
        """What a mask is, where it is known what was compared."""
        question = asked_of(answer)
        if question is None:
            return None
        if question[0] in _OF_MASKS:
            masks = list(map(self._asked, question[1]))
            return None if None in masks else _OF_MASKS[question[0]](*masks)
        operands = []
        for value in question[1]:
            known = {**self._beside, **self.of}
            owner = next((x for x in known if x._data is value), None) if isinstance(value, np.ndarray) else value
            if owner is None:
                return None
            operands.append(known[owner] if isinstance(owner, Tensor) else owner)
        if not any(isinstance(x, Symbol) for x in operands):
            return None
        return TABLE[question[0]](*operands).expr

    def _letter(self, name: str, axes: Any) -> Letter:
        return Letter(self.fresh(name), axes)

    def _make(self, name: str, definition: Any) -> Letter:
        """A letter that was found."""
        letter = self._letter(name, varies(definition))
        self.values[letter] = self.number(definition)
        self.definitions[letter] = definition
        return letter

    def _found(self, t: Tensor, name: str | None) -> Any:
        """A tensor's meaning, in the letters that are found in it; for one with a name of its own, that is the outermost's."""
        before = set(self.definitions)
        expr = self.finding(self._meaning(t), root=name is not None or not self._divides(t))
        letter = expr.as_base_exp()[0]
        if name is None or letter not in self.definitions or letter in before:
            return expr
        self._count[_bare(letter.name)] -= 1  # it was found first here, and has a name
        del self.values[letter]
        meaning = self.definitions.pop(letter)
        self.finding.forget(letter)
        return expr.xreplace({letter: meaning})

    def _divides(self, t: Tensor) -> bool:
        """Whether all that is done with it is to divide by it."""
        users = self._users[id(t)]
        if users and all(u.op is not None and u.op.name in ("reshape", "broadcast_to", "astype") for u, _ in users):
            return all(self._divides(u) for u, _ in users)
        return bool(users) and all(
            u.op is not None and ((u.op.name == "div" and k == 1) or (u.op.name == "pow" and u.params["n"] < 0)) for u, k in users
        )

    def _deserves(self, node: Any, expr: Any) -> bool:
        """Whether a tensor without a name gets one: a sum over an axis, or what is used more than once and is itself a sum."""
        if isinstance(expr, Letter) or expr.is_number:
            return False
        users = [u for u, _ in self._users[id(node.tensor)]]
        several = len(set(map(id, users))) > 1
        if (expr.is_Add or expr.is_Mul) and any(u.op is not None and u.op.name == "max" for u in users):
            return True  # [t = max(t)] is asked of t as it was rounded
        asking = [u for u in users if u.op is not None and u.op.name in _ASKING]
        against = max(
            (sum(isinstance(x, Tensor) and x.size > 1 and x.dtype.kind != "b" for x in u.inputs) for u in asking), default=0
        )
        apart = against > 1 or (any(u.op is not None and u.op.name == "relu" for u in users) and bool(Positive(expr).is_Add))
        if against and asked_in(expr) > (0 if apart else MANY - 1):  # held against a number, it is simplified
            return True  # a branch of branches has its own line
        return node.op in REDUCTIONS or (several and bool(expr.is_Add) and node.op not in ("reshape", "broadcast_to", "astype"))

    def _usual_name(self, node: Any, expr: Any) -> str:
        if node.op == "mean":
            inside = next((s.args[0] for s in expr.atoms(Sigma)), expr)
            if inside.is_Pow and inside.exp == 2 and self.finding.is_deviation(inside.base):
                return "σ²"
            users = [u.op.name for u, k in self._users[id(node.tensor)] if u.op is not None and k == 1]
            return "μ" if "sub" in users else "m"
        return {"sum": "s", "max": "m", "mean": "m"}.get(node.op or "", "t")

    def fresh(self, name: str) -> str:
        """The name, with a number where another tensor has it."""
        while True:
            self._count[name] = times = self._count.get(name, 0) + 1
            given = name + ("" if times == 1 else str(times).translate(_SUBSCRIPT))
            if given == name or given not in self._count:
                self._count.setdefault(given, 1)
                return given

    def _meaning(self, t: Tensor) -> Any:
        assert t.op is not None
        operands = self.marks.operands(t, self.of.__getitem__)
        params = self.marks.options(t)
        if "shape" in params:
            params["shape"] = Symbol(0, self.axes.dims[t]).shape
        if not any(isinstance(x, Symbol) for x in operands):
            raise NotSymbolicError(f"{t.op.name}: none of its inputs is on the record.")
        if TABLE.get(t.op.name, t.op) is not t.op:
            raise NotSymbolicError(f"{t.op.name}: an operation of one's own with a name of the table's. Give it another.")
        if t.op.name in ("einsum", "matmul") and not self._products:
            raise NotSymbolicError(f"{t.op.name}: this op has no formula over named axes.")
        if t.op.name in TABLE:
            return t.op(*operands, **params).expr
        try:  # a node with rules of its own; its value may be written in ops, too
            return t.op.forward(*operands, **params).expr
        except Exception:  # whatever somebody's node raises where no numbers are
            raise NotSymbolicError(f"{t.op.name}: a node with rules of its own, whose value has no formula.") from None

    # Numbers ------------------------------------------------------------------------------------------------

    def spread(self, array: Array, dims: Any) -> Array:
        """An array in the common layout: one array axis for every named one, in their order."""
        flat = [a for dim in dims for a in dim]
        array = np.asarray(array).reshape([self.sizes[a] for a in flat])
        array = np.transpose(array, sorted(range(len(flat)), key=lambda k: self.order.index(flat[k])))
        return array.reshape([self.sizes[a] if a in flat else 1 for a in self.order])

    def number(self, expr: Any, values: Mapping[Any, Any] | None = None) -> Any:
        """A formula in numbers: letters as on the record, or as given."""
        known: dict[Any, Any] = {**self.sizes, **self.values, **(values or {})}

        def at(e: Any) -> Any:
            if e in known:
                return known[e]
            if e.is_Number or e.is_NumberSymbol:
                found: Any = float(e)
            elif e.is_Add:
                found = sum(at(a) for a in e.args)
            elif e.is_Mul:
                found = 1.0
                for a in e.args:
                    found = found * at(a)
            elif e.is_Pow:
                found = np.exp(at(e.exp)) if e.base is sp.E else at(e.base) ** (int(e.exp) if e.exp.is_Integer else at(e.exp))
            elif isinstance(e, (Sigma, Mean)):
                found = np.broadcast_to(at(e.args[0]), np.broadcast_shapes(np.shape(at(e.args[0])), (1,) * len(self.order)))
                for a in e.args[1:]:
                    k = self.order.index(a)
                    found = found.sum(axis=k, keepdims=True) * (self.sizes[a] if found.shape[k] == 1 else 1)
                    if isinstance(e, Mean):
                        found = found / self.sizes[a]
            elif isinstance(e, Highest):
                found = np.max(at(e.args[0]), axis=tuple(self.order.index(a) for a in e.args[1:]), keepdims=True)
            elif e.func in _FUNCTIONS:
                found = _FUNCTIONS[e.func](at(e.args[0]))
            else:
                raise NotSymbolicError(f"{e} has no number.")
            known[e] = found
            return found

        with np.errstate(all="ignore"):
            return at(sp.sympify(expr))

    def answer(self, expr: Any, sign: str, other: Any) -> Any:
        """What is 1 where the comparison holds. Of statistics, and of what is nowhere equal, the record's answer is assumed,
        but within ``every_branch``."""
        found = condition(expr, sign, other)
        if is_every() or found.is_number or not found.atoms(Letter):
            return found
        a, b = self.number(expr), self.number(other)
        answers = {"<": np.less, "≤": np.less_equal, ">": np.greater, "≥": np.greater_equal, "=": np.equal}[sign](a, b)
        yes = bool(np.all(answers))
        letters = found.atoms(Letter)
        still = not varies(found) >= self._full() and (
            found.has(Sigma) or all(a in self.definitions or a in self.literals.values() for a in letters)
        )
        if not (yes or not np.any(answers)) or not (still or (sign == "=" and not yes)):
            return found
        shown = sign if yes else {"<": "≥", "≤": ">", ">": "≤", "≥": "<", "=": "≠"}[sign]
        self.assumptions[expr, shown, other] = None
        return sp.Integer(int(yes))

    def complement(self, condition: Any) -> Any:
        return complement(condition)

    def _full(self) -> frozenset[Any]:
        return frozenset(a for dim in self.axes.dims[self.graph.main_input] for a in dim)

    # Formulas -----------------------------------------------------------------------------------------------

    def opened(self, expr: Any) -> Any:
        """A formula with the definitions of its own letters put in, once, but for those of means."""
        return expr.xreplace({a: e for a, e in self.definitions.items() if not a.name.startswith("μ")})

    def inlined(self, expr: Any) -> Any:
        """A formula with every definition put in, down to the leaves."""
        for letter, definition in reversed(self.definitions.items()):
            expr = expr.xreplace({letter: definition})
        return strict(expr)


class Near:
    """Definitions put in as far as sums and statistics reach: what holds for any u need not know what u was made of."""

    def __init__(self, letters: Letters) -> None:
        self.definitions = letters.definitions

    def inlined(self, expr: Any) -> Any:
        for letter, definition in reversed(self.definitions.items()):
            if definition.has(Sigma) or any(self._is_statistic(a, letter) for a in definition.atoms(Letter)):
                expr = expr.xreplace({letter: definition})
        return expr

    def _is_statistic(self, a: Letter, of: Letter) -> bool:
        return (a in self.definitions and a.axes < of.axes) or (a in self.definitions and len(of.axes) == len(a.axes) == 0)


def _bare(name: str) -> str:
    return name.rstrip("₀₁₂₃₄₅₆₇₈₉")


class SymbolReading(Reading):
    """The engine's backward pass over letters. With ``names``, each cotangent of a letter becomes a letter of its own.

    cotangents:  what each of these is, and whose
    """

    def __init__(self, letters: Letters, names: bool = False) -> None:
        super().__init__(letters.of.__getitem__)
        self.letters, self.names = letters, names
        self.cotangents: dict[Letter, tuple[Any, Tensor]] = {}

    def operands(self, node: Tensor) -> tuple[Any, ...]:
        return self.letters.marks.operands(node, self.value)

    def pull(self, node: Tensor, position: int, g: Any, out: Any, operands: tuple[Any, ...]) -> Any:
        letter = out.expr
        if letter in self.letters.opaque and node.op is not None and node.op.name in TABLE:
            raise NotSymbolicError(self.letters.opaque[letter], self.letters.graph.ids[node])
        if node.op is not None and node.op.name not in TABLE:
            node = SimpleNamespace(op=node.op, params=self.letters.marks.options(node))  # type: ignore[assignment]
        return super().pull(node, position, g, out, operands)

    def shares(self, node: Tensor, positions: Sequence[int], g: Any) -> Any:
        try:
            return super().shares(node, positions, self.named(node, g))
        except NotSymbolicError:
            raise
        except (DTypeError, GradientError):  # a checkpoint's, which differentiates again
            assert node.op is not None
            raise NotSymbolicError(f"{node.op.name}: a node with rules of its own, whose gradient has no formula.") from None

    def named(self, node: Tensor, g: Any) -> Any:
        out = self.value(node).expr
        if not self.names or not isinstance(out, Letter) or isinstance(g.expr, Letter):
            return g
        name = f"d{out.name}"
        while any(a.name == name for a in self.cotangents):  # one letter may stand for several nodes
            name += "′"
        letter = Letter(name, out.axes)
        self.cotangents[letter] = (g.expr, node)
        return Symbol(letter, g.dims, self.letters)
