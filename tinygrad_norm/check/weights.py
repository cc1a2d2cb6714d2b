"""Explanations by sums that weigh their entries unequally: a mean of means, a part that is left out, a block that counts twice."""

from __future__ import annotations

import numpy as np

from ..derive.formula import Letter, Node, Total, places, product_of, replace
from ..engine.arrays import Array
from ..graph.table import number
from .case import Case
from .fitting import listed
from .fused import Fused
from .judgement import Explanation, Given
from .line import formula_of

_MOST = 64  # entries along an axis, each with a weight of its own


def unequal(case: Case, given: Given) -> Explanation | None:
    """Every sum along one axis with the same weights, which are not all 1: least squares on the entries, if that is exact."""
    found = formula_of(case, given)
    if found is None:
        return None
    mine = found.spread(given.array)
    summed = [n for t in found.terms for _, n in places(t) if isinstance(n, Total)]
    for axis in dict.fromkeys(a for total in summed for a in total.axes):
        n = found.sizes[axis]
        if not 2 < n <= _MOST or mine.size <= 2 * n:
            continue
        basis = [_share(found, axis, k) for k in range(n)]
        rest = _share(found, axis, None)
        if rest is None or any(b is None for b in basis):
            continue
        matrix = np.stack([np.ravel(b) for b in basis], axis=1)  # type: ignore[arg-type]
        weights, _, rank, _ = np.linalg.lstsq(matrix, np.ravel(mine - rest), rcond=None)
        off = np.max(np.abs(matrix @ weights - np.ravel(mine - rest)), initial=0)
        if rank < n or off > 2 * given.gate(case) or np.max(np.abs(weights - 1)) < 1e-6:
            continue
        said = []
        for w in sorted({round(float(w), 6) for w in weights}):
            hit = np.flatnonzero(np.abs(weights - w) < 1e-5)
            said.append(f"index {listed(hit)} {'does not count' if abs(w) < 1e-5 else f'counts {number(w)} times'}")
        if len(said) < n / 2 + 1:
            text = (
                f"every Σ and mean of {given.symbol} over {found.over((axis,))} weighs its entries unequally: {'; '.join(said)}"
            )
            return Explanation((text,), ("unequal weights",))
    return None


def _share(found: Fused, axis: str, k: int | None) -> Array | None:
    """What the formula gives with only entry k in every sum along that axis; None: the terms that have no such sum."""
    total = np.zeros(found.shape)
    for term in found.terms:
        has = any(isinstance(n, Total) and axis in n.axes for _, n in places(term))
        if has == (k is None):
            continue
        value = found.value(term if k is None else replace(term, lambda n: _only(found, n, axis, k)))
        if value is None:
            return None
        total = total + value
    return total


def _only(found: Fused, node: Node, axis: str, k: int) -> Node | None:
    if not (isinstance(node, Total) and axis in node.axes):
        return None
    n, name = found.sizes[axis], f"only {k} of {axis}"
    found.known[name] = (np.arange(n) == k).astype(np.float64).reshape([n if a == axis else 1 for a in found.axes])
    return Total(product_of(node.inside, Letter(name, (axis,), "constant")), node.axes, node.function)
