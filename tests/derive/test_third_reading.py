"""The third reading: the engine's own backward pass over letters gives the formula, one term per route."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

import tinygrad_norm as tn
from tinygrad_norm.derive import NotSymbolicError
from tinygrad_norm.derive.algebra import multiplied_out
from tinygrad_norm.derive.letters import Letters, SymbolReading
from tinygrad_norm.derive.normal import part_sum
from tinygrad_norm.derive.symbols import Letter, Mean, Sigma, Symbol, sigma, varies
from tinygrad_norm.engine import TABLE, pull_back

from ..graph.test_routes import layer_norm

B, N = (sp.Symbol(name, integer=True, positive=True) for name in "BN")


def read(graph, targets):
    """The letters, the cotangent's one, and the formulas of the targets' gradients."""
    letters = Letters(graph)
    out = letters.of[graph.output]
    dy = Letter("dy", out.expr.axes)
    found = pull_back({graph.output: Symbol(dy, out.dims, letters)}, targets, SymbolReading(letters))
    return letters, dy, found


def test_layer_norm_backward_is_one_term_per_route():
    x, w, beta, y, _ = layer_norm()
    letters, dy, found = read(tn.graph(y), [x, w, beta])
    by_name = {s.expr.name: s.expr for s in letters.of.values() if isinstance(s.expr, Letter)}
    c, r, gamma, xhat = (by_name[name] for name in ("c", "rstd", "γ", "x̂"))
    assert [set(map(str, a.axes)) for a in (c, r, gamma, xhat)] == [{"B", "N"}, {"B"}, {"N"}, {"B", "N"}]
    over = lambda e: Sigma(e, N)  # noqa: E731
    g = dy * gamma
    terms = {
        g * r,
        -r * over(g) / N,
        -(r**3) * c * over(c * g) / N,
        r**3 * over(c) * over(c * g) / N**2,
    }
    expr = multiplied_out(found[x].expr)
    expr = multiplied_out(expr.replace(Sigma, parts))
    assert set(sp.Add.make_args(expr)) == terms
    assert len(terms) == tn.graph(y).count_routes(x)
    assert found[w].expr == Sigma(xhat * dy, B)
    assert found[beta].expr == Sigma(dy, B)
    assert found[w].dims == found[beta].dims == ((N,),)


def parts(*args):
    s = Sigma(*args)
    return sp.Add(*(part_sum(t, s.args[1:]) for t in sp.Add.make_args(multiplied_out(s.args[0]))))


def numbers_of(graph, target, cotangent):
    """The formula of the gradient in numbers, in the target's shape."""
    letters, dy, found = read(graph, [target])
    out = letters.of[graph.output]
    number = letters.number(found[target].expr, {dy: letters.spread(cotangent, out.dims)})
    return np.broadcast_to(number, letters.spread(target.data, letters.axes.dims[target]).shape).reshape(target.shape)


def test_the_formula_has_the_numbers_of_the_record():
    x, w, _, y, dy = layer_norm(shape=(2, 3))
    for leaf in (x, w):
        np.testing.assert_allclose(numbers_of(tn.graph(y), leaf, dy), tn.grad(y, leaf, dy)[0].data, rtol=1e-10)


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
        lambda x: TABLE["sigmoid"](x) * TABLE["rsqrt"](x * x + 1.0) - TABLE["abs"](x),
        lambda x: TABLE["softmax"](x, axis=(1,)) * x + TABLE["log_softmax"](x, axis=(0,)),
        lambda x: TABLE["logsumexp"](x, axis=(1,)) * x,
        lambda x: x.reshape(6).sum(0) * x,
        lambda x: (x / x) * x**-2 + x**0,
    ],
)
def test_other_graphs_too(build):
    x = tn.tensor(np.random.default_rng(1).normal(1, 1, (2, 3)), requires_grad=True, name="x")
    y = build(x)
    dy = np.random.default_rng(2).normal(size=(2, 3))
    np.testing.assert_allclose(numbers_of(tn.graph(y), x, dy), tn.grad(y, x, dy)[0].data, rtol=1e-9)


def test_sums_let_go_of_what_does_not_vary():
    x, r, z = Letter("x", {B, N}), Letter("r", {B}), Letter("z", {N})
    assert part_sum(r * x, {N}) == r * Sigma(x, N)
    assert part_sum(r, {N}) == N * r
    assert part_sum(sp.Integer(1), {B, N}) == B * N
    assert part_sum(r * z, {B, N}) == Sigma(r, B) * Sigma(z, N)
    assert part_sum(r * Sigma(x, N), {B}) == sigma(r * x, {B, N})
    assert part_sum(x * Sigma(x, N), {N}) == Sigma(x, N) ** 2
    assert part_sum(z * Sigma(x, B), {N}) == sigma(x * z, {B, N})
    assert part_sum(x * Sigma(x, N), {B}) == Sigma(x * Sigma(x, N), B)  # the two N are not the same running index
    assert part_sum(Sigma(x, N) ** 2, {B}) == Sigma(Sigma(x, N) ** 2, B)


def test_an_expression_knows_what_it_varies_along():
    x, r = Letter("x", {B, N}), Letter("r", {B})
    assert varies(x) == {B, N}
    assert varies(Sigma(x, N)) == varies(Mean(x, N)) == varies(r) == {B}
    assert varies(r + Sigma(x, B)) == {B, N}
    assert varies(N * sp.Integer(3)) == frozenset()
    assert Letter("x", {B}) != Letter("x", {N})
    assert Letter("x", {B, N}) == x


def test_what_has_no_formula_yet_says_so():
    a = tn.tensor(np.ones((2, 2)), requires_grad=True, name="a")
    graph = tn.graph(a @ a)
    with pytest.raises(NotSymbolicError, match="matmul: this op has no formula over named axes"):
        read(graph, [a])
    assert [r.closed_form for r in graph.routes(a)] == [None, None]
    (route,) = tn.graph(a.max(1, keepdims=True)).routes(a)
    assert route.closed_form.text == "dy·[a = y]/Σ([a = y])"  # equal entries share
    (route,) = tn.graph((a * 2.0).reshape(4)).routes(a)
    assert route.closed_form.text == "2·dy"  # a reshape that merges axes is only another name


def test_a_scalar_is_a_letter_too():
    x = tn.tensor(3.0, requires_grad=True, name="x")
    routes = tn.graph(x * x + x).routes(x)
    assert [r.closed_form.text for r in routes] == ["dy", "dy·x", "dy·x"]
    letters = Letters(tn.graph(x * x + x))
    assert letters.of[x].expr == Letter("x")
    assert letters.of[x].shape == ()
