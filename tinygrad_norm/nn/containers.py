"""Modules made of modules: one after the other, in a list, in a dict; parameters in a list. Keys of ``state_dict`` are
"0.weight", "1.weight", … or those of the dict."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from ..engine import DTypeError, OptionError, TinygradNormError, describe
from .module import Module
from .parameters import Parameter
from .state import ModuleError


class _Numbered(Module):
    """Its members are the attributes "0", "1", …, so that state and parts are found as in any module."""

    def _admit(self, member: Any, place: int) -> Any:
        """What is kept of a member; raises for what cannot be one."""
        return member

    def append(self, member: Any) -> Any:
        """One more at the end; returns the container."""
        place = len(self)
        setattr(self, str(place), self._admit(member, place))
        return self

    def extend(self, members: Iterable[Any]) -> Any:
        """More at the end; returns the container."""
        for member in _iterable(type(self).__name__, members):
            self.append(member)
        return self

    def insert(self, index: int, member: Any) -> Any:
        """A member before that place; returns the container."""
        members = list(self)
        place = len(members) if type(index) is int and index == len(members) else self._place(index)
        members.insert(place, self._admit(member, place))
        self._become(members)
        return self

    def _become(self, members: list[Any]) -> None:
        for name in [n for n in vars(self) if n.isdigit()]:
            delattr(self, name)
        for i, member in enumerate(members):
            setattr(self, str(i), member)

    def _place(self, index: Any) -> int:
        try:
            i, n = operator.index(index), len(self)
        except TypeError:
            raise ModuleError(
                f"{type(self).__name__}: {describe(index)} is no place in it; give a whole number or a slice."
            ) from None
        if not -n <= i < n:
            raise ModuleError(f"{type(self).__name__}: there is no member {i}; it has {n}.")
        return i % n

    def __iter__(self) -> Iterator[Any]:
        return (member for name, member in vars(self).items() if name.isdigit())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, index: Any) -> Any:
        """A member; of a slice, a container of the same members."""
        if not isinstance(index, slice):
            return vars(self)[str(self._place(index))]
        part = type(self).__new__(type(self))
        for member in list(self)[self._slice(index)]:
            part.append(member)
        return part

    def __setitem__(self, index: int, member: Any) -> None:
        place = self._place(index)
        setattr(self, str(place), self._admit(member, place))

    def __delitem__(self, index: Any) -> None:
        members = list(self)
        del members[self._slice(index) if isinstance(index, slice) else self._place(index)]
        self._become(members)

    def _slice(self, index: slice) -> slice:
        try:
            index.indices(0)
        except (TypeError, ValueError):
            raise ModuleError(
                f"{type(self).__name__}: {describe(index)} is no stretch of it; a slice is of whole numbers."
            ) from None
        return index

    def extra_repr(self) -> str:
        return ""

    def _lines(self) -> list[str]:
        return [f"({i}): {m!r}" if isinstance(m, Module) else f"({i}): {_name(m)}" for i, m in enumerate(self)]


class Sequential(_Numbered):
    """Each member gets what the one before it gave: ``Sequential(Linear(8, 4), tn.functional.relu, LayerNorm(4))``.

    Modules, or functions of one tensor, which PyTorch would want as modules; the keys are those of PyTorch either way.
    Raises ``DTypeError`` for a member that cannot be called.
    """

    def __init__(self, *modules: Callable[[Any], Any]) -> None:
        self.extend(modules)

    def _admit(self, member: Any, place: int) -> Any:
        if not callable(member):
            raise DTypeError(
                f"Sequential: member {place} is {_name(member)}, which cannot be called. Give modules one by one: "
                "Sequential(a, b), or Sequential(*modules) for a list."
            )
        return member

    def forward(self, input: Any) -> Any:
        for member in self:
            input = member(input)
        return input


class _Uncalled(Module):
    def forward(self, *inputs: Any) -> Any:
        raise OptionError(f"{type(self).__name__}: it does not say in which order. Call its members, or take Sequential.")


class ModuleList(_Uncalled, _Numbered):
    """Modules to be called by index or in a loop. (A plain list as an attribute is found, too, and has the same keys.)

    Raises ``DTypeError`` for a member that is no module.
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        self.extend(() if modules is None else modules)

    def _admit(self, member: Any, place: int) -> Any:
        if not isinstance(member, Module):
            raise DTypeError(f"ModuleList: member {place} is {_name(member)}; all are modules. Sequential takes functions, too.")
        return member

    def _lines(self) -> list[str]:
        lines, start = [], 0
        for text, same in groupby(map(repr, self)):
            n = len(list(same))
            lines.append(f"({start}-{start + n - 1}): {n} x {text}" if n > 1 else f"({start}): {text}")
            start += n
        return lines


class ModuleDict(_Uncalled):
    """Modules by name. (A plain dict as an attribute is found, too.) The keys are words without a dot.

    Raises ``DTypeError`` for a member that is no module, ``ModuleError`` for a key that cannot be one or is not there.
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        self.update({} if modules is None else modules)

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        pairs = modules.items() if isinstance(modules, (Mapping, ModuleDict)) else _iterable("ModuleDict", modules)
        for pair in pairs:
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise DTypeError(f"ModuleDict: {describe(pair)} is no pair of a name and a module. Give a dict.")
            self[pair[0]] = pair[1]

    def __setitem__(self, key: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise DTypeError(f"ModuleDict: member {describe(key)} is {_name(module)}; all are modules.")
        self.add_module(key, module)

    def __getitem__(self, key: str) -> Module:
        found = vars(self).get(key) if isinstance(key, str) else None
        if not isinstance(found, Module):
            raise ModuleError(f"ModuleDict: there is no member {describe(key)}. It has: {', '.join(self) or 'none'}.")
        return found

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def pop(self, key: str) -> Module:
        """Take a member out, and return it."""
        found = self[key]
        delattr(self, key)
        return found

    def keys(self) -> Iterator[str]:
        return (name for name, _ in self.items())

    def values(self) -> Iterator[Module]:
        return (module for _, module in self.items())

    def items(self) -> Iterator[tuple[str, Module]]:
        return ((name, m) for name, m in list(vars(self).items()) if isinstance(m, Module))

    def __iter__(self) -> Iterator[str]:
        return self.keys()

    def __len__(self) -> int:
        return len(list(self.items()))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in list(self.keys())

    def extra_repr(self) -> str:
        return ""


class ParameterList(_Uncalled, _Numbered):
    """Parameters by number: "0", "1", … What is no parameter yet becomes one (``nn.Parameter``)."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self.extend(() if values is None else values)

    def _admit(self, member: Any, place: int) -> Any:
        return member if isinstance(member, Parameter) else Parameter(member)

    def _lines(self) -> list[str]:
        return [f"({i}): Parameter containing: [{p.dtype} of size {'x'.join(map(str, p.shape))}]" for i, p in enumerate(self)]


def _iterable(name: str, members: Any) -> Iterable[Any]:
    try:
        found: Iterator[Any] = iter(members)
        return found
    except (TypeError, TinygradNormError):
        raise DTypeError(f"{name}: {describe(members)} is no list of members. Give one: {name}([a, b]).") from None


def _name(member: Any) -> str:
    for attribute in ("__name__", "name"):
        if isinstance(found := getattr(member, attribute, None), str):
            return found
    return f"a {type(member).__name__}"
