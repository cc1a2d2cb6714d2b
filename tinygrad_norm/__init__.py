"""The gradient of a normalization layer: as numbers, as a graph, as a formula, and checked.

    import tinygrad_norm as tn

    x = tn.tensor([[1.0, 2.0, 4.0]], requires_grad=True, name="x")
    y = tn.functional.layer_norm(x, 3)
    print(tn.graph(y))              # what was recorded
    print(tn.graph(y).routes(x))    # every way from x to y, with its share of the gradient
    print(tn.compare("layer_norm")) # autodiff, hand-derived formula and two oracles, pair by pair

Not related to the project called tinygrad.
"""

from . import derive as derive  # lends routes their formulas
from . import draw as draw  # lends graphs their pictures
from . import functional, nn
from .check import compare
from .engine import (
    DTypeError,
    GradientError,
    HistoryLostError,
    InPlaceError,
    MissingPullbackError,
    Op,
    ShapeError,
    Tensor,
    TinygradNormError,
    UnreachableError,
    concatenate,
    from_numpy,
    grad,
    matmul,
    no_grad,
    scope,
    tensor,
)
from .engine.primitives import exp, log, maximum, minimum, relu, rsqrt, sigmoid, sqrt, tanh, where
from .graph import graph

__version__ = "0.1.0"

__all__ = [
    "DTypeError",
    "GradientError",
    "HistoryLostError",
    "InPlaceError",
    "MissingPullbackError",
    "Op",
    "ShapeError",
    "Tensor",
    "TinygradNormError",
    "UnreachableError",
    "compare",
    "concatenate",
    "exp",
    "from_numpy",
    "functional",
    "grad",
    "graph",
    "log",
    "matmul",
    "maximum",
    "minimum",
    "nn",
    "no_grad",
    "relu",
    "rsqrt",
    "scope",
    "sigmoid",
    "sqrt",
    "tanh",
    "tensor",
    "where",
]
