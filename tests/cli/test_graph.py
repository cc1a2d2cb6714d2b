"""``tinygrad-norm graph`` and ``tinygrad-norm doctor``."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tinygrad_norm.cli import main
from tinygrad_norm.derive.recording import recorder
from tinygrad_norm.graph import Graph
from tinygrad_norm.norms import get, names

GALLERY = Path(__file__).parents[2] / "lessons" / "pictures" / "gallery"


def run(capsys, *words):
    code = main([*words])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_a_norm_in_the_terminal(capsys):
    code, out, _ = run(capsys, "graph", "layer_norm")
    assert code == 0
    for word in ("x̂·γ", "σ²", "variance", "4×8"):
        assert word in out
    code, out, _ = run(capsys, "graph", "layer_norm", "--fold", "1")
    assert "normalize" in out
    assert "x̂·γ" not in out
    assert "(9 operations in 4 boxes)" in out
    code, out, _ = run(capsys, "graph", "--shape", "3,5", "--backward", "analytic")
    assert "3×5" in out
    assert "σ²" not in out


@pytest.mark.parametrize("suffix", ["svg", "dot", "json", "txt"])
def test_a_file(capsys, tmp_path, suffix):
    path = tmp_path / f"picture.{suffix}"
    code, out, _ = run(capsys, "graph", "rms_norm", "--out", str(path))
    assert (code, out) == (0, f"wrote {path}\n")
    assert "rstd" in path.read_text(encoding="utf-8")


def test_a_page_to_step_through(capsys, tmp_path):
    path = tmp_path / "page.html"
    assert run(capsys, "graph", "rms_norm", "--out", str(path))[0] == 0
    assert "<h1>RMSNorm, step by step</h1>" in path.read_text(encoding="utf-8")


def test_the_recorded_gradient(capsys):
    code, out, _ = run(capsys, "graph", "layer_norm", "--gradient", "x")
    assert code == 0
    assert "dx" in out
    assert "dy·γ·rstd" in out
    assert re.search(r"\(−t\d+\)/8", out), "a number times what begins with a minus"


def test_a_forward_of_ones_own(capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def norm(x, w):\n    return x / (1 + (x * x).mean(-1, True)).sqrt() * w\n", encoding="utf-8")
    code, out, _ = run(capsys, "graph", f"{path}:norm", "--axes", "x=B,N", "--axes", "w=N")
    assert code == 0
    assert "mean(x·x)" in out
    for words, message in (
        ([f"{path}:other", "--axes", "x=B"], "there is no function other"),
        ([f"{path}:norm"], "name the axes of your forward's inputs"),
        ([str(path)], "name the forward in"),
        (["nonorm"], "there is no 'nonorm'"),
        (["layer_norm", "--gradient", "z"], "there is no input 'z'"),
    ):
        code, _, err = run(capsys, "graph", *words)
        assert code == 2
        assert message in err


def test_a_ladder(capsys, tmp_path, monkeypatch):
    code, out, _ = run(capsys, "graph", "layer_norm", "--ladder")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["forward", "shape", "kept?", "read", "by"]
    assert "rstd = rsqrt(σ² + 1e-05)  (4, 1)  yes    dc, d(σ² + 1e-05)" in lines
    assert "kept for the way back: c, rstd, x̂: 3 of 9 computed tensors, 68 of 176 numbers;" in lines
    assert all(len(line) <= 81 for line in lines)
    code, out, _ = run(capsys, "graph", "layer_norm", "--ladder", "--backward", "analytic")
    assert "nothing computed is kept for the way back" in out
    code, out, _ = run(capsys, "graph", "layer_norm", "--ladder", "--fold", "1")
    assert "9 operations in 4 boxes." in out
    assert "normalize = x̂" in out

    path = tmp_path / "a.svg"
    code, out, _ = run(capsys, "graph", "layer_norm", "--ladder", "--out", str(path))
    assert (code, out) == (0, f"wrote {path}\n")
    picture = path.read_text(encoding="utf-8")
    assert "<title>LayerNorm</title>" in picture
    assert "backward ↑" in picture

    monkeypatch.setattr("tinygrad_norm.cli.graph.has_unicode", lambda stream: False)
    code, out, _ = run(capsys, "graph", "layer_norm", "--ladder")
    assert out.isascii()
    assert "kept for the way back: c, rstd, xhat" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--values"], "a ladder has no use for --values; leave it out"),
        (["--gradients", "--out", "a.svg"], "a ladder has no use for --gradients"),
        (["--route", "A", "--out", "a.svg"], "a ladder has no use for --route"),
        (["--out", "a.png"], "a ladder is written as .svg, not .png; without --out it is text"),
        (["--out", "a"], "a ladder is written as .svg, not to a file without a suffix"),
    ],
)
def test_what_a_ladder_is_not(capsys, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "graph", "layer_norm", "--ladder", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(tmp_path.iterdir())


def test_a_ladder_with_too_many_rungs(capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def f(x):\n    for _ in range(42):\n        x = x * 1.5\n    return x\n", encoding="utf-8")
    words = "graph", f"{path}:f", "--axes", "x=N", "--ladder"
    code, _, err = run(capsys, *words, "--whole")
    assert code == 2
    assert "43 nodes are more rungs than the 40 that can be looked at. Fold it" in err
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert "mul ×42" in out


def test_the_gallery_in_the_repository_is_current(capsys, tmp_path):
    code, _, _ = run(capsys, "graph", "--gallery", str(tmp_path / "new"))
    assert code == 0
    made = sorted((tmp_path / "new").iterdir())
    assert len(made) == len(names()) + 1
    if not GALLERY.exists():
        pytest.skip("the lessons are not beside the tests")
    assert [p.name for p in made] == sorted(p.name for p in GALLERY.iterdir())
    for new in made:
        assert new.read_bytes() == (GALLERY / new.name).read_bytes(), (
            f"{new.name}: tinygrad-norm graph --gallery lessons/pictures/gallery"
        )


GUIDE = GALLERY.parents[2] / "docs" / "guide" / "pictures.md"


@pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not beside the tests")
def test_the_commands_of_the_guide_make_its_pictures(capsys, tmp_path, monkeypatch):
    commands = re.findall(r"^tinygrad-norm (graph .*)$", GUIDE.read_text(encoding="utf-8"), re.M)
    assert len(commands) == 3
    monkeypatch.chdir(tmp_path)
    for command in commands:
        code, said, _ = run(capsys, *command.split())
        assert code == 0
        name = said.removeprefix("wrote ").strip()
        made = (tmp_path / name).read_bytes()
        if name.endswith(".svg"):
            assert made == (GALLERY.parent / name).read_bytes(), f"in lessons/pictures: tinygrad-norm {command}"
        assert len(made) <= 150_000


@pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not beside the tests")
def test_the_step_in_the_guide_is_one_of_its_frames(capsys, tmp_path):
    assert run(capsys, "graph", "layer_norm", "--frames", str(tmp_path))[0] == 0
    shown = (GALLERY.parent / "step.svg").read_bytes()
    assert [p.name for p in tmp_path.iterdir() if p.read_bytes() == shown] == ["024_sum.svg"]
    page = tmp_path / "a.html"
    run(capsys, "graph", "layer_norm", "--out", str(page))
    said = re.search(r"dc is complete: the shares' lengths are [^<]*", shown.decode().replace("&#x27;", "'"))[0]
    assert said in page.read_text(encoding="utf-8"), "the page and the frames tell one story"


def test_doctor(capsys, monkeypatch):
    code, out, _ = run(capsys, "doctor")
    assert code == 0
    for word in ("Python", "numpy", "sympy", "dot", "torch", "everything that is needed is here"):
        assert word in out
    monkeypatch.setenv("PATH", "")
    code, out, _ = run(capsys, "doctor")
    assert code == 0
    assert "not found" in out
    assert "apt install graphviz" in out
    monkeypatch.setattr("tinygrad_norm.cli.doctor._version", lambda package: None)
    code, out, _ = run(capsys, "doctor")
    assert code == 2
    assert "pip install sympy" in out


def test_single_numbers(capsys, tmp_path):
    words = ["graph", "layer_norm", "--shape", "1,3", "--elements"]
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert "x₁, μ ×−1" in out
    assert out.endswith("(12 tensors as 28 numbers)\n")
    for suffix in ("svg", "dot", "json", "txt"):
        path = tmp_path / f"a.{suffix}"
        assert run(capsys, *words, "--out", str(path))[0] == 0
        assert "×0.333" in path.read_text(encoding="utf-8")
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert ">0.211</text>" in svg, "the numbers are there unasked"
    assert "dL" not in svg
    assert run(capsys, *words, "--gradients", "--out", str(tmp_path / "a.svg"))[0] == 0
    assert "dy₁ = " in (tmp_path / "a.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shape", "4,8"], "224 numbers in 12 tensors are more than the 100 that can be told apart"),
        (["--shape", "1,3", "--fold", "1"], "not allowed with argument"),
        (["--shape", "1,3", "--whole"], "not allowed with argument"),
        (["--shape", "1,3", "--route", "A", "--out", "a.svg"], "leave out elements or route"),
        (["--shape", "1,3", "--out", "a.html"], ".html has no use for --elements; leave it out"),
    ],
)
def test_single_numbers_are_refused(capsys, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    try:
        code, _, err = run(capsys, "graph", "--elements", *words)
    except SystemExit as leaving:  # of argparse
        code, err = leaving.code, capsys.readouterr().err
    assert code == 2
    assert message in err
    assert list(tmp_path.iterdir()) == []


# More of a picture ----------------------------------------------------------------------------------------------------


def test_ones_own_numbers(capsys, tmp_path):
    np.save(tmp_path / "x.npy", np.array([[1.0, 2.0, 4.0]], np.float32))
    np.save(tmp_path / "w.npy", np.array([2.0, 3.0, 5.0], np.float32))
    (tmp_path / "x.csv").write_text("1,2,4\n8,1,1\n", encoding="utf-8")
    out = tmp_path / "own.svg"
    inputs = ["--input", str(tmp_path / "x.npy"), "--input", f"γ={tmp_path / 'w.npy'}"]
    assert run(capsys, "graph", "rms_norm", *inputs, "--values", "--out", str(out))[0] == 0
    picture = out.read_text(encoding="utf-8")
    for text in ("1, 2,", "2, 3,", "all float32", "(1, 3)"):
        assert text in picture
    assert run(capsys, "graph", "layer_norm", "--input", str(tmp_path / "x.csv"), "--out", str(tmp_path / "own.html"))[0] == 0
    assert '"r":["1 2 4","8 1 1"]' in (tmp_path / "own.html").read_text(encoding="utf-8")
    mine = tmp_path / "mine.py"
    mine.write_text("def square(x):\n    return x * x\n", encoding="utf-8")
    code, text, _ = run(capsys, "graph", f"{mine}:square", "--axes", "x=B,N", "--input", f"x={tmp_path / 'x.csv'}")
    assert code == 0
    assert "2×3" in text
    for words, message in (
        (["rms_norm", "--input", f"q={tmp_path / 'x.npy'}"], "RMSNorm has no input 'q'; it has input (x), weight (γ)."),
        (["rms_norm", "--input", str(tmp_path / "none.npy")], "none.npy: No such file or directory"),
        (["rms_norm", "--input", str(tmp_path / "x.npy"), "--input", f"weight={tmp_path / 'x.csv'}"], "normalized_shape (2, 3)"),
    ):
        code, _, err = run(capsys, "graph", *words)
        assert code == 2
        assert message in err
    with pytest.raises(SystemExit):
        run(capsys, "graph", "--shape", "2,3", "--input", "x.npy")


def test_relatives(capsys, tmp_path):
    out = tmp_path / "family.svg"
    code, said, _ = run(capsys, "graph", "layer_norm", "--beside", "rms_norm", "--beside", "group_norm", "--out", str(out))
    assert (code, said) == (0, f"wrote {out}\n")
    picture = out.read_text(encoding="utf-8")
    assert picture.count('class="panel"') == 3
    assert "RMSNorm: without" in picture
    page = tmp_path / "family.html"
    assert run(capsys, "graph", "layer_norm", "--beside", "rms_norm", "--out", str(page))[0] == 0
    text = page.read_text(encoding="utf-8")
    assert "RMSNorm: without" in text
    assert "Largest difference to every operation: dx " in text
    assert "<h2>LayerNorm: dx</h2>" in text
    assert "The chain rule, from the output back" in text
    assert len(text.encode()) <= 150_000


def test_frames(capsys, tmp_path):
    place = tmp_path / "deep" / "frames"
    code, said, _ = run(capsys, "graph", "softmax", "--frames", str(place), "--theme", "dark")
    made = sorted(p.name for p in place.iterdir())
    assert (code, said) == (0, f"wrote {len(made)} pictures into {place}\n")
    assert made[0] == "001_given.svg"
    assert made[-1].endswith("_backward.svg")
    assert "#0d1117" in (place / made[0]).read_text(encoding="utf-8")


def test_a_stretch(capsys, tmp_path):
    code, out, _ = run(capsys, "graph", "layer_norm", "--between", "c", "x̂")
    assert code == 0
    assert "μ" not in out
    assert "rstd" in out
    code, _, err = run(capsys, "graph", "layer_norm", "--between", "c", "nothing")
    assert code == 2
    assert "nothing here is called 'nothing'; there are x, γ, β" in err
    page = tmp_path / "part.html"
    assert run(capsys, "graph", "layer_norm", "--between", "c", "x̂", "--out", str(page))[0] == 0
    assert "2 routes lead back from x̂ to c" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", names())
@pytest.mark.costly(8)
def test_every_norm_has_a_page(capsys, tmp_path, name):
    page = tmp_path / f"{name}.html"
    assert run(capsys, "graph", name, "--out", str(page))[0] == 0
    text = page.read_text(encoding="utf-8")
    assert len(text.encode()) <= 150_000
    assert ("one node" in text) == (len(Graph(recorder(name, None, get(name).shape, "recorded", 0, {}, ())().output).nodes) > 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--theme", "dark"], "a picture in the terminal has no use for --theme; leave it out."),
        (["--route", "Z"], "a picture in the terminal has no use for --route"),
        (["--out", "a.html", "--fold", "1", "--values"], ".html has no use for --values, --fold"),
        (["--out", "a.txt", "--gradients"], ".txt has no use for --gradients"),
        (["--out", "a.dot", "--scopes"], "Graphviz has no use for --scopes"),
        (["--out", "a.png", "--beside", "rms_norm"], ".png and .pdf has no use for --beside"),
        (["--out", "a.svg", "--beside", "rms_norm", "--values"], "relatives in one picture has no use for --values"),
        (["--out", "a.svg", "--beside", "rms_norm", "--between", "c", "x̂"], "has no use for --between"),
        (["--frames", "d", "--route", "C"], "--frames has no use for --route"),
        (["--frames", "d", "--out", "a.svg"], "--frames has no use for --out"),
        (["--ladder", "--direction", "down"], "a ladder has no use for --direction"),
        (["--axes", "x=B,N"], "a norm has no use for --axes"),
        (["--out", "a.svg", "--ladder", "--elements", "--shape", "1,3"], "a ladder has no use for --elements"),
    ],
)
def test_what_does_not_go_together_is_refused(capsys, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "graph", "layer_norm", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(tmp_path.iterdir())


def test_what_a_forward_of_ones_own_has_no_use_for(capsys, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("def square(x):\n    return x * x\n", encoding="utf-8")
    code, _, err = run(capsys, "graph", f"{mine}:square", "--axes", "x=B,N", "--shape", "2,3")
    assert code == 2
    assert "a forward of your own has no use for --shape; leave it out. Its sizes are those of --input." in err
    np.savez(tmp_path / "two.npz", a=np.ones((1, 3), np.float32), b=np.zeros(2))
    code, _, err = run(capsys, "graph", f"{mine}:square", "--axes", "x=B,N", "--input", str(tmp_path / "two.npz"))
    assert "Name one with --key" in err
    out = tmp_path / "a.svg"
    words = ["--input", str(tmp_path / "two.npz"), "--key", "a", "--out", str(out)]
    assert run(capsys, "graph", f"{mine}:square", "--axes", "x=B,N", *words)[0] == 0
    assert "all float32" in out.read_text(encoding="utf-8")
    code, _, err = run(capsys, "graph", "--input", "a.npy", "--input", "b.npy")
    assert "a.npy" in err


def test_what_json_is_not(capsys, tmp_path):
    path = tmp_path / "a.json"
    code, _, err = run(capsys, "graph", "--theme", "dark", "--out", str(path))
    assert code == 2
    assert ".json has no use for --theme; leave it out" in err
    assert not path.exists()
