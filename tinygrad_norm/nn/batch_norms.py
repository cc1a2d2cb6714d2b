"""BatchNorm, InstanceNorm and GroupNorm as modules: PyTorch's constructors, and the keys of its ``state_dict`` in its order.

    BatchNorm1d (N, C), (N, C, L)      BatchNorm2d (N, C, H, W)               BatchNorm3d (N, C, D, H, W)
    InstanceNorm1d (N, C, L), (C, L)   InstanceNorm2d (N, C, H, W), (C, H, W) InstanceNorm3d (N, C, D, H, W), (C, D, H, W)
    GroupNorm (N, C), (N, C, *)

``weight`` (γ, from 1) and ``bias`` (β, from 0) have shape (C,); so have the running statistics, m from 0 and v from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import DTypeLike

from ..engine import Tensor
from ..engine.arguments import floating
from ..norms import batch_norm, group_norm, instance_norm
from ..norms.arguments import flag, is_analytic, number
from ..norms.batch_norm import check_running
from ..norms.group_norm import channels_per_group
from .channels import PerChannel, check_channels
from .module import Module
from .parameters import fill, full, gain_and_shift, real_dtype, size


class _Tracking(PerChannel):
    """What Batch- and InstanceNorm have in common: a value per channel of γ, β and, if tracked, of running statistics.

    num_features:         C
    momentum:             the weight of the batch's statistics in the running ones; None: their plain average over all batches
    track_running_stats:  keep m and v in training and normalize by them in inference; without them, a batch is normalized by
                          its own statistics in inference, too. Switched off later, they stay as they are: in training each batch
                          is normalized by its own; in inference BatchNorm uses them and InstanceNorm does not, as in PyTorch
    momentum_of:          "new" (PyTorch), or "old" (Keras, Flax, ONNX): what ``momentum`` is the weight of
    running_correction:   1: v averages unbiased variances (PyTorch); 0: biased ones (Keras, Flax, ONNX)

    ``num_batches_tracked`` counts the batches that m and v have seen; an empty one leaves all three as they are.
    Raises ``ShapeError`` for an input with other axes or another number of channels.
    """

    _function: Callable[..., Tensor]
    reads_old: bool  # whether running statistics that are no longer tracked are used in inference

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
        *,
        bias: bool = True,
        momentum_of: str = "new",
        running_correction: float = 1,
    ) -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        check_running(name, 0.1 if momentum is None else momentum, momentum_of, running_correction, False)
        dtype = real_dtype(name, dtype)
        self.num_features, self.eps = size(name, "num_features", num_features), number(name, "eps", eps)
        self.momentum, self.affine = momentum, flag(name, "affine", affine)
        self.track_running_stats, self.backward = flag(name, "track_running_stats", track_running_stats), backward
        self.momentum_of, self.running_correction = momentum_of, running_correction
        self.weight, self.bias = gain_and_shift(name, self.num_features, dtype, self.affine, flag(name, "bias", bias))
        self.running_mean = self.running_var = self.num_batches_tracked = None
        if self.track_running_stats:
            self.running_mean = full(name, self.num_features, 0.0, dtype, "m", False)
            self.running_var = full(name, self.num_features, 1.0, dtype, "v", False)
            self.num_batches_tracked = full(name, (), 0, np.int64, "batches", False)

    def reset_running_stats(self) -> None:
        """m = 0, v = 1, no batch seen: as at the start."""
        for statistic, value in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            fill(statistic, value)

    def reset_parameters(self) -> None:
        """γ = 1, β = 0, and ``reset_running_stats()``."""
        self.reset_running_stats()
        fill(self.weight, 1)
        fill(self.bias, 0)

    def forward(self, input: Tensor) -> Tensor:
        x, batched = self._admit(input)
        seen, momentum, of = self.num_batches_tracked, self.momentum, self.momentum_of
        if momentum is None:
            momentum, of = 1 / (1 + (0 if seen is None else seen.item())), "new"
        own = (
            self.training
            or self.running_mean is None
            or self.running_var is None
            or not (self.reads_old or self.track_running_stats)
        )
        kept = not own or (self.training and self.track_running_stats)
        if own and kept:
            self._real(x)
        y = type(self)._function(
            x if batched else x.reshape(1, *x.shape),
            self.running_mean if kept else None,
            self.running_var if kept else None,
            self.weight,
            self.bias,
            own,
            momentum,
            self.eps,
            self.backward,
            momentum_of=of,
            running_correction=self.running_correction,
        )
        if own and kept:
            self._count(x)
        return y if batched else y.reshape(x.shape)


class _BatchNorm(_Tracking):
    _function, reads_old = staticmethod(batch_norm), True


class BatchNorm1d(_BatchNorm):
    """BatchNorm of (N, C) or (N, C, L), PyTorch's constructor; see ``tn.functional.batch_norm``.

    BatchNorm1d(num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, dtype, backward, *, bias=True,
    momentum_of="new", running_correction=1); what they mean stands at the base class.
    """

    forms: Mapping[int, str] = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(_BatchNorm):
    """BatchNorm of (N, C, H, W); see ``BatchNorm1d``."""

    forms: Mapping[int, str] = {4: "(N, C, H, W)"}


class BatchNorm3d(_BatchNorm):
    """BatchNorm of (N, C, D, H, W); see ``BatchNorm1d``."""

    forms: Mapping[int, str] = {5: "(N, C, D, H, W)"}


class _InstanceNorm(_Tracking):
    _function, reads_old = staticmethod(instance_norm), False

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
        *,
        bias: bool = True,
        momentum_of: str = "new",
        running_correction: float = 1,
    ) -> None:
        super().__init__(
            num_features,
            eps,
            momentum,
            affine,
            track_running_stats,
            dtype,
            backward,
            bias=bias,
            momentum_of=momentum_of,
            running_correction=running_correction,
        )


class InstanceNorm1d(_InstanceNorm):
    """InstanceNorm of (N, C, L) or (C, L), PyTorch's constructor; see ``tn.functional.instance_norm``.

    InstanceNorm1d(num_features, eps=1e-5, momentum=0.1, affine=False, track_running_stats=False, dtype, backward, *,
    bias=True, momentum_of="new", running_correction=1). Where statistics are tracked, batches are counted and
    ``momentum=None`` averages them; PyTorch leaves its count at 0 and never updates them then.
    """

    forms: Mapping[int, str] = {2: "(C, L)", 3: "(N, C, L)"}


class InstanceNorm2d(_InstanceNorm):
    """InstanceNorm of (N, C, H, W) or (C, H, W); see ``InstanceNorm1d``."""

    forms: Mapping[int, str] = {3: "(C, H, W)", 4: "(N, C, H, W)"}


class InstanceNorm3d(_InstanceNorm):
    """InstanceNorm of (N, C, D, H, W) or (C, D, H, W); see ``InstanceNorm1d``."""

    forms: Mapping[int, str] = {4: "(C, D, H, W)", 5: "(N, C, D, H, W)"}


class GroupNorm(Module):
    """GroupNorm of (N, C) or (N, C, *) with PyTorch's constructor; see ``tn.functional.group_norm``.

    Raises ``ShapeError`` where ``num_groups`` does not divide ``num_channels``, and for an input with other channels.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
        *,
        bias: bool = True,
    ) -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        dtype = real_dtype(name, dtype)
        self.num_channels = size(name, "num_channels", num_channels)
        channels_per_group(name, self.num_channels, num_groups, f"num_channels={num_channels}")
        self.num_groups, self.eps = int(num_groups), number(name, "eps", eps)
        self.affine, self.backward = flag(name, "affine", affine), backward
        self.weight, self.bias = gain_and_shift(name, self.num_channels, dtype, self.affine, flag(name, "bias", bias))

    def reset_parameters(self) -> None:
        """γ = 1, β = 0."""
        fill(self.weight, 1)
        fill(self.bias, 0)

    def forward(self, input: Tensor) -> Tensor:
        x = floating(input, "GroupNorm")
        if x.ndim > 1:
            check_channels("GroupNorm", x, self.num_channels)
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps, self.backward)
