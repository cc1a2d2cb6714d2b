"""What ``tn.derive`` answers with: the formula, and every line that leads to it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..engine.arrays import Array
from ..graph import Graph
from ..graph.notebook import bundle
from ..graph.table import ascii_text, to_json
from .algebra import with_means
from .axes import Axes
from .equality import Equality, compare_formulas
from .errors import DerivationError
from .exercise import Exercise
from .formula import Formula, Line
from .lemmas import Lemma
from .letters import Letters
from .other import gradient_on, off, tolerance
from .pages import as_section
from .plain import Plain, Writing, formula_of, layouts
from .record import Record
from .source import Source, identifier
from .symbols import Letter
from .tree import Indicator
from .writer import Hand, Text


@dataclass(frozen=True)
class Step:
    """One line of a derivation.

    kind:    "forward" (a definition), "chain" (a node's cotangent), "route" (one route's share) or "rewrite"
    left:    what the line is about
    expr:    the formula, a SymPy expression
    rule:    the name of the rewriting, or of the route
    reason:  why it is allowed
    off:     the largest difference, on random numbers in float64, to the line before (or to the record), relative to the largest entry
    """

    kind: str
    left: str
    expr: Any
    rule: str = ""
    reason: str = ""
    off: float = 0.0


@dataclass(frozen=True)
class Derivation:
    """A gradient's formula and how it came about. Print it; ask for ``latex()``, ``markdown()``, ``html()``, ``numpy_source()``.

    steps:        every line, in order
    expr:         the final formula, a SymPy expression in letters
    title, of:    what was differentiated, and by which input
    lemmas:       the sums that were known; ``given`` those that were said to be
    assumptions:  which branch was taken where a forward has several
    stages:       of the abbreviations, those that are gradients on the way: the formula is a list of lines
    operations:   (before, after): operations on the tape and in the formula; ``passes`` those over arrays of full size
    """

    title: str
    of: str
    symbol: str
    steps: tuple[Step, ...]
    expr: Any
    named: Mapping[Any, Any]
    lemmas: tuple[Lemma, ...]
    given: tuple[Lemma, ...]
    assumptions: tuple[str, ...]
    operations: tuple[int, int]
    passes: tuple[int, int]
    letters: Letters = field(repr=False)
    record: Record = field(repr=False)
    truth: Array = field(repr=False)
    dy: Letter = field(repr=False)
    stages: frozenset[Letter] = frozenset()

    @property
    def gradient(self) -> str:
        """What the formula is called: ``dx``."""
        return f"d{self.symbol}" if self.record.order == 1 else f"d(Σ v·d{self.symbol})/d{self.symbol}"

    @cached_property
    def plain(self) -> Plain:
        """What makes plain trees of this derivation's expressions."""
        return Plain(self.letters, [self.dy, *self.named])

    @cached_property
    def writer(self) -> Writing:
        """What writes this derivation's expressions as text."""
        return self.hand(Text)

    @cached_property
    def formula(self) -> Formula:
        """The gradient as a plain tree with a line for every letter; ``str()`` of it is the formula in one line of text."""
        target = self.letters.of[self.record.inputs[self.of]].expr
        return formula_of(
            Plain(self.letters, [self.dy, *self.named], calling=True), self.gradient, target, self.expr, self.named, self.stages
        )

    @cached_property
    def forward(self) -> Formula:
        """The forward itself, with a line for every letter that was computed; its result has a layout, too.

        Raises ``DerivationError`` where the output has no formula.
        """
        out = self.letters.of[self.record.output]
        if out.expr not in self.letters.definitions:
            why = self.letters.opaque.get(out.expr, "it is one of the inputs")
            raise DerivationError(f"derive: {self.record.title} has no formula of its value: {why}")
        plain = Plain(self.letters, calling=True)
        found = formula_of(plain, out.expr.name, out.expr, self.letters.definitions[out.expr], {})
        lines = tuple(Line(plain.letter(a), plain(with_means(e))) for a, e in self.letters.definitions.items() if a != out.expr)
        layout = tuple(tuple(map(str, dim)) for dim in out.dims)
        known = layouts(plain, {a.name for a in self.letters.leaves})
        numbers = {a.name: float(self.letters.values[a]) for a in self.letters.literals.values()}
        return replace(
            found,
            lines=lines,
            layouts=(*known, (out.expr.name, layout)),
            numbers=tuple(numbers.items()),
            fixed=tuple(self._fixed()),
        )

    @cached_property
    def conditions(self) -> tuple[Indicator, ...]:
        """The ``assumptions`` that say which branch was taken, as trees."""
        plain = Plain(self.letters, calling=True)
        return tuple(Indicator(plain(a), sign, plain(b)) for a, sign, b in self.letters.assumptions)

    def _fixed(self) -> list[str]:
        """The axes that have the same size on the record at other sizes: groups by width."""
        again = next(iter(self.record.others), None)
        if again is None:
            return []
        other = {str(a): n for a, n in Axes(Graph(again.output), again.axes).sizes.items()}
        return [str(a) for a, n in self.letters.sizes.items() if other.get(str(a)) == n]

    @property
    def ok(self) -> bool:
        """Whether every line agrees with the one before, and the last with the record's gradient."""
        allowed = tolerance(self.record.output.dtype)
        return self.verify() < allowed and all(s.off < allowed for s in self.steps)

    def verify(self) -> float:
        """The largest relative difference between the formula and the record's gradient, in numbers."""
        return off(self.letters.number(self.expr), self.truth, gradient_on(self.record, self.of)[1])

    def equals(self, other: Any, pairing: Mapping[str, str] | None = None) -> Equality:
        """Whether another formula is the same: a derivation, or a function of tensors named as the inputs are, and dy.

        pairing:  which input each of theirs is, where the names do not say it: ``{"weight": "γ"}``

        Proved, which alone is true as a bool, is what has the same normal form under the same assumptions and the same numbers
        on records of other sizes, signs and values. Else it is equal under an assumption, not proved, or not equal; ``residual``
        is then the difference as a formula, where that is short.

        What a proof takes for granted, besides its ``assumptions``: real arithmetic, of inputs that are numbers (not rounding, not
        where exp overflows, not NaN), in which a written number is the decimal it prints as; that an answer's dtype is of no
        matter, nor whether it is yet to be spread to the input's shape; and that the function's answer depends on its tensors alone. The clock, chance, the stack, addresses, what is kept
        from call to call, other threads, and who takes Python's own functions apart are not heard.

        Raises ``DerivationError`` where it cannot be told which input each is.
        """
        return compare_formulas(self, other, pairing)

    def ask(self, step: int | None = None) -> Exercise:
        """An exercise: the line before a rewriting is shown, and ``.answer("rstd*(g - …)")`` says what it thinks of the next one.

        step:  which rewriting, from 0, the sum over the routes; by default the last

        Raises ``DerivationError`` where there is no such step.
        """
        return Exercise(self, step)

    def unabbreviated(self) -> Any:
        """The formula without its abbreviations."""
        expr = self.expr
        for g, meaning in reversed(list(self.named.items())):
            expr = expr.xreplace({g: meaning})
        return expr

    # On paper --------------------------------------------------------------------------------------------------

    def text(self, ascii: bool = False) -> str:
        from .pages import as_text

        text = as_text(self)
        return ascii_text(text) if ascii else text

    def __str__(self) -> str:
        return self.text()

    def latex(self) -> str:
        """The final formula and its abbreviations, in LaTeX's math mode."""
        return self.formula.latex()

    def hand(self, kind: type[Hand]) -> Writing:
        """A writer of this derivation's formulas: ``Text``, ``Latex``, ``MathML``."""
        return Writing(self.plain, kind)

    def to_latex(self) -> str:
        """The whole derivation as a LaTeX document."""
        from .pages import as_latex

        return as_latex(self)

    def markdown(self) -> str:
        from .pages import as_markdown

        return as_markdown(self)

    def html(self) -> str:
        """One page, with MathML: no script, no network."""
        from .pages import as_html

        return as_html(self)

    def numpy_source(self) -> str:
        """A NumPy function that computes the gradient; it runs without this package."""
        record = self.record
        names = {self.dy.name: "dy" if record.order == 1 else "v"}
        again = {self.letters.of[record.dy].expr.name: "dy"} if record.order == 2 else {}
        for n, t in record.inputs.items():
            if t in self.letters.of:
                names[self.letters.of[t].expr.name] = identifier("x" if n == "input" else n, {**names, **again})
        names |= again
        target = self.letters.of[record.inputs[self.of]].expr.name
        function = f"{identifier(record.name, {})}_{identifier('d' + names[target], {})}" + (
            "_again" if record.order == 2 else ""
        )
        about = "\n".join([str(self.formula), *(f"Assumed: {text}" for text in self.assumptions)])
        return str(Source(self.formula, function, names, about))

    def to_json(self) -> str:
        return to_json(
            {
                "title": self.title,
                "of": self.of,
                "formula": str(self.formula),
                "latex": self.latex(),
                "ok": self.ok,
                "difference": self.verify(),
                "operations": dict(zip(("tape", "formula"), self.operations)),
                "passes": dict(zip(("tape", "formula"), self.passes)),
                "assumptions": list(self.assumptions),
                "lemmas": [lemma.why for lemma in self.lemmas],
                "steps": [
                    {
                        "kind": s.kind,
                        "left": s.left,
                        "formula": self.writer(s.expr),
                        "rule": s.rule,
                        "reason": s.reason,
                        "difference": s.off,
                    }
                    for s in self.steps
                ],
            }
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        shown = bundle("a derivation", self.text, "typeset", lambda: as_section(self, "h3"))
        with suppress(Exception):  # a cell must not fail because of a picture
            shown["text/latex"] = f"$\\displaystyle {self.latex()}$"
        return shown
