"""``tinygrad-norm derive``: a norm or a file's forward in, formulas in six formats and an exit code out."""

from __future__ import annotations

import io
import json
import os
import sys

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.cli import main

FILE = """\
import tinygrad_norm as tn

def centred(x, w):
    return (x - x.mean(-1, True)) * w

def scaled(x, by=2.0):
    return x * by

def product(x, w):
    return x @ w

_hidden = 3
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "mine.py").write_text(FILE, encoding="utf-8")


def run(*argv, capsys):
    code = main(["derive", *(str(a) for a in argv)])
    return code, *capsys.readouterr()


def test_all_gradients_of_layer_norm_by_default(capsys):
    code, out, err = run(capsys=capsys)
    assert (code, err) == (0, "")
    for formula in ("dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·γ", "dγ = Σ_B(x̂·dy)", "dβ = Σ_B(dy)"):
        assert out.count(f"\n{formula}\n") == 1
    assert "The forward pass" in out
    assert "deviations from their own mean" in out
    assert out.endswith("\n")
    assert os.listdir() == ["mine.py"]


def test_one_gradient_by_name_or_by_symbol(capsys):
    assert run("rms_norm", "--wrt", "x", "--quiet", capsys=capsys) == (0, "dx = rstd·(g − x̂·mean(g·x̂)),  g = dy·γ\n", "")
    for name in ("weight", "γ"):
        assert run("rms_norm", "--wrt", name, "--quiet", capsys=capsys) == (0, "dγ = Σ_B(x̂·dy)\n", "")


def test_options_shape_order_seed_and_lemma(capsys):
    code, out, _ = run("layer_norm", "--wrt", "x", "--arg", "correction=1", "--arg", "eps=1e-3", "--shape", "3,9", "--seed", "4", "--quiet", capsys=capsys)  # fmt: skip
    assert (code, out) == (0, "dx = rstd·(g − mean(g) − x̂·Σ(g·x̂)/(N − 1)),  g = dy·γ\n")
    code, out, _ = run("softmax", "--order", "2", "--quiet", capsys=capsys)
    assert code == 0
    assert out.startswith("d(Σ v·dx)/dx = p·(")
    code, out, err = run("layer_norm", "--lemma", "Σ_N(x̂) = 1", capsys=capsys)
    assert (code, out) == (2, "")
    assert "does not hold on the record" in err


@pytest.mark.parametrize(
    ("kind", "begins", "contains"),
    [
        ("text", "RMSNorm: dx, derived from the record\n", "common factor"),
        ("latex", "\\documentclass", "\\end{document}"),
        ("markdown", "# RMSNorm", "$$dx = "),
        ("html", "<!doctype html>", "<math"),
        ("numpy", "import numpy as np\n", "def rms_norm_dx(dy, x, weight, eps="),
        ("json", "[{", '"formula"'),
    ],
)
def test_each_format(kind, begins, contains, capsys):
    code, out, err = run("rms_norm", "--wrt", "x", "--format", kind, capsys=capsys)
    assert (code, err) == (0, "")
    assert out.startswith(begins)
    assert contains in out
    if kind == "json":
        assert [r["formula"] for r in json.loads(out)] == ["dx = rstd·(g − x̂·mean(g·x̂)),  g = dy·γ"]


@pytest.mark.parametrize(
    ("file", "begins"),
    [("d.tex", "\\documentclass"), ("d.md", "# "), ("d.html", "<!doctype html>"), ("d.py", "import numpy"), ("d.json", "[{"), ("d.txt", "RMSNorm"), ("d", "RMSNorm")],
)  # fmt: skip
def test_the_suffix_says_the_format(file, begins, tmp_path, capsys):
    (tmp_path / file).write_text("old")
    code, out, err = run("rms_norm", "--out", file, capsys=capsys)
    assert (code, err) == (0, "")
    assert (tmp_path / file).read_text(encoding="utf-8").startswith(begins)
    assert out.endswith(f"wrote {file}\n")
    assert "dx = rstd·(g − x̂·mean(g·x̂)),  g = dy·γ" in out
    assert sorted(os.listdir()) == sorted([file, "mine.py"])


def test_a_format_that_is_said_counts_more_than_the_suffix(tmp_path, capsys):
    assert run("rms_norm", "--out", "d.txt", "--format", "json", capsys=capsys)[0] == 0
    assert len(json.loads((tmp_path / "d.txt").read_text(encoding="utf-8"))) == 2


def test_the_written_functions_run(tmp_path, capsys):
    assert run("layer_norm", "--out", "d.py", capsys=capsys)[0] == 0
    space = {}
    exec((tmp_path / "d.py").read_text(encoding="utf-8"), space)
    rng = np.random.default_rng(0)
    a, w, dy = rng.normal(size=(4, 6)), rng.normal(size=6), rng.normal(size=(4, 6))
    x = tn.tensor(a, requires_grad=True)
    want = tn.grad(tn.functional.layer_norm(x, 6, tn.tensor(w)), x, dy)[0].data
    np.testing.assert_allclose(space["layer_norm_dx"](dy, a, w), want, atol=1e-13)
    np.testing.assert_allclose(space["layer_norm_dbias"](dy), dy.sum(0))


def test_a_file_is_written_whole_or_not_at_all(tmp_path, capsys, monkeypatch):
    (tmp_path / "d.tex").write_text("old")

    def full(*a):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    code, _, err = run("rms_norm", "--out", "d.tex", capsys=capsys)
    assert code == 2
    assert "No space left" in err
    assert (tmp_path / "d.tex").read_text() == "old"
    assert sorted(os.listdir()) == ["d.tex", "mine.py"]
    code, _, err = run("rms_norm", "--out", "no/such/d.tex", capsys=capsys)
    assert code == 2
    assert "Traceback" not in err


def test_a_forward_of_ones_own(capsys):
    code, out, err = run("mine.py:centred", "--axes", "x=B,N", "--axes", "w=N", "--quiet", capsys=capsys)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] in ("dx = g − mean(g),  g = dy·w", "dx = dy·w − mean(dy·w)")
    assert out.splitlines()[1].startswith("dw = Σ_B(")
    assert run("mine.py:scaled", "--axes", "x=B", "--arg", "by=7", "--quiet", capsys=capsys)[:2] == (0, "dx = 7·dy\n")
    assert run("mine.py:scaled", "--axes", "x=", "--quiet", capsys=capsys)[:2] == (0, "dx = 2·dy\n")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("layernorm",), "there is no 'layernorm'. Did you mean layer_norm? Known: ada_norm"),
        (("mine.py:none", "--axes", "x=B"), "there is no function none in mine.py; there are centred, scaled, product."),
        (("mine.py:_hidden", "--axes", "x=B"), "there is no function _hidden in mine.py"),
        (("mine.py",), "name the forward in mine.py: mine.py:FUNCTION."),
        (("gone.py:f", "--axes", "x=B"), "gone.py: No such file or directory."),
        (("raises.py:f", "--axes", "x=B"), "raises.py raised ValueError: not yet"),
        (("syntax.py:f", "--axes", "x=B"), "syntax.py raised SyntaxError"),
        (("mine.py:centred",), "name the axes of your forward's inputs: --axes x=B,N --axes w=N."),
        (("mine.py:centred", "--axes", "x=B,N"), "missing 1 required positional argument: 'w'"),
        (("mine.py:product", "--axes", "x=B,N", "--axes", "w=N,M"), "matmul: this op has no formula over named axes. Recorded at mine.py:10: return x @ w"),
        (("rms_norm", "--wrt", "z"), "there is no input 'z' to differentiate by; there are input (x), weight (γ)"),
        (("rms_norm", "--arg", "foo=1"), "RMSNorm has no option foo"),
        (("rms_norm", "--lemma", "q"), "cannot be read"),
        (("spectral_norm",), "matmul: this op has no formula over named axes. Recorded at spectral_norm.py:"),
    ],
)  # fmt: skip
def test_used_wrongly(argv, words, tmp_path, capsys):
    (tmp_path / "raises.py").write_text("raise ValueError('not yet')\n")
    (tmp_path / "syntax.py").write_text("def f(:\n")
    code, out, err = run(*argv, capsys=capsys)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize("argv", [("--axes", "x"), ("--order", "3"), ("--shape", "a"), ("--format", "pdf"), ("--seed", "x"), ("--arg", "eps")])  # fmt: skip
def test_arguments_that_do_not_parse(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        run("rms_norm", *argv, capsys=capsys)
    assert stop.value.code == 2


def test_a_page_is_not_for_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    code, out, err = run("rms_norm", "--format", "html", capsys=capsys)
    assert (code, out) == (2, "")
    assert "--out layer_norm.html" in err or "--out" in err


def test_help_says_that_the_file_is_executed(capsys):
    with pytest.raises(SystemExit) as stop:
        run("--help", capsys=capsys)
    assert stop.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "A FILE is EXECUTED" in said
    assert "exit code: 0 every line holds, 1 one does not, 2 used wrongly" in said


def test_a_terminal_without_greek(monkeypatch):
    for argv in (["rms_norm", "--wrt", "x"], ["rms_norm", "--quiet"]):
        out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(sys, "stdout", out)
        assert main(["derive", *argv]) == 0
        out.seek(0)
        assert "dx = rstd*(g - xhat*mean(g*xhat))" in out.read()


def test_equals_exits_with_0_only_where_it_is_proved(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(
        "def right(dy, input):\n    r = ((input * input).mean(-1, True) + 1e-5).rsqrt()\n    return dy\n"
        "def beta(dy):\n    return dy.sum(0)\n"
        "def half(dy):\n    return dy.sum(0) / 2\n",
        encoding="utf-8",
    )
    ask = ["derive", "layer_norm", "--wrt", "bias", "--equals"]
    assert main([*ask, f"{file}:beta"]) == 0
    assert "beta: equal: proved" in capsys.readouterr().out
    assert main([*ask, f"{file}:half"]) == 1
    assert "half: not equal" in capsys.readouterr().out
    assert main([*ask, f"{file}:none"]) == 2
    assert main([*ask, "beta"]) == 2
