"""Modules: layers that hold their parameters, their buffers and their parts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from ..engine import ShapeError, Tensor, describe

Self = TypeVar("Self", bound="Module")


class Module:
    """A layer. Of its attributes, tensors that require gradients are its parameters, other tensors its buffers (running
    statistics), modules its parts. ``training`` says which of two ways it computes, where there are two."""

    training = True

    def forward(self, *inputs: Any) -> Any:
        raise TypeError(f"{type(self).__name__}: a module must define forward.")

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    def modules(self) -> Iterator[Module]:
        """This module and all its parts."""
        yield self
        for value in vars(self).values():
            if isinstance(value, Module):
                yield from value.modules()

    def train(self: Self, mode: bool = True) -> Self:
        """Normalize by the batch from now on, and so on; ``mode=False`` is ``eval()``."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Use what was learned, and change nothing."""
        return self.train(False)

    def _tensors(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                yield prefix + name, value
            elif isinstance(value, Module):
                yield from value._tensors(f"{prefix}{name}.")

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, t) for name, t in self._tensors() if t.requires_grad)

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, t) for name, t in self._tensors() if not t.requires_grad)

    def parameters(self) -> Iterator[Tensor]:
        return (p for _, p in self.named_parameters())

    def buffers(self) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers())

    def zero_grad(self) -> None:
        for p in self.parameters():
            p.grad = None

    def state_dict(self) -> OrderedDict[str, Any]:
        """Copies of the parameters' and buffers' arrays, by PyTorch's keys."""
        return OrderedDict((name, np.array(t.data)) for name, t in self._tensors())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the values from arrays (or anything ``np.asarray`` takes). All keys must match, and all shapes."""
        mine = dict(self._tensors())
        if set(mine) != set(state):
            missing, extra = sorted(set(mine) - set(state)), sorted(set(state) - set(mine))
            raise KeyError(f"load_state_dict: missing {missing or 'nothing'}, unexpected {extra or 'nothing'}.")
        new = {name: np.asarray(value) for name, value in state.items()}
        for name, p in mine.items():
            if new[name].shape != p.shape:
                raise ShapeError(f"load_state_dict: {name} is {describe(p)}, the new values have shape {new[name].shape}.")
        for name, p in mine.items():
            p.data = new[name].astype(p.dtype)


def ones(shape: int | tuple[int, ...], dtype: Any, name: str) -> Tensor:
    """A parameter that starts at 1."""
    return Tensor(np.ones(shape, dtype), requires_grad=True, name=name)


def zeros(shape: int | tuple[int, ...], dtype: Any, name: str) -> Tensor:
    """A parameter that starts at 0."""
    return Tensor(np.zeros(shape, dtype), requires_grad=True, name=name)
