"""Explanations by sums that weigh their entries unequally: a mean of means, a part that is left out, a block that counts twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..derive.formula import Letter, Node, Total, places, product_of, put, replace
from ..derive.tree import ONE
from ..engine.arrays import Array
from ..graph.table import number
from .case import Case
from .counts import BLOCKS
from .fitting import listed
from .fused import Fused
from .judgement import Explanation, Given
from .line import formula_of, right_formula
from .variants import placed

_MOST = 64  # entries of a sum, each with a weight of its own
_LARGE = 400_000  # numbers of a problem of least squares, at most


def unequal(case: Case, given: Given) -> Explanation | None:
    """Every sum along one axis with the same weights, which are not all 1, or one sum: least squares, if that is exact."""
    found = formula_of(case, given)
    if found is None:
        return None
    mine = found.spread(given.array)
    for where, basis, needed in (*_every_sum(found, given, mine), *_one_sum(found, given, mine)):
        words = _pattern(basis, needed, 2 * given.gate(case))
        if words is not None:
            return Explanation((f"{where} {words}", *right_formula(found, given)), ("unequal weights",))
    return None


def _weights(basis: Array, needed: Array, gate: float) -> Array | None:
    """The weight of each entry, if there are some that give these numbers to rounding and are not all 1."""
    size, n = basis.shape
    if not 2 < n <= _MOST or size < n + 3 or size * n > _LARGE or not np.all(np.isfinite(basis)):
        return None
    weights, _, rank, _ = np.linalg.lstsq(basis, needed, rcond=None)
    off = np.max(np.abs(basis @ weights - needed), initial=0)
    found: Array = weights
    return None if rank < n or off > gate or np.max(np.abs(weights - 1)) < 1e-6 else found


def _every_sum(found: Fused, given: Given, mine: Array) -> Iterator[tuple[str, Array, Array]]:
    summed = [n for t in found.terms for _, n in places(t) if isinstance(n, Total)]
    for axis in dict.fromkeys(a for total in summed for a in total.axes):
        n = found.sizes[axis]
        if not 2 < n <= _MOST or mine.size * n > _LARGE:
            continue
        basis = [_share(found, axis, k) for k in range(n)]
        rest = _share(found, axis, None)
        if rest is not None and all(b is not None for b in basis):
            columns = np.stack([np.ravel(b) for b in basis], axis=1)  # type: ignore[arg-type]
            many = len([t for t in summed if axis in t.axes]) > 1
            over = found.over((axis,))
            said = f"every Σ and mean of {given.symbol} over {over}" if many else f"your {given.symbol}, in its sum over {over},"
            yield said, columns, np.ravel(mine - rest)


def _one_sum(found: Fused, given: Given, mine: Array) -> Iterator[tuple[str, Array, Array]]:
    """One sum of one term, its axes gone through in their order."""
    values = [np.asarray(found.value(t)) for t in found.terms]
    whole = np.sum(values, axis=0)
    for k, term in enumerate(found.terms):
        for path, node in places(term):
            if not isinstance(node, Total) or node.function not in ("sum", "mean") or len(path) > 1:
                continue
            n = int(np.prod([found.sizes[a] for a in node.axes]))
            if not 2 < n <= _MOST or mine.size * n > _LARGE:
                continue
            before = placed(found, found.at(put(term, path, ONE) if path else ONE))
            inside = found.known_as(node.inside) / (n if node.function == "mean" else 1)
            along = [found.axes.index(a) for a in node.axes]
            flat = np.moveaxis(inside, along, range(len(along)))
            flat = flat.reshape(n, *flat.shape[len(along) :])
            each = [before * np.expand_dims(part, sorted(along)) for part in flat]
            if any(np.broadcast_shapes(e.shape, found.shape) != found.shape for e in each):
                continue
            columns = np.stack([np.ravel(np.broadcast_to(e, found.shape)) for e in each], axis=1)
            where = f"the term {found.hand(term)} of {given.symbol}" if len(found.terms) > 1 else f"your {given.symbol}"
            order = f", its {n} entries in the order {'·'.join(node.axes)}," if len(node.axes) > 1 else ""
            yield f"{where}, in {found.hand(node)}{order or ','}", columns, np.ravel(mine - whole + values[k])


def _pattern(basis: Array, needed: Array, gate: float) -> str | None:
    """In words: a weighing that people make, or any that least squares find."""
    for words, weights in _usual(basis.shape[1]) if basis.shape[1] <= _MOST else ():
        if np.max(np.abs(basis @ weights - needed), initial=0) <= gate:
            return words
    found = _weights(basis, needed, gate)
    if found is None:
        return None
    groups = sorted({round(float(w), 5) for w in found})
    if len(groups) >= len(found) / 2 + 1:
        return None
    said = []
    for w in groups:
        hit = np.flatnonzero(np.abs(found - w) < 2e-5)
        said.append(
            f"index {listed(hit)} {'does not count' if abs(w) < 1e-5 else 'counts once' if abs(w - 1) < 1e-5 else f'counts {number(w)} times'}"
        )
    return f"weighs its entries unequally: {'; '.join(said)}"


def _usual(n: int) -> Iterator[tuple[str, Array]]:
    for sizes, named in divisions(n):
        length = np.repeat(sizes, sizes)
        mean = n / (len(sizes) * length)
        last = f", of which the last has {sizes[-1]} only" if sizes[-1] != sizes[0] else ""
        for other, words in (
            (mean, f"is the mean of the means of {named}{last}: each weighs as much, whatever it holds"),
            (mean / n, f"is the mean of the means of {named}{last}, where Σ belongs"),
            (n / length, f"adds up the means of {named}"),
            (1 / length, f"adds up the means of {named}, where Σ belongs"),
        ):
            if np.ptp(other) > 1e-9:
                yield words, other
        again = np.ones(n)
        if sizes[-1] < sizes[0]:
            again[n - sizes[0] : n - sizes[-1]] = 2
            hit = listed(np.flatnonzero(again == 2))
            yield (
                f"counts index {hit} twice: the last block of {sizes[0]} is moved back to end with the axis, over what was counted before",
                again,
            )


def divisions(n: int) -> Iterator[tuple[list[int], str]]:
    """A row in blocks: of one length and a rest, or as nearly equal as they can be."""
    for b in (b for b in BLOCKS if 1 < b < n):
        yield [*[b] * (n // b), *([n % b] if n % b else [])], f"blocks of {b}"
    for parts in range(2, min(n, 9)):
        sizes = [n // parts + (k < n % parts) for k in range(parts)]
        if len(set(sizes)) > 1:
            yield sizes, f"{parts} parts"


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
