"""The graph as text: true, within its width, and spelled out on request."""

from __future__ import annotations

import pytest

from tinygrad_norm.draw import terminal
from tinygrad_norm.engine import scope
from tinygrad_norm.graph import graph, width

from .samples import (
    SAMPLES,
    UGLY_NAMES,
    interleaved_branches,
    leaf,
    nested_branches,
    normalized,
    root_mean_square,
    square,
    transformer_block,
)

LAYER_NORM = """\
                    ┌► c² ───► σ² ──► σ² + 1e-05 ─► rstd ┐  variance
                    │  8×64    8×1    8×1           8×1  │
                    │                                    │
x ───┬──────┬► c ───┴────────────────────────────────────┴► x̂ ────► x̂·γ ──► y
8×64 │      │  8×64                                         8×64    8×64    8×64
     │      │                                                       ▲       ▲
     └► μ ──┘  mean                                                 γ       β
        8×1                                                         64      64"""


def test_layer_norm():
    assert terminal(normalized(8, 64)) == LAYER_NORM
    assert str(normalized(8, 64)).rstrip() == LAYER_NORM


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("columns", [20, 40, 80, 120])
@pytest.mark.parametrize("ascii", [False, True])
def test_within_its_width(name, columns, ascii):
    text = terminal(SAMPLES[name](), width=columns, ascii=ascii)
    assert all(width(line) <= columns for line in text.splitlines())
    assert text.isascii() or not ascii


def test_spelled_out():
    text = terminal(normalized(8, 64), ascii=True)
    for word in ("mu", "sigma^2", "xhat", "gamma", "beta", "->", "|", "+"):
        assert word in text
    assert "?" not in text


def test_wide_shapes_are_told_once():
    text = terminal(normalized(128, 768))
    assert "►" in text
    assert "no shape" in text
    assert text.count("128×768") == 2


def test_other_graphs_are_listed():
    text = terminal(transformer_block())
    assert "►" not in text
    assert len(text.splitlines()) == len(transformer_block().nodes)
    assert "…" in terminal(transformer_block(), width=30)


def test_lines_that_would_cross_are_not_drawn():
    assert "►" in terminal(nested_branches(), width=120)
    assert "►" not in terminal(interleaved_branches(), width=200)


def test_every_node_is_named_in_a_drawing():
    for g in (normalized(4, 8), root_mean_square(), square()):
        text = terminal(g)
        assert "►" in text
        assert all(n.label in text for n in g.nodes)


@pytest.mark.parametrize("name", UGLY_NAMES)
@pytest.mark.parametrize("ascii", [False, True])
def test_ugly_names(name, ascii):
    with scope(name):
        y = (leaf(name, 3) * 2.0).named(name)
    text = terminal(graph(y + leaf(name, 3)), ascii=ascii)
    assert "\x1b" not in text
    assert "\x00" not in text
    assert text.isascii() or not ascii
    assert all(width(line) <= 80 for line in text.splitlines())
