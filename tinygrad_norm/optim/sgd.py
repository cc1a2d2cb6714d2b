"""Stochastic gradient descent, with momentum and Nesterov's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..engine import OptionError
from ..engine.arrays import Array
from ..engine.shapes import flag
from .optimizer import Group, Optimizer, slope


class SGD(Optimizer):
    """p ← p − lr·b with b ← momentum·b + (1 − dampening)·(g + weight_decay·p), which starts at the first gradient.

    params:    tensors, (name, tensor) pairs, or dicts of a group's ``"params"`` and options (see ``Optimizer``)
    nesterov:  go along g + momentum·b; needs a momentum, and no dampening
    maximize:  go up

    Raises ``OptionError`` for options out of bounds.

    Source: Sutskever, Martens, Dahl, Hinton 2013, "On the importance of initialization and momentum in deep learning", ICML, in
    PyTorch's form, in which lr stands outside of b.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        options = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        super().__init__(params, {**options, "nesterov": nesterov, "maximize": maximize})

    def _checked(self, options: Group) -> Group:
        for what in ("lr", "momentum", "weight_decay"):
            self._number(options, what)
        self._number(options, "dampening", None)
        for what in ("nesterov", "maximize"):
            options[what] = flag("SGD", what, options[what])
        if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"] != 0):
            raise OptionError(
                f"SGD: nesterov with momentum={options['momentum']} and dampening={options['dampening']}; it needs a momentum above 0, and "
                "no dampening."
            )
        return options

    def _change(self, group: Group, state: dict[str, Any], p: Array, g: Array, new: Array) -> None:
        momentum = group["momentum"]
        d = slope(g, p, group["weight_decay"], group["maximize"], new)
        if momentum:
            b = state.get("momentum_buffer")
            if b is None:
                b = state["momentum_buffer"] = np.array(d)
            else:
                b *= momentum
                b += d if not group["dampening"] else d * (1 - group["dampening"])
            d = d + np.multiply(b, momentum) if group["nesterov"] else b
        np.multiply(d, -group["lr"], out=new)
        new += p
