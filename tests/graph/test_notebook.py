"""A notebook gets a text and a picture of any graph, also of a broken one."""

from __future__ import annotations

import importlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm import loans
from tinygrad_norm.graph import graph

from ..draw.samples import SAMPLES, UGLY_NAMES, leaf, normalized

notebook = importlib.import_module("tinygrad_norm.graph.notebook")
room = importlib.import_module("tinygrad_norm.graph.graph")


class Nasty(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


def broken(error):
    def writer(graph, **options):
        raise error

    return writer


class Words(HTMLParser):
    """The texts of some elements; every element is closed in its order."""

    def __init__(self):
        super().__init__()
        self.open, self.found = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag in ("p", "pre", "td", "text"):
            self.found.append("")

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"p", "pre", "td", "text"} & set(self.open):
            self.found[-1] += data


def whole(bundle):
    """One text, and one piece of HTML that is well-formed, can be sent, runs nothing and asks nobody. Returns its words."""
    assert set(bundle) - {"text/latex"} == {"text/plain", "text/html"}
    assert bundle["text/plain"].encode()
    shown = bundle["text/html"]
    assert "<script" not in shown
    assert not re.search(r"(?:src|href)=", shown)
    read = Words()
    read.feed(shown)
    assert read.open == []
    return read.found


@pytest.mark.parametrize("name", SAMPLES)
def test_every_graph(name):
    assert whole(SAMPLES[name]()._repr_mimebundle_())


@pytest.mark.parametrize("name", UGLY_NAMES, ids=ascii)
def test_every_name(name):
    assert whole(graph((leaf(name, 3) * 2.0).named(name))._repr_mimebundle_())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("no ink"), "RuntimeError: no ink"),
        (ValueError("a <b> & \ud800\x00"), "ValueError: a <b> & \ufffd\ufffd"),
        (RecursionError(), "RecursionError: "),
        (Nasty(), "Nasty"),
    ],
    ids=["plain", "ugly", "empty", "nasty"],
)
@pytest.mark.parametrize("kinds", [("graph",), ("txt",), ("graph", "txt")], ids="+".join)
def test_broken_pens(monkeypatch, kinds, error, said):
    g = normalized(2, 3)
    healthy = g._repr_mimebundle_()
    for kind in kinds:
        monkeypatch.setitem(room._WRITERS if kind == "txt" else notebook._VIEWS, kind, broken(error))
    bundle = g._repr_mimebundle_()
    texts = whole(bundle)
    if "graph" in kinds:
        assert texts == [f"a graph that cannot be drawn: {said}"]
    else:
        assert bundle["text/html"] == healthy["text/html"]
    assert bundle["text/plain"] == (
        f"a graph that cannot be shown: {said}" if "txt" in kinds else healthy["text/plain"]
    )  # fmt: skip


def test_a_broken_graph(monkeypatch):
    g = normalized(2, 3)
    g.tensors[3].inputs = (None, "nonsense")
    assert whole(g._repr_mimebundle_())[0].startswith("a graph that cannot be drawn: ")


def test_no_pens_at_all(monkeypatch):
    monkeypatch.setattr(room, "_WRITERS", {})
    monkeypatch.setattr(notebook, "_VIEWS", {})
    monkeypatch.setitem(loans.LENDERS, "graph", ("no_such_room",))
    bundle = normalized(2, 3)._repr_mimebundle_()
    assert whole(bundle)[0].startswith("a graph that cannot be drawn: ")
    assert "no_such_room" in bundle["text/plain"]


def test_an_interrupt_is_not_swallowed(monkeypatch):
    monkeypatch.setitem(notebook._VIEWS, "graph", broken(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        normalized(2, 3)._repr_mimebundle_()


RESULTS = {
    "routes": lambda: _routes(),
    "reads": lambda: normalized(4, 8).reads(),
    "comparison": lambda: tn.compare("rms_norm"),
    "verdict": lambda: tn.check(_wrong, "layer_norm"),
    "derivation": lambda: tn.derive("rms_norm", wrt="x"),
    "equality": lambda: tn.derive("rms_norm", wrt="x").equals(tn.derive("rms_norm", wrt="x", eps=1e-3)),
    "strength": lambda: tn.strength("rms_norm", shape=(2, 8), cotangent="mean_loss", rtol=1e-2, atol=1e-2),
}


def _routes():
    g = normalized(4, 8)
    return g.routes(g.main_input)


def _wrong(dy, x, weight, bias, eps):
    """The term of the variance is forgotten."""
    xhat = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    g = dy * weight
    dx = (g - g.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    return dx, (dy * xhat).sum(0), dy.sum(0)


@pytest.mark.thorough
@pytest.mark.parametrize("name", RESULTS)
def test_every_result_shows_itself(name):
    result = RESULTS[name]()
    bundle = result._repr_mimebundle_()
    words = whole(bundle)
    assert "cannot be" not in bundle["text/plain"] + "".join(words)
    assert not bundle["text/plain"].startswith("<")
    if name == "routes":
        assert bundle["text/html"].count("<svg") == 4
        assert "all else is pale" in bundle["text/html"]
    if name == "verdict":
        assert "route C: through σ²; all else is pale" in bundle["text/html"], "the wrong route is lit"
        assert 'style="color:#9c4300;font-weight:bold">dx' in bundle["text/html"]
        assert 'style="color:#00664b;font-weight:bold">dγ' in bundle["text/html"]
    if name == "derivation":
        assert "<math" in bundle["text/html"]


def test_a_picture_shows_itself():
    picture = graph(leaf("x", 3) * 2.0).to_svg(title="twice")
    assert picture._repr_svg_() == picture
    assert picture.startswith("<svg")
