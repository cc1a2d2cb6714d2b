"""DOT text, Graphviz, saving, notebooks."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from tinygrad_norm.draw import DrawingError, dot
from tinygrad_norm.draw.palette import DARK, LIGHT
from tinygrad_norm.engine import TinygradNormError, scope
from tinygrad_norm.engine.primitives import where
from tinygrad_norm.graph import graph

from .samples import SAMPLES, UGLY_NAMES, chain, leaf, normalized, transformer_block, twice

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's dot is not on the PATH")


def run_dot(text: str, form: str = "svg") -> bytes:
    done = subprocess.run(["dot", f"-T{form}"], input=text.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b"yntax error" not in done.stderr
    return done.stdout


@pytest.fixture
def no_dot(monkeypatch):
    """Neither the program nor the package, nor what draws without them."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "cairosvg", None)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)


@pytest.mark.parametrize("name", SAMPLES)
def test_dot_is_the_same_twice_and_uses_ids_of_our_own(name):
    text = dot(SAMPLES[name](), values=True, gradients=True)
    assert text == dot(SAMPLES[name](), values=True, gradients=True)
    assert text.startswith("digraph {")
    assert "n0 [" in text


def test_dot_says_what_it_should():
    text = dot(normalized(8, 64))
    assert 'label="x̂\\nc·rstd\\n(8, 64)"' in text
    assert 'label=" ×c Σ "' in text
    assert text.count('group="spine"') == 5
    assert text.count("weight=20") == 4
    assert text.count("subgraph cluster_") == 4
    assert dot(twice()).count('label="mean"') == 2  # two branches, two clusters


def test_dot_escapes():
    text = dot(graph(leaf('a"b\\', 3) * 2.0))
    assert '"a\\"b\\\\\\n(3,)"' in text
    assert "<br" not in text


@needs_dot
@pytest.mark.parametrize("name", SAMPLES)
def test_graphviz_accepts_it_and_keeps_the_spine_straight(name):
    g = SAMPLES[name]()
    plain = run_dot(dot(g), "plain").decode()
    assert plain.count("\nnode ") == len(g.nodes)
    assert plain.count("\nedge ") == len(g.edges)
    if name == "LayerNorm":
        heights = {line.split()[1]: line.split()[3] for line in plain.splitlines() if line.startswith("node ")}
        assert len({heights[f"n{i}"] for i in (0, 4, 9, 10, 11)}) == 1


@needs_dot
@pytest.mark.parametrize("name", UGLY_NAMES)
def test_graphviz_accepts_ugly_names(name):
    with scope(name):
        y = (leaf(name, 3) * 2.0).named(name)
    root = ET.fromstring(run_dot(dot(graph(y + leaf(name, 3)))))
    assert sum(e.get("class") == "node" for e in root.iter()) == 4


def bars(text: str) -> set[tuple[str, str]]:
    """The pairs of boxes between which an edge has a bar."""
    return set(re.findall(r"^  n(\d+) -> n(\d+) \[.*arrowtail=tee", text, re.M))


def test_an_edge_has_a_bar_where_nothing_flows_back():
    x, m, mask = leaf("x", 3), leaf("m", 3, requires_grad=False), leaf("mask", 3)
    c = x - m
    g = graph(where(mask, c * x, c))
    found = [(e.source, e.target, e.position) for e, line in zip(g.edges, edge_lines(dot(g))) if "arrowtail=tee" in line]
    assert found == [
        (e.source, e.target, e.position)
        for e in g.edges
        if not g.nodes[e.source].tensor.requires_grad or g.nodes[e.target].tensor.op.pullbacks[e.position] is None
    ]
    assert len(found) == 2  # from m, and from the mask into where
    assert "m to x − m: ×−1; no gradient is asked for" in dot(g)
    assert not bars(dot(normalized(8, 64)))


def edge_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if re.match(r" +n\d+ -> n\d+ ", line)]


def test_a_bar_between_boxes_for_each_tensor_that_nothing_flows_back_to():
    x, m = leaf("x", 3), leaf("m", 3, requires_grad=False)
    with scope("first"):
        mask, h = (x * 3.0).named("mask"), (x * 2.0).named("h")
    with scope("second"):
        y = where(mask, h, mask * 0.0) * m + 1.0
    g = graph(y).fold(1)
    told = {g.passing(k).label: "arrowtail=tee" in line for k, line in enumerate(edge_lines(dot(g)))}
    assert told == {"x": False, "m": True, "h": False, "mask": False}, "mask decides, which stops; but it is multiplied, too"
    stopped = graph(where(x * 3.0, x, 0.0))
    assert [stopped.passes(k) for k in range(3)] == [True, False, True]


def test_themes():
    light, dark = (dot(normalized(8, 64), theme=theme) for theme in ("light", "dark"))
    assert light == dot(normalized(8, 64))
    for text, mine, other in ((light, LIGHT, DARK), (dark, DARK, LIGHT)):
        assert f'bgcolor="{mine.paper}"' in text
        used = set(re.findall(r"#[0-9a-f]{6}", text))
        own = {mine.paper, mine.ink, mine.border, mine.faint, *mine.fills.values(), *mine.lanes.values()}
        assert used <= own, f"not {other}"
        assert {mine.lanes[lane] for lane in ("spine", "above", "below")} <= used


@needs_dot
def test_directions():
    for direction, across in (("right", 3), ("down", 2)):
        plain = run_dot(dot(normalized(8, 64), direction=direction), "plain").decode()
        place = {line.split()[1]: line.split() for line in plain.splitlines() if line.startswith("node ")}
        assert len({place[f"n{i}"][across] for i in (0, 4, 9, 10, 11)}) == 1, "the direct route is straight"
        along = [float(place[f"n{i}"][5 - across]) for i in (0, 4, 9, 10, 11)]
        assert along == sorted(along, reverse=direction == "down")


def test_frames_stand_around_boxes_and_do_not_repeat_them():
    block = transformer_block()
    text = block.to_dot(fold=2)
    assert re.findall(r"subgraph .*\n +label=\"(\w+)\"", text) == ["attention", "mlp"]
    assert "subgraph" not in twice().to_dot(fold=1), "each scope is one box, which says its name"
    assert "subgraph" not in chain(60).to_dot(), "a stretch of the record is in no scope"
    with scope("x" * 200):
        y = leaf("a", 3) * 2.0 + leaf("b", 3)
    assert re.findall(r'label="(x+…)"; tooltip="(x+)"', dot(graph(y))) == [("x" * 27 + "…", "x" * 200)]


# Saving ------------------------------------------------------------------------------------------------


def test_save_what_needs_no_graphviz(tmp_path, no_dot):
    g = normalized(8, 64)
    for name in ("a.svg", "a.dot", "a.gv", "a.txt", "a.json"):
        path = g.save(tmp_path / name)
        assert path.read_text(encoding="utf-8").strip()
    assert g.save(tmp_path / "b.svg", engine="builtin", values=True, gradients=True, title="T").read_text().count("‖d") == 12
    assert (tmp_path / "a.svg").read_bytes() == g.save(tmp_path / "c.svg").read_bytes()


@needs_dot
def test_save_by_graphviz(tmp_path):
    g = normalized(8, 64)
    assert g.save(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert g.save(tmp_path / "a.pdf", values=True).read_bytes().startswith(b"%PDF")
    assert "Generated by graphviz" in g.save(tmp_path / "a.svg", engine="graphviz").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.svg", {"engine": "graphviz"}, r'\.svg needs Graphviz.*apt install graphviz.*engine="builtin", which needs nothing'),
        ("a.png", {"engine": "builtin"}, r"the built-in layout as \.png needs the package cairosvg: pip install cairosvg"),
        ("a.pdf", {"route": "A"}, r"route in a \.pdf needs the package cairosvg"),
        ("a.svg", {"engine": "dagre"}, r"engine='dagre' is none of auto, graphviz, builtin"),
        (
            "a.svg",
            {"colour": 1, "size": 2},
            r"\.svg has no option colour, size\. Its options: engine, values, gradients, fold, open, keep, elements, theme, direction, ladder, title, route",
        ),
        (
            "a.dot",
            {"title": "x"},
            r"\.dot has no option title\. Its options: values, gradients, fold, open, keep, elements, theme, direction\.",
        ),
        ("a.png", {"theme": "sepia"}, r"theme='sepia' is none of light, dark"),
        ("a.dot", {"direction": "up"}, r"direction='up' is none of right, down"),
        ("a.txt", {"values": True}, r"\.txt has no option values\. Its options: width, ascii"),
        ("a.svg", {"engine": "graphviz", "title": "x"}, r"title is an option of the built-in layout"),
    ],
)
def test_errors_name_the_fix_and_leave_no_file(tmp_path, no_dot, name, options, message):
    with pytest.raises(DrawingError, match=message):
        normalized(2, 3).save(tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []
    assert issubclass(DrawingError, TinygradNormError)


def test_unknown_suffix():
    with pytest.raises(ValueError, match=r"cannot write \.bmp\. Known: dot, gv, "):
        normalized(2, 3).save("a.bmp")


def test_a_failing_writer_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.svg"
    path.write_text("old")
    room = importlib.import_module("tinygrad_norm.graph.graph")

    def broken(graph):
        raise RuntimeError("no ink")

    for content in (broken, lambda graph: "\ud800"):  # the second cannot be encoded
        monkeypatch.setitem(room._WRITERS, "svg", content)
        with pytest.raises((RuntimeError, UnicodeEncodeError)):
            normalized(2, 3).save(path)
        assert path.read_text() == "old"
        assert [p.name for p in tmp_path.iterdir()] == ["a.svg"]


@pytest.mark.parametrize("name", SAMPLES)
def test_notebooks_get_a_picture_and_a_text(name, no_dot):
    bundle = SAMPLES[name]()._repr_mimebundle_()
    assert bundle["text/plain"]
    ET.fromstring(bundle["text/html"])


def test_importing_it_is_light():
    code = "import sys, tinygrad_norm.draw; print(sorted({'graphviz', 'pygraphviz', 'sympy', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*none"):
        normalized(2, 3).save(tmp_path / "none" / "a.svg")


def test_one_route_is_shown_and_all_else_is_pale():
    g = normalized(2, 3)
    routes = g.routes(g.main_input)
    for route in routes:
        picture = g.to_svg(route=route.letter)
        assert picture == g.to_svg(route=route)
        pale = picture.count('opacity="0.25"')
        assert pale == len(g.nodes) - len(set(route.nodes)) + len(g.edges) - len(route.edges)
        assert f"route {route.letter}: {route.title}; all else is pale" in picture
    assert "pale" not in g.to_svg()
    with pytest.raises(DrawingError, match=r"route='Z'; the routes from x are A, B, C, D\."):
        g.to_svg(route="Z")
    with pytest.raises(DrawingError, match="a route of another graph"):
        normalized(2, 3).to_svg(route=routes["A"])
    with pytest.raises(DrawingError, match="route is an option of the built-in layout only"):
        g.to_svg(route="A", engine="graphviz")


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_png_and_pdf_carry_all_that_the_picture_does(tmp_path, suffix, monkeypatch):
    pytest.importorskip("cairosvg", reason="cairosvg is not here: pip install cairosvg")
    seen = []
    module = sys.modules["cairosvg"]

    def watched(made):
        return lambda bytestring, **more: seen.append(bytestring.decode()) or made(bytestring, **more)

    for name in ("svg2png", "svg2pdf"):
        monkeypatch.setattr(module, name, watched(getattr(module, name)))
    content = normalized(2, 3).save(tmp_path / f"a.{suffix}", route="C", gradients=True, title="T").read_bytes()
    assert content.startswith(b"\x89PNG" if suffix == "png" else b"%PDF")
    (text,) = seen
    for words in (
        "direct route",
        "D = C, then B: sums to zero",
        "route C: through σ²; all else is pale",
        "gradient: over ½",
        ">T<",
    ):
        assert words in text
    assert "paint-order" not in text, "cairo paints strokes last: what has a halo is written twice"
