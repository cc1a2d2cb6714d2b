"""A recorded computation once more, with other leaves or under another table of meanings. Nothing else walks a record to
evaluate it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..engine import Op, Tensor
from .record import Record

Meaning = Callable[..., Any]


def replay(graph: Record, inputs: Mapping[Tensor, Any], meanings: Mapping[str, Meaning] | None = None) -> Any:
    """Compute a recorded graph again with other leaves, and, if asked, with another meaning of its ops.

    inputs:    what stands for which leaf; any other leaf keeps its recorded array
    meanings:  what each op means, by name; without them an op means itself, over whatever its inputs are
    """
    means = None if meanings is None else (lambda t: meanings[t.op.name])
    return replay_all(graph.tensors, inputs, means)[graph.output]


def replay_all(
    tensors: Iterable[Tensor], inputs: Mapping[Tensor, Any], meaning: Callable[[Tensor], Meaning] | None = None
) -> dict[Tensor, Any]:
    """The value of each of these tensors, which come oldest first and with all that they were computed from.

    inputs:   what stands for which; any other leaf keeps its recorded array
    meaning:  what computes a tensor, of its operands and options; without it, its op
    """
    values: dict[Tensor, Any] = {}
    for t in tensors:
        if t in inputs:
            values[t] = inputs[t]
        elif t.op is None:
            values[t] = t._data
        else:
            means: Op | Meaning = t.op if meaning is None else meaning(t)
            values[t] = means(*(values[x] if isinstance(x, Tensor) else x for x in t.inputs), **t.params)
    return values
