"""The page to step through: the story it tells, and what a browser makes of it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.draw.explorer import ExplorerError, explorer
from tinygrad_norm.draw.steps import MOST, matrix, steps_of
from tinygrad_norm.graph import graph

from .samples import SAMPLES, UGLY_NAMES, leaf, normalized

CHROMIUM = shutil.which("chromium")


def story_in(page):
    return json.loads(re.search(r'<script type="application/json" id=story>(.*?)</script>', page, re.S).group(1))


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
    x = leaf("x", 4, 8)
    y = tn.functional.layer_norm(x, 8)
    dy = np.random.default_rng(1).normal(size=(4, 8))
    (dx,) = tn.grad(y, x, dy)
    last = steps_of(graph(y), dy)[-1]
    assert last.matrices[-1].cells == tuple(tuple(f"{v:.3g}".replace("-", "−") for v in row) for row in dx.data.tolist())
    assert f"Its length is {np.linalg.norm(dx.data):.4g}." in last.text


@pytest.mark.parametrize("name", SAMPLES)
def test_every_graph_has_a_story(name):
    g = SAMPLES[name]()
    if len(g.nodes) > 60:
        with pytest.raises(ExplorerError, match="a page steps through at most 60 nodes; this graph has"):
            explorer(g)
        return
    story = steps_of(g)
    assert {s.node for s in story if s.phase in ("given", "forward")} == {n.id for n in g.nodes}
    assert story_in(explorer(g)) == json.loads(json.dumps([s.plain() for s in story]))


def test_large_matrices_are_cut_and_say_so():
    m = matrix("a", np.arange(200.0).reshape(10, 20))
    assert (len(m.cells), len(m.cells[0]), m.cut) == (MOST, MOST, "the first 8×8 of 10×20")
    m = matrix("a", np.array([np.nan, np.inf, -np.inf, 2.0, -4.0]))
    assert m.cells == (("nan", "inf", "−inf", "2", "−4"),)
    assert m.shades == ((0.0, 1.0, -1.0, 0.5, -1.0),)
    assert matrix("a", np.float64(3.0)).shape == "scalar"


# The page -------------------------------------------------------------------------------------------------------------


def test_the_page_asks_nobody_for_anything(tmp_path):
    path = normalized(8, 64).save(tmp_path / "a.html", title="Layer & Norm")
    page = path.read_text(encoding="utf-8")
    assert len(page.encode()) < 150_000
    assert "default-src 'none'" in page
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "<h1>Layer &amp; Norm</h1>" in page
    assert "src=" not in page.replace("default-src", "").replace("style-src", "").replace("script-src", "")


@pytest.mark.parametrize("name", UGLY_NAMES)
def test_ugly_names_are_harmless(name):
    x = tn.tensor(np.ones((2, 3)), requires_grad=True, name=name)
    page = explorer(graph((x * 2.0).named(name)))
    assert page.count("<script") == 2
    assert page.count("</script>") == 2
    assert len(story_in(page)) > 3


def dom(path, step, tmp_path):
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
               "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
               f"--user-data-dir={tmp_path / f'profile{step}'}", "--dump-dom", f"{path.as_uri()}#step={step}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_in_a_browser(tmp_path):
    path = normalized(2, 3).save(tmp_path / "a.html")
    story = story_in(path.read_text(encoding="utf-8"))
    for step in (1, len(story) // 2, len(story)):
        page = dom(path, step, tmp_path)
        s = story[step - 1]
        assert html.unescape(re.search(r'<p id="said"[^>]*>(.*?)</p>', page, re.S).group(1)) == s["text"]
        assert f"{step} of {len(story)}, {s['phase']}" in page
        cells = re.findall(r"<td[^>]*>(.*?)</td>", page)
        assert cells == [v for m in s["matrices"] for row in m["cells"] for v in row]
        now = re.findall(r'<g class="node[^"]*now[^"]*" data-node="(\d+)"', page)
        assert now == [str(s["node"])]
        assert sorted(map(int, re.findall(r'<g class="edge[^"]*now[^"]*" data-edge="(\d+)"', page))) == sorted(s["edges"])
