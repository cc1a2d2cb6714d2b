"""The third reading: the engine's own backward pass over SymPy symbols gives the formula, one term per route."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

import tinygrad_norm as tn
from tinygrad_norm.derive.symbols import NotSymbolicError, Symbol, atom, index, sigma, symbols_of
from tinygrad_norm.engine import TABLE, Reading, pull_back

from ..graph.test_routes import layer_norm

B, N = sp.Symbol("B", integer=True, positive=True), sp.Symbol("N", integer=True, positive=True)
b, n = index(B), index(N)


def read(graph, targets):
    letters = symbols_of(graph)
    dy = atom("dy", letters[graph.output].shape)
    return pull_back({graph.output: dy}, targets, Reading(letters.__getitem__))


def test_layer_norm_backward_is_one_term_per_route():
    x, w, beta, y, _ = layer_norm()
    found = read(tn.graph(y), [x, w, beta])
    c, rstd, dy, gamma, xhat = (sp.IndexedBase(s) for s in ("c", "rstd", "dy", "γ", "x̂"))
    over = lambda e: sp.Sum(e, (n, 1, N))  # noqa: E731
    r, g = rstd[b], dy[b, n] * gamma[n]
    terms = {
        g * r,
        -r * over(g) / N,
        -(r**3) * c[b, n] * over(c[b, n] * g) / N,
        r**3 * over(c[b, n]) * over(c[b, n] * g) / N**2,
    }
    assert set(sp.Add.make_args(sp.expand(found[x].expr))) == terms
    assert len(terms) == tn.graph(y).count_routes(x)
    assert found[w].expr == sp.Sum(xhat[b, n] * dy[b, n], (b, 1, B))
    assert found[beta].expr == sp.Sum(dy[b, n], (b, 1, B))
    assert found[w].shape == found[beta].shape == (N,)


def evaluate(expr, graph, cotangent, shape):
    """The formula in numbers: sizes put in, sums carried out, letters replaced by the recorded arrays."""
    arrays = {node.operand: node.tensor.data for node in graph.nodes} | {"dy": cotangent}
    sizes = dict(zip((B, N), shape))
    out = np.empty(shape)
    for i in np.ndindex(shape):
        at = expr.subs(sizes).doit().subs({b: i[0] + 1, n: i[1] + 1})
        values = {}
        for a in at.atoms(sp.Indexed):
            array = np.squeeze(arrays[str(a.base)])
            values[a] = float(array[tuple(int(k) - 1 for k in a.indices)])
        for s in at.free_symbols & {sp.Symbol(label) for label, a in arrays.items() if a.size == 1}:
            values[s] = float(np.squeeze(arrays[str(s)]))
        out[i] = float(at.xreplace(values))
    return out


def test_the_formula_has_the_numbers_of_the_record():
    x, _, _, y, dy = layer_norm(shape=(2, 3))
    graph = tn.graph(y)
    formula = read(graph, [x])[x].expr
    np.testing.assert_allclose(evaluate(formula, graph, dy, (2, 3)), tn.grad(y, x, dy)[0].data, rtol=1e-10)


@pytest.mark.parametrize(
    "build",
    [
        lambda x: x.exp() * x,
        lambda x: x.tanh() - x.mean(-1, True),
        lambda x: (x**2).sum(-1, True).sqrt() * x,
        lambda x: x / (x**2 + 1.0),
        lambda x: (x * x).log() * x.mean(0, True),
        lambda x: x.mean(0, True) * TABLE["sin"](x) + TABLE["cos"](x * 0.5),
        lambda x: TABLE["erf"](x) * TABLE["expm1"](x * x),
        lambda x: TABLE["log1p"](x * x) / (x**2).mean((0, 1), True),
    ],
)
def test_other_graphs_too(build):
    x = tn.tensor(np.random.default_rng(1).normal(1, 1, (2, 3)), requires_grad=True, name="x")
    y = build(x)
    graph, dy = tn.graph(y), np.random.default_rng(2).normal(size=(2, 3))
    formula = read(graph, [x])[x].expr
    np.testing.assert_allclose(evaluate(formula, graph, dy, (2, 3)), tn.grad(y, x, dy)[0].data, rtol=1e-9)


def test_sums_let_go_of_what_does_not_vary():
    x, r = sp.IndexedBase("x")[b, n], sp.IndexedBase("r")[b]
    assert sigma(r * x, N) == r * sp.Sum(x, (n, 1, N))
    assert sigma(r, N) == N * r
    assert sigma(x + r, N) == sp.Sum(x, (n, 1, N)) + N * r


def test_what_has_no_formula_yet_says_so():
    a = tn.tensor(np.ones((2, 2)), requires_grad=True, name="a")
    with pytest.raises(NotSymbolicError, match=r"matmul.*no symbolic meaning"):
        symbols_of(tn.graph(a @ a))
    (route,) = tn.graph((a * 2.0).reshape(4)).routes(a)
    assert route.closed_form is None
    assert "×2" in str(tn.graph((a * 2.0).reshape(4)).routes(a))


def test_a_scalar_is_a_letter_too():
    x = tn.tensor(3.0, requires_grad=True, name="x")
    routes = tn.graph(x * x + x).routes(x)
    assert [r.closed_form.text for r in routes] == ["dy", "dy·x", "dy·x"]
    assert isinstance(atom("x", ()), Symbol)
