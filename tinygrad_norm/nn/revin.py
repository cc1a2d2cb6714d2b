"""RevIN as a module: it remembers the window it normalized, so that the prediction can be brought back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from ..engine import GradientError, Tensor
from ..engine.arguments import floating
from ..norms import revin, revin_out
from ..norms.arguments import choice, flag, is_analytic, number
from ..norms.revin import statistics
from .module import Module
from .parameters import fill, gain_and_shift, real_dtype, size


@dataclass(frozen=True)
class _Window:
    """The statistics of one; not a tuple, whose tensors would be buffers and stand in ``state_dict``."""

    mean: Tensor
    std: Tensor


class RevIN(Module):
    """``layer(x, "norm")`` on the way in, ``layer(prediction, "denorm")`` on the way out, as the authors' module.

    Parameters ``affine_weight`` (γ, from 1) and ``affine_bias`` (β, from 0), each (num_features,), under the authors' keys.
    The way out takes μ and σ of the window that went in last; ``GradientError`` where none did. detach: as in
    ``tn.functional.revin``.

    Source: Kim et al. 2022, "Reversible Instance Normalization" (ICLR 2022).
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
        *,
        detach: bool = True,
    ) -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        dtype = real_dtype(name, dtype)
        self.num_features, self.eps, self.backward = size(name, "num_features", num_features), number(name, "eps", eps), backward
        self.affine, self.detach = flag(name, "affine", affine), flag(name, "detach", detach)
        self.affine_weight, self.affine_bias = gain_and_shift(name, self.num_features, dtype, self.affine)
        self._window: _Window | None = None

    def reset_parameters(self) -> None:
        """γ = 1, β = 0."""
        fill(self.affine_weight, 1)
        fill(self.affine_bias, 0)

    def forward(self, input: Tensor, mode: str = "norm") -> Tensor:
        name, affine = type(self).__name__, (self.affine_weight, self.affine_bias)
        if choice(name, "mode", mode, ("norm", "denorm")) == "denorm":
            if self._window is None:
                raise GradientError(f'{name}: mode="denorm" before any mode="norm": there is no window to take μ and σ from.')
            return revin_out(input, self._window.mean, self._window.std, *affine, self.eps)
        x = floating(input, name)
        y = revin(x, *affine, self.eps, self.backward, detach=self.detach)
        self._window = _Window(*statistics(x, self.eps, self.detach))
        return y
