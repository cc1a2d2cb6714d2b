"""The SVG: well-formed, deterministic, harmless, readable."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tinygrad_norm.draw import svg
from tinygrad_norm.draw.palette import DASHES, THEMES, DrawingError
from tinygrad_norm.draw.pen import width_of
from tinygrad_norm.draw.text import preview, shorten, text_width
from tinygrad_norm.engine import ShapeError, scope, tensor
from tinygrad_norm.graph import graph

from .samples import SAMPLES, UGLY_NAMES, chain, leaf, normalized, square

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return [e.text or "" for e in ET.fromstring(picture).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", SAMPLES)
def test_well_formed_and_the_same_twice(name):
    first, second = (svg(SAMPLES[name](), values=True, gradients=True) for _ in range(2))
    assert first == second
    root = ET.fromstring(first)
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert root.find(f"{SVG}title").text
    assert root.find(f"{SVG}desc").text.startswith("Edges")
    assert "tinygrad_norm built-in layout" in root.find(f"{SVG}metadata").text
    assert root.find(f"{SVG}rect").get("fill") == "#ffffff"


def test_no_script_no_reference_no_id():
    picture = svg(normalized(8, 64), values=True, gradients=True, title="LayerNorm")
    for word in ("<script", "href", "url(", "@import", " id=", "<style", "<image"):
        assert word not in picture
    assert re.findall(r"https?://[^\"]*", picture) == ["http://www.w3.org/2000/svg"]


def test_layer_norm_says_what_it_should():
    g = normalized(8, 64)
    found = texts(svg(g))
    for text in ("x̂", "c·rstd", "(8, 64)", "×rstd", "×2c", "×1/N", "A direct route", "B through μ", "C through σ²"):
        assert text in found
    assert {e.rule for e in g.edges} - {"×1"} <= set(found)
    assert found.count("Σ") == 5  # four sums and the legend
    assert "×1" not in found
    assert "σ² + 1e-05" in found
    assert "12 nodes, 13 edges, all float64" in found


def test_every_node_and_edge_has_a_title():
    g = normalized(8, 64)
    root = ET.fromstring(svg(g))
    for kind, count in (("node", 12), ("edge", 13)):
        groups = [e for e in root.iter(f"{SVG}g") if e.get("class") == kind]
        assert len(groups) == count
        assert all(e.find(f"{SVG}title").text for e in groups)
    assert "rstd to x̂: ×c, summed" in root.find(f"{SVG}desc").text


def test_repeated_edges_are_drawn_twice():
    picture = svg(square())
    assert texts(picture).count("×a") == 4, "each with its halo"
    paths = re.findall(r'data-edge="\d+".*?d="([^"]*)"', picture)
    assert len(set(paths)) == 2


@pytest.mark.parametrize("name", UGLY_NAMES)
def test_ugly_names(name):
    with scope(name):
        y = (leaf(name, 3) * 2.0).named(name)
    picture = svg(graph(y + leaf(name, 3)), title=name, values=True)
    assert picture == picture.encode().decode()
    root = ET.fromstring(picture)
    assert not list(root.iter(f"{SVG}script"))
    assert not re.search("[\x00-\x09\x0b-\x1f]", picture)
    assert picture.count("<g") == picture.count("</g>")


def test_names_survive_escaping():
    y = leaf('<lambda> & "q" </script>', 3) * 2.0
    assert '<lambda> & "q" </script>' in texts(svg(graph(y)))


def test_long_names_are_shortened_and_whole_in_the_title():
    name = "long" * 50
    root = ET.fromstring(svg(graph(leaf(name, 3) * 2.0)))
    assert all(len(e.text) < 60 for e in root.iter(f"{SVG}text"))
    assert any(name in e.text for e in root.iter(f"{SVG}title"))
    assert shorten("abcdef", 4) == "abc…"


def test_values_and_gradients():
    x = tensor([0.5, -1.0, 2.0, 3.0, 4.0], requires_grad=True, name="x")
    g = graph(x * 3.0)
    found = texts(svg(g, values=True))
    assert "0.5, −1," in found
    assert "2, 3, …" in found
    found = texts(svg(g, gradients=np.array([3.0, 4.0, 0, 0, 0])))
    assert "‖dy‖ = 5" in found
    assert "‖dx‖ = 15" in found
    assert not any("‖d" in t for t in texts(svg(g, gradients=False)))
    assert any("‖d" in t for t in texts(svg(g, gradients=True)))
    with pytest.raises(ShapeError, match="shapes must be equal"):
        svg(g, gradients=np.ones(3))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_bad_numbers_are_shown(bad):
    x = tensor([bad, 1.0], requires_grad=True, name="x")
    found = texts(svg(graph(x * 1.0), values=True, gradients=np.array([bad, 1.0])))
    assert f"‖dy‖ = {bad:.4g}" in found


@pytest.mark.parametrize("dtype", [bool, int, np.float16, np.complex128])
def test_any_dtype_has_a_preview(dtype):
    assert preview(np.zeros((2, 3), dtype))[-1].endswith("…")
    assert preview(np.zeros(0, dtype)) == ["empty"]
    assert len(preview(np.zeros((), dtype))) == 1


def test_dtypes_are_told_once_or_each():
    assert sum("float64" in t for t in texts(svg(normalized(4, 8)))) == 1
    mixed = graph(leaf("x", 3).astype(np.float32) * 2.0)
    assert "(3,) float64" in texts(svg(mixed))
    assert "(3,) float32" in texts(svg(mixed))


@pytest.mark.thorough
def test_five_thousand_nodes():
    picture = svg(chain(5000))
    assert picture.count('class="node"') == 5001
    ET.fromstring(picture)


def luminance(color: str) -> float:
    parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_contrast(theme):
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    ink = THEMES[theme]
    for text in (ink.ink, ink.faint, ink.mark, *ink.lanes.values()):
        assert contrast(text, ink.paper) >= 4.5
    assert all(contrast(ink.ink, fill) >= 4.5 for fill in ink.fills.values())
    assert contrast(ink.border, ink.paper) >= 3
    assert set(ink.fills) == set(THEMES["light"].fills)
    assert set(ink.lanes) == set(DASHES)
    routes = [lane for lane in ink.lanes if lane]
    assert len({ink.lanes[r] for r in routes}) == len({DASHES[r] for r in routes}) == 3


def test_a_theme_changes_colours_and_nothing_else():
    g = normalized(4, 8)
    light, dark = (svg(g, theme=theme) for theme in ("light", "dark"))
    assert re.sub("#[0-9a-f]{6}", "#", light) == re.sub("#[0-9a-f]{6}", "#", dark)
    mine = set(re.findall("#[0-9a-f]{6}", dark))
    ink = THEMES["dark"]
    assert mine <= {ink.paper, ink.ink, ink.faint, ink.border, *ink.fills.values(), *ink.lanes.values()}
    with pytest.raises(DrawingError, match=r"theme='blue' is none of light, dark"):
        svg(g, theme="blue")


def test_a_line_is_as_wide_as_what_it_hands_back_is_large():
    x = tensor([3.0, 4.0], requires_grad=True, name="x")
    parts = [x * f for f in (1.0, 0.3, 0.05, 0.001)]
    g = graph(parts[0] + parts[1] + parts[2] + parts[3])
    dy = np.array([1.0, 0.0])
    drawn = dict(re.findall(r'data-edge="(\d+)".*?stroke-width="([\d.]+)"', svg(g, gradients=dy)))
    for k, share in g.shares(dy).items():
        size = np.linalg.norm(share)
        assert float(drawn[str(k)]) == (5 if size >= 0.5 else 3.4 if size >= 0.1 else 2 if size >= 0.01 else 1)
    assert set(drawn.values()) == {"5", "3.4", "2", "1"}
    assert "gradient: over ½ (or not finite), 1/10, 1/100 of the largest here, and less" in texts(svg(g, gradients=dy))
    assert set(re.findall(r'data-edge="\d+".*?stroke-width="([\d.]+)"', svg(g))) == {"2"}
    assert width_of(np.nan, 1.0) == width_of(np.inf, 1.0) == 5
    assert width_of(0.0, 0.0) == 1


def test_letters_are_those_of_the_routes():
    g = normalized(4, 8)
    routes = {r.letter: r for r in g.routes(g.main_input)}
    found = re.findall(r'<g class="letter" data-lane="(\w+)" data-route="(\w)"><title>route', svg(g))
    stretches = [("above", "C"), ("above", "D"), ("below", "B"), ("below", "D")]
    assert sorted(found) == [*stretches, ("side", "D"), ("spine", "A"), ("spine", "A"), ("spine", "B"), ("spine", "C")]
    assert "<title>route D = C, then B: sums to zero</title>" in svg(g)
    assert "D = C, then B: sums to zero" in texts(svg(g))
    assert routes["B"].title == "through μ"
    assert routes["C"].title == "through σ²"
    assert "letter" not in svg(square())  # a has two routes, but no branch beside a direct one


def test_nothing_flows_back_over_a_barrier():
    x, m = leaf("x", 4, 3), leaf("m", 3, requires_grad=False)
    g = graph((x - m) * leaf("γ", 3))
    stopped = re.findall(r'data-edge="(\d+)"(?:(?!</g>).)*class="barrier"', svg(g))
    assert [g.edges[int(k)].source for k in stopped] == [g.node(m).id]
    assert g.node(m).id not in g.gradients()
    assert "nothing flows back here" in texts(svg(g))
    assert "barrier" not in svg(normalized(4, 8))


def test_dtypes_and_scopes():
    found = texts(svg(normalized(4, 8), dtypes=True, scopes=True))
    assert found.count("(4, 8) float64") == 6
    assert {"in mean", "in variance", "in normalize", "in affine"} <= set(found)
    assert not any(t.startswith("in ") for t in texts(svg(normalized(4, 8))) if t != "input")


@pytest.mark.parametrize("name", SAMPLES)
def test_downwards(name):
    g = SAMPLES[name]()
    picture = svg(g, direction="down", gradients=True)
    ET.fromstring(picture)
    across = svg(g, gradients=True)
    drawn = [
        sorted(t for t in texts(re.sub(r'(?s)<g class="letter".*?</g>', "", p)) if not t.startswith(("A", "B", "C")))
        for p in (picture, across)
    ]
    assert drawn[0] == drawn[1]
    with pytest.raises(DrawingError, match="direction='up' is none of right, down"):
        svg(g, direction="up")


def test_text_width():
    assert text_width("x̂", 10) == text_width("x", 10)
    assert text_width("mm", 10) == 2 * text_width("m", 10) > 2 * text_width("i", 10)
    assert text_width("日本", 10) >= 20
    # DejaVu Sans' own advance widths, in units per em
    for text, units in {
        "rsqrt": 842 + 1067 + 1300 + 842 + 803,
        "(8, 64)": 799 * 2 + 1303 * 3 + 651 * 2,
        "σ²": 1298 + 821,
    }.items():
        assert text_width(text, 2048) >= 0.99 * units
