"""Is this gradient right? Comparisons against oracles that share no code with the backward pass."""

from ..norms import InputError
from .alterations import Mistake
from .asserting import assert_backward
from .binding import CheckInputError
from .catalogue import Known
from .checking import check
from .compare import Comparison, Pair, compare, compare_all, overview
from .findings import Finding, GradientCheck, GradientMismatchError
from .gradients import adjoint_test, check_grads
from .judgement import Explanation, Judgement
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
from .probes import Probe
from .strength import Change, Strength, strength
from .verdict import Verdict

__all__ = [
    "LONGER",
    "Change",
    "CheckInputError",
    "Comparison",
    "Estimate",
    "Explanation",
    "Finding",
    "GradientCheck",
    "GradientMismatchError",
    "InputError",
    "Judgement",
    "Known",
    "Mistake",
    "Pair",
    "Probe",
    "Slope",
    "Strength",
    "Verdict",
    "adjoint_test",
    "assert_backward",
    "central_difference",
    "central_difference_along",
    "check",
    "check_grads",
    "compare",
    "compare_all",
    "complex_step",
    "complex_step_along",
    "directions",
    "overview",
    "strength",
]
