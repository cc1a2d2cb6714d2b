"""Records operations on tensors and differentiates the record. Knows NumPy and nothing of normalization."""

from . import methods, primitives
from .checkpointing import checkpoint
from .creation import (
    arange,
    cat,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    zeros,
    zeros_like,
)
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
from .files import FileError, load, save
from .forms import concatenate
from .op import Op, Pullback
from .pages import keep_pages
from .primitives import TABLE
from .products import matmul
from .random import Generator, default_generator, drawing_from, manual_seed
from .readings import ARRAYS, TENSORS, ArrayReading, Reading
from .shapes import canonical_axes
from .state import Function, enable_grad, is_grad_enabled, no_grad, scope, set_grad_enabled
from .tensor import Tensor, from_numpy, tensor
from .transforms import hessian, hvp, jacobian, jvp, vjp
from .walk import backward, between, grad, history, is_cotangent, pull_back

__all__ = [
    "ARRAYS",
    "TABLE",
    "TENSORS",
    "ArrayReading",
    "DTypeError",
    "FileError",
    "Function",
    "Generator",
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
    "arange",
    "backward",
    "between",
    "canonical_axes",
    "cat",
    "checkpoint",
    "concatenate",
    "default_generator",
    "describe",
    "drawing_from",
    "enable_grad",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "grad",
    "hessian",
    "history",
    "hvp",
    "is_cotangent",
    "is_grad_enabled",
    "jacobian",
    "jvp",
    "keep_pages",
    "linspace",
    "load",
    "manual_seed",
    "matmul",
    "methods",
    "no_grad",
    "ones",
    "ones_like",
    "primitives",
    "pull_back",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "save",
    "scope",
    "set_grad_enabled",
    "tensor",
    "vjp",
    "zeros",
    "zeros_like",
]
