"""A route's share as a formula: its pullbacks read over symbols, then rewritten by the derivation's own rules."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ..graph import Record, along
from ..graph.routes import ClosedForm, Route
from .errors import NotSymbolicError

if TYPE_CHECKING:
    from .letters import Letters

_letters: WeakKeyDictionary[Record, Letters | None] = WeakKeyDictionary()


def closed_form(route: Route) -> ClosedForm | None:
    """The formula of one route, for a cotangent called dy; None where an op on it has no symbolic meaning."""
    import sympy as sp

    from .letters import Letters, SymbolReading
    from .plain import Plain, Writing
    from .rules import Rewriting
    from .symbols import Letter, Symbol
    from .writer import Text

    graph = route.graph
    if any(t.size == 0 for t in graph.tensors):
        return None
    if graph not in _letters:
        try:
            _letters[graph] = Letters(graph)
        except NotSymbolicError:
            _letters[graph] = None
    letters = _letters[graph]
    if letters is None:
        return None
    out = letters.of[graph.output]
    taken = {a.name for a in letters.values if isinstance(a, Letter)}
    name = f"d{graph.nodes[-1].label}"
    dy = Letter(f"d({graph.nodes[-1].label})" if name in taken else name, out.expr.axes)
    try:
        share = along(graph, route.edges, Symbol(dy, out.dims, letters), SymbolReading(letters)).expr
    except NotSymbolicError:
        return None
    if share.has(sp.zoo, sp.nan, sp.oo, -sp.oo):  # a division by what is zero for any numbers
        return None
    write = Writing(Plain(letters, [dy]), Text)
    rules = Rewriting(letters, dy, write, letters.of[graph.tensors[route.edges[0].source]].expr) if route.edges else None
    if rules is None:
        return ClosedForm(write(share))
    rules.expanding = False  # one route is one product
    expr = rules.leave(share)[0]
    known = rules.vanish(expr)[0]
    if known == 0 and expr != 0:
        return ClosedForm(write(rules.means(expr)[0]), "; ".join(lemma.why for lemma in rules.lemmas))
    return ClosedForm(write(rules.means(rules.shorten(known)[0])[0]))
