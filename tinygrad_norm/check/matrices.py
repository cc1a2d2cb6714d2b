"""Explanations by products of matrices where a sum along each row belongs: ``(dy @ y.T) @ y`` for ``Σ(dy·y)·y`` mixes the rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from ..derive.formula import Letter, Node, Number, Power, Product, Total
from ..engine.arrays import Array
from .case import Case
from .fused import Fused
from .judgement import Explanation, Given
from .line import in_one_term

_WAYS = 1_100  # to put indices on the factors of one term, at most
_LARGE = 4_096  # numbers that one of them multiplies, for each factor


def mixed_rows(case: Case, given: Given) -> Explanation | None:
    """One term with its factors multiplied as matrices: indices of other rows, which are summed, too."""
    return in_one_term(case, given, _ways)


def _ways(found: Fused, term: Node) -> Iterator[tuple[str, Array]]:
    """Every other way to put the indices of rows and columns on a term's factors."""
    factors = term.factors if isinstance(term, Product) else (term,)
    totals = [f for f in factors if isinstance(f, Total) and f.function in ("sum", "mean")]
    if len(totals) != 1:
        return
    (total,) = totals
    along = [found.axes.index(a) for a in total.axes]
    rows = [k for k in range(len(found.axes)) if k not in along]
    n = int(np.prod([found.sizes[found.axes[k]] for k in along]))
    m = int(np.prod([found.sizes[found.axes[k]] for k in rows]))
    inside = total.inside.factors if isinstance(total.inside, Product) else (total.inside,)
    scale = 1.0 / n if total.function == "mean" else 1.0
    parts: list[tuple[Node, Array, str]] = []  # a factor, its matrix, its own indices
    for f, here in [(f, "n") for f in factors if f is not total] + [(f, "m") for f in inside]:
        for one in singly(f):
            value = np.asarray(found.at(one), np.float64)
            if value.size == 1:
                scale *= float(value.reshape(()))
                continue
            value = value.reshape((1,) * (len(found.axes) - value.ndim) + value.shape)
            down, across = any(value.shape[k] > 1 for k in rows), any(value.shape[k] > 1 for k in along)
            full = [found.sizes[a] if (k in rows and down) or (k in along and across) else 1 for k, a in enumerate(found.axes)]
            matrix = np.transpose(np.broadcast_to(value, full), rows + along).reshape(m if down else 1, n if across else 1)
            parts.append((one, matrix.reshape([s for s in matrix.shape if s > 1]), "b" * down + here * across))
    if m < 2 or n < 2 or m * m * n * n > _LARGE * 4 or not parts:
        return
    wide = any(found.shape[k] > 1 for k in along)
    out = "bn" if wide else "b"
    choices = [
        [a + b for a in ("bc" if "b" in own else [""]) for b in ("nm" if own[-1] in "nm" else [""])] for _, _, own in parts
    ]
    if np.prod([len(c) for c in choices], dtype=float) > _WAYS:
        return
    told: list[Array] = []
    seen = set[tuple[tuple[str, str], ...]]()  # of two that are one letter, it does not matter which has which
    for indices in product(*choices):
        if all(i == own for i, (_, _, own) in zip(indices, parts)) or not set(out) <= set("".join(indices)):
            continue
        key = tuple(sorted((str(f), i) for i, (f, _, _) in zip(indices, parts)))
        if "c" not in "".join(indices) or key in seen:
            continue
        seen.add(key)
        value = np.einsum(f"{','.join(indices)}->{out}", *(matrix for _, matrix, _ in parts)) * scale
        shape = [found.sizes[found.axes[k]] for k in rows] + [found.sizes[found.axes[k]] if wide else 1 for k in along]
        made = np.transpose(value.reshape(shape), np.argsort(rows + along))
        if made.shape != found.shape or any(np.array_equal(made, t) for t in told):
            continue
        told.append(made)
        yield _said(found, parts, indices), made


def singly(node: Node) -> Iterator[Node]:
    """The factors of a whole power one by one: each may be another row's."""
    if isinstance(node, Power) and isinstance(node.exponent, Number) and node.exponent.value in (2, 3, -2, -3):
        n = int(node.exponent.value)
        one = node.base if n > 0 else Power(node.base, Number(-1))
        yield from [one] * abs(n)
    else:
        yield node


def _said(found: Fused, parts: list[tuple[Node, Array, str]], indices: tuple[str, ...]) -> str:
    wrong, right = (
        "·".join(f"{_short(found, f)}[{', '.join(i)}]" for (f, _, _), i in zip(parts, each))
        for each in (indices, [own for _, _, own in parts])
    )
    over, own = (", ".join(sorted(set("".join(each)) & set("cm"))) for each in (indices, [o for _, _, o in parts]))
    return f"mixes rows, as a product of matrices does: Σ over {over} of {wrong}, where Σ over {own} of {right} belongs"


def _short(found: Fused, node: Node) -> str:
    return found.hand(node) if isinstance(node, Letter) else f"({found.hand(node)})"
