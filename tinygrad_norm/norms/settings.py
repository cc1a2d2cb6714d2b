"""What is known of a normalization's inputs and options: how its numbers are drawn, which values an option may have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine import TinygradNormError, describe
from ..engine.arrays import Array
from .registry import Norm


class InputError(TinygradNormError, ValueError):
    """Numbers that nothing can be checked with: NaN or infinity."""


def draw(norm: Norm, name: str, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """One input's numbers, as the norm wants them drawn."""
    return np.asarray(norm.draw[name](rng, shape) if name in norm.draw else rng.normal(size=shape))


def is_a_choice(norm: Norm, name: str, value: Array) -> bool:
    """Classes and the like: integers that are drawn as such. (An input given as integers is numbers.)"""
    return name in norm.draw and value.dtype.kind in "iub"


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except (OverflowError, TypeError):  # a whole number beyond every float; complex
        return False


def check_settings(norm: Norm, options: Mapping[str, Any], caller: str = "compare") -> dict[str, Any]:
    """The norm's options with those given; ``InputError`` for one it has not, or a value that it cannot have."""
    if unknown := set(options) - set(norm.options):
        raise InputError(
            f"{caller}: {norm.title} has no option {', '.join(sorted(unknown))}; it has {', '.join(norm.options) or 'none'}."
        )
    for name, value in options.items():
        usual = norm.options[name]
        if isinstance(usual, (bool, str)) or value is None:
            if type(value) is not type(usual) and usual is not None:
                raise InputError(f"{caller}: {name}={describe(value)}; it is {type(usual).__name__}, such as {usual!r}.")
        elif not isinstance(value, (int, float, np.number)) or not _is_finite(value) or (name == "eps" and value < 0):
            raise InputError(
                f"{caller}: {name}={describe(value)}; it must be a finite number{', from 0 on' if name == 'eps' else ''}."
            )
    return {**norm.options, **options}
