"""RevIN: in and out again, with statistics that are constants or not."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

from .. import oracles

F, nn = tn.functional, tn.nn
both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])


def live(x, w, b, eps):
    c = x - x.mean(-2, keepdims=True)
    return w * c / np.sqrt((c * c).mean(-2, keepdims=True) + eps) + b


@both_ways
@pytest.mark.parametrize("detach", [True, False])
def test_the_way_in(detach, backward):
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(2, 3, (2, 5, 3)), *rng.normal(size=(2, 3))
    mu, sigma = x.mean(1, keepdims=True), np.sqrt(x.var(1, keepdims=True) + 0.1)

    def reference(x, w, b):
        return w * (x - mu) / sigma + b if detach else live(x, w, b, 0.1)

    leaves = [tn.tensor(a, requires_grad=True) for a in (x, w, b)]
    y = F.revin(*leaves, 0.1, backward, detach=detach)
    np.testing.assert_allclose(y.data, reference(x, w, b), rtol=1e-12)
    dy = rng.normal(size=y.shape)
    for i, g in enumerate(tn.grad(y, leaves, dy)):
        np.testing.assert_allclose(g.data, oracles.gradient(reference, [x, w, b], i, dy), atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 6, 3), (6, 3)])
def test_out_after_in_is_the_window_again(shape):
    """Up to ε² beside γ."""
    rng = np.random.default_rng(1)
    layer = nn.RevIN(3, dtype="float64")
    assert list(layer.state_dict()) == ["affine_weight", "affine_bias"]
    layer.affine_weight.data, layer.affine_bias.data = rng.uniform(0.5, 2, 3), rng.normal(size=3)
    x = rng.normal(50, 4, shape)
    np.testing.assert_allclose(layer(layer(x), "denorm").data, x, rtol=1e-9)
    forecast = rng.normal(size=(*shape[:-2], 4, 3))  # of another length
    out = layer(forecast, "denorm").data
    assert np.abs(out - 50).max() < 40


@pytest.mark.parametrize("detach", [True, False])
def test_the_gradient_all_the_way_round(detach):
    """In, a model, out: with live statistics it is the derivative of the whole, with held ones it is not."""
    rng = np.random.default_rng(2)
    x, m = rng.normal(3, 2, (5, 2)), rng.normal(size=(4, 5))
    layer = nn.RevIN(2, eps=0.1, affine=False, dtype="float64", detach=detach)
    leaf = tn.tensor(x, requires_grad=True)
    y = layer(tn.tensor(m) @ layer(leaf), "denorm")
    dy = rng.normal(size=y.shape)
    (dx,) = tn.grad(y, leaf, dy)

    def whole(x):
        mu, sigma = x.mean(0), np.sqrt(((x - x.mean(0)) ** 2).mean(0) + 0.1)
        return (m @ ((x - mu) / sigma)) * sigma + mu

    true = oracles.gradient(whole, [x], 0, dy)
    assert np.allclose(dx.data, true, atol=1e-12) is not detach
    if detach:
        np.testing.assert_allclose(dx.data, m.T @ dy, atol=1e-12)


def test_misuse_is_named():
    with pytest.raises(tn.GradientError, match='mode="denorm" before any mode="norm"'):
        nn.RevIN(2)(np.ones((3, 2)), "denorm")
    with pytest.raises(tn.ShapeError, match=r"revin: .* it takes \(B, T, C\)"):
        F.revin(np.ones(3))
    with pytest.raises(tn.ShapeError, match=r"revin_out: mean .* the window's, of shape \(2, 1, 3\)"):
        F.revin_out(np.ones((2, 4, 3)), np.ones(3), np.ones(3))
