"""What a function's source may have been meant to be: one edit at a time, what is nearest to what stands there first.

These are for what a record of calls does not show: which turns a loop takes, what is assigned where it has to be added, which index,
name or condition stands in the source; and they need no record, so they serve code for any library.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

Place = tuple[Any, str, Any]
"""A node, its field, and what is put there."""


@dataclass(frozen=True)
class Edit:
    """One edit.

    cost:         how far it is from what stands there
    words:        what is wrong
    line, text:   where, and the expression or statement on it
    places:       what is put where
    """

    cost: float
    words: str
    line: int
    text: str
    places: tuple[Place, ...]


_KIN = {
    "sum": ("mean",), "mean": ("sum",), "nansum": ("sum",), "tile": ("repeat",), "repeat": ("tile", "repeat_interleave"),
    "repeat_interleave": ("repeat", "tile"), "exp2": ("exp",), "expm1": ("exp",), "exp": ("exp2", "expm1"), "log2": ("log",),
    "log10": ("log",), "log1p": ("log",), "sqrt": ("square",), "rsqrt": ("sqrt",), "std": ("var",), "var": ("std",), "amax": ("sum",),
    "max": ("sum", "min"), "min": ("max",), "argmax": ("argmin",), "argmin": ("argmax",), "maximum": ("minimum",), "minimum": ("maximum",),
    "cumsum": ("sum",), "prod": ("sum",), "median": ("mean",), "softmax": ("log_softmax",), "log_softmax": ("softmax",),
    "ones": ("zeros",), "zeros": ("ones",), "ones_like": ("zeros_like",), "inner": ("outer",), "outer": ("inner",),
    "sigmoid": ("softmax",), "ceil": ("floor",), "floor": ("ceil",),
}  # fmt: skip
_DROPPED = ("detach", "abs", "clone", "half", "bfloat16", "float", "round", "clip", "clamp", "relu", "astype", "T")
_REDUCTIONS = ("sum", "mean", "var", "std", "max", "amax", "min", "prod", "norm", "logsumexp")
_INSTEAD: dict[type[ast.operator], tuple[ast.operator, ...]] = {
    ast.Add: (ast.Sub(),), ast.Sub: (ast.Add(),), ast.Mult: (ast.Div(),), ast.Div: (ast.Mult(),), ast.FloorDiv: (ast.Mod(),),
    ast.Mod: (ast.FloorDiv(),), ast.MatMult: (ast.Mult(),),
}  # fmt: skip
_SIGN = {ast.Add: "+", ast.Sub: "−", ast.Mult: "·", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.MatMult: "@", ast.Pow: "**"}
_AXES = (-1, 0, 1, -2, 2)


def edits(tree: ast.FunctionDef, text: str) -> list[Edit]:
    """All of them, the nearest first."""
    return sorted(_Edits(tree, text).all(), key=lambda e: (e.cost, e.line))


@dataclass
class _Spot:
    """A node, and where it hangs: in ``owner.field``, or at place ``at`` of that list.

    loops:  those it is in
    whole:  the expression around it that is shown
    asked:  it is part of a condition
    """

    node: Any
    owner: Any
    field: str
    at: int | None
    loops: tuple[ast.For, ...]
    whole: Any
    asked: bool

    def put(self, new: Any) -> Place:
        if self.at is None:
            return self.owner, self.field, new
        rest = list(getattr(self.owner, self.field))
        rest[self.at : self.at + 1] = new if isinstance(new, list) else [new]
        return self.owner, self.field, rest


class _Edits:
    def __init__(self, tree: ast.FunctionDef, text: str) -> None:
        self.tree, self.lines = tree, [line.encode() for line in text.splitlines()]
        self.spots = [s for k, b in enumerate(tree.body) for s in _spots(b, tree, "body", k, (), b, False)]
        arguments = [a.arg for a in (*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs)]
        self.stored: dict[str, int] = dict.fromkeys(arguments, tree.lineno)
        for s in self.spots:
            if isinstance(s.node, ast.Name) and isinstance(s.node.ctx, ast.Store):
                self.stored.setdefault(s.node.id, s.node.lineno)
        turning = [n for s in self.spots if isinstance(s.node, ast.For) for n in ast.walk(s.node.target)]
        self.turning = {n.id for n in turning if isinstance(n, ast.Name)}
        self.own = dict.fromkeys(
            s.node.attr for s in self.spots if isinstance(s.node, ast.Attribute) and _is_self(s.node)
        )

        self.numbers = set(self._numbers())
        used = [s.node.slice for s in self.spots if isinstance(s.node, ast.Subscript)]
        used += [part for i in used if isinstance(i, ast.Tuple) for part in i.elts]
        moving = [i for i in used if any(isinstance(n, ast.Name) for n in ast.walk(i))]
        self.indices: dict[str, Any] = {ast.unparse(i): i for i in moving}

    def _numbers(self) -> Iterator[str]:
        """Variables that hold sizes and settings, as far as their source says so."""
        given = self.tree.args.args[len(self.tree.args.args) - len(self.tree.args.defaults) :]
        yield from (a.arg for a in given)
        found = {a.arg for a in given}
        for s in self.spots:
            if isinstance(s.node, ast.Assign):
                value = s.node.value
                shape = ast.unparse(value).endswith((".shape", ".size", ".ndim")) or ".shape[" in ast.unparse(value)
                names = [n.id for n in ast.walk(value) if isinstance(n, ast.Name) and n.id in self.stored]
                plain = not any(isinstance(n, (ast.Call, ast.Attribute)) for n in ast.walk(value)) and set(names) <= found
                if shape or plain or (isinstance(value, ast.Call) and getattr(value.func, "id", "") in ("len", "int", "float")):
                    mine = {n.id for t in s.node.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
                    found |= mine
                    yield from mine

    def all(self) -> Iterator[Edit]:
        for s in self.spots:
            kind = type(s.node)
            for attempt in _FOR.get(kind, ()):
                yield from attempt(self, s)
        yield from self._indices_at_once()
        yield from self._factors()

    def _edit(self, cost: float, s: _Spot, new: Any, words: str, of: Any = None) -> Edit:
        node = s.node if of is None else of
        return Edit(cost + 0.3 * s.asked, words, node.lineno, self.said(node), (s.put(new),))

    def said(self, node: Any) -> str:
        """As it stands in the source, on one line."""
        part = self.lines[node.lineno - 1 : node.end_lineno]
        part[-1] = part[-1][: node.end_col_offset]
        part[0] = part[0][node.col_offset :]
        return " ".join(b" ".join(part).decode(errors="replace").split())

    # Loops, conditions, assignments ---------------------------------------------------------------------------------

    def loop(self, s: _Spot) -> Iterator[Edit]:
        """Turns that are left out, or too many."""
        call = s.node.iter
        if not (isinstance(call, ast.Call) and getattr(call.func, "id", "") == "range" and call.args):
            return
        head = self.said(call)

        def other(args: list[Any], words: str, cost: float = 1.0) -> Edit:
            return Edit(cost, words, s.node.lineno, f"for {ast.unparse(s.node.target)} in {head}", ((call, "args", args),))

        start, stop = (ast.Constant(0), call.args[0]) if len(call.args) == 1 else call.args[:2]
        step = call.args[2:]
        first = start.value if isinstance(start, ast.Constant) else None
        if first != 0:
            yield other([ast.Constant(0), stop, *step], f"it starts at {ast.unparse(start)}: what comes before is left out")
        if first == 0:
            yield other([ast.Constant(1), stop, *step], "it starts at 0 where 1 belongs", 1.3)
        shown = ast.unparse(stop)
        for node in ast.walk(stop):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
                blocks = _whole(node.left, node.right)
                if node is stop:
                    yield other([start, blocks, *step], f"{shown} leaves out the rest of the division, the last block")
                yield other([start, node.left, *step], f"{shown} leaves out the rest of the division, the last block", 1.1)
        if isinstance(stop, ast.BinOp) and isinstance(stop.op, ast.Sub):
            yield other([start, stop.left, *step], f"it ends before {ast.unparse(stop.left)}: what comes last is left out")
        yield other([start, ast.BinOp(stop, ast.Sub(), ast.Constant(1)), *step], "it has one turn too many", 1.4)
        yield other([start, ast.BinOp(stop, ast.Add(), ast.Constant(1)), *step], "it has one turn too few: what comes last is left out", 1.1)  # fmt: skip

    def assignment(self, s: _Spot) -> Iterator[Edit]:
        """What overwrites where it has to be added, and the other way round."""
        node, target = s.node, s.node.targets[0]
        value = node.value
        again = isinstance(value, ast.BinOp) and isinstance(value.op, (ast.Add, ast.Sub)) and _same(value.left, target)
        if again and s.loops:
            new = ast.Assign([target], value.right)
            yield self._edit(1.05, s, _at(new, node), "it adds to what stands there: that is not set back to zero before")
        elif s.loops and isinstance(target, (ast.Name, ast.Subscript)) and _is_made_outside(target, s.loops, self.stored):
            new_ = ast.AugAssign(target, ast.Add(), value)
            yield self._edit(1.0, s, _at(new_, node), "= where += belongs: each turn of the loop overwrites what the one before gave")

    def addition(self, s: _Spot) -> Iterator[Edit]:
        node = s.node
        words = f"{_SIGN.get(type(node.op), '')}= where = belongs"
        if isinstance(node.op, ast.Add):
            words += ": it adds to what stands there already"
        yield self._edit(1.15, s, _at(ast.Assign([node.target], node.value), node), words)
        for op in _INSTEAD.get(type(node.op), ()):
            new = _at(ast.AugAssign(node.target, op, node.value), node)
            yield self._edit(1.05, s, new, f"{_SIGN[type(node.op)]}= where {_SIGN[type(op)]}= belongs")
        yield self._edit(1.35, s, _at(ast.Pass(), node), "this does not belong here")

    def statement(self, s: _Spot) -> Iterator[Edit]:
        """Its order."""
        if s.at is None or s.field != "body":
            return
        body = s.owner.body
        if s.at + 1 < len(body) and isinstance(body[s.at + 1], (ast.Assign, ast.AugAssign)):
            place = (s.owner, "body", [*body[: s.at], body[s.at + 1], body[s.at], *body[s.at + 2 :]])
            yield Edit(1.3, f"it belongs after line {body[s.at + 1].lineno}", s.node.lineno, self.said(s.node), (place,))

    def condition(self, s: _Spot) -> Iterator[Edit]:
        node, first = s.node, s.node.body[0]
        shown = ast.unparse(node.test)
        of = first if len(node.body) == 1 else node
        yield self._edit(1.1, s, node.body, f"it belongs there always, not only if {shown}", of)
        if node.orelse:
            of = node.orelse[0] if len(node.orelse) == 1 else node
            yield self._edit(1.1, s, node.orelse, f"it belongs there always, not only if not {shown}", of)
        else:
            yield self._edit(1.3, s, ast.Pass(), "this does not belong here", of)

    def choice(self, s: _Spot) -> Iterator[Edit]:
        for new in (s.node.body, s.node.orelse):
            yield self._edit(1.1, s, new, f"{ast.unparse(new)} belongs here always")

    # Names and indices ----------------------------------------------------------------------------------------------

    def name(self, s: _Spot) -> Iterator[Edit]:
        """Another variable."""
        node = s.node
        if not isinstance(node.ctx, ast.Load) or node.id not in self.stored or (s.field == "func" and isinstance(s.owner, ast.Call)):
            return
        inside = {n.id for loop in s.loops for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
        for other, line in self.stored.items():
            known = line < node.lineno or any(loop.lineno < line for loop in s.loops)
            turning = node.id in self.turning
            if other == node.id or other == "self" or not known or (other in self.turning) != turning:
                continue
            if (other in self.numbers) != (node.id in self.numbers):
                continue
            if turning and other not in inside:
                continue
            new = ast.copy_location(ast.Name(other, ast.Load()), node)
            yield self._edit(1.2, s, new, f"{node.id} where {other} belongs", s.whole)

    def attribute(self, s: _Spot) -> Iterator[Edit]:
        """Another thing that the object keeps."""
        node = s.node
        if not _is_self(node) or not isinstance(node.ctx, ast.Load) or s.field == "func":
            return
        for other in self.own:
            if other != node.attr:
                yield self._edit(1.25, s, _at(ast.Attribute(node.value, other, ast.Load()), node), f"self.{node.attr} where self.{other} belongs", s.whole)  # fmt: skip

    def index(self, s: _Spot) -> Iterator[Edit]:
        """Another index: of the loop, one further, one that is used elsewhere."""
        node = s.node
        inside = [n.id for loop in s.loops for n in ast.walk(loop.target) if isinstance(n, ast.Name)]
        parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        for k, part in enumerate(parts):
            for other in self._indices(part, inside):
                rest = [*parts[:k], other, *parts[k + 1 :]]
                new = ast.Tuple(rest, ast.Load()) if isinstance(node.slice, ast.Tuple) else other
                words = f"index {ast.unparse(part)} where {ast.unparse(other)} belongs"
                yield self._edit(1.1, s, _at(ast.Subscript(node.value, new, node.ctx), node), words)
        for key, other in self.indices.items():
            if key != ast.unparse(node.slice):
                words = f"[{ast.unparse(node.slice)}] where [{ast.unparse(other)}] belongs"
                yield self._edit(1.15, s, _at(ast.Subscript(node.value, other, node.ctx), node), words)

    def _indices(self, part: Any, inside: Sequence[str]) -> Iterator[Any]:
        if isinstance(part, ast.Constant) and isinstance(part.value, int):
            yield from (ast.Name(n, ast.Load()) for n in inside)
        if isinstance(part, ast.BinOp) and isinstance(part.left, ast.Name) and part.left.id in inside:
            yield part.left
        if isinstance(part, ast.Name) and part.id in inside:
            for op in (ast.Add(), ast.Sub()):
                yield ast.BinOp(part, op, ast.Constant(1))
        if isinstance(part, ast.Slice) and (part.lower is not None or part.upper is not None):
            yield ast.Slice(None, None, part.step)

    def _indices_at_once(self) -> Iterator[Edit]:
        """A number that stands for a loop's index everywhere."""
        for loop in (s.node for s in self.spots if isinstance(s.node, ast.For) and isinstance(s.node.target, ast.Name)):
            fixed: dict[Any, list[_Spot]] = {}
            for s in self.spots:
                if loop in s.loops and isinstance(s.node, ast.Subscript) and isinstance(s.node.slice, ast.Constant):
                    fixed.setdefault(s.node.slice.value, []).append(s)
            for value, spots in fixed.items():
                if len(spots) > 1 and isinstance(value, int):
                    turn = loop.target.id
                    lines = sorted({s.node.lineno for s in spots})
                    words = f"[{value}] where [{turn}] belongs" + (f", also on line {', '.join(map(str, lines[1:]))}" if lines[1:] else "")
                    places = tuple((s.node, "slice", ast.Name(turn, ast.Load())) for s in spots)
                    yield Edit(1.12, words, lines[0], self.said(spots[0].node), places)

    def _factors(self) -> Iterator[Edit]:
        """A variable more in a product."""
        for s in self.spots:
            value = s.field == "value" and isinstance(s.owner, (ast.Assign, ast.AugAssign, ast.Return))
            if not (value or isinstance(s.owner, ast.Tuple)) or not isinstance(s.node, (ast.BinOp, ast.Call, ast.Name)):
                continue
            for name, line in self.stored.items():
                if isinstance(s.node, ast.Name) and s.node.id in self.numbers:
                    continue
                if line <= s.node.lineno and "eps" not in name and name not in self.turning and name != "self" and name != getattr(s.node, "id", ""):
                    for op, words in ((ast.Mult(), "is missing"), (ast.Div(), "is too much")):
                        new = _at(ast.BinOp(s.node, op, ast.Name(name, ast.Load())), s.node)
                        yield self._edit(1.6, s, new, f"the factor {name} {words}")

    # Expressions ----------------------------------------------------------------------------------------------------

    def operation(self, s: _Spot) -> Iterator[Edit]:
        node = s.node
        for op in _INSTEAD.get(type(node.op), ()):
            words = f"{_SIGN[type(node.op)]} where {_SIGN[type(op)]} belongs"
            yield self._edit(1.0, s, _at(ast.BinOp(node.left, op, node.right), node), words)
        for gone, left in ((node.right, node.left), (node.left, node.right)):
            if left is node.right and not isinstance(node.op, (ast.Add, ast.Mult)):
                continue
            what = {ast.Mult: "factor", ast.Div: "division by", ast.Pow: "power"}.get(type(node.op), "term")
            yield self._edit(1.3, s, left, f"the {what} {ast.unparse(gone)} is too much")
        if isinstance(node.op, ast.Add):
            for a, b in ((node.left, node.right), (node.right, node.left)):
                if "eps" in ast.unparse(b).lower():
                    square = ast.BinOp(ast.BinOp(a, ast.Pow(), ast.Constant(2)), ast.Add(), b)
                    root = ast.BinOp(square, ast.Pow(), ast.Constant(0.5))
                    yield self._edit(1.05, s, root, f"{ast.unparse(b)} is outside of the root, it belongs inside")
        if isinstance(node.op, (ast.Mult, ast.Div, ast.MatMult)) and isinstance(s.owner, (ast.Assign, ast.Return, ast.Tuple)):
            yield self._edit(1.1, s, _at(ast.UnaryOp(ast.USub(), node), node), "its sign is wrong")

    def negation(self, s: _Spot) -> Iterator[Edit]:
        if isinstance(s.node.op, ast.USub) and not isinstance(s.node.operand, ast.Constant):
            yield self._edit(1.0, s, s.node.operand, "its sign is wrong")

    def constant(self, s: _Spot) -> Iterator[Edit]:
        """Another number: an axis, an exponent, a factor, a flag."""
        value, owner = s.node.value, s.owner
        if isinstance(value, bool):
            yield self._edit(1.05, s, ast.Constant(not value), f"{value} where {not value} belongs", s.whole)
        elif isinstance(value, (int, float)) and not (isinstance(owner, ast.Subscript) and s.field == "slice"):
            called = isinstance(owner, (ast.keyword, ast.Call)) or (isinstance(owner, ast.UnaryOp) and value == 1)
            others = [a for a in _AXES if isinstance(value, int) and called and abs(value) < 5]
            if not called or value > 2:
                others = [value + 1, value - 1, 2 * value, value / 2, 1.5 * value, -value]
            for other in dict.fromkeys(others):
                if other != value and not (isinstance(value, int) and not isinstance(other, int) and other != int(other) and called):
                    axis = "axis " if (isinstance(owner, ast.keyword) and owner.arg in ("axis", "dim")) else ""
                    words = f"{axis}{value:g} where {axis}{other:g} belongs".replace("-", "−")
                    yield self._edit(1.1, s, ast.Constant(other), words, s.whole)

    def call(self, s: _Spot) -> Iterator[Edit]:
        """Another function of the same kind, its axes, its order of arguments; or without it."""
        node = s.node
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        of_module = isinstance(node.func, ast.Attribute) and self._is_module(node.func.value)
        for other in _KIN.get(name, ()) if isinstance(node.func, ast.Attribute) else ():
            func = ast.Attribute(node.func.value, other, ast.Load())
            yield self._edit(1.0, s, _at(ast.Call(func, node.args, node.keywords), node), f"{name} where {other} belongs")
        operand = node.args[0] if of_module and node.args else node.func.value if isinstance(node.func, ast.Attribute) else None
        if operand is not None and (name in _DROPPED or name in ("sign", "exp", "log", "sqrt", "tanh", "flip", "roll", "transpose", "permute")):
            yield self._edit(1.2, s, operand, f"{name} is too much")
        if name in _REDUCTIONS and len(node.args) <= of_module:
            said = {k.arg for k in node.keywords}
            for axis in (-1, 0, 1) if not said & {"axis", "dim"} else ():
                for kept in (True, False):
                    more = [ast.keyword("axis", ast.Constant(axis)), *([ast.keyword("keepdims", ast.Constant(True))] if kept else [])]
                    words = f"over the whole array where axis {axis} belongs".replace("-", "−")
                    yield self._edit(1.05, s, _at(ast.Call(node.func, node.args, [*node.keywords, *more]), node), words)
        axes = [k for k in node.keywords if k.arg in ("axis", "dim")]
        kept_ = [k for k in node.keywords if k.arg in ("keepdims", "keepdim")]
        if axes and name in _REDUCTIONS and not kept_ and isinstance(s.owner, (ast.BinOp, ast.Assign)):
            more = [*node.keywords, ast.keyword("keepdims", ast.Constant(True))]
            yield self._edit(1.15, s, _at(ast.Call(node.func, node.args, more), node), "keepdims=True is missing")

    def _is_module(self, node: Any) -> bool:
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id not in self.stored and node.id != "self"

    def several(self, s: _Spot) -> Iterator[Edit]:
        """Two neighbours in a tuple the other way round."""
        elements = s.node.elts
        if len(elements) < 2 or not isinstance(s.node.ctx, ast.Load):
            return
        for k in range(len(elements) - 1):
            new = [*elements[:k], elements[k + 1], elements[k], *elements[k + 2 :]]
            words = f"{ast.unparse(elements[k])} and {ast.unparse(elements[k + 1])} belong the other way round"
            edit = self._edit(1.2, s, _at(ast.Tuple(new, ast.Load()), s.node), words)
            yield edit
            axes = tuple(self._axes_swapped(s.node, k))
            for some in dict.fromkeys((axes, *((a,) for a in axes))) if axes else ():
                yield replace(edit, cost=1.19, words=f"{words}, and the axes with them", places=(*edit.places, *some))

    def _axes_swapped(self, shape: Any, k: int) -> Iterator[Place]:
        """In tuples of axes, that one and the next the other way round."""
        for t in (s.node for s in self.spots if isinstance(s.node, ast.Tuple) and s.node is not shape):
            numbers = [e.value for e in t.elts if isinstance(e, ast.Constant) and type(e.value) is int]
            if len(numbers) == len(t.elts) > 1 and numbers == sorted(set(numbers)) and {k, k + 1} & set(numbers):
                other = {k: k + 1, k + 1: k}
                yield t, "elts", tuple(ast.Constant(n) for n in sorted(other.get(n, n) for n in numbers))


_FOR: dict[type, tuple[Any, ...]] = {
    ast.For: (_Edits.loop,), ast.Assign: (_Edits.assignment, _Edits.statement), ast.AugAssign: (_Edits.addition, _Edits.statement),
    ast.If: (_Edits.condition,), ast.IfExp: (_Edits.choice,), ast.Name: (_Edits.name,), ast.Attribute: (_Edits.attribute,),
    ast.Subscript: (_Edits.index,), ast.BinOp: (_Edits.operation,), ast.UnaryOp: (_Edits.negation,), ast.Constant: (_Edits.constant,),
    ast.Call: (_Edits.call,), ast.Tuple: (_Edits.several,),
}  # fmt: skip


def _spots(
    node: Any, owner: Any, field: str, at: int | None, loops: tuple[ast.For, ...], whole: Any, asked: bool
) -> Iterator[_Spot]:
    yield _Spot(node, owner, field, at, loops, whole, asked)
    around = node if isinstance(node, (ast.BinOp, ast.Call, ast.Subscript, ast.Assign, ast.AugAssign, ast.Return)) else whole
    for name, value in ast.iter_fields(node):
        inner = (*loops, node) if isinstance(node, ast.For) and name == "body" else loops
        if isinstance(value, list):
            for k, v in enumerate(value):
                if isinstance(v, ast.AST):
                    outer = v if isinstance(v, ast.stmt) else around
                    yield from _spots(v, node, name, k, inner, outer, asked)
        elif isinstance(value, ast.AST):
            yield from _spots(value, node, name, None, inner, around, asked or name == "test")


def _at(new: Any, old: Any) -> Any:
    return ast.copy_location(new, old)


def _same(a: Any, b: Any) -> bool:
    return ast.unparse(a) == ast.unparse(b)


def _whole(a: Any, b: Any) -> Any:
    """a divided by b, rounded up."""
    return ast.UnaryOp(ast.USub(), ast.BinOp(ast.UnaryOp(ast.USub(), a), ast.FloorDiv(), b))


def _is_self(node: Any) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def _is_made_outside(target: Any, loops: Sequence[ast.For], stored: Any) -> bool:
    """Whether what is assigned was there before the innermost loop it is in."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return isinstance(target, ast.Name) and stored.get(target.id, loops[-1].lineno) < loops[-1].lineno
