"""Residual branches weighed by a learned λ, with which deep networks start near the identity and need no normalization.

All three are called with what the branch computed and, if they shall add it, with what went into it:
``scale(branch(x), x)`` is x + λ·branch(x). See ``tn.functional.layer_scale``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..engine import Tensor
from ..norms import layer_scale
from ..norms.arguments import is_analytic, number
from .module import Module
from .parameters import full, real_dtype, size, zeros


class _Scaling(Module):
    weight: Tensor
    backward: str

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        return layer_scale(input, self.weight, residual, self.backward)


class LayerScale(_Scaling):
    """λ for each channel of the last axis: ``weight``, shape (dim,), starts at ``init``.

    1e-5 is timm's default, and the paper's choice at depth 24; the paper takes 0.1 up to depth 18 and 1e-6 above 24.

    Source: Touvron et al. 2021, "Going deeper with Image Transformers" (arXiv:2103.17239).
    """

    def __init__(self, dim: int, init: float = 1e-5, dtype: DTypeLike = np.float32, backward: str = "recorded") -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        self.dim, self.init, self.backward = size(name, "dim", dim), number(name, "init", init), backward
        self.weight = full(name, self.dim, self.init, real_dtype(name, dtype), "λ")


class _Scalar(_Scaling):
    def __init__(self, dtype: DTypeLike = np.float32, backward: str = "recorded") -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        self.backward = backward
        self.weight = zeros(name, (), real_dtype(name, dtype), "λ")


class SkipInit(_Scalar):
    """One λ for the whole branch: ``weight``, shape (), starts at 0. In place of BatchNorm at a branch's end.

    Source: De, Smith 2020, "Batch Normalization Biases Residual Blocks Towards the Identity Function in Deep Networks"
    (arXiv:2002.10444).
    """


class ReZero(_Scalar):
    """One λ for the whole branch: ``weight``, shape (), starts at 0. SkipInit's formula, proposed for networks, such as
    Transformers, that then do without LayerNorm. (The authors' own parameter is ``resweight``, shape (1,).)

    Source: Bachlechner et al. 2021, "ReZero is All You Need: Fast Convergence at Large Depth" (arXiv:2003.04887).
    """
