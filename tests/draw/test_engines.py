"""Graphviz: its program and its package say exactly what the graph says, in silence; and what happens without them."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import types
import xml.etree.ElementTree as ET
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tinygrad_norm
from tinygrad_norm.draw import DrawingError, dot, graphviz_engines
from tinygrad_norm.draw.dot import legend_lines
from tinygrad_norm.draw.graphviz_engines import run_graphviz
from tinygrad_norm.draw.text import cards, clean, edge_label, edge_words, shorten
from tinygrad_norm.engine import scope
from tinygrad_norm.graph import Graph, graph
from tinygrad_norm.graph.folding import plainly

from .samples import SAMPLES, UGLY_NAMES, chain, leaf, normalized

HERE = {"program": shutil.which("dot") is not None, "package": importlib.util.find_spec("pygraphviz") is not None}
WHY = {"program": "Graphviz's dot is not on the PATH", "package": "pygraphviz is not installed (pip install '.[dot]')"}
SVG = "{http://www.w3.org/2000/svg}"
NAMES = [
    *UGLY_NAMES, "\\N", "\\l", "\\r", "\\G", "\\E", "\\T\\H", "\\L", "\\n", "a\\\\b", "\\&amp;", "{a|{b|c}}", "<b>x</b>",
    "<<b>x</b>>", "&amp;", "&", "&#956;", "&bogus;", "charset=", 'charset="latin1"', "a  b", "//", "/* */", "#", "n0 -> n1; }",
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_cairo(monkeypatch):
    """What would draw the built-in picture instead."""
    monkeypatch.setitem(sys.modules, "cairosvg", None)


@pytest.fixture(params=["program", "package"])
def engine(request):
    """Each of the two by itself: DOT text and a suffix in, bytes out."""
    if not HERE[request.param]:
        pytest.skip(WHY[request.param])
    return getattr(graphviz_engines, f"_by_{request.param}")


@pytest.fixture
def package():
    if not HERE["package"]:
        pytest.skip(WHY["package"])
    return graphviz_engines._by_package


def block(monkeypatch, *modules):
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)


def labelled(name: str) -> Graph:
    """The name on a leaf, on a result, on an edge, and on the frame of a scope."""
    with scope(name):
        y = (leaf(name, 3) * leaf(f"{name}2", 3)).named(name) + 1.0
    return graph(y * 2.0)


def told(text: str) -> str:
    return " ".join(text.replace("\xa0", " ").split(" ")).strip()  # Graphviz writes two spaces as a space and &#160;


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_what_graphviz_draws_says_exactly_the_text(engine, name):
    g = plainly(labelled(name))
    root = ET.fromstring(engine(dot(g), "svg"))
    expected = [line for card in cards(g) for line in (card.label, *card.lines)]
    expected += [edge_label(e) + (" Σ" if e.summed else "") for e in g.edges]
    expected += [shorten(clean(name)), *legend_lines(g)]
    said = Counter(told(e.text or "") for e in root.iter(f"{SVG}text"))
    assert said - Counter({"": 99}) == Counter(map(told, expected)) - Counter({"": 99})
    tips = {told(e.get("{http://www.w3.org/1999/xlink}title") or "") for e in root.iter(f"{SVG}a")}
    wanted = {card.whole for card in cards(g)} | {edge_words(g, e) for e in g.edges} | {clean(name)}
    assert tips - {""} == set(map(told, wanted)) - {""}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_picture_is_one(engine, name, capfd):
    g = SAMPLES[name]()
    for options in ({}, {"values": True, "gradients": True, "theme": "dark", "direction": "down"}):
        text = dot(g, **options)
        root = ET.fromstring(engine(text, "svg"))
        classes = Counter(e.get("class") for e in root.iter(f"{SVG}g"))
        assert (classes["node"], classes["edge"]) == (len(g.nodes), len(g.edges))
    assert capfd.readouterr() == ("", "")


def test_png_and_pdf(engine, capfd):
    text = dot(normalized(8, 64))
    png = engine(text, "png")
    assert png[:16] == b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
    assert width > 1000 > height > 200
    pdf = engine(text, "pdf")
    assert pdf.startswith(b"%PDF-")
    assert b"%%EOF" in pdf[-32:]
    assert capfd.readouterr() == ("", "")


def test_a_failure_says_why(engine, capfd):
    with pytest.raises(
        DrawingError, match=r"^draw: (dot|pygraphviz) could not make \.png: Error: .*syntax error in line [^\n]*\.$"
    ):
        engine("digraph {", "png")
    assert capfd.readouterr() == ("", "")


def test_the_package_is_silent_and_gives_stderr_back(package, capfd):
    package(dot(chain(1100)), "svg")  # pygraphviz warns from 1000 nodes on
    os.write(2, b"still here\n")
    print("and here", file=sys.stderr)
    assert capfd.readouterr() == ("", "still here\nand here\n")


def test_the_package_leaves_no_file(package, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    package(dot(normalized(8, 64)), "png")
    assert list(tmp_path.iterdir()) == []


def test_the_package_from_many_threads(package, capfd):
    text = dot(normalized(2, 3))
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: package(text, "png"), range(12)))) == 1
    os.write(2, b"still here\n")
    assert capfd.readouterr().err == "still here\n"


def test_the_package_without_a_stderr(package):
    code = (
        "import os, sys; os.close(2); from tinygrad_norm.draw.graphviz_engines import _by_package;"
        "sys.stdout.buffer.write(_by_package('digraph { a -> b }', 'svg'))"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment(), check=True)
    assert b"</svg>" in done.stdout


# Which of the two ----------------------------------------------------------------------------------------


class FakeGraph:
    def from_string(self, text):
        self.text = text

    def draw(self, format, prog):
        return f"{prog} {format} {self.text}".encode()


@pytest.fixture
def fakes(monkeypatch, tmp_path):
    """A program and a package that say who they are."""
    if os.name == "nt":
        pytest.skip("needs a shell script as dot")
    program = tmp_path / "bin" / "dot"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho the program $1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setitem(sys.modules, "pygraphviz", types.SimpleNamespace(AGraph=FakeGraph))
    return program


def test_the_program_comes_first_then_the_package(fakes, monkeypatch):
    assert run_graphviz("text", "png") == b"the program -Kdot\n"
    block(monkeypatch, "graphviz")
    assert run_graphviz("text", "png") == b"dot png text", "nothing here can speak to the program"
    fakes.unlink()
    assert run_graphviz("text", "png") == b"dot png text"
    block(monkeypatch, "pygraphviz")
    with pytest.raises(DrawingError, match="dot is not on the PATH, and the package pygraphviz cannot be imported"):
        run_graphviz("text", "png")


def test_a_program_that_nothing_can_speak_to(fakes, monkeypatch):
    block(monkeypatch, "graphviz", "pygraphviz")
    with pytest.raises(
        DrawingError, match="dot is here, but not the package graphviz that speaks to it, and the package pygraphviz"
    ):
        run_graphviz("text", "png")


def test_where_the_program_fails_the_package_draws_and_else_both_are_told(fakes, tmp_path, monkeypatch):
    fakes.write_text("#!/bin/sh\necho no font here >&2\nexit 3\n")
    assert normalized(2, 3).save(tmp_path / "b.png").exists()
    block(monkeypatch, "pygraphviz")
    with pytest.raises(DrawingError) as caught:
        normalized(2, 3).save(tmp_path / "a.png")
    said = str(caught.value)
    assert said.startswith("draw: .png needs Graphviz: dot could not make .png: no font here, and the package pygraphviz cannot")
    assert "apt install graphviz" in said
    assert said.endswith("a.svg instead.")
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == normalized(2, 3).to_svg()


# Without either ------------------------------------------------------------------------------------------


@pytest.fixture
def neither(monkeypatch):
    monkeypatch.setenv("PATH", "")
    block(monkeypatch, "pygraphviz")


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_the_error_names_both_fixes_and_the_svg_beside(tmp_path, neither, suffix):
    g = normalized(8, 64)
    options = {"values": True, "gradients": True, "theme": "dark", "direction": "down"}
    with pytest.raises(DrawingError) as caught:
        g.save(tmp_path / f"a.{suffix}", **options)
    said = str(caught.value)
    for words in (
        f"draw: .{suffix} needs Graphviz: ",
        "apt install graphviz (or brew install graphviz, or winget install graphviz)",
        "pip install 'pygraphviz>=2'",
    ):
        assert words in said
    assert said.endswith(f". Wrote {tmp_path / 'a.svg'} instead.")
    assert "\n" not in said
    assert [p.name for p in tmp_path.iterdir()] == ["a.svg"]
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == g.to_svg(**options)


def test_an_svg_that_is_there_already_is_left_alone(tmp_path, neither):
    (tmp_path / "a.svg").write_text("mine")
    with pytest.raises(
        DrawingError, match=r"a\.svg is already there and was left as it is; saving under that name replaces it\.$"
    ):
        normalized(2, 3).save(tmp_path / "a.png")
    assert [p.name for p in tmp_path.iterdir()] == ["a.svg"]
    assert (tmp_path / "a.svg").read_text() == "mine"


def test_a_folded_graph_is_folded_in_the_svg_too(tmp_path, neither):
    g = SAMPLES["transformer block"]()
    with pytest.raises(DrawingError, match="Wrote"):
        g.save(tmp_path / "a.pdf", fold=1)
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == g.to_svg(fold=1)


def test_no_folder_no_svg(tmp_path, neither):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*none"):
        normalized(2, 3).save(tmp_path / "none" / "a.png")
    assert list(tmp_path.iterdir()) == []


def environment(**more: str) -> dict[str, str]:
    """For a child that runs elsewhere, and still finds the package."""
    paths = [str(Path(tinygrad_norm.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONIOENCODING": "utf-8", **more}


def run_cli(place: Path, *commands: list[str]) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, with an empty PATH and no pygraphviz; several commands one after the other."""
    code = (
        "import json, sys; sys.modules['pygraphviz'] = None; from tinygrad_norm.cli import main; "
        "sys.exit(max(main(words) for words in json.loads(sys.argv[1])))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, json.dumps(commands)],
        cwd=place,
        env=environment(PATH=""),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.thorough
def test_the_command_line_with_an_empty_path(tmp_path):
    kinds = ("svg", "dot", "gv", "txt", "html", "json")
    done = run_cli(
        tmp_path,
        ["graph", "layer_norm"],
        *(["graph", "layer_norm", "--out", f"a.{suffix}"] for suffix in kinds),
        ["graph", "layer_norm", "--ladder", "--out", "ladder.svg"],
        ["graph", "layer_norm", "--beside", "rms_norm", "--out", "family.svg"],
        ["graph", "layer_norm", "--frames", "frames"],
        ["derive", "rms_norm", "--wrt", "x"],
        ["compare", "layer_norm"],
        ["doctor"],
    )
    assert (done.returncode, done.stderr) == (0, "")
    names = [*(f"a.{suffix}" for suffix in kinds), "family.svg", "ladder.svg", "layer_norm.dot", "layer_norm.svg", "frames"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)
    for path in tmp_path.glob("*.*"):
        text = path.read_text(encoding="utf-8")
        assert "rstd" in text
        if path.suffix == ".svg":
            ET.fromstring(text)


@pytest.mark.skipif(importlib.util.find_spec("cairosvg") is not None, reason="cairosvg draws it")
def test_the_command_line_says_what_to_install(tmp_path):
    done = run_cli(tmp_path, ["graph", "layer_norm", "--out", "a.png"])
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(
        r"tinygrad-norm: draw: \.png needs Graphviz.*apt install graphviz.*pygraphviz>=2.* Wrote a\.svg instead\.\n",
        done.stderr,
    )
    assert [p.name for p in tmp_path.iterdir()] == ["a.svg"]
