"""What things are called in pictures and formulas: axes, shapes, tensors, local derivatives."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..engine import Tensor

if TYPE_CHECKING:
    from .terms import Term

NO_GRADIENT = "no gradient"
_AXES = {1: ("N",), 2: ("B", "N"), 3: ("B", "T", "N"), 4: ("B", "C", "H", "W")}


def axis_names(ndim: int) -> tuple[str, ...]:
    """What formulas call the axes of an array: B and N for a table, B, C, H, W for images."""
    return _AXES.get(ndim) or tuple(f"N{i}" for i in range(ndim))


def word_of(t: Tensor, i: int, formula: Term | None, is_output: bool) -> Term:
    """What other formulas call the tensor: its name, or its own formula while that is short."""
    from .terms import ATOM, PRODUCT, SUM, Term

    text = "" if formula is None else str(formula)
    level = ATOM
    if t.name:
        text = t.name
    elif is_output:
        text = "y"
    elif formula is None or len(text) > 14:
        text = f"t{i}"
    else:
        level = formula.level if formula.factor == 1 else SUM if text.startswith("−") else PRODUCT
    return Term(text, level, shape=[Term(n) for n in axis_names(t.ndim)])


def local_rule(t: Tensor, position: int, words: Mapping[Tensor, Term]) -> str:
    """The local derivative along one edge, read off the pullback: ``×2c``, ``×1/N``; ``""`` where it is no factor."""
    from .terms import PRODUCT, Term

    assert t.op is not None
    rule = t.op.pullbacks[position] if t.op.pullbacks else None
    if rule is None:
        return NO_GRADIENT
    if not (t.op.elementwise or t.op.name in ("sum", "mean", "max", "logsumexp", "matmul")):
        return ""
    operands = [words[x] if isinstance(x, Tensor) else x for x in t.inputs]
    factor = rule(Term(""), words[t], *operands, **t.params)
    return factor.text if t.op.name == "matmul" else f"×{factor.whole(PRODUCT)}"


def is_summed(t: Tensor, x: Tensor) -> bool:
    assert t.op is not None
    spreads = t.op.elementwise or t.op.name == "broadcast_to"
    return spreads and math.prod(x.shape) < math.prod(t.shape)


def shape_text(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def width(text: str) -> int:
    """How many columns a text takes in a terminal; x̂ takes one."""
    return sum(not unicodedata.combining(c) for c in text)


def pad(text: str, columns: int) -> str:
    return text + " " * max(0, columns - width(text))
