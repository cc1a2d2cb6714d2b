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
    taken = {str(s.expr) for s in letters.values()} | {name_of(s.expr) for s in letters.values()}
    name = f"d{graph.nodes[-1].label}"
    name = f"d({graph.nodes[-1].label})" if name in taken else name
    dy = atom(name, letters[graph.output].shape)
    share = along(graph, route.edges, dy, Reading(letters.__getitem__)).expr
    zero = _why_zero(share, graph, letters)
    if zero is None:
        share = _fold_products(share, graph, letters)
    return ClosedForm(write(share, graph, letters, name), zero)


def _why_zero(expr: Any, graph: Graph, letters: dict[Tensor, Any]) -> str | None:
    """Deviations from a mean sum to zero: a factor Σ(x − mean(x)) makes the whole share vanish."""
    import sympy as sp

    from .symbols import index

    summed = {s.function: {limit[0] for limit in s.limits} for s in expr.atoms(sp.Sum) if s in sp.Mul.make_args(expr)}
    for node in graph.nodes:
        t = node.tensor
        if t.op is None or t.op.name != "sub" or letters[t].expr not in summed:
            continue
        x, mu = t.inputs
        if not isinstance(mu, Tensor) or mu.op is None or mu.op.name != "mean" or mu.inputs[0] is not x:
            continue
        if {index(letters[x].shape[a]) for a in mu.params["axis"]} <= summed[letters[t].expr]:
            return f"Σ({node.label}) = 0: {node.label} = {node.text} are deviations from their own mean"
    return None


def _fold_products(expr: Any, graph: Graph, letters: dict[Tensor, Any]) -> Any:
    """Write c as x̂/rstd where x̂ = c·rstd is on the record, if that makes the formula shorter."""
    import sympy as sp

    for node in graph.nodes:
        t = node.tensor
        if t.name is None or t.op is None or t.op.name != "mul" or not all(isinstance(x, Tensor) for x in t.inputs):
            continue
        a, b = (letters[x].expr for x in t.inputs)
        if len(letters[t.inputs[0]].expr.free_symbols) < len(letters[t.inputs[1]].expr.free_symbols):
            a, b = b, a
        other = expr.xreplace({a: letters[t].expr / b})
        other = other.replace(sp.Sum, _sum_again)
        expr = min(expr, other, key=lambda e: (_length(e), e is other))
    return expr


def _sum_again(expr: Any, *limits: Any) -> Any:
    from .symbols import sigma

    for _, _, size in limits:
        expr = sigma(expr, size)
    return expr


def name_of(expr: Any) -> str:
    """The letter of a symbol, with or without indices."""
    return str(getattr(expr, "base", expr))


def _length(expr: Any) -> int:
    import sympy as sp

    return sum(int(abs(p.exp)) if isinstance(p, sp.Pow) and p.exp.is_Integer else 1 for p in sp.preorder_traversal(expr))


def write(expr: Any, graph: Graph, letters: dict[Tensor, Any], cotangent: str) -> str:
    """One line of text: statistics first, then the rest, sums over counted axes as means.

    Σ and mean are over the output's last axis, or name theirs: ``mean_B``.
    """
    import sympy as sp

    from .symbols import axes_of

    last = axes_of(graph)[-1:]

    def over(s: Any) -> str:
        sizes = [limit[2] for limit in s.limits]
        return "" if sizes == last else "_" + "".join(str(a) for a in axes_of(graph) if a in sizes)

    order = {cotangent: (2, 0)}
    for node in graph.nodes:
        computed = node.op is not None
        order[name_of(letters[node.tensor].expr)] = ((0 if node.role == "statistic" else 1) if computed else 3, node.id)

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
            sizes = [limit[2] for limit in s.limits]
            counts = {size: next((f for f in factors if _is_power(f, size)), None) for size in sizes}
            if all(f is not None for f in counts.values()):
                factors.remove(s)
                for size, f in counts.items():
                    factors.remove(f)
                    factors += [f * size] if f * size != 1 else []
                means.append(f"mean{over(s)}({atom_text(s.function)})")
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
            return f"Σ{over(expr)}({atom_text(expr.function)})"
        if isinstance(expr, sp.Pow) and expr.exp.is_Integer and expr.exp > 0:
            base = atom_text(expr.base)
            return f"{base}{str(expr.exp).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
        if isinstance(expr, sp.Mul):
            return product(expr)
        if isinstance(expr, sp.Add):
            return f"({write(expr, graph, letters, cotangent)})"
        if isinstance(expr, sp.Function):
            return f"{expr.func.__name__}({', '.join(write(a, graph, letters, cotangent) for a in expr.args)})"
        return str(expr)

    terms = sorted(sp.Add.make_args(expr), key=lambda t: (len(str(t)), str(t)))
    text = " + ".join(product(t) for t in terms)
    return text.replace("+ −", "− ")


def _is_power(factor: Any, size: Any) -> bool:
    """1/size, 1/size², …"""
    base, power = factor.as_base_exp()
    return bool((base == size and power.is_negative) or (base == 1 / size and power.is_positive))


def _below(factor: Any) -> bool:
    import sympy as sp

    return isinstance(factor, sp.Pow) and factor.exp.is_number and factor.exp < 0
