"""What the room asks of its arguments, in one voice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine import DTypeError, ShapeError, Tensor, describe
from ..nn import Module


def module(name: str, value: Any) -> Module:
    """A network; ``DTypeError`` for what is none."""
    if not isinstance(value, Module):
        raise DTypeError(f"{name}: {describe(value)} is no module. Give a network, such as tn.train.mlp().")
    return value


def pair(name: str, data: Any) -> tuple[Any, Any]:
    """Inputs and targets, as many of one as of the other."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise DTypeError(f"{name}: data {describe(data)}; they are (inputs, targets), two arrays.")
    inputs, targets = (t.numpy() if isinstance(t, Tensor) else np.asarray(t) for t in data)
    if not inputs.ndim or not targets.ndim or len(inputs) != len(targets):
        raise ShapeError(f"{name}: inputs {describe(inputs)} and targets {describe(targets)}: one target for each input.")
    return inputs, targets


def several(name: str, runs: Any, kind: type) -> Sequence[Any]:
    """Runs, at least one; ``DTypeError`` for what are none."""
    found = list(runs) if isinstance(runs, (tuple, list)) else []
    if not found or not all(isinstance(r, kind) for r in found):
        raise DTypeError(f"{name}: {describe(runs)}; give a list of what tn.train.fit returned.")
    return found
