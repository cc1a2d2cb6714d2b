"""What the way back reads: measured against what happens when a value is changed, or is no longer there."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tests.engine.samples import SAMPLES
from tests.graph.test_folding import recorded_sample
from tinygrad_norm.engine import TABLE, InPlaceError, MissingPullbackError, Op, Reading, Tensor, from_numpy
from tinygrad_norm.engine.primitives import where
from tinygrad_norm.graph import Graph
from tinygrad_norm.graph.reads import reads
from tinygrad_norm.norms import draw, get, names

CASES = [
    pytest.param(TABLE[name], inputs, params, id=f"{name}-{i}")
    for name, samples in SAMPLES.items()
    if not TABLE[name].constant
    for i, (inputs, params) in enumerate(samples)
]


def leaf(name, *shape, **options):
    return tn.tensor(np.random.default_rng(len(name)).normal(size=shape), requires_grad=True, name=name, **options)


def other_values(a):
    """The array with its numbers changed, in several ways."""
    rng = np.random.default_rng(5)
    if a.dtype.kind == "b":
        return [~a]
    if a.dtype.kind in "iu":
        return [a + 1, a * 0]
    return [np.asarray(v).astype(a.dtype) for v in (rng.normal(size=a.shape), -a, a + 10, a - 10)]


def pulled(node, position, values):
    """The share of a random cotangent, by the rule, with these arrays for out and inputs; None where the rule refuses them."""
    g = np.random.default_rng(3).uniform(0.5, 1.5, node.shape).astype(node.dtype)
    reading = Reading(lambda t: values.get(t, t._data))
    with np.errstate(all="ignore"):
        try:
            return np.asarray(reading.pull(node, position, g, reading.value(node), reading.operands(node)))
        except tn.engine.TinygradNormError:
            return None


def differ(a, b):
    return b is None or not np.array_equal(a, b, equal_nan=True)


def check_every_edge(graph):
    """Values said not to be read may change without a trace; some change of those said to be read leaves one."""
    asked = reads(graph)
    assert asked.edges
    for (target, position), read in asked.edges.items():
        node = graph.tensors[target]
        share = pulled(node, position, {})
        for t in {node, *(x for x in node.inputs if isinstance(x, Tensor))}:
            changed = [differ(share, pulled(node, position, {t: v})) for v in other_values(t._data)]
            words = f"input {position} of {node.op.name}, {graph.node(t).label}"
            if graph.ids[t] not in read:
                assert not any(changed), f"{words}: it is read"
            elif share.size and t.size and node.size:
                assert any(changed), f"{words}: it is not read"


@pytest.mark.parametrize(("op", "inputs", "params"), CASES)
def test_every_op_of_the_table(op, inputs, params):
    tensors = [from_numpy(x[...], requires_grad=x.dtype.kind == "f") if isinstance(x, np.ndarray) else x for x in inputs]
    check_every_edge(Graph(op(*tensors, **params)))


def sample(name, backward):
    if backward == "recorded":
        return recorded_sample(name)
    norm, rng = get(name), np.random.default_rng(0)
    shapes = {"input": norm.shape, **norm.parameters(norm.shape, **norm.options)}
    values = {n: draw(norm, n, rng, s) for n, s in shapes.items()}
    inputs = {n: tn.tensor(v, requires_grad=v.dtype.kind == "f", name=norm.symbol(n)) for n, v in values.items()}
    return norm.apply(inputs, backward="analytic", **norm.options)


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@pytest.mark.parametrize("name", names())
def test_every_norm(name, backward):
    check_every_edge(Graph(sample(name, backward)))


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@pytest.mark.parametrize("name", names())
def test_what_may_be_dropped_can_be_dropped(name, backward):
    """The engine's own backward pass, kernels and all, after every value that nobody reads has become nonsense."""
    graph = Graph(sample(name, backward))
    asked, expected = reads(graph), graph.gradients()
    dropped = [t for i, t in enumerate(graph.tensors) if t.op is not None and i not in asked.kept]
    for t in dropped:
        t._data = np.full(t.shape, np.nan, t.dtype)
    for i, g in graph.gradients().items():
        np.testing.assert_array_equal(g, expected[i])


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm", "softmax", "batch_norm"])
def test_what_is_kept_is_needed(name):
    graph = Graph(sample(name, "recorded"))
    expected = graph.gradients()
    for i in reads(graph).cached:
        t = graph.tensors[i]
        t._data, before = t._data + 1, t._data
        found = graph.gradients()
        assert any(not np.array_equal(found[j], expected[j]) for j in expected), f"{graph.nodes[i].label} is not needed"
        t._data = before


def layer_norm(**options):
    x, w, b = leaf("x", 4, 8), leaf("γ", 8), leaf("β", 8)
    return tn.graph(tn.functional.layer_norm(x, 8, w, b, **options))


def test_layer_norm_by_hand():
    asked = reads(layer_norm())
    label = [n.label for n in asked.graph.nodes]
    found = {(label[t], p): {label[i] for i in ids} for (t, p), ids in asked.edges.items()}
    assert {k: v for k, v in found.items() if v} == {
        ("c²", 0): {"c"},
        ("rstd", 0): {"rstd"},
        ("x̂", 0): {"rstd"},
        ("x̂", 1): {"c"},
        ("x̂·γ", 0): {"γ"},
        ("x̂·γ", 1): {"x̂"},
    }
    assert len(found) == 13, "every edge has a pullback"
    assert [label[i] for i in asked.kept] == ["γ", "c", "rstd", "x̂"]
    assert [label[i] for i in asked.cached] == ["c", "rstd", "x̂"]
    assert [label[i] for i in asked.given] == ["γ"]
    assert {label[i]: {label[j] for j in who} for i, who in asked.readers.items()} == {
        "c": {"c", "rstd"},
        "rstd": {"c", "σ² + 1e-05"},
        "x̂": {"γ"},
        "γ": {"x̂"},
    }


def test_the_numbers():
    asked = reads(layer_norm())
    big, small = 32, 4  # x, c, c², x̂, x̂·γ, y; μ, σ², σ² + ε, rstd
    assert asked.numbers == (2 * big + small, 5 * big + 4 * small, 8 * (2 * big + small), 8 * (5 * big + 4 * small))
    assert asked.note == (
        "kept for the way back: c, rstd, x̂: 3 of 9 computed tensors, 68 of 176 numbers; read of what is given: γ"
    )
    assert reads(layer_norm(backward="analytic")).note == (
        "nothing computed is kept for the way back: 0 of 1 computed tensors, 0 of 32 numbers; read of what is given: x, γ"
    )
    half = reads(tn.graph(tn.functional.rms_norm(tn.tensor(np.ones((2, 4)), dtype="float32", requires_grad=True), 4)))
    assert half.numbers.kept_bytes == 4 * half.numbers.kept


def test_long_lists_are_cut():
    h = leaf("x", 2)
    for _ in range(12):
        h = h.tanh()
    assert "and 4 more: 12 of 12 computed tensors, 24 of 24 numbers" in reads(tn.graph(h)).note


def test_only_pullbacks_that_run_count():
    x, w = tn.tensor(np.ones((3, 4)), name="x"), leaf("W", 4, 2)
    asked = reads(tn.graph(x @ w))
    assert asked.edges == {(2, 1): (0,)}, "x needs no gradient, so nobody asks for W"

    held = Op("held", "held({0}, {1})", lambda a, b: a * b, (lambda g, out, a, b: g * b, None))
    a, b = leaf("a", 3), leaf("b", 3)
    graph = tn.graph(held(a, (b.exp() * 2.0).named("e")))
    asked = reads(graph)
    assert asked.edges == {(graph.ids[graph.output], 0): (graph.ids[graph.output.inputs[1]],)}, "nothing flows to exp"


def test_one_tensor_twice():
    a = leaf("a", 3)
    assert reads(tn.graph(a * a)).edges == {(1, 0): (0,), (1, 1): (0,)}
    asked = reads(tn.graph(where(a > 0, a, a * 2.0)))
    assert [asked.graph.nodes[i].dtype for i in asked.kept] == ["bool"], "the condition, whose numbers choose"


def test_views_cost_nothing():
    x, w = leaf("x", 3, 4), leaf("W", 2, 4)
    asked = reads(tn.graph(x @ w.T))
    assert [asked.graph.nodes[i].label for i in asked.kept] == ["x", "Wᵀ"]
    assert asked.cached == ()
    assert [asked.graph.nodes[i].label for i in asked.given] == ["x", "W"]
    assert asked.numbers[:2] == (0, 6)

    h = (x * 2.0).named("h")
    asked = reads(tn.graph(h.reshape(2, 6) * h.reshape(2, 6)))
    assert [asked.graph.nodes[i].label for i in asked.cached] == ["h"], "two views of it are read: one array is kept"
    assert asked.numbers[:2] == (12, 24)


def test_a_folded_graph_is_asked_whole():
    graph = layer_norm()
    assert reads(graph.fold(1)).edges == reads(graph).edges
    assert reads(graph.fold(0)).graph is graph


RULES = {
    "operators": (lambda g, out, x: g * (x + 1), "x"),
    "NumPy's functions of numbers": (lambda g, out, x: g * np.exp(x), "x"),
    "NumPy's sums": (lambda g, out, x: g * np.sum(x), "x"),
    "one number": (lambda g, out, x: g * float(np.max(out)), "out"),
    "a question": (lambda g, out, x: g if (x > 0).all() else -g, "x"),
    "a decision": (lambda g, out, x: g if x[0] > 0 else -g, "x"),
    "an array method": (lambda g, out, x: g * out.clip(0, 1), "out"),
    "shapes": (lambda g, out, x: g * x.shape[0] * out.size * x.ndim, ""),
    "what always is 1": (lambda g, out, x: g * x**0, ""),
    "an array to write to": (lambda g, out, x: np.multiply(g, x, out=np.empty(x.shape)), "x"),
    "what a spy cannot do": (lambda g, out, x: g * memoryview(x).itemsize, "out x"),
}


@pytest.mark.parametrize("words", RULES)
def test_rules_of_ones_own(words):
    rule, expected = RULES[words]
    x = leaf("x", 4)
    graph = tn.graph(Op("mine", "mine({0})", lambda a: a * 1.0, (rule,))(x).named("out"))
    asked = reads(graph)
    assert {graph.nodes[i].label for i in asked.kept} == set(expected.split())


def test_a_checkpoint_compares_with_its_result():
    x, w = leaf("x", 3), leaf("w", 3)
    asked = reads(tn.graph(tn.checkpoint(lambda a, b: (a * b).tanh())(x, w)))
    assert set(asked.edges.values()) == {(0, 1, 2)}


def test_nothing_is_changed():
    graph = layer_norm()
    before = [t._data.tobytes() for t in graph.tensors]
    reads(graph)
    assert [t._data.tobytes() for t in graph.tensors] == before
    assert all(t.grad is None for t in graph.tensors)

    def greedy(g, out, x):
        x += 1
        return g * x

    x = leaf("x", 3)
    kept = x.data.copy()
    reads(tn.graph(Op("greedy", "greedy({0})", lambda a: a * 1.0, (greedy,))(x)))
    np.testing.assert_array_equal(x.data, kept)


def test_errors_are_those_of_a_backward_pass():
    x = leaf("x", 3)
    y = x * x
    x.data = np.zeros(3)
    with pytest.raises(InPlaceError, match="was given new data after mul recorded it"):
        reads(tn.graph(y))
    with pytest.raises(MissingPullbackError, match="closed: the op has no pullback"):
        reads(tn.graph(Op("closed", "closed({0})", lambda a: a * 1.0)(leaf("x", 3))))


def test_bad_numbers_are_no_obstacle():
    x = tn.tensor([np.nan, np.inf, 0.0, -1.0], requires_grad=True, name="x")
    with np.errstate(all="ignore"):
        y = (1 / x).rsqrt() * x
    asked = reads(tn.graph(y))
    assert {asked.graph.nodes[i].label for i in asked.given} == {"x"}
