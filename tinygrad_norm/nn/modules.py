"""Layers that hold their parameters."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..engine import ShapeError, Tensor, describe, tensor
from ..norms import layer_norm


class Module:
    """A layer: its tensors that require gradients are its parameters, its modules are its parts."""

    def forward(self, *inputs: Any) -> Any:
        raise TypeError(f"{type(self).__name__}: a module must define forward.")

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        for name, value in vars(self).items():
            if isinstance(value, Tensor) and value.requires_grad:
                yield prefix + name, value
            elif isinstance(value, Module):
                yield from value.named_parameters(f"{prefix}{name}.")

    def parameters(self) -> Iterator[Tensor]:
        return (p for _, p in self.named_parameters())

    def zero_grad(self) -> None:
        for p in self.parameters():
            p.grad = None

    def state_dict(self) -> OrderedDict[str, Any]:
        """Copies of the parameters' arrays, by PyTorch's keys."""
        return OrderedDict((name, np.array(p.data)) for name, p in self.named_parameters())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the parameters' values from arrays (or anything ``np.asarray`` takes). All keys must match."""
        mine = dict(self.named_parameters())
        if set(mine) != set(state):
            missing, extra = sorted(set(mine) - set(state)), sorted(set(state) - set(mine))
            raise KeyError(f"load_state_dict: missing {missing or 'nothing'}, unexpected {extra or 'nothing'}.")
        new = {name: np.asarray(value) for name, value in state.items()}
        for name, p in mine.items():
            if new[name].shape != p.shape:
                raise ShapeError(f"load_state_dict: {name} is {describe(p)}, the new values have shape {new[name].shape}.")
        for name, p in mine.items():
            p.data = new[name].astype(p.dtype)


class LayerNorm(Module):
    """LayerNorm with PyTorch's constructor. ``weight`` (γ) starts at 1, ``bias`` (β) at 0; see ``tn.functional.layer_norm``."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        backward: str = "recorded",
    ) -> None:
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine, self.backward = eps, elementwise_affine, backward
        self.weight = self.bias = None
        if elementwise_affine:
            self.weight = tensor(np.ones(self.normalized_shape, dtype), requires_grad=True, name="γ")
            if bias:
                self.bias = tensor(np.zeros(self.normalized_shape, dtype), requires_grad=True, name="β")

    def forward(self, input: Tensor) -> Tensor:
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps, self.backward)

    def __repr__(self) -> str:
        return f"LayerNorm({self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={self.bias is not None})"
