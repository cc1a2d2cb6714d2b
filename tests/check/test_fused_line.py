"""Mistakes in the fused line, as people make them, and exact gradients of something else: written here by hand, named by the verdict."""

import numpy as np
import pytest

import tinygrad_norm as tn


def m(a):
    return a.mean(-1, keepdims=True)


def layer(formula):
    """A backward of LayerNorm with that dx."""

    def backward(dy, x, weight, bias, eps):
        c = x - m(x)
        r = 1 / np.sqrt(m(c * c) + eps)
        h = c * r
        return (
            formula(dy * weight, dy, weight, x, c, r, h),
            (dy * h).reshape(-1, x.shape[-1]).sum(0),
            dy.reshape(-1, x.shape[-1]).sum(0),
        )

    return backward


LAYER = {
    "lacks the factor γ": lambda g, dy, w, x, c, r, h: r * (g - m(dy) - h * m(g * h)),
    "has c where x̂ belongs": lambda g, dy, w, x, c, r, h: r * (g - m(g) - h * m(g * c)),
    "has x where x̂ belongs": lambda g, dy, w, x, c, r, h: r * (g - m(g) - x * m(g * h)),
    r"over axis 0 \(B\) where": lambda g, dy, w, x, c, r, h: r * (g - g.mean(0) - h * m(g * h)),
    "has no mean": lambda g, dy, w, x, c, r, h: r * (g - m(g) - h * g * h),
    "γ as a factor too much|has the factor γ twice|γ inside": lambda g, dy, w, x, c, r, h: r * (g - m(g) - h * m(g * h * w)),
    "as the mean over the whole array": lambda g, dy, w, x, c, r, h: r * (g - g.mean() - h * (g * h).mean()),
    "two mistakes at once": lambda g, dy, w, x, c, r, h: r * (g - m(dy) - x * m(g * h)),
    "of the first index of axis 0": lambda g, dy, w, x, c, r, h: r[:1] * (g - m(g) - h[:1] * m(g * h[:1])),
}  # fmt: skip


@pytest.mark.parametrize("words", LAYER)
@pytest.mark.costly(2)
def test_the_fused_line_of_layer_norm(words):
    import re

    dx = tn.check(layer(LAYER[words]), "layer_norm").judgements["input"]
    assert dx.status == "wrong"
    assert re.search(words, "\n".join(dx.lines)), dx.lines


def softmax_of(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


SOFTMAX = {
    "dx is dy − p": lambda dy, p: dy - p,
    r"has no Σ: p·dy where": lambda dy, p: p * dy * (1 - p),
    "lacks the factor p|Σ\\(dy\\) where": lambda dy, p: p * (dy - dy.sum(-1, keepdims=True)),
    r"sum over axis 0 \(B\)": lambda dy, p: p * (dy - (p * dy).sum(0)),
    "the exact gradient of log-softmax|two mistakes at once": lambda dy, p: dy - p * dy.sum(-1, keepdims=True),
}


@pytest.mark.parametrize("words", SOFTMAX)
def test_the_fused_line_of_softmax(words):
    import re

    dx = tn.check(lambda dy, x: SOFTMAX[words](dy, softmax_of(x)), "softmax").judgements["input"]
    assert dx.status == "wrong"
    assert re.search(words, "\n".join(dx.lines), re.I), dx.lines


def another(e=1e-5, std=False, less=0, gain=0.0, residual=0.0, centred=True):
    """The exact gradient of a neighbour of LayerNorm."""

    def backward(dy, x, weight, bias, eps):
        n, g = x.shape[-1], dy * (weight + gain)
        c = x - m(x) if centred else x
        v = (c * c).sum(-1, keepdims=True) / (n - less)
        s = np.sqrt(v)
        r = 1 / (s + e) if std else 1 / np.sqrt(v + e)
        h = c * r
        k = (g * h).sum(-1, keepdims=True) / (n - less)
        dx = r * (g - (m(g) if centred else 0)) - (r * c / s if std else r * h) * k + residual * dy
        return dx, (dy * h).reshape(-1, n).sum(0), dy.reshape(-1, n).sum(0)

    return backward


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"e": 1e-8}, "LayerNorm with ε = 1e-08, where it is 1e-05; check it with eps=1e-08"),
        ({"e": 3.3e-4}, "ε = 0.00033"),
        ({"std": True}, "check it with eps_mode='std'"),
        ({"less": 1}, "check it with correction=1"),
        ({"gain": 1.0}, "1 \\+ γ for γ"),
        ({"residual": 1.0}, "residual"),
        ({"centred": False}, "exact gradient of RMSNorm"),
    ],
)
@pytest.mark.costly(2)
def test_neighbours_of_layer_norm(how, words):
    import re

    dx = tn.check(another(**how), "layer_norm").judgements["input"]
    assert dx.status == "wrong"
    assert re.search(words, dx.lines[0]), dx.lines
    assert tn.check(another(), "layer_norm").ok


@pytest.mark.thorough
def test_what_is_no_neighbour_is_called_none():
    for formula in (
        lambda g, dy, w, x, c, r, h: np.cos(dy) + x,
        lambda g, dy, w, x, c, r, h: r * (g - m(g) - h * m(g * h)) * 1.00005,
    ):
        dx = tn.check(layer(formula), "layer_norm").judgements["input"]
        assert dx.status == "wrong"
        assert not any("exact gradient" in line or "in the derived formula" in line for line in dx.lines)
