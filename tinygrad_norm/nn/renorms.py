"""Normalizations that hold running statistics against those of the batch: BatchRenorm and PowerNorm, as modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import DTypeLike

from ..engine import ShapeError, Tensor, describe
from ..engine.functions import as_tensor
from ..norms import batch_renorm, power_norm
from ..norms.batch_norm import blend
from ..norms.power_norm import mean_square
from .module import Module, ones, zeros


def paper_ramp(step: int) -> tuple[float, float]:
    """rmax and dmax after ``step`` training batches, as in the paper: BatchNorm (1 and 0) for 5000 of them; then rmax rises
    to 3 at 40 000 and dmax to 5 at 25 000, both along straight lines. (Ioffe 2017, the Inception experiments.)"""
    rmax, dmax = np.interp(step, (5_000, 40_000), (1, 3)), np.interp(step, (5_000, 25_000), (0, 5))
    return float(rmax), float(dmax)


class _BatchRenorm(Module):
    """A value per channel of γ, β, the running mean (from 0) and the running standard deviation (from 1).

    num_features:  C
    momentum:      the weight of the batch's statistics in the running ones
    schedule:      ``training batches seen so far -> (rmax, dmax)``. ``paper_ramp`` unless told otherwise, which needs 40 000
                   batches: for a short training give a shorter one. Constant bounds: ``lambda step: (3.0, 5.0)``. Early bounds of
                   1 and 0 are wanted: running statistics that have not settled correct nothing

    ``num_batches_tracked`` counts the training batches; an empty one counts for nothing. Raises ``ShapeError`` for an input
    with other axes or another number of channels.
    """

    forms: tuple[str, ...]  # the inputs it takes

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
        self.num_features, self.eps, self.momentum, self.affine = num_features, eps, momentum, affine
        self.schedule, self.backward = schedule, backward
        self.weight = ones(num_features, dtype, "γ") if affine else None
        self.bias = zeros(num_features, dtype, "β") if affine else None
        self.running_mean = Tensor(np.zeros(num_features, dtype), name="m")
        self.running_std = Tensor(np.ones(num_features, dtype), name="s")
        self.num_batches_tracked = Tensor(np.zeros((), np.int64), name="batches")

    def forward(self, input: Tensor) -> Tensor:
        x = as_tensor(input)
        _check(type(self).__name__, x, self.forms, self.num_features)
        rmax, dmax = self.schedule(int(self.num_batches_tracked.item()))
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
        if self.training and x.size:
            self.num_batches_tracked.data = self.num_batches_tracked.data + 1
        return y

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine})"


class BatchRenorm1d(_BatchRenorm):
    """Batch Renormalization of (N, C) or (N, C, L); see ``tn.functional.batch_renorm``.

    BatchRenorm1d(num_features, eps=1e-5, momentum=0.01, affine=True, schedule=paper_ramp, dtype, backward); ``schedule``
    gives rmax and dmax for the number of training batches seen. What the arguments mean stands at the base class.
    """

    forms = ("(N, C)", "(N, C, L)")


class BatchRenorm2d(_BatchRenorm):
    """Batch Renormalization of (N, C, H, W); see ``BatchRenorm1d``."""

    forms = ("(N, C, H, W)",)


class PowerNorm(Module):
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
        self.num_features, self.alpha_fwd, self.alpha_bkw = num_features, alpha_fwd, alpha_bkw
        self.eps, self.warmup_iters, self.affine, self.backward = eps, warmup_iters, affine, backward
        self.weight = ones(num_features, dtype, "γ") if affine else None
        self.bias = zeros(num_features, dtype, "β") if affine else None
        self.running_phi = Tensor(np.ones(num_features, dtype), name="φ")
        self.nu = Tensor(np.zeros(num_features, dtype), name="ν")
        self.num_batches_tracked = Tensor(np.zeros((), np.int64), name="batches")
        self._lent: list[Tensor] = []  # in a list, where nobody takes it for a parameter

    def forward(self, input: Tensor) -> Tensor:
        x = as_tensor(input)
        _check("PowerNorm", x, ("(N, C)", "(N, C, *)"), self.num_features)
        if not self.training or not x.size:
            return power_norm(x, self.running_phi, None, self.weight, self.bias, self.eps, self.backward)
        step = int(self.num_batches_tracked.item()) + 1
        warm = step <= self.warmup_iters
        y = power_norm(x, None if warm else self.running_phi, self._leaf(), self.weight, self.bias, self.eps, self.backward)
        new = mean_square(x, (0, *range(2, x.ndim)))
        blend(self.running_phi, new, 1 / step if warm else 1 - self.alpha_fwd)
        self.num_batches_tracked.data = np.asarray(step, np.int64)
        return y

    def _leaf(self) -> Tensor:
        """ν as the op gets it. One leaf serves until it has brought back a step."""
        self._take_step()
        if not self._lent or not np.array_equal(self._lent[0].data, self.nu.data):
            self._lent = [Tensor(np.array(self.nu.data), requires_grad=True, name="ν")]
        return self._lent[0]

    def _take_step(self) -> None:
        """ν ← ν + (1 − α)·(Λ − ν·Γ), if a backward pass has left one; a step that belongs to another ν is dropped."""
        for leaf in self._lent:
            if leaf.grad is not None:
                if np.array_equal(leaf.data, self.nu.data):
                    self.nu.data = (self.nu.data + (1 - self.alpha_bkw) * leaf.grad.data).astype(self.nu.dtype)
                self._lent = []

    def _tensors(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        self._take_step()  # whoever looks at the state sees it as it is after the last backward pass
        return super()._tensors(prefix)

    def __repr__(self) -> str:
        return (
            f"PowerNorm({self.num_features}, alpha_fwd={self.alpha_fwd}, alpha_bkw={self.alpha_bkw}, eps={self.eps}, "
            f"warmup_iters={self.warmup_iters}, affine={self.affine})"
        )


def _check(name: str, x: Tensor, forms: tuple[str, ...], channels: int) -> None:
    counts = [form.count(",") + 1 for form in forms]
    if not (x.ndim in counts or (forms[-1].endswith("*)") and x.ndim > counts[-1])):
        raise ShapeError(f"{name}: input {describe(x)} has {x.ndim} axes; it takes {' or '.join(forms)}. Reshape it first.")
    if x.shape[1] != channels:
        raise ShapeError(
            f"{name}: input {describe(x)} has {x.shape[1]} channels (axis 1), the layer was made for {channels}. Channels "
            "come before the places: transpose the input if they are last."
        )
