"""Normalizations of each sample by itself, as modules: LayerNorm, what is like it but for the backward pass, and RMSNorm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from ..engine import Tensor
from ..norms import ada_norm, detach_norm, layer_norm, rms_norm
from ..norms.arguments import choice, flag, is_analytic, number
from .module import Module
from .parameters import fill, gain_and_shift, real_dtype, shape_of


class _Affine(Module):
    """γ and β of the shape that is normalized over."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        elementwise_affine: bool,
        bias: bool,
        dtype: DTypeLike,
        backward: str,
    ) -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        dtype = real_dtype(name, dtype)
        self.normalized_shape = shape_of(name, normalized_shape)
        self.elementwise_affine, self.backward = flag(name, "elementwise_affine", elementwise_affine), backward
        self.weight, self.bias = gain_and_shift(
            name, self.normalized_shape, dtype, self.elementwise_affine, flag(name, "bias", bias)
        )

    def reset_parameters(self) -> None:
        """γ = 1, β = 0."""
        fill(self.weight, 1)
        fill(self.bias, 0)


class LayerNorm(_Affine):
    """LayerNorm with PyTorch's constructor. ``weight`` (γ) starts at 1, ``bias`` (β) at 0; see ``tn.functional.layer_norm``.

    eps_mode, correction: as there.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
        *,
        eps_mode: str = "variance",
        correction: float = 0,
    ) -> None:
        super().__init__(normalized_shape, elementwise_affine, bias, dtype, backward)
        self.eps = number("LayerNorm", "eps", eps)
        self.eps_mode = choice("LayerNorm", "eps_mode", eps_mode, ("variance", "std"))
        self.correction = number("LayerNorm", "correction", correction)

    def forward(self, input: Tensor) -> Tensor:
        return layer_norm(
            input,
            self.normalized_shape,
            self.weight,
            self.bias,
            self.eps,
            self.backward,
            eps_mode=self.eps_mode,
            correction=self.correction,
        )


class DetachNorm(_Affine):
    """LayerNorm's forward pass, with the mean, the deviation or both constant in the backward pass.

    The constructor is LayerNorm's; ``weight`` and ``bias``, too. detach_mean, detach_std: as in
    ``tn.functional.detach_norm``.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
        *,
        detach_mean: bool = True,
        detach_std: bool = True,
    ) -> None:
        super().__init__(normalized_shape, elementwise_affine, bias, dtype, backward)
        self.eps = number("DetachNorm", "eps", eps)
        self.detach_mean = flag("DetachNorm", "detach_mean", detach_mean)
        self.detach_std = flag("DetachNorm", "detach_std", detach_std)

    def forward(self, input: Tensor) -> Tensor:
        how = self.eps, self.detach_mean, self.detach_std, self.backward
        return detach_norm(input, self.normalized_shape, self.weight, self.bias, *how)


class AdaNorm(Module):
    """C·(1 − k·x̂)·x̂, the factor held constant in the backward pass; nothing is learned. ``scale`` is C.

    detach: as in ``tn.functional.ada_norm``.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        k: float = 0.1,
        scale: float = 1.0,
        eps: float = 1e-5,
        backward: str = "recorded",
        *,
        detach: bool = True,
    ) -> None:
        is_analytic("AdaNorm", backward)
        self.normalized_shape = shape_of("AdaNorm", normalized_shape)
        self.k, self.scale, self.eps = (number("AdaNorm", n, v) for n, v in (("k", k), ("scale", scale), ("eps", eps)))
        self.backward, self.detach = backward, flag("AdaNorm", "detach", detach)

    def forward(self, input: Tensor) -> Tensor:
        return ada_norm(input, self.normalized_shape, self.k, self.scale, self.eps, self.backward, detach=self.detach)


class RMSNorm(_Affine):
    """RMSNorm with PyTorch's constructor. ``weight`` (γ) starts at 1; see ``tn.functional.rms_norm``.

    eps_mode, partial: as there.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
        *,
        eps_mode: str = "mean_square",
        partial: float | None = None,
    ) -> None:
        super().__init__(normalized_shape, elementwise_affine, False, dtype, backward)
        self.eps = None if eps is None else number("RMSNorm", "eps", eps)
        self.eps_mode = choice("RMSNorm", "eps_mode", eps_mode, ("mean_square", "rms"))
        self.partial = None if partial is None else number("RMSNorm", "partial", partial, above=0, most=1)

    def forward(self, input: Tensor) -> Tensor:
        return rms_norm(
            input,
            self.normalized_shape,
            self.weight,
            self.eps,
            self.backward,
            eps_mode=self.eps_mode,
            partial=self.partial,
        )
