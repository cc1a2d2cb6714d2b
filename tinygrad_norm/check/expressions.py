"""Edits of expressions: another operator, number, axis or function of its kind, a factor more, neighbours the other way round."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, permutations
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
_DROPPED = ("detach", "abs", "clone", "half", "bfloat16", "float", "round", "clip", "clamp", "relu", "astype", "to", "T")
_REDUCTIONS = ("sum", "mean", "var", "std", "max", "amax", "min", "prod", "norm", "logsumexp")
INSTEAD: dict[type[ast.operator], tuple[ast.operator, ...]] = {
    ast.Add: (ast.Sub(),), ast.Sub: (ast.Add(),), ast.Mult: (ast.Div(),), ast.Div: (ast.Mult(),), ast.FloorDiv: (ast.Div(), ast.Mod()),
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
    whole = isinstance(node.op, ast.Mult) and isinstance(node.left, ast.BinOp) and isinstance(node.left.op, ast.FloorDiv)
    if whole and ast.unparse(node.left.right) == ast.unparse(node.right):
        words = f"{ast.unparse(node)} leaves out the rest of the division, what comes last"
        yield f.edit(1.0, s, node.left.left, words)
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
        if isinstance(owner, ast.Call) and _called(owner) in ("full", "full_like", "pad", "masked_fill", "where"):
            less = ast.UnaryOp(ast.USub(), ast.Call(ast.Name("float", ast.Load()), [ast.Constant("inf")], []))
            yield f.edit(1.05, s, less, f"{value:g} where −inf belongs", s.whole)
        if isinstance(owner, ast.BinOp) and isinstance(owner.op, (ast.LShift, ast.RShift)):
            return
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


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def of_arguments(f: Function, s: Spot) -> Iterator[Edit]:
    """The arguments of a call: an order of axes, a shape, what is summed over by letters, keywords that say how."""
    node, name = s.node, _called(s.node)
    of_module = isinstance(node.func, ast.Attribute) and f.is_module(node.func.value)
    if name in ("transpose", "permute"):
        yield from _other_orders(f, s, of_module)
    if name in ("reshape", "view"):
        yield from _other_shapes(f, s)
    if name == "einsum" and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
        yield from _other_letters(f, s)
    said = {k.arg for k in node.keywords}
    for k, word in enumerate(node.keywords):
        if word.arg == "dtype":
            rest = [*node.keywords[:k], *node.keywords[k + 1 :]]
            yield f.edit(
                1.1, s, at(ast.Call(node.func, node.args, rest), node), f"dtype={ast.unparse(word.value)} does not belong here"
            )
    if name in ("var", "std", "var_mean", "std_mean") and not said & {"ddof", "correction", "unbiased"}:
        for key, value, right in (("unbiased", False, "N"), ("ddof", 1, "N − 1")):
            more = [*node.keywords, ast.keyword(key, ast.Constant(value))]
            other = "N − 1" if right == "N" else "N"
            yield f.edit(1.0, s, at(ast.Call(node.func, node.args, more), node), f"divided by {other} where {right} belongs")
    if name in ("max", "min", "maximum", "minimum") and len(node.args) == 2 and not node.keywords:
        yield f.edit(
            1.12 if isinstance(node.func, ast.Name) else 1.2,
            s,
            ast.BinOp(node.args[0], ast.Add(), node.args[1]),
            f"{name} where the sum of both belongs",
        )
    if name == "where" and len(node.args) == 3 and of_module:
        for k in (1, 2):
            new = [*node.args]
            new[k] = ast.BinOp(node.args[k], ast.Add(), node.args[3 - k])
            words = f"{ast.unparse(node.args[k])} stands in the place of {ast.unparse(node.args[3 - k])}, where it has to be added to it"
            yield f.edit(1.1, s, at(ast.Call(node.func, new, []), node), words)
    axes = node.args[of_module:] if name in _REDUCTIONS else []
    if len(axes) == 1 and not said & {"keepdim", "keepdims", "axis", "dim"}:
        for key in ("keepdims", "keepdim"):
            more = [*node.keywords, ast.keyword(key, ast.Constant(True))]
            yield f.edit(1.15, s, at(ast.Call(node.func, node.args, more), node), f"{key}=True is missing")


def _other_orders(f: Function, s: Spot, of_module: bool) -> Iterator[Edit]:
    """Other orders of axes, and the way back instead of the way in."""
    node = s.node
    args = node.args[of_module:]
    several = args[0].elts if len(args) == 1 and isinstance(args[0], (ast.Tuple, ast.List)) else args
    order = [a.value for a in several if isinstance(a, ast.Constant) and type(a.value) is int]
    if len(order) == len(several) and 2 < len(order) < 6 and sorted(order) == list(range(len(order))):
        for other in permutations(order):
            new: list[ast.expr] = [ast.Constant(k) for k in other]
            shown: Any = new if several is args else [ast.Tuple(new, ast.Load())]
            words = f"the axes in the order {tuple(order)} where {other} belongs"
            if list(other) != order:
                yield f.edit(1.05, s, at(ast.Call(node.func, [*node.args[:of_module], *shown], []), node), words)
    elif of_module and len(args) == 1 and isinstance(args[0], ast.Name):
        back = ast.Call(ast.Attribute(node.func.value, "argsort", ast.Load()), [args[0]], [])
        words = f"{args[0].id} is the order on the way in; the inverse of it belongs here"
        yield f.edit(1.05, s, at(ast.Call(node.func, [node.args[0], back], []), node), words)


def _other_shapes(f: Function, s: Spot) -> Iterator[Edit]:
    """Two axes of a shape the other way round, also without the transposition after it."""
    node = s.node
    after = s.owner if isinstance(s.owner, ast.Attribute) and s.owner.attr in ("transpose", "permute", "swapaxes") else None
    for k in range(len(node.args) - 1):
        args = [*node.args[:k], node.args[k + 1], node.args[k], *node.args[k + 2 :]]
        words = f"{ast.unparse(node.args[k])} and {ast.unparse(node.args[k + 1])} belong the other way round"
        new = at(ast.Call(node.func, args, node.keywords), node)
        yield f.edit(1.2, s, new, words)
        call = f.around.get(id(f.around[id(after)].owner)) if after is not None else None
        if after is not None and call is not None:
            yield f.edit(1.09, call, new, f"{words}, and no {after.attr} after it", node)


def _other_letters(f: Function, s: Spot) -> Iterator[Edit]:
    """Of an einsum: other letters in what comes out, and the two letters of an operand the other way round."""
    node = s.node
    text = node.args[0].value.replace(" ", "")
    ins, arrow, out = text.partition("->")
    if not arrow or "." in text:
        return
    many = dict.fromkeys(c for c in ins if c != ",")
    shapes = [
        (f"{ins}->{other}") for k in range(len(out)) for c in many if c not in out for other in [out[:k] + c + out[k + 1 :]]
    ]
    for k, part in enumerate(parts := ins.split(",")):
        for i, j in combinations(range(len(part)), 2):
            swapped = part[:i] + part[j] + part[i + 1 : j] + part[i] + part[j + 1 :]
            shapes.append(",".join([*parts[:k], swapped, *parts[k + 1 :]]) + f"->{out}")
    for other in dict.fromkeys(shapes):
        new = at(ast.Call(node.func, [ast.Constant(other), *node.args[1:]], node.keywords), node)
        words = f"{text!r} where {other!r} belongs"
        yield f.edit(1.08, s, new, words)
        index = f.around.get(id(s.owner)) if isinstance(s.owner, ast.Subscript) else None
        if index is not None and isinstance(s.owner.slice, ast.Tuple) and len(s.owner.slice.elts) == 2:
            turned = ast.Subscript(new, ast.Tuple(s.owner.slice.elts[::-1], ast.Load()), ast.Load())
            yield f.edit(1.1, index, at(turned, s.owner), words, s.owner)


def of_several(f: Function, s: Spot) -> Iterator[Edit]:
    """Two neighbours in a tuple the other way round."""
    elements = s.node.elts
    if len(elements) < 2:
        return
    yield from _other_axes(f, s)
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
        cost = 1.04 if isinstance(s.owner, ast.Return) else 1.2
        edit = f.edit(cost, s, at(ast.Tuple(new, ast.Load()), s.node), words)
        yield edit
        axes = tuple(_axes_swapped(f, s.node, k))
        for some in dict.fromkeys((axes, *((a,) for a in axes))) if axes else ():
            yield replace(edit, cost=1.19, words=f"{words}, and the axes with them", places=(*edit.places, *some))


def _other_axes(f: Function, s: Spot) -> Iterator[Edit]:
    """Of axes in a tuple, others."""
    now = tuple(e.value for e in s.node.elts if isinstance(e, ast.Constant) and type(e.value) is int)
    if len(now) < len(s.node.elts) or not set(now) <= set(range(4)) or now != tuple(sorted(set(now))):
        return
    for other in (a for n in (1, 2, 3) for a in combinations(range(4), n)):
        if other != now:
            words = f"axes {', '.join(map(str, now))} where {', '.join(map(str, other))} belong{'s' * (len(other) == 1)}"
            yield f.edit(1.13, s, at(ast.Tuple([ast.Constant(k) for k in other], ast.Load()), s.node), words, s.whole)


def _axes_swapped(f: Function, shape: Any, k: int) -> Iterator[Place]:
    """In tuples of axes, that one and the next the other way round."""
    for t in (s.node for s in f.spots if isinstance(s.node, ast.Tuple) and s.node is not shape):
        numbers = [e.value for e in t.elts if isinstance(e, ast.Constant) and type(e.value) is int]
        if len(numbers) == len(t.elts) > 1 and numbers == sorted(set(numbers)) and {k, k + 1} & set(numbers):
            other = {k: k + 1, k + 1: k}
            yield t, "elts", tuple(ast.Constant(n) for n in sorted(other.get(n, n) for n in numbers))


def exchanges(f: Function) -> Iterator[Edit]:
    """Two sizes, each in the place of the other, within one statement."""
    for s in f.spots:
        if not isinstance(s.node, (ast.Assign, ast.Return)):
            continue
        inside = [
            t for t in f.spots if t.statement is s.node and isinstance(t.node, ast.Name) and isinstance(t.node.ctx, ast.Load)
        ]
        here = dict.fromkeys(t.node.id for t in inside if t.node.id in f.numbers)
        for a, b in combinations(here, 2):
            other = {a: b, b: a}
            places = tuple((t.node, "id", other[t.node.id]) for t in inside if t.node.id in other)
            yield Edit(1.15, f"{a} and {b} belong the other way round", s.node.lineno, f.said(s.node), places)


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
