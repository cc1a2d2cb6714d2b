"""What a box that opens on the page costs: processor time of the page's own thread in Chromium, where that and Playwright are."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .peers import Options, Row

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
BLOCKS = 236
TIMES = 8  # boxes that are opened and closed in each case
MANY = 100  # boxes that are open in the last case


def rows(options: Options) -> Iterator[Row]:
    """The page of a network of 10,000 operations in 236 blocks: its first paint; opening one of them with all
    others closed, and a box inside one with a hundred of them open; until what opened stands, two frames later."""
    kept, case = f"{MANY} blocks open", "10,000 operations, the page in Chromium: "
    if not options.wants(case):
        return
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return
    if chromium is None:
        return
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        text = _page()
        path.write_text(text, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        found = {
            "a box opens": _opened(browser, path, "-"),
            f"a box opens, {kept}": _opened(browser, path, "|".join(f"b{k}" for k in range(MANY))),
        }
        browser.close()
    yield Row(f"{case}its size", "kB", {"ours": len(text.encode()) / 1e3})
    for name, (first, boxes, opening) in found.items():
        if name == "a box opens":
            yield Row(f"{case}until it can be used", "ms", {"ours": first})
        yield Row(f"{case}{name}, {boxes:,} boxes and lines", "ms", {"ours": opening})


def _page() -> str:
    import tinygrad_norm as tn

    class Attention(tn.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v, self.o = (tn.nn.Linear(8, 8) for _ in range(4))

        def forward(self, x: Any) -> Any:
            return self.o(tn.functional.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x)))

    class Block(tn.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2, self.attn = tn.nn.LayerNorm(8), tn.nn.LayerNorm(8), Attention()
            self.fc1, self.fc2 = tn.nn.Linear(8, 16), tn.nn.Linear(16, 8)

        def forward(self, x: Any) -> Any:
            x = x + self.attn(self.norm1(x))
            return x + self.fc2(tn.functional.gelu(self.fc1(self.norm2(x))))

    class Net(tn.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for k in range(BLOCKS):  # each under a name of its own: no row of equals
                setattr(self, f"b{k}", Block() if k % 2 else Attention())

        def forward(self, x: Any) -> Any:
            for k in range(BLOCKS):
                x = getattr(self, f"b{k}")(x)
            return x

    x = tn.tensor(np.random.default_rng(0).normal(size=(2, 4, 8)), requires_grad=True, name="x")
    g = tn.graph(Net()(x))
    return str(g._writer("html")(g))


def _opened(browser: Any, path: Path, opened: str) -> tuple[float, int, float]:
    """Milliseconds until the page can be used, how many boxes and lines it has then, and milliseconds until a box is open."""
    page = browser.new_page(viewport={"width": 1600, "height": 900}, reduced_motion="reduce")
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        return float({m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}["TaskDuration"]) * 1e3

    page.goto(f"{path.as_uri()}#open={opened}")
    page.wait_for_timeout(1500)
    first, boxes = spent(), page.locator(".stage .node, .stage .edge").count()
    found = []
    for k in range(TIMES):
        for what in (".node[data-open]", ".frame text"):  # opens one of those at the left, and closes it
            before = spent()
            page.evaluate(
                """([what, k]) => new Promise(done => {
  if (what === '.frame text') what = `.frame[data-key="${CSS.escape(window.last)}"] text`; else window.last = document.querySelectorAll(what)[k].dataset.key;
  document.querySelectorAll(what)[what.startsWith('.node') ? k : 0].dispatchEvent(new MouseEvent('click', {bubbles: true}));
  requestAnimationFrame(() => requestAnimationFrame(done));
})""",
                [what, k],
            )
            if what != ".frame text":
                found.append(spent() - before)
    page.close()
    return first, boxes, statistics.median(found)
