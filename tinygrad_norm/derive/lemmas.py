"""What is known of a sum, proved by the normal form before it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from .conditions import Zero
from .letters import Letters, Near
from .normal import Normal
from .symbols import Highest, Letter, varies


@dataclass(frozen=True)
class Lemma:
    """What is known of a sum: ``Σ over axes of letter**power = value``; ``why`` in words."""

    total: Any
    value: Any
    why: str


class Lemmas:
    """Those of one derivation.

    made:   letters that its rules made, which the normal form does not know
    given:  lemmas that were given, and are taken as they are
    """

    def __init__(
        self,
        letters: Letters,
        dy: Letter,
        write: Callable[[Any], str],
        normal: Normal,
        made: Mapping[Letter, Any],
        given: Sequence[Lemma],
    ) -> None:
        self.letters, self.dy, self.write, self.normal, self.made = letters, dy, write, normal, made
        self._tried: dict[Any, Any] = {lemma.total: lemma for lemma in given}

    def of(self, total: Any) -> Lemma | None:
        """What the normal form says of this Σ, if that is short: 0, a number, sizes, a few statistics; or whose definition it is."""
        if total not in self._tried:
            self._tried[total] = self._prove(total)
        found: Lemma | None = self._tried[total]
        return found or self._defined(total)

    def _prove(self, total: Any) -> Lemma | None:
        if isinstance(total.args[0], Zero):
            return self._once(total)
        letters = total.args[0].atoms(Letter)
        if not letters & set(self.letters.definitions) or self.dy in letters or len(sp.Add.make_args(total.args[0])) > 1:
            return None
        if letters & set(self.made):
            return None
        near: Any = Near(self.letters)
        value = self.normal.form(total, near)
        inside = total.args[0]
        name = self.write(total)
        if value == 0:
            return Lemma(total, value, f"{name} = 0{self._deviation(inside)}")
        if not value.atoms(Letter):
            return Lemma(total, value, f"{name} = {self.write(value)}")
        for candidate, why in self._candidates(inside, total.args[1:]):
            if self.normal.form(total - candidate, near) == 0:
                return Lemma(total, candidate, f"{name} = {self.write(candidate)}{why}")
        return None

    def _once(self, total: Any) -> Lemma | None:
        """How often the largest entry occurs: once, if there are no ties on the record."""
        for m, definition in self.letters.definitions.items():
            u, *axes = definition.args if isinstance(definition, Highest) else (None,)
            if u is None or tuple(axes) != total.args[1:] or total.args[0] != Zero(u - m):
                continue
            if (self.letters.number(total) == 1).all():
                note = f"the largest entry, {m.name}, occurs once along {''.join(map(str, axes))}"
                if note not in self.letters.notes:
                    self.letters.notes.append(note)
                return Lemma(total, sp.Integer(1), f"{self.write(total)} = 1: {note}")
        return None

    def _defined(self, total: Any) -> Lemma | None:
        """A Σ that is a letter's definition, such as N·μ."""
        for letter, definition in self.letters.definitions.items():
            if total in sp.Mul.make_args(definition) and not (definition / total).atoms(Letter):  # they may be zero
                value = total / definition * letter
                return Lemma(total, value, f"{self.write(total)} is {self.write(value)}")
        return None

    def _candidates(self, inside: Any, axes: Any) -> Iterator[tuple[Any, str]]:
        """Σ x̂² = N·(1 − ε·rstd²): the square of what was divided by √(σ² + ε)."""
        n = sp.Mul(*axes)
        for eps in [v for v in self.letters.literals.values() if isinstance(v, Letter)]:
            for letter in self.letters.definitions:
                if not varies(letter) & set(axes):
                    yield n * (1 - eps * letter**2), ", for σ² + ε is 1/rstd²"

    def _deviation(self, inside: Any) -> str:
        for letter in inside.atoms(Letter):
            definition = self.letters.definitions.get(letter)
            if definition is not None and definition.is_Add:
                return f": {letter.name} = {self.write(definition)} are deviations from their own mean"
        return ""
