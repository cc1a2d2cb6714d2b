"""Adam and AdamW: steps by the first and second moment of the gradient."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..engine import OptionError, describe
from ..engine.arrays import Array
from ..engine.shapes import flag, number
from .optimizer import Group, Optimizer, slope


class Adam(Optimizer):
    """p ← p − lr·m̂/(√v̂ + eps): m and v are running means of g and g², m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).

    params:    tensors, (name, tensor) pairs, or dicts of a group's ``"params"`` and options (see ``Optimizer``)
    betas:     β₁ and β₂, from 0 to below 1
    amsgrad:   divide by the root of the largest v so far
    maximize:  go up
    decoupled_weight_decay:  shrink p by lr·weight_decay instead of adding weight_decay·p to g; ``AdamW``

    Raises ``OptionError`` for options out of bounds.

    Source: Kingma, Ba 2015, "Adam: A Method for Stochastic Optimization" (arXiv:1412.6980), algorithm 1; amsgrad: Reddi, Kale, Kumar
    2018, "On the Convergence of Adam and Beyond" (arXiv:1904.09237), algorithm 2.
    """

    _kept = ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(params, {**options, "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay})

    def _checked(self, options: Group) -> Group:
        for what in ("lr", "eps", "weight_decay"):
            self._number(options, what)
        for what in ("amsgrad", "maximize", "decoupled_weight_decay"):
            options[what] = flag(self._name, what, options[what])
        betas = options["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise OptionError(f"{self._name}: betas={describe(betas)}; they are two numbers from 0 to below 1.")
        options["betas"] = tuple(number(self._name, f"betas[{i}]", beta, 0) for i, beta in enumerate(betas))
        if max(options["betas"]) >= 1:
            raise OptionError(f"{self._name}: betas={describe(betas)}; each is below 1, or its mean would never move.")
        return options

    def _change(self, group: Group, state: dict[str, Any], p: Array, g: Array, new: Array) -> None:
        (beta1, beta2), lr, decay = group["betas"], group["lr"], group["weight_decay"]
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(new), exp_avg_sq=np.zeros_like(new))
        state["step"] = t = state["step"] + 1
        m, v = state["exp_avg"], state["exp_avg_sq"]
        apart = group["decoupled_weight_decay"]
        g = slope(g, p, 0 if apart else decay, group["maximize"])

        np.subtract(g, m, out=new)
        new *= 1 - beta1
        m += new

        np.multiply(g, g, out=new)
        new *= 1 - beta2
        v *= beta2
        v += new

        if group["amsgrad"]:
            largest = state.setdefault("max_exp_avg_sq", np.zeros_like(new))
            v = np.maximum(largest, v, out=largest)
        np.sqrt(v, out=new)
        new /= math.sqrt(1 - beta2**t)
        new += group["eps"]
        np.divide(m, new, out=new)
        new *= -lr / (1 - beta1**t)
        new += p * (1 - lr * decay) if apart and decay else p


class AdamW(Adam):
    """Adam whose weight decay acts on p itself: p ← p·(1 − lr·weight_decay), then Adam's step. Options: Adam's.

    Source: Loshchilov, Hutter 2019, "Decoupled Weight Decay Regularization" (arXiv:1711.05101), algorithm 2.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)
