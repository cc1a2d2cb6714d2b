"""Modules: layers that hold their parameters, their buffers and their parts."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from ..engine import ShapeError, Tensor, describe, scope

Self = TypeVar("Self", bound="Module")


class Module:
    """A layer. Of its attributes, tensors that require gradients are its parameters, other tensors its buffers (running
    statistics), modules its parts, also those in a list or tuple. ``training`` says which of two ways it computes, where
    there are two."""

    training = True

    def forward(self, *inputs: Any) -> Any:
        raise TypeError(f"{type(self).__name__}: a module must define forward.")

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        with scope(type(self).__name__):
            return self.forward(*inputs, **named)

    def _parts(self) -> Iterator[tuple[str, Module]]:
        """The modules it holds, by the keys they would have in PyTorch (where a list of them must be a ModuleList)."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, (list, tuple)):
                yield from ((f"{name}.{i}", part) for i, part in enumerate(value) if isinstance(part, Module))

    def modules(self) -> Iterator[Module]:
        """This module and all its parts and theirs, each once."""
        found: dict[int, Module] = {}
        waiting: list[Module] = [self]
        while waiting:
            module = waiting.pop()
            if id(module) not in found:
                found[id(module)] = module
                waiting += reversed([part for _, part in module._parts()])
        return iter(found.values())

    def train(self: Self, mode: bool = True) -> Self:
        """Normalize by the batch from now on, and so on; ``mode=False`` is ``eval()``."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Use what was learned, and change nothing."""
        return self.train(False)

    def _tensors(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """In PyTorch's order: its own parameters, its own buffers, those of its parts."""
        own = [(prefix + name, value) for name, value in vars(self).items() if isinstance(value, Tensor)]
        yield from sorted(own, key=lambda item: not item[1].requires_grad)
        for name, part in self._parts():
            yield from part._tensors(f"{prefix}{name}.")

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Each once, under its first name, so that an optimizer moves once what two layers share."""
        return _once((name, t) for name, t in self._tensors() if t.requires_grad)

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        return _once((name, t) for name, t in self._tensors() if not t.requires_grad)

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
        cast = {name: new[name].astype(p.dtype) for name, p in mine.items()}  # all, before any is assigned
        for name, p in mine.items():
            p.data = cast[name]

    def __repr__(self) -> str:
        """The constructor's arguments as far as they are attributes, then the parts, each on lines of its own.

        ``backward`` and keyword-only arguments are shown where they are not the default. A flag such as ``bias=True``
        whose attribute is the parameter itself is shown as the flag.
        """
        arguments = []
        for name, p in inspect.signature(type(self)).parameters.items():
            value = vars(self).get(name, ...)
            if isinstance(p.default, bool) and not isinstance(value, bool) and (value is None or isinstance(value, Tensor)):
                value = value is not None
            if not _plain(value):
                continue
            if (p.kind is p.KEYWORD_ONLY or name == "backward") and value == p.default:
                continue
            arguments.append(f"{value!r}" if p.default is p.empty else f"{name}={value!r}")
        head, lines = ", ".join(arguments), self._lines()
        if not lines:
            return f"{type(self).__name__}({head})"
        body = "\n".join([head] * bool(head) + lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {body}\n)"

    def _lines(self) -> list[str]:
        return [f"({name}): {part!r}" for name, part in self._parts()]


def _plain(value: Any) -> bool:
    """Whether a value prints as it would be written."""
    if isinstance(value, (list, tuple)):
        return all(map(_plain, value))
    return value is None or isinstance(value, (int, float, str, np.generic))


def _once(named: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    seen: set[int] = set()
    for name, t in named:
        if id(t) not in seen:
            seen.add(id(t))
            yield name, t


def ones(shape: int | tuple[int, ...], dtype: Any, name: str) -> Tensor:
    """A parameter that starts at 1."""
    return Tensor(np.ones(shape, dtype), requires_grad=True, name=name)


def zeros(shape: int | tuple[int, ...], dtype: Any, name: str) -> Tensor:
    """A parameter that starts at 0."""
    return Tensor(np.zeros(shape, dtype), requires_grad=True, name=name)


def buffer(value: Any, dtype: Any, name: str) -> Tensor:
    """State that no optimizer moves."""
    return Tensor(np.array(value, dtype), name=name)


def gain_and_shift(
    shape: int | tuple[int, ...], dtype: Any, weight: bool = True, bias: bool = True
) -> tuple[Tensor | None, Tensor | None]:
    """γ, which starts at 1, and β, which starts at 0; None where there is none. Without γ there is no β, as in PyTorch."""
    return ones(shape, dtype, "γ") if weight else None, zeros(shape, dtype, "β") if weight and bias else None
