"""One thing that a recorded call may have been meant to be."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .recorded import Step

if TYPE_CHECKING:
    from .world import World

Make = Callable[["World", Step, Sequence[Any]], Any]


@dataclass(frozen=True)
class Change:
    """What a call may have been meant to be.

    cost:    how far that is from what stands there: the nearest is tried first
    words:   what is wrong: ``Σ where mean belongs``
    make:    ``(world, step, values)`` -> what the call gives instead, ``values[step.index]`` being what it gives as it is; None, or an
             error, where there is nothing such
    general: it says only what should be there, not what was taken for it
    of_own:  what stands there is wrong as it came
    of_letter: what is too much has a name of its own
    at:      line and text of the place, where that is another than the call's
    """

    cost: float
    words: str
    make: Make
    general: bool = False
    at: tuple[int, str] | None = None
    of_own: bool = False
    of_letter: bool = False

    @property
    def of_value(self) -> bool:
        """Whether it is about what a call gives, not about how it is written."""
        return self.general or any(words in self.words for words in (" is missing", " is too much", "sign"))

    @property
    def of_result(self) -> bool:
        """Whether it says only what should come out of a call."""
        return self.general or self.of_own or self.words.endswith(" belongs here")

    @property
    def of_term(self) -> bool:
        """Whether it adds what is right: with another change that takes all else away, that would always do."""
        return self.words.startswith("the term") and self.words.endswith("missing")

    @property
    def compensates(self) -> bool:
        """Whether it may only make up for what is wrong elsewhere: it adds a term, or leaves out a variable of their own."""
        too_much = re.fullmatch(r"the (?:factor|term) ([A-Za-z_]\w*) is too much", self.words)
        return self.of_term or (too_much is not None and not self.of_letter)

    @property
    def of_sign(self) -> bool:
        return "sign" in self.words or self.words in ("+ where − belongs", "− where + belongs")
