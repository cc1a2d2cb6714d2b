"""Running a claim, and whether the stored verdict holds here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from ..engine.shapes import number
from .claim import Claim, gathered
from .result import Result, processor, versions


def run(
    name: str, claim: Claim, seeds: int | None = None, quick: bool = False, tell: Callable[[int, int], None] | None = None
) -> Result:
    """Run a claim's experiment for each seed, and judge the figures by its rule.

    seeds:  how many, from 0 on (default: the claim's own); quick: the claim's few
    tell:   called with how many seeds are done, and how many there are

    Raises ``OptionError`` for a number of seeds that is none.
    """
    most = int(number("claims", "seeds", seeds, 1, whole=True)) if seeds is not None else claim.few if quick else claim.seeds
    which = list(range(most))
    begun = time.process_time()
    figures = gathered(claim.experiment, which, None if tell is None else lambda done: tell(done, most))
    seconds = time.process_time() - begun
    return Result(
        name, claim.title, dict(claim.says), claim.opposed, claim.judge(figures), which, figures, dict(claim.setting),
        round(seconds, 2), versions(), processor(),
    )  # fmt: skip


class Agreement(NamedTuple):
    """Whether a verdict that is stored is that of a run here, in a sentence."""

    ok: bool
    text: str


def agreement(stored: Result | None, here: Result) -> Agreement:
    """Compare by the word: figures differ from processor to processor, verdicts should not."""
    if stored is None:
        return Agreement(True, "nothing is stored to compare with")
    if stored.verdict.word == here.verdict.word:
        return Agreement(True, f"the stored verdict holds here: {here.verdict.word}")
    where = "" if stored.processor == here.processor else f", another processor than {stored.processor}, where it was stored"
    fewer = f"; {len(here.seeds)} seeds here, {len(stored.seeds)} there" if len(stored.seeds) != len(here.seeds) else ""
    return Agreement(
        False,
        f"the stored verdict does NOT hold here: stored {stored.verdict.word}, here {here.verdict.word} (on {here.processor}{where}{fewer})",
    )
