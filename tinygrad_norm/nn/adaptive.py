"""What a condition modulates: adaptive LayerNorm as in DiT, FiLM, and AdaIN."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..engine import ShapeError, Tensor, describe
from ..engine.functions import floating, silu, split
from ..norms import adaptive_instance_norm, conditional_layer_norm, film
from ..norms.arguments import is_analytic, number
from .module import Module
from .parameters import real_dtype, size, zeros


class _Modulated(Module):
    """A linear map of a condition to ``parts`` tensors of as many features as the input has; weight and bias start at 0."""

    parts: int

    def __init__(self, features: int, cond_dim: int, dtype: DTypeLike, backward: str) -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        dtype = real_dtype(name, dtype)
        self.cond_dim, self.backward = size(name, "cond_dim", cond_dim), backward
        self.weight = zeros(name, (self.parts * features, self.cond_dim), dtype, "W")
        self.bias = zeros(name, self.parts * features, dtype, "b")

    def _mapped(self, cond: Tensor) -> Tensor:
        """(*, cond_dim) as (*, parts·features)."""
        found = cond.reshape(-1, self.cond_dim) @ self.weight.T + self.bias
        spread: Tensor = found.reshape(*cond.shape[:-1], found.shape[-1])
        return spread


class _AdaLayerNorm(_Modulated):
    """LayerNorm's last axis, of ``dim`` features, and parts that are read from silu(condition)."""

    def __init__(
        self, dim: int, cond_dim: int, eps: float = 1e-6, dtype: DTypeLike = np.float32, backward: str = "recorded"
    ) -> None:
        name = type(self).__name__
        self.dim, self.eps = size(name, "dim", dim), number(name, "eps", eps)
        super().__init__(self.dim, cond_dim, dtype, backward)

    def _modulation(self, input: Tensor, cond: Tensor) -> tuple[Tensor, ...]:
        """The parts, each with as many axes as the input. A condition per sequence serves all its tokens."""
        name = type(self).__name__
        x, c = floating(input, name), floating(cond, name, "cond")
        if x.shape[-1:] != (self.dim,) or c.shape[-1:] != (self.cond_dim,):
            raise ShapeError(
                f"{name}: input {describe(x)} and cond {describe(c)}: their last axes must be dim={self.dim} and "
                f"cond_dim={self.cond_dim}."
            )
        if not c.ndim <= x.ndim or any(n not in (1, m) for n, m in zip(c.shape[:-1], x.shape[:-1])):
            raise ShapeError(
                f"{name}: cond {describe(c)} for input {describe(x)}: its leading axes are the input's first ones, such as "
                "(B, cond_dim) for (B, T, dim)."
            )
        found = self._mapped(silu(c))
        found = found.reshape(*c.shape[:-1], *(1,) * (x.ndim - c.ndim), found.shape[-1])
        return split(found, self.dim, dim=-1)


class AdaLayerNorm(_AdaLayerNorm):
    """LayerNorm whose shift and scale are read from a condition: (1 + scale)·x̂ + shift.

    ``weight`` is (2·dim, cond_dim) and ``bias`` (2·dim): rows for the shift first, then for the scale, of silu(cond). Both
    start at 0, so the module starts as LayerNorm without γ and β. (DiT's last layer does; diffusers' AdaLayerNorm starts at
    random.) ε is 1e-6, as DiT's; diffusers' default is 1e-5.

    Source: Peebles, Xie 2023, "Scalable Diffusion Models with Transformers" (arXiv:2212.09748), section 3.2.
    """

    parts = 2

    def forward(self, input: Tensor, cond: Tensor) -> Tensor:
        """input: (B, *, dim); cond: (B, cond_dim), or with more of the input's leading axes. Returns the input's shape."""
        shift, scale = self._modulation(input, cond)
        return conditional_layer_norm(input, scale, shift, self.eps, self.backward)


class AdaLayerNormZero(_AdaLayerNorm):
    """AdaLayerNorm with a gate for what comes after it, DiT's adaLN-Zero; one of these per residual branch.

        h, gate = norm(x, cond)
        x = x + gate * branch(h)

    ``weight`` is (3·dim, cond_dim) and ``bias`` (3·dim): rows for shift, scale and gate, in this order, of silu(cond). Both
    start at 0, the gate with them, so the block starts as the identity, and the branch hears nothing until the gate
    has moved. A DiT block has two branches and one linear map of 6·dim rows: those of its two norms, one after the other.

    Source: Peebles, Xie 2023, "Scalable Diffusion Models with Transformers" (arXiv:2212.09748), section 3.2.
    """

    parts = 3

    def forward(self, input: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """input: (B, *, dim); cond: (B, cond_dim), or with more of the input's leading axes.

        Returns the modulated input, of the input's shape, and the gate, which broadcasts against it."""
        shift, scale, gate = self._modulation(input, cond)
        return conditional_layer_norm(input, scale, shift, self.eps, self.backward), gate


class FiLM(_Modulated):
    """Each channel stretched and shifted by what a condition says: (1 + scale)·x + shift; nothing is normalized.

    num_features: C, the channels of inputs (N, C) or (N, C, *); cond_dim: the entries of a sample's condition.

    ``weight`` is (2·C, cond_dim) and ``bias`` (2·C): rows for the scale first, then for the shift, of the condition as it is.
    Both start at 0, so the module starts as the identity: γ = 1 + scale, as in the authors' code; with γ itself starting at
    0 no gradient would reach x. For maps, or a network of your own: ``tn.functional.film``.

    Source: Perez, Strub, de Vries, Dumoulin, Courville 2018, "FiLM" (arXiv:1709.07871), eqs. 1 and 2.
    """

    parts = 2

    def __init__(self, num_features: int, cond_dim: int, dtype: DTypeLike = np.float32, backward: str = "recorded") -> None:
        self.num_features = size("FiLM", "num_features", num_features)
        super().__init__(self.num_features, cond_dim, dtype, backward)

    def forward(self, input: Tensor, cond: Tensor) -> Tensor:
        """input: (N, C) or (N, C, *); cond: (N, cond_dim), or (1, cond_dim) for all samples. Returns the input's shape."""
        x, c = floating(input, "FiLM"), floating(cond, "FiLM", "cond")
        if x.ndim < 2 or x.shape[1] != self.num_features:
            raise ShapeError(
                f"FiLM: input {describe(x)}: it takes (N, C) or (N, C, *), C being num_features={self.num_features}."
            )
        if c.ndim != 2 or c.shape[1] != self.cond_dim or c.shape[0] not in (1, x.shape[0]):
            raise ShapeError(
                f"FiLM: cond {describe(c)} for input {describe(x)}: it is (N, cond_dim), here ({x.shape[0]}, {self.cond_dim}), or "
                f"(1, {self.cond_dim}) for all samples."
            )
        found = self._mapped(c).reshape(c.shape[0], 2 * self.num_features, *(1,) * (x.ndim - 2))
        scale, shift = split(found, self.num_features, dim=1)
        return film(x, 1.0 + scale, shift, self.backward)


class AdaIN(Module):
    """The content's statistics replaced by the style's; no parameters. See ``tn.functional.adaptive_instance_norm``."""

    def __init__(self, eps: float = 1e-5, backward: str = "recorded") -> None:
        is_analytic(type(self).__name__, backward)
        self.eps, self.backward = number(type(self).__name__, "eps", eps), backward

    def forward(self, input: Tensor, style: Tensor) -> Tensor:
        return adaptive_instance_norm(input, style, self.eps, self.backward)
