"""The page "try it" in Chromium, with a stand-in for Pyodide: the page's own Python is run, by this Python."""

from __future__ import annotations

import ast
import json
import re
import shutil

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.check.link import Carried, read

pytest.importorskip("docs.prose", reason="the book's source is not beside the tests")
from docs.__main__ import HERE
from docs.norms import options
from docs.package import packed, write

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not here: pip install playwright")
pytestmark = [
    pytest.mark.thorough,
]
ELSEWHERE = "https://pyodide.test/full"
STAND_IN = """
self.loadPyodide = async ({ indexURL }) => {
  const given = {}, done = [];
  return {
    loadPackage: async (names) => { done.push(...names); },
    unpackArchive: (zip, kind) => { done.push(kind, zip.byteLength); },
    globals: { set: (name, value) => { given[name] = value; } },
    runPythonAsync: async (code) => {
      const said = await (await fetch(indexURL + "run", { method: "POST", body: JSON.stringify({ code, given, done }) })).text();
      if (said.startsWith("!")) throw new Error(said.slice(1));
      return said;
    },
  };
};
"""
HEADERS = {"Access-Control-Allow-Origin": "*"}


def softmax_backward(dy, x, dim=-1):
    p = tn.functional.softmax(tn.tensor(x), dim).numpy()
    return p * (dy - (dy * p).mean(dim, keepdims=True))


class Page:
    """The page, opened from a file; what it asked for, what it said in the console, and what the stand-in was told."""

    def __init__(self, browser, path, breaks=""):
        self.context = browser.new_context()
        self.page = self.context.new_page()
        self.asked, self.said, self.told, self.breaks, self.path = [], [], [], breaks, path
        self.page.on("console", lambda m: self.said.append(m.text))
        self.page.on("pageerror", lambda e: self.said.append(str(e)))
        self.context.on("request", lambda r: self.asked.append(r.url))
        self.context.route("https://pyodide.test/**", self.answer)

    def answer(self, route):
        if route.request.url.endswith("/pyodide.js"):
            return route.fulfill(body=STAND_IN, content_type="text/javascript", headers=HEADERS)
        told = json.loads(route.request.post_data)
        self.told.append(told)
        if self.breaks == "hangs":
            return None
        if self.breaks:
            return route.fulfill(body="!" + self.breaks, headers=HEADERS)
        tree, names = ast.parse(told["code"]), dict(told["given"])
        exec(compile(ast.Module(tree.body[:-1], []), "page", "exec"), names)
        return route.fulfill(body=eval(compile(ast.Expression(tree.body[-1].value), "page", "eval"), names), headers=HEADERS)

    def open(self, fragment=""):
        self.page.goto(self.path.as_uri() + fragment)
        return self

    def check(self):
        self.page.locator("details summary").click()
        self.page.fill("#try-pyodide", ELSEWHERE)
        self.page.click("#try-run")
        self.page.wait_for_selector("#try-said.right, #try-said.wrong", timeout=60_000)
        return self.page.inner_text("#try-said")

    def link(self):
        self.page.click("#try-share")
        self.page.wait_for_selector("#try-link:not([hidden])")
        return self.page.get_attribute("#try-link a", "href")


@pytest.fixture
def visit(browser, tmp_path):
    form = re.search(r"```{raw} html\n(.*?)```", (HERE / "try.md").read_text(encoding="utf-8"), re.S)[1]
    (tmp_path / "_static").mkdir()
    shutil.copy(HERE / "static" / "try.js", tmp_path / "_static")
    write(tmp_path)
    shutil.copy(tmp_path / "static" / "package.js", tmp_path / "_static")
    path = tmp_path / "try.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><body>{form.replace('<!-- norms -->', options())}", encoding="utf-8")
    made = []

    def opened(fragment="", **how):
        made.append(Page(browser, path, **how))
        return made[-1].open(fragment)

    yield opened
    for page in made:
        page.context.close()
        assert page.said == []


def test_nothing_is_loaded_before_the_click_and_then_only_from_where_it_was_told(visit):
    page = visit()
    page.page.wait_for_timeout(200)
    assert all(url.startswith("file:") for url in page.asked)
    said = page.check()
    assert "σ² was treated as a constant" in said
    assert "verdict: not right: dx" in said
    assert {u for u in page.asked if not u.startswith(("file:", "blob:"))} == {f"{ELSEWHERE}/pyodide.js", f"{ELSEWHERE}/run"}
    assert page.told[0]["done"] == ["numpy", "sympy", "zip", len(packed())]
    page.page.fill(
        "#try-source",
        page.page.input_value("#try-source").replace(
            "keepdims=True))\n    axes", "keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))\n    axes"
        ),
    )
    page.page.click("#try-run")
    page.page.wait_for_selector("#try-said.right", timeout=60_000)
    assert len([u for u in page.asked if u.endswith("pyodide.js")]) == 1, "Python is loaded once"


def test_a_link_made_in_python_is_shown_and_not_run(visit):
    verdict = tn.check(softmax_backward, "softmax", dim=-1, seed=3, shape=(2, 3, 5))
    page = visit("#" + verdict.link().partition("#")[2])
    page.page.wait_for_selector("#try-came:not([hidden])")
    assert "def softmax_backward(dy, x, dim=-1):" in page.page.input_value("#try-source")
    assert page.page.input_value("#try-norm") == "softmax"
    assert page.page.input_value("#try-options") == "dim=-1"
    assert page.page.input_value("#try-seed") == "3"
    assert page.told == []
    assert read(page.link()) == read(verdict.link()), "and what it makes of it is the same"
    assert page.check().splitlines()[-1] == verdict.text().splitlines()[-1]


def test_a_link_made_on_the_page_is_read_in_python(visit):
    page = visit()
    page.page.fill("#try-source", "def γ_backward(dy, x):\n    return dy  # ε, 🙂")
    page.page.select_option("#try-norm", "group_norm")
    page.page.fill("#try-options", "num_groups=2, eps=1e-3, eps_mode=std, affine=True, dim=[0, 1]")
    assert read(page.link()) == Carried(
        "def γ_backward(dy, x):\n    return dy  # ε, 🙂",
        norm="group_norm",
        options={"num_groups": 2, "eps": 1e-3, "eps_mode": "std", "affine": True, "dim": (0, 1)},
    )


@pytest.mark.parametrize(
    ("fragment", "says"),
    [("#v1.AAAA", "damaged"), ("#v2.AAAA", "version v2"), ("#v1.", "damaged"), ("#v1.<script>", "damaged|holds no check")],
)
def test_a_damaged_link_is_said(visit, fragment, says):
    page = visit(fragment)
    page.page.wait_for_selector("#try-said:not([hidden])")
    assert re.search(says, page.page.inner_text("#try-said"))
    assert page.page.is_hidden("#try-came")


def test_code_is_text_and_nothing_else(visit):
    bad = "</textarea><img src=x onerror=document.title='ran'><script>document.title='ran'</script>"
    page = visit(Carried(bad, "", bad).address().removeprefix("try.html"))
    page.page.wait_for_selector("#try-came:not([hidden])")
    assert page.page.input_value("#try-source") == bad
    assert page.page.title() != "ran"


def test_what_breaks_is_said_and_can_be_tried_again(visit):
    page = visit(breaks="no network")
    assert "no network" in page.check()
    page.breaks = ""
    page.page.click("#try-run")
    page.page.wait_for_function("document.getElementById('try-said').textContent.includes('verdict:')", timeout=60_000)


def test_too_long_a_code_is_refused(visit):
    page = visit()
    page.page.fill("#try-source", np.random.default_rng(0).bytes(9000).hex())
    page.page.click("#try-share")
    page.page.wait_for_selector("#try-said.wrong")
    assert "8000 is the most" in page.page.inner_text("#try-said")


def test_what_hangs_can_be_stopped(visit):
    page = visit(breaks="hangs")
    page.page.locator("details summary").click()
    page.page.fill("#try-pyodide", ELSEWHERE)
    page.page.click("#try-run")
    page.page.wait_for_function("document.getElementById('try-said').textContent === 'checking …'")
    page.page.click("#try-stop")
    assert page.page.inner_text("#try-said") == "stopped"
    page.breaks = ""
    page.page.click("#try-run")
    page.page.wait_for_function("document.getElementById('try-said').textContent.includes('verdict:')", timeout=60_000)
