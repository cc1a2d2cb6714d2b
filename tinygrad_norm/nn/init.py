"""Initial values: PyTorch's ``nn.init``. Each fills a leaf, outside any record, and returns it.

Random numbers come from ``generator``, by default the source that ``tn.manual_seed`` starts. For an even start the variance
of a layer's outputs should be that of its inputs: gain²/fan_in for weights (out, in, …), where fan_in counts the numbers that
one output is a sum of. Raises ``ShapeError`` for a tensor with too few axes, ``OptionError`` for options out of bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine import DTypeError, Generator, OptionError, ShapeError, Tensor, describe
from ..engine.arrays import Array
from ..engine.errors import speaking_as
from ..engine.random import source
from ..norms.arguments import choice, number

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_GAINS = {
    **dict.fromkeys(("linear", "sigmoid", *(f"conv{t}{d}d" for t in ("", "_transpose") for d in (1, 2, 3))), 1.0),
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "leaky_relu": math.sqrt(2 / (1 + 0.01**2)),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By what weights must be larger for what an activation takes away: "linear", "conv2d", …, "sigmoid": 1; "tanh": 5/3; "relu": √2;
    "leaky_relu": √(2/(1 + param²)), param being the slope below 0, 0.01 unless given; "selu": 3/4.

    ``activation_gain`` computes it for any function.
    """
    gain = _GAINS[choice("calculate_gain", "nonlinearity", nonlinearity, tuple(_GAINS))]
    if nonlinearity == "leaky_relu" and param is not None:
        return math.sqrt(2 / (1 + number("calculate_gain", "param", param) ** 2))
    return gain


def _fill(name: str, tensor: Any, make: Callable[[], Any]) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise DTypeError(f"{name}: {describe(tensor)} is no tensor. Give a parameter, such as layer.weight.")
    with speaking_as(name):
        tensor.data = np.asarray(make()).astype(tensor.dtype)
    return tensor


def _shape(name: str, tensor: Any) -> tuple[int, ...]:
    if not isinstance(tensor, Tensor):
        raise DTypeError(f"{name}: {describe(tensor)} is no tensor. Give a parameter, such as layer.weight.")
    return tensor.shape


# Constants --------------------------------------------------------------------------------------------------------------


def constant_(tensor: Tensor, val: float) -> Tensor:
    """``val`` everywhere."""
    value = number("constant_", "val", val)
    return _fill("constant_", tensor, lambda: np.full(tensor.shape, value))


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return _fill("ones_", tensor, lambda: np.ones(tensor.shape))


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return _fill("zeros_", tensor, lambda: np.zeros(tensor.shape))


def eye_(tensor: Tensor) -> Tensor:
    """Ones on the diagonal of a matrix: a linear layer that hands on what it gets, as far as the sizes allow."""
    shape = _shape("eye_", tensor)
    if len(shape) != 2:
        raise ShapeError(f"eye_: {describe(tensor)} has {len(shape)} axes; it takes a matrix.")
    return _fill("eye_", tensor, lambda: np.eye(*shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Weights (out, in, *kernel) of a convolution that hands on its channels, group by group, as far as the sizes allow: 1 in the
    middle of the kernel. ``groups`` divides out."""
    shape = _shape("dirac_", tensor)
    parts = number("dirac_", "groups", groups, 1, whole=True)
    if len(shape) not in (3, 4, 5):
        raise ShapeError(f"dirac_: {describe(tensor)} has {len(shape)} axes; it takes weights of a convolution, 3 to 5.")
    if shape[0] % parts:
        raise ShapeError(f"dirac_: {describe(tensor)}: groups={parts} must divide its {shape[0]} output channels.")
    weights, per_group = np.zeros(shape), shape[0] // parts
    for group in range(parts):
        for channel in range(min(per_group, shape[1])):
            at = (group * per_group + channel, channel, *(n // 2 for n in shape[2:]))
            weights[at] = 1
    return _fill("dirac_", tensor, lambda: weights)


# Random -----------------------------------------------------------------------------------------------------------------


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform from ``a`` to ``b``."""
    return _uniform("uniform_", tensor, number("uniform_", "a", a), number("uniform_", "b", b), generator)


def _uniform(name: str, tensor: Tensor, a: float, b: float, generator: Generator | None) -> Tensor:
    if a > b:
        raise OptionError(f"{name}: from a={a} to b={b}; a is not above b.")
    drawn = source(generator, name).numpy
    return _fill(name, tensor, lambda: drawn.uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal."""
    return _normal("normal_", tensor, number("normal_", "mean", mean), number("normal_", "std", std, 0), generator)


def _normal(name: str, tensor: Tensor, mean: float, std: float, generator: Generator | None) -> Tensor:
    drawn = source(generator, name).numpy
    return _fill(name, tensor, lambda: mean + std * drawn.standard_normal(tensor.shape))


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Generator | None = None
) -> Tensor:
    """Normal, what lies outside of ``a`` … ``b`` drawn again. a and b are values, not multiples of ``std``, which is above 0.

    Source of the tails' draws: Robert 1995, "Simulation of truncated normal variables", Statistics and Computing 5, sec. 2.
    """
    name = "trunc_normal_"
    mean, std = number(name, "mean", mean), number(name, "std", std, above=0)
    low, high = number(name, "a", a), number(name, "b", b)
    if low >= high:
        raise OptionError(f"{name}: from a={low} to b={high}; a is below b.")
    drawn = source(generator, name).numpy

    def make() -> Array:
        z = _truncated(drawn, math.prod(tensor.shape), (low - mean) / std, (high - mean) / std)
        return np.clip(mean + std * z, low, high).reshape(tensor.shape)  # rounding may lead out

    return _fill(name, tensor, make)


def _truncated(drawn: np.random.Generator, count: int, a: float, b: float) -> Array:
    """Standard normal between a and b, by proposals of which few are refused, wherever the interval lies."""
    if b <= 0 and a < 0:
        return -_truncated(drawn, count, -b, -a)
    nearest = max(a, 0.0)
    inside = math.erfc(a / math.sqrt(2)) / 2 - math.erfc(b / math.sqrt(2)) / 2
    found = np.empty(0)
    while len(found) < count:
        n = 2 * (count - len(found)) + 8
        if inside > 0.1:
            z = drawn.standard_normal(n)
            kept = (a <= z) & (z <= b)
        elif nearest * (b - a) < 1:  # nearly level
            z = drawn.uniform(a, b, n)
            kept = drawn.random(n) <= np.exp((nearest**2 - z**2) / 2)
        else:  # a tail
            z = a + drawn.exponential(1 / a, n)
            kept = (drawn.random(n) <= np.exp(-((z - a) ** 2) / 2)) & (z <= b)
        found = np.concatenate([found, z[kept]])
    return found[:count]


def _fans(name: str, tensor: Any) -> tuple[int, int]:
    shape = _shape(name, tensor)
    if len(shape) < 2:
        raise ShapeError(
            f"{name}: {describe(tensor)} has {len(shape)} axes; fan_in and fan_out are those of weights (out, in, …)."
        )
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def _over_root(gain: float, fan: float) -> float:
    return gain / math.sqrt(fan) if fan else 0.0


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform between ∓√3·σ with σ = gain·√(2/(fan_in + fan_out)).

    Source: Glorot, Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", AISTATS, eq. 16.
    """
    name = "xavier_uniform_"
    bound = _over_root(number(name, "gain", gain, 0) * math.sqrt(6), sum(_fans(name, tensor)))
    return _uniform(name, tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with σ = gain·√(2/(fan_in + fan_out)). Source: Glorot, Bengio 2010, eq. 12."""
    name = "xavier_normal_"
    std = _over_root(number(name, "gain", gain, 0) * math.sqrt(2), sum(_fans(name, tensor)))
    return _normal(name, tensor, 0.0, std, generator)


def _kaiming(name: str, tensor: Any, a: Any, mode: Any, nonlinearity: Any) -> float:
    fans = _fans(name, tensor)
    fan = fans[choice(name, "mode", mode, ("fan_in", "fan_out")) == "fan_out"]
    return _over_root(calculate_gain(choice(name, "nonlinearity", nonlinearity, tuple(_GAINS)), number(name, "a", a)), fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform between ∓√3·σ with σ = gain/√fan.

    a:     the slope below 0 of "leaky_relu", by which ``calculate_gain`` finds the gain
    mode:  "fan_in" keeps the variance going forward, "fan_out" that of gradients going backward

    Source: He, Zhang, Ren, Sun 2015, "Delving Deep into Rectifiers" (arXiv:1502.01852), eqs. 10, 14, 15.
    """
    bound = math.sqrt(3) * _kaiming("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return _uniform("kaiming_uniform_", tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with σ = gain/√fan; arguments and source as ``kaiming_uniform_``."""
    std = _kaiming("kaiming_normal_", tensor, a, mode, nonlinearity)
    return _normal("kaiming_normal_", tensor, 0.0, std, generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A random orthogonal matrix times ``gain``: W·Wᵀ = gain²·I, or Wᵀ·W where there are more rows than columns.

    tensor:  weights (out, in, …), as a matrix of out rows. Every such matrix is equally likely.

    Source: Saxe, McClelland, Ganguli 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks"
    (arXiv:1312.6120), sec. 4.
    """
    shape, drawn = _shape("orthogonal_", tensor), source(generator, "orthogonal_").numpy
    factor = number("orthogonal_", "gain", gain)
    if len(shape) < 2:
        raise ShapeError(f"orthogonal_: {describe(tensor)} has {len(shape)} axes; it takes weights (out, in, …).")

    def make() -> Array:
        rows, columns = shape[0], math.prod(shape[1:])
        a = drawn.standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(a)
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # QR's own signs would make some likelier
        found: Array = factor * (q if rows >= columns else q.T)
        return found.reshape(shape)

    return _fill("orthogonal_", tensor, make)
