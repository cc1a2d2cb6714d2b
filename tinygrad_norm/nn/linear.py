"""Linear and the convolutions: the layers that normalizations stand after."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..engine import OptionError, ShapeError, Tensor, describe
from ..engine.arguments import floating
from ..engine.convolution import Pair, conv1d, conv2d
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


def sizes(name: str, what: str, value: Any, least: int, places: int) -> tuple[int, ...]:
    """An int for all ``places`` axes, or one for each; ``ShapeError`` for what is neither."""
    each = tuple(value) if isinstance(value, (tuple, list)) else (value,) * places
    if len(each) != places or any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < least for n in each):
        several = ", or two: rows and columns" if places == 2 else ""
        raise ShapeError(f"{name}: {what}={describe(value)}; give an int from {least} on{several}.")
    return tuple(int(n) for n in each)


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


class _Conv(_Weighted):
    places: int
    _function: Callable[..., Tensor]

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
        name, places = type(self).__name__, self.places
        in_channels, out_channels = size(name, "in_channels", in_channels), size(name, "out_channels", out_channels)
        groups = number(name, "groups", groups, whole=True)
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ShapeError(
                f"{name}: groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}; 1 always does."
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = (
            sizes(name, "kernel_size", kernel_size, 1, places),
            sizes(name, "stride", stride, 1, places),
        )
        self.dilation = sizes(name, "dilation", dilation, 1, places)
        if isinstance(padding, str):
            self.padding: tuple[int, ...] | str = choice(name, "padding", padding, ("valid", "same"))
            if padding == "same" and set(self.stride) != {1}:
                raise OptionError(
                    f'{name}: padding="same" with stride={describe(stride)}: the output is as large only with stride=1.'
                )
        else:
            self.padding = sizes(name, "padding", padding, 0, places)
        self._begin((out_channels, in_channels // groups, *self.kernel_size), bias, dtype, seed)

    def extra_repr(self) -> str:
        said = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        said += f", padding={self.padding}" if self.padding != (0,) * self.places else ""
        said += f", dilation={self.dilation}" if set(self.dilation) != {1} else ""
        said += f", groups={self.groups}" if self.groups != 1 else ""
        return said + (", bias=False" if self.bias is None else "")

    def forward_with(self, weight: Tensor, input: Tensor) -> Tensor:
        return type(self)._function(input, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """``tn.functional.conv1d`` of (N, C, L) or (C, L), with PyTorch's constructor (zeros are the only padding).

    ``weight`` (out, in/groups, k), ``bias`` (out,). Raises ``ShapeError`` where ``groups`` does not divide the channels.
    """

    places, _function = 1, staticmethod(conv1d)


class Conv2d(_Conv):
    """``tn.functional.conv2d`` of (N, C, H, W) or (C, H, W), with PyTorch's constructor (zeros are the only padding).

    ``weight`` (out, in/groups, kH, kW), ``bias`` (out,). Raises ``ShapeError`` where ``groups`` does not divide the channels.
    """

    places, _function = 2, staticmethod(conv2d)
