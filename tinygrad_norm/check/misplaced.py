"""Explanations by a sum, or what it was multiplied with, that is read at another index, or broadcast along another axis."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from ..derive.formula import Letter, Node, Number, Product, Total, product_of, varies
from ..engine.arrays import Array
from .case import Case
from .fused import Fused
from .judgement import Explanation, Given
from .line import in_one_term
from .matrices import singly
from .variants import of_another_place, placed

_PIECES = 24  # products of a term's factors, at most


def misplaced(case: Case, given: Given) -> Explanation | None:
    """One term in which what has a number for each row has that of another one, all that it was computed with together."""
    return in_one_term(case, given, _moved)


def _moved(found: Fused, term: Node) -> Iterator[tuple[str, Array]]:
    for piece, rest in _pieces(found, term):
        value = placed(found, found.at(piece))
        axes = tuple(a for a, n in zip(found.axes, value.shape) if n > 1)
        before = placed(found, found.at(rest))
        letter = Letter(found.hand(piece), axes, "statistic")
        for words, other in of_another_place(found, letter, value) if axes else ():
            made = before * other
            if np.broadcast_shapes(made.shape, found.shape) == found.shape:
                yield f"has {words} where {letter.name} belongs{_why(words)}", np.broadcast_to(made, found.shape)


def _pieces(found: Fused, term: Node) -> Iterator[tuple[Node, Node]]:
    """A sum with some of the factors that have a number for each row, too; and what is left."""
    factors = [one for f in (term.factors if isinstance(term, Product) else (term,)) for one in singly(f)]
    own = [f for f in factors if not isinstance(f, Number) and 0 < len(varies(f)) < len(found.axes)]
    told = set[Node]()
    for k in range(1, len(own) + 1):
        for some in combinations(range(len(own)), k):
            taken = [own[i] for i in some]
            piece = product_of(*taken)
            if not any(isinstance(f, Total) for f in taken) or piece in told:
                continue
            told.add(piece)
            left = list(factors)
            for f in taken:
                left.remove(f)
            yield piece, product_of(*left)
            if len(told) == _PIECES:
                return


def _why(words: str) -> str:
    return ": its axis is not kept (keepdims), and it is broadcast along the other" if " along ax" in words else ""
