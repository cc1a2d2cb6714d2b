"""What can be wrong with a derivation that is asked for."""

from __future__ import annotations

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
