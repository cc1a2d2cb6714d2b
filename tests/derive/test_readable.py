"""Forwards whose author names nothing: the formula is what a person would write, and costs no more than the tape."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive import derive
from tinygrad_norm.derive.formula import Total, walk

from .running import function_of, relative

F = tn.functional
X = {"x": ("B", "N"), "w": ("N",), "b": ("N",)}


def ln(x):
    c = x - x.mean(-1, True)
    return c * ((c * c).mean(-1, True) + 1e-5).rsqrt()


def rms(x):
    return x * ((x * x).mean(-1, True) + 1e-6).rsqrt()


def by_squares(x, w, b):
    m = x.mean(-1, True)
    return (x - m) / ((x * x).mean(-1, True) - m * m + 1e-5).sqrt() * w + b


def by_var(x, w, b):
    return (x - x.mean(-1, True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt() * w + b


def by_sums(x, w, b):
    n = x.shape[-1]
    c = x - x.sum(-1, True) / n
    return c * ((c**2).sum(-1, True) / n + 1e-5) ** -0.5 * w + b


def huber(x, w, b):
    a = x.abs()
    return tn.where(a <= 1.0, 0.5 * x * x, a - 0.5)


def by_largest(x, w, b):
    return x / x.abs().amax(-1, True)


def softmax(x, w, b):
    e = (x - x.amax(-1, True)).exp()
    return e / e.sum(-1, True)


def deep(n):
    def f(x, w, b):
        for _ in range(n):
            x = x + ln(x * w).tanh() * b
        return x

    return f


NORM = "dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·w"
FORMULAS = [
    (lambda x, w, b: ln(x) * w + b, NORM),
    (by_squares, NORM),
    (by_var, NORM),
    (by_sums, NORM),
    (lambda x, w, b: ln(x) * (1 + w), "dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·(w + 1)"),
    (lambda x, w, b: rms(x) * w, "dx = rstd·(g − x̂·mean(g·x̂)),  g = dy·w"),
    (lambda x, w, b: x / (x * x).sum(-1, True).sqrt(), "dx = r·(dy − y·Σ(y·dy))"),
    (lambda x, w, b: x / (x.abs().sum(-1, True) + 1e-6), "dx = (dy − sign(x)·Σ(y·dy))/s₂"),
    (lambda x, w, b: x + ln(x) * w, "dx = dy + rstd·(dy·w − mean(dy·w) − x̂·mean(x̂·dy·w))"),
    (lambda x, w, b: ln(ln(x) * w + b), "dx̂ = rstd₂·w·(dy − mean(dy) − y·mean(y·dy))\ndx = rstd·(dx̂ − mean(dx̂) − x̂·mean(dx̂·x̂))"),
    (softmax, "dx = y·(dy − Σ(y·dy))"),
    (lambda x, w, b: F.log_softmax(x * w, -1), "dx = w·(dy − p·Σ(dy)),  p = softmax(x·w)"),
    (lambda x, w, b: F.softmax(ln(x) * w, -1), "dx̂ = p·w·(dp − Σ(p·dp))\ndx = rstd·(dx̂ − mean(dx̂) − x̂·mean(dx̂·x̂))"),
    (lambda x, w, b: x * (x * w).tanh(), "dx = dy·(t + x·w·(1 − t²))"),
    (lambda x, w, b: (x * w).relu(), "dx = dy·w·[x·w > 0]"),
    (lambda x, w, b: (ln(x) * w + b).relu(), "dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·w·[x̂·w + b > 0]"),
    (lambda x, w, b: x.clamp(-1.0, 1.0), "dx = dy·[x ≤ 1]·[x ≥ −1]"),
    (lambda x, w, b: F.leaky_relu(x, 0.01), "dx = dy·([x > 0] + 1/100·[x ≤ 0])"),
    (huber, "dx = dy·(x·[|x| ≤ 1] + sign(x)·[|x| > 1])"),
    (by_largest, "dx = (dy − sign(x)·[|x| = m]·Σ(y·dy))/m"),
    (lambda x, w, b: F.softplus(x), "dx = dy·([x > 20] + [x ≤ 20]·σ(x))"),
    (lambda x, w, b: ((x * w - b) ** 2).mean(), "dx = 2·dy·w·(x·w − b)/B/N"),
]  # fmt: skip


@pytest.mark.parametrize(("f", "formula"), FORMULAS, ids=[str(k) for k in range(len(FORMULAS))])
@pytest.mark.costly(11)
def test_what_a_person_would_write(f, formula):
    d = derive(f, "x", inputs=X)
    assert str(d.formula) == formula
    assert d.ok
    assert d.operations[1] <= d.operations[0]
    function = function_of(d.numpy_source())
    for shape, dtype in (((4, 9), np.float64), ((1, 5), np.float64), ((6, 3), np.float32)):
        rng = np.random.default_rng(1)
        given = {n: rng.normal(size=shape[-len(axes) :]).astype(dtype) for n, axes in X.items()}
        leaves = {n: tn.tensor(a, requires_grad=True) for n, a in given.items()}
        y = f(**leaves)
        dy = rng.normal(size=y.shape).astype(dtype)
        want = tn.grad(y, leaves["x"], dy)[0].data
        wanted = function.__code__.co_varnames[: function.__code__.co_argcount]
        got = function(**{n: a for n, a in {"dy": dy, **given}.items() if n in wanted})
        assert got.dtype == dtype
        assert relative(got, want) < (1e-9 if dtype is np.float64 else 2e-4)


@pytest.mark.thorough
def test_depth_grows_the_text_linearly_and_closed_is_on_request():
    lengths = [len(str(derive(deep(n), "x", inputs=X).formula)) for n in (1, 2, 3)]
    assert lengths[2] - lengths[1] < 1.2 * (lengths[1] - lengths[0])
    closed = derive(deep(2), "x", inputs=X, form="closed")
    assert closed.ok
    assert not closed.formula.staged
    assert "\n" not in str(closed.formula)
    assert derive(deep(2), "x", inputs=X).formula.staged


def test_a_list_of_lines_is_a_formula_like_another():
    d = derive(lambda x, w, b: ln(ln(x) * w + b), "x", inputs=X)
    assert [line.kind for line in d.formula.lines].count("cotangent") == 1
    given = {a.expr.name: t.data for t, a in reversed(d.letters.of.items()) if a.expr in d.letters.leaves} | {
        "dy": d.record.dy.data
    }
    want = tn.grad(d.record.output, d.record.inputs["x"], d.record.dy.data)[0].data
    assert relative(d.formula.evaluate(given), want) < 1e-12
    assert any(isinstance(n, Total) for n in walk(d.formula.result))
    assert d.steps[-1].expr == d.expr


def test_what_left_the_sum_is_said_wholly():
    steps = [s for s in derive(by_squares, "x", inputs=X).steps if s.rule == "what does not vary leaves the sum"]
    assert steps
    assert all("others" not in s.reason and "numbers" not in s.reason for s in steps)


def test_a_variance_by_squares_is_said_where_it_stands():
    text = derive(by_squares, "x", inputs=X).text()
    assert "is σ²)" in text
    assert "assumed" not in text


@pytest.mark.parametrize("big", [0.0, 700.0, 5000.0])
@pytest.mark.costly(1)
def test_the_source_is_finite_where_the_record_is(big):
    def f(x, w, b):
        return (F.log_softmax(x, -1) * w + F.softplus(x) + x.sigmoid() + x.logsumexp(-1, True)) * F.softmax(x * w, -1)

    function = function_of(derive(f, "x", inputs=X).numpy_source())
    rng = np.random.default_rng(2)
    given = {"x": rng.normal(size=(3, 4)) + big, "w": rng.normal(size=4), "b": rng.normal(size=4)}
    given["x"][0] = -given["x"][0]
    leaves = {n: tn.tensor(a, requires_grad=True) for n, a in given.items()}
    y = f(**leaves)
    dy = rng.normal(size=y.shape)
    wanted = function.__code__.co_varnames[: function.__code__.co_argcount]
    got = function(**{n: a for n, a in {"dy": dy, **given}.items() if n in wanted})
    assert np.all(np.isfinite(got))
    assert relative(got, tn.grad(y, leaves["x"], dy)[0].data) < 1e-9


def test_arguments_have_names_of_their_own():
    source = derive(lambda x, max: x * max, "x", inputs={"x": ("B", "N"), "max": ("N",)}).numpy_source()
    assert "def forward_dx(dy, max_)" in source
    assert "max_: (N,)" in source
    scalar = derive(lambda x, a: x * a, "a", inputs={"x": ("B", "N"), "a": ()})
    assert np.shape(function_of(scalar.numpy_source())(dy=np.ones((2, 3)), x=np.ones((2, 3)))) == ()


def test_groups_by_width_follow_the_width():
    def f(x):
        z = x.reshape(x.shape[0], x.shape[1] // 2, 2)
        return (z - z.mean(-1, True)).reshape(*x.shape)

    d = derive(f, inputs={"x": np.random.default_rng(0).normal(size=(7, 6))})
    assert d.ok


def test_a_forward_that_splits_an_axis_is_drawn_at_sizes_that_split():
    def halves(x):
        g = x.reshape(x.shape[0], 2, x.shape[1] // 2)
        c = g - g.mean(-1, keepdim=True)
        return (c * ((c * c).mean(-1, keepdim=True) + 1e-5).rsqrt()).reshape(x.shape)

    d = tn.derive(halves, inputs={"x": ("B", "N")})
    assert str(d.formula) == "dx = rstd·(dy − mean_N2(dy) − x̂·mean_N2(x̂·dy))"
    with pytest.raises(tn.ShapeError, match=r"reshape: x \(7, 11\)"):
        tn.derive(lambda x: x.reshape(5, 5), inputs={"x": ("B", "N")})


def test_a_letter_whose_name_is_a_quotient_stands_in_one_pair_of_parentheses():
    d = derive("weight_norm")
    assert str(d.formula) == "dv = (1/‖v‖)·g·(dy − (v/‖v‖)·Σ((v/‖v‖)·dy))"
    assert "scale * weight * (dy - unit * (unit * dy).sum(axis=-1, keepdims=True))" in d.numpy_source()
