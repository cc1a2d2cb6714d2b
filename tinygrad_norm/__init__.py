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

from numpy import float16, float32, float64, int32, int64

from .engine import (
    DTypeError,
    FileError,
    Generator,
    GradientError,
    HistoryLostError,
    HistoryLostWarning,
    InPlaceError,
    MissingPullbackError,
    Op,
    OptionError,
    ShapeError,
    Tensor,
    TinygradNormError,
    UnreachableError,
    arange,
    cat,
    checkpoint,
    concatenate,
    default_generator,
    drawing_from,
    enable_grad,
    eye,
    from_numpy,
    full,
    full_like,
    grad,
    hessian,
    hvp,
    is_grad_enabled,
    jacobian,
    jvp,
    keep_pages,
    linspace,
    load,
    manual_seed,
    matmul,
    no_grad,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    save,
    scope,
    set_grad_enabled,
    tensor,
    vjp,
    zeros,
    zeros_like,
)
from .engine.functions import (
    abs,
    clip,
    cos,
    einsum,
    erf,
    exp,
    log,
    maximum,
    minimum,
    pow,
    relu,
    rsqrt,
    sigmoid,
    sin,
    sqrt,
    square,
    stack,
    tanh,
    where,
)
from .loans import lend

__version__ = "0.1.0"

__all__ = [
    "DTypeError",
    "FileError",
    "Generator",
    "GradientError",
    "GradientMismatchError",
    "HistoryLostError",
    "HistoryLostWarning",
    "InPlaceError",
    "MissingPullbackError",
    "Norm",
    "Op",
    "OptionError",
    "ShapeError",
    "Tensor",
    "TinygradNormError",
    "UnreachableError",
    "abs",
    "arange",
    "assert_backward",
    "cat",
    "check",
    "check_grads",
    "checkpoint",
    "clip",
    "compare",
    "concatenate",
    "cos",
    "data",
    "default_generator",
    "derive",
    "drawing_from",
    "einsum",
    "enable_grad",
    "erf",
    "exp",
    "eye",
    "float16",
    "float32",
    "float64",
    "from_numpy",
    "full",
    "full_like",
    "functional",
    "grad",
    "graph",
    "hessian",
    "hvp",
    "int32",
    "int64",
    "is_grad_enabled",
    "jacobian",
    "jvp",
    "keep_pages",
    "learn",
    "linspace",
    "load",
    "log",
    "manual_seed",
    "matmul",
    "maximum",
    "minimum",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "optim",
    "pow",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "register",
    "relu",
    "rsqrt",
    "save",
    "scope",
    "set_grad_enabled",
    "sigmoid",
    "sin",
    "sqrt",
    "square",
    "stack",
    "strength",
    "tanh",
    "tensor",
    "to_jax",
    "train",
    "vjp",
    "where",
    "zeros",
    "zeros_like",
]

if TYPE_CHECKING:  # opened when first asked for
    from . import data, functional, learn, nn, optim, train
    from . import draw as draw
    from . import norms as norms
    from .check import GradientMismatchError, assert_backward, check, check_grads, compare, strength
    from .compile import to_jax
    from .derive import derive
    from .graph import graph
    from .norms import Norm, register
else:
    __getattr__, __dir__ = lend(__name__, __all__)
