"""Activations, made of the table's ops. At kinks the gradient is PyTorch's; each is right at the ends of its dtype's range.

A branch that is not taken is fed a harmless number, not only left out: what overflows there would come back as 0·∞.
"""

from __future__ import annotations

import math
from typing import Any

from . import primitives as op
from .arguments import as_tensor, floating, in_float32, one_axis, ordered, part
from .errors import OptionError, ShapeError, describe
from .shapes import choice, number
from .state import scope
from .tensor import Tensor

# scale·(x if x > 0 else α·(eˣ − 1)): mean 0 and variance 1 map to themselves
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """x·Φ(x), Φ the normal distribution: ½x·(1 + erf(x/√2)), or with ``"tanh"`` ½x·(1 + tanh(√(2/π)·(x + 0.044715x³))).

    Source: Hendrycks, Gimpel 2016, "Gaussian Error Linear Units" (arXiv:1606.08415).
    """
    word = choice("gelu", "approximate", approximate, ("none", "tanh"))
    x = floating(input, "gelu")
    return op.gelu(x) if word == "none" else op.gelu_tanh(x)  # type: ignore[no-any-return]


@scope("SiLU")
def silu(input: Any) -> Tensor:
    """x·sigmoid(x), also called swish."""
    x = floating(input, "silu")
    return x * x.sigmoid()


@in_float32
def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(βx))/β; the input itself where βx > ``threshold``, with the gradient 1."""
    beta, threshold = number("softplus", "beta", beta), number("softplus", "threshold", threshold)
    if not beta:
        raise OptionError("softplus: beta=0; it divides by beta. relu is what a large one comes to.")
    ordered("softplus", input)
    z = input * beta
    return op.where(z > threshold, input, op.softplus(z) / beta)  # type: ignore[no-any-return]


@scope("log-sigmoid")
@in_float32
def logsigmoid(input: Any) -> Tensor:
    """log sigmoid(x) = −log(1 + e⁻ˣ), exact at both ends: x far below 0, −e⁻ˣ far above."""
    return -op.softplus(-input)  # type: ignore[no-any-return]


@scope("leaky ReLU")
def leaky_relu(input: Any, negative_slope: float = 0.01) -> Tensor:
    """x above 0, ``negative_slope``·x elsewhere.

    Source: Maas, Hannun, Ng 2013, "Rectifier Nonlinearities Improve Neural Network Acoustic Models".
    """
    x, slope = floating(input, "leaky_relu"), number("leaky_relu", "negative_slope", negative_slope)
    ordered("leaky_relu", x)
    return op.where(x > 0, x, x * slope)  # type: ignore[no-any-return]


@scope("ELU")
@in_float32
def elu(input: Any, alpha: float = 1.0) -> Tensor:
    """x above 0, α·(eˣ − 1) elsewhere; the gradient at 0 is α.

    Source: Clevert, Unterthiner, Hochreiter 2016, "Fast and Accurate Deep Network Learning by Exponential Linear Units"
    (arXiv:1511.07289).
    """
    return _elu("elu", input, number("elu", "alpha", alpha), 1.0)


@scope("CELU")
@in_float32
def celu(input: Any, alpha: float = 1.0) -> Tensor:
    """x above 0, α·(exp(x/α) − 1) elsewhere: smooth for every α.

    Source: Barron 2017, "Continuously Differentiable Exponential Linear Units" (arXiv:1704.07483).
    """
    alpha = number("celu", "alpha", alpha)
    if not alpha or math.isinf(alpha):
        raise OptionError(
            f"celu: alpha={alpha}; it divides and multiplies by it. {'Take x itself' if alpha else 'relu is what it comes to'}."
        )
    return _elu("celu", input, alpha, alpha)


@scope("SELU")
@in_float32
def selu(input: Any) -> Tensor:
    """1.0507·(x above 0, 1.6733·(eˣ − 1) elsewhere): mean 0 and variance 1 map to themselves.

    Source: Klambauer, Unterthiner, Mayr, Hochreiter 2017, "Self-Normalizing Neural Networks" (arXiv:1706.02515).
    """
    return _elu("selu", input, _SELU_ALPHA, 1.0) * _SELU_SCALE


def _elu(name: str, x: Tensor, alpha: float, width: float) -> Tensor:
    ordered(name, x)
    above = x > 0
    below = op.where(above, 0.0, x)
    return op.where(above, x, op.expm1(below if width == 1 else below / width) * alpha)  # type: ignore[no-any-return]


@scope("hardtanh")
def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x between the bounds, the bound beyond; at a bound the gradient is 0 (where ``clamp`` lets it pass)."""
    return _hard("hardtanh", as_tensor(input, "hardtanh"), min_val, max_val)


@scope("ReLU6")
def relu6(input: Any) -> Tensor:
    """min(max(x, 0), 6); at 0 and at 6 the gradient is 0."""
    return _hard("relu6", as_tensor(input, "relu6"), 0, 6)


def _hard(name: str, x: Tensor, low: Any, high: Any) -> Tensor:
    ordered(name, x)
    low, high = number(name, "min_val", low), number(name, "max_val", high)
    if low > high:
        raise OptionError(f"{name}: min_val={low!r} is above max_val={high!r}; exchange them.")
    y: Tensor = op.where(x <= low, low, op.where(x >= high, high, x))
    return y if y.dtype == x.dtype else y.astype(x.dtype)


@scope("GLU")
def glu(input: Any, dim: int = -1) -> Tensor:
    """a·sigmoid(b), a and b the halves of the input along ``dim``.

    Source: Dauphin, Fan, Auli, Grangier 2017, "Language Modeling with Gated Convolutional Networks" (arXiv:1612.08083).
    """
    x = floating(input, "glu")
    axis = one_axis(dim, x, "glu")
    half, odd = divmod(x.shape[axis], 2)
    if odd:
        raise ShapeError(f"glu: {describe(x)} has {x.shape[axis]} entries along dim {axis}; two halves need an even number.")
    return part(x, axis, 0, half) * part(x, axis, half, None).sigmoid()
