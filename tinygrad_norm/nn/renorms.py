"""Normalizations that hold running statistics against those of the batch: BatchRenorm and PowerNorm, as modules.

PN-V, PowerNorm's exact half, stands here as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from ..engine import DTypeError, Tensor, describe
from ..norms import batch_renorm, power_norm, power_norm_v
from ..norms.arguments import flag, is_analytic, number
from ..norms.batch_norm import blend
from ..norms.power_norm import mean_square
from .channels import PerChannel
from .parameters import full, gain_and_shift, real_dtype, size


def paper_ramp(step: int) -> tuple[float, float]:
    """rmax and dmax after ``step`` training batches, as in the paper: BatchNorm (1 and 0) for 5000 of them; then rmax rises
    to 3 at 40 000 and dmax to 5 at 25 000, both along straight lines. (Ioffe 2017, the Inception experiments.)"""
    rmax, dmax = np.interp(step, (5_000, 40_000), (1, 3)), np.interp(step, (5_000, 25_000), (0, 5))
    return float(rmax), float(dmax)


class _BatchRenorm(PerChannel):
    """A value per channel of γ, β, the running mean (from 0) and the running standard deviation (from 1).

    num_features:  C
    momentum:      the weight of the batch's statistics in the running ones
    schedule:      ``training batches seen so far -> (rmax, dmax)``. ``paper_ramp`` unless told otherwise, which needs 40 000
                   batches: for a short training give a shorter one. Constant bounds: ``lambda step: (3.0, 5.0)``. Early bounds of
                   1 and 0 are wanted: running statistics that have not settled correct nothing

    ``num_batches_tracked`` counts the training batches; an empty one counts for nothing. Raises ``ShapeError`` for an input
    with other axes or another number of channels.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.01,
        affine: bool = True,
        schedule: Callable[[int], tuple[float, float]] = paper_ramp,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
    ) -> None:
        name = type(self).__name__
        is_analytic(name, backward)
        dtype = real_dtype(name, dtype)
        if not callable(schedule):
            raise DTypeError(
                f"{name}: schedule={describe(schedule)}; it is a function: training batches seen so far -> (rmax, dmax), such as "
                "lambda step: (3.0, 5.0)."
            )
        self.num_features, self.eps = size(name, "num_features", num_features), number(name, "eps", eps)
        self.momentum, self.affine = number(name, "momentum", momentum), flag(name, "affine", affine)
        self.schedule, self.backward = schedule, backward
        self.weight, self.bias = gain_and_shift(name, self.num_features, dtype, self.affine)
        self.running_mean = full(name, self.num_features, 0.0, dtype, "m", False)
        self.running_std = full(name, self.num_features, 1.0, dtype, "s", False)
        self.num_batches_tracked: Tensor = full(name, (), 0, np.int64, "batches", False)

    def forward(self, input: Tensor) -> Tensor:
        x, _ = self._admit(input)
        bounds = self.schedule(int(self.num_batches_tracked.item()))
        if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
            raise DTypeError(f"{type(self).__name__}: schedule gave {describe(bounds)}; it gives two numbers, (rmax, dmax).")
        rmax, dmax = bounds
        if self.training:
            self._real(x)
        y = batch_renorm(
            x,
            self.running_mean,
            self.running_std,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
            rmax,
            dmax,
            self.backward,
        )
        if self.training:
            self._count(x)
        return y


class BatchRenorm1d(_BatchRenorm):
    """Batch Renormalization of (N, C) or (N, C, L); see ``tn.functional.batch_renorm``.

    BatchRenorm1d(num_features, eps=1e-5, momentum=0.01, affine=True, schedule=paper_ramp, dtype, backward); ``schedule``
    gives rmax and dmax for the number of training batches seen. What the arguments mean stands at the base class.
    """

    forms: Mapping[int, str] = {2: "(N, C)", 3: "(N, C, L)"}


class BatchRenorm2d(_BatchRenorm):
    """Batch Renormalization of (N, C, H, W); see ``BatchRenorm1d``."""

    forms: Mapping[int, str] = {4: "(N, C, H, W)"}


@dataclass
class _Lent:
    """Held by an attribute that is neither tensor nor list, so that nobody takes the leaf for a parameter."""

    leaves: list[Tensor]


class PowerNorm(PerChannel):
    """PowerNorm of (N, C) or (N, C, *); see ``tn.functional.power_norm``, whose running statistics this module keeps.

    num_features:  C
    alpha_fwd:     the weight of the *old* φ in the new one
    alpha_bkw:     the weight of the *old* ν in the new one
    warmup_iters:  for so many training batches x is divided by the batch's own quadratic mean (held constant), and φ is the
                   plain average over them; 10 000 in the authors' code. 0: φ from the first step on, starting at 1
    backward:      "analytic", the published pass, is what makes it PowerNorm and so the default here; "recorded" is the
                   gradient with φ constant, which leaves ν as it is

    Buffers: ``running_phi`` (φ, from 1), ``nu`` (ν, from 0), ``num_batches_tracked``. ν is saved with them but is no
    parameter, so that no optimizer moves it. In each training step the op gets a leaf of its own that holds ν's values
    and collects the pseudo-gradient Λ − ν·Γ; ν takes the step (1 − α)·(Λ − ν·Γ) the next time anybody asks: the next training
    batch, ``state_dict()``, ``parameters()``. It therefore takes ``backward()``; ``tn.grad`` leaves ν alone. Several
    batches before one backward pass (or several passes) add their steps up, as gradients do.

    From the authors' checkpoints: ν = (1 − alpha_bkw)·``ema_gz``, flattened; ``running_phi`` flattened. Not here: their
    scaling of channel groups before the norm, masks, and their second averaging of φ during the warm-up.
    """

    forms: Mapping[int, str] = {2: "(N, C)", 3: "(N, C, *)"}

    def __init__(
        self,
        num_features: int,
        alpha_fwd: float = 0.9,
        alpha_bkw: float = 0.9,
        eps: float = 1e-5,
        warmup_iters: int = 10_000,
        affine: bool = True,
        dtype: DTypeLike = np.float32,
        backward: str = "analytic",
    ) -> None:
        name = "PowerNorm"
        is_analytic(name, backward)
        dtype = real_dtype(name, dtype)
        self.num_features, self.eps = size(name, "num_features", num_features), number(name, "eps", eps)
        self.alpha_fwd, self.alpha_bkw = number(name, "alpha_fwd", alpha_fwd), number(name, "alpha_bkw", alpha_bkw)
        self.warmup_iters, self.affine = size(name, "warmup_iters", warmup_iters), flag(name, "affine", affine)
        self.backward = backward
        self.weight, self.bias = gain_and_shift(name, self.num_features, dtype, self.affine)
        self.running_phi = full(name, self.num_features, 1.0, dtype, "φ", False)
        self.nu = full(name, self.num_features, 0.0, dtype, "ν", False)
        self.num_batches_tracked: Tensor = full(name, (), 0, np.int64, "batches", False)
        self._lent = _Lent([])

    def forward(self, input: Tensor) -> Tensor:
        x, _ = self._admit(input)
        if not self.training or not x.size:
            return power_norm(x, self.running_phi, None, self.weight, self.bias, self.eps, self.backward)
        self._real(x)
        step = int(self.num_batches_tracked.item()) + 1
        warm = step <= self.warmup_iters
        y = power_norm(x, None if warm else self.running_phi, self._leaf(), self.weight, self.bias, self.eps, self.backward)
        new = mean_square(x, (0, *range(2, x.ndim)))
        blend(self.running_phi, new, 1 / step if warm else 1 - self.alpha_fwd)
        self._count(x)
        return y

    def _leaf(self) -> Tensor:
        """ν as the op gets it. One leaf serves until it has brought back a step."""
        self._take_step()
        if not self._lent.leaves or not np.array_equal(self._lent.leaves[0].data, self.nu.data):
            self._lent = _Lent([Tensor(np.array(self.nu.data), requires_grad=True, name="ν")])
        return self._lent.leaves[0]

    def _take_step(self) -> None:
        """ν ← ν + (1 − α)·(Λ − ν·Γ), if a backward pass has left one; a step that belongs to another ν is dropped."""
        for leaf in self._lent.leaves:
            if leaf.grad is not None:
                if np.array_equal(leaf.data, self.nu.data):
                    self.nu.data = (self.nu.data + (1 - self.alpha_bkw) * leaf.grad.data).astype(self.nu.dtype)
                self._lent = _Lent([])

    def _own(self) -> Iterator[tuple[str, Tensor, str]]:
        self._take_step()  # whoever looks at the state sees it as it is after the last backward pass
        return super()._own()


class PowerNormV(PerChannel):
    """PN-V of (N, C) or (N, C, *): in training ``tn.functional.power_norm_v``; in inference x is divided by √(φ + ε).

    num_features:  C
    alpha_fwd:     the weight of the *old* φ in the new one; an empty batch leaves φ as it is

    Buffer: ``running_phi`` (φ, from 1), the running mean of x².
    """

    forms: Mapping[int, str] = {2: "(N, C)", 3: "(N, C, *)"}

    def __init__(
        self,
        num_features: int,
        alpha_fwd: float = 0.9,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
    ) -> None:
        name = "PowerNormV"
        is_analytic(name, backward)
        dtype = real_dtype(name, dtype)
        self.num_features, self.alpha_fwd = size(name, "num_features", num_features), number(name, "alpha_fwd", alpha_fwd)
        self.eps, self.affine, self.backward = number(name, "eps", eps), flag(name, "affine", affine), backward
        self.weight, self.bias = gain_and_shift(name, self.num_features, dtype, self.affine)
        self.running_phi = full(name, self.num_features, 1.0, dtype, "φ", False)

    def forward(self, input: Tensor) -> Tensor:
        x, _ = self._admit(input)
        if not self.training:  # φ is a constant, so that the record is the whole gradient
            return power_norm(x, self.running_phi, None, self.weight, self.bias, self.eps)
        self._real(x)
        y = power_norm_v(x, self.weight, self.bias, self.eps, self.backward)
        if x.size:
            blend(self.running_phi, mean_square(x, (0, *range(2, x.ndim))), 1 - self.alpha_fwd)
        return y
