"""The page in a real browser: Chromium, headless, driven by Playwright. Skipped where either is missing."""

from __future__ import annotations

import json
import re
import struct
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive.recording import gradients_of
from tinygrad_norm.draw.explorer import explorer
from tinygrad_norm.draw.nested_view import nested
from tinygrad_norm.draw.steps import steps_of
from tinygrad_norm.graph import graph

from .samples import UGLY_NAMES, leaf, transformer_block
from .test_explorer import both, data_in
from .test_svg import contrast


@pytest.fixture(scope="module")
def norm(tmp_path_factory):
    """The page of LayerNorm, and the record it was made from."""
    recorded, analytic = both(4, 6)
    family = {"LayerNorm": recorded, "RMSNorm": graph(tn.functional.rms_norm(recorded.main_input, 6))}
    path = tmp_path_factory.mktemp("page") / "layer_norm.html"
    path.write_text(explorer(recorded, twin=analytic, family=family, title="LayerNorm, step by step"), encoding="utf-8")
    return path, recorded, analytic


def seen(page):
    """What the page says and shows now."""
    return {
        "said": page.inner_text("#said"),
        "changed": page.inner_text("#changed"),
        "count": page.inner_text("#count"),
        "cells": page.locator("#panel-step td").all_inner_texts(),
        "now": page.locator(".view:not([hidden]) .node.now").evaluate_all("all => all.map(e => +e.dataset.node)"),
        "edges": page.locator(".view:not([hidden]) .edge.now").evaluate_all("all => all.map(e => +e.dataset.edge)"),
    }


@pytest.mark.parametrize("level", [0, 1, 2])
def test_every_step_is_reached_by_keyboard_and_shows_the_engines_numbers(visit, norm, level):
    path, recorded, analytic = norm
    view = nested("boxes", recorded, recorded.cotangent(None))
    (forth, back), turn = view.told[""], view.turn
    story = [steps_of(recorded), [*forth, *turn, *back], steps_of(analytic)][level]
    page = visit(path)
    for _ in range(level):
        page.keyboard.press("v")
    page.keyboard.press("Home")
    for k, s in enumerate(story):
        assert seen(page) == {
            "said": s.text,
            "changed": s.changed,
            "count": f"{k + 1} of {len(story)}, {s.phase}",
            "cells": [v for m in s.matrices for row in m.cells for v in row],
            "now": [s.node if s.node < len(view.levels[""].nodes) or level != 1 else len(view.levels[""].nodes) - 1],
            "edges": sorted(s.edges),
        }
        page.keyboard.press("ArrowRight")
    assert page.inner_text("#count").startswith(f"{len(story)} of")
    page.keyboard.press("Home")
    assert page.inner_text("#count").startswith("1 of")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#count").startswith(f"{len(story) - 1} of")


def test_the_gradient_on_the_page_is_the_engines(visit, norm):
    path, recorded, _ = norm
    page = visit(path)
    page.keyboard.press("End")
    shown = page.locator("#panel-step table").last
    cells = [float(v.replace("−", "-")) for v in shown.locator("td").all_inner_texts()]
    dx = recorded.gradients()[0]
    np.testing.assert_allclose(np.reshape(cells, (4, 6)), dx, rtol=0.006, atol=1e-12)
    assert shown.locator("caption").inner_text() == "dx (4, 6)"


@pytest.mark.parametrize("width", [1400, 800])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_phase_fits_the_window(visit, norm, tmp_path, width, scheme):
    page = visit(norm[0], width=width, color_scheme=scheme)
    for phase in ("given", "forward", "seed", "backward"):
        page.click(f"[data-phase={phase}]")
        picture = page.screenshot(path=tmp_path / f"{phase}.png", full_page=True)
        assert picture[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(picture) > 20_000
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        about, frame = (page.locator(at).bounding_box() for at in (".view:not([hidden]) .node.now", ".picture"))
        assert frame["x"] <= about["x"] <= about["x"] + about["width"] <= frame["x"] + frame["width"] + 1


OVERLAPS = """() => {
  const box = e => e.getBoundingClientRect(), found = [];
  const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const svg = [...document.querySelectorAll('.view')].find(v => !v.hidden).querySelector('svg');
  const rects = [...svg.querySelectorAll('.node > rect')], labels = [...svg.querySelectorAll('.edge text')];
  rects.forEach((a, i) => rects.slice(0, i).forEach(b => { if (over(box(a), box(b))) found.push('boxes'); }));
  for (const text of svg.querySelectorAll('.node text')) {
    const t = box(text), r = box(text.parentNode.querySelector('rect'));
    if (t.left < r.left || t.right > r.right || t.top < r.top - 1 || t.bottom > r.bottom + 1) found.push('clipped ' + text.textContent);
  }
  labels.forEach(l => rects.forEach(r => { if (over(box(l), box(r))) found.push('label ' + l.textContent); }));
  const whole = box(svg);
  for (const text of svg.querySelectorAll('text')) {
    const t = box(text);
    if (t.left < whole.left || t.right > whole.right || t.bottom > whole.bottom) found.push('outside ' + text.textContent);
  }
  return found;
}"""


@pytest.mark.parametrize("width", [1400, 800])
def test_nothing_overlaps_and_nothing_is_clipped(visit, norm, tmp_path, width):
    block = tmp_path / "block.html"
    block.write_text(explorer(transformer_block()), encoding="utf-8")
    for path, levels in ((norm[0], 3), (block, 2)):
        page = visit(path, width=width)
        for _ in range(levels):
            assert page.evaluate(OVERLAPS) == []
            page.keyboard.press("v")
    page.evaluate("document.querySelector('.node rect').setAttribute('width', 5)")
    assert any(f.startswith("clipped") for f in page.evaluate(OVERLAPS))


COLOURS = """() => {
  const shown = e => e.getClientRects().length && getComputedStyle(e).visibility !== 'hidden';
  const ground = e => { for (let n = e; n; n = n.parentElement) { const c = getComputedStyle(n).backgroundColor; if (!/rgba\\(.*, 0\\)/.test(c)) return c; } };
  const found = [];
  for (const e of document.querySelectorAll('h1,button,label,p,td,th,caption,summary,dt,dd,code,legend,#count,h2,div'))
    if (shown(e) && !e.disabled && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) found.push([e.textContent.slice(0, 30), getComputedStyle(e).color, ground(e)]);
  const svg = [...document.querySelectorAll('.view')].find(v => !v.hidden).querySelector('svg');
  const paper = getComputedStyle(svg.querySelector('.paper')).fill;
  for (const n of svg.querySelectorAll('.node')) {
    const fill = getComputedStyle(n.querySelector('rect')).fill;
    n.querySelectorAll('text').forEach(t => found.push([t.textContent, getComputedStyle(t).fill, fill]));
  }
  for (const t of svg.querySelectorAll('.edge text:not(.on-sum),.letter text,.legend text:not(.on-sum)')) found.push([t.textContent, getComputedStyle(t).fill, paper]);
  for (const t of svg.querySelectorAll('.on-sum')) found.push([t.textContent, getComputedStyle(t).fill, getComputedStyle(t.previousElementSibling).fill]);
  return found;
}"""


def hexadecimal(colour):
    """``rgb(1, 2, 3)`` as #010203, and what a browser writes for hsl."""
    numbers = [float(v) for v in re.findall(r"[\d.]+", colour)[:3]]
    scale = 255 if colour.startswith("color(") else 1
    return "#" + "".join(f"{round(v * scale):02x}" for v in numbers)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everything_can_be_read(visit, norm, theme):
    page = visit(norm[0], f"#theme={theme}")
    for key in ("1", "2", "3", "4"):
        page.keyboard.press(key)
        if key == "3":
            page.click("text=just show them")
        for step in ("Home", "End"):
            page.keyboard.press(step)
            found = page.evaluate(COLOURS)
            assert len(found) > 60
            low = [(text, a, b) for text, a, b in found if contrast(hexadecimal(a), hexadecimal(b)) < 4.5]
            assert low == []
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert hexadecimal(paper) == ("#ffffff" if theme == "light" else "#0d1117")


def test_the_address_holds_the_state(visit, norm):
    page = visit(norm[0])
    page.keyboard.press("End")
    page.locator(".view:not([hidden]) .node").nth(3).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("t")
    assert page.inner_text("#panel-tensor h2") == "μ = mean(x)"
    before, state = seen(page), page.evaluate("location.hash")
    again = visit(norm[0], state)
    assert seen(again) == before
    assert again.inner_text("#panel-tensor h2") == "μ = mean(x)"
    assert again.get_attribute("html", "data-theme") == "dark"
    assert again.locator(".node.picked").get_attribute("data-node") == "3"
    odd = visit(norm[0], "#step=999&level=-1&tab=none&node=x&route=Z&theme=%ff&=&%")
    assert odd.inner_text("#count").startswith("31 of 31")
    twin = visit(norm[0], "#level=2&step=3")
    assert twin.locator(".view:not([hidden]) .node").count() == 4


def test_search_tabs_and_routes_by_keyboard(visit, norm):
    page = visit(norm[0])
    page.keyboard.press("/")
    page.keyboard.type("statistic")
    assert page.inner_text("#hits") == "4 found"
    assert page.locator(".node.hit").count() == 4
    page.keyboard.press("Enter")
    assert page.inner_text("#panel-tensor h2") == "μ = mean(x)"
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    assert page.inner_text("#hits") == ""
    page.keyboard.press("3")
    assert page.locator("table.routes").is_hidden()
    page.get_by_role("button", name="C: through σ²", exact=True).first.focus()
    page.keyboard.press("Enter")
    told = page.inner_text("#panel-routes [role=status]")
    routes = norm[1].routes(norm[1].main_input)
    assert told.startswith(f"No. Route A gives the most: its length is {routes['A'].norm:.4g}")
    sizes = page.locator("table.routes td:nth-child(3)").all_inner_texts()
    assert [float(v) for v in sizes] == pytest.approx([r.norm for r in routes], rel=1e-3)
    page.get_by_role("button", name="show C").focus()
    page.keyboard.press("Enter")
    on = page.locator(".view:not([hidden]) .edge.on").evaluate_all("all => all.map(e => +e.dataset.edge)")
    assert on == sorted(norm[1].edges.index(e) for e in routes["C"].edges)
    page.keyboard.press("Escape")
    assert page.locator(".edge.on").count() == 0
    page.locator("#tab-routes").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#tab-formula", "aria-selected") == "true"
    assert "dx = A + B + C + D" in page.inner_text("#panel-formula")
    page.keyboard.press("ArrowRight")
    assert page.locator("#panel-family svg").is_visible()


def test_a_question_is_answered(visit, norm):
    story = steps_of(norm[1])
    at = next(k for k, s in enumerate(story) if s.options)
    page = visit(norm[0], f"#step={at + 1}")
    buttons = page.locator("#ask button")
    assert buttons.all_inner_texts() == list(story[at].options)
    buttons.nth(1).click()
    assert page.inner_text("#ask [role=status]") == f"No. {story[at].because}"
    buttons.nth(story[at].answer).click()
    assert page.inner_text("#ask [role=status]") == f"Yes. {story[at].because}"


def test_exports_from_a_file(visit, norm):
    page = visit(norm[0], "#step=9&theme=dark")
    made = {}
    for kind in ("svg", "png", "json"):
        with page.expect_download() as waiting:
            page.click(f"[data-save={kind}]")
        made[kind] = waiting.value.path().read_bytes()
        assert waiting.value.suggested_filename == f"LayerNorm_step_by_step_9.{kind}"
    root = ET.fromstring(made["svg"])
    assert "#0d1117" in made["svg"].decode()
    assert "var(" not in made["svg"].decode()
    assert made["png"][:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", made["png"][16:24])
    assert (width, height) == (2 * int(root.get("width")), 2 * int(root.get("height")))
    assert len(made["png"]) > 20_000
    assert json.loads(made["json"]) == data_in(norm[0].read_text(encoding="utf-8"))


def test_changing_what_is_shown_keeps_the_place(visit, norm):
    page = visit(norm[0])
    page.click("[data-phase=seed]")
    page.click("text=one node")
    assert page.inner_text("#count").endswith("seed")
    page.keyboard.press("ArrowRight")  # the focus is on the button, and the arrow still steps
    assert page.get_attribute("[data-level='2']", "aria-pressed") == "true"
    assert page.inner_text("#count").endswith("backward")
    page.keyboard.press("End")
    page.click("text=every operation")
    assert page.inner_text("#said").startswith("2 shares meet at x")
    page.click("text=boxes")
    assert "hands x its gradient" in page.inner_text("#said")


def test_looking_at_a_tensor_moves_nothing_else(visit, tmp_path):
    y = leaf("x", 2)
    for k in range(40):
        y = (y * 1.01).named(f"h{k}")
    path = tmp_path / "long.html"
    path.write_text(explorer(graph(y * 2.0)), encoding="utf-8")
    page = visit(path, width=800)
    page.evaluate("document.querySelector('.picture').scrollLeft = 30")
    before = page.evaluate("document.querySelector('.picture').scrollLeft")
    page.evaluate("document.querySelectorAll('.node')[20].dispatchEvent(new Event('click', {bubbles: true}))")
    assert page.inner_text("#panel-tensor h2").startswith("h")
    assert page.evaluate("document.querySelector('.picture').scrollLeft") == before
    page.keyboard.press("/")
    page.keyboard.type("h39")
    page.keyboard.press("Enter")
    assert page.inner_text("#panel-tensor h2").startswith("h39")
    found, frame = page.locator(".node.picked").bounding_box(), page.locator(".picture").bounding_box()
    assert frame["x"] <= found["x"] <= found["x"] + found["width"] <= frame["x"] + frame["width"] + 1


def test_on_the_way_back_arrows_point_back_and_widths_count(visit, norm):
    look = """() => [...document.querySelectorAll('.view')].find(v => !v.hidden).querySelectorAll('.edge.seen,.edge.now').values().map(e => [
        getComputedStyle(e.querySelector('.head')).visibility, getComputedStyle(e.querySelector('polygon.tail')).visibility,
        getComputedStyle(e.querySelector('path')).strokeWidth]).toArray()"""
    page = visit(norm[0], "#step=12")
    assert {tuple(v) for v in page.evaluate(look)} == {("visible", "hidden", "2px")}
    page.keyboard.press("End")
    found = page.evaluate(look)
    assert {(head, tail) for head, tail, _ in found} == {("hidden", "visible")}
    assert len({width for _, _, width in found}) > 1


def test_playing_stops_at_a_question(visit, norm):
    page = visit(norm[0], "#step=12")
    page.clock.install()
    page.keyboard.press(" ")
    assert page.get_attribute("#play", "aria-pressed") == "true"
    page.clock.run_for(40_000)
    assert page.inner_text("#count").startswith("14 of")
    assert page.get_attribute("#play", "aria-pressed") == "false"


def test_reading_order_motion_and_paper(visit, norm):
    page = visit(norm[0], reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.querySelector('.node')).transitionDuration") == "0s"
    order = page.evaluate(
        "[...document.querySelectorAll('h1,#at,#said,.picture,[role=tablist],#panel-step')].map(e => e.id || e.className || e.tagName)"
    )
    assert order[:4] == ["H1", "at", "said", "picture"]
    assert page.get_attribute("#said", "aria-live") == "polite"
    names = page.locator(".view:not([hidden]) .node").evaluate_all("all => all.map(e => e.getAttribute('aria-label'))")
    assert names[3] == "μ = mean(x): statistic, (4, 1), float64, made by mean, recorded in mean"
    heard = page.locator(".picture").aria_snapshot()
    assert 'button "μ = mean(x): statistic' in heard
    assert 'img "rstd to x̂: ×c, summed"' in heard
    page.keyboard.press("t")
    page.emulate_media(media="print")
    assert page.locator("nav").first.is_hidden()
    assert page.locator("#said").is_visible()
    assert hexadecimal(page.evaluate("getComputedStyle(document.body).backgroundColor")) == "#ffffff"


def test_nothing_a_user_can_name_does_harm(visit, tmp_path):
    total = leaf("start", 2, 3)
    for name in UGLY_NAMES:
        total = (total + leaf(name, 2, 3)).named(name)
    bad = tn.tensor([[np.nan, np.inf, -np.inf]], requires_grad=True, name="</script><img src=x onerror=alert(1)>")
    path = tmp_path / "ugly.html"
    with np.errstate(all="ignore"):
        path.write_text(explorer(graph(total * bad), title="</title><script>alert(1)</script>"), encoding="utf-8")
    page = visit(path)
    steps = len(data_in(path.read_text(encoding="utf-8"))["views"][0]["steps"])
    page.keyboard.press("End")
    assert page.inner_text("#count").startswith(f"{steps} of {steps}")
    assert "nan" in page.locator("#panel-step td").all_inner_texts()
    assert page.locator("img, body > script[src]").count() == 0


@pytest.mark.parametrize("name", ["layer_norm", "batch_renorm", "filter_response_norm", "graph_norm", "cross_entropy"])
def test_a_derivation_fits_on_a_telephone(browser, name):
    """390 pixels wide, and the page does not scroll sideways. (One long formula under a Σ does, in its own line.)"""
    page = browser.new_page(viewport={"width": 390, "height": 800})
    for of in gradients_of(name):
        page.set_content(tn.derive(name, of).html())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, of
    page.close()
