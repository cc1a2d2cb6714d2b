"""The matrix: every known mistake, planted in every norm, in both dtypes and on two shapes, is named as itself; no wrong
gradient is accepted, and no right one rejected. ``pytest -s`` prints the table."""

from __future__ import annotations

import collections
from dataclasses import replace

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.check.alterations import Backward
from tinygrad_norm.check.explanations import judge
from tinygrad_norm.check.mistakes import library, own_mistakes, told_apart
from tinygrad_norm.check.probes import draw
from tinygrad_norm.check.subject import Subject
from tinygrad_norm.graph import Graph
from tinygrad_norm.norms import get, names

COUNT = collections.Counter()
CASES = [(name, case) for name in names() for case in ({}, *get(name).samples[:2])]


def strongest(name, case):
    """The strongest of three probes, and the mistakes that none of them tells from the right formula."""
    subject = Subject(name, {k: v for k, v in case.items() if k != "shape"}, None)
    cases = [subject.case(draw(subject, np.random.default_rng([0, k]), case.get("shape"))) for k in range(3)]
    weak = [{m.name for m in c.passing(list(c.leaves), np.float64)} for c in cases]
    return subject, cases[min(range(3), key=lambda k: len(weak[k]))], set.intersection(*weak)


def in_dtype(subject, case, dtype):
    """The same probe with numbers of that dtype: a record in that dtype to plant in, and the truth in double precision."""
    inputs = {
        n: tn.tensor(t.data.astype(dtype), requires_grad=True, name=t.name) if t.requires_grad else t
        for n, t in case.inputs.items()
    }
    dy = case.dy.astype(dtype)
    graph = Graph(subject.norm.apply(inputs, backward="recorded", **subject.options))
    leaves = {n: t for n, t in inputs.items() if t.requires_grad}
    mistakes = [*library(graph, leaves), *own_mistakes(subject.norm, inputs, dy, subject.options)]
    doubled = {n: t.data.astype("float64") if t.requires_grad else t.data for n, t in inputs.items()}
    case = subject.case(doubled, dy.astype("float64"))
    return Backward(graph, leaves, dy), mistakes, replace(case, norm=None)  # what the formula says besides is asked elsewhere


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "sample"), CASES, ids=[f"{n}-{'-'.join(f'{k}={v}' for k, v in c.items())}" for n, c in CASES])
@pytest.mark.costly(alike=1)
def test_every_planted_mistake_is_named(name, sample, dtype):
    subject, probe, harmless = strongest(name, sample)
    backward, planted, case = in_dtype(subject, probe, dtype)
    right = backward.gradients()
    for n in case.leaves:
        assert judge(case, n, f"d{n}", np.asarray(right[n])).status == "right", n
    named = 0
    for mistake, known in zip(planted, case.library):
        if mistake.name in harmless:
            continue
        assert mistake.name == known.name
        gradients = backward.gradients(mistake)
        for n in case.leaves:
            wrong = np.asarray(gradients[n]).astype(dtype)
            if not told_apart(case.mistaken(known)[n], case.truth[n], case.gate(n, dtype)):
                continue
            verdict = judge(case, n, f"d{n}", wrong)
            COUNT[name, "planted"] += 1
            assert verdict.status == "wrong", f"{mistake.name} in d{n} accepted"
            hit = mistake.name in verdict.mistakes + verdict.aliases
            COUNT[name, "named"] += hit
            named += hit
            assert hit, f"{mistake.name} in d{n}: {verdict.lines}"
    assert named or name == "film"


def test_the_table(capsys):
    """Runs last in this file: what the README's percentages are."""
    if not COUNT:
        pytest.skip("the matrix did not run in this process")
    with capsys.disabled():
        total = sum(v for (_, what), v in COUNT.items() if what == "planted")
        hit = sum(v for (_, what), v in COUNT.items() if what == "named")
        print(f"\nplanted mistakes named: {hit} of {total}")
        for name in sorted({n for n, _ in COUNT}):
            print(f"  {name:<24} {COUNT[name, 'named']:>5} of {COUNT[name, 'planted']}")
    assert hit >= 0.95 * total


# Right candidates, computed in other orders -----------------------------------------------------------------------


def textbook(dy, x, w, eps):
    c = x - x.mean(-1, keepdims=True)
    r = 1 / np.sqrt((c * c).mean(-1, keepdims=True) + eps)
    h, g = c * r, dy * w
    return r * (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True)), (dy * h).sum(0)


def sums_first(dy, x, w, eps):
    n = x.dtype.type(x.shape[-1])
    c = x - x.sum(-1, keepdims=True) / n
    r = (np.sum(c**2, -1, keepdims=True) / n + eps) ** -0.5
    g = w * dy
    return (r / n) * (n * g - g.sum(-1, keepdims=True) - c * r * r * (g * c).sum(-1, keepdims=True)), np.einsum(
        "ij,ij->j", dy, c * r
    )


def step_by_step(dy, x, w, eps):
    n = x.shape[-1]
    mu = np.add.reduce(x[:, ::-1], 1, keepdims=True) / n
    c = x - mu
    var = np.add.reduce(c[:, ::-1] ** 2, 1, keepdims=True) / n
    std = np.sqrt(var + eps)
    dh = dy * w
    dvar = (dh * c).sum(1, keepdims=True) * -0.5 / (std * std * std)
    dmu = (-dh / std).sum(1, keepdims=True) + dvar * (-2 * c).sum(1, keepdims=True) / n
    return dh / std + dvar * 2 * c / n + dmu / n, (dy * (c / std)).sum(axis=0)


def through_the_projection(dy, x, w, eps):
    n = x.shape[-1]
    c = x - x.mean(-1, keepdims=True)
    r = 1 / np.sqrt((c * c).mean(-1, keepdims=True) + eps)
    h = c * r
    dx = np.empty_like(x)
    for i in range(len(x)):
        j = np.eye(n, dtype=x.dtype) - 1 / x.dtype.type(n) - np.outer(h[i], h[i]) / x.dtype.type(n)
        dx[i] = r[i] * (j @ (dy[i] * w))
    return dx, (dy * h).sum(0)


RIGHT = (textbook, sums_first, step_by_step, through_the_projection)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("way", RIGHT, ids=[f.__name__ for f in RIGHT])
@pytest.mark.costly(2)
def test_no_right_formula_is_rejected(way, dtype):
    """1,000 random problems in all: large means, tiny variances, few and many features."""
    for seed in range(125):
        rng = np.random.default_rng(seed)
        shape = (int(rng.integers(2, 6)), int(rng.integers(3, 24)))
        x = rng.normal(size=shape) * 10 ** rng.uniform(-4, 1, (shape[0], 1)) + 10 ** rng.uniform(-2, 3) * rng.normal()
        x, w, dy = (a.astype(dtype) for a in (x, rng.normal(size=shape[1]), rng.normal(size=shape)))
        subject = Subject("layer_norm", {}, None)
        values = {"input": x, "weight": w, "bias": w}
        case = subject.case({n: v.astype("float64") for n, v in values.items()}, dy.astype("float64"))
        for n, g in zip(("input", "weight"), way(dy, x, w, x.dtype.type(1e-5))):
            assert g.dtype == dtype
            verdict = judge(case, n, f"d{n}", g)
            assert verdict.status == "right", (seed, n, verdict.max_abs, verdict.allowed)


# Wrong ones, written by hand: nothing of the library is in them -----------------------------------------------------


def by_hand(formula):
    """dx of LayerNorm as somebody might write it."""

    def dx(case):
        x, w = case.leaves["input"].data, case.leaves["weight"].data
        c = x - x.mean(-1, keepdims=True)
        r = 1 / np.sqrt((c * c).mean(-1, keepdims=True) + 1e-5)
        return formula(case.dy * w, case.dy, w, c, c * r, r, x.shape[-1])

    return dx


def m(a):
    return a.mean(-1, keepdims=True)


def s(a):
    return a.sum(-1, keepdims=True)


BY_HAND = {
    "μ term is missing": lambda g, dy, w, c, h, r, n: r * (g - h * m(g * h)),
    "σ² term is missing": lambda g, dy, w, c, h, r, n: r * (g - m(g)),
    "treated as constants": lambda g, dy, w, c, h, r, n: r * g,
    "σ² term has the wrong sign": lambda g, dy, w, c, h, r, n: r * (g - m(g) + h * m(g * h)),
    "μ term has the wrong sign": lambda g, dy, w, c, h, r, n: r * (g + m(g) - h * m(g * h)),
    "μ term is N = 8 times too big": lambda g, dy, w, c, h, r, n: r * (g - s(g) - h * m(g * h)),
    "σ² term is N = 8 times too big": lambda g, dy, w, c, h, r, n: r * (g - m(g) - h * s(g * h)),
    r"σ² term is N/\(N − 1\) times too big": lambda g, dy, w, c, h, r, n: r * (g - m(g) - h * s(g * h) / (n - 1)),
    "factor 2 of the derivative of c²": lambda g, dy, w, c, h, r, n: r * (g - m(g) - 0.5 * h * m(g * h)),
    "rstd in front of all terms of dx is missing": lambda g, dy, w, c, h, r, n: g - m(g) - h * m(g * h),
    "rstd in front of all terms of dx stands there twice": lambda g, dy, w, c, h, r, n: r * r * (g - m(g) - h * m(g * h)),
    "factor γ is missing": lambda g, dy, w, c, h, r, n: r * (dy - m(dy) - h * m(dy * h)),
    "multiplied by γ at the end": lambda g, dy, w, c, h, r, n: w * r * (dy - m(dy) - h * m(dy * h)),
    "x̂ in both of two places": lambda g, dy, w, c, h, r, n: r * (g - m(g) - c * m(g * c)),
    "x̂ in one of two places": lambda g, dy, w, c, h, r, n: r * (g - m(g) - h * m(g * c)),
    "mean term was averaged over axis 0": lambda g, dy, w, c, h, r, n: r * (g - g.mean(0) - h * m(g * h)),
    r"the term −rstd·x̂·mean\(dy·γ·x̂\) of dx has the mean over axis 0 \(B\)": lambda g, dy, w, c, h, r, n: (
        r * (g - m(g) - h * (g * h).mean(0))
    ),
    "every term has the wrong sign": lambda g, dy, w, c, h, r, n: -r * (g - m(g) - h * m(g * h)),
    "the μ term is missing": lambda g, dy, w, c, h, r, n: r * (g - h * s(g * h)),  # and the σ² term N times too big
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("words", BY_HAND)
@pytest.mark.costly(6)
def test_mistakes_written_by_hand_are_named(words, dtype):
    _, case, _ = strongest("layer_norm", {})
    verdict = judge(case, "input", "dx", by_hand(BY_HAND[words])(case).astype(dtype))
    assert verdict.status == "wrong"
    import re

    assert re.search(words, "\n".join(verdict.lines)), verdict.lines


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        (lambda g, dy, w, c, h, r, n: r * (2 * g - 3 * m(g) + h * s(g * h)), "direct term is 2 = 2 or N/B times.*μ term is 3 times.*σ² term is -8 = −N"),
        (lambda g, dy, w, c, h, r, n: r * (g - np.tanh(m(g)) - h * m(g * h)), "in each index of axis 0, the μ term is between"),
        (lambda g, dy, w, c, h, r, n: np.where(np.arange(4)[:, None] == 2, 0, r * (g - m(g) - h * m(g * h))), "index 2 of axis 0 is missing"),
        (lambda g, dy, w, c, h, r, n: np.where(np.arange(8) == 3, 0, r * (g - m(g) - h * m(g * h))), "index 3 of axis 1"),
        (lambda g, dy, w, c, h, r, n: np.sin(g * h) * r, "no known mistake. Best explanation: .*remains unexplained"),
        (lambda g, dy, w, c, h, r, n: np.where(g == g.max(), np.nan, g), "1 entries are not finite, the first at"),
        (lambda g, dy, w, c, h, r, n: g[:2], r"dx has shape \(2, 8\), not \(4, 8\)"),
    ],
)  # fmt: skip
@pytest.mark.costly(2)
def test_what_no_library_knows(formula, words):
    import re

    _, case, _ = strongest("layer_norm", {})
    verdict = judge(case, "input", "dx", by_hand(formula)(case))
    assert verdict.status == "wrong"
    assert not verdict.mistakes
    assert re.search(words, "\n".join(verdict.lines), re.S), verdict.lines


def test_rounding_is_no_mistake_and_a_small_mistake_is_no_rounding():
    _, case, _ = strongest("layer_norm", {})
    right = by_hand(lambda g, dy, w, c, h, r, n: r * (g - m(g) - h * m(g * h)))(case)
    assert judge(case, "input", "dx", right).status == "right"
    assert judge(case, "input", "dx", right.astype("float32")).status == "right"
    off = right + 1e-9 * np.abs(right).max()
    assert judge(case, "input", "dx", off).status == "imprecise"
    assert judge(case, "input", "dx", right + 0 * right).ok


def test_pairs_of_mistakes():
    """The factor γ forgotten, and the variance term with the wrong sign: no combination of routes is that."""
    _, case, _ = strongest("layer_norm", {})
    both = by_hand(lambda g, dy, w, c, h, r, n: r * (dy - m(dy) + h * m(dy * h)))(case)
    verdict = judge(case, "input", "dx", both)
    assert len(verdict.mistakes) == 2
    assert any("γ" in name for name in verdict.mistakes)
    assert any("σ²" in name or "rstd" in name or "c²" in name for name in verdict.mistakes)


def test_the_sum_of_the_output_is_no_probe():
    subject, case, harmless = strongest("layer_norm", {})
    ones = subject.case({n: t.data for n, t in case.inputs.items()} | {"weight": np.ones(8)}, np.ones((4, 8)))
    passing = {mistake.name for mistake in ones.passing(["input"], np.float64)} - harmless
    assert len(passing) > 10
    assert not {mistake.name for mistake in case.passing(["input", "weight", "bias"], np.float64)} - harmless


def one_by_one(x, axis):
    """A sum as a loop makes it: 1,026 roundings for 1,027 numbers, where NumPy's own pairs have ten."""
    return np.add.accumulate(x, axis)[:, -1:]


def sequential_backward(dy, x, weight, bias, eps):
    n = x.shape[-1]
    centred = x - one_by_one(x, -1) / n
    rstd = 1 / np.sqrt(one_by_one(centred**2, -1) / n + eps)
    xhat, g = centred * rstd, dy * weight
    dx = rstd * (g - one_by_one(g, -1) / n - xhat * one_by_one(g * xhat, -1) / n)
    return dx, np.add.accumulate(dy * xhat, 0)[-1], np.add.accumulate(dy, 0)[-1]


def margins_backward(dy, logits, targets):
    """Log-sums of margins, added one after the other: what softmax - onehot is where nothing rounds."""
    rows = np.arange(len(targets))
    margins = logits - logits[rows, targets][:, None]
    p = np.exp(margins - np.logaddexp.reduce(margins, axis=1)[:, None])
    p[rows, targets] = 0.0
    p[rows, targets] = -p.sum(1)
    return p * dy / len(rows)


@pytest.mark.parametrize(("backward", "norm"), [(sequential_backward, "layer_norm"), (margins_backward, "cross_entropy")])
def test_whoever_adds_one_after_the_other_rounds_more_and_is_right(backward, norm):
    verdict = tn.check(backward, norm)
    assert verdict.ok, str(verdict)
    assert "(3, 1027)" in str(verdict)
