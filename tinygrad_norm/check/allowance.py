"""How far rounding may take a gradient from its formula: by the size of what is added up, and by how large a mean is subtracted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine import Tensor
from ..engine.arrays import Array
from ..graph import Graph


def rounding_of(graph: Graph, inputs: Mapping[str, Tensor], dy: Array, eps: float) -> dict[str, float]:
    """What 50 roundings may do to each gradient, per unit roundoff: 50·(1 + |μ|/σ)·(its largest summand).

    The summands count, not the result: where routes cancel, or the terms of one sum, their rounding stays. What the terms of
    a sum come to without cancelling is seen by changing signs in the cotangent.
    """
    condition = 1.0
    for t in graph.tensors:
        if is_centring(t):
            mu: Any = t.inputs[1]
            centred = t.numpy().astype(np.float64)
            spread = np.sqrt(np.mean(centred**2, axis=mu.params["axis"], keepdims=True) + eps)
            ratio = np.abs(mu.numpy()) / np.where(spread > 0, spread, np.inf)
            condition = max(condition, 1.0 + float(np.max(ratio)))
    rng = np.random.default_rng(0)
    cotangents = [dy, np.abs(dy), *(dy * rng.choice(np.array([-1, 1], dy.dtype), dy.shape) for _ in range(3))]
    sizes = {
        n: max(float(np.max(np.abs(r.share), initial=0)) for g in cotangents for r in graph.routes(t, g, limit=1024))
        for n, t in inputs.items()
    }
    return {n: 50 * condition * size for n, size in sizes.items()}


def is_centring(t: Tensor) -> bool:
    """Whether t is something minus its own mean."""
    if t.op is None or t.op.name != "sub" or not isinstance(t.inputs[1], Tensor):
        return False
    mu = t.inputs[1]
    return mu.op is not None and mu.op.name == "mean" and mu.inputs[0] is t.inputs[0]
