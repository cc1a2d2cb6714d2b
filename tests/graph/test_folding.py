"""Folded graphs: scopes as boxes, no cycles, nothing lost."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.draw import DrawingError
from tinygrad_norm.graph import Folded, fold
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
    assert labels(graph.fold(0)) == [f"{len(labels(graph))} operations"]
    assert labels(graph.fold(1)) == ["Sequential"]
    assert labels(graph.fold(2)) == ["0 · Linear", "1 · LayerNorm"]
    assert labels(graph.fold(3)) == ["0 · Linear", "mean", "variance", "normalize", "affine"]


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
    folded = graph.fold(2)
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
    assert labels(folded) == [f"{i} · {kind}" for i, kind in enumerate(["Linear", "LayerNorm"] * 3)]
    assert "operations in 6 boxes; fold=False (--whole) shows each" in graph.to_svg()
    assert "operations in 6 boxes; fold=False (--whole) shows each" in str(graph)
    assert "boxes" not in graph.to_svg(fold=False)
    assert graph.to_dot(fold=False).count("fillcolor=") == len(graph.nodes)
    assert graph.to_dot().count("fillcolor=") == len(folded.nodes)
    assert (graph.save(tmp_path / "a.txt", fold=1)).read_text(encoding="utf-8").count("Sequential") == 1


def test_what_has_no_scopes_is_cut_into_stretches():
    y = x = tn.tensor(np.ones(3), requires_grad=True, name="x")
    for _ in range(500):
        y = y * 1.01 + x
    folded = fold(tn.graph(y))
    assert len(folded.nodes) <= 25
    assert all(label.endswith(" operations") for label in labels(folded)[:-1])
    assert "1,000 operations" in folded.note


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
    assert [n.label for n in tn.graph(h).fold(1).nodes if n.op is not None] == ["_Cell"] * 4


def test_what_a_layer_does_between_its_layers_is_shown_as_what_it_is():
    h = tn.tensor(np.ones((2, 4)), requires_grad=True, name="h")
    folded = tn.graph(_Cell()(h)).fold(2)
    assert [n.label for n in folded.nodes if n.op is not None] == ["inner · Linear", "norm · LayerNorm", "y"]
    assert folded.nodes[-1].text == "tanh(x̂·γ + β)"


def test_leaves_go_into_the_boxes_where_they_would_be_all_there_is():
    h, cells = tn.tensor(np.ones((2, 4)), requires_grad=True, name="h"), [_Cell() for _ in range(9)]
    for cell in cells:
        h = cell(h)
    folded = tn.graph(h).fold()
    assert [n.label for n in folded.nodes] == ["h"] + ["_Cell"] * 9
    computed = sum(t.op is not None for t in tn.graph(h).tensors)
    assert folded.note.startswith(f"{computed} operations in 9 boxes, with what only they use; ")
    assert len(folded.gradients()) == len(folded.nodes)
    together = tn.graph(sum((c(h) for c in cells[:2]), start=h)).fold()
    assert sum(n.op is not None for n in together.nodes) > 3
