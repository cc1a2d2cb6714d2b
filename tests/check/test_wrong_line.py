"""The line of a candidate's own source that is wrong, and what is wrong there."""

from __future__ import annotations

import inspect
import json
import linecache
import warnings

import numpy as np
import pytest

import tinygrad_norm as tn

from .backwards import m

PLANTED = []


def planted(norm, words, which="input", **options):
    """A backward whose wrong line ends in ``# wrong``."""

    def put(function):
        PLANTED.append(pytest.param(norm, function, words, which, options, id=function.__name__))
        return function

    return put


def marked(function):
    lines, first = inspect.getsourcelines(function)
    return next(first + k for k, line in enumerate(lines) if "# wrong" in line)


@planted("layer_norm", "Σ where mean belongs")
def sum_for_mean(dy, x, weight, eps):
    mu = x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    xhat = (x - mu) * rstd
    g = dy * weight
    a = np.mean(g, axis=-1, keepdims=True)
    b = np.sum(g * xhat, axis=-1, keepdims=True)  # wrong
    dx = rstd * (g - a - xhat * b)
    return dx, (dy * xhat).sum(0), dy.sum(0)


@planted("layer_norm", "the term −rstd·mean(dy·γ) is missing")
def staged_without_the_mean(dy, x, weight, eps):
    n = x.shape[-1]
    c = x - x.mean(-1, keepdims=True)
    r = 1.0 / np.sqrt((c**2).mean(-1, keepdims=True) + eps)
    dxhat = dy * weight
    dvar = (dxhat * c).sum(-1, keepdims=True) * -0.5 * r**3
    one, two = dxhat * r, 2 * c * dvar / n
    dx = one + two  # wrong
    return dx, (dy * c * r).sum(0), dy.sum(0)


@planted("layer_norm", "divided by N − 1 where N belongs")
def unbiased(dy, x, weight, eps):
    std = np.sqrt(x.var(-1, keepdims=True, ddof=1) + eps)  # wrong
    xhat = (x - x.mean(-1, keepdims=True)) / std
    g = dy * weight
    dx = (g - m(g) - xhat * m(g * xhat)) / std
    return dx, (dy * xhat).sum(0), dy.sum(0)


@planted("rms_norm", "the power 2 where 3 belongs")
def power(dy, x, weight, eps):
    r = (np.mean(x**2, -1, keepdims=True) + eps) ** -0.5
    g = dy * weight
    inner = np.mean(g * x, -1, keepdims=True)
    dx = r * g - r**2 * x * inner  # wrong
    return dx, (dy * x * r).sum(0)


@planted("batch_norm", "+ where − belongs")
def sign(dout, x, gamma, eps):
    n = len(x)
    istd = 1 / np.sqrt(x.var(0) + eps)
    xhat = (x - x.mean(0)) * istd
    dgamma, dbeta = (dout * xhat).sum(0), dout.sum(0)
    inner = n * dout - dbeta + xhat * dgamma  # wrong
    dx = gamma * istd / n * inner
    return dx, dgamma, dbeta


@planted("layer_norm", "over axis 0 where axis 1 belongs, in both of them", shape=(5, 7))
def over_the_batch(dy, x, weight, eps):
    r = 1 / np.sqrt(x.var(1, keepdims=True) + eps)
    h = (x - x.mean(1, keepdims=True)) * r
    g = dy * weight
    dx = r * (g - g.mean(0, keepdims=True) - h * (g * h).mean(0, keepdims=True))  # wrong
    return dx, (dy * h).sum(0), dy.sum(0)


@planted("rms_norm", "x where x̂ belongs", which="weight")
def another_letter(dy, x, weight, eps):
    r = 1 / np.sqrt((x**2).mean(-1, keepdims=True) + eps)
    h = x * r
    g = dy * weight
    dx = r * (g - h * (g * h).mean(-1, keepdims=True))
    dw = (dy * x).sum(0)  # wrong
    return dx, dw


@planted("batch_norm", "where B·H·W belongs", shape=(5, 3, 2, 7))
def the_wrong_count(dout, x, gamma, eps):
    n = x.shape[0]  # wrong
    axes = (0, 2, 3)
    istd = 1 / np.sqrt(x.var(axes, keepdims=True) + eps)
    xhat = (x - x.mean(axes, keepdims=True)) * istd
    g = dout * gamma[:, None, None]
    first = g.sum(axes, keepdims=True) / n
    second = (g * xhat).sum(axes, keepdims=True) / n
    return istd * (g - first - xhat * second), (dout * xhat).sum(axes), dout.sum(axes)


@planted("layer_norm", "written over what is read again later", which="weight")
def overwritten(dy, x, weight, eps):
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    h = (x - x.mean(-1, keepdims=True)) * r
    dy *= weight  # wrong
    dx = r * (dy - m(dy) - h * m(dy * h))
    return dx, (dy * h).sum(0), dy.sum(0)


@planted("layer_norm", "dγ and dβ are exchanged", which="weight")
def exchanged(dy, x, weight, eps):
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    h = (x - x.mean(-1, keepdims=True)) * r
    g = dy * weight
    return r * (g - m(g) - h * m(g * h)), dy.sum(0), (dy * h).sum(0)  # wrong


@planted("softmax", "mean where Σ belongs")
def in_place(dout, x):
    e = np.exp(x - x.max(-1, keepdims=True))
    e /= e.sum(-1, keepdims=True)
    dx = dout.copy()
    dx -= (dout * e).mean(-1, keepdims=True)  # wrong
    dx *= e
    return dx


@planted("layer_norm", "dy where dy·γ belongs")
def in_a_loop(dy, x, weight, eps):
    dx = np.empty_like(x)
    for i in range(len(x)):
        r = 1 / np.sqrt(np.var(x[i]) + eps)
        h = (x[i] - np.mean(x[i])) * r
        g = dy[i] * weight
        dx[i] = r * (g - np.mean(g) - h * np.mean(dy[i] * h))  # wrong
    h = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    return dx, (dy * h).sum(0), dy.sum(0)


@planted("layer_norm", "the first thing on the way to dx that the right backward does not compute")
def two_on_one_line(dy, x, weight, eps):
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    h = (x - x.mean(-1, keepdims=True)) * r
    g = dy * weight
    dx = 3 * r * (g - m(g) / 5 + h * g.sum(-1, keepdims=True))  # wrong
    return dx, (dy * h).sum(0), dy.sum(0)


def total(a):
    return a.sum(-1, keepdims=True)


@planted("rms_norm", "Σ where mean belongs")
def by_a_function_that_is_right_elsewhere(dy, x, weight, eps):
    r = 1 / np.sqrt(total(x * x) / x.shape[-1] + eps)
    h = x * r
    g = dy * weight
    inner = total(g * h)  # wrong
    return r * (g - h * inner), (dy * h).sum(0)


@pytest.mark.parametrize(("norm", "function", "words", "which", "options"), PLANTED)
@pytest.mark.costly(3)
def test_the_line_is_named(norm, function, words, which, options):
    verdict = tn.check(function, norm, **options)
    (found,) = [r for r in verdict.repairs if which in r.gradients]
    assert marked(function) in [line.number for line in found.lines], [str(line) for line in found.lines]
    line = next(line for line in found.lines if line.number == marked(function))
    assert words in line.words
    assert str(line) in verdict.text()
    assert line.text in " ".join(linecache.getline(__file__, line.number).split())
    assert "no known mistake" not in verdict.text() or found.general


STAGED = """\
import numpy as np

def backward(dy, x, weight, eps):
    n = x.shape[-1]
    mu = np.sum(x, axis=-1, keepdims=True) / n
    c = x - mu
    var = np.mean(c**2, axis=-1, keepdims=True)
    r = 1 / np.sqrt(var + eps)
    h = c * r
    dgamma = np.sum(dy * h, axis=0)
    dbeta = np.sum(dy, axis=0)
    g = dy * weight
    dr = np.sum(g * c, axis=-1, keepdims=True)
    dvar = -0.5 * dr * r**3
    dc = g * r + 2 * c * dvar / n
    dmu = -np.sum(dc, axis=-1, keepdims=True)
    dx = dc + dmu / n
    return dx, dgamma, dbeta
"""
MUTANTS = [
    (8, "1 / np.sqrt(var + eps)", "1 / (np.sqrt(var) + eps * 99)"),
    (9, "c * r", "x * r"),
    (10, "dy * h", "dy * c"),
    (11, "axis=0", "axis=1"),
    (13, "np.sum", "np.mean"),
    (13, "g * c", "dy * c"),
    (14, "-0.5", "0.5"),
    (14, "r**3", "r**2"),
    (14, "-0.5", "-1.0"),
    (15, "2 * c", "c"),
    (15, "/ n", "/ (n - 1)"),
    (15, "g * r +", "g * r -"),
    (15, "g * r", "dy * r"),
    (16, "-np.sum(", "np.sum("),
    (17, "dmu / n", "dmu"),
]


def compiled(source, name):
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    scope = {}
    exec(compile(source, name, "exec"), scope)
    return scope["backward"]


@pytest.mark.parametrize(("number", "old", "new"), MUTANTS)
@pytest.mark.costly(2)
def test_of_one_changed_word_the_line_is_found(number, old, new):
    lines = STAGED.splitlines()
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new, 1)
    verdict = tn.check(compiled("\n".join(lines), f"mutant_{number}_{abs(hash((old, new)))}.py"), "layer_norm")
    assert not verdict.ok
    assert verdict.repairs, verdict.text()
    assert number in {line.number for r in verdict.repairs for line in r.lines}, verdict.text()


def two_mistakes(dy, x, weight, eps):
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    h = (x - m(x)) * r
    g = dy * weight
    first = g.sum(-1, keepdims=True)
    second = h * np.mean(dy * h, -1, keepdims=True)
    return r * (g - first - second), (dy * h).sum(0), dy.sum(0)


@pytest.mark.thorough
def test_two_mistakes_have_two_lines():
    verdict = tn.check(two_mistakes, "layer_norm")
    (found,) = verdict.repairs
    first = inspect.getsourcelines(two_mistakes)[1]
    assert found.both
    assert [line.number - first for line in found.lines] == [4, 5]
    assert [line.words for line in found.lines] == ["Σ where mean belongs", "dy where dy·γ belongs"]
    assert "    and line" in verdict.text()


def test_a_factor_that_only_one_of_two_gradients_lacks():
    def weight_norm(dw, v, g):
        n = np.sqrt((v * v).sum(-1, keepdims=True))
        s = (dw * v).sum(-1, keepdims=True)
        dg = s
        dv = g / n * (dw - v * s / n**2)
        return dv, dg

    (found,) = tn.check(weight_norm, "weight_norm").repairs
    assert found.gradients == ("weight",)
    assert found.lines[0].text == "dg = s"
    assert found.lines[0].words in ("the factor ‖v‖ is too much", "the factor 1/‖v‖ is missing")


def test_right_ones_have_no_line():
    verdict = tn.check(compiled(STAGED, "staged.py"), "layer_norm")
    assert verdict.ok
    assert not verdict.repairs


def test_an_exact_repair_is_a_fact():
    """What is said to be right with that change, is."""
    (found,) = tn.check(sum_for_mean, "layer_norm").repairs
    source = inspect.getsource(sum_for_mean).partition("\n")[2].replace("def sum_for_mean", "def backward")
    mended = source.replace("np.sum(g * xhat", "np.mean(g * xhat")
    assert found.lines[0].text == "np.sum(g * xhat, axis=-1, keepdims=True)"
    assert tn.check(compiled("import numpy as np\n" + mended, "mended.py"), "layer_norm").ok


# What cannot be recorded ------------------------------------------------------------------------------------------------


def by_numbers(dy, x, weight, eps):
    dx = np.zeros(x.shape)
    for i, row in enumerate(x):
        mu, r = float(np.mean(row)), 1 / float(np.sqrt(np.var(row) + eps))
        h = [(float(v) - mu) * r for v in row]
        g = [float(a) * float(b) for a, b in zip(dy[i], weight)]
        k = sum(a * b for a, b in zip(g, h))
        dx[i] = [r * (a - sum(g) / len(g) - b * k) for a, b in zip(g, h)]
    h = (x - m(x)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    return dx, (dy * h).sum(0), dy.sum(0)


def with_a_branch_on_numbers(dy, x, weight, eps):
    scale = 2.0 if x[0, 0] > x[-1, -1] else 3.0
    return dy * weight * scale, dy.sum(0), dy.sum(0)


class Odd(np.ndarray):
    pass


def of_another_class(dy, x, weight, eps):
    return (dy * weight).view(Odd) * 2, np.asarray(dy).sum(0) * 2, memoryview(np.ascontiguousarray(dy.sum(0) * 2))


@pytest.mark.parametrize("function", [by_numbers, with_a_branch_on_numbers, of_another_class])
@pytest.mark.costly(1)
def test_where_it_cannot_be_recorded_nothing_is_lost(function):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = tn.check(function, "layer_norm")
    assert verdict.judged
    assert not verdict.ok
    assert not any(np.ndim(line.number) for r in verdict.repairs for line in r.lines)
    if function is by_numbers:
        assert not verdict.repairs
        assert "the σ² term is N = 8 times too big" in verdict.text()


def test_as_data():
    verdict = tn.check(sum_for_mean, "layer_norm")
    (found,) = json.loads(verdict.to_json())["repairs"]
    assert found["gradients"] == ["input"]
    assert found["lines"][0]["number"] == marked(sum_for_mean)
    assert found["lines"][0]["words"] == "Σ where mean belongs"
    assert f"line {marked(sum_for_mean)}" in verdict.junit().find("testcase/failure").text


def test_a_repair_leaves_right_what_was_right():
    """Where the row is whole blocks the code is right: a line that is mended only for a tail would break it there."""

    def backward(dy, x, block=4):
        e = np.exp(x - np.max(x, -1, keepdims=True))
        p = e / np.sum(e, -1, keepdims=True)
        total = np.zeros((*x.shape[:-1], 1))
        for k in range(0, x.shape[-1], block):
            part = np.sum((dy * p)[..., k : k + block], -1, keepdims=True)
            total = total + part if k + block <= x.shape[-1] else part
        return p * (dy - total)

    verdict = tn.check(backward, "softmax")
    assert not verdict.ok
    assert "the index is too much" not in verdict.text()
