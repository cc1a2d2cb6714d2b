"""Linear and Conv2d: the layers that normalizations stand after."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from ..engine import ShapeError, Tensor, describe
from ..engine.arguments import floating
from ..engine.convolution import Pair, conv2d
from .module import Module


def _start(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, dtype: DTypeLike, name: str) -> Tensor:
    """PyTorch's: uniform between ∓1/√fan_in, weights (its kaiming_uniform with a = √5 comes to that) and biases."""
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    return Tensor(rng.uniform(-bound, bound, shape).astype(dtype), requires_grad=True, name=name)


class _Weighted(Module):
    """What computes with a weight, be it its own or one that a wrapper such as ``WeightNorm`` derives from parameters."""

    weight: Tensor

    def forward(self, input: Tensor) -> Tensor:
        return self.forward_with(self.weight, input)

    def forward_with(self, weight: Tensor, input: Tensor) -> Tensor:
        """The same with another weight."""
        raise NotImplementedError


class Linear(_Weighted):
    """x·Wᵀ + b for inputs (*, in_features), with PyTorch's constructor: ``weight`` (out, in), ``bias`` (out,).

    seed: of the initial values; None draws others each time. Raises ``ShapeError`` for an input with other features.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: DTypeLike = np.float32, seed: int | None = None
    ) -> None:
        rng = np.random.default_rng(seed)
        self.in_features, self.out_features = in_features, out_features
        self.weight = _start(rng, (out_features, in_features), in_features, dtype, "W")
        self.bias = _start(rng, (out_features,), in_features, dtype, "b") if bias else None

    def forward_with(self, weight: Tensor, input: Tensor) -> Tensor:
        x = floating(input, "Linear")
        if x.shape[-1:] != (self.in_features,):
            raise ShapeError(f"Linear: input {describe(x)}: its last axis must have in_features={self.in_features} entries.")
        y: Tensor = x @ weight.T
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
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ShapeError(
                f"Conv2d: groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}; 1 always does."
            )
        size = (kernel_size, kernel_size) if isinstance(kernel_size, (int, np.integer)) else tuple(kernel_size)
        if len(size) != 2 or min(size) < 1:
            raise ShapeError(f"Conv2d: kernel_size={kernel_size!r}; give an int from 1 on, or two: rows and columns.")
        rng = np.random.default_rng(seed)
        fan_in = in_channels // groups * math.prod(size)
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, size
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self.weight = _start(rng, (out_channels, in_channels // groups, *size), fan_in, dtype, "W")
        self.bias = _start(rng, (out_channels,), fan_in, dtype, "b") if bias else None

    def forward_with(self, weight: Tensor, input: Tensor) -> Tensor:
        return conv2d(input, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
