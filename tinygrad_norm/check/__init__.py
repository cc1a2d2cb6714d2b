"""Is this gradient right? Comparisons against oracles that share no code with the backward pass."""

from .compare import Comparison, InputError, Pair, compare, compare_all, overview
from .gradients import Finding, GradientCheck, GradientMismatchError, adjoint_test, check_grads
from .oracles import (
    LONGER,
    Estimate,
    Slope,
    central_difference,
    central_difference_along,
    complex_step,
    complex_step_along,
    directions,
)

__all__ = [
    "LONGER",
    "Comparison",
    "Estimate",
    "Finding",
    "GradientCheck",
    "GradientMismatchError",
    "InputError",
    "Pair",
    "Slope",
    "adjoint_test",
    "central_difference",
    "central_difference_along",
    "check_grads",
    "compare",
    "compare_all",
    "complex_step",
    "complex_step_along",
    "directions",
    "overview",
]
