"""What things are called in pictures and formulas: axes, shapes, tensors, local derivatives."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Mapping

from ..engine import Tensor
from .terms import ATOM, PRODUCT, SUM, Term, index_text

NO_GRADIENT = "no gradient"
_AXES = {1: ("N",), 2: ("B", "N"), 3: ("B", "T", "N"), 4: ("B", "C", "H", "W")}


def axis_names(ndim: int) -> tuple[str, ...]:
    """What formulas call the axes of an array: B and N for a table, B, C, H, W for images."""
    return _AXES.get(ndim) or tuple(f"N{i}" for i in range(ndim))


def scope_title(name: str) -> str:
    """What a picture calls a scope: ``variance``; a module by its path and its class, ``blocks.3.attn.q · Linear``."""
    kind = getattr(name, "kind", "")
    return f"{name} · {kind}" if kind and kind != name else str(name)


def word_of(t: Tensor, i: int, formula: Term | None, is_output: bool) -> Term:
    """What other formulas call the tensor: its name, or its own formula while that is short."""
    text = "" if formula is None else str(formula)
    level = ATOM
    if t.name:
        text = t.name
        level = SUM if _looks_composed(text) else ATOM
    elif is_output:
        text = "y"
    elif formula is None or len(text) > 14:
        text = f"t{i}"
    else:
        level = formula.level if formula.factor == 1 else SUM if text.startswith("−") else PRODUCT
    return Term(text, level, shape=[Term(n) for n in axis_names(t.ndim)])


def _looks_composed(name: str) -> bool:
    """Whether a name reads like a sum or a product, as ``a + b`` does and ``f(a + b)`` does not."""
    while (inner := re.sub(r"\([^()]*\)|\[[^][]*\]", "", name)) != name:
        name = inner
    return bool(set(name) & set(" +−-·/*@"))


_FORMS = ("reshape", "transpose", "astype", "flip", "roll")  # entries move, no more
_WORDED = ("sum", "mean", "max", "logsumexp", "matmul", "broadcast_to", "unbroadcast")


def local_rule(t: Tensor, position: int, words: Mapping[Tensor, Term]) -> str:
    """The local derivative along one edge, read off the pullback: ``×2c``, ``×1/N``.

    ``""`` where entries only move; ``[softmax]`` where it is no factor, but that operation's own rule.
    """
    assert t.op is not None
    rule = t.op.pullbacks[position] if t.op.pullbacks else None
    if rule is None:
        return NO_GRADIENT
    if t.op.name in _FORMS:
        return ""
    if t.op.elementwise or t.op.name in _WORDED:
        operands = [words[x] if isinstance(x, Tensor) else x for x in t.inputs]
        with contextlib.suppress(Exception):  # a rule of the user's own may do what words cannot
            factor = rule(Term(""), words[t], *operands, **t.params)
            return str(factor.text) if t.op.name == "matmul" else f"×{factor.whole(PRODUCT)}"
    return f"[{t.op.name}]"


def is_summed(t: Tensor, x: Tensor) -> bool:
    """Whether an operand was spread, so that its share of the cotangent is summed on the way back."""
    assert t.op is not None
    if t.op.name == "matmul":
        return x.ndim > 0 and t.ndim >= 2 and _spread(x.shape[:-2], t.shape[:-2])
    return (t.op.elementwise or t.op.name == "broadcast_to") and _spread(x.shape, t.shape)


def _spread(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    missing = len(large) - len(small)
    return any(a != b for a, b in zip((*(1,) * missing, *small), large))


def shape_text(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def width(text: str) -> int:
    """How many columns a text takes in a terminal; x̂ takes one."""
    return sum(not unicodedata.combining(c) for c in text)


def pad(text: str, columns: int) -> str:
    return text + " " * max(0, columns - width(text))


_AUTOMATIC = re.compile(r"(?<![A-Za-z_\u0370-\u03ff\u0300-\u036f])t[0-9]+(?![0-9A-Za-z_\u0300-\u03ff])")
_SIGNS = {"add": "+", "sub": "−", "mul": "·", "div": "÷", "neg": "−", "matmul": "@", "unbroadcast": "Σ"}


def is_automatic(text: str) -> bool:
    """Whether it calls a tensor t12, because nobody gave it a name."""
    return _AUTOMATIC.search(text) is not None


def sign_of(t: Tensor) -> str:
    """What an operation is called where its operands have no names: ``+``, ``tanh``, ``[:, :2]``."""
    name = t.op.name if t.op is not None else ""
    return index_text(t.params["index"]) if name == "getitem" else _SIGNS.get(name, name.replace("_", " "))


def without_automatic(text: str) -> str:
    """The text with … in place of what nobody gave a name."""
    return _AUTOMATIC.sub("…", text)
