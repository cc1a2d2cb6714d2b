"""Where a network went beyond all numbers: the layer whose output, and the layer whose gradient, was the first to."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..engine import Generator, Tensor, drawing_from
from ..nn import Module
from .measuring import Loss, as_it_was, finite, layers


class Divergence(NamedTuple):
    """step, epoch: counted from 1; loss: what it was; forward: the first layer whose output was not finite, None if all were;
    backward: the first, on the way back, at whose output the gradient was not; parameter: the first whose gradient was not."""

    step: int
    epoch: int
    loss: float
    forward: str | None
    backward: str | None
    parameter: str | None

    def __str__(self) -> str:
        said = [f"diverged at step {self.step}, in epoch {self.epoch}: the loss is {self.loss:g}"]
        said += [f"the output of {self.forward} went first"] if self.forward else ["all outputs were finite"]
        said += [f"on the way back the gradient at {self.backward}"] if self.backward else []
        said += [f"of the parameters, {self.parameter}"] if self.parameter else []
        return "; ".join(said)


def located(model: Module, loss: Loss, x: Tensor, target: Tensor, drawn: dict[str, Any], step: int, epoch: int) -> Divergence:
    """Compute the step again, with the same random numbers, and look; the model is left as it was."""
    forward: list[str] = []
    backward: list[str] = []

    def look(layer: str) -> Any:
        def hook(module: Module, args: Any, output: Any) -> None:
            for t in output if isinstance(output, tuple) else (output,):
                if isinstance(t, Tensor) and t.dtype.kind == "f":
                    if not finite(t.numpy()):
                        forward.append(layer)
                    if t.requires_grad:
                        t.register_hook(lambda g: backward.append(layer) if not finite(g.numpy()) else None)

        return hook

    handles = [
        m.register_forward_hook(look(f"{name} ({type(m).__name__})")) for name, m in model.named_modules() if m is not model
    ]
    gradients = {id(p): p.grad for p in model.parameters()}
    try:
        with as_it_was(model), drawing_from(Generator.at(drawn)):
            for p in model.parameters():
                p.grad = None
            value = loss(model(x), target)
            value.backward()
        names = [(f"{layer}.{n}".lstrip("."), p) for layer, own in layers(model).items() for n, p in own]
        bad = [n for n, p in reversed(names) if p.grad is not None and not finite(p.grad.numpy())]
        first = (found[0] if found else None for found in (forward, backward, bad))
        return Divergence(step, epoch, float(value.detach()), *first)
    finally:
        for handle in handles:
            handle.remove()
        for p in model.parameters():
            p.grad = gradients[id(p)]
