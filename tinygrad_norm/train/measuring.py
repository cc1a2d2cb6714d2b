"""What is measured of a network: how long its gradients are, layer by layer, and how well it does on data held out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np

from ..engine import OptionError, Tensor, describe, no_grad, tensor
from ..engine.shapes import choice
from ..engine.shapes import number as whole
from ..nn import CrossEntropyLoss, Module, MSELoss
from .arguments import module, pair

Loss = Callable[[Tensor, Tensor], Tensor]


def losses(name: str, loss: Any) -> tuple[Loss, str | None]:
    """A loss by name, a function or a module; and what is shown of how well a network does: "accuracy", "error" or None."""
    if loss == "cross_entropy" or isinstance(loss, CrossEntropyLoss):
        return cross_entropy, "accuracy"
    if loss == "mse" or isinstance(loss, MSELoss):
        return MSELoss(), "error"
    if not callable(loss):
        raise OptionError(
            f'{name}: loss={describe(loss)}; it is "cross_entropy", "mse", or a function of the output and the target.'
        )
    return loss, "accuracy" if getattr(loss, "__name__", "") == "cross_entropy" else None


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """The mean cross entropy of logits (*, classes) and labels (*): over all samples, and, in sequences, all places."""
    return _CROSS_ENTROPY(output.reshape(-1, output.shape[-1]), target.reshape(-1))  # type: ignore[no-any-return]


_CROSS_ENTROPY = CrossEntropyLoss()


def layers(model: Module) -> dict[str, list[tuple[str, Tensor]]]:
    """By name, the layers that hold parameters of their own, with these; "" is the model itself."""
    found = {}
    taken: set[int] = set()
    module("gradient_norms", model)
    for name, part in model.named_modules():
        own = [(n, p) for n, p in part.named_parameters(recurse=False) if id(p) not in taken]
        taken |= {id(p) for _, p in own}
        if own:
            found[name] = own
    return found


def length(array: Any) -> float:
    """‖a‖, in float64."""
    flat = np.asarray(array, np.float64).ravel()
    return float(math.sqrt(np.vdot(flat, flat)))


def gradient_norms(model: Module) -> dict[str, float]:
    """By layer, ``"blocks.0.norm1 LayerNorm"``, the length of the gradient of its own parameters, all together as one vector; layers
    without a gradient are left out."""
    found = {}
    for name, own in layers(model).items():
        lengths = [length(p.grad.numpy()) for _, p in own if p.grad is not None]
        if lengths:
            kind = type(model.get_submodule(name)).__name__
            found[f"{name} {kind}".strip()] = math.hypot(*lengths)
    return found


def finite(array: Any) -> bool:
    """Whether all its numbers are; one product where they are."""
    flat = array.ravel()
    return math.isfinite(np.vdot(flat, flat)) or bool(np.isfinite(flat).all())


# Held out -----------------------------------------------------------------------------------------------------------


def hits(kind: str | None, output: Any, target: Any) -> float:
    """The sum that, divided by the number of targets, is the accuracy or the mean squared error."""
    if kind == "accuracy":
        return float(np.count_nonzero(output.argmax(-1) == target))
    return float(np.square(np.asarray(output, np.float64) - target).sum())


def score(model: Module, data: tuple[Any, Any], kind: str, batch: int = 256, statistics: str = "running") -> float:
    """The accuracy, or the mean squared error, of a model on (inputs, targets), without recording; it is left as it was.

    kind:        "accuracy" or "error"
    statistics:  "running": as in ``eval()``; "batch": layers with running statistics take those of each batch instead, as in
                 training, and forget them again; everything else is as in ``eval()``
    """
    choice("score", "kind", kind, ("accuracy", "error"))
    choice("score", "statistics", statistics, ("running", "batch"))
    inputs, targets = pair("score", data)
    batch = int(whole("score", "batch", batch, 1, whole=True))
    module("score", model)
    starts = list(range(0, len(inputs), batch))
    if statistics == "batch" and len(starts) > 1 and starts[-1] == len(inputs) - 1:
        del starts[-1]  # one sample left over has no statistics: it goes with those before it
    with evaluating(model, statistics == "batch"), no_grad():
        total = sum(
            hits(kind, model(tensor(inputs[i:end])).numpy(), targets[i:end]) for i, end in pairwise([*starts, len(inputs)])
        )
    return float(total / max(targets.size, 1))


def running(model: Module) -> list[Module]:
    """The layers that keep running statistics."""
    return [m for m in model.modules() if any(n.startswith("running_") for n, _ in m.named_buffers(recurse=False))]


@contextmanager
def evaluating(model: Module, by_batch: bool) -> Iterator[None]:
    """In inference mode, layer by layer as it was afterwards; by_batch: those with running statistics as in training."""
    modes = [(m, m.training) for m in model.modules()]
    with as_it_was(model):
        model.eval()
        for m in running(model) if by_batch else []:
            m.training = True
        try:
            yield
        finally:
            for m, mode in modes:
                m.training = mode


@contextmanager
def as_it_was(model: Module) -> Iterator[None]:
    """Its buffers are given their values back."""
    kept = [(b, np.array(b.data)) for b in model.buffers()]
    try:
        yield
    finally:
        for b, values in kept:
            b.data = values
