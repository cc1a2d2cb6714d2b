"""Normalizations of the nodes of graphs, (N, C) or (G, N, C) padded to one size, with a mask of which are nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..engine import Tensor
from ..norms import graph_norm, pair_norm
from ..norms.arguments import flag, is_analytic, number
from .module import Module
from .parameters import fill, gain_and_shift, ones, real_dtype, size


class GraphNorm(Module):
    """GraphNorm with PyTorch Geometric's state_dict: ``weight`` (γ, from 1), ``bias`` (β, from 0), ``mean_scale`` (α, from 1),
    each (in_channels,). See ``tn.functional.graph_norm``.

    Source: Cai et al. 2021, "GraphNorm" (arXiv:2009.03294).
    """

    def __init__(self, in_channels: int, eps: float = 1e-5, dtype: DTypeLike = np.float32, backward: str = "recorded") -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        dtype = real_dtype(name, dtype)
        self.in_channels, self.eps, self.backward = size(name, "in_channels", in_channels), number(name, "eps", eps), backward
        self.weight, self.bias = gain_and_shift(name, self.in_channels, dtype)
        self.mean_scale = ones(name, self.in_channels, dtype, "α")

    def reset_parameters(self) -> None:
        """γ = 1, β = 0, α = 1."""
        fill(self.weight, 1)
        fill(self.bias, 0)
        fill(self.mean_scale, 1)

    def forward(self, input: Tensor, mask: Any = None) -> Tensor:
        return graph_norm(input, self.weight, self.bias, self.mean_scale, self.eps, self.backward, mask=mask)


class PairNorm(Module):
    """PairNorm with PyTorch Geometric's constructor; nothing is learned. ε is the authors' 1e-6, there 1e-5.
    See ``tn.functional.pair_norm``.

    Source: Zhao, Akoglu 2020, "PairNorm" (arXiv:1909.12223).
    """

    def __init__(
        self, scale: float = 1.0, scale_individually: bool = False, eps: float = 1e-6, backward: str = "recorded"
    ) -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        self.scale, self.eps, self.backward = number(name, "scale", scale), number(name, "eps", eps), backward
        self.scale_individually = flag(name, "scale_individually", scale_individually)

    def forward(self, input: Tensor, mask: Any = None) -> Tensor:
        return pair_norm(input, self.scale, self.scale_individually, self.eps, self.backward, mask=mask)
