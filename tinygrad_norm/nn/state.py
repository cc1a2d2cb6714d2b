"""What a module is called, what it is asked for by name and does not have, and how new values are taken from a state."""

from __future__ import annotations

from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from ..engine import DTypeError, ShapeError, Tensor, TinygradNormError, describe


class ModuleError(TinygradNormError, AttributeError, KeyError, IndexError):
    """A name, a key or a number under which a module has nothing, or cannot have anything."""

    __str__ = Exception.__str__


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict`` did not find, and what it had no use for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not any(self):
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def as_values(key: str, t: Tensor, value: Any) -> Any:
    """What a state has for a tensor, as an array of its shape and dtype."""
    try:
        new = np.asarray(value.data if isinstance(value, Tensor) else value.detach() if hasattr(value, "detach") else value)
        fits = new.dtype.kind in "biuf" or new.dtype.kind == t.dtype.kind
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise DTypeError(
            f"load_state_dict: {key} is {describe(t)}, the new values are {describe(value)}: no array of real numbers."
        )
    if new.shape != t.shape:
        raise ShapeError(f"load_state_dict: {key} is {describe(t)}, the new values have shape {new.shape}.")
    return new.astype(t.dtype)


def speak_as(cls: type) -> None:
    """Have a public class name itself where Python refuses arguments, not the private one that it has a method from."""
    for name in ("__init__", "forward"):
        f = getattr(cls, name)
        if not cls.__name__.startswith("_") and isinstance(f, FunctionType) and f.__qualname__.startswith("_"):
            own = FunctionType(f.__code__, f.__globals__, name, f.__defaults__, f.__closure__)
            own.__kwdefaults__, own.__annotations__ = f.__kwdefaults__, f.__annotations__
            own.__doc__, own.__module__, own.__qualname__ = f.__doc__, f.__module__, f"{cls.__qualname__}.{name}"
            setattr(cls, name, own)
