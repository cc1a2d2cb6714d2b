"""Terms that do not belong to a formula: other formulas' terms, and its own with another letter."""

from __future__ import annotations

from collections.abc import Iterator

from ..derive.formula import Letter, Node, Number, Product, Total, places, product_of, replace
from .fused import Fused
from .slips import alike


def foreign(fused: Fused) -> Iterator[tuple[Node, str]]:
    """Terms of other formulas, added to this one."""
    flat: list[set[Node]] = [set(t.factors) if isinstance(t, Product) else {t} for t in fused.terms]
    common: set[Node] = set.intersection(*flat) if flat else set()
    shared = product_of(*(f for f in (fused.terms[0].factors if isinstance(fused.terms[0], Product) else ()) if f in common))
    axes = dict.fromkeys(n.axes for t in fused.terms for _, n in places(t) if isinstance(n, Total))
    for a in fused.arrays():
        inside: list[Node] = [a, *(Total(a, x, f) for x in axes for f in ("mean", "sum") if set(x) <= set(a.axes))]
        for node in inside:
            for term in dict.fromkeys((product_of(shared, node), node)):
                for sign in (-1, 1):
                    signed = product_of(Number(sign), term)
                    yield signed, f"has the term {fused.hand(signed)}, which does not belong there"


def once_more(fused: Fused) -> Iterator[tuple[Node, str]]:
    """One of the terms a second time, with another letter."""
    for term in fused.terms:
        factors = term.factors if isinstance(term, Product) else (term,)
        for f in (f for f in factors if isinstance(f, Letter) and f.axes):
            for other in (a for a in fused.arrays() if a != f and alike(fused, a, f)):
                for sign in (1, -1):
                    made = product_of(
                        Number(sign),
                        replace(term, {f: other})
                        if isinstance(term, Letter)
                        else product_of(*(other if x is f else x for x in factors)),
                    )
                    yield made, f"has the term {fused.hand(made)}, which does not belong there"
