"""A route's share as a formula: its pullbacks read over symbols, then written as a textbook would."""

from __future__ import annotations

from typing import Any

from ..engine import Reading, Tensor
from ..graph import Graph
from ..graph.routes import ClosedForm, Route, along


def closed_form(route: Route) -> ClosedForm | None:
    """The formula of one route, for a cotangent called dy; None where an op on it has no symbolic meaning."""
    from .symbols import NotSymbolicError, atom, symbols_of

    graph = route.graph
    try:
        letters = symbols_of(graph)
    except NotSymbolicError:
        return None
    name = f"d{graph.nodes[-1].label}"
    dy = atom(name, letters[graph.output].shape)
    share = along(graph, route.edges, dy, Reading(letters.__getitem__)).expr
    zero = _why_zero(share, graph, letters)
    if zero is None:
        share = _fold_products(share, graph, letters)
    return ClosedForm(write(share, graph, name), zero)


def _why_zero(expr: Any, graph: Graph, letters: dict[Tensor, Any]) -> str | None:
    """Deviations from a mean sum to zero: a factor Σ(x − mean(x)) makes the whole share vanish."""
    import sympy as sp

    summands = {s.function: s.limits[0][0] for s in expr.atoms(sp.Sum) if s in sp.Mul.make_args(expr)}
    for node in graph.nodes:
        t = node.tensor
        if t.op is None or t.op.name != "sub" or letters[t].expr not in summands:
            continue
        x, mu = t.inputs
        if isinstance(mu, Tensor) and mu.op is not None and mu.op.name == "mean" and mu.inputs[0] is x:
            return f"Σ({node.label}) = 0: {node.label} = {node.text} are deviations from their own mean"
    return None


def _fold_products(expr: Any, graph: Graph, letters: dict[Tensor, Any]) -> Any:
    """Write c as x̂/rstd where x̂ = c·rstd is on the record, if that makes the formula shorter."""
    import sympy as sp

    from .symbols import sigma

    for node in graph.nodes:
        t = node.tensor
        if t.name is None or t.op is None or t.op.name != "mul" or not all(isinstance(x, Tensor) for x in t.inputs):
            continue
        a, b = (letters[x].expr for x in t.inputs)
        if len(letters[t.inputs[0]].expr.free_symbols) < len(letters[t.inputs[1]].expr.free_symbols):
            a, b = b, a
        other = expr.xreplace({a: letters[t].expr / b})
        other = other.replace(sp.Sum, lambda f, limits: sigma(f, limits[2]))
        expr = min(expr, other, key=lambda e: (_length(e), e is other))
    return expr


def _length(expr: Any) -> int:
    import sympy as sp

    return sum(int(abs(p.exp)) if isinstance(p, sp.Pow) and p.exp.is_Integer else 1 for p in sp.preorder_traversal(expr))


def write(expr: Any, graph: Graph, cotangent: str) -> str:
    """One line of text: statistics first, then the rest, sums over a counted axis as means."""
    import sympy as sp

    order = {cotangent: (2, 0)}
    for node in graph.nodes:
        computed = node.op is not None
        order[node.operand] = ((0 if node.role == "statistic" else 1) if computed else 3, node.id)

    def key(factor: Any) -> tuple[int, int, str]:
        if factor.is_number:
            return (-1, 0, "")
        if factor.has(sp.Sum):
            return (4, 0, str(factor))
        names = [str(a.base) for a in factor.atoms(sp.Indexed)] or [str(a) for a in factor.free_symbols] or [str(factor)]
        return (*min(order.get(n, (3, 0)) for n in names), str(factor))

    def product(expr: Any) -> str:
        number, rest = expr.as_coeff_Mul()
        factors = list(sp.Mul.make_args(rest)) if rest != 1 else []
        means: list[str] = []
        for s in [f for f in factors if isinstance(f, sp.Sum)]:
            size = s.limits[0][2]
            if 1 / size in factors or 1 / size**2 in factors:
                left = 1 / size if 1 / size**2 in factors else None
                factors.remove(s)
                factors.remove(1 / size if left is None else 1 / size**2)
                factors += [left] if left is not None else []
                means.append(f"mean({atom_text(s.function)})")
        above = [atom_text(f) for f in sorted(factors, key=key) if not _below(f)] + sorted(means)
        below = [atom_text(1 / f) for f in sorted(factors, key=key) if _below(f)]
        sign = "−" if number < 0 else ""
        number = abs(number)
        if number != 1 or not above:
            above.insert(0, str(number))
        return sign + "·".join(above) + "".join(f"/{d}" for d in below)

    def atom_text(expr: Any) -> str:
        if isinstance(expr, sp.Indexed):
            return str(expr.base)
        if isinstance(expr, sp.Sum):
            return f"Σ({atom_text(expr.function)})"
        if isinstance(expr, sp.Pow) and expr.exp.is_Integer and expr.exp > 0:
            base = atom_text(expr.base)
            return f"{base}{str(expr.exp).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
        if isinstance(expr, sp.Mul):
            return product(expr)
        if isinstance(expr, sp.Add):
            return f"({write(expr, graph, cotangent)})"
        if isinstance(expr, sp.Function):
            return f"{expr.func.__name__}({', '.join(write(a, graph, cotangent) for a in expr.args)})"
        return str(expr)

    terms = sorted(sp.Add.make_args(expr), key=lambda t: (len(str(t)), str(t)))
    text = " + ".join(product(t) for t in terms)
    return text.replace("+ −", "− ")


def _below(factor: Any) -> bool:
    import sympy as sp

    return isinstance(factor, sp.Pow) and factor.exp.is_number and factor.exp < 0
