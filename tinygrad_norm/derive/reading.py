"""A formula that somebody typed, as a plain tree: the notation that ``Text`` writes, and plain ASCII. Nothing is run.

    line    = equation ("," equation)*          equation = [name "="] sum
    sum     = ["−"] product (("+" | "−") product)*
    product = signed (("·" | "*" | "/") signed)*
    signed  = "−" signed | power                power = atom [⁻¹²³…] [("^" | "**") signed]
    atom    = number | letter | N | "(" sum ")" | "|" sum "|" | "√" atom | "[" sum ">" sum "]" | function "(" sum ")"

A sum, a mean or a largest entry is over the last axis, or over the named ones: ``Σ_BN(g)``, ``mean(g, B)``, ``sum(g over B)``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

from ..graph.table import ascii_text
from .errors import ReadingError
from .spelling import (
    ALONG,
    FUNCTIONS,
    NUMBER,
    OF_TWO,
    ONE_BY_ONE,
    OPERATORS,
    SIGNS,
    SOFT,
    SUPER,
    Known,
    ends,
    flat,
    word_in,
)
from .tree import MINUS, Call, Indicator, Letter, Node, Number, Power, Product, Size, Total, product_of, sum_of, walk

LONGEST = 2000  # characters
_DEEPEST = 50  # brackets within brackets
_LARGEST = Fraction(10**30)
_HIGHEST = 64  # exponent


@dataclass(frozen=True)
class _Token:
    """kind: "number", "power", "letter", "size", "function", "word" (not known) or "end", or an operator that stands for itself."""

    kind: str
    text: str
    place: int
    value: Any = None


def read(text: str, known: Known, gradient: str = "") -> Node:
    """The tree of a line. What it defines itself (``…, h = dy·γ``) is put in.

    gradient:  the name that may stand before the first =

    Raises ``ReadingError``, which points at the place.
    """
    return _Reader(text, known, gradient).line()


class _Reader:
    def __init__(self, text: str, known: Known, gradient: str) -> None:
        if len(text) > LONGEST:
            raise ReadingError(text[:LONGEST], LONGEST - 1, f"the line is longer than {LONGEST} characters.")
        self.text, self.known, self.gradient = flat(text).strip(), known, gradient
        self.own: dict[str, Node] = {}
        self.defined: Collection[str] = ()
        self.tokens: list[_Token] = []
        self.k = self.depth = 0

    # The line --------------------------------------------------------------------------------------------------

    def line(self) -> Node:
        parts = self._parts()
        names = [name for name, _, _ in parts]
        self.defined = [n for n in names if n]
        mine = {flat(self.gradient), *([ascii_text(self.gradient)] if self.gradient else [])}
        main = next((k for k, n in enumerate(names) if n in mine), next((k for k, n in enumerate(names) if not n), 0))
        trees: dict[int, Node] = {}
        for k in [*reversed([k for k in range(len(parts)) if k != main]), main]:
            name, start, end = parts[k]
            self.own = {} if not trees else self.own
            trees[k] = self._whole(start, end)
            if k != main:
                if not name:
                    start += len(self.text[start:end]) - len(self.text[start:end].lstrip())
                    raise ReadingError(self.text, start, "one line is asked for; write NAME = … for what it uses.")
                self.own[name] = trees[k]
        return trees[main]

    def _parts(self) -> list[tuple[str, int, int]]:
        """Name, beginning and end of each equation."""
        found, depth, start = [], 0, 0
        for k, c in enumerate(f"{self.text};"):
            depth += (c in "([") - (c in ")]")
            if (c in ";\n" or (c == "," and depth <= 0)) and (k == len(self.text) or self.text[start:k].strip()):
                own = f"{re.escape(flat(self.gradient))}|" if self.gradient else ""
                head = re.match(rf"\s*({own}[^\s=<>!≥≤≠()\[\]+*/·−,;]+)\s*=(?!=)", self.text[start:k])
                found.append((head[1] if head else "", start + (head.end() if head else 0), k))
                start, depth = k + 1, 0
            elif c in ";\n":
                start = k + 1
        return [f for f in found if self.text[f[1] : f[2]].strip() or f[0]] or [("", 0, len(self.text))]

    def _whole(self, start: int, end: int) -> Node:
        self.tokens, self.k, self.depth = self._split(start, end), 0, 0
        tree = self.sum()
        if self.now.kind != "end":
            self._expected("an operator such as + − · / or the end of the line")
        for node in walk(tree):
            if isinstance(node, Number) and not -_LARGEST < node.value < _LARGEST:
                raise ReadingError(self.text, start, "a number in it is beyond 10^30.")
        return tree

    # Words -----------------------------------------------------------------------------------------------------

    def _split(self, start: int, end: int) -> list[_Token]:
        tokens, k = [], start
        while k < end:
            if self.text[k] == " ":
                k += 1
                continue
            token = self._token(k, end)
            tokens.append(token)
            k += len(token.text)
        return [*tokens, _Token("end", "", end)]

    def _token(self, k: int, end: int) -> _Token:
        text = self.text
        letter = self._letter(k, end)
        word = re.match(r"\w", text[k]) and "".join(word_in(text[k:end]))
        function = next((f for f in FUNCTIONS if word and (word == flat(f) or word.startswith(f"{flat(f)}_"))), None)
        opened = word and text[k + len(word) : end].lstrip(" ").startswith("(")
        if function and opened and (letter is None or len(letter) <= len(word or "")):
            return _Token("function", word or "", k, (function, word[len(flat(function)) + 1 :] if word else ""))
        if letter is not None:
            return _Token("letter", letter, k, self._named(letter))
        number = NUMBER.match(text, k, end)
        if number:
            return _Token("number", number[0], k)
        if text[k] in SUPER:
            return _Token("power", re.match(f"[{''.join(SUPER)}]+", text[k:end])[0], k)  # type: ignore[index]
        if word:
            return _Token("size" if word in self.known.axes else "word", word, k)
        operator = next((o for o in OPERATORS if text.startswith(o, k) and k + len(o) <= end), None)
        if operator is None:
            raise ReadingError(
                text, k, f"{text[k]!r} means nothing here; a formula has letters, numbers, + − · / ^ √ ( ) [ ] and functions."
            )
        return _Token({"−": "-", "·": "*", "**": "^"}.get(operator, operator), operator, k)

    def _letter(self, k: int, end: int) -> str | None:
        """The spelling of a letter that stands here, the longest."""
        own = sorted((n for n in self.own if self.text.startswith(n, k)), key=len, reverse=True)
        for spelled in (*own, *self.known.spellings):
            if self.text.startswith(spelled, k) and k + len(spelled) <= end and ends(self.text[:end], k + len(spelled), spelled):
                return spelled
        return None

    def _named(self, spelled: str) -> Node:
        name = self.known.spellings.get(spelled, spelled)
        return (
            self.own[spelled]
            if spelled in self.own
            else self.own[flat(name)]
            if flat(name) in self.own
            else self.known.letters[name]
        )

    # The grammar -----------------------------------------------------------------------------------------------

    @property
    def now(self) -> _Token:
        return self.tokens[self.k]

    def _take(self, *kinds: str) -> _Token | None:
        if self.now.kind in kinds:
            self.k += 1
            return self.tokens[self.k - 1]
        return None

    def _close(self, kind: str, opened: _Token) -> None:
        if not self._take(kind):
            self._expected(f"{kind} for the {opened.text} at character {opened.place + 1}, or an operator")

    def _expected(self, what: str) -> None:
        token = self.now
        if token.kind == "word":
            self._unknown(token)
        if token.kind in ("(", "[", "letter", "size", "number", "function", "√") and what.startswith("an operator"):
            what += "; a product is written a·b or a*b"
        found = "the line ends here" if token.kind == "end" else f"{token.text.strip() or 'a new line'} stands here"
        raise ReadingError(self.text, token.place, f"{found}; expected {what}.")

    def _unknown(self, token: _Token) -> None:
        word, spellings = token.text, self.known.spellings
        near = get_close_matches(flat(word), [*spellings, *FUNCTIONS], 1, 0.5)
        head = word.split("_")[0]
        if head in FUNCTIONS or word[0] == "Σ":
            function = head if head in FUNCTIONS else "Σ"
            raise ReadingError(self.text, token.place, f"{function} is a function, which has brackets: {function}(…).")
        if word in self.defined:
            hint = " It is used before it is defined."
        else:
            parts = next(
                (f"{a}·{spellings[word[len(a) :]]}" for a in spellings if word.startswith(a) and word[len(a) :] in spellings), ""
            )
            meant = parts or (spellings.get(near[0], near[0]) if near else "")
            hint = f" Did you mean {meant}?" if meant else ""
        raise ReadingError(
            self.text, token.place, f"{word} is no letter of this derivation.{hint} There are {self.known.told()}."
        )

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ReadingError(self.text, self.now.place, f"more than {_DEEPEST} brackets or signs within each other.")

    def sum(self) -> Node:
        self._deeper()
        terms = [self.product()]
        while sign := self._take("+", "-"):
            term = self.product()
            terms.append(product_of(MINUS, term) if sign.kind == "-" else term)
        self.depth -= 1
        if len(terms) > 1 and all(isinstance(t, Number) for t in terms):
            return Number(_whole(sum(t.value for t in terms if isinstance(t, Number))))
        return sum_of(*terms)

    def product(self) -> Node:
        found = self.signed()
        while sign := self._take("*", "/"):
            place = self.now.place
            other = self.signed()
            found = product_of(found, other if sign.kind == "*" else self._power(other, Number(-1), place))
        return found

    def signed(self) -> Node:
        if not (sign := self._take("-", "+")):
            return self.power()
        self._deeper()
        found = self.signed()
        self.depth -= 1
        return product_of(MINUS, found) if sign.kind == "-" else found

    def power(self) -> Node:
        root, place = self.now.kind == "√", self.now.place
        base = self.atom()
        marks = self._take("power")
        if (marks or self.now.kind == "^") and root and self.tokens[self.k - 1 - bool(marks)].kind != ")":
            raise ReadingError(self.text, place, "this can be read in two ways; write √(x²) or (√x)².")
        if marks:
            try:
                base = self._power(base, Number(int("".join(SUPER[c] for c in marks.text))), place)
            except ValueError:
                raise ReadingError(self.text, marks.place, "expected an exponent such as ² or ⁻¹.") from None
        if self._take("^"):
            at = self.now.place
            self._deeper()
            exponent = self.signed()
            self.depth -= 1
            if not isinstance(exponent, Number) and not any(isinstance(n, (Letter, Size)) for n in walk(exponent)):
                raise ReadingError(self.text, at, "expected a number as exponent, such as 2, −1 or (−1/2).")
            base = self._power(base, exponent, at)
        return base

    def _power(self, base: Node, exponent: Node, place: int) -> Node:
        if not isinstance(exponent, Number):
            return Power(base, exponent)
        n: Any = exponent.value
        if abs(n) > _HIGHEST:
            raise ReadingError(self.text, place, f"an exponent beyond {_HIGHEST}.")
        n = Fraction(n) if isinstance(n, float) and Fraction(n).denominator <= 8 else n
        if isinstance(base, Number) and n == int(n):
            if base.value == 0 and n <= 0:
                raise ReadingError(self.text, place, "this divides by zero.")
            value: Any = base.value if isinstance(base.value, float) else Fraction(base.value)
            if value and not 1 / _LARGEST < Fraction(abs(value)) ** abs(int(n)) < _LARGEST:
                raise ReadingError(self.text, place, "this number is beyond 10^30.")
            return Number(_whole(value ** int(n)))
        if n == -1 and isinstance(base, Product):
            return product_of(*(self._power(f, exponent, place) for f in base.factors))
        if n == -1 and isinstance(base, Power) and isinstance(base.exponent, Number):
            return Power(base.base, Number(_whole(-base.exponent.value)))
        return base if n == 1 else Power(base, Number(_whole(n)))

    def atom(self) -> Node:
        token = self.now
        if self._take("number"):
            return self._number(token)
        if self._take("letter"):
            return token.value  # type: ignore[no-any-return]
        if self._take("size"):
            return Size(token.text)
        if self._take("("):
            found = self.sum()
            self._close(")", token)
            return found
        if self._take("|"):
            found = self.sum()
            self._close("|", token)
            return Call("abs", (found,))
        if self._take("√"):
            self._deeper()
            found = Power(self.atom(), Number(Fraction(1, 2)))
            self.depth -= 1
            return found
        if self._take("["):
            return self._indicator(token)
        if self._take("function"):
            return self._function(token)
        self._expected("a letter, a number, a function or a bracket")
        raise AssertionError

    def _number(self, token: _Token) -> Node:
        if token.text.isdigit():
            return Number(int(token.text))
        value = float(token.text)
        if not abs(value) < _LARGEST:
            raise ReadingError(self.text, token.place, "this number is beyond 10^30.")
        return Number(value)

    def _indicator(self, opened: _Token) -> Node:
        left = self.sum()
        sign = self._take(*SIGNS)
        if sign is None:
            self._expected("a comparison: [x > 0] is 1 where it holds and 0 elsewhere")
        assert sign is not None
        right = self.sum()
        self._close("]", opened)
        return Indicator(left, SIGNS[sign.kind], right)

    def _function(self, token: _Token) -> Node:
        name, subscript = token.value
        opened = self.now
        self._take("(")
        arguments = [self.sum()]
        over: list[str] = self._axes(subscript, token.place + len(token.text) - len(subscript)) if subscript else []
        if self.now.kind == "word" and self.now.text == "over":
            self.k += 1
            over = self._listed()
        while self._take(","):
            if name in ALONG and self.now.kind == "size" and self.tokens[self.k + 1].kind in (",", ")"):
                over += self._listed()
            else:
                arguments.append(self.sum())
        self._close(")", opened)
        along, two = name in ALONG and len(arguments) == 1, name in OF_TWO and len(arguments) == 2
        if not along and not two and (len(arguments) > 1 or name in ("min", "minimum", "maximum")):
            wanted = "two arguments" if name in OF_TWO else "one argument"
            raise ReadingError(self.text, token.place, f"{name} takes {wanted}; {len(arguments)} stand here.")
        axes = tuple(a for a in self.known.axes if a in (over or self.known.last))
        if along:
            return Total(arguments[0], axes, ALONG[name])
        if name in SOFT:
            return Call(name, tuple(arguments), axes)
        if over:
            raise ReadingError(self.text, token.place, f"{name} is taken entry by entry, not over an axis.")
        if name == "sqrt":
            return Power(arguments[0], Number(Fraction(1, 2)))
        if name == "relu":
            return product_of(arguments[0], Indicator(arguments[0], ">", Number(0)))
        return Call(OF_TWO[name] if two else ONE_BY_ONE[name], tuple(arguments))

    def _listed(self) -> list[str]:
        found: list[str] = []
        while self.now.kind not in (")", "end"):
            token = self.now
            self.k += 1
            if token.kind != ",":
                found += self._axes(token.text, token.place)
        return found

    def _axes(self, text: str, place: int) -> list[str]:
        """``BN`` is B and N."""
        found, rest = [], text.strip("{}_")
        while rest:
            axis = next((a for a in sorted(self.known.axes, key=len, reverse=True) if rest.startswith(a)), None)
            if axis is None:
                raise ReadingError(self.text, place, f"there is no axis {rest}; there are {', '.join(self.known.axes)}.")
            found.append(axis)
            rest = rest[len(axis) :].lstrip(",")
        return found


def _whole(n: int | Fraction | float) -> int | Fraction | float:
    """A fraction that is an integer as one."""
    return int(n) if isinstance(n, Fraction) and n.denominator == 1 else n
