"""A claim: a sentence that is said, an experiment, and a rule that turns its figures into a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..engine import OptionError, describe
from .charts import Chart

Figures = Mapping[str, NDArray[np.float64]]
"""By name, a number for each seed."""

WORDS = {
    "confirmed": "in every seed, or beyond the margin that the rule states",
    "bounded": "true under the condition that is named, and shown false outside it",
    "corrected": "not as it stands; what would be true instead is said",
    "refuted here": "not in this net, at this scale",
    "undecided": "not by an experiment of this size, or not by this measure",
}


class Verdict(NamedTuple):
    """word: one of ``WORDS``; figure: the one that says most, in words; because: the condition, what is true instead, what would decide."""

    word: str
    figure: str
    because: str


@dataclass(frozen=True)
class Claim:
    """A sentence put to the test.

    title:       the sentence in a few words
    says:        the sentences as texts have them, by their number in the list of all
    told_by:     what kind of text says so
    source:      paper and equation
    setting:     what was run: network, data, optimizer, steps
    differs:     where that is not the paper's
    experiment:  seed -> figures; numbers by name, the same names for every seed. What is beyond all numbers is inf
    measure:     what a figure is, and its unit
    decides:     the rule in words, written before the run
    rule:        figures -> verdict; nothing else goes into it
    picture:     figures -> chart
    changes:     what would change it: in words, and figures that would come then, numbers or the names of other figures
    seeds, few:  how many for the stored verdict, and how many with ``--quick``
    opposed:     whether the texts contradict each other here
    """

    title: str
    says: Mapping[int, str]
    told_by: str
    source: str
    setting: Mapping[str, Any]
    differs: str
    experiment: Callable[[int], Mapping[str, float]]
    measure: str
    decides: str
    rule: Callable[[Figures], Verdict]
    picture: Callable[[Figures], Chart]
    changes: Mapping[str, Mapping[str, float | str]]
    seeds: int = 5
    few: int = 2
    opposed: bool = False

    def judge(self, figures: Mapping[str, Any]) -> Verdict:
        """The rule's verdict on figures, measured or thought of; ``OptionError`` for a word that is none."""
        found = self.rule({k: np.atleast_1d(np.asarray(v, np.float64)) for k, v in figures.items()})
        if not isinstance(found, Verdict) or found.word not in WORDS:
            raise OptionError(f"claim: the rule gives {describe(found)}; it is a Verdict, its word one of {', '.join(WORDS)}.")
        return found

    def otherwise(self, figures: Figures) -> dict[str, Verdict]:
        """For each of ``changes``: the verdict, were the figures so."""
        return {words: self.judge(changed(figures, other)) for words, other in self.changes.items()}


def changed(figures: Figures, other: Mapping[str, float | str]) -> dict[str, NDArray[np.float64]]:
    """The figures with some put in the place of others; ``OptionError`` for a name that is none."""
    for name in (*other, *(v for v in other.values() if isinstance(v, str))):
        if name not in figures:
            raise OptionError(f"claim: {describe(name)} is no figure; there are {', '.join(figures)}.")
    put = {k: figures[v] if isinstance(v, str) else np.full_like(figures[k], v) for k, v in other.items()}
    return {**figures, **put}


def gathered(experiment: Any, seeds: list[int], tell: Callable[[int], None] | None = None) -> dict[str, NDArray[np.float64]]:
    """The figures of all seeds, by name."""
    rows: list[Mapping[str, float]] = []
    for i, seed in enumerate(seeds):
        rows.append(experiment(seed))
        if rows[-1].keys() != rows[0].keys():
            raise OptionError(
                f"claim: seed {seed} gives the figures {', '.join(rows[-1])}, and seed {seeds[0]} {', '.join(rows[0])}."
            )
        if tell is not None:
            tell(i + 1)
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
