"""Relatives in one picture, and the story as single pictures."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.draw.beside import beside
from tinygrad_norm.draw.explorer import explorer
from tinygrad_norm.draw.frames import frames, heat_colour
from tinygrad_norm.draw.geometry import Box
from tinygrad_norm.draw.palette import DARK, LIGHT, DrawingError
from tinygrad_norm.draw.steps import steps_of
from tinygrad_norm.graph import graph

from .samples import SAMPLES, UGLY_NAMES, leaf, normalized
from .test_svg import SVG, contrast, texts


def relatives(n=8):
    x, w, b = leaf("x", 4, n), leaf("γ", n), leaf("β", n)
    f = tn.functional
    return {
        "LayerNorm": graph(f.layer_norm(x, n, w, b)),
        "RMSNorm": graph(f.rms_norm(x, n, w)),
        "BatchNorm": graph(f.batch_norm(x, weight=w, bias=b, training=True)),
    }


def boxes(panel):
    """Place and opacity of each node in a panel."""
    found = {}
    for g in panel.iter(f"{SVG}g"):
        if g.get("class") == "node":
            r = g.find(f"{SVG}rect")
            x, y, w, h = (float(r.get(a)) for a in ("x", "y", "width", "height"))
            found[int(g.get("data-node"))] = (Box(x + w / 2, y + h / 2, w, h), g.get("opacity"))
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_same_stands_in_the_same_place_and_what_is_missing_is_grey(theme):
    root = ET.fromstring(beside(relatives(), theme=theme))
    panels = [g for g in root.iter(f"{SVG}g") if g.get("class") == "panel"]
    layer, rms, batch = map(boxes, panels)
    assert [box for box, _ in layer.values()] == [box for box, _ in rms.values()] == [box for box, _ in batch.values()]
    assert not any(grey for _, grey in layer.values())
    assert sum(grey is not None for _, grey in rms.values()) == 4
    for (a, _), (b, _) in combinations(layer.values(), 2):
        assert not a.overlaps(b)
    words = [[t.text for t in p.iter(f"{SVG}text")] for p in panels]
    assert words[1][0] == "RMSNorm: without β, μ, c, x̂·γ + β"
    assert "×2x" in words[1]
    assert "×2c" in words[0]
    assert "×1/B" in words[2]


def test_a_family_of_strangers_is_still_truthful():
    x = leaf("x", 4, 8)
    picture = beside({"a": graph(tn.functional.softmax(x, -1)), "b": graph(tn.functional.layer_norm(x, 8))}, gradients=True)
    found = texts(picture)
    assert {"×e", "×rstd", "Σe"} <= set(found)
    assert len(set(re.findall(r'stroke-width="([\d.]+)"[^>]*/><polygon', picture))) > 1


@pytest.mark.parametrize("name", UGLY_NAMES)
def test_ugly_titles(name):
    g = relatives()
    assert ET.fromstring(beside({name: g["LayerNorm"], "other": g["RMSNorm"]})).tag == f"{SVG}svg"


# Frames ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_frame_for_each_step_all_of_one_size(theme):
    g = normalized(4, 8)
    story = [s for s in steps_of(g) if not s.options]
    made = list(frames(g, title="LayerNorm", theme=theme))
    assert [name for name, _ in made] == [f"{k:03}_{s.phase}.svg" for k, s in enumerate(story, 1)]
    roots = [ET.fromstring(picture) for _, picture in made]
    assert len({(r.get("width"), r.get("height")) for r in roots}) == 1
    width, height = float(roots[0].get("width")), float(roots[0].get("height"))
    for s, root, (_, picture) in zip(story, roots, made):
        said = " ".join(t.text or "" for t in root.iter(f"{SVG}text"))
        assert s.text in said
        assert s.changed in said
        bright = {int(e.get("data-node")) for e in root.iter(f"{SVG}g") if e.get("class") == "node" and not e.get("opacity")}
        assert bright == {s.node}
        now = {int(e.get("data-edge")) for e in root.iter(f"{SVG}g") if e.get("class") == "edge" and not e.get("opacity")}
        assert now == set(s.edges)
        assert picture.count('text-anchor="end"') == sum(
            len(row[:most]) for m in s.matrices for most in [shown(root, m)] for row in m.cells[:most]
        )
        assert width < 2000
        assert height < 1000


def shown(root, m):
    """How many rows and columns of a matrix a frame shows."""
    heads = [t.text for t in root.iter(f"{SVG}text") if t.text and t.text.startswith(f"{m.title}  {m.shape}")]
    cut = re.search(r"the first (\d+)×(\d+)", heads[0])
    return max(int(cut[1]), int(cut[2])) if cut else 8


def test_on_the_way_back_the_arrows_point_back():
    g = normalized(4, 8)
    made = dict(frames(g))
    pattern = r'data-edge="0".*?<path d="M([\d.]+) '
    forward = next(p for name, p in made.items() if "forward" in name)
    back = [p for name, p in made.items() if "backward" in name]
    start = float(re.search(pattern, forward)[1])
    assert any(float(re.search(pattern, p)[1]) > start for p in back)


@pytest.mark.parametrize("name", ["LayerNorm of a vector", "MLP", "residual", "a·a", "scalar loss", "recurrence"])
def test_every_graph_has_frames(name):
    g = SAMPLES[name]().fold()
    for _, picture in frames(g):
        ET.fromstring(picture)


def test_a_theme_that_there_is_not():
    with pytest.raises(DrawingError, match=r"theme='red' is none of light, dark"):
        list(frames(normalized(2, 3), theme="red"))


@pytest.mark.parametrize("shade", np.linspace(-1, 1, 9))
def test_numbers_can_be_read_on_their_colour(shade):
    for ink in (LIGHT, DARK):
        fill, text = heat_colour(shade, ink)
        assert contrast(fill, text) >= 4.5
    assert heat_colour(0.0, LIGHT)[0] == heat_colour(-0.0, LIGHT)[0]
    assert heat_colour(1.0, LIGHT)[0] != heat_colour(-1.0, LIGHT)[0]


def test_colours_of_frames_are_those_of_the_page():
    """The page computes them by the same formula in CSS."""
    page = explorer(normalized(2, 3))
    assert "hsl(205 calc(25% + var(--s)*65%) calc(var(--base) + var(--s)*var(--span)))" in page
    assert "--base:97%;--span:-37%" in page
    assert "--base:15%;--span:22%" in page
    assert heat_colour(1.0, LIGHT)[0] == "#3da8f5"  # hsl(205 90% 60%)


def test_lines_in_one_channel_are_apart():
    """A normalization of somebody's own beside LayerNorm: no stroke on another, and every colour is told."""
    x, w, b = leaf("x", 4, 8), leaf("γ", 8), leaf("β", 8)
    m = (x * x).mean(-1, keepdim=True)
    y = x * (m + 1e-5).rsqrt()
    mine = (y - y.mean(-1, keepdim=True)) * w + b
    picture = beside({"LayerNorm": graph(tn.functional.layer_norm(x, 8, w, b)), "mine": graph(mine)})
    (panel, _) = (g for g in ET.fromstring(picture).iter(f"{SVG}g") if g.get("class") == "panel")
    level = []
    for k, g in enumerate(e for e in panel.iter(f"{SVG}g") if e.get("class") == "edge"):
        points = [tuple(map(float, p)) for p in re.findall(r"([\d.]+) ([\d.]+)", g.find(f"{SVG}path").get("d"))]
        level += [(k, a[1], *sorted((a[0], b[0]))) for a, b in zip(points, points[1:]) if a[1] == b[1] and abs(a[0] - b[0]) > 20]  # noqa: RUF007
    assert len(level) > 10
    for (i, y1, a1, b1), (j, y2, a2, b2) in combinations(level, 2):
        assert i == j or abs(y1 - y2) > 5 or min(b1, b2) - max(a1, a2) < 1, (i, j)
    assert {"leaf", "parameter"} <= set(texts(picture)), "of both"
