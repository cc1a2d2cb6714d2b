"""Residual networks without normalization, whose variances are known beforehand instead of measured.

    h ← h + α·f(h/β)        β = √Var(h), predicted; f keeps the variance of its input

f keeps it when its weights are standardized (``WeightStandardization``) and its activation is multiplied by its gain.
Then each block adds α², Var ← Var + α², and where a transition block's shortcut also starts from h/β, of variance 1,
Var ← 1 + α².

Sources: Brock, De, Smith 2021, "Characterizing signal propagation to close the performance gap in unnormalized ResNets"
(arXiv:2101.08692); Brock, De, Smith, Simonyan 2021, "High-Performance Large-Scale Image Recognition Without
Normalization" (arXiv:2102.06171).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import DTypeLike

from ..engine import DTypeError, OptionError, ShapeError, Tensor, describe
from ..engine.arrays import Array
from ..engine.bell import erf
from ..engine.functions import floating
from ..norms.arguments import flag, number
from .module import Module
from .parameters import real_dtype
from .residual import SkipInit


class NFResidual(Module):
    """h + α·f(h/β), with f the ``branch``.

    branch:     a module, which ought to keep the variance of its input
    alpha:      α, how fast the variance grows: by α² a block
    beta:       β, the predicted standard deviation of h: √ of this block's entry in ``expected_variances``
    shortcut:   a module for a transition block, which computes shortcut(h/β) + α·f(h/β)
    skip_init:  multiply the branch by one learned number that starts at 0, too (``gain.weight``; see ``SkipInit``). The
                variance then stays what it is at first; the NF-nets do this on top of the prediction

    Raises ``OptionError`` unless β is above 0.
    """

    def __init__(
        self,
        branch: Module,
        alpha: float = 0.2,
        beta: float = 1.0,
        shortcut: Module | None = None,
        skip_init: bool = False,
        dtype: DTypeLike = np.float32,
    ) -> None:
        for what, part in (("branch", branch), ("shortcut", shortcut)):
            if not callable(part) and not (part is None and what == "shortcut"):
                raise DTypeError(f"NFResidual: {what}={describe(part)}; it is a module, or a function of one tensor.")
        dtype = real_dtype("NFResidual", dtype)
        self.alpha = float(number("NFResidual", "alpha", alpha))
        self.beta = float(number("NFResidual", "beta", beta, above=0))  # a standard deviation
        self.branch, self.shortcut = branch, shortcut
        self.gain = SkipInit(dtype) if flag("NFResidual", "skip_init", skip_init) else None

    def forward(self, input: Tensor) -> Tensor:
        input = floating(input, "NFResidual")
        scaled = input * (1 / self.beta)
        f: Tensor = self.branch(scaled)
        f = f if self.gain is None else self.gain(f)
        kept: Tensor = input if self.shortcut is None else self.shortcut(scaled)
        if kept.shape != f.shape:
            raise ShapeError(
                f"NFResidual: the branch gave {describe(f)} of {describe(scaled)}, the {'input' if self.shortcut is None else 'shortcut'} "
                f"is {describe(kept)}; the shapes must be equal. A shortcut can change the input's."
            )
        return kept + f * self.alpha


def expected_variances(depth: int, alpha: float = 0.2, transitions: Collection[int] = (), start: float = 1.0) -> Array:
    """Var(h) before each of ``depth`` blocks and after the last: shape (depth + 1,); block l has β = √ of entry l.

    transitions:  the blocks (from 0) whose shortcut starts from h/β: the variance after them is 1 + α², whatever it was
    start:        the variance of what the first block gets

    Raises ``OptionError`` for a transition that is no block.
    """
    depth = number("expected_variances", "depth", depth, 0, whole=True)
    alpha, start = number("expected_variances", "alpha", alpha), number("expected_variances", "start", start, 0)
    if not isinstance(transitions, Collection) or isinstance(transitions, (str, bytes)):
        raise DTypeError(f"expected_variances: transitions={describe(transitions)}; it is a list of blocks, such as [4, 8].")
    transitions = [number("expected_variances", "a transition", t, whole=True) for t in transitions]
    if wrong := [t for t in transitions if not 0 <= t < depth]:
        raise OptionError(f"expected_variances: transitions {wrong}; with depth={depth} the blocks are 0 to {depth - 1}.")
    variances = [float(start)]
    for block in range(depth):
        variances.append((1.0 if block in transitions else variances[-1]) + alpha**2)
    return np.array(variances)


# The gains of activations -----------------------------------------------------------------------------------------


def _softplus(z: Array) -> Array:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def _elu(z: Array) -> Array:
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def _sigmoid(z: Array) -> Array:
    return 0.5 * (1 + np.tanh(z / 2))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "celu": _elu,  # with α = 1 they are one function
    "elu": _elu,
    "gelu": lambda z: 0.5 * z * (1 + erf(z * math.sqrt(0.5))),
    "identity": lambda z: z,
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "log_sigmoid": lambda z: -_softplus(-z),
    "relu": lambda z: np.maximum(z, 0),
    "relu6": lambda z: np.clip(z, 0, 6),
    "selu": lambda z: 1.0507009873554804934193349852946 * np.where(z > 0, z, 1.6732632423543772848170429916717 * _elu(z)),
    "sigmoid": _sigmoid,
    "silu": lambda z: z * _sigmoid(z),
    "softplus": _softplus,
    "softsign": lambda z: z / (1 + np.abs(z)),
    "tanh": np.tanh,
}


def activation_gain(activation: str | Callable[[Array], Array]) -> float:
    """γ = 1/√Var(f(z)) for z of the standard normal distribution: γ·f keeps the variance.

    activation:  a name, such as "relu" or "gelu"; or a function of float64 arrays, smooth but for kinks at −6, 0 and 6

    By Gauss-Legendre quadrature, to about 1e-14 for the named ones; for relu it is √(2/(1 − 1/π)) = 1.71285855… The
    constants published with the NF-nets are larger by up to 0.9 ‰ (relu's is 1.71395886), as if measured on random
    numbers: compare to 1e-3. Raises ``OptionError`` for an unknown name and for a function that is constant.
    """
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            raise OptionError(f"activation_gain: there is no {describe(activation)}. Known: {', '.join(sorted(ACTIVATIONS))}.")
        f = ACTIVATIONS[activation]
    elif not callable(activation):
        raise DTypeError(f"activation_gain: {describe(activation)} is neither a name nor a function of arrays.")
    else:
        f = activation
    nodes, weights = np.polynomial.legendre.leggauss(64)
    ends = np.array([-14, -10, -6, -3, 0, 3, 6, 10, 14], np.float64)  # beyond, the density is below 1e-42
    half = (ends[1:, None] - ends[:-1, None]) / 2
    z = (ends[1:, None] + ends[:-1, None]) / 2 + half * nodes
    density = half * weights * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    try:
        values = np.asarray(f(z), np.float64)
        fits = values.shape in (z.shape, ())
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise DTypeError(f"activation_gain: {describe(activation)} of {describe(z)} gave no array of that shape.")
    mean = float(np.sum(density * values))
    variance = float(np.sum(density * (values - mean) ** 2))
    if not variance > 1e-24 * mean**2:
        raise OptionError(
            f"activation_gain: {describe(activation)} does not vary, so that no gain makes its variance 1. Take another activation."
        )
    return 1 / math.sqrt(variance)
