"""SwitchableNorm as a module."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike

from ..engine import Tensor
from ..norms import switchable_norm
from ..norms.arguments import is_analytic, number
from ..norms.batch_norm import check_running
from .channels import PerChannel
from .parameters import fill, full, gain_and_shift, ones, real_dtype, size


class SwitchableNorm(PerChannel):
    """SwitchableNorm of (N, C, *): ``mean_weight`` and ``var_weight`` (3,) from 1, ``weight`` (γ, from 1), ``bias`` (β, from 0) and
    the running statistics m (from 0) and v (from 1), each (num_features,). See ``tn.functional.switchable_norm``.

    momentum: the weight of the batch's statistics in the running ones. (The authors' 0.9 is that of the old.)

    Source: Luo et al. 2018, "Differentiable Learning-to-Normalize via Switchable Normalization" (arXiv:1806.10779).
    """

    forms: Mapping[int, str] = {3: "(N, C, *)"}

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
    ) -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        check_running(name, momentum, "new", 0, False)
        dtype = real_dtype(name, dtype)
        self.num_features, self.eps = size(name, "num_features", num_features), number(name, "eps", eps)
        self.momentum, self.backward = momentum, backward
        self.mean_weight, self.var_weight = ones(name, 3, dtype, "a"), ones(name, 3, dtype, "b")
        self.weight, self.bias = gain_and_shift(name, self.num_features, dtype)
        self.running_mean = full(name, self.num_features, 0.0, dtype, "m", False)
        self.running_var = full(name, self.num_features, 1.0, dtype, "v", False)

    def reset_parameters(self) -> None:
        """Equal shares, γ = 1, β = 0, m = 0, v = 1."""
        for t, value in (
            (self.mean_weight, 1),
            (self.var_weight, 1),
            (self.weight, 1),
            (self.bias, 0),
            (self.running_mean, 0),
            (self.running_var, 1),
        ):
            fill(t, value)

    def forward(self, input: Tensor) -> Tensor:
        x, _ = self._admit(input)
        return switchable_norm(
            x,
            self.mean_weight,
            self.var_weight,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            self.training,
            self.momentum,
            self.eps,
            self.backward,
        )
