"""Is this gradient right? Comparisons against oracles that share no code with the backward pass."""

from .compare import Comparison, InputError, Pair, compare
from .oracles import Estimate, central_difference, complex_step

__all__ = ["Comparison", "Estimate", "InputError", "Pair", "central_difference", "compare", "complex_step"]
