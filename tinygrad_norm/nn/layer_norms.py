"""Normalizations of each sample by itself, as modules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from ..engine import Tensor
from ..norms import layer_norm, rms_norm
from ..norms.arguments import sizes
from .module import Module, ones, zeros


class LayerNorm(Module):
    """LayerNorm with PyTorch's constructor. ``weight`` (γ) starts at 1, ``bias`` (β) at 0; see ``tn.functional.layer_norm``."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
    ) -> None:
        self.normalized_shape = sizes(normalized_shape)
        self.eps, self.elementwise_affine, self.backward = eps, elementwise_affine, backward
        self.weight = ones(self.normalized_shape, dtype, "γ") if elementwise_affine else None
        self.bias = zeros(self.normalized_shape, dtype, "β") if elementwise_affine and bias else None

    def forward(self, input: Tensor) -> Tensor:
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps, self.backward)

    def __repr__(self) -> str:
        return f"LayerNorm({self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={self.bias is not None})"


class RMSNorm(Module):
    """RMSNorm with PyTorch's constructor. ``weight`` (γ) starts at 1; see ``tn.functional.rms_norm``."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
    ) -> None:
        self.normalized_shape = sizes(normalized_shape)
        self.eps, self.elementwise_affine, self.backward = eps, elementwise_affine, backward
        self.weight = ones(self.normalized_shape, dtype, "γ") if elementwise_affine else None

    def forward(self, input: Tensor) -> Tensor:
        return rms_norm(input, self.normalized_shape, self.weight, self.eps, self.backward)

    def __repr__(self) -> str:
        return f"RMSNorm({self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine})"
