"""A notebook gets a text and a picture of any graph, also of a broken one."""

from __future__ import annotations

import importlib
import xml.etree.ElementTree as ET

import pytest

from tinygrad_norm import loans
from tinygrad_norm.graph import graph

from ..draw.samples import SAMPLES, UGLY_NAMES, leaf, normalized

room = importlib.import_module("tinygrad_norm.graph.graph")
SVG = "{http://www.w3.org/2000/svg}"


class Nasty(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


def broken(error):
    def writer(graph, **options):
        raise error

    return writer


def whole_picture(bundle):
    """The picture is well-formed, can be sent, and lies on an opaque ground as large as itself. Returns its texts."""
    assert set(bundle) == {"text/plain", "image/svg+xml"}
    assert bundle["text/plain"].encode()
    root = ET.fromstring(bundle["image/svg+xml"].encode())
    ground = next(e for e in root.iter() if e.tag in (f"{SVG}rect", f"{SVG}path", f"{SVG}text"))
    assert ground.tag == f"{SVG}rect", "the ground is drawn first"
    assert (ground.get("width"), ground.get("height")) == (root.get("width"), root.get("height"))
    assert ground.get("fill") == "#ffffff"
    assert not {"opacity", "fill-opacity"} & set(ground.keys())
    return [e.text for e in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", SAMPLES)
def test_every_graph(name):
    assert whole_picture(SAMPLES[name]()._repr_mimebundle_())


@pytest.mark.parametrize("name", UGLY_NAMES, ids=ascii)
def test_every_name(name):
    assert whole_picture(graph((leaf(name, 3) * 2.0).named(name))._repr_mimebundle_())


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
@pytest.mark.parametrize("kinds", [("svg",), ("txt",), ("svg", "txt")], ids="+".join)
def test_broken_pens(monkeypatch, kinds, error, said):
    g = normalized(2, 3)
    healthy = g._repr_mimebundle_()
    for kind in kinds:
        monkeypatch.setitem(room._WRITERS, kind, broken(error))
    bundle = g._repr_mimebundle_()
    texts = whole_picture(bundle)
    if "svg" in kinds:
        assert texts == [f"a graph that cannot be drawn: {said}".rstrip()]
    else:
        assert bundle["image/svg+xml"] == healthy["image/svg+xml"]
    assert bundle["text/plain"] == (
        f"a graph that cannot be shown: {said}" if "txt" in kinds else healthy["text/plain"]
    )  # fmt: skip


def test_a_long_reason_is_wrapped(monkeypatch):
    monkeypatch.setitem(room._WRITERS, "svg", broken(RuntimeError("word " * 100)))
    texts = whole_picture(normalized(2, 3)._repr_mimebundle_())
    assert len(texts) > 4
    assert max(map(len, texts)) <= 90


def test_a_broken_graph(monkeypatch):
    g = normalized(2, 3)
    g.tensors[3].inputs = (None, "nonsense")
    assert whole_picture(g._repr_mimebundle_())[0].startswith("a graph that cannot be drawn: ")


def test_no_pens_at_all(monkeypatch):
    monkeypatch.setattr(room, "_WRITERS", {})
    monkeypatch.setitem(loans.LENDERS, "graph", ("no_such_room",))
    bundle = normalized(2, 3)._repr_mimebundle_()
    assert whole_picture(bundle)[0].startswith("a graph that cannot be drawn: ")
    assert "no_such_room" in bundle["text/plain"]


def test_an_interrupt_is_not_swallowed(monkeypatch):
    monkeypatch.setitem(room._WRITERS, "svg", broken(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        normalized(2, 3)._repr_mimebundle_()
