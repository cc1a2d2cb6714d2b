"""The symbolic half of a comparison: two gradients in the same letters, and what each takes for granted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from ..engine import Tensor, history, tensor
from ..graph import Record as GraphRecord
from .algebra import with_means
from .assumption import Assumption, not_of_kind, of_kind
from .axes import Axes
from .domain import asked, holds
from .errors import NotSymbolicError
from .following import Tree
from .letters import Letters
from .makings import Making, Makings
from .marks import Place, Size, marks, numbers_on
from .normal import BUDGET, Normal, TooLong
from .other import Leaves, Other
from .precisions import said_of
from .questions import Heard, listen
from .record import Record, sizes_of
from .residual import LONGEST, is_plain, shortest
from .rules import Rewriting
from .sizes import divided_by, divisors, unlike
from .symbols import Letter, rational
from .watching import Made, joined, listening, watching

if TYPE_CHECKING:
    from .derivation import Derivation


NOTHING: Mapping[Any, Any] = {}


class Proof:
    """The symbolic half: both formulas in the same letters, what each takes for granted, and how they differ.

    holds:        the normal forms are one
    needed:       what one side takes for granted and the other does not
    assumptions:  all that either takes for granted
    """

    def __init__(self, d: Derivation, theirs: Other, records: list[Record], moved: bool, prove: bool = True) -> None:
        self.holds, self.why = False, "the normal forms differ"
        self.needed: tuple[str, ...] = ()
        self.assumptions: tuple[str, ...] = tuple(d.assumptions)
        self.d, self.write, self.records = d, cache(d.writer), records
        self.options = {a: rational(v) for v, a in d.letters.literals.items()}  # theirs is recorded with my ε
        self._left: tuple[Any, Any, Other] | None = None
        self.said: list[str] = not_of_kind(d.record.notes, "branches", "asked")
        self.asked: list[str] = []
        self.conditions: list[dict[Any, str]] = []
        self.domains: list[dict[Any, str]] = []
        self._safe: set[Any] = set()
        self._forms: dict[Any, Any] = {}
        self.makings = Makings()
        self.numbers: set[float] = set()
        self._made: tuple[Mapping[Tensor, Making], Made] = {}, {}
        known = {m.total: m.value for m in d.given}
        self.normal = normal = Normal(known)
        try:
            own = self._read(Other(d, d, None), moved)
            self.asked = of_kind(d.record.notes, "asked")
            own_domain = self._domain(d.letters.graph, d.letters, {}) | self._divisors(d.letters.graph.output, d.record.marks, {})
            self.domains[0] |= own_domain
            expr = self._read(theirs, moved)
            held = self._held(moved)
        except NotSymbolicError as error:
            self.why = str(error)
            return
        mine = d.letters.inlined(d.unabbreviated()).xreplace(self.options).xreplace(held)
        difference = mine - expr.xreplace(held)
        self._left = (-difference, held, theirs)
        if not prove:
            return
        one, other = self.conditions[:2]
        assumed = [*theirs.assumed, *self.asked]
        assumed += [text for key, text in {**one, **other}.items() if (key in one) != (key in other)]
        zero, their_zero = ({k: text for k, text in found.items() if k not in self._safe} for found in self.domains[:2])
        ours = frozenset(form for form, sign in zero if sign != "≠ 0" and isinstance(form, Letter))
        more = {
            k: text
            for k, text in their_zero.items()
            if k not in zero
            and (k[0], "> 0") not in zero
            and not _implied(k, ours)
            and not {(k[0], "≥ 0"), (k[0], "≠ 0")} <= {*zero}
        }
        self.holds = self._is_own(expr, own, held) or normal.is_zero(difference, d.letters)
        if not self.holds and ours:
            normal = Normal(known, ours)
            self.holds = normal.is_zero(difference, d.letters)
        if not self.holds:
            signs = self._signs(difference)
            if signs and Normal(known, frozenset(signs)).is_zero(difference, d.letters):
                self.holds = True
                used = [a for a in signs if not Normal(known, frozenset(signs) - {a}).is_zero(difference, d.letters)]
                assumed += [f"{self.write(a)} > 0" for a in used or signs]
        if not self.holds and (ends := Normal(known).is_zero_but(difference, d.letters)) is not None:
            self.holds = True
            assumed += [f"{self.write(e)} ≠ 0" for e in ends]
        if not self.holds and normal.left < 0:
            self.why = f"gave up after {BUDGET:,} terms"
        once = [note for note in d.letters.notes if "occurs once" in note]  # which the formula takes for granted, its record not
        if once and not normal.is_zero((own - expr).xreplace(held), d.letters):
            assumed += once
        assumed += [text for k, text in more.items() if k[1] != "≠ 0" or (k[0], "> 0") not in more]
        self.said += [text for k, text in zero.items() if k not in their_zero]
        self.needed = tuple(dict.fromkeys(assumed))
        self.said += self._roundings()
        lemmas = [m.why for m in d.given]
        zeros = sorted(normal.nonzero, key=str) if self.holds else []
        nonzero = [f"{self.write(a)} ≠ 0" for a in zeros if _named(a)]
        self.assumptions = tuple(dict.fromkeys([*one.values(), *other.values(), *assumed, *self.said, *lemmas, *nonzero]))

    @property
    def residual(self) -> str | None:
        """Yours less the derivation's, as a short formula in its letters; None where there is none."""
        if self._left is None:
            return None
        d, (left, held, theirs) = self.d, self._left
        found, _ = theirs.on(d.record)
        dims = d.letters.axes.dims[d.record.inputs[d.of]]
        gap = np.broadcast_to(found.data, d.record.inputs[d.of].shape).astype(np.float64)
        numbers = d.letters.spread(gap, dims) - d.truth

        def is_it(e: Any) -> bool:
            plain = e
            for g, meaning in reversed(list(d.named.items())):
                plain = plain.xreplace({g: meaning})
            plain = d.letters.inlined(plain).xreplace(self.options).xreplace(held)
            return self.normal.is_zero(left - plain, d.letters)

        made = shortest(d, numbers, is_it)
        if made is None:
            made = self.normal.short_form(left, d.letters)
            if made is None or not is_plain(made):
                return None
            made = with_means(made)
        made = Rewriting(d.letters, d.dy, d.writer, d.letters.of[d.record.inputs[d.of]].expr).common(made)[0]
        text = f"yours − {d.gradient} = {d.writer(made)}"
        return text if made != 0 and len(text) <= LONGEST else None

    def _is_own(self, expr: Any, own: Any, held: Any) -> bool:
        """The record's own gradient, read as theirs is; that the formula is this gradient, its derivation has shown."""
        return bool(expr.xreplace(held) == own.xreplace(held)) and self.d.ok

    def _read(self, other: Other, moved: bool) -> Any:
        """A formula in my letters, and on what conditions it is so."""
        with watching() as made, listening():
            (found, leaves), heard = listen(lambda: other.on(self.d.record))
            forward = other.forward
            others = [(listen(partial(other.on, r))[0][0], other.forward) for r in self.records[1:]] if moved else []
        self.asked += self._said(other, heard, leaves)
        self._made = heard.makings, made
        with joined(made):
            like = self.d.letters.axes.dims[self.d.record.inputs[self.d.of]]
            expr = self._formula(found, leaves, [gradient for gradient, _ in others], heard.trees, like)
        conditions = self.conditions[-1]
        if forward is not None:  # what was asked on the way there
            with joined(made), suppress(NotSymbolicError):
                self._formula(*forward, [made[0] for _, made in others if made is not None])
                conditions |= self.conditions.pop()
                self.domains.pop()
        return expr

    def _said(self, other: Other, heard: Heard, leaves: Leaves) -> list[str]:
        record = self.d.record
        if not other.is_function or record.order != 1:
            return heard.said
        names = {id(t): n for n, t in record.inputs.items()}
        given = {"dy" if own is None else names[id(own)]: leaf for leaf, own in leaves.items()}

        def run(dtypes: Mapping[str, Any]) -> tuple[Tensor, list[Tensor]]:
            inputs = {n: tensor(t.data.astype(dtypes.get(n, t.dtype)), name=t.name) for n, t in record.inputs.items()}
            dy = tensor(record.dy.data.astype(dtypes.get("dy", record.dy.dtype)), name="dy")
            found, mine = other.on(replace(record, inputs=inputs, dy=dy))
            return found, list(mine)

        return said_of(heard, given, run)

    def _formula(
        self,
        found: Tensor,
        leaves: Leaves,
        others: list[Tensor],
        trees: Mapping[Tensor, Mapping[int | str, Tree]] = NOTHING,
        like: Any = None,
    ) -> Any:
        d, mine = self.d, self.d.letters
        if found.op is None:
            raise NotSymbolicError("a constant has no formula")
        fixed = {leaf: mine.axes.dims[t] for leaf, t in leaves.items() if isinstance(t, Tensor) and t in mine.axes.dims}
        fixed |= {leaf: mine.of[d.record.output].dims for leaf, t in leaves.items() if t is None}
        graph = GraphRecord(found)
        axes = Axes(graph, fixed=fixed, known=mine.sizes, like=like)
        if len(axes.sizes) > len(mine.sizes):
            raise NotSymbolicError("its axes cannot be matched with the derivation's")
        marked: dict[Place, Size] = {}
        unknown: dict[Place, float] = {}
        if len(others) > 1:
            plain = [found, *others]
            sizes = [{str(a): float(n) for a, n in mine.sizes.items()}, *(sizes_of(r) for r in self.records[1:])]
            axis = set(sizes[0])
            if all(axis <= set(s) for s in sizes):
                marked, unknown = marks(plain, [{a: s[a] for a in axis} for s in sizes])
        self.said += [f"{v:g}, which depends on the sizes (the formula is for these)" for v in dict.fromkeys(unknown.values())]
        here = {str(a): float(n) for a, n in mine.sizes.items()}
        self.asked += [
            Assumption(f"{v:g}, which depends on the sizes (the formula is for these)")
            for v in unlike(found, trees, marked, here)
            if v not in unknown.values()
        ]
        beside = {
            leaf: (mine.of[own].expr, mine.of[own].dims) for leaf, own in leaves.items() if own is not None and own in mine.of
        }
        letters = Letters(graph, marks=marked, axes=axes, beside=beside)
        change: dict[Any, Any] = {}
        for t, symbol in letters.of.items():
            a = symbol.expr
            if a not in letters.leaves or a in change:
                continue
            if t in leaves:
                own = leaves[t]
                change[a] = (
                    d.dy if own is None else mine.of[own].expr if own in mine.of else Letter(f"{a.name} of the other", a.axes)
                )
            elif a in letters.opaque:
                change[a] = Letter(f"t{self._way(t, leaves)} of the other", a.axes)
            else:
                change[a] = self._data(t, symbol, leaves)
        self.conditions.append(self._conditions(letters, change))
        self.domains.append(self._domain(graph, letters, change) | self._divisors(found, marked, trees))
        self.numbers |= {v for place, v in numbers_on(found) if place not in marked and np.isfinite(v)}
        return letters.inlined(letters.of[found].expr).xreplace(change).xreplace(self.options)

    def _divisors(
        self, output: Tensor, marked: Mapping[Place, Size], trees: Mapping[Tensor, Mapping[int | str, Tree]]
    ) -> dict[Any, str]:
        """What the sizes may not be."""
        sizes = self.d.letters.sizes
        named, here = {str(a): a for a in sizes}, {str(a): float(n) for a, n in sizes.items()}
        found = list(divided_by(output, marked, named))
        found += [e for of in trees.values() for tree in of.values() for e in divisors(tree, here, named)]
        return {(e, "≠ 0"): f"{self.write(e)} ≠ 0" for e in found if not (e.is_number or holds(e, "≠ 0"))}

    def _roundings(self) -> list[str]:
        """Numbers that are read as one, though they are a rounding apart: 0.1 + 0.2 and 0.3."""
        read: dict[Any, set[float]] = {}
        for v in self.numbers:
            read.setdefault(rational(v), set()).add(v)
        return [" and ".join(f"{v!r}" for v in sorted(vs)) + " are the same number" for vs in read.values() if len(vs) > 1]

    def _way(self, t: Tensor, leaves: Leaves) -> int:
        """In which way a tensor of theirs was made."""
        return self.makings.of(t, {leaf: "dy" if own is None else own.name for leaf, own in leaves.items()}, *self._made)

    def _data(self, t: Tensor, symbol: Any, leaves: Leaves) -> Any:
        """A constant of theirs: a number where all entries are one, else the letter of mine that has the same entries.

        One that is made of the inputs is none of these: it is the letter of mine that was made in the same way."""
        d, (made, _) = self.d, self._made
        value, inputs = t.data, {*d.record.inputs.values(), d.record.dy}
        if (
            (t not in made or made[t][0] in _OF_SHAPES)
            and t.dtype.kind in "iuf"
            and value.size
            and np.all(value == value.flat[0])
            and np.isfinite(value.flat[0])
        ):
            return rational(float(value.flat[0]))
        way = self._way(t, leaves)
        for own, s in d.letters.of.items():
            if own.op is not None or own in inputs or s.expr not in d.letters.leaves or d.letters.axes.dims[own] != symbol.dims:
                continue
            if (own in d.record.makings) != (t in made):
                continue
            if t in made and way != self.makings.of(own, {x: x.name for x in inputs}, d.record.makings, {}):
                continue
            if own.data.shape == value.shape and np.array_equal(own.data, value):
                return s.expr
        return Letter(f"t{way} of the other", symbol.expr.axes)

    def _held(self, moved: bool) -> dict[Any, Any]:
        """My constants: as what they were made from, as the number that they hold, or as data."""
        d = self.d
        inputs = {*d.record.inputs.values(), d.record.dy}
        wanted = {k: t for k, t in enumerate(d.letters.graph.tensors) if t.op is None and t not in inputs and t in d.letters.of}
        wanted = {k: t for k, t in wanted.items() if isinstance(d.letters.of[t].expr, Letter)}
        if not wanted or d.record.order != 1:
            return {}
        assert d.record.make is not None
        with watching() as made:
            again = d.record.make(on={n: t.data for n, t in d.record.inputs.items()}, numbers=d.record.numbers)
        tensors = history(again.output)
        found: dict[Any, Any] = {}
        pairs = {t: d.record.inputs[n] for n, t in again.inputs.items()}
        same = len(tensors) == len(d.letters.graph.tensors)
        for k, t in wanted.items():
            letter = d.letters.of[t].expr
            if np.all(t.data == t.data.flat[0]) and t not in made and t not in d.record.makings:
                found[letter] = rational(float(t.data.flat[0])) if not (same and tensors[k] in made) else letter
            if same and tensors[k] in made:
                with joined(made):
                    found[letter] = self._formula(tensors[k], pairs, [])
        return found

    def _signs(self, difference: Any) -> list[Any]:
        """Inputs that are positive on the record."""
        values = self.d.letters.values
        return [
            a
            for a in sorted(difference.atoms(Letter), key=str)
            if a in values and np.size(values[a]) and np.all(np.asarray(values[a]) > 0)
        ]

    def _domain(self, graph: GraphRecord, letters: Letters, change: Mapping[Any, Any]) -> dict[Any, str]:
        """Where it is a number, by normal form, in words."""

        def read(x: Any) -> Any:
            e = letters.of[x].expr if isinstance(x, Tensor) else rational(float(x))
            return letters.inlined(e).xreplace(change).xreplace(self.options)

        found = {}
        for e, sign in asked(graph, read):
            form = self._normal(self.normal.sign_of, e)
            sure = bool(form.is_number and form > 0)
            if sure and sign != "≥ 0" and self._normal(self.normal.is_more, e) is not True:
                sure, form = False, self._normal(self.normal.form, e)
            if holds(e, sign) or sure:
                self._safe |= {(form, s) for s in (("≥ 0",) if sign == "≥ 0" else ("> 0", "≥ 0", "≠ 0"))}
            else:
                found[form, sign] = f"{self.write(e)} {sign}"
        return found

    def _normal(self, form: Callable[..., Any], e: Any) -> Any:
        """Its form, or itself where that is too long: it may then seem another than one that it equals."""
        key = (form.__name__, e)
        if key not in self._forms:
            try:
                self._forms[key] = form(e, self.d.letters)
            except TooLong:
                self._forms[key] = e
        return self._forms[key]

    def _conditions(self, letters: Letters, change: Mapping[Any, Any]) -> dict[Any, str]:
        """What is answered the same by every entry of the record, by normal form, in words."""

        questions = [
            (letters.inlined(a).xreplace(change), sign, letters.inlined(b).xreplace(change)) for a, sign, b in letters.assumptions
        ]
        found: dict[Any, str] = {}
        for a, sign, b in questions:
            form = self._normal(self.normal.form, (a - b).xreplace(self.options))
            if form.is_number:
                continue
            if sign in ("<", "≤"):
                form, key = -form, {"<": ">", "≤": "≥"}[sign]
            else:
                key = sign
            found[form, key] = f"{self.write(a)} {sign} {self.write(b)}"
        return found | {n: n for n in letters.notes if "everywhere" in n}


_OF_SHAPES = ("zeros_like", "ones_like")
"""Constants that are made of a tensor's shape, and of nothing else of it."""


def _implied(condition: tuple[Any, str], positive: frozenset[Any]) -> bool:
    """Whether it follows from letters that are not negative."""
    form, sign = condition
    return sign == "≥ 0" and all(f.as_base_exp()[0] in positive for f in sp.Mul.make_args(form))


def _named(a: Any) -> bool:
    return all("⟨" not in x.name for x in a.atoms(Letter))
