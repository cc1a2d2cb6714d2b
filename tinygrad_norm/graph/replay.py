"""A recorded computation once more, with other leaves or under another table of meanings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..engine import Op, Tensor
from .record import Record


def replay(graph: Record, inputs: Mapping[Tensor, Any], meanings: Mapping[str, Callable[..., Any]] | None = None) -> Any:
    """Compute a recorded graph again with other leaves, and, if asked, with another meaning of its ops.

    inputs:    what stands for which leaf; any other leaf keeps its recorded array
    meanings:  what each op means, by name; without them an op means itself, over whatever its inputs are
    """
    values: dict[Tensor, Any] = {}
    for t in graph.tensors:
        if t.op is None:
            values[t] = inputs.get(t, t._data)
        else:
            meaning: Op | Callable[..., Any] = t.op if meanings is None else meanings[t.op.name]
            values[t] = meaning(*(values[x] if isinstance(x, Tensor) else x for x in t.inputs), **t.params)
    return values[graph.output]
