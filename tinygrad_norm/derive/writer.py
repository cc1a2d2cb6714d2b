"""Formulas on paper: one traversal of a plain tree, several hands (text, LaTeX, MathML; NumPy's is in ``source``)."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from .tree import Call, Indicator, Letter, Node, Number, Power, Product, Size, Sum, Total, product_of


class Hand:
    """What all hands share. A tree is written in the order it stands.

    axes:  all named axes, outermost first
    last:  those that a Σ needs not name
    """

    minus, plus, times = " − ", " + ", "·"
    flat = True  # a quotient is written on one line

    def __init__(self, axes: Sequence[str] = (), last: Sequence[str] = ()) -> None:
        self.axes, self.last = tuple(axes), tuple(last)

    # The traversal ------------------------------------------------------------------------------------------

    def __call__(self, node: Node) -> str:
        text = ""
        for k, t in enumerate(node.terms if isinstance(node, Sum) else (node,)):
            negative, body = self.term(t)
            text += (self.minus if negative else self.plus) + body if k else (self.minus.strip() if negative else "") + body
        return text

    def term(self, node: Node) -> tuple[bool, str]:
        """Whether a term has a minus in front, and what stands behind it."""
        factors = list(node.factors) if isinstance(node, Product) else [node]
        number = factors.pop(0).value if isinstance(factors[0], Number) else 1  # type: ignore[union-attr]
        above = [f for f in factors if not below(f)]
        under = [Power(f.base, Number(-f.exponent.value)) for f in factors if below(f)]  # type: ignore[union-attr]
        many = len(above) + len(under) > 1 or abs(number) != 1
        over = [self.factor(f, many or (number < 0 and isinstance(f, Sum))) for f in above]
        beneath = [self.factor(f, len(under) > 1 or self.flat) for f in under]
        size = abs(number)
        if isinstance(size, Fraction) and size.denominator != 1 and size.numerator in (1, 2, 3) and size.denominator < 10:
            beneath, size = [self.number(size.denominator), *beneath], size.numerator
        if size != 1 or not over:
            over.insert(0, self.number(size))
        return number < 0, self.ratio(over, beneath)

    def factor(self, f: Node, tight: bool) -> str:
        """One factor; in parentheses where it would fall apart among others."""
        if isinstance(f, Letter):
            name = self.letter(f.name)
            return self.group(name) if tight and self.flat and self.loose(f.name) else name
        if isinstance(f, Total):
            return self.total(f.function, f.axes, f.inside)
        if isinstance(f, Size):
            return self.size(f.axis)
        if isinstance(f, Number):
            return self.number(f.value)
        if isinstance(f, Power):
            return self._powered(f, tight)
        if isinstance(f, Sum):
            return self.group(self(f)) if tight else self(f)
        if isinstance(f, Product):
            negative, body = self.term(f)
            text = (self.minus.strip() if negative else "") + body
            return self.group(text) if tight else text
        if isinstance(f, Indicator):
            return self.indicator(f)
        return self.call(f)

    def _powered(self, f: Power, tight: bool) -> str:
        n = f.exponent.value if isinstance(f.exponent, Number) else None
        if n == 1:
            return self.factor(f.base, tight)
        if n == 0.5:
            return self.root(f.base)
        base = self.factor(f.base, True)
        apart = isinstance(f.base, Power) or (self.flat and isinstance(f.base, Letter) and f.base.name[-1] in "²³")
        return self.power(self.group(base) if apart else base, f.exponent)

    def equation(self, left: str, right: Node) -> str:
        return f"{self.letter(left)} = {self(right)}"

    # What differs between hands -------------------------------------------------------------------------------

    def loose(self, name: str) -> bool:
        """Whether a name looks like several factors."""
        return "·" in name or "/" in name

    def letter(self, name: str) -> str:
        return name

    def size(self, axis: str) -> str:
        return axis

    def number(self, n: Any) -> str:
        if isinstance(n, Fraction) and n.denominator > 1:
            return f"{n.numerator}/{n.denominator}" if n.denominator < 1000 else f"{float(n):g}"
        return f"{n:g}" if isinstance(n, float) else str(n)

    def group(self, text: str) -> str:
        return f"({text})"

    def power(self, base: str, n: Node) -> str:
        raise NotImplementedError

    def root(self, inside: Node) -> str:
        raise NotImplementedError

    def ratio(self, over: Sequence[str], under: Sequence[str]) -> str:
        return self.times.join(over) + "".join(f"/{d}" for d in under)

    def total(self, function: str, axes: Sequence[str], inside: Node) -> str:
        raise NotImplementedError

    def call(self, node: Call) -> str:
        raise NotImplementedError

    def indicator(self, node: Indicator) -> str:
        return f"[{self(node.left)} {node.sign} {self(node.right)}]"


def below(f: Node) -> bool:
    """Whether a factor stands under a fraction bar."""
    return isinstance(f, Power) and isinstance(f.exponent, Number) and f.exponent.value < 0


class Text(Hand):
    """``rstd·(g − mean(g) − x̂·mean(g·x̂))``. A Σ without a subscript is over the last axis."""

    def power(self, base: str, n: Node) -> str:
        if isinstance(n, Number) and isinstance(n.value, int):
            return base + str(n.value).translate(_SUPERSCRIPT)
        return f"{base}^({self(n)})"

    def root(self, inside: Node) -> str:
        body = self(inside)
        return f"√{body}" if isinstance(inside, Letter) and not self.loose(inside.name) else f"√({body})"

    def over(self, axes: Sequence[str]) -> str:
        return "" if tuple(axes) == self.last else "_" + "".join(axes)

    def total(self, function: str, axes: Sequence[str], inside: Node) -> str:
        return f"{'Σ' if function == 'sum' else function}{self.over(axes)}({self(inside)})"

    def call(self, node: Call) -> str:
        inside = ", ".join(map(self, node.arguments))
        if node.function == "abs":
            return f"|{inside}|"
        name = "σ" if node.function == "sigmoid" else node.function
        return f"{name}{self.over(node.axes) if node.axes else ''}({inside})"


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


# LaTeX --------------------------------------------------------------------------------------------------------

GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "λ": "lambda", "μ": "mu", "ν": "nu", "π": "pi", "ρ": "rho",
    "σ": "sigma", "τ": "tau", "φ": "phi", "ψ": "psi", "ω": "omega", "Σ": "Sigma", "Λ": "Lambda",
}  # fmt: skip
_ACCENTS = {"\u0302": "hat", "\u0304": "bar", "\u0303": "tilde"}
DIGITS = dict(zip("₀₁₂₃₄₅₆₇₈₉ₛₐₑ", "0123456789sae"))
_UP = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-"))


def latex_name(name: str) -> str:
    """``x̂`` as ``\\hat{x}``, ``rstd`` as ``\\mathrm{rstd}``, ``dσ²`` as ``d\\sigma^{2}``."""
    decomposed = unicodedata.normalize("NFD", name)
    parts: list[str] = []
    k = 0
    while k < len(decomposed):
        ch = decomposed[k]
        accent = _ACCENTS.get(decomposed[k + 1 : k + 2])
        word = ch
        if ch.isascii() and ch.isalnum() and not accent:
            while (
                decomposed[k + 1 : k + 2].isascii()
                and decomposed[k + 1 : k + 2].isalnum()
                and not _ACCENTS.get(decomposed[k + 2 : k + 3])
            ):
                k += 1
                word += decomposed[k]
            parts.append(
                word
                if len(word) == 1
                else f"d{latex_name(word[1:])}"
                if word[0] == "d" and len(word) == 2
                else f"\\mathrm{{{word}}}"
            )
        elif accent:
            parts.append(f"\\{accent}{{{ch}}}")
            k += 1
        elif ch in GREEK:
            parts.append(f"\\{GREEK[ch]} ")
        elif ch in DIGITS:
            parts.append(f"_{{{DIGITS[ch]}}}")
        elif ch in _UP:
            parts.append(f"^{{{_UP[ch]}}}")
        elif ch == "‖":
            parts.append("\\|")
        elif ch == "_":
            parts.append(f"_{{{latex_name(decomposed[k + 1 :])}}}")
            break
        elif ch in "()/+-·− ":
            parts.append({"·": " \\cdot ", "−": "-"}.get(ch, ch))
        elif ch in "′'":
            parts.append("'")
        else:
            parts.append("\\square " if not ch.isascii() or ch in "\\{}$&#^~%" else ch)
        k += 1
    return "".join(parts).strip()


class Latex(Hand):
    """The same for a paper."""

    minus, plus, times, flat = " - ", " + ", "\\,", False

    def letter(self, name: str) -> str:
        return latex_name(name)

    def size(self, axis: str) -> str:
        return latex_name(axis)

    def number(self, n: Any) -> str:
        if isinstance(n, Fraction) and 1 < n.denominator < 1000:
            return f"\\frac{{{n.numerator}}}{{{n.denominator}}}"
        text = Hand.number(self, n)
        if "e" in text:
            mantissa, exponent = text.split("e")
            return f"{'' if mantissa == '1' else mantissa + ' ' + chr(92) + 'cdot '}10^{{{int(exponent)}}}"
        return text

    def group(self, text: str) -> str:
        return f"\\left({text}\\right)"

    def power(self, base: str, n: Node) -> str:
        return f"{{{base}}}^{{{_exponent(self, n)}}}"

    def root(self, inside: Node) -> str:
        return f"\\sqrt{{{self(inside)}}}"

    def ratio(self, over: Sequence[str], under: Sequence[str]) -> str:
        beside = [f for f in over if under and len(f) > 90 and "\\left(" in f]  # no line can be broken in a fraction
        above = self.times.join(f for f in over if f not in beside) or "1"
        ratio = f"\\frac{{{above}}}{{{self.times.join(under)}}}" if under else self.times.join(over)
        return self.times.join([ratio, *beside])

    def _name(self, function: str, axes: Sequence[str]) -> str:
        known = f"\\{function}" if function in ("exp", "log", "tanh", "sin", "cos", "max", "min") else None
        known = {"sum": "\\sum", "sigmoid": "\\sigma "}.get(function, known or f"\\operatorname{{{_plain(function)}}}")
        return known + (f"_{{{','.join(map(latex_name, axes))}}}" if axes else "")

    def total(self, function: str, axes: Sequence[str], inside: Node) -> str:
        return f"{self._name(function, axes)}\\left({self(inside)}\\right)"

    def call(self, node: Call) -> str:
        inside = ",\\,".join(map(self, node.arguments))
        if node.function == "abs":
            return f"\\left|{inside}\\right|"
        return f"{self._name(node.function, node.axes)}\\left({inside}\\right)"

    def indicator(self, node: Indicator) -> str:
        sign = {"≥": "\\ge ", "≤": "\\le ", "≠": "\\ne "}.get(node.sign, node.sign)
        return f"\\left[{self(node.left)} {sign} {self(node.right)}\\right]"


def _plain(function: str) -> str:
    return function.replace("_", "\\,")


def _exponent(hand: Hand, n: Node) -> str:
    """A fraction in an exponent on one line."""
    return f"{n.value}" if isinstance(n, Number) and not isinstance(n.value, float) else hand(n)


# MathML -------------------------------------------------------------------------------------------------------


def mathml_name(name: str) -> str:
    """``x̂`` as an x under a hat, ``σ²`` as σ with an exponent, ``dγ`` as d and γ."""
    marks = unicodedata.normalize("NFD", name)
    parts: list[str] = []
    word = ""
    for ch in marks:
        if ch in _ACCENTS or ch in _UP or ch in DIGITS:
            if len(word) > 1:
                parts.append(f"<mi>{html.escape(word[:-1])}</mi>")
            base = f"<mi>{html.escape(word[-1:])}</mi>" if word else parts.pop() if parts else "<mi></mi>"
            over = {"\u0302": "^", "\u0304": "¯", "\u0303": "~"}.get(ch)
            kind = "msup" if ch in _UP else "msub"
            mark = f"<mn>{(_UP | DIGITS).get(ch, '')}</mn>"
            parts.append(f'<mover accent="true">{base}<mo>{over}</mo></mover>' if over else f"<{kind}>{base}{mark}</{kind}>")
            word = ""
        elif ch.isalnum() and ch.isascii() == (word or ch).isascii() and not (word and not ch.isascii()):
            word += ch
        else:
            parts += [f"<mi>{html.escape(word)}</mi>"] if word else []
            word = ch if ch.isalnum() else ""
            parts += [] if word else [f"<mo>{html.escape(ch)}</mo>"]
    parts += [f"<mi>{html.escape(word)}</mi>"] if word else []
    return parts[0] if len(parts) == 1 else f"<mrow>{''.join(parts)}</mrow>"


class MathML(Hand):
    """The same for a web page."""

    minus, plus, times, flat = "<mo>−</mo>", "<mo>+</mo>", "<mo>·</mo>", False

    def letter(self, name: str) -> str:
        return mathml_name(name)

    def size(self, axis: str) -> str:
        return f"<mi>{html.escape(axis)}</mi>"

    def number(self, n: Any) -> str:
        if isinstance(n, Fraction) and 1 < n.denominator < 1000:
            return f"<mfrac><mn>{n.numerator}</mn><mn>{n.denominator}</mn></mfrac>"
        return f"<mn>{Hand.number(self, n)}</mn>"

    def group(self, text: str) -> str:
        return f"<mrow><mo>(</mo>{text}<mo>)</mo></mrow>"

    def power(self, base: str, n: Node) -> str:
        exponent = f"<mn>{n.value}</mn>" if isinstance(n, Number) and not isinstance(n.value, float) else self(n)
        return f"<msup><mrow>{base}</mrow><mrow>{exponent}</mrow></msup>"

    def root(self, inside: Node) -> str:
        return f"<msqrt>{self(inside)}</msqrt>"

    def ratio(self, over: Sequence[str], under: Sequence[str]) -> str:
        above = self.times.join(over)
        return f"<mfrac><mrow>{above}</mrow><mrow>{self.times.join(under)}</mrow></mfrac>" if under else f"<mrow>{above}</mrow>"

    def _named(self, function: str, axes: Sequence[str], inside: str) -> str:
        sign = "<mo>Σ</mo>" if function == "sum" else f"<mi>{'σ' if function == 'sigmoid' else html.escape(function)}</mi>"
        head = f"<msub>{sign}<mi>{html.escape(''.join(axes))}</mi></msub>" if axes else sign
        return f"<mrow>{head}<mo>(</mo>{inside}<mo>)</mo></mrow>"

    def total(self, function: str, axes: Sequence[str], inside: Node) -> str:
        return self._named(function, axes, self(inside))

    def call(self, node: Call) -> str:
        inside = "<mo>,</mo>".join(map(self, node.arguments))
        if node.function == "abs":
            return f"<mrow><mo>|</mo>{inside}<mo>|</mo></mrow>"
        return self._named(node.function, node.axes, inside)

    def indicator(self, node: Indicator) -> str:
        return f"<mrow><mo>[</mo>{self(node.left)}<mo>{html.escape(node.sign)}</mo>{self(node.right)}<mo>]</mo></mrow>"

    def equation(self, left: str, right: Node) -> str:
        """Pieces between which a narrow page may break the line: a term each, also of a sum in brackets."""
        pieces = self._pieces(right)
        pieces[0] = f"{self.letter(left)}<mo>=</mo>{pieces[0]}"
        return " ".join(f'<math displaystyle="true"><mrow>{p}</mrow></math>' for p in pieces)

    def _pieces(self, node: Node) -> list[str]:
        if isinstance(node, Sum):
            found = []
            for k, t in enumerate(node.terms):
                negative, _ = self.term(t)
                sign = self.minus if negative else self.plus if k else ""
                inner = self._pieces(product_of(Number(-1), t) if negative else t)
                found += [sign + inner[0], *inner[1:]]
            return found
        last = node.factors[-1] if isinstance(node, Product) else None
        if isinstance(node, Product) and isinstance(last, Sum) and not any(map(below, node.factors)):
            inner = self._pieces(last)
            head = self(product_of(*node.factors[:-1])) + self.times
            return [f"{head}<mo>(</mo>{inner[0]}", *inner[1:-1], f"{inner[-1]}<mo>)</mo>"]
        return [self(node)]
