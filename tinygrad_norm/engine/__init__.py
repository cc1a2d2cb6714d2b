"""Records operations on tensors and differentiates the record. Knows NumPy and nothing of normalization."""

from . import methods, primitives
from .errors import (
    DTypeError,
    GradientError,
    HistoryLostError,
    HistoryLostWarning,
    InPlaceError,
    MissingPullbackError,
    OptionError,
    ShapeError,
    TinygradNormError,
    UnreachableError,
    describe,
)
from .forms import concatenate
from .op import Op, Pullback
from .pages import keep_pages
from .primitives import TABLE
from .products import matmul
from .shapes import canonical_axes
from .state import Function, enable_grad, is_grad_enabled, no_grad, scope
from .tensor import Tensor, from_numpy, tensor
from .transforms import checkpoint, hessian, hvp, jacobian, jvp, vjp
from .walk import ARRAYS, TENSORS, ArrayReading, Reading, backward, between, grad, history, pull_back

__all__ = [
    "ARRAYS",
    "TABLE",
    "TENSORS",
    "ArrayReading",
    "DTypeError",
    "Function",
    "GradientError",
    "HistoryLostError",
    "HistoryLostWarning",
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
    "enable_grad",
    "from_numpy",
    "grad",
    "hessian",
    "history",
    "hvp",
    "is_grad_enabled",
    "jacobian",
    "jvp",
    "keep_pages",
    "matmul",
    "methods",
    "no_grad",
    "primitives",
    "pull_back",
    "scope",
    "tensor",
    "vjp",
]
