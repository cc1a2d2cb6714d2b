"""What a kernel cannot be made of."""

from __future__ import annotations

from ..engine import TinygradNormError


class KernelError(TinygradNormError, ValueError):
    """There is no kernel for this; the message names what stands in the way."""


class KernelWarning(UserWarning):
    """Something else computes than what was asked for; the numbers are the same."""
