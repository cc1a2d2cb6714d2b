"""What can be wrong with a derivation that is asked for."""

from __future__ import annotations

import unicodedata

from ..engine import GradientError, TinygradNormError


class NotSymbolicError(GradientError):
    """A formula that cannot be derived; the message names the op and the line that recorded it.

    place:  which of the record's tensors it is, by age
    """

    def __init__(self, message: str, place: int | None = None) -> None:
        super().__init__(message)
        self.place = place


class DerivationError(TinygradNormError, ValueError):
    """A derivation asked for in a way that cannot be answered."""


class ReadingError(DerivationError):
    """A line that cannot be read. The message points at the place and says what was expected.

    line, place:  the text as it was read, and the character at which it stopped
    """

    def __init__(self, line: str, place: int, what: str) -> None:
        self.line, self.place = line, place
        start = line.rfind("\n", 0, place) + 1
        shown = line[start:].split("\n")[0]
        first = max(0, place - start - 60)  # a long line is shown from here
        before = [c for c in shown[first : place - start] if not unicodedata.combining(c)]
        super().__init__(f"cannot read this:\n  {shown[first : first + 100]}\n  {' ' * len(before)}^\n{what}")
