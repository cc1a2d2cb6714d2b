"""RMSprop: steps divided by the root of the gradient's running mean square."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..engine.arrays import Array
from ..engine.shapes import flag
from .optimizer import Group, Optimizer, slope


class RMSprop(Optimizer):
    """p ← p − lr·g/(√v + eps), v being a running mean of g²: v ← alpha·v + (1 − alpha)·g².

    params:    tensors, (name, tensor) pairs, or dicts of a group's ``"params"`` and options (see ``Optimizer``)
    momentum:  go along b ← momentum·b + g/(√v + eps)
    centered:  divide by the root of the variance instead, v less the square of g's running mean
    maximize:  go up

    eps stands outside the root. Raises ``OptionError`` for options out of bounds.

    Source: Hinton 2012, "Neural Networks for Machine Learning", lecture 6e; centered: Graves 2013, "Generating Sequences With
    Recurrent Neural Networks" (arXiv:1308.0850), eqs. 38-45.
    """

    _kept = ("step", "square_avg")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(params, {**options, "centered": centered, "maximize": maximize})

    def _checked(self, options: Group) -> Group:
        for what in ("lr", "alpha", "eps", "weight_decay", "momentum"):
            self._number(options, what)
        for what in ("centered", "maximize"):
            options[what] = flag("RMSprop", what, options[what])
        return options

    def _change(self, group: Group, state: dict[str, Any], p: Array, g: Array, new: Array) -> None:
        alpha, lr = group["alpha"], group["lr"]
        if not state:
            state.update(step=0, square_avg=np.zeros_like(new))
        state["step"] += 1
        v = state["square_avg"]
        g = slope(g, p, group["weight_decay"], group["maximize"])

        np.multiply(g, g, out=new)
        new *= 1 - alpha
        v *= alpha
        v += new

        if group["centered"]:
            mean = state.setdefault("grad_avg", np.zeros_like(new))
            np.subtract(g, mean, out=new)
            new *= 1 - alpha
            mean += new
            np.multiply(mean, mean, out=new)
            np.subtract(v, new, out=new)
            np.sqrt(np.maximum(new, 0, out=new), out=new)  # rounding may take it below
        else:
            np.sqrt(v, out=new)
        new += group["eps"]
        np.divide(g, new, out=new)
        if group["momentum"]:
            b = state.setdefault("momentum_buffer", np.zeros_like(new))
            b *= group["momentum"]
            b += new
            np.multiply(b, -lr, out=new)
        else:
            new *= -lr
        new += p
