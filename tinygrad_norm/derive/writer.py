"""Formulas on paper: one traversal, four hands (text, LaTeX, MathML, NumPy)."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence
from typing import Any

import sympy as sp

from .letters import Letters
from .symbols import Letter, Mean, Sigma, varies

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Writer:
    """Text: ``rstd·(g − mean(g) − x̂·mean(g·x̂))``. Statistics come first, sums last; Σ and mean are over the last axis or name theirs."""

    minus, plus, times = " − ", " + ", "·"

    def __init__(self, letters: Letters, dy: Letter | None = None) -> None:
        self.letters = letters
        last = letters.axes.dims[letters.graph.main_input][-1:]
        self.last = last[0] if last else ()
        self.rank: dict[str, tuple[int, int]] = {}
        graph = letters.graph
        self.parameters = {letters.of[t].expr for t in graph.tensors if t.op is None and t is not graph.main_input}
        roles = {id(n.tensor): n.role for n in letters.graph.nodes}
        for k, (t, s) in enumerate(letters.of.items()):
            if isinstance(s.expr, Letter):
                first = 3 if t.op is None else 0 if roles[id(t)] == "statistic" else 1
                self.rank.setdefault(s.expr.name, (first, k))
        if dy is not None:
            self.rank[dy.name] = (2, 0)

    # The traversal ------------------------------------------------------------------------------------------

    def __call__(self, expr: Any) -> str:
        terms = sorted(sp.Add.make_args(expr), key=self._term_order)
        lead = next((k for k, t in enumerate(terms) if t.as_coeff_Mul()[0] > 0), 0)  # no minus in front if it can be helped
        terms.insert(0, terms.pop(lead))
        text = ""
        for k, t in enumerate(terms):
            negative, body = self.term(t)
            text += (self.minus if negative else self.plus) + body if k else (self.minus.strip() if negative else "") + body
        return text

    def _term_order(self, t: Any) -> Any:
        letters = t.atoms(Letter)
        fixed = {a for a in self.letters.values if not varies(a)} | self.parameters
        return (not letters, letters <= fixed, len(letters) + 3 * len(t.atoms(Sigma, Mean)) + sp.count_ops(t), str(t))

    def term(self, expr: Any) -> tuple[bool, str]:
        number, rest = expr.as_coeff_Mul()
        factors = [f for f in sp.Mul.make_args(rest) if f != 1]
        above = [f for f in factors if not self._below(f)]
        below = [1 / f for f in factors if self._below(f)]
        over = [self.factor(f, len(above) + len(below) > 1 or number not in (1, -1)) for f in sorted(above, key=self._order)]
        under = [self.factor(f, len(below) > 1 or self.flat) for f in sorted(below, key=self._order)]
        size = abs(number)
        if (size.is_Rational and size.q != 1 and size.p in (1, 2, 3) and size.q < 10) or not size.is_Rational:
            under, size = ([self.number(sp.Integer(size.q)), *under], sp.Integer(size.p)) if size.is_Rational else (under, size)
        if size != 1 or not over:
            over.insert(0, self.number(size))
        return bool(number < 0), self.ratio(over, under)

    flat = True  # a quotient is written on one line

    def _below(self, f: Any) -> bool:
        return bool(f.is_Pow and f.exp.is_number and f.exp < 0)

    def _order(self, f: Any) -> Any:
        if f.is_number:
            return (-1, 0, "")
        if f.has(Sigma) or f.has(Mean):
            return (5 if not f.is_Add else 6, len(f.atoms(Letter)), str(f))
        if f.is_Add:
            return (6, 0, str(f))
        ranks = [self.rank.get(a.name, (3, 0)) for a in f.atoms(Letter)]
        return (*min(ranks, default=(-1, 1)), str(f))

    def factor(self, f: Any, tight: bool) -> str:
        """One factor; in parentheses where it would fall apart among others."""
        if isinstance(f, Letter):
            name = self.letter(f.name)
            return self.group(name) if tight and self.flat and self.loose(f.name) else name
        if isinstance(f, (Sigma, Mean)):
            return self.total(isinstance(f, Mean), f.args[1:], f.args[0])
        if f.is_Symbol:
            return self.size(f)
        if f.is_number:
            return self.number(f)
        if f.is_Pow and f.base is sp.E:
            return self.call("exp", f.exp)
        if f.is_Pow:
            if f.exp == sp.Rational(1, 2):
                return self.root(f.base)
            base = self.factor(f.base, True)
            apart = f.base.is_Pow or (self.flat and isinstance(f.base, Letter) and f.base.name[-1] in "²³")
            return self.power(self.group(base) if apart else base, f.exp)
        if f.is_Add:
            return self.group(self(f)) if tight else self(f)
        if f.is_Mul:
            negative, body = self.term(f)
            return (self.minus.strip() if negative else "") + (self.group(body) if tight else body)
        return self.call(f.func.__name__.lower().replace("abs", "|"), f.args[0])

    # What differs between hands -------------------------------------------------------------------------------

    def loose(self, name: str) -> bool:
        return "·" in name or "/" in name

    def letter(self, name: str) -> str:
        return name

    def size(self, axis: Any) -> str:
        return str(axis)

    def number(self, n: Any) -> str:
        if n.is_Integer:
            return str(n)
        if n.is_Rational and n.q < 1000:
            return f"{n.p}/{n.q}"
        return f"{float(n):g}"

    def group(self, text: str) -> str:
        return f"({text})"

    def power(self, base: str, n: Any) -> str:
        return base + str(n).translate(_SUPERSCRIPT) if n.is_Integer else f"{base}^({n})"

    def root(self, inside: Any) -> str:
        body = self(inside)
        return f"√{body}" if isinstance(inside, Letter) and not self.loose(inside.name) else f"√({body})"

    def ratio(self, over: Sequence[str], under: Sequence[str]) -> str:
        return self.times.join(over) + "".join(f"/{d}" for d in under)

    def over(self, axes: Sequence[Any]) -> str:
        shown = [a for a in self.letters.order if a in axes]
        return "" if tuple(shown) == tuple(self.last) else "_" + "".join(map(str, shown))

    def total(self, mean: bool, axes: Sequence[Any], inside: Any) -> str:
        return f"{'mean' if mean else 'Σ'}{self.over(axes)}({self(inside)})"

    def call(self, function: str, inside: Any) -> str:
        return f"|{self(inside)}|" if function == "|" else f"{function}({self(inside)})"

    def equation(self, left: str, right: Any) -> str:
        return f"{self.letter(left)} = {self(right)}"


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


class Latex(Writer):
    """The same for a paper."""

    minus, plus, times, flat = " - ", " + ", "\\,", False

    def letter(self, name: str) -> str:
        return latex_name(name)

    def size(self, axis: Any) -> str:
        return latex_name(str(axis))

    def number(self, n: Any) -> str:
        if n.is_Rational and not n.is_Integer and n.q < 1000:
            return f"\\frac{{{n.p}}}{{{n.q}}}"
        text = str(n) if n.is_Integer else f"{float(n):g}"
        if "e" in text:
            mantissa, exponent = text.split("e")
            return f"{'' if mantissa == '1' else mantissa + ' ' + chr(92) + 'cdot '}10^{{{int(exponent)}}}"
        return text

    def group(self, text: str) -> str:
        return f"\\left({text}\\right)"

    def power(self, base: str, n: Any) -> str:
        return f"{{{base}}}^{{{n}}}"

    def root(self, inside: Any) -> str:
        return f"\\sqrt{{{self(inside)}}}"

    def ratio(self, over: Sequence[str], under: Sequence[str]) -> str:
        above, below = self.times.join(over), self.times.join(under)
        return f"\\frac{{{above}}}{{{below}}}" if under else above

    def total(self, mean: bool, axes: Sequence[Any], inside: Any) -> str:
        over = ",".join(latex_name(str(a)) for a in self.letters.order if a in axes)
        sign = f"\\operatorname{{mean}}_{{{over}}}" if mean else f"\\sum_{{{over}}}"
        return f"{sign}\\left({self(inside)}\\right)"

    def call(self, function: str, inside: Any) -> str:
        if function == "|":
            return f"\\left|{self(inside)}\\right|"
        known = function if function in ("exp", "log", "tanh", "sin", "cos") else f"operatorname{{{function}}}"
        return f"\\{known}\\left({self(inside)}\\right)"


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


class MathML(Writer):
    """The same for a web page."""

    minus, plus, times, flat = "<mo>−</mo>", "<mo>+</mo>", "<mo>·</mo>", False

    def letter(self, name: str) -> str:
        return mathml_name(name)

    def size(self, axis: Any) -> str:
        return f"<mi>{html.escape(str(axis))}</mi>"

    def number(self, n: Any) -> str:
        if n.is_Rational and not n.is_Integer and n.q < 1000:
            return f"<mfrac><mn>{n.p}</mn><mn>{n.q}</mn></mfrac>"
        return f"<mn>{Writer.number(self, n)}</mn>"

    def group(self, text: str) -> str:
        return f"<mrow><mo>(</mo>{text}<mo>)</mo></mrow>"

    def power(self, base: str, n: Any) -> str:
        return f"<msup><mrow>{base}</mrow><mn>{n}</mn></msup>"

    def root(self, inside: Any) -> str:
        return f"<msqrt>{self(inside)}</msqrt>"

    def ratio(self, over: Sequence[str], under: Sequence[str]) -> str:
        above = self.times.join(over)
        return f"<mfrac><mrow>{above}</mrow><mrow>{self.times.join(under)}</mrow></mfrac>" if under else f"<mrow>{above}</mrow>"

    def total(self, mean: bool, axes: Sequence[Any], inside: Any) -> str:
        over = "".join(str(a) for a in self.letters.order if a in axes)
        sign = "<mi>mean</mi>" if mean else "<mo>Σ</mo>"
        return f"<mrow><msub>{sign}<mi>{html.escape(over)}</mi></msub><mo>(</mo>{self(inside)}<mo>)</mo></mrow>"

    def call(self, function: str, inside: Any) -> str:
        if function == "|":
            return f"<mrow><mo>|</mo>{self(inside)}<mo>|</mo></mrow>"
        return f"<mrow><mi>{function}</mi><mo>(</mo>{self(inside)}<mo>)</mo></mrow>"

    def equation(self, left: str, right: Any) -> str:
        return f'<math displaystyle="true"><mrow>{self.letter(left)}<mo>=</mo>{self(right)}</mrow></math>'
