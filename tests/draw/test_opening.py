"""Boxes of the page that open in place, in a real browser: by mouse, keyboard, touch; nearer, farther; on paper."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.draw.explorer import explorer
from tinygrad_norm.draw.nested import place
from tinygrad_norm.draw.nested_view import nested
from tinygrad_norm.graph import graph

from .samples import leaf


class _Block(tn.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.fc1, self.fc2 = tn.nn.LayerNorm(4), tn.nn.Linear(4, 8), tn.nn.Linear(8, 4)

    def forward(self, x: tn.Tensor) -> tn.Tensor:
        return x + self.fc2(tn.functional.gelu(self.fc1(self.norm(x))))


class _Net(tn.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.head = [_Block() for _ in range(6)], tn.nn.Linear(4, 2)

    def forward(self, x: tn.Tensor) -> tn.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    recorded = graph(_Net()(leaf("x", 3, 4)))
    path = tmp_path_factory.mktemp("net") / "net.html"
    path.write_text(explorer(recorded, title="net"), encoding="utf-8")
    return path, recorded


def until(page, holds):
    """Waits for what the browser does in its next frames. (Playwright's own waiting evaluates text, which the page forbids.)"""
    for _ in range(200):
        if page.evaluate(holds):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"never: {holds}")


CALM = {"reduced_motion": "reduce"}  # boxes are where they belong at once
LABELS = "all => all.map(e => e.querySelector('text').textContent)"


def labels(page):
    return page.locator(".node:not(.port)").evaluate_all(LABELS)


def boxes_apart(page):
    """Pairs of nodes that overlap, and texts that stick out of their boxes."""
    return page.evaluate(
        """() => {
  const nodes = [...document.querySelectorAll('.view:not([hidden]) .node')], found = [];
  const rects = nodes.map(e => e.querySelector('rect').getBoundingClientRect());
  rects.forEach((a, i) => rects.forEach((b, j) => {
    if (i < j && a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1) found.push([i, j]);
  }));
  nodes.forEach((e, i) => e.querySelectorAll('text:not(.opens)').forEach(t => {
    const b = t.getBoundingClientRect();
    if (b.left < rects[i].left - 1 || b.right > rects[i].right + 1 || b.bottom > rects[i].bottom + 2) found.push(t.textContent);
  }));
  return found;
}"""
    )


def test_boxes_open_and_close_by_mouse_keyboard_and_touch(visit, net):
    page = visit(net[0], "#open=-", **CALM)
    assert labels(page) == ["x", "blocks · _Block ×6", "head · Linear"]
    page.click('.node[data-open="blocks"]')
    inside = ["norm · LayerNorm", "fc1 · Linear", "gelu", "fc2 · Linear", "+"]
    assert labels(page) == ["x", *inside, "head · Linear"]
    assert page.evaluate("document.activeElement.dataset.frame") == "blocks"
    assert boxes_apart(page) == []
    page.focus('.node[data-open="blocks.0.norm"]')
    page.keyboard.press("+")
    assert labels(page)[1:5] == ["mean", "variance", "normalize", "affine"]
    page.focus('.node[data-open="blocks.0.norm/variance"]')
    page.keyboard.press("Enter")
    assert boxes_apart(page) == []
    assert "open=blocks%7Cblocks.0.norm%7Cblocks.0.norm%2Fvariance" in page.url
    again = visit(net[0], page.url[page.url.index("#") :])
    assert labels(again) == labels(page)
    page.keyboard.press("Escape")
    assert labels(page)[1:5] == ["mean", "variance", "normalize", "affine"]
    page.focus('.frame[data-frame="blocks"]')
    page.keyboard.press("-")
    assert labels(page) == ["x", "blocks · _Block ×6", "head · Linear"]
    touch = visit(net[0], "#open=-", width=390, has_touch=True, **CALM)
    touch.tap('.node[data-open="blocks"]')
    assert labels(touch)[1:6] == inside
    assert boxes_apart(touch) == []


@pytest.mark.thorough
def test_the_tree_of_accessibility_names_every_box(visit, net):
    page = visit(net[0], "#open=blocks")
    named = [e.get_attribute("aria-label") for e in page.locator("[role=button].node, .frame").all()]
    assert all(named)
    assert "blocks · _Block ×6, open; − closes it" in named
    states = page.locator(".node[data-open]").evaluate_all("all => all.map(e => e.getAttribute('aria-expanded'))")
    assert set(states) == {"false"}


def test_numbers_inside_boxes_are_the_engines(visit, net):
    path, recorded = net
    page = visit(path, "#open=-")
    page.keyboard.press("End")
    cells = [float(v.replace("−", "-")) for v in page.locator("#panel-step table").last.locator("td").all_inner_texts()]
    dx = recorded.gradients()[recorded.ids[recorded.main_input]]
    np.testing.assert_allclose(np.reshape(cells, dx.shape), dx, rtol=0.006, atol=1e-12)
    closed = page.inner_text("#count")
    page.click('.node[data-open="head"]')
    assert page.inner_text("#count") != closed, "steps go through the operations of an open box"


@pytest.mark.thorough
def test_anything_in_any_box_is_found(visit, net):
    page = visit(net[0], "#open=-", **CALM)
    page.fill("#search", "rstd")
    assert page.inner_text("#hits").endswith("found")
    assert page.locator(".hit").count() >= 1
    page.keyboard.press("Enter")
    assert "rstd" in page.locator(".node.picked text").evaluate_all("all => all.map(e => e.textContent)")
    assert page.locator(".frame").count() >= 1
    page.fill("#search", "(8,4)")
    assert int(page.inner_text("#hits").split()[0]) >= 1


@pytest.mark.thorough
def test_nearer_farther_and_fit(visit, net):
    page = visit(net[0], "#open=blocks")
    width = "document.querySelector('.stage > svg').viewBox.baseVal.width"
    before = page.evaluate(width)
    page.click("[data-stage=near]")
    assert page.evaluate(width) < before
    page.keyboard.press("f")
    whole = page.evaluate(width)
    page.mouse.move(300, 400)
    page.mouse.wheel(0, -200)
    until(page, f"{width} < {whole} - 1")


@pytest.mark.thorough
@pytest.mark.parametrize("width", [1600, 1280, 800, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overlaps_at_any_level(visit, net, width, scheme):
    page = visit(net[0], "#open=-", width=width, color_scheme=scheme, **CALM)
    for _ in range(12):
        closed = page.locator(".node[data-open]")
        if not closed.count():
            break
        closed.first.dispatch_event("click")
        assert boxes_apart(page) == []
    assert page.locator(".node").count() > 30


# What is touched, and where it goes -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Blocks and layers in turn, so that no row of equals is one box."""
    layers = [_Block() if k % 2 else tn.nn.Linear(4, 4) for k in range(9)]
    recorded = graph(tn.nn.Sequential(*layers)(leaf("x", 3, 4)))
    path = tmp_path_factory.mktemp("mixed") / "mixed.html"
    path.write_text(explorer(recorded, title="mixed"), encoding="utf-8")
    return path, recorded


WATCH = """() => {
  window.touched = [new Map(), new Map()];  // what is made, what is moved: each element once, with the box it is in
  const note = (kind, e) => { if (e) { const around = e.parentElement.closest('.open'); touched[kind].set(e, around ? around.querySelector('.frame').dataset.frame : ''); } };
  new MutationObserver(records => records.forEach(r => {
    if (r.type === 'childList') r.addedNodes.forEach(e => { if (e.closest && e.isConnected) note(0, e.closest('.node,.open,.edge')); });
    else note(1, r.target.closest('.node,.open,.edge'));
  })).observe(document.querySelector('.stage > svg'), {subtree: true, childList: true, attributes: true, attributeFilter: ['transform', 'd', 'points', 'x', 'y', 'width', 'height']});
}"""


def test_opening_a_box_touches_what_is_around_it_and_nothing_else(visit, mixed):
    page = visit(mixed[0], "#open=1|3|5|7", **CALM)
    page.evaluate(WATCH)
    own = page.locator('.open:has(> .frame[data-frame="3"]) > .inside > *').count()
    lines = page.locator('.open:has(> .frame[data-frame="3"]) > .inside > .edge').count()
    beside = page.locator(".inside:not(.inside .inside) > *").count()
    for target in ('.node[data-open="3.norm"]', '.frame[data-frame="3.norm"] text'):
        page.evaluate("touched.forEach(found => found.clear())")
        page.locator(target).dispatch_event("click")
        made, moved = page.evaluate("touched.map(found => [...found.values()])")
        assert moved
        assert {*made, *moved} <= {"", "3", "3.norm"}, "nothing in the other open boxes"
        assert len(moved) <= beside + own
        assert made.count("") <= 2, "the arrows into the box that grew, and out of it"
        assert made.count("3") <= 1 + lines, "the box itself, and the arrows that its growing bends"


@pytest.mark.thorough
@pytest.mark.parametrize("opened", [["1"], ["1", "3", "7"], ["3", "3.norm", "3.norm/variance", "5"]])
@pytest.mark.parametrize("steps", [False, True])
def test_what_the_page_shows_is_where_python_puts_it(visit, mixed, opened, steps):
    """All at once or one after the other: the same picture, that of ``place``."""
    path, recorded = mixed
    page = visit(path, "#open=" + ("-" if steps else "|".join(opened)), **CALM)
    for box in opened if steps else ():
        page.locator(f'.node[data-open="{box}"]').dispatch_event("click")
    tree = nested("boxes", recorded, recorded.cotangent()).graph.tree
    placed = place(tree, tree.root, [tree.boxes[p] for p in opened])
    found = {}

    def walk(inside, path, dx, dy):
        for k, b in enumerate(inside.boxes):
            found[f"{path}:{k}"] = [b.left + dx, b.top + dy, b.w, b.h]
        for (x, y), child in inside.children.values():
            walk(child, child.level.inside_of.path, x + dx, y + dy)

    walk(placed, "", 0.0, 0.0)
    shown = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll('.stage .node,.stage .frame')].map(e => {
  const r = e.querySelector('rect'), b = r.getBBox(), m = document.querySelector('.stage > svg').getScreenCTM().inverse().multiply(r.getScreenCTM());
  return [e.dataset.key, [b.x + m.e, b.y + m.f, b.width, b.height]];
}))"""
    )
    assert shown.keys() == found.keys()
    for key, box in shown.items():
        np.testing.assert_allclose(box, found[key], atol=0.7, err_msg=key)


# Fingers, paper, files ------------------------------------------------------------------------------------------

SEEN = "(() => { const b = document.querySelector('.stage > svg').viewBox.baseVal; return [b.x, b.y, b.width, b.height]; })()"


@pytest.mark.thorough
def test_two_fingers_and_one(visit, net):
    page = visit(net[0], "#open=blocks", width=390, has_touch=True, **CALM)
    page.locator(".stage").scroll_into_view_if_needed()
    at = page.locator(".stage > svg[role]").bounding_box()
    x, y = at["x"] + at["width"] / 2, at["y"] + at["height"] / 2
    before = page.evaluate(SEEN)
    session = page.context.new_cdp_session(page)

    def touch(kind, *points):
        some = [{"x": px, "y": py, "id": k} for k, (px, py) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": some})

    touch("touchStart", (x - 20, y), (x + 20, y))
    for k in range(1, 6):
        touch("touchMove", (x - 20 - 8 * k, y), (x + 20 + 8 * k, y))
    touch("touchEnd")
    near = page.evaluate(SEEN)
    assert near[2] < 0.6 * before[2], "fingers that go apart bring it nearer"
    touch("touchStart", (x, y))
    for k in range(1, 6):
        touch("touchMove", (x - 10 * k, y - 4 * k))
    touch("touchEnd")
    moved = page.evaluate(SEEN)
    assert moved[2] == pytest.approx(near[2])
    assert moved[0] > near[0]
    assert moved[1] > near[1]
    assert page.locator(".frame").count() == 1, "neither is a tap"


@pytest.mark.thorough
def test_a_box_closes_by_touch(visit, net):
    page = visit(net[0], "#open=blocks", width=390, has_touch=True, **CALM)
    page.tap(".frame text")
    assert page.locator(".frame").count() == 0
    page.tap(".node[data-open]")
    assert page.locator(".frame").count() == 1


@pytest.mark.thorough
def test_dragging_and_the_small_map(visit, net):
    page = visit(net[0], "#open=blocks|blocks.0.norm", **CALM)
    at = page.locator(".stage > svg[role]").bounding_box()
    x, y = at["x"] + at["width"] / 2, at["y"] + 0.8 * at["height"]
    before = page.evaluate(SEEN)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 90, y, steps=4)
    page.mouse.up()
    after = page.evaluate(SEEN)
    assert after[0] > before[0] + 50
    assert page.locator(".frame").count() == 2, "what was dragged is not clicked"
    for _ in range(6):
        page.click("[data-stage=near]")
    assert page.locator(".map").is_visible()
    there = page.locator(".map").bounding_box()
    page.mouse.click(there["x"] + there["width"] - 8, there["y"] + there["height"] / 2)
    assert page.evaluate(SEEN)[0] > after[0]
    page.click("[data-stage=fit]")
    assert page.locator(".map").is_hidden()


@pytest.mark.thorough
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_twice_as_large(visit, net, theme):
    """200 % is a window of half the width, with two dots to a pixel."""
    page = visit(net[0], f"#open=blocks&theme={theme}", width=700, device_scale_factor=2, **CALM)
    assert boxes_apart(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("getComputedStyle(document.querySelector('.node text')).fontSize") == "16px"


@pytest.mark.thorough
def test_an_open_box_on_paper(visit, net):
    page = visit(net[0], "#open=blocks|blocks.0.norm", **CALM)
    for _ in range(4):
        page.click("[data-stage=near]")
    before = page.evaluate(SEEN)
    page.emulate_media(media="print")
    inside = """() => { const f = document.querySelector('.stage > svg').getBoundingClientRect();
      return [...document.querySelectorAll('.stage .node rect')].every(e => { const r = e.getBoundingClientRect();
        return r.left >= f.left - 1 && r.right <= f.right + 1 && r.top >= f.top - 1 && r.bottom <= f.bottom + 1; }); }"""
    until(page, inside)
    assert page.locator(".stage .tools").is_hidden()
    assert page.locator(".view .legend").is_visible()
    page.emulate_media(media="screen")
    until(page, f"Math.abs({SEEN}[2] - {before[2]}) < 1")
    assert page.pdf()[:5] == b"%PDF-"


@pytest.mark.thorough
@pytest.mark.parametrize("keys", [["End"], ["End", "t"], ["Home"]])
def test_the_file_of_open_boxes_says_what_it_shows(visit, net, keys):
    page = visit(net[0], "#open=blocks", **CALM)
    for key in keys:
        page.keyboard.press(key)
    with page.expect_download() as waiting:
        page.click("[data-save=svg]")
    text = waiting.value.path().read_text(encoding="utf-8")
    root = ET.fromstring(text)
    assert "var(--" not in text
    legend = [e for e in root.iter("{http://www.w3.org/2000/svg}g") if e.get("class") == "legend"][-1]
    words = " ".join(legend.itertext())
    assert {"input", "value", "output"} <= set(words.split())
    assert ("gradient: over" in words) == ("End" in keys), "widths are told when they are seen"
    lines = [e for g in root.iter("{http://www.w3.org/2000/svg}g") if g.get("class", "").startswith("edge") for e in g]
    widths = {e.get("stroke-width") for e in lines if e.get("class") != "barrier" and e.tag.endswith("path")}
    assert (widths != {"2"}) == ("End" in keys)
    drawn = [e for e in root.iter() if e.tag.split("}")[1] in ("path", "rect", "circle", "polygon", "text")]
    assert all(re.fullmatch(r"#[0-9a-f]{6}|none", e.get("fill")) for e in drawn), "no rule is needed to see it right"
    assert not any(e.get("stroke") and e.tag.endswith("text") and not e.get("aria-hidden") for e in drawn)
    assert "<style" not in text


def test_routes_inside_boxes(visit, net):
    """The table of each box that is open; its shares add up to what comes in by it; and one of them lit."""
    path, _ = net
    page = visit(path, "#open=-&tab=routes", **CALM)
    assert "Open a box" in page.inner_text("#panel-routes")
    page.click('.node[data-open="blocks"]')
    assert page.locator("table.routes").is_hidden(), "asked first"
    page.click("text=just show them")
    assert page.inner_text("#panel-routes h2") == "blocks · _Block ×6: 2 routes"
    page.click('button[data-route="blocks:B"]')
    lit = page.locator(".node.on").evaluate_all(LABELS)
    assert lit == ["x", "norm · LayerNorm", "fc1 · Linear", "gelu", "fc2 · Linear", "+", "+"]
    assert "route=blocks%3AB" in page.url
    page.click('.node[data-open="blocks.0.norm"]')
    assert page.locator("#panel-routes h2").count() == 2
    again = visit(path, page.url[page.url.index("#") :], **CALM)
    assert again.locator(".node.on").count() > 5
    page.keyboard.press("Escape")


@pytest.mark.thorough
def test_routes_of_the_whole_are_lit_through_boxes(visit, tmp_path):
    recorded = graph(tn.functional.layer_norm(leaf("x", 3, 4), 4, leaf("γ", 4), leaf("β", 4)))
    path = tmp_path / "norm.html"
    path.write_text(explorer(recorded), encoding="utf-8")
    page = visit(path, "#level=1&open=-", **CALM)
    page.keyboard.press("3")
    page.click("text=just show them")
    page.click('button[data-route="A"]')
    assert page.locator(".view:not([hidden]) .node.on").evaluate_all(LABELS) == ["x", "mean", "normalize", "affine"]
    page.click('button[data-route="C"]')
    assert page.locator(".view:not([hidden]) .node.on").evaluate_all(LABELS) == ["x", "mean", "variance", "normalize", "affine"]
