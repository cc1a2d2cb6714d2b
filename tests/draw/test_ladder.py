"""The ladder: everything once, nothing on top of anything else, readable in both themes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise

import numpy as np
import pytest

from tests.graph.test_folding import recorded_sample
from tinygrad_norm.draw import DrawingError
from tinygrad_norm.draw.geometry import Box
from tinygrad_norm.draw.ladder import ladder
from tinygrad_norm.draw.palette import THEMES
from tinygrad_norm.draw.rungs import ladder_text, rungs_of
from tinygrad_norm.draw.text import text_width
from tinygrad_norm.engine import Op, TinygradNormError, scope
from tinygrad_norm.engine.primitives import exp, tanh
from tinygrad_norm.graph import Folded, graph, width
from tinygrad_norm.graph.reads import reads
from tinygrad_norm.norms import names

from .samples import SAMPLES, UGLY_NAMES, chain, leaf, normalized, perceptron, recurrence, root_mean_square, transformer_block

SVG = "{http://www.w3.org/2000/svg}"


def tangle(seed):
    """A graph at random: every kind of rung, wires of every length."""
    rng = np.random.default_rng(seed)
    found = [leaf(n, 3) for n in "abc"]
    while len(found) < 22:
        x, y = (found[i] for i in rng.integers(max(0, len(found) - 7), len(found), 2))
        found.append([lambda a, b: a * b, lambda a, b: a + b, lambda a, b: a / b, lambda a, b: tanh(a)][rng.integers(4)](x, y))
    y = found[-1]
    for t in found[3:-1]:
        y = y + t if rng.random() < 0.3 else y
    return graph(y)


def from_above():
    """Two early values are read for one late gradient."""
    x = leaf("x", 3)
    p, q = (x + 1.0).named("p"), (x + 2.0).named("q")
    late = (q + 3.0).named("late")
    return graph(late * p + late * q)


GRAPHS = {
    **{name: make for name, make in SAMPLES.items() if name not in ("transformer block", "recurrence")},
    "recurrence": lambda: recurrence(15),
    "LayerNorm in boxes": lambda: normalized(8, 64).fold(1),
    "LayerNorm in one box": lambda: normalized(8, 64).fold(0),
    "transformer block in boxes": lambda: transformer_block().fold(),
    "softmax": lambda: graph(recorded_sample("softmax")),
    "from above": from_above,
    "a view": lambda: graph(leaf("x", 3, 4) @ leaf("W", 2, 4).T),
    "mixed dtypes": lambda: graph(leaf("x", 3).astype("float32") * leaf("b", 3)),
    **{f"tangle {seed}": lambda seed=seed: tangle(seed) for seed in range(12)},
}
each_graph = pytest.mark.parametrize("name", GRAPHS)


def groups(root, kind):
    return [e for e in root.iter(f"{SVG}g") if kind in (e.get("class") or "").split()]


def box_of(group):
    rect = group.find(f"{SVG}rect")
    x, y, w, h = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
    return Box(x + w / 2, y + h / 2, w, h)


def boxes(root, kind):
    return {int(g.get("data-node")): box_of(g) for g in groups(root, kind)}


def corners(path):
    """A path's points, its rounded corners made sharp."""
    steps = re.findall(r"([MLQ])([-\d. ]+)", path.get("d"))
    points = [tuple(map(float, numbers.split()[:2])) for _, numbers in steps]
    return [p for i, p in enumerate(points) if steps[i][0] != "L" or i == len(points) - 1]


def wires(group):
    return [corners(p) for p in group.iter(f"{SVG}path")]


def tips(group):
    return [tuple(map(float, p.get("points").split()[0].split(","))) for p in group.iter(f"{SVG}polygon")]


def near(a, b):
    return abs(a - b) < 0.11


@each_graph
def test_well_formed_and_the_same_twice(name):
    first, second = (ladder(GRAPHS[name](), title="A title") for _ in range(2))
    assert first == second
    root = ET.fromstring(first)
    assert root.get("role") == "img"
    assert root.get("aria-label") == root.find(f"{SVG}title").text == "A title"
    assert root.find(f"{SVG}desc").text
    for word in ("<script", "href", "url(", "@import", " id=", "<style", "<image", "nan"):
        assert word not in first
    assert re.findall(r"https?://[^\"]*", first) == ["http://www.w3.org/2000/svg"]
    assert "Ladder of" in ladder(GRAPHS[name]())


@each_graph
def test_a_rung_for_every_node_and_nothing_overlaps(name):
    g = GRAPHS[name]()
    root = ET.fromstring(ladder(g))
    fore, aft = boxes(root, "value"), boxes(root, "gradient")
    assert set(fore) == {n.id for n in g.nodes}
    assert not any(a.overlaps(b, margin=10) for a, b in combinations([*fore.values(), *aft.values()], 2))
    for column in (fore, aft):
        assert len({(b.x, b.w) for b in column.values()}) <= 1, "one column, one width"
    assert all((b.y, b.h) == (fore[i].y, fore[i].h) for i, b in aft.items()), "the two of a rung stand side by side"
    computed = [fore[n.id].y for n in g.nodes if n.op is not None]
    assert computed == sorted(computed), "time goes down"
    assert all(fore[e.source].y < fore[e.target].y for e in g.edges)
    wide, high = float(root.get("width")), float(root.get("height"))
    (dx, dy) = map(float, re.search(r"translate\(([\d.]+) ([\d.]+)\)", ET.tostring(root, "unicode")).groups())
    assert all(b.left + dx > 0 and b.right + dx < wide and b.bottom + dy < high for b in [*fore.values(), *aft.values()])


@each_graph
def test_gradients_are_those_of_the_engine(name):
    g = GRAPHS[name]()
    root = ET.fromstring(ladder(g))
    assert set(boxes(root, "gradient")) == set(g.gradients())


@each_graph
def test_every_read_is_drawn_exactly_once(name):
    g = GRAPHS[name]()
    asked = reads(g)
    place = g.box if isinstance(g, Folded) else {i: i for i in range(len(g.nodes))}
    expected = sorted({(place[i], place[j]) for i, who in asked.readers.items() for j in who})
    root = ET.fromstring(ladder(g))
    fore, aft = boxes(root, "value"), boxes(root, "gradient")
    drawn = []
    for group in groups(root, "read"):
        kept, ends = int(group.get("data-node")), [int(i) for i in group.get("data-for").split()]
        drawn += [(kept, end) for end in ends]
        assert len(wires(group)) == len(tips(group)) == len(ends)
        for end, tip in zip(ends, tips(group)):
            assert near(tip[0], aft[end].left)
            assert aft[end].top < tip[1] < aft[end].bottom
        check_branches(group, (fore[kept].right, fore[kept].y))
    assert sorted(drawn) == expected


def check_branches(group, home):
    """One wire leaves home; each other one leaves a wire of its own kind, at a dot."""
    dots = {(float(c.get("cx")), float(c.get("cy"))) for c in group.iter(f"{SVG}circle")}
    starts = [w[0] for w in wires(group)]
    away = [k for k, (x, y) in enumerate(starts) if not (near(x, home[0]) and near(y, home[1]))]
    assert len(away) == len(starts) - 1
    for k in away:
        assert any(on(s, starts[k]) for j, w in enumerate(wires(group)) if j != k for s in pairwise(w))
    assert {starts[k] for k in away} == dots


def crossings(root, *kinds):
    """How often a wire crosses one of another origin."""
    lines = [(k, s) for k, g in enumerate(e for c in kinds for e in groups(root, c)) for w in wires(g) for s in pairwise(w)]
    count = 0
    for (j, a), (k, b) in combinations(lines, 2):
        if j != k and near(a[0][0], a[1][0]) != near(b[0][0], b[1][0]):
            upright, level = (a, b) if near(a[0][0], a[1][0]) else (b, a)
            (x, y1), (_, y2) = upright
            (x1, y), (x2, _) = level
            count += min(x1, x2) < x < max(x1, x2) and min(y1, y2) < y < max(y1, y2)
    return count


@pytest.mark.parametrize(
    ("name", "forward", "backward", "across"),
    [
        ("LayerNorm", 0, 0, 2),
        ("LayerNorm analytic", 0, 0, 1),
        ("softmax", 0, 0, 0),
        ("MLP", 0, 0, 1),
        ("nested", 1, 1, 1),
        ("recurrence", 0, 0, 0),
        ("transformer block in boxes", 0, 0, 0),
        ("from above", 5, 4, 2),
        ("tangle 3", 48, 54, 17),
    ],
)
def test_few_wires_cross(name, forward, backward, across):
    root = ET.fromstring(ladder(GRAPHS[name]()))
    found = crossings(root, "forward"), crossings(root, "backward"), crossings(root, "read")
    assert found == (forward, backward, across)


def on(segment, p):
    (x1, y1), (x2, y2) = segment
    return min(x1, x2) - 0.2 <= p[0] <= max(x1, x2) + 0.2 and min(y1, y2) - 0.2 <= p[1] <= max(y1, y2) + 0.2


@each_graph
def test_flows_are_the_edges(name):
    g = GRAPHS[name]()
    root = ET.fromstring(ladder(g))
    assert sum(len(wires(group)) for group in groups(root, "forward")) == len({(e.source, e.target) for e in g.edges})
    found = g.gradients()
    back = {(e.source, e.target) for e in g.edges if {e.source, e.target} <= set(found) and e.rule != "no gradient"}
    assert sum(len(wires(group)) for group in groups(root, "backward")) == len(back)


@each_graph
def test_wires_keep_clear_of_boxes_and_of_each_other(name):
    root = ET.fromstring(ladder(GRAPHS[name]()))
    every = [*boxes(root, "value").values(), *boxes(root, "gradient").values()]
    lines = [
        (k, s)
        for k, g in enumerate(e for c in ("forward", "backward", "read") for e in groups(root, c))
        for w in wires(g)
        for s in pairwise(w)
    ]
    for _, ((x1, y1), (x2, y2)) in lines:
        assert near(x1, x2) or near(y1, y2), "level or upright"
        stroke = Box((x1 + x2) / 2, (y1 + y2) / 2, abs(x1 - x2), abs(y1 - y2))
        assert not any(stroke.overlaps(b, margin=-1) for b in every)
    for (j, a), (k, b) in combinations(lines, 2):
        if j != k:
            for axis in (0, 1):  # both level, or both upright: then apart
                if near(a[0][axis], a[1][axis]) and near(b[0][axis], b[1][axis]) and abs(a[0][axis] - b[0][axis]) < 5:
                    other = 1 - axis
                    (a1, a2), (b1, b2) = (sorted(p[other] for p in s) for s in (a, b))
                    assert max(a1, b1) >= min(a2, b2) - 0.2, f"{a} and {b} lie on each other"


@each_graph
def test_texts_fit_their_boxes(name):
    root = ET.fromstring(ladder(GRAPHS[name]()))
    for group in [*groups(root, "value"), *groups(root, "gradient")]:
        box, taken = box_of(group), {}
        for t in group.iter(f"{SVG}text"):
            long = text_width(t.text, float(t.get("font-size"))) * (1.05 if t.get("font-weight") else 1)
            assert box.top + 9 < float(t.get("y")) < box.bottom - 2
            assert long < box.w - 20
            taken[t.get("y")] = taken.get(t.get("y"), 0) + long
        assert all(long < box.w - 20 for long in taken.values()), "what stands on one line does not touch"
    wide = float(root.get("width"))
    for g in groups(root, "legend"):
        for t in g.iter(f"{SVG}text"):
            assert text_width(t.text, float(t.get("font-size") or g.get("font-size"))) < wide - 40 or " " not in t.text


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", ["LayerNorm", "LayerNorm analytic", "MLP", "softmax", "transformer block in boxes"])
def test_every_text_and_wire_stands_out(name, theme):
    root = ET.fromstring(ladder(GRAPHS[name](), theme=theme, title="A title"))
    paper = root.find(f"{SVG}rect").get("fill")
    assert paper == THEMES[theme].paper
    inside = set()
    for group in [*groups(root, "value"), *groups(root, "gradient")]:
        fill = group.find(f"{SVG}rect").get("fill")
        for t in group.iter(f"{SVG}text"):
            inside.add(t)
            assert contrast(t.get("fill"), fill) >= 4.5, t.text
    for t in root.iter(f"{SVG}text"):
        if t not in inside:
            assert contrast(t.get("fill") or root.get("fill"), paper) >= 4.5, t.text
    for p in root.iter(f"{SVG}path"):
        assert contrast(p.get("stroke"), paper) >= 3


def test_layer_norm_says_what_is_kept():
    root = ET.fromstring(ladder(normalized(8, 64)))
    states = {g.get("class").split()[1]: set() for g in groups(root, "value")}
    for g in groups(root, "value"):
        states[g.get("class").split()[1]].add(g.find(f"{SVG}text").text)
    assert states == {
        "given": {"x", "γ", "β"},
        "kept": {"c", "rstd", "x̂"},
        "dropped": {"μ", "c²", "σ²", "σ² + 1e-05", "x̂·γ", "y"},
    }
    shares = {g.find(f"{SVG}text").text: g.find(f"{SVG}title").text for g in groups(root, "gradient")}
    assert shares["dc"] == "dc = d(c²) ×2c + dx̂ ×rstd"
    assert shares["dγ"] == "dγ = Σ(d(x̂·γ) ×x̂)"
    assert shares["dx"] == "dx = dμ ×1/N + dc"
    assert shares["dy"] == "dy the seed: given"
    found = " ".join(t.text for t in root.iter(f"{SVG}text"))
    assert "3 of 9 computed tensors, 1,032 of 2,592 numbers; read of what is given: γ." in found
    assert "c is read for dc, drstd." in root.find(f"{SVG}desc").text


def test_boxes_say_by_their_looks_whether_they_are_kept():
    root = ET.fromstring(ladder(normalized(8, 64)))
    for g in groups(root, "value"):
        rect, state = g.find(f"{SVG}rect"), g.get("class").split()[1]
        dashed = rect.get("stroke-dasharray") is not None
        assert dashed == (state == "dropped" and g.find(f"{SVG}text").text != "y")
        assert (float(rect.get("stroke-width")) > 2) == (state == "kept")


def test_the_analytic_node_keeps_nothing():
    g = SAMPLES["LayerNorm analytic"]()
    root = ET.fromstring(ladder(g))
    found = [t.text for t in root.iter(f"{SVG}text")]
    assert found.count("= dy [layer_norm]") == 3
    assert "[op] by that op's rule" in found
    assert not [t for t in found if t.startswith("kept")], "the legend names what occurs"
    assert {g.get("data-node") for g in groups(root, "read")} == {"0", "1"}


def test_matrix_products_and_constants():
    root = ET.fromstring(ladder(perceptron()))
    shares = {g.find(f"{SVG}text").text: g.find(f"{SVG}title").text for g in groups(root, "gradient")}
    assert shares["dW2"] == "dW2 = t5ᵀ @ d(t5 @ W2)"
    assert shares["dt5"] == "dt5 = d(t5 @ W2) @ W2ᵀ"
    assert "dx" not in shares, "x requires no gradient"


def test_only_what_flows_back_is_a_share():
    held = Op("held", "held({0}, {1})", lambda a, b: a * b, (lambda g, out, a, b: g * b, None))
    a = leaf("a", 3)
    g = graph(held(a, exp(a)))
    assert [r.shares for r in rungs_of(g).rows if r.label == "a"] == [("= dy [held]",)]
    assert rungs_of(g).backward == ((2, 0),)


@each_graph
def test_a_leaf_stands_right_above_its_first_use(name):
    g = GRAPHS[name]()
    rows = [r.node for r in rungs_of(g).rows]
    for k, n in enumerate(rows):
        if n.op is None:
            following = next(m for m in rows[k:] if m.op is not None)
            assert following.id == min(e.target for e in g.edges if e.source == n.id)


def test_a_view_of_what_is_given_is_given():
    root = ET.fromstring(ladder(GRAPHS["a view"]()))
    (view,) = (g for g in groups(root, "value") if g.find(f"{SVG}text").text == "Wᵀ")
    assert view.get("class") == "value given"
    assert "a view of W" in [t.text for t in view.iter(f"{SVG}text")]


def test_many_shares_are_counted():
    assert rungs_of(recurrence(12)).rows[0].shares[-1] == "+ 9 more"


@pytest.mark.parametrize("name", UGLY_NAMES)
def test_ugly_names(name):
    with scope(name):
        y = (leaf(name, 3) * exp(leaf(name, 3))).named(name)
    for g in (graph(y + leaf(name, 3)), graph(y * leaf(name, 3)).fold(1)):
        picture = ladder(g, title=name)
        assert picture == picture.encode().decode()
        root = ET.fromstring(picture)
        assert not list(root.iter(f"{SVG}script"))
        assert not re.search("[\x00-\x09\x0b-\x1f]", picture)
        assert all(len(t.text or "") < 60 or not t.get("fill") for t in root.iter(f"{SVG}text"))
        for ascii in (False, True):
            text = ladder_text(g, ascii=ascii)
            assert not re.search("[\x00-\x09\x0b-\x1f]", text)
            assert not ascii or text.isascii()


def test_what_is_refused():
    with pytest.raises(DrawingError, match=r"ladder: 42 nodes are more rungs than the 40 .* Fold it: graph\.fold\(1\)"):
        ladder(chain(41))
    assert ladder(chain(39))
    with pytest.raises(DrawingError, match="theme='sepia' is none of light, dark"):
        ladder(normalized(2, 4), theme="sepia")
    assert issubclass(DrawingError, TinygradNormError)


def test_save(tmp_path):
    g = normalized(4, 8)
    path = g.save(tmp_path / "a.svg", ladder=True, title="LayerNorm", theme="dark")
    assert path.read_text(encoding="utf-8") == ladder(g, title="LayerNorm", theme="dark")
    assert g.to_svg(ladder=False) == g.to_svg()
    assert g.to_svg(ladder=True, fold=1, values=False, gradients=None, engine="builtin") == ladder(g.fold(1))
    large = transformer_block()
    assert g.to_svg(ladder=True, fold=False) == ladder(g)
    assert "fold=False (--whole) shows each" in large.to_svg(ladder=True), "it is folded unasked, as any picture"


@pytest.mark.parametrize(
    ("suffix", "options", "message"),
    [
        ("svg", {"route": "A"}, "ladder and route in one picture: a ladder shows what the way back reads, not route"),
        ("svg", {"values": True}, "ladder and values in one picture"),
        ("svg", {"gradients": np.ones((4, 8))}, "ladder and gradients in one picture"),
        ("svg", {"engine": "graphviz"}, "ladder and engine='graphviz': a ladder has a layout of its own"),
        ("svg", {"colour": 1}, r"\.svg with ladder has no option colour\. Its options: fold, open, keep, title, theme\."),
        ("svg", {"fold": -1}, "fold=-1"),
        ("dot", {}, r"\.dot has no option ladder"),
        ("txt", {}, r"\.txt has no option ladder"),
        ("png", {}, r"\.png has no option ladder"),
    ],
)
def test_what_makes_no_sense_together(tmp_path, suffix, options, message):
    with pytest.raises(DrawingError, match=message):
        normalized(4, 8).save(tmp_path / f"a.{suffix}", ladder=True, **options)
    assert not list(tmp_path.iterdir())


# In the terminal ----------------------------------------------------------------------------------------


def test_as_text():
    assert ladder_text(root_mean_square()).splitlines() == [
        "forward                 shape    kept?  read by",
        "───────────────────────────────────────────────",
        "x                       (8, 64)  given  dx, dr",
        "x·x                     (8, 64)  no",
        "mean(x·x)               (8, 1)   no",
        "t3 = mean(x·x) + 1e-06  (8, 1)   no",
        "r = rsqrt(t3)           (8, 1)   yes    dx, dt3",
        "x·r                     (8, 64)  yes    dγ",
        "γ                       (64,)    given  d(x·r)",
        "y = x·r·γ               (8, 64)  no",
        "",
        "kept for the way back: r, x·r: 2 of 6 computed tensors, 520 of 1,560 numbers;",
        "read of what is given: x, γ.",
    ]
    assert "t3 = mean(x*x) + 1e-06  (8, 1)   no\n" in ladder_text(root_mean_square(), ascii=True)
    assert "a view of W  dx" in ladder_text(GRAPHS["a view"]())


@pytest.mark.parametrize("ascii", [False, True])
@each_graph
def test_one_line_per_node_at_80_columns(name, ascii):
    g = GRAPHS[name]()
    lines = ladder_text(g, ascii=ascii).splitlines()
    assert lines.index("") == len(g.nodes) + 2
    assert all(width(line) <= 80 for line in lines)
    assert not ascii or all(line.isascii() for line in lines)
    kept = [line for line in lines[2 : lines.index("")] if re.search(r"\) +yes|scalar +yes|float\d\d +yes", line)]
    assert len(kept) == sum(r.state == "kept" for r in rungs_of(g).rows)


@pytest.mark.parametrize("name", names())
def test_every_norm_has_a_ladder(name):
    g = graph(recorded_sample(name))
    assert ET.fromstring(g.to_svg(ladder=True)) is not None
