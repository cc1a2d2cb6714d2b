"""Records operations on tensors and differentiates the record. Knows NumPy and nothing of normalization."""

from . import primitives
from .backward import ARRAYS, TENSORS, ArrayReading, Reading, backward, between, grad, history, pull_back
from .errors import (
    DTypeError,
    GradientError,
    HistoryLostError,
    InPlaceError,
    MissingPullbackError,
    OptionError,
    ShapeError,
    TinygradNormError,
    UnreachableError,
    describe,
)
from .op import Op, Pullback
from .pages import keep_pages
from .primitives import TABLE
from .shapes import canonical_axes
from .state import no_grad, scope
from .tensor import Tensor, concatenate, from_numpy, matmul, tensor
from .transforms import checkpoint, hessian, hvp, jacobian, jvp, vjp

__all__ = [
    "ARRAYS",
    "TABLE",
    "TENSORS",
    "ArrayReading",
    "DTypeError",
    "GradientError",
    "HistoryLostError",
    "InPlaceError",
    "MissingPullbackError",
    "Op",
    "OptionError",
    "Pullback",
    "Reading",
    "ShapeError",
    "Tensor",
    "TinygradNormError",
    "UnreachableError",
    "backward",
    "between",
    "canonical_axes",
    "checkpoint",
    "concatenate",
    "describe",
    "from_numpy",
    "grad",
    "hessian",
    "history",
    "hvp",
    "jacobian",
    "jvp",
    "keep_pages",
    "matmul",
    "no_grad",
    "primitives",
    "pull_back",
    "scope",
    "tensor",
    "vjp",
]
