"""Linear and Conv2d: the layers that normalizations stand after."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..engine import OptionError, ShapeError, Tensor, describe
from ..engine.arguments import floating
from ..engine.convolution import Pair, conv2d
from ..norms.arguments import choice, flag, number
from .module import Module
from .parameters import real_dtype, seeded, size, zeros


class _Weighted(Module):
    """What computes with a weight, be it its own or one that a wrapper such as ``WeightNorm`` derives from parameters."""

    weight: Tensor
    bias: Tensor | None

    def reset_parameters(self) -> None:
        """PyTorch's: uniform between ∓1/√fan_in, weights (its kaiming_uniform with a = √5 comes to that) and biases. The
        next numbers of the generator that began with ``seed``."""
        fan_in = math.prod(self.weight.shape[1:])
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        for p in (self.weight, self.bias):
            if p is not None:
                p.data = self._rng.uniform(-bound, bound, p.shape).astype(p.dtype)

    def _begin(self, shape: tuple[int, ...], bias: bool, dtype: DTypeLike, seed: Any) -> None:
        name = type(self).__name__
        self._rng, dtype = seeded(name, seed), real_dtype(name, dtype)
        self.weight = zeros(name, shape, dtype, "W")
        self.bias = zeros(name, shape[:1], dtype, "b") if flag(name, "bias", bias) else None
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return self.forward_with(self.weight, input)

    def forward_with(self, weight: Tensor, input: Tensor) -> Tensor:
        """The same with another weight."""
        raise NotImplementedError


def pair(what: str, value: Any, least: int) -> tuple[int, int]:
    """An int, or one for rows and one for columns; ``ShapeError`` for what is neither."""
    both = value if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2 or any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < least for n in both):
        raise ShapeError(f"Conv2d: {what}={describe(value)}; give an int from {least} on, or two: rows and columns.")
    return int(both[0]), int(both[1])


class Linear(_Weighted):
    """x·Wᵀ + b for inputs (*, in_features), with PyTorch's constructor: ``weight`` (out, in), ``bias`` (out,).

    seed: of the initial values; None draws others each time. Raises ``ShapeError`` for an input with other features.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: DTypeLike = np.float32, seed: int | None = None
    ) -> None:
        self.in_features = size("Linear", "in_features", in_features)
        self.out_features = size("Linear", "out_features", out_features)
        self._begin((self.out_features, self.in_features), bias, dtype, seed)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"

    def forward_with(self, weight: Tensor, input: Tensor) -> Tensor:
        x = floating(input, "Linear")
        if x.shape[-1:] != (self.in_features,):
            raise ShapeError(f"Linear: input {describe(x)}: its last axis must have in_features={self.in_features} entries.")
        w = floating(weight, "Linear", "weight")
        if w.shape != (self.out_features, self.in_features):
            raise ShapeError(f"Linear: weight {describe(w)}; it must be of shape ({self.out_features}, {self.in_features}).")
        y: Tensor = x @ w.T
        return y if self.bias is None else y + self.bias


class Conv2d(_Weighted):
    """``tn.functional.conv2d`` of (N, C, H, W) or (C, H, W), with PyTorch's constructor (zeros are the only padding).

    ``weight`` (out, in/groups, kH, kW), ``bias`` (out,). Raises ``ShapeError`` where ``groups`` does not divide the channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        seed: int | None = None,
    ) -> None:
        in_channels, out_channels = size("Conv2d", "in_channels", in_channels), size("Conv2d", "out_channels", out_channels)
        groups = number("Conv2d", "groups", groups, whole=True)
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ShapeError(
                f"Conv2d: groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}; 1 always does."
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = pair("kernel_size", kernel_size, 1), pair("stride", stride, 1)
        self.dilation = pair("dilation", dilation, 1)
        if isinstance(padding, str):
            self.padding: tuple[int, int] | str = choice("Conv2d", "padding", padding, ("valid", "same"))
            if padding == "same" and self.stride != (1, 1):
                raise OptionError(
                    f'Conv2d: padding="same" with stride={describe(stride)}: the output is as large only with stride=1.'
                )
        else:
            self.padding = pair("padding", padding, 0)
        self._begin((out_channels, in_channels // groups, *self.kernel_size), bias, dtype, seed)

    def extra_repr(self) -> str:
        said = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        said += f", padding={self.padding}" if self.padding != (0, 0) else ""
        said += f", dilation={self.dilation}" if self.dilation != (1, 1) else ""
        said += f", groups={self.groups}" if self.groups != 1 else ""
        return said + (", bias=False" if self.bias is None else "")

    def forward_with(self, weight: Tensor, input: Tensor) -> Tensor:
        return conv2d(input, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
