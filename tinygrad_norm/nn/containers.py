"""Modules made of modules: one after the other, and in a list. Keys of ``state_dict`` are "0.weight", "1.weight", …"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..engine import DTypeError, OptionError
from .module import Module


class _Numbered(Module):
    """Its members are the attributes "0", "1", …, so that state and parts are found as in any module."""

    def append(self, member: Any) -> None:
        setattr(self, str(len(self)), member)

    def __iter__(self) -> Iterator[Any]:
        return (member for name, member in vars(self).items() if name.isdigit())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, index: int) -> Any:
        return list(self)[index]

    def _lines(self) -> list[str]:
        return [f"({i}): {m!r}" if isinstance(m, Module) else f"({i}): {_name(m)}" for i, m in enumerate(self)]


class Sequential(_Numbered):
    """Each member gets what the one before it gave: ``Sequential(Linear(8, 4), tn.functional.relu, LayerNorm(4))``.

    Modules, or functions of one tensor, which PyTorch would want as modules; the keys are those of PyTorch either way.
    Raises ``DTypeError`` for a member that cannot be called.
    """

    def __init__(self, *modules: Callable[[Any], Any]) -> None:
        for module in modules:
            self.append(module)

    def append(self, member: Callable[[Any], Any]) -> None:
        if not callable(member):
            raise DTypeError(
                f"Sequential: member {len(self)} is {_name(member)}, which cannot be called. Give modules one by one: "
                "Sequential(a, b), or Sequential(*modules) for a list."
            )
        super().append(member)

    def forward(self, input: Any) -> Any:
        for member in self:
            input = member(input)
        return input


class ModuleList(_Numbered):
    """Modules to be called by index or in a loop. (A plain list as an attribute is found, too, and has the same keys.)

    Raises ``DTypeError`` for a member that is no module.
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        for module in modules:
            self.append(module)

    def append(self, member: Module) -> None:
        if not isinstance(member, Module):
            raise DTypeError(
                f"ModuleList: member {len(self)} is {_name(member)}; all are modules. Sequential takes functions, too."
            )
        super().append(member)

    def forward(self, *inputs: Any) -> Any:
        raise OptionError("ModuleList: it does not say in which order. Call its members, or take Sequential.")


def _name(member: Any) -> str:
    for attribute in ("__name__", "name"):
        if isinstance(found := getattr(member, attribute, None), str):
            return found
    return f"a {type(member).__name__}"
