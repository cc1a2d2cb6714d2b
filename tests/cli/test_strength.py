"""``tinygrad-norm strength``: somebody's own test, measured; the file is executed and must not do harm."""

from __future__ import annotations

import json

import pytest

from tinygrad_norm.cli import main

TESTS = """
import numpy as np
import helper_beside

x = np.random.default_rng(0).normal(size=(4, 8))
w, dy = np.random.default_rng(1).normal(size=8), np.random.default_rng(2).normal(size=(4, 8))


def right(dy, x, w, eps=1e-5):
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    h, g = (x - x.mean(-1, keepdims=True)) * r, dy * w
    return r * (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True)), (dy * h).sum(0), dy.sum(0)


def test_layer_norm(backward):
    print("noise")
    for mine, theirs in zip(backward(dy, x, w, 0 * w), right(dy, x, w)):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


class TestLayerNorm:
    def test_sum(self, backward):
        assert abs(backward(np.ones((4, 8)), x, np.ones(8), np.zeros(8))[0]).max() < 1e-5


def test_wrong(backward):
    assert backward(dy, x, w, 0 * w)[0].max() > 1e9


def two(a, b):
    pass
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_mine.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "helper_beside.py").write_text("", encoding="utf-8")
    (tmp_path / "broken.py").write_text("raise SystemExit(3)", encoding="utf-8")


def run(*argv, capsys):
    code = main(["strength", *argv])
    return code, *capsys.readouterr()


def test_exit_codes_and_words(capsys):
    code, out, err = run("test_mine.py::test_layer_norm", capsys=capsys)
    assert (code, err) == (0, "")
    assert "verdict: strong: all" in out
    assert "noise" not in out
    code, out, _ = run("test_mine.py::TestLayerNorm::test_sum", capsys=capsys)
    assert code == 1
    assert "accepts  σ²: term dropped  (dx)" in out
    assert "change: " in out
    assert "verdict: weak: " in out
    code, out, _ = run("test_mine.py::test_wrong", "--norm", "layer_norm", capsys=capsys)
    assert code == 2
    assert "not measured: the right backward was not accepted (AssertionError" in out


def test_several_as_json_and_in_a_line_each(capsys):
    targets = ("test_mine.py::test_layer_norm", "test_mine.py::TestLayerNorm::test_sum")
    code, out, _ = run(*targets, "--json", capsys=capsys)
    assert code == 1
    data = json.loads(out)
    assert [(d["target"], d["ok"]) for d in data] == [(targets[0], True), (targets[1], False)]
    code, out, _ = run(*targets, "--quiet", capsys=capsys)
    assert out.startswith(f"{targets[0]}: strong: all")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["test_mine.py"], "name the test in it: test_mine.py::test_x"),
        (["test_mine.py::nope"], "there is no nope in it; there are TestLayerNorm, right, test_layer_norm"),
        (["test_mine.py::two", "--norm", "layer_norm"], "takes (a, b); a test is a function of one parameter"),
        (["test_mine.py::TestLayerNorm::nope"], "AttributeError"),
        (["test_mine.py::test_wrong"], "cannot be told from its name. Say it: --norm layer_norm"),
        (["test_mine.py::test_layer_norm", "--norm", "layernorm"], "Did you mean layer_norm?"),
        (["test_mine.py::test_layer_norm", "--arg", "rtol=1"], "--arg rtol=…: that is no option of a norm"),
        (["test_mine.py::test_layer_norm", "--arg", "epsilon=1"], "has no option epsilon"),
        (["none.py::x"], "none.py: No such file"),
        (["broken.py::x"], "broken.py raised SystemExit: 3"),
    ],
)
def test_misuse_is_exit_code_2(argv, words, capsys):
    code, out, err = run(*argv, capsys=capsys)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err
