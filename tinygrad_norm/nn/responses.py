"""Normalizations that do not centre: by the response of a channel (GRN, FRN with its TLU), by the length of a vector (ScaleNorm,
QK-norm)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from ..engine import Tensor
from ..norms import filter_response_norm, global_response_norm, qk_norm, scale_norm
from ..norms.arguments import flag, is_analytic, number
from .module import Module
from .parameters import fill, full, gain_and_shift, real_dtype, size, zeros


class GRN(Module):
    """Global response normalization: ``weight`` (γ) and ``bias`` (β), (dim,), both from 0, so it starts as the identity.
    See ``tn.functional.global_response_norm``. (The authors' γ and β are of shape (1, 1, 1, dim).)

    Source: Woo et al. 2023, "ConvNeXt V2" (arXiv:2301.00808).
    """

    def __init__(
        self,
        dim: int,
        eps: float = 1e-6,
        channels_last: bool = True,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
    ) -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        dtype = real_dtype(name, dtype)
        self.dim, self.eps, self.backward = size(name, "dim", dim), number(name, "eps", eps), backward
        self.channels_last = flag(name, "channels_last", channels_last)
        self.weight, self.bias = zeros(name, self.dim, dtype, "γ"), zeros(name, self.dim, dtype, "β")

    def reset_parameters(self) -> None:
        """γ = β = 0."""
        fill(self.weight, 0)
        fill(self.bias, 0)

    def forward(self, input: Tensor) -> Tensor:
        return global_response_norm(input, self.weight, self.bias, self.eps, self.backward, channels_last=self.channels_last)


class FilterResponseNorm(Module):
    """FRN and its TLU for (N, C, *): ``weight`` (γ, from 1), ``bias`` (β, from 0), ``threshold`` (τ, from 0; None without
    ``tlu``), each (num_features,). See ``tn.functional.filter_response_norm``.

    Source: Singh, Krishnan 2020, "Filter Response Normalization Layer" (arXiv:1911.09737).
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-6,
        tlu: bool = True,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
    ) -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        dtype = real_dtype(name, dtype)
        self.num_features, self.eps, self.backward = size(name, "num_features", num_features), number(name, "eps", eps), backward
        self.weight, self.bias = gain_and_shift(name, self.num_features, dtype)
        self.threshold = zeros(name, self.num_features, dtype, "τ") if flag(name, "tlu", tlu) else None

    def reset_parameters(self) -> None:
        """γ = 1, β = 0, τ = 0."""
        fill(self.weight, 1)
        fill(self.bias, 0)
        fill(self.threshold, 0)

    def forward(self, input: Tensor) -> Tensor:
        return filter_response_norm(input, self.weight, self.bias, self.threshold, self.eps, self.backward)


class ScaleNorm(Module):
    """g·x/max(‖x‖, ε) along the last axis, of size ``dim``: ``scale`` (g), (1,), from √dim. See ``tn.functional.scale_norm``.

    Source: Nguyen, Salazar 2019, "Transformers without Tears" (arXiv:1910.05895).
    """

    def __init__(self, dim: int, eps: float = 1e-5, dtype: DTypeLike = np.float32, backward: str = "recorded") -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        dtype = real_dtype(name, dtype)
        self.dim, self.eps, self.backward = size(name, "dim", dim, 1), number(name, "eps", eps), backward
        self.scale = full(name, 1, math.sqrt(self.dim), dtype, "g")

    def reset_parameters(self) -> None:
        """g = √dim."""
        fill(self.scale, math.sqrt(self.dim))

    def forward(self, input: Tensor) -> Tensor:
        return scale_norm(input, self.scale, self.eps, self.backward)


class QKNorm(Module):
    """The scores g·q̂·k̂ᵀ of attention: ``scale`` (g), (), from log₂(L² − L) for sequences of ``length`` L.
    See ``tn.functional.qk_norm``.

    Source: Henry et al. 2020, "Query-Key Normalization for Transformers" (arXiv:2010.04245), section 3.
    """

    def __init__(self, length: int, eps: float = 1e-12, dtype: DTypeLike = np.float32, backward: str = "recorded") -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        dtype = real_dtype(name, dtype)
        self.length, self.eps, self.backward = size(name, "length", length, 2), number(name, "eps", eps), backward
        self.scale = full(name, (), self._start(), dtype, "g")

    def _start(self) -> float:
        return math.log2(self.length**2 - self.length)

    def reset_parameters(self) -> None:
        """g = log₂(L² − L)."""
        fill(self.scale, self._start())

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        return qk_norm(query, key, self.scale, self.eps, self.backward)
