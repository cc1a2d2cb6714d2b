"""Pictures of single numbers: legible, with their values, in every format."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

from tinygrad_norm.draw import DrawingError, arrange, dot, terminal
from tinygrad_norm.draw.geometry import Box
from tinygrad_norm.draw.layered import _crossings, _Item, _order
from tinygrad_norm.draw.text import cards
from tinygrad_norm.engine import functions as ops
from tinygrad_norm.engine import tensor
from tinygrad_norm.graph import Graph, graph, width
from tinygrad_norm.norms import batch_norm, layer_norm, rms_norm

from ..graph.test_elements import random_graphs
from .samples import UGLY_NAMES, leaf, normalized, square
from .test_files import needs_dot, run_dot
from .test_layout import faults, stroke
from .test_svg import texts

SMALL = {
    "LayerNorm of three": lambda: normalized(1, 3),
    "RMSNorm of three": lambda: graph(rms_norm(leaf("x", 1, 3), 3, leaf("γ", 3))),
    "softmax of three": lambda: recorded_softmax(),
    "BatchNorm of three": lambda: graph(batch_norm(leaf("x", 3, 1), None, None, leaf("γ", 1), leaf("β", 1), training=True)),
}
OTHERS = {
    "LayerNorm of one": lambda: normalized(1, 1),
    "LayerNorm of two rows": lambda: normalized(2, 3),
    "LayerNorm, hand-derived": lambda: graph(layer_norm(leaf("x", 1, 3), 3, leaf("γ", 3), leaf("β", 3), backward="analytic")),
    "LayerNorm of one, hand-derived": lambda: graph(layer_norm(leaf("x", 1, 1), 1, leaf("γ", 1), backward="analytic")),
    "a·a": square,
    "product": lambda: graph(leaf("a", 2, 3) @ leaf("b", 3, 2)),
    "unused numbers": lambda: graph(leaf("x", 4)[1:3] * 2.0),
    "only some are used": lambda: graph(leaf("x", 3)[1:2] * leaf("w", 1)),
    "padded": lambda: graph(ops.pad(leaf("x", 2), (1, 1)) * 2.0),
    "one op": lambda: graph(leaf("a", 2, 1) + leaf("b", 3)),
    "ten": lambda: graph(leaf("x", 10).mean()),
}


def recorded_softmax() -> Graph:
    x = leaf("x", 3)
    e = (x - x.max(-1, keepdims=True)).exp().named("e")
    return graph(e / e.sum(-1, keepdims=True))


def lines_through_labels(layout) -> list[tuple[int, int]]:
    return [
        (k, m)
        for k, line in enumerate(layout.lines)
        for m, other in enumerate(layout.lines)
        if other.label and any(Box(x, y, 0, 0).overlaps(other.label) for x, y in stroke(line))
    ]


@pytest.mark.parametrize("name", [*SMALL, *OTHERS])
@pytest.mark.parametrize("full", [False, True])
def test_nothing_overlaps(name, full):
    e = (SMALL | OTHERS)[name]().elements()
    _, layout = arrange(e, values=True, gradients=True if full else None)
    assert faults(e, layout) == []
    assert len(layout.boxes) == len(e.nodes)
    assert len(layout.lines) == len(e.edges)


@pytest.mark.parametrize("name", SMALL)
def test_no_line_runs_through_a_label(name):
    _, layout = arrange(SMALL[name]().elements(), values=True)
    assert lines_through_labels(layout) == []


@pytest.mark.thorough
@settings(max_examples=40)
@given(random_graphs())
def test_nothing_overlaps_in_random_graphs(g):
    e = g.elements()
    _, layout = arrange(e, values=True)
    assert faults(e, layout) == []


def test_long_lines_are_straight():
    e = normalized(1, 3).elements()
    _, layout = arrange(e, values=True)
    for edge, line in zip(e.edges, layout.lines):
        if e.nodes[edge.source].label[0] == "c" and e.nodes[edge.target].label[0] == "x":
            inner = [a for a, b in pairwise(line.points[1:-1]) if a[1] == b[1]]
            assert len({round(y, 3) for _, y in inner}) <= 2


def test_each_number_has_its_direct_route():
    e = normalized(1, 3).elements()
    _, layout = arrange(e)
    found = {(e.nodes[a.source].label, e.nodes[a.target].label) for a, b in zip(e.edges, layout.lines) if b.lane == "spine"}
    steps = pairwise(["x{}", "c{}", "x̂{}", "(x̂·γ){}", "y{}"])
    assert found == {(a.format(k), b.format(k)) for a, b in steps for k in "₁₂₃"}


def test_the_best_order_of_all_sweeps_stays():
    def made() -> tuple[list[_Item], list[list[int]]]:
        rng = np.random.default_rng(1)  # the plain sweeps would end at 9, 4, 5, 4, 5, …
        layers = [list(range(k, k + 6)) for k in (0, 6, 12, 18)]
        items = [_Item(4, 4, 0, False) for _ in range(24)]
        for a, b in pairwise(layers):
            for i, j in rng.choice(6, (9, 2)).tolist():
                items[a[i]].after.append(b[j])
                items[b[j]].before.append(a[i])
        return items, layers

    counts = []
    for sweeps in range(1, 9):
        items, layers = made()
        _order(items, layers, sweeps)
        place = {i: float(k) for layer in layers for k, i in enumerate(layer)}
        counts.append(sum(_crossings(items, layer, place) for layer in layers))
        by_pairs = sum(
            (place[i] - place[j]) * (place[a] - place[b]) < 0
            for layer in layers for i in layer for j in layer if i < j for a in items[i].after for b in items[j].after
        )  # fmt: skip
        assert counts[-1] == by_pairs
    assert all(later <= sooner for sooner, later in pairwise(counts))
    assert counts[-1] < counts[0]


# What stands there ----------------------------------------------------------------------------------------------


def test_the_svg_says_the_numbers():
    g = normalized(1, 3)
    found = texts(g.to_svg(elements=True))
    e = g.elements()
    for text in ("x₁", "(x̂·γ)₃", "c₁·rstd", "×0.333", "×−1", "direct route"):
        assert text in found
    assert "×1" not in found
    assert "scalar" not in found
    assert f"{e.nodes[0].tensor.item():.3g}".replace("-", "−") in found, "values unless they are not wanted"
    assert len(texts(g.to_svg(elements=True, values=False))) == len(found) - 28
    assert g.to_svg(elements=True) == e.to_svg() == g.elements().to_svg(fold=False)


def test_zero_has_no_sign():
    found = texts(graph(tensor([-1.0], requires_grad=True) * 0.0).to_svg(elements=True))
    assert "−1" in found
    assert "0" in found
    assert "−0" not in found


def test_gradients_have_a_sign():
    g = graph(leaf("x", 2) * leaf("w", 2, requires_grad=False))
    dy = np.array([2.0, -3.0])
    found = texts(g.to_svg(elements=True, gradients=dy))
    assert [t for t in found if t.startswith("d")].count("dy₂ = −3") == 1
    assert not any("‖" in t for t in found)


def test_cards_tell_all():
    card = cards(normalized(1, 3).elements(), values=True)[9]
    assert card.label == "μ"
    assert card.lines == ("mean(x)", "0.211")
    assert card.whole == "statistic μ = mean(x), 0.211349, float64"
    mixed = graph((leaf("x", 2).astype("float32") * 2.0).named("z")).elements()
    assert cards(mixed)[0].lines == ("float64",)


@pytest.mark.parametrize("name", [*SMALL, *OTHERS])
def test_well_formed_and_the_same_twice(name):
    first, second = ((SMALL | OTHERS)[name]().to_svg(elements=True, gradients=True) for _ in range(2))
    assert first == second
    ET.fromstring(first)


@pytest.mark.parametrize("name", UGLY_NAMES)
def test_ugly_names(name):
    g = graph(leaf(name, 2) * 2.0)
    root = ET.fromstring(g.to_svg(elements=True))
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    for ascii in (False, True):
        text = terminal(g.elements(), ascii=ascii)
        assert "\x1b" not in text
        assert all(width(line) <= 80 for line in text.splitlines())
        assert text.isascii() or not ascii


@pytest.mark.parametrize("name", [*SMALL, *OTHERS])
@pytest.mark.parametrize("columns", [40, 80])
def test_the_terminal_lists_the_numbers(name, columns):
    e = (SMALL | OTHERS)[name]().elements()
    text = terminal(e, width=columns)
    assert all(width(line) <= columns for line in text.splitlines())
    assert all(any(line.startswith(n.label) for line in text.splitlines()) for n in e.nodes)
    assert str(e) == terminal(e)


@needs_dot
@pytest.mark.parametrize("name", [*SMALL, *OTHERS])
def test_graphviz_accepts_it(name):
    e = (SMALL | OTHERS)[name]().elements()
    plain = run_dot(dot(e, values=True), "plain").decode()
    assert plain.count("\nnode ") == len(e.nodes)
    assert plain.count("\nedge ") == len(e.edges)


def test_every_format(tmp_path):
    g = normalized(1, 3)
    assert 'label="c₁\\nx₁ − μ\\n' in g.save(tmp_path / "a.dot", elements=True).read_text(encoding="utf-8")
    assert "← x₁, μ ×−1" in g.save(tmp_path / "a.txt", elements=True).read_text(encoding="utf-8")
    assert "<svg" in g.elements()._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.svg", {"elements": True, "fold": 1}, "elements shows every number, and fold boxes; leave out one of the two"),
        ("a.svg", {"elements": True, "route": "A"}, "a route is told of whole tensors; leave out elements or route"),
        ("a.html", {"elements": True}, r"\.html has no option elements"),
    ],
)
def test_what_does_not_go_together(tmp_path, name, options, message):
    with pytest.raises(DrawingError, match=message):
        normalized(1, 3).save(tmp_path / name, **options)
    with pytest.raises(DrawingError, match=r"tells of whole tensors and shows their numbers; leave out elements"):
        normalized(1, 3).elements().save(tmp_path / "a.html")
    with pytest.raises(DrawingError, match=r"a route is told of whole tensors"):
        normalized(1, 3).elements().save(tmp_path / "a.svg", route="A")
    assert list(tmp_path.iterdir()) == []
