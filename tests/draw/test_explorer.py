"""The page to step through: the story it tells, and what stands on it. What a browser makes of it: ``test_browser.py``."""

from __future__ import annotations

import base64
import gzip
import json
import re
import warnings
from itertools import pairwise

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive.recording import recorder
from tinygrad_norm.draw.explorer import LARGEST, MOST_BYTES, explorer, largest_difference
from tinygrad_norm.draw.nested_view import nested
from tinygrad_norm.draw.steps import MOST, facts, largest, matrix, steps_of
from tinygrad_norm.engine import scope
from tinygrad_norm.graph import graph
from tinygrad_norm.graph.folding import plainly
from tinygrad_norm.norms import get

from .samples import SAMPLES, UGLY_NAMES, chain, leaf, modules, normalized, transformer_block, twice


def data_in(page):
    if packed := re.search(r'<script type="text/plain" id="story">(.*?)</script>', page, re.S):
        data = json.loads(gzip.decompress(base64.b64decode(packed.group(1))))
        for view in data["views"]:
            if columns := view.get("levels"):  # what is of one kind, side by side
                rows = zip(*columns["values"], strict=True)
                view["levels"] = {p: dict(zip(columns["keys"], row)) for p, row in zip(columns["paths"], rows, strict=True)}
        return data
    return json.loads(re.search(r'<script type="application/json" id="story">(.*?)</script>', page, re.S).group(1))


def both(*shape):
    """A record and its twin with the hand-derived backward."""
    n = shape[-1]
    x, w, b = leaf("x", *shape), leaf("γ", n), leaf("β", n)
    return tuple(graph(tn.functional.layer_norm(x, n, w, b, backward=how)) for how in ("recorded", "analytic"))


# The story ------------------------------------------------------------------------------------------------------------


def test_every_share_is_handed_back_once_and_what_meets_adds_up():
    g = normalized(2, 3)
    dy = np.random.default_rng(0).normal(size=(2, 3))
    story = steps_of(g, dy)
    phases = [s.phase for s in story]
    assert phases.index("forward") < phases.index("seed") < phases.index("backward")
    handed = [s.edges[0] for s in story if s.phase == "backward"]
    assert sorted(handed) == [k for k, e in enumerate(g.edges)]
    found = g.gradients(dy)
    for s in story:
        if s.phase == "sum":
            assert {g.edges[k].source for k in s.edges} == {s.node}
            assert all(k in handed[: sum(t.phase == "backward" for t in story[: story.index(s)])] for k in s.edges)
            *shares, total = s.matrices
            assert total.cells == matrix("", found[s.node]).cells
            assert len(shares) in (0, len(s.edges))
    meets = {g.nodes[s.node].label for s in story if s.phase == "sum" and len(s.edges) > 1}
    assert meets == {"c", "x"}


def test_the_numbers_are_the_engines():
    x = leaf("x", 4, 6)
    y = tn.functional.layer_norm(x, 6)
    dy = np.random.default_rng(1).normal(size=(4, 6))
    (dx,) = tn.grad(y, x, dy)
    last = steps_of(graph(y), dy)[-1]
    assert last.matrices[-1].cells == tuple(tuple(f"{v:.3g}".replace("-", "−") for v in row) for row in dx.data.tolist())
    assert last.changed.endswith(f"that of their sum {np.linalg.norm(dx.data):.4g}.")


@pytest.mark.parametrize("folded", [False, True])
def test_what_is_said_to_change_is_what_changes(folded):
    g = normalized(4, 8)
    story = steps_of(g.fold(1) if folded else g)
    found = g.gradients()
    name = {f"d{n.label if n.tensor.name or n.label == 'y' else f'({n.label})'}": found[n.id] for n in g.nodes if n.id in found}
    told = 0
    for s in story:
        if s.phase == "backward" and "is complete" in s.changed:
            who, length = re.fullmatch(r"(.*) is complete; its length is (.*)\.", s.changed).groups()
            assert float(length) == pytest.approx(np.linalg.norm(name[who]), rel=1e-3)
            told += 1
        if s.phase == "sum" and len(s.edges) > 1:
            assert s.changed.endswith(f"that of their sum {np.linalg.norm(name['dc' if 'dc' in s.changed else 'dx']):.4g}.")
    assert told == (5 if folded else 9)


def test_questions_are_asked_before_their_answers():
    g = normalized(4, 6)
    story = steps_of(g)
    routes = g.routes(g.main_input)
    asked = [s for s in story if s.options]
    assert [s.phase for s in asked] == ["guess"] * 3
    turn = [s.phase for s in story].index("seed")
    assert story[turn + 1] is asked[0]
    assert asked[0].options[asked[0].answer] == "A: direct" == f"A: {max(routes, key=lambda r: r.norm).title}"
    for s, after in pairwise(story):
        if s.options and after.phase == "sum":
            *parts, total = (np.array([[float(v.replace("−", "-")) for v in row] for row in m.cells]) for m in after.matrices)
            shorter = np.linalg.norm(total) < max(np.linalg.norm(p) for p in parts)
            assert s.answer == int(shorter)
            assert story[story.index(s) - 1].changed.endswith("shares: they can be added.")
    assert not any(s.options for s in steps_of(graph(leaf("a", 3) * 2.0)))
    a = leaf("a", 3)
    assert not any(s.phase == "guess" and "routes" in s.text for s in steps_of(graph(a * a))), "a tie"
    assert (largest([1.0, 2.0]), largest([2.0, 2.0005]), largest([1.0, np.inf]), largest([1.0, np.nan])) == (1, None, 1, None)


def test_what_is_said_of_a_rule_is_true():
    x = leaf("x", 4, 3)
    told = [s.text for s in steps_of(graph(x.sum(-1) * leaf("w", 4)))]
    assert "sum(x) hands x its gradient: d(sum(x)), for each of the entries that went into it." in told
    told = [s.text for s in steps_of(graph(x @ leaf("W", 3, 2)))]
    assert "y hands W its gradient: xᵀ @ dy." in told
    assert "y hands x its gradient: dy @ Wᵀ." in told
    told = [s.text for s in steps_of(both(4, 3)[1])]
    assert "y hands x its gradient: dy, through the backward rule of layer_norm." in told
    loss = steps_of(graph((x * x).mean()))
    assert any(s.text.endswith("says how much it matters: the cotangent dy.") for s in loss)
    y = tn.functional.layer_norm(x, 3)
    (dx,) = tn.grad(y, x, tn.tensor(np.ones((4, 3)), requires_grad=True, name="dy"), create_graph=True)
    assert any("∇x" in s.text for s in steps_of(graph(dx.named("dx")))), "dx is the name of something else here"


def test_a_box_with_two_outlets_tells_of_both():
    norm = get("adaptive_instance_norm")
    record = recorder("adaptive_instance_norm", None, norm.shape, "recorded", 0, {}, ())()
    story = steps_of(graph(record.output).fold(1))
    (made,) = (s for s in story if s.phase == "forward" and s.text.startswith("style"))
    assert "comes μ(s), (2, 3, 1) and σₛ, (2, 3, 1)" in made.text
    assert len(made.matrices) == 2
    (back,) = (s for s in story if s.text.startswith("style hands s"))
    assert "d(μ(s)) and dσₛ, through all that is in the box" in back.text
    assert len(back.matrices) == 3


def test_facts_are_those_of_the_tensors():
    g = normalized(4, 8)
    told = facts(g, g.gradients())
    x = told[0]["lines"]
    data = g.tensors[0].data
    assert x[0] == "x"
    assert x[1] == "input, (4, 8), float64"
    assert x[2] == "used by μ, c"
    assert x[3].startswith(f"its numbers: from {data.min():.3g} to".replace("-", "−"))
    assert "length" in x[4]
    hat = next(f["lines"] for f in told if f["lines"][0] == "x̂ = c·rstd")
    assert hat[1] == "value, (4, 8), float64, made by mul, recorded in normalize"
    odd = graph(tn.tensor([np.nan, np.inf, 1.0, 2.0], requires_grad=True, name="x") * 1.0)
    assert "from 1 to 2, mean 1.5, 2 not finite" in facts(odd, {})[0]["lines"][-1]
    stopped = graph(leaf("x", 3) * leaf("k", 3, requires_grad=False))
    assert facts(stopped, stopped.gradients())[1]["lines"][-1] == "nothing flows back to it"


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.costly(3)
def test_every_graph_has_a_page(name):
    g = SAMPLES[name]()
    page = explorer(g)
    assert len(page.encode()) <= MOST_BYTES
    views = data_in(page)["views"]
    first = views[0]
    if not first["whole"]:
        assert len(g.nodes) > LARGEST
        return
    story = steps_of(plainly(g))
    assert {s.node for s in story if s.phase in ("given", "forward")} == {n.id for n in g.nodes}
    assert [s["s"] for s in first["steps"]] == [s.text for s in story]
    assert page.count("<div class=view") == len(views)


def test_large_matrices_are_cut_and_say_so():
    m = matrix("a", np.arange(200.0).reshape(10, 20))
    assert (len(m.cells), len(m.cells[0]), m.cut) == (MOST, MOST, "the first 8×8 of 10×20")
    m = matrix("a", np.array([np.nan, np.inf, -np.inf, 2.0, -4.0]))
    assert m.cells == (("nan", "inf", "−inf", "2", "−4"),)
    assert m.shades == ((0.0, 1.0, -1.0, 0.5, -1.0),)
    assert matrix("a", np.float64(3.0)).shape == "scalar"
    assert matrix("a", np.arange(200.0).reshape(10, 20)).first(3).cut == "the first 3×3 of 10×20"
    assert matrix("a", np.zeros((0, 3))).cut == ""
    assert matrix("a", np.array([True, False])).cells == (("True", "False"),)
    assert matrix("a", np.array([1e308, -1e308])).shades == ((1.0, -1.0),)


# The page -------------------------------------------------------------------------------------------------------------


def test_the_page_asks_nobody_for_anything(tmp_path):
    path = normalized(8, 64).save(tmp_path / "a.html", title="Layer & Norm")
    page = path.read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert set(re.findall(r"https?://[^\"' ]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "<h1>Layer &amp; Norm</h1>" in page
    assert not re.search(r"\b(src|href)\s*=\s*[\"'](?!#)", page.partition("<script>")[0])


def test_the_matrices_on_the_page_are_the_storys():
    g = normalized(2, 3)
    data = data_in(explorer(g))
    for told, s in zip(data["views"][0]["steps"], steps_of(g)):
        shown = [data["matrices"][k] for k in told["m"]]
        assert [m["r"] for m in shown] == [[" ".join(row) for row in m.cells] for m in s.matrices]
        for m, mine in zip(shown, s.matrices):
            for row, shades in zip(m["h"], mine.shades):
                assert [(ord(ch) - 77) / 12 for ch in row] == pytest.approx(list(shades), abs=0.05)


def test_a_page_that_would_be_too_large_is_packed():
    page = explorer(transformer_block())
    assert [v["label"] for v in data_in(page)["views"]] == ["every operation", "boxes"]
    assert 'type="text/plain" id="story"' in page
    assert len(page.encode()) <= MOST_BYTES
    small = explorer(normalized(8, 64))
    assert [v["label"] for v in data_in(small)["views"]] == ["every operation", "boxes"]
    assert 'type="application/json" id="story"' in small
    whole = explorer(twice())
    assert data_in(whole)["views"][0]["whole"]
    cuts = {m["c"].partition(" of ")[0] for m in data_in(whole)["matrices"] if m["c"]}
    assert cuts, "matrices of 8×64 are cut"


def test_a_long_record_is_told_in_boxes():
    page = explorer(chain(500))
    (view,) = data_in(page)["views"]
    assert view["levels"][""]["n"][1][0] == "mul ×500"
    assert view["note"] == "500 operations in 1 box"
    deep = leaf("x", 2)
    for k in range(70):
        with scope(f"layer {k}"):
            deep = (deep * leaf(f"w{k}", 2)).tanh()
    page = explorer(graph(deep))
    (view,) = data_in(page)["views"]
    assert [n[0] for n in view["levels"]["layer"]["n"]] == ["x", "w0", "x·w0", "tanh(x·w0)", "y"]
    assert len(page.encode()) <= MOST_BYTES


@pytest.mark.parametrize("name", ["modules", "transformer block", "twice"])
def test_each_box_tells_its_part_and_the_parts_add_up(name):
    """What leaves a box gets its gradient from outside, and what comes in takes the box's share of it out."""
    g = {**SAMPLES, "modules": modules}[name]()
    dy = np.random.default_rng(0).normal(size=g.output.shape)
    view = nested("boxes", g, dy)
    gradients, shares = g.gradients(dy), g.shares(dy)
    for level in view.levels.values():
        inside = level.shared(shares, gradients)
        for k, n in enumerate(level.nodes):
            mine = [inside[j] for j, e in enumerate(level.edges) if e.source == k and j in inside]
            i = g.ids[n.tensor]
            if mine and n.op not in ("in", "out") and i in gradients and n.op != "fold":
                np.testing.assert_allclose(np.sum(mine, axis=0), gradients[i], atol=1e-12)
        forth, back = view.told[level.inside_of.path]
        handed = [s.edges[0] for s in back if s.phase == "backward"]
        assert sorted(handed) == sorted(inside)
        assert {s.node for s in forth} == {n.id for n in level.nodes if n.op not in ("in", "out")}


@pytest.mark.parametrize("make", [lambda a: a * a, lambda a: a.sum(), lambda a: a.mean(), lambda a: a @ np.zeros((4, 2))])
def test_nothing_has_a_page_too(make):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        page = explorer(graph(make(leaf("a", 0, 4))))
    assert "a is known: 0 numbers." in page


def test_what_is_not_finite_has_a_page():
    a = leaf("a", 3)
    with np.errstate(all="ignore"):
        assert "<h1>" in explorer(graph(a / (a - a) + a))


def test_the_routes_tab_asks_only_what_has_an_answer():
    a = leaf("a", 3)
    assert data_in(explorer(graph(a * a)))["most"] is None
    assert data_in(explorer(graph(a * 2.0)))["most"] is None
    assert data_in(explorer(normalized(4, 8)))["most"] == 0
    for _ in range(70):
        a = a + a.tanh()
    told = data_in(explorer(graph(a)))
    assert told["why"] == "Over 10²¹ routes lead from a to y: too many to tell one by one."
    assert told["routes"] == []


def test_the_twin_stands_where_the_record_stood():
    recorded, analytic = both(4, 8)
    page = explorer(recorded, twin=analytic)
    gap = largest_difference(recorded, analytic, recorded.cotangent())
    assert re.fullmatch(r"dx [\de.-]+, dγ [\de.-]+, dβ [\de.-]+", gap)
    assert f"Largest difference to every operation: {gap}." in page
    assert max(float(part.split()[1]) for part in gap.split(", ")) < 1e-14
    pictures = re.findall(r"<svg.*?</svg>", page.partition("<script")[0], re.S)
    first, last = pictures[0], pictures[-1]
    where = r'<title>[a-z]+ {}, shape.*?<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"'
    for label in "xγβ":
        assert re.search(where.format(label), first, re.S).groups() == re.search(where.format(label), last, re.S).groups()
    right = [sum(float(v) for v in re.search(where.format("y = .*?"), p, re.S).group(1, 3)) for p in (first, last)]
    assert right[0] == pytest.approx(right[1], abs=0.2)
    wrong = graph(tn.functional.layer_norm(recorded.main_input, 8, eps=0.1))
    assert "dx 0" not in largest_difference(recorded, wrong, recorded.cotangent())


def test_relatives_stand_on_a_tab_of_their_own():
    x = leaf("x", 4, 8)
    family = {"LayerNorm": graph(tn.functional.layer_norm(x, 8)), "RMSNorm": graph(tn.functional.rms_norm(x, 8))}
    page = explorer(family["LayerNorm"], family=family)
    assert ">Family</button>" in page
    assert "RMSNorm: without μ, c" in page
    assert ">Family</button>" not in explorer(family["LayerNorm"])


@pytest.mark.parametrize("name", UGLY_NAMES)
def test_ugly_names_are_harmless(name):
    x = tn.tensor(np.ones((2, 3)), requires_grad=True, name=name)
    page = explorer(graph((x * 2.0).named(name)), title=name)
    assert page.count("<script") == 2
    assert page.count("</script>") == 2
    assert len(data_in(page)["views"][0]["steps"]) > 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308])
def test_bad_numbers_are_told(bad):
    x = tn.tensor([[bad, 1.0, 2.0], [1.0, 2.0, 4.0]], requires_grad=True, name="x")
    with np.errstate(all="ignore"):
        page = explorer(graph(tn.functional.layer_norm(x, 3)))
    shown = data_in(page)["matrices"][0]["r"][0].split(" ")
    assert shown == [f"{bad:.3g}".replace("-", "−"), "1", "2"]
