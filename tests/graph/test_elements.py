"""Graphs number by number: every derivative on an arrow is the engine's, and together they are the chain rule."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_norm as tn
from tinygrad_norm.engine import GradientError, InPlaceError, Op
from tinygrad_norm.engine import functions as ops
from tinygrad_norm.engine.primitives import TABLE, maximum, tanh, where
from tinygrad_norm.graph import Elements, elements, replay
from tinygrad_norm.graph.elements import number_text, subscript
from tinygrad_norm.norms import draw, get, layer_norm, names

from .test_folding import network

MODULE = importlib.import_module("tinygrad_norm.graph.elements")


def leaf(name, values, dtype="float64", grad=True):
    return tn.tensor(np.asarray(values, dtype), requires_grad=grad, name=name)


def drawn(name, *shape, dtype="float64"):
    return leaf(name, np.random.default_rng(len(shape)).normal(size=shape), dtype)


def normalized(values=((1.0, 2.0, 6.0),), dtype="float64"):
    n = len(values[0])
    return tn.graph(layer_norm(leaf("x", values, dtype), n, drawn("γ", n, dtype=dtype), drawn("β", n, dtype=dtype)))


def sample(name, backward, shape=None):
    norm, rng = get(name), np.random.default_rng(0)
    shape = shape or norm.shape
    values = {n: draw(norm, n, rng, s) for n, s in {"input": shape, **norm.parameters(shape, **norm.options)}.items()}
    inputs = {n: tn.tensor(v, requires_grad=v.dtype.kind == "f", name=norm.symbol(n)) for n, v in values.items()}
    return tn.graph(norm.apply(inputs, backward=backward, **norm.options))


def arrows(e):
    """(source, target, position): rule, by labels."""
    return {(e.nodes[a.source].label, e.nodes[a.target].label, a.position): a.rule for a in e.edges}


def chain_rule_gap(e, dy=None):
    """The largest |Σ derivative × gradient of the target − gradient| over all nodes but the output's, relative to its sum."""
    gradients = e.gradients(dy)
    sums, sizes = np.zeros(len(e.nodes)), np.ones(len(e.nodes))
    for edge, slope in zip(e.edges, e.derivatives):
        if slope:
            sums[edge.source] += slope * gradients[edge.target]
            sizes[edge.source] += abs(slope * gradients[edge.target])
    last = {n.id for n in e.entries(e.output)}
    return max(abs(sums[k] - g) / sizes[k] for k, g in gradients.items() if k not in last)


# Layer normalization of three numbers ------------------------------------------------------------------------


def test_layer_norm_of_three_numbers():
    e = normalized().elements()
    labels = "x₁ x₂ x₃ γ₁ γ₂ γ₃ β₁ β₂ β₃ μ c₁ c₂ c₃ c₁² c₂² c₃² σ² σ²+1e-05 rstd x̂₁ x̂₂ x̂₃ (x̂·γ)₁ (x̂·γ)₂ (x̂·γ)₃ y₁ y₂ y₃"
    assert [n.label.replace(" ", "") for n in e.nodes] == labels.split()
    found = arrows(e)
    assert len(found) == len(e.edges) == len(e.derivatives) == 35
    assert found["x₁", "μ", 0] == "×0.333"
    assert found["μ", "c₃", 1] == "×−1"
    assert found["x₃", "c₃", 0] == "×1"
    assert found["c₃", "c₃²", 0] == "×6"
    assert ("x₁", "c₂", 0) not in found
    assert e.note == "12 tensors as 28 numbers"
    assert repr(e) == "<graph of y: 12 tensors as 28 numbers, 35 edges>"
    assert not any(edge.summed for edge in e.edges), "every share has its own arrow"


def test_nodes_hold_their_numbers_and_follow_their_tensors():
    g = normalized()
    e = g.elements()
    for tensor in g.tensors:
        old, new = g.node(tensor), e.entries(tensor)
        assert [n.tensor.item() for n in new] == tensor.data.ravel().tolist()
        assert {(n.op, n.role, n.scope, n.dtype, n.shape) for n in new} == {(old.op, old.role, old.scope, old.dtype, ())}
        assert all(n.tensor.is_leaf for n in new)
    assert [n.id for n in e.nodes] == list(range(28))
    assert all(edge.source < edge.target for edge in e.edges)
    assert [(a.target, a.position, a.source) for a in e.edges] == sorted((a.target, a.position, a.source) for a in e.edges)


def test_formulas_name_the_numbers():
    texts = {n.label: n.text for n in normalized(((1.0, 2.0), (3.0, 5.0))).elements().nodes}
    assert texts["c₁₂"] == "x₁₂ − μ₁"
    assert texts["x̂₂₁"] == "c₂₁·rstd₂"
    assert texts["(x̂·γ)₂₁"] == "x̂₂₁·γ₁"
    assert texts["(σ² + 1e-05)₂"] == "σ₂² + 1e-05"
    assert texts["μ₁"] == "mean(x)"
    a = leaf("a", [2.0, 3.0])
    texts = {n.label: n.text for n in tn.graph((a * a + 1.0).named("b") ** 2).elements().nodes}
    assert texts["y₁"] == "b₁²"
    alone = tn.graph(layer_norm(drawn("x", 1, 1), 1)).elements().nodes
    assert next(n.operand for n in alone if n.label == "σ² + 1e-05") == "(σ² + 1e-05)"


# The chain rule ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@pytest.mark.costly(10)
def test_the_arrows_of_every_norm_add_up_to_the_gradient(monkeypatch, name, backward):
    monkeypatch.setattr(MODULE, "MOST", 400)
    e = sample(name, backward).elements()
    if (name, backward) == ("power_norm", "analytic"):
        with pytest.raises(GradientError, match=r"the rule of power_norm for its input 1 is no derivative: .*Draw whole tensors"):
            _ = e.edges
        return
    assert chain_rule_gap(e) < 1e-12


@st.composite
def random_graphs(draw):
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    shapes = [(2, 2), (2,), (2, 1), ()]
    tensors = [leaf(f"a{i}", rng.normal(size=draw(st.sampled_from(shapes)))) for i in range(draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(1, 10))):
        a, b = (tensors[draw(st.integers(0, len(tensors) - 1))] for _ in range(2))
        kind = draw(st.sampled_from("+-*trmsT"))
        if kind in "+-*":
            made = {"+": a + b, "-": a - b, "*": a * b}[kind]
        elif kind in "tr":
            made = tanh(a) if kind == "t" else ops.clamp(a, min=0)
        elif a.ndim and kind in "ms":
            made = a.mean(-1, keepdims=True) if kind == "m" else ops.softmax(a, -1)
        else:
            made = a.T
        tensors.append(made)
    return tn.graph(tensors[-1] if tensors[-1].op else tanh(tensors[-1]))


@settings(max_examples=60)
@given(random_graphs())
def test_the_arrows_of_random_graphs_add_up_to_the_gradient(g):
    e = g.elements()
    assert chain_rule_gap(e, np.random.default_rng(1).normal(size=g.output.shape)) < 1e-12


OPS = {
    "matmul": (lambda a: a @ leaf("W", [[1.0, 0.0], [2.0, -1.0], [0.0, 3.0]]), (2, 3)),
    "matmul with itself": (lambda a: a @ a, (2, 2)),
    "einsum": (lambda a: ops.einsum("ij,kj->ik", a, leaf("W", [[1.0, 0.0, 2.0]])), (2, 3)),
    "sum": (lambda a: a.sum(0), (2, 3)),
    "max": (lambda a: a.max(axis=-1), (2, 3)),
    "prod": (lambda a: ops.prod(a, -1), (2, 3)),
    "cumsum": (lambda a: ops.cumsum(a, 0), (4,)),
    "softmax": (lambda a: ops.softmax(a, -1), (2, 3)),
    "logsumexp": (lambda a: ops.logsumexp(a, 0), (2, 3)),
    "reshape": (lambda a: a.reshape(3, 2) * 2.0, (2, 3)),
    "transpose": (lambda a: a.T * 2.0, (2, 3)),
    "getitem twice": (lambda a: a[[0, 1, 0]] * 2.0, (3,)),
    "pad": (lambda a: ops.pad(a, (1, 0)) * 2.0, (3,)),
    "stack": (lambda a: ops.stack([a, a * a]), (3,)),
    "broadcast": (lambda a: a * leaf("b", [1.0, 2.0, 3.0]) - a, (2, 1)),
    "sort": (lambda a: ops.sort(a).values * 2.0, (4,)),
    "checkpoint": (lambda a: tn.checkpoint(lambda t: t * t + t.sum())(a), (3,)),
}


@pytest.mark.parametrize("name", OPS)
def test_numbers_are_those_of_the_jacobian(name):
    f, shape = OPS[name]
    a = drawn("a", *shape)
    e = tn.graph(f(a)).elements()
    jacobian = np.eye(len(e.nodes))  # of each node by each, along all ways, as the nodes come
    for edge, slope in zip(e.edges, e.derivatives):
        jacobian[edge.target] += slope * jacobian[edge.source]
    rows, columns = ([n.id for n in e.entries(t)] for t in (e.output, a))
    expected = tn.jacobian(f, a).data.reshape(len(rows), len(columns))
    np.testing.assert_allclose(jacobian[np.ix_(rows, columns)], expected, rtol=0, atol=1e-12)


def test_float32_is_float32():
    e = normalized(dtype="float32").elements()
    assert {n.dtype for n in e.nodes} == {"float32"}
    assert all(np.float32(d) == d for d in e.derivatives)
    assert 0 < chain_rule_gap(e) < 1e-6
    mixed = tn.graph(leaf("x", [1.0, 3.0], "float16").astype("float32").mean()).elements()
    assert [n.dtype for n in mixed.nodes] == ["float16"] * 2 + ["float32"] * (len(mixed.nodes) - 2)
    assert list(arrows(mixed).values())[:4] == ["×1", "×1", "×0.5", "×0.5"]


# Which arrows there are ----------------------------------------------------------------------------------------


def rules(e, op):
    """The rules on the arrows into the results of one op."""
    return [edge.rule for edge in e.edges if e.nodes[edge.target].op == op]


def test_a_derivative_that_happens_to_be_zero_has_its_arrow():
    e = normalized(((2.0, 2.0, 2.0),)).elements()
    assert [arrows(e)[f"c{k}", f"c{k}²", 0] for k in "₁₂₃"] == ["×0"] * 3
    assert len(e.edges) == 35
    x = leaf("x", [-1.0, 0.0, 2.0])
    assert rules(tn.graph(TABLE["relu"](x)).elements(), "relu") == ["×0", "×0", "×1"]
    assert rules(tn.graph(x * 0.0).elements(), "mul") == ["×0"] * 3
    assert rules(tn.graph(x.max(axis=-1)).elements(), "max") == ["×0", "×0", "×1"]
    assert rules(tn.graph(-(-x).max(axis=-1)).elements(), "max") == ["×1", "×0", "×0"]
    assert rules(tn.graph(maximum(x, 1.0)).elements(), "maximum") == ["×0", "×0", "×1"]
    assert rules(tn.graph(ops.prod(leaf("x", [0.0, 0.0, 2.0]), 0)).elements(), "prod") == ["×0"] * 3
    zeros = leaf("W", np.zeros((2, 2)))
    assert rules(tn.graph(leaf("a", np.zeros((2, 2))) @ zeros).elements(), "matmul") == ["×0"] * 16


def test_a_derivative_that_must_be_zero_has_none():
    a = drawn("a", 3, 2)
    assert len(rules(tn.graph(a @ drawn("W", 2, 2)).elements(), "matmul")) == 6 * 4
    assert len(rules(tn.graph(ops.cumsum(a, 0)).elements(), "cumsum")) == 2 * (1 + 2 + 3)
    assert len(rules(tn.graph(ops.softmax(a, -1)).elements(), "softmax")) == 3 * 4
    assert len(rules(tn.graph(a.T).elements(), "transpose")) == 6
    analytic = sample("layer_norm", "analytic", shape=(2, 3)).elements()
    assert len([p for *_, p in arrows(analytic) if p == 0]) == 2 * 9, "rows do not mix"
    e = tn.graph(leaf("x", [1.0, 2.0, 3.0, 4.0])[1:3] * 2.0).elements()
    assert set(arrows(e)) == {("x₂", "x[1:3]₁", 0), ("x₃", "x[1:3]₂", 0), ("x[1:3]₁", "y₁", 0), ("x[1:3]₂", "y₂", 0)}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_numbers_lead_to_the_same_arrows(bad):
    with np.errstate(invalid="ignore"):  # of the forward
        g = normalized(((1.0, bad, 6.0),))
    e = g.elements()
    assert set(arrows(e)) == set(arrows(normalized().elements()))
    assert "×nan" in arrows(e).values()
    zero = tn.graph(leaf("x", [0.0, 4.0]).sqrt()).elements()
    assert arrows(zero) == {("x₁", "y₁", 0): "×inf", ("x₂", "y₂", 0): "×0.25"}


def test_both_inputs_of_a_product_with_itself():
    a = leaf("a", [3.0, 5.0])
    e = tn.graph(a * a).elements()
    assert arrows(e) == {("a₁", "y₁", 0): "×3", ("a₁", "y₁", 1): "×3", ("a₂", "y₂", 0): "×5", ("a₂", "y₂", 1): "×5"}
    assert [float(g) for g in e.gradients(np.ones(2)).values()] == [6.0, 10.0, 1.0, 1.0]


def test_broadcasting_is_one_arrow_for_each_copy():
    a, b = leaf("a", [[1.0], [2.0]]), leaf("b", [3.0, 4.0, 5.0])
    e = tn.graph(a * b).elements()
    assert arrows(e) == {
        **{(f"a{'₁₂'[i]}", f"y{'₁₂'[i]}{'₁₂₃'[j]}", 0): f"×{3 + j}" for i in range(2) for j in range(3)},
        **{(f"b{'₁₂₃'[j]}", f"y{'₁₂'[i]}{'₁₂₃'[j]}", 1): f"×{1 + i}" for i in range(2) for j in range(3)},
    }
    assert not any(edge.summed for edge in e.edges)


def test_where_nothing_flows_back():
    x = leaf("x", [1.0, -2.0])
    condition = tn.tensor(np.array([True, False]), name="m")
    e = tn.graph(where(condition, x, 0.0)).elements()
    assert arrows(e) == {
        ("m₁", "y₁", 0): "no gradient",
        ("m₂", "y₂", 0): "no gradient",
        ("x₁", "y₁", 1): "×1",
        ("x₂", "y₂", 1): "×0",
    }
    assert e.derivatives[0] == 0
    count = tn.tensor(np.array([2, 3]), name="n")
    assert arrows(tn.graph(x * count).elements())["n₁", "y₁", 1] == "no gradient", "whole numbers have none"
    mystery = Op("mystery", "mystery({0})", lambda a: np.sin(a) + a.sum())
    found = arrows(tn.graph(mystery(x)).elements())
    assert found == {(f"x{i}", f"y{k}", 0): "no gradient" for i in "₁₂" for k in "₁₂"}


def test_a_rule_that_is_no_derivative_is_refused():
    clipped = Op("clipped", "clipped({0})", lambda a: a * 1.0, (lambda g, out, a: tanh(g),), elementwise=True)
    with pytest.raises(GradientError, match="the rule of clipped for its input 1 is no derivative"):
        _ = tn.graph(clipped(leaf("x", [1.0, 2.0]))).elements().edges


def test_an_op_that_cannot_be_computed_at_other_numbers_keeps_the_arrows_it_has():
    def only(a):
        if a[0] != 3.0:
            raise ValueError("only at 3")
        return a[:1] * a[1:]

    narrow = Op("narrow", "narrow({0})", only, (lambda g, out, a: np.concatenate([g * a[1:], g * a[:1]]),))
    assert arrows(tn.graph(narrow(leaf("x", [3.0, 0.0]))).elements()) == {("x₂", "y", 0): "×3"}
    roots = Op("roots", "roots({0})", lambda a: np.sqrt(a).sum(-1, keepdims=True), (lambda g, out, a: g * 0.5 / np.sqrt(a),))
    assert len(tn.graph(roots(leaf("x", [[1.0, 4.0], [9.0, 16.0]]))).elements().edges) == 4, "no number at −1 is no derivative"


# Words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "shape", "expected"),
    [
        ((0,), (3,), "₁"),
        ((0, 1), (2, 2), "₁₂"),
        ((0, 1), (1, 2), "₂"),
        ((1, 0), (2, 1), "₂"),
        ((0, 0), (1, 1), ""),
        ((), (), ""),
        ((8,), (9,), "₉"),
        ((9, 1), (10, 2), "₁₀,₂"),
        ((0, 1), (10, 2), "₁,₂"),
        ((9,), (10,), "₁₀"),
        ((1, 0, 2), (2, 1, 3), "₂₃"),
    ],
)
def test_subscripts(at, shape, expected):
    assert subscript(at, shape) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x̂", "x̂₂"),
        ("σ²", "σ₂²"),
        ("W⁻¹", "W₂⁻¹"),
        ("running_mean", "running_mean₂"),
        ("γ₁", "(γ₁)₂"),
        ("my weight", "(my weight)₂"),
        ("a-b", "(a-b)₂"),
        ("f(a, b)", "f(a, b)₂"),
        ("a) + (b", "((a) + (b))₂"),
        ("²", "²₂"),
    ],
)
def test_subscripts_stand_where_they_are_read(name, expected):
    assert tn.graph(leaf(name, [1.0, 2.0]) * 2.0).elements().nodes[1].label == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [(1 / 3, "0.333"), (-1.0, "−1"), (1.0, "1"), (0.9999, "1.00"), (-1.0001, "−1.00"), (-0.0, "0"), (-1e-5, "−1e−05"), (np.nan, "nan")],
)  # fmt: skip
def test_number_text(number, expected):
    assert number_text(number) == expected


def test_only_what_is_exactly_one_is_written_so():
    e = tn.graph(leaf("x", [1.0, 2.0]) * leaf("w", [1.0, 1 + 1e-9])).elements()
    assert arrows(e)["x₁", "y₁", 0] == "×1"
    assert arrows(e)["x₂", "y₂", 0] == "×1.00"


def test_the_listing():
    text = normalized().elements().listing()
    assert "c₃          = x₃ − μ                  3  ← x₃, μ ×−1\n" in text
    assert "← (σ² + 1e-05) ×" in text
    many = tn.graph(drawn("a", 2, 9) @ drawn("b", 9, 1)).elements()
    for spelled in (False, True):
        lines = many.listing(60, spelled).splitlines()
        assert all(len(line) <= 60 for line in lines)
        told = " ".join(lines[-6:])
        assert all((f"b{k} " if spelled else f"b{'₀₁₂₃₄₅₆₇₈₉'[k]} ") in told for k in range(1, 10)), "every one of them"
    assert many.listing(60, True).isascii()


# What it refuses, and what it is to others -------------------------------------------------------------------------


def test_too_many_numbers():
    g = normalized(np.ones((4, 8)).tolist())
    with pytest.raises(
        GradientError, match=r"elements: 224 numbers in 12 tensors are more than the 100 that.*smaller input, such as --shape 1,3"
    ):
        g.elements()
    x = drawn("x", 50)
    assert len(tn.graph(x * 2.0).elements().nodes) == 100, "just as many as there may be"
    with pytest.raises(GradientError, match="102 numbers in 4 tensors"):
        tn.graph((x * 2.0).mean()).elements()


def test_no_numbers():
    with pytest.raises(GradientError, match=r"elements: \(0,\) float64 holds no number"):
        tn.graph(leaf("x", np.zeros(0)) * 2.0).elements()
    e = tn.graph(leaf("x", np.zeros((0, 2))).sum(0)).elements()
    assert [n.label for n in e.nodes][-1] == "y₂"
    assert [e.nodes[a.target].label for a in e.edges] == ["y₁", "y₂"][-len(e.edges) :]


def test_new_data_after_recording():
    x = leaf("x", [1.0, 2.0])
    g = tn.graph(x * x)
    x.data = [5.0, 6.0]
    with pytest.raises(
        InPlaceError, match=r"elements: x \(2,\) float64 was given new data after mul recorded it.*Compute the output again"
    ):
        _ = g.elements().edges


def test_routes_are_told_of_whole_tensors():
    e = normalized().elements()
    x = e.whole.main_input
    with pytest.raises(GradientError, match=r"routes: routes are told of whole tensors.*Ask \.whole\.routes\(x\)"):
        e.routes(x)
    with pytest.raises(GradientError, match=r"Ask \.whole\.count_routes\(x\)"):
        e.count_routes(x)
    assert len(e.whole.routes(x)) == 4


def test_nodes_by_tensor():
    g = normalized()
    e = g.elements()
    x, mu = g.main_input, next(n.tensor for n in g.nodes if n.label == "μ")
    assert [n.label for n in e.entries(x)] == ["x₁", "x₂", "x₃"]
    assert e.node(mu).label == "μ"
    assert all(e.node(n.tensor) is n for n in e.nodes)
    assert e.node(e.main_input).label == "x₃"
    with pytest.raises(
        GradientError, match=r"x \(1, 3\) float64 is 3 nodes here\. Ask \.entries\(x\) for them, or \.whole\.node\(x\)"
    ):
        e.node(x)
    with pytest.raises(GradientError, match="is not part of this graph"):
        e.node(leaf("z", 1.0))


def test_gradients_are_the_graphs_own():
    g = normalized()
    e = g.elements()
    dy = np.array([[1.0, -2.0, 0.5]])
    whole, found = g.gradients(dy), e.gradients(dy)
    for tensor in g.tensors:
        assert [found[n.id] for n in e.entries(tensor)] == whole[g.node(tensor).id].ravel().tolist()
    assert np.array_equal(e.cotangent(), g.cotangent())


def test_other_levels():
    g = normalized()
    e = g.elements()
    assert isinstance(e, Elements)
    assert elements(e) is e
    assert g.fold(1).elements().whole is g
    assert [n.label for n in e.fold(1).nodes] == [n.label for n in g.fold(1).nodes]
    assert np.array_equal(replay(e, {}), g.output.data)
    with pytest.raises(GradientError, match="more than the 100"):
        network()[1].elements()
    written = json.loads(e.to_json())
    assert len(written["nodes"]) == 28
    assert written["edges"][0]["rule"] == "×0.333"
