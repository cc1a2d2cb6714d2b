"""How a candidate wants to be asked, where it cannot be asked as we did: without axes of one, or with another number of axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from .candidate import Answer
from .case import Case
from .probes import Site, case_at, sites
from .trial import Trial


def unfit(answer: Answer) -> bool:
    """Whether it gave nothing to judge, or the first gradient in another shape."""
    late = (answer.error or "").startswith("did not return")
    return not late and (answer.raised or next(iter(answer.gradients), "") in answer.misshapen)


def without_axes_of_one(trial: Trial, case: Case, answer: Answer, dtype: Any) -> Trial:
    """The same trial, or one that hands over saved statistics flat, where only with those it is right, or answers at all."""
    if trial.flat or not (trial.keeps(answer) or (answer.raised and not answer.taken)):
        return trial
    bad = unfit(answer)
    if not bad and trial.agrees(case, answer):
        return trial
    flat = replace(trial, flat=True)
    other = flat.ask(case, dtype, once=True)
    return flat if (bad and not unfit(other) and flat.keeps(other)) or flat.agrees(case, other) else trial


def other_axes(
    trials: Sequence[Trial], main: tuple[int, ...] | None, dtype: Any, seed: int
) -> tuple[Trial, tuple[int, ...]] | None:
    """The first shape with another number of axes at which one of them answers, the most axes first, and how it is asked there."""
    for place in _ranks(trials[0], main):
        case = case_at(trials[0].subject, place, seed)
        if case is None:
            continue
        for trial in trials:
            answer = trial.ask(case, dtype, once=True)
            found = without_axes_of_one(trial, case, answer, dtype) if unfit(answer) else trial
            if found.flat != trial.flat or not unfit(answer):
                return found, place.shape
    return None


def _ranks(trial: Trial, main: tuple[int, ...] | None) -> Iterator[Site]:
    seen = {len(trial.subject.norm.shape if main is None else main)}
    for place in sorted(sites(trial.subject, main), key=lambda s: -s.ndim):
        if place.special is None and place.ndim not in seen:
            seen.add(place.ndim)
            yield place
