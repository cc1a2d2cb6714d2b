"""What a module is asked for by name and does not have, and how new values are taken from a state."""

from __future__ import annotations

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
