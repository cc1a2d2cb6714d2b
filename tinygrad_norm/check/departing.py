"""Where a record leaves the right one: the first call that gives what the right record does not have, from what is right so far."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .recorded import Step
from .search import behind
from .world import World

_MOST = 2_000  # calls looked at
_LAID_OUT = frozenset({  # the same numbers in other places
    "getitem", "reshape", "ravel", "flatten", "transpose", "swapaxes", "moveaxis", "squeeze", "expand_dims", "broadcast_to", "copy",
    "astype", "concatenate", "stack", "vstack", "hstack", "split", "array_split", "tile", "repeat", "take", "view", "asarray", "array",
    "zeros_like", "ones_like", "full_like", "setitem", "_written", "_as_written", "pad", "flip", "roll",
})  # fmt: skip
_PRODUCTS = (np.multiply, np.true_divide, np.negative, np.square, np.reciprocal)


def departure(world: World, name: str) -> Step | None:
    """That call; None where there is none, or too much to look at."""
    steps = world.trace.steps
    wanted = behind(steps, [world.trace.outputs[name].step])
    right = [o.step for n, o in world.trace.outputs.items() if n not in world.wrong]
    tied = behind(steps, [*right, *([world.trace.y] if world.trace.y is not None and world.y_is_right else [])])
    fine: set[Step] = set()
    for s in steps[:_MOST]:
        if s not in wanted:
            continue
        if not all(o in fine for o in s.operands()):
            continue
        if s.function is None or s in tied or _is_plain(s) or world.is_proportional(s.value):
            fine.add(s)
        elif s.place:
            return s
    return None


def _is_plain(step: Step) -> bool:
    """Whether it only lays out what it is given, multiplies it, or gives one number, or no real ones."""
    value: Any = step.value
    if not isinstance(value, np.ndarray) or value.size < 2 or value.dtype.kind != "f":
        return True
    name = getattr(step.function, "__name__", type(step.function).__name__)
    return step.function in _PRODUCTS or step.function is operator.getitem or name in _LAID_OUT
