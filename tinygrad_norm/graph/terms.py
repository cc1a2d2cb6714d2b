"""Rules and values read over words: ``g * (2 * c)`` becomes the text ``2c``.

One more thing that can flow through an op or a pullback. It writes the labels of pictures, so that
a label cannot say anything else than the rule does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..engine import Op

SUM, PRODUCT, POWER, ATOM = range(4)
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_FRACTIONS = {Fraction(1, 2): "½", Fraction(1, 4): "¼", Fraction(3, 4): "¾"}
_QUESTIONS = {"greater": ">", "greater_equal": "≥", "less": "<", "less_equal": "≤", "equal": "=", "not_equal": "≠"}


class Term:
    """A text that knows how tightly its parts hold together: a number times ``text``."""

    dtype = None
    opposite = ""  # of a question: the other answer, [x ≤ 0] for [x > 0]
    power: tuple[Term, int] | None = None  # what was raised, and how often

    def __init__(self, text: str, level: int = ATOM, factor: float | Fraction = 1, shape: Sequence[Any] = ()) -> None:
        self.text, self.level, self.factor, self.shape = text, level, factor, tuple(shape)

    def __str__(self) -> str:
        if not self.text:
            return _number(self.factor)
        sign = "−" if self.factor < 0 else ""
        size: Any = abs(self.factor)
        if isinstance(size, Fraction) and size.denominator > 1 and size not in _FRACTIONS:
            return f"{sign}{'' if size.numerator == 1 else size.numerator}{self.within(PRODUCT)}/{size.denominator}"
        body = self.within(PRODUCT) if size != 1 or sign else self.text
        return sign + ("" if size == 1 else _number(size) + ("·" if body[0].isnumeric() else "")) + body

    def within(self, level: int) -> str:
        """The text without its number, in parentheses where it would fall apart next to ``level``."""
        return f"({self.text})" if self.level < level else self.text

    def whole(self, level: int) -> str:
        """Number and text as one operand."""
        bound = self.level if self.factor == 1 else PRODUCT
        return f"({self})" if bound < level else str(self)

    # Operators -----------------------------------------------------------------------------------------

    def times(self, other: Any) -> Term:
        other = term(other)
        factor = self.factor * other.factor
        if not (self.text and other.text):
            return (self if self.text else other)._sized(factor)
        return Term(f"{self.within(PRODUCT)}·{other.within(PRODUCT)}", PRODUCT, factor)

    def __mul__(self, other: Any) -> Term:
        """As ``times``; but a rule that stays in range factor by factor, r·r·r, reads r³."""
        other = term(other)
        return self._joined(other, 1, self.factor * other.factor) or self.times(other)

    def __rmul__(self, other: Any) -> Term:
        return term(other).__mul__(self)

    def __truediv__(self, other: Any) -> Term:
        other = term(other)
        return self._joined(other, -1, self.factor * _inverse(other.factor)) or self.over(other)

    def _joined(self, other: Term, sign: int, factor: Any) -> Term | None:
        """Powers of one thing as one power."""
        (a, n), (b, m) = (t.power or (Term(t.text, t.level), 1) for t in (self, other))
        if not a.text or a.text != b.text or n + sign * m == 0:
            return None
        return (a ** (n + sign * m))._sized(factor)

    def _sized(self, factor: Any) -> Term:
        sized = Term(self.text, self.level, factor)
        sized.power = self.power
        return sized

    def over(self, other: Any) -> Term:
        other = term(other)
        if not (other.text or other.factor):
            return Term(f"{self.within(PRODUCT) if self.text else 1}/0", PRODUCT, self.factor)
        if not other.text:
            return self._sized(self.factor * _inverse(other.factor))
        factor: Any = self.factor * _inverse(other.factor)
        if not self.text:
            return Term(f"{_number(abs(factor))}/{other.within(POWER)}", PRODUCT, -1 if factor < 0 else 1)
        return Term(f"{self.within(PRODUCT)}/{other.within(POWER)}", PRODUCT, factor)

    def __rtruediv__(self, other: Any) -> Term:
        return term(other).__truediv__(self)

    def __neg__(self) -> Term:
        return self._sized(-self.factor)

    def __add__(self, other: Any) -> Term:
        return Term(f"{self} + {term(other)}", SUM)

    def __radd__(self, other: Any) -> Term:
        return term(other) + self

    def __sub__(self, other: Any) -> Term:
        return Term(f"{self} − {term(other).whole(PRODUCT)}", SUM)

    def __rsub__(self, other: Any) -> Term:
        return term(other) - self

    def __pow__(self, n: float) -> Term:
        if n == 1:
            return self
        raised = str(n).translate(_SUPERSCRIPT) if isinstance(n, int) else f"^{n:g}"
        result = Term(self.whole(ATOM) + raised, POWER)
        result.power = (self, n) if isinstance(n, int) and self.factor == 1 else None
        return result

    def __matmul__(self, other: Any) -> Term:
        sides = [t.whole(PRODUCT) if t.text else "" for t in (self, term(other))]  # a cotangent has no text
        return Term(" @ ".join(sides).strip(), PRODUCT)

    def __rmatmul__(self, other: Any) -> Term:
        return term(other) @ self

    def _ask(self, sign: str, other: Any) -> Term:
        asked = Term(f"[{self} {sign} {term(other)}]", ATOM)
        asked.opposite = f"[{self} {_OPPOSITE[sign]} {term(other)}]"
        return asked

    def __gt__(self, other: Any) -> Term:
        return self._ask(">", other)

    def __lt__(self, other: Any) -> Term:
        return self._ask("<", other)

    def __le__(self, other: Any) -> Term:
        return self._ask("≤", other)

    def __eq__(self, other: object) -> Term:  # type: ignore[override]
        return self._ask("=", other)

    __hash__ = object.__hash__

    def apply_op(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> Term:
        """An op over words: its own way of printing."""
        words = [term(x) for x in inputs]
        if op.name == "where":
            condition, yes, no = words
            parts = [side * case for side, case in ((yes, condition), (no, _negation(condition))) if side.factor]
            return parts[0] + parts[1] if len(parts) > 1 else parts[0] if parts else term(0)
        if op.name in ("broadcast_to", "astype"):
            return words[0]
        if op.name == "unbroadcast":  # a cotangent has no text
            return Term(f"Σ({words[0]})") if words[0].text else words[0]
        if op.name == "transpose":
            return Term(words[0].whole(ATOM) + "ᵀ" if not words[0].text.endswith("ᵀ") else words[0].text[:-1], ATOM)
        if op.name == "getitem":
            return Term(words[0].whole(ATOM) + index_text(params["index"]), ATOM)
        if op.name == "pow":
            return words[0].__pow__(params["n"])
        if op.name in _ARITHMETIC:
            return _ARITHMETIC[op.name](*words)
        if op.name in ("remainder", "power"):
            return Term(op.text.format(*(w.whole(ATOM) for w in words), **params), POWER if op.name == "power" else PRODUCT)
        if op.name in _QUESTIONS:
            return words[0]._ask(_QUESTIONS[op.name], words[1])
        return Term(op.text.format(*words, **params), ATOM)


def index_text(index: Any) -> str:
    """An index as it is written: ``[:, :2]``; an array of places is …"""
    parts = index if isinstance(index, tuple) else (index,)
    return f"[{', '.join(map(_place, parts))}]"


def _place(part: Any) -> str:
    if isinstance(part, slice):
        ends = ["" if p is None else str(p) for p in (part.start, part.stop)]
        return ":".join(ends) + ("" if part.step in (None, 1) else f":{part.step}")
    if part is Ellipsis or part is None or isinstance(part, (bool, int, np.integer)):
        return "…" if part is Ellipsis else "None" if part is None else str(part)
    return "…"


_ARITHMETIC: dict[str, Callable[..., Term]] = {
    "add": Term.__add__,
    "sub": Term.__sub__,
    "mul": Term.times,  # what was recorded as a product reads as one
    "div": Term.over,
    "neg": Term.__neg__,
    "matmul": Term.__matmul__,
}


_OPPOSITE = {">": "≤", "≤": ">", "<": "≥", "≥": "<", "=": "≠", "≠": "="}


def _negation(question: Term) -> Term:
    """[x > 0] for [x ≤ 0]."""
    return Term(question.opposite or f"[not {question}]")


def term(value: Any) -> Term:
    if isinstance(value, Term):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, float) and math.isfinite(value):
        exact = Fraction(value)
        value = exact if exact.denominator <= 16 else value
    return Term("", ATOM, value)


def _inverse(value: float | Fraction) -> float | Fraction:
    return Fraction(1) / value if isinstance(value, (int, Fraction)) else 1 / value


def _number(value: float | Fraction) -> str:
    size = abs(value)
    text = _FRACTIONS.get(size) if isinstance(size, Fraction) else None
    return ("−" if value < 0 else "") + (text or (str(size) if isinstance(size, (int, Fraction)) else f"{size:g}"))
