"""What stands in the place of a normalization without being one."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ..engine import Tensor
from ..norms import dynamic_tanh
from ..norms.arguments import flag, is_analytic, number
from .module import Module
from .parameters import full, gain_and_shift, real_dtype, size


class DynamicTanh(Module):
    """γ·tanh(α·x) + β, with the authors' state_dict keys: ``alpha`` (1,), ``weight`` (dim,), ``bias`` (dim,).

    α starts at ``alpha_init``, γ at 1, β at 0. 0.5 is the paper's choice but for language models, which also have no β:
    ``bias=False``. ``channels_last=False``: the channels are axis 1. See ``tn.functional.dynamic_tanh``.

    Source: Zhu et al. 2025, "Transformers without Normalization" (arXiv:2503.10622), section 4.
    """

    def __init__(
        self,
        dim: int,
        alpha_init: float = 0.5,
        bias: bool = True,
        channels_last: bool = True,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
    ) -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        dtype = real_dtype(name, dtype)
        self.dim, self.alpha_init = size(name, "dim", dim), number(name, "alpha_init", alpha_init)
        self.channels_last, self.backward = flag(name, "channels_last", channels_last), backward
        self.alpha = full(name, 1, self.alpha_init, dtype, "α")
        self.weight, self.bias = gain_and_shift(name, self.dim, dtype, bias=flag(name, "bias", bias))

    def forward(self, input: Tensor) -> Tensor:
        return dynamic_tanh(input, self.alpha, self.weight, self.bias, self.backward, channels_last=self.channels_last)
