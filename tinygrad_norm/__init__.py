"""The gradient of a normalization layer: as numbers, as a graph, as a formula, and checked."""

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

__version__ = "0.1.0"
