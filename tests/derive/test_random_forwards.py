"""Forwards nobody chose: the derived formula has the record's numbers, and its NumPy source has them at another shape, too."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive import derive

from .running import function_of, relative

PROGRAMS = 72
SHAPES = {("N",): (5,), ("B", "N"): (4, 9), ("B", "C", "N"): (3, 2, 5)}


def program(seed):
    """A random forward of x and w, as a list of steps, and the axes of both."""
    rng = np.random.default_rng(seed)
    axes = [("B", "N"), ("B", "N"), ("N",), ("B", "C", "N")][rng.integers(4)]
    w = [axes, axes[-1:], axes[:1] if len(axes) == 1 else axes[1:]][rng.integers(3)]
    steps = [(int(rng.integers(13)), int(rng.integers(8)), int(rng.integers(8)), float(rng.choice([0.5, 1.0, 2.0, 7.0, -0.3]))) for _ in range(rng.integers(2, 7))]  # fmt: skip
    return steps, {"x": axes, "w": w}


def forward(steps):
    def f(x, w):
        nodes = [x, w]
        for op, i, j, c in steps:
            a, b = nodes[-1 - i % len(nodes)], nodes[-1 - j % len(nodes)]
            nodes.append(step(op, a, b, c))
        return nodes[-1] * x + nodes[-2] * w * nodes[-1].mean(-1, True)

    return f


def step(op, a, b, c):
    many = tuple(range(a.ndim))[-2:]
    return [
        lambda: a + b,
        lambda: a - b * c,
        lambda: a * b,
        lambda: a / (b * b + 1.5),
        lambda: a.tanh(),
        lambda: (a.tanh() * c).exp(),
        lambda: (a * a + 0.7).sqrt(),
        lambda: a.tanh() ** 2,
        lambda: a - a.mean(-1, True),
        lambda: a * a.mean(many, True),
        lambda: (a * b.tanh()).tanh().sum(-1, True) * c,
        lambda: a * ((a * a).mean(-1, True) + 1e-3) ** -0.5,
        lambda: (a * a + 0.5) ** -1 + c,
    ][op]()


def arrays(axes, sizes, seed=5):
    rng = np.random.default_rng(seed)
    return {n: rng.normal(size=[sizes[a] for a in own]) for n, own in axes.items()}


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_a_random_forward(seed):
    steps, axes = program(seed)
    f = forward(steps)
    wrt = "xw"[seed % 2]
    d = derive(f, wrt, inputs=axes)
    assert d.verify() < 1e-9
    assert all(s.off < 1e-8 for s in d.steps)
    assert d.ok
    function = function_of(d.numpy_source())
    for sizes in (d.letters.sizes, dict(zip(axes["x"], SHAPES[axes["x"]]))):
        given = arrays(axes, {str(k): v for k, v in sizes.items()})
        leaves = {n: tn.tensor(a, requires_grad=True) for n, a in given.items()}
        y = f(**leaves)
        dy = np.random.default_rng(7).normal(size=y.shape)
        want = tn.grad(y, leaves[wrt], dy)[0].data
        wanted = function.__code__.co_varnames[: function.__code__.co_argcount]
        got = function(**{n: a for n, a in {"dy": dy, **given}.items() if n in wanted})
        assert relative(got, want) < 1e-9


@pytest.mark.thorough
def test_the_programs_are_not_trivial():
    """So that the tests above test something: they differ, most reduce somewhere, every step occurs."""
    programs = [program(seed) for seed in range(PROGRAMS)]
    formulas = {str(derive(forward(steps), "x", inputs=axes).formula) for steps, axes in programs[:12]}
    assert len(formulas) > 8
    assert sum("Σ" in f or "mean" in f for f in formulas) > 6
    assert {op for steps, _ in programs for op, *_ in steps} == set(range(13))


@pytest.mark.parametrize("seed", range(0, PROGRAMS, 4))
def test_an_altered_formula_is_refused(seed):
    """The gradient of another forward, one that differs by a step, is not this one's."""
    steps, axes = program(seed)
    d = derive(forward(steps), "x", inputs=axes)

    def mutant(dy, x, w):
        right = tn.grad(forward(steps)(x, w), x, dy, create_graph=True)[0]
        return right + 1e-6 * dy.mean() * x if seed % 8 else right * (1 + 1e-7)

    def same(dy, x, w):
        return tn.grad(forward(steps)(x, w), x, dy, create_graph=True)[0] + 0.0 * x

    assert not d.equals(mutant)
    assert d.equals(same)


def test_the_source_runs_without_this_package(tmp_path):
    d = derive("layer_norm")
    x, w, dy = (t.data for t in (d.record.inputs["input"], d.record.inputs["weight"], d.record.dy))
    np.savez(tmp_path / "in.npz", x=x, w=w, dy=dy)
    (tmp_path / "run.py").write_text(
        d.numpy_source() + "\nimport sys\na = np.load('in.npz')\n"
        "np.save('out.npy', layer_norm_dx(a['dy'], a['x'], a['w']))\n"
        "assert not [m for m in sys.modules if m.startswith(('tinygrad', 'sympy'))]\n",
        encoding="utf-8",
    )
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run([sys.executable, "run.py"], cwd=tmp_path, env={**env, "PYTHONPATH": ""}, check=True)
    want = tn.grad(d.record.output, d.record.inputs["input"], dy)[0].data
    assert relative(np.load(tmp_path / "out.npy"), want) < 1e-13


# Somebody's LayerNorm ----------------------------------------------------------------------------------------------


def statistics(x, eps=1e-5):
    c = x - x.mean(-1, True)
    r = ((c * c).mean(-1, True) + eps) ** -0.5
    return c, r, c * r


def drops_the_mean(dy, input, weight):
    _, r, h = statistics(input)
    g = dy * weight
    return r * (g - h * (g * h).mean(-1, True))


def drops_the_variance(dy, input, weight):
    _, r, _ = statistics(input)
    g = dy * weight
    return r * (g - g.mean(-1, True))


def wrong_sign(dy, input, weight):
    _, r, h = statistics(input)
    g = dy * weight
    return r * (g - g.mean(-1, True) + h * (g * h).mean(-1, True))


def one_less(dy, input, weight):
    _, r, h = statistics(input)
    g = dy * weight
    return r * (g - g.mean(-1, True) - h * (g * h).sum(-1, True) / (input.shape[-1] - 1))


def without_weight(dy, input, weight):
    _, r, h = statistics(input)
    return r * (dy - dy.mean(-1, True) - h * (dy * h).mean(-1, True)) * weight


def over_the_batch(dy, input, weight):
    _, r, h = statistics(input)
    g = dy * weight
    return r * (g - g.mean(0, True) - h * (g * h).mean(-1, True))


def another_epsilon(dy, input, weight):
    _, r, h = statistics(input, 1.1e-5)
    g = dy * weight
    return r * (g - g.mean(-1, True) - h * (g * h).mean(-1, True))


def c_for_xhat(dy, input, weight):
    c, r, _ = statistics(input)
    g = dy * weight
    return r * (g - g.mean(-1, True) - r * c * (g * c).mean(-1, True))


@pytest.mark.parametrize("wrong", [drops_the_mean, drops_the_variance, wrong_sign, one_less, without_weight, over_the_batch,
                                   another_epsilon, c_for_xhat])  # fmt: skip
def test_a_wrong_layer_norm_is_refused(wrong):
    verdict = tn.derive("layer_norm").equals(wrong)
    assert not verdict
    assert not verdict.proved
    assert str(verdict).startswith("not equal")


def as_in_books(dy, input, weight):
    _, r, h = statistics(input)
    g = dy * weight
    return r * (g - g.mean(-1, True) - h * (g * h).mean(-1, True))


def with_sums(dy, input, weight):
    n = input.shape[-1]
    c, r, _ = statistics(input)
    g = dy * weight
    return r / n * (n * g - g.sum(-1, True) - c * r * r * (g * c).sum(-1, True))


def raw_moments(dy, input, weight):
    m = input.mean(-1, True)
    r = 1 / ((input * input).mean(-1, True) - m * m + 1e-5).sqrt()
    g = dy * weight
    return r * (g - g.mean(-1, True)) - r**3 * (input - m) * ((g * input).mean(-1, True) - m * g.mean(-1, True))


def twice_centred(dy, input, weight):
    c, r, h = statistics(input)
    inner = dy * weight - h * (dy * weight * h).mean(-1, True)
    return r * (inner - inner.mean(-1, True)) + r * r * c.mean(-1, True) * dy


@pytest.mark.parametrize("right", [as_in_books, with_sums, raw_moments, twice_centred])
def test_a_right_layer_norm_is_proved_however_it_is_written(right):
    assert tn.derive("layer_norm").equals(right).proved
