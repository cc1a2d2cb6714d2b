"""Backwards of normalizations as people write them, in many styles, right and wrong in one place."""

from . import batch, instead, kept, kernels, layer, lengths, mixed, soft  # noqa: F401  (they fill the list)
from .cases import CASES

__all__ = ["CASES"]
