"""Edits of expressions: another operator, number, axis or function of its kind, a factor more, neighbours the other way round."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

from .spots import Edit, Function, Place, Spot, at

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
INSTEAD: dict[type[ast.operator], tuple[ast.operator, ...]] = {
    ast.Add: (ast.Sub(),), ast.Sub: (ast.Add(),), ast.Mult: (ast.Div(),), ast.Div: (ast.Mult(),), ast.FloorDiv: (ast.Mod(),),
    ast.Mod: (ast.FloorDiv(),), ast.MatMult: (ast.Mult(),),
}  # fmt: skip
SIGN = {
    ast.Add: "+",
    ast.Sub: "−",
    ast.Mult: "·",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.MatMult: "@",
    ast.Pow: "**",
}
_AXES = (-1, 0, 1, -2, 2)


def of_operation(f: Function, s: Spot) -> Iterator[Edit]:
    node = s.node
    for op in INSTEAD.get(type(node.op), ()):
        words = f"{SIGN[type(node.op)]} where {SIGN[type(op)]} belongs"
        yield f.edit(1.0, s, at(ast.BinOp(node.left, op, node.right), node), words)
    for gone, left in ((node.right, node.left), (node.left, node.right)):
        if left is node.right and not isinstance(node.op, (ast.Add, ast.Mult)):
            continue
        what = {ast.Mult: "factor", ast.Div: "division by", ast.Pow: "power"}.get(type(node.op), "term")
        yield f.edit(1.3, s, left, f"the {what} {ast.unparse(gone)} is too much")
    if isinstance(node.op, ast.Add):
        for a, b in ((node.left, node.right), (node.right, node.left)):
            if "eps" in ast.unparse(b).lower():
                square = ast.BinOp(ast.BinOp(a, ast.Pow(), ast.Constant(2)), ast.Add(), b)
                root = ast.BinOp(square, ast.Pow(), ast.Constant(0.5))
                yield f.edit(1.05, s, root, f"{ast.unparse(b)} is outside of the root, it belongs inside")
    if isinstance(node.op, (ast.Mult, ast.Div, ast.MatMult)) and isinstance(s.owner, (ast.Assign, ast.Return, ast.Tuple)):
        yield f.edit(1.1, s, at(ast.UnaryOp(ast.USub(), node), node), "its sign is wrong")


def of_negation(f: Function, s: Spot) -> Iterator[Edit]:
    if isinstance(s.node.op, ast.USub) and not isinstance(s.node.operand, ast.Constant):
        yield f.edit(1.0, s, s.node.operand, "its sign is wrong")


def of_constant(f: Function, s: Spot) -> Iterator[Edit]:
    """Another number: an axis, an exponent, a factor, a flag."""
    value, owner = s.node.value, s.owner
    if isinstance(value, bool):
        yield f.edit(1.05, s, ast.Constant(not value), f"{value} where {not value} belongs", s.whole)
    elif isinstance(value, (int, float)) and not (isinstance(owner, ast.Subscript) and s.field == "slice"):
        called = isinstance(owner, (ast.keyword, ast.Call)) or (isinstance(owner, ast.UnaryOp) and value == 1)
        others: list[Any] = [a for a in _AXES if isinstance(value, int) and called and abs(value) < 5]
        if not called or value > 2:
            others = [value + 1, value - 1, 2 * value, value / 2, 1.5 * value, -value]
        for other in dict.fromkeys(others):
            if other != value and not (isinstance(value, int) and not isinstance(other, int) and other != int(other) and called):
                axis = "axis " if (isinstance(owner, ast.keyword) and owner.arg in ("axis", "dim")) else ""
                words = f"{axis}{value:g} where {axis}{other:g} belongs".replace("-", "−")
                yield f.edit(1.1, s, ast.Constant(other), words, s.whole)


def of_call(f: Function, s: Spot) -> Iterator[Edit]:
    """Another function of the same kind, its axes, its order of arguments; or without it."""
    node = s.node
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    of_module = isinstance(node.func, ast.Attribute) and f.is_module(node.func.value)
    for other in _KIN.get(name, ()) if isinstance(node.func, ast.Attribute) else ():
        func = ast.Attribute(node.func.value, other, ast.Load())
        yield f.edit(1.0, s, at(ast.Call(func, node.args, node.keywords), node), f"{name} where {other} belongs")
    operand = node.args[0] if of_module and node.args else node.func.value if isinstance(node.func, ast.Attribute) else None
    if operand is not None and (
        name in _DROPPED or name in ("sign", "exp", "log", "sqrt", "tanh", "flip", "roll", "transpose", "permute")
    ):
        yield f.edit(1.2, s, operand, f"{name} is too much")
    if name in ("maximum", "minimum", "clip", "clamp") and of_module and len(node.args) >= 2:
        for k in (0, 1) if name[0] == "m" else ():
            yield f.edit(1.05, s, node.args[k], f"{name} with {ast.unparse(node.args[1 - k])} does not belong here")
    if name in _REDUCTIONS and len(node.args) <= of_module:
        said = {k.arg for k in node.keywords}
        for axis in (-1, 0, 1) if not said & {"axis", "dim"} else ():
            for kept in (True, False):
                more = [
                    ast.keyword("axis", ast.Constant(axis)),
                    *([ast.keyword("keepdims", ast.Constant(True))] if kept else []),
                ]
                words = f"over the whole array where axis {axis} belongs".replace("-", "−")
                yield f.edit(1.05, s, at(ast.Call(node.func, node.args, [*node.keywords, *more]), node), words)
    axes = [k for k in node.keywords if k.arg in ("axis", "dim")]
    kept_ = [k for k in node.keywords if k.arg in ("keepdims", "keepdim")]
    if axes and name in _REDUCTIONS and not kept_ and isinstance(s.owner, (ast.BinOp, ast.Assign)):
        more = [*node.keywords, ast.keyword("keepdims", ast.Constant(True))]
        yield f.edit(1.15, s, at(ast.Call(node.func, node.args, more), node), "keepdims=True is missing")


def of_several(f: Function, s: Spot) -> Iterator[Edit]:
    """Two neighbours in a tuple the other way round."""
    elements = s.node.elts
    if len(elements) < 2:
        return
    if isinstance(s.node.ctx, ast.Store):
        for j, k in combinations(range(min(len(elements), 6)), 2):
            other = list(elements)
            other[j], other[k] = elements[k], elements[j]
            words = f"{ast.unparse(elements[j])} and {ast.unparse(elements[k])} are unpacked in the wrong order"
            of = s.owner if isinstance(s.owner, ast.Assign) else None
            yield f.edit(1.1, s, at(ast.Tuple(other, ast.Store()), s.node), words, of)
        return
    for k in range(len(elements) - 1):
        new = [*elements[:k], elements[k + 1], elements[k], *elements[k + 2 :]]
        words = f"{ast.unparse(elements[k])} and {ast.unparse(elements[k + 1])} belong the other way round"
        edit = f.edit(1.2, s, at(ast.Tuple(new, ast.Load()), s.node), words)
        yield edit
        axes = tuple(_axes_swapped(f, s.node, k))
        for some in dict.fromkeys((axes, *((a,) for a in axes))) if axes else ():
            yield replace(edit, cost=1.19, words=f"{words}, and the axes with them", places=(*edit.places, *some))


def _axes_swapped(f: Function, shape: Any, k: int) -> Iterator[Place]:
    """In tuples of axes, that one and the next the other way round."""
    for t in (s.node for s in f.spots if isinstance(s.node, ast.Tuple) and s.node is not shape):
        numbers = [e.value for e in t.elts if isinstance(e, ast.Constant) and type(e.value) is int]
        if len(numbers) == len(t.elts) > 1 and numbers == sorted(set(numbers)) and {k, k + 1} & set(numbers):
            other = {k: k + 1, k + 1: k}
            yield t, "elts", tuple(ast.Constant(n) for n in sorted(other.get(n, n) for n in numbers))


def factors(f: Function) -> Iterator[Edit]:
    """A variable more in a product."""
    for s in f.spots:
        value = s.field == "value" and isinstance(s.owner, (ast.Assign, ast.AugAssign, ast.Return))
        if not (value or isinstance(s.owner, ast.Tuple)) or not isinstance(s.node, (ast.BinOp, ast.Call, ast.Name)):
            continue
        for name, line in f.stored.items():
            if isinstance(s.node, ast.Name) and s.node.id in f.numbers:
                continue
            if (
                line <= s.node.lineno
                and "eps" not in name
                and name not in f.turning
                and name != "self"
                and name != getattr(s.node, "id", "")
            ):
                for op, words in ((ast.Mult(), "is missing"), (ast.Div(), "is too much")):
                    new = at(ast.BinOp(s.node, op, ast.Name(name, ast.Load())), s.node)
                    yield f.edit(1.6, s, new, f"the factor {name} {words}")
