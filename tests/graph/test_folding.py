"""Folded graphs: scopes as boxes, no cycles, nothing lost."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.draw import DrawingError
from tinygrad_norm.graph import Folded, fold
from tinygrad_norm.graph.levels import levels
from tinygrad_norm.graph.tree import Tree
from tinygrad_norm.norms import draw, get, names


def recorded_sample(name):
    norm, rng = get(name), np.random.default_rng(0)
    shapes = {"input": norm.shape, **norm.parameters(norm.shape, **norm.options)}
    values = {n: draw(norm, n, rng, s) for n, s in shapes.items()}
    inputs = {n: tn.tensor(v, requires_grad=v.dtype.kind == "f", name=norm.symbol(n)) for n, v in values.items()}
    return norm.apply(inputs, backward="recorded", **norm.options)


def network(depth=3):
    parts = [part for _ in range(depth) for part in (tn.nn.Linear(8, 8), tn.nn.LayerNorm(8))]
    x = tn.tensor(np.random.default_rng(0).normal(size=(4, 8)), requires_grad=True, name="x")
    return x, tn.graph(tn.nn.Sequential(*parts)(x))


def labels(graph):
    return [n.label for n in graph.nodes if n.op is not None]


def test_layer_norm_is_four_boxes():
    folded = tn.graph(recorded_sample("layer_norm")).fold(1)
    assert labels(folded) == ["mean", "variance", "normalize", "affine"]
    assert [n.text for n in folded.nodes if n.op == "fold"] == ["c", "rstd", "x̂", "y"]
    assert [n.role for n in folded.nodes] == ["input", "parameter", "parameter", "value", "statistic", "value", "output"]
    ends = [(folded.nodes[e.source].label, folded.nodes[e.target].label) for e in folded.edges]
    assert ("mean", "variance") in ends
    assert ("variance", "normalize") in ends
    assert folded.note == "9 operations in 4 boxes"


def test_the_levels():
    _, graph = network(1)
    assert labels(graph.fold(0)) == ["Sequential"]
    assert labels(graph.fold(1)) == ["0 · Linear", "1 · LayerNorm"]
    assert labels(graph.fold(2)) == ["Wᵀ", "x @ Wᵀ", "x @ Wᵀ + b", "mean", "variance", "normalize", "affine"]


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("depth", [0, 1])
def test_a_folded_graph_has_everything_once_and_no_cycle(name, depth):
    graph = tn.graph(recorded_sample(name))
    folded = fold(graph, depth)
    assert sorted(i for m in folded.members for i in m) == list(range(len(graph.nodes)))
    assert all(e.source < e.target for e in folded.edges), "sources come first, so there is no cycle"
    for e in graph.edges:
        a, b = folded.box[e.source], folded.box[e.target]
        assert a == b or any((f.source, f.target) == (a, b) for f in folded.edges)
    assert [n.id for n in folded.nodes] == list(range(len(folded.nodes)))
    assert sum(n.role == "output" for n in folded.nodes) == 1
    assert "<svg" in graph.to_svg(fold=depth)


def test_a_scope_that_is_interrupted_is_two_boxes():
    x = tn.tensor(np.ones(3), requires_grad=True, name="x")
    with tn.scope("a"):
        u = x.exp()
    with tn.scope("b"):
        v = u * u
    with tn.scope("a"):
        y = v + u
    assert labels(tn.graph(y).fold(1)) == ["a", "b", "a"]


def test_gradients_are_the_graphs_own():
    x, graph = network(2)
    folded = graph.fold(1)
    dy = np.random.default_rng(1).normal(size=(4, 8))
    whole = graph.gradients(dy)
    for k, g in folded.gradients(dy).items():
        assert np.array_equal(g, whole[folded.members[k][-1]])
    assert np.array_equal(folded.gradients(dy)[folded.ids[x]], tn.grad(graph.output, x, dy)[0].data)


def test_small_graphs_are_drawn_whole_and_large_ones_folded_and_say_so(tmp_path):
    small = tn.graph(recorded_sample("layer_norm"))
    assert fold(small) is small
    _, graph = network()
    assert len(graph.nodes) > 25
    folded = fold(graph)
    assert isinstance(folded, Folded)
    norm = ["mean", "variance", "normalize", "affine"]
    assert labels(folded) == ["0 · Linear", *norm, "2 · Linear", *norm, "4 · Linear", *norm]
    for text in (graph.to_svg(), str(graph)):
        assert "operations in 15 boxes, with what only they use; fold=False (--whole) shows each" in text
    assert "boxes" not in graph.to_svg(fold=False)
    assert graph.to_dot(fold=False).count("fillcolor=") == len(graph.nodes)
    assert graph.to_dot().count("fillcolor=") == len(folded.nodes)
    assert (graph.save(tmp_path / "a.txt", fold=0)).read_text(encoding="utf-8").count("Sequential") == 1


def test_what_is_done_again_and_again_is_drawn_once():
    y = x = tn.tensor(np.ones(3), requires_grad=True, name="x")
    for _ in range(500):
        y = y * 1.01 + x
    folded = fold(tn.graph(y))
    assert labels(folded) == ["1.01x", "1.01x + x"]
    assert folded.note == "1,000 operations; mul, add ×500: one of them is drawn; fold=False (--whole) shows each"
    assert labels(tn.graph(y).fold(1)) == ["mul, add ×500"]


def test_what_nothing_tells_apart_is_in_stretches_by_number():
    rng = np.random.default_rng(0)
    x = tn.tensor(np.ones(3), requires_grad=True, name="x")
    made = [x]
    for k in rng.integers(0, 3, 1000):
        a, b = made[-1], made[-1 - int(rng.integers(0, min(5, len(made))))]
        made.append((a + b, a * b, (a - b).tanh())[k])
    folded = fold(tn.graph(made[-1]))
    assert len(folded.nodes) <= 25
    assert labels(folded)[0].startswith("steps 1–")
    inside = folded.units[1].box
    assert inside.openable
    assert len(inside.parts) <= 400


@pytest.mark.parametrize("depth", [True, -1, "all", 1.5])
def test_a_depth_that_is_none(depth):
    with pytest.raises(DrawingError, match=r"it is False .* or how many scopes deep"):
        tn.graph(recorded_sample("layer_norm")).to_svg(fold=depth)


def test_modules_are_scopes():
    y = tn.nn.LayerNorm(8)(tn.tensor(np.ones((2, 8)), requires_grad=True))
    assert y.scope == ("LayerNorm", "LayerNorm", "affine")  # the module's call, the function's in it
    assert tn.graph(y).nodes[-1].scope == ("LayerNorm", "affine")  # said once


def test_functions_are_scopes():
    x = tn.tensor(np.ones((2, 8)), requires_grad=True, name="x")
    one = tn.functional.layer_norm(x, 8)
    assert one.scope == ("LayerNorm", "normalize")
    assert tn.graph(one).nodes[-1].scope == ("normalize",)  # a graph of one call is its inside
    both = tn.functional.softmax((one + x).named("h"), -1)
    assert labels(tn.graph(both).fold(1)) == ["LayerNorm", "h", "softmax"]


# Networks -------------------------------------------------------------------------------------------------------------


class _Cell(tn.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.norm = tn.nn.Linear(4, 4), tn.nn.LayerNorm(4)

    def forward(self, h: tn.Tensor) -> tn.Tensor:
        return self.norm(self.inner(h)).tanh()


def test_two_calls_of_one_layer_are_two_boxes():
    h, cell = tn.tensor(np.ones((2, 4)), requires_grad=True, name="h"), _Cell()
    for _ in range(4):
        h = cell(h)
    assert labels(tn.graph(h).fold(1)) == ["_Cell ×4"]
    two = cell(tn.functional.relu(cell(tn.tensor(np.ones((2, 4)), requires_grad=True, name="h"))))
    assert labels(tn.graph(two).fold(1))[::2] == ["_Cell", "_Cell"]


def test_what_a_layer_does_between_its_layers_is_shown_as_what_it_is():
    h = tn.tensor(np.ones((2, 4)), requires_grad=True, name="h")
    folded = tn.graph(_Cell()(h)).fold(1)
    assert [n.label for n in folded.nodes if n.op is not None] == ["inner · Linear", "norm · LayerNorm", "y"]
    assert folded.nodes[-1].text == "tanh(x̂·γ + β)"


def test_leaves_are_in_the_boxes_where_they_would_be_more_than_these():
    h, cells = tn.tensor(np.ones((2, 4)), requires_grad=True, name="h"), [_Cell() for _ in range(9)]
    for cell in cells:
        h = cell(h)
    folded = tn.graph(h).fold(keep="_Cell")
    assert [n.label for n in folded.nodes] == ["h", "_Cell ×9"]
    computed = sum(t.op is not None for t in tn.graph(h).tensors)
    assert folded.note.startswith(f"{computed} operations in 1 box, with what only they use; ")
    assert len(folded.gradients()) == len(folded.nodes)


# Borders --------------------------------------------------------------------------------------------------------------


class _Attention(tn.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (tn.nn.Linear(4, 4) for _ in range(4))

    def forward(self, x: tn.Tensor) -> tn.Tensor:
        return self.o(tn.functional.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x)))


class _Block(tn.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attn = tn.nn.LayerNorm(4), _Attention()

    def forward(self, x: tn.Tensor) -> tn.Tensor:
        return x + self.attn(self.norm(x))


class _Net(tn.nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.blocks, self.head = [_Block() for _ in range(depth)], tn.nn.Linear(4, 2)

    def forward(self, x: tn.Tensor) -> tn.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def net(depth=12):
    x = tn.tensor(np.random.default_rng(0).normal(size=(2, 3, 4)), requires_grad=True, name="x")
    return x, tn.graph(_Net(depth)(x))


def test_equal_siblings_in_a_row_are_one_box_drawn_once():
    _, graph = net()
    assert labels(graph.fold(1)) == ["blocks · _Block ×12", "head · Linear"]
    assert labels(graph.fold(2, keep="head")) == ["norm · LayerNorm", "attn · _Attention", "+", "head · Linear"]
    assert labels(graph.fold(1, open="blocks.3.attn")) == [
        "norm · LayerNorm", "q · Linear", "k · Linear", "v · Linear", "attention", "o · Linear", "+", "head · Linear",
    ]  # fmt: skip
    assert labels(graph.fold(open=["blocks"], keep=["attn", "LayerNorm"])) == labels(graph.fold(2, keep="head"))
    with pytest.raises(tn.GradientError, match=r"fold: there is no box 'bloks'. Boxes: blocks, blocks.0.norm, "):
        graph.fold(open="bloks")


def test_where_siblings_differ_is_said():
    x = tn.tensor(np.random.default_rng(0).normal(size=(8,)), requires_grad=True, name="x")
    h = x
    for _ in range(3):
        with tn.scope("halve"):
            h = (h[: len(h.data) // 2] + h[len(h.data) // 2 :]).tanh()
    folded = tn.graph(h).fold(1)
    assert labels(folded) == ["halve ×3"]
    assert "halve ×3: shapes differ: (4,), (2,), (1,)" in folded.note


def test_what_was_named_differently_is_no_row():
    x = tn.tensor(np.ones((2, 4)), requires_grad=True, name="x")
    w = [tn.tensor(np.ones((4, 4)), requires_grad=True, name=n) for n in ("Wq", "Wk", "Wv", "Wo")]
    q, k, v, o = (tn.functional.linear(x, m) for m in w)
    assert labels(tn.graph(q * k + v * o).fold(1))[:2] == ["linear", "linear"]


@pytest.mark.parametrize("depth", [1, 2, 3, None])
def test_gradients_and_shares_of_boxes_are_the_graphs_own(depth):
    x, graph = net(3)
    folded, dy = graph.fold(depth), np.random.default_rng(1).normal(size=(2, 3, 2))
    dx = tn.grad(graph.output, x, dy)[0].data
    np.testing.assert_array_equal(folded.gradients(dy)[folded.ids[x]], dx)
    shares = folded.shares(dy)
    mine = [shares[k] for k, e in enumerate(folded.edges) if e.source == folded.ids[x]]
    np.testing.assert_allclose(np.sum(mine, axis=0), dx, atol=1e-14)
    assert all(e.source < e.target for e in folded.edges)
    assert sorted(i for m in folded.members for i in m) == list(range(len(graph.nodes)))


def test_a_level_is_the_inside_of_a_box():
    _, graph = net(3)
    tree = Tree(graph)
    inside = levels(tree)
    assert set(inside) >= {"", "blocks", "blocks.0.attn"}
    block = inside["blocks"]
    assert [(n.label, n.op) for n in block.nodes] == [
        ("x", "in"), ("norm · LayerNorm", "fold"), ("attn · _Attention", "fold"), ("+", "add"), ("+", "out"),
    ]  # fmt: skip
    dy = np.random.default_rng(1).normal(size=(2, 3, 2))
    whole, found, shares = graph.gradients(dy), block.gradients(dy), block.shares(dy)
    for k, n in enumerate(block.nodes[1:4], 1):
        assert np.array_equal(found[k], whole[graph.ids[n.tensor]])
    for k, g in found.items():
        mine = [shares[j] for j, e in enumerate(block.edges) if e.source == k]
        if mine and block.nodes[k].op != "in":
            np.testing.assert_allclose(np.sum(mine, axis=0), g, atol=1e-14)


def test_layers_in_a_row_that_are_called_by_their_numbers_open_by_them():
    net = tn.nn.Sequential(*(tn.nn.TransformerEncoderLayer(16, 2, 32) for _ in range(3)))
    y = net(tn.tensor(np.ones((2, 5, 16)), requires_grad=True, name="x"))
    row = tn.graph(y).fold(depth=1)
    assert [n.label for n in row.nodes] == ["x", "TransformerEncoderLayer ×3"]
    for path in ("0", "2", "TransformerEncoderLayer"):
        assert len(tn.graph(y).fold(depth=1, open=[path]).nodes) > 5
    with pytest.raises(tn.GradientError, match=r"Boxes: TransformerEncoderLayer, "):  # and not #2
        tn.graph(y).fold(open=["another"])
