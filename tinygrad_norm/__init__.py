"""The gradient of a normalization layer: as numbers, as a graph, as a formula, and checked.

    import tinygrad_norm as tn

    x = tn.tensor([[1.0, 2.0, 4.0]], requires_grad=True, name="x")
    y = tn.functional.layer_norm(x, 3)
    print(tn.graph(y))              # what was recorded
    print(tn.graph(y).routes(x))    # every way from x to y, with its share of the gradient
    print(tn.compare("layer_norm")) # autodiff, hand-derived formula and two oracles, pair by pair
    print(tn.derive("layer_norm"))  # from the record to that formula, line by line

Not related to the project called tinygrad.
"""

from typing import TYPE_CHECKING

from .engine import (
    DTypeError,
    GradientError,
    HistoryLostError,
    InPlaceError,
    MissingPullbackError,
    Op,
    OptionError,
    ShapeError,
    Tensor,
    TinygradNormError,
    UnreachableError,
    checkpoint,
    concatenate,
    from_numpy,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    keep_pages,
    matmul,
    no_grad,
    scope,
    tensor,
    vjp,
)
from .engine.functions import clip, einsum, stack
from .engine.primitives import cos, erf, exp, log, maximum, minimum, relu, rsqrt, sigmoid, sin, sqrt, tanh, where
from .loans import lend

__version__ = "0.1.0"

__all__ = [
    "DTypeError",
    "GradientError",
    "GradientMismatchError",
    "HistoryLostError",
    "InPlaceError",
    "MissingPullbackError",
    "Norm",
    "Op",
    "OptionError",
    "ShapeError",
    "Tensor",
    "TinygradNormError",
    "UnreachableError",
    "check",
    "check_grads",
    "checkpoint",
    "clip",
    "compare",
    "concatenate",
    "cos",
    "derive",
    "einsum",
    "erf",
    "exp",
    "from_numpy",
    "functional",
    "grad",
    "graph",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "keep_pages",
    "log",
    "matmul",
    "maximum",
    "minimum",
    "nn",
    "no_grad",
    "register",
    "relu",
    "rsqrt",
    "scope",
    "sigmoid",
    "sin",
    "sqrt",
    "stack",
    "tanh",
    "tensor",
    "vjp",
    "where",
]

if TYPE_CHECKING:  # opened when first asked for
    from . import draw as draw
    from . import functional, nn
    from . import norms as norms
    from .check import GradientMismatchError, check, check_grads, compare
    from .derive import derive
    from .graph import graph
    from .norms import Norm, register
else:
    __getattr__, __dir__ = lend(__name__, __all__)
