"""DetachNorm: which routes each detached statistic cuts, at the first order and at the second."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.engine.primitives import mean, rsqrt

from .. import oracles

F = tn.functional
both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])
every_flag = pytest.mark.parametrize(("mu", "sigma"), list(itertools.product([True, False], repeat=2)))
EPS = 0.1


def setting(shape=(3, 6), seed=0):
    rng = np.random.default_rng(seed)
    x, w, b = (tn.tensor(rng.normal(0.5, 1.4, s), requires_grad=True) for s in (shape, shape[-1:], shape[-1:]))
    return rng, x, w, b, rng.normal(size=shape)


def held(at, w, b, mu, sigma, eps=EPS):
    """The forward pass as a function of x near ``at``, in NumPy, with what is detached held at its value there."""
    m = at.mean(-1, keepdims=True)
    r = 1 / np.sqrt(at.var(-1, keepdims=True) + eps)

    def forward(x):
        c = x - (m if mu else x.mean(-1, keepdims=True))
        return c * (r if sigma else 1 / np.sqrt((c * c).mean(-1, keepdims=True) + eps)) * w + b

    return forward


@both_ways
@every_flag
def test_against_complex_step(mu, sigma, backward):
    _, x, w, b, dy = setting()
    y = F.detach_norm(x, 6, w, b, EPS, mu, sigma, backward)
    np.testing.assert_allclose(y.data, F.layer_norm(x, 6, w, b, EPS).data, atol=1e-14)
    dx, dw, db = tn.grad(y, [x, w, b], dy)
    np.testing.assert_allclose(dx.data, oracles.gradient(held(x.data, w.data, b.data, mu, sigma), [x.data], 0, dy), atol=1e-13)
    np.testing.assert_allclose(dw.data, (dy * F.layer_norm(x, 6, eps=EPS).data).sum(0), atol=1e-13)
    np.testing.assert_allclose(db.data, dy.sum(0), atol=1e-13)


@both_ways
@every_flag
def test_the_routes_that_are_left(mu, sigma, backward):
    """A, and B unless μ is held, and C unless σ is: LayerNorm's own routes, found on its record."""
    _, x, w, b, dy = setting(seed=1)
    a, through_mu, through_sigma, zero = tn.graph(F.layer_norm(x, 6, w, b, EPS)).routes(x, dy)
    assert zero.norm < 1e-14
    expected = a.share + (0 if mu else through_mu.share) + (0 if sigma else through_sigma.share)
    y = F.detach_norm(x, 6, w, b, EPS, mu, sigma, backward)
    np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, expected, atol=1e-13)
    if backward == "recorded":
        assert tn.graph(y).count_routes(x) == (2 - sigma if mu else 4 - 2 * sigma)  # μ twice: in c, and c in σ²


@both_ways
@every_flag
def test_mean_and_variance_of_dx(mu, sigma, backward):
    """Xu et al.'s table, at ε = 0. The mean re-centres the gradient, the variance re-scales it; the paper's bounds are met
    with equality once b = mean(g·x̂) is put in."""
    rng, x, _, _, _ = setting((20, 12), seed=2)
    g = rng.normal(0.7, 1.1, (20, 12))
    (dx,) = tn.grad(F.detach_norm(x, 12, None, None, 0.0, mu, sigma, backward), x, g)
    s, xhat = x.data.std(-1), F.layer_norm(x, 12, eps=0.0).data
    b = (g * xhat).mean(-1)
    np.testing.assert_allclose(dx.data.mean(-1), g.mean(-1) / s if mu else 0, atol=1e-13)
    np.testing.assert_allclose(dx.data.var(-1), (g.var(-1) - (0 if sigma else b**2)) / s**2, rtol=1e-11)
    assert np.abs(b).min() > 1e-3  # so that the two cases differ in every row
    assert np.abs(g.mean(-1)).min() > 1e-3


@both_ways
@every_flag
def test_constants_stay_constants_at_order_two(mu, sigma, backward):
    """The engine's second derivative against central differences of complex step's first, with the same things held."""
    rng, x, w, b, dy = setting(seed=3)
    v = rng.normal(size=x.shape)
    y = F.detach_norm(x, 6, w, b, EPS, mu, sigma, backward)
    (dx,) = tn.grad(y, x, dy, create_graph=True)
    (second,) = tn.grad(dx, x, v, allow_unused=True)
    if sigma:
        assert second is None  # y is affine in x
        return
    forward = held(x.data, w.data, b.data, mu, sigma)
    expected = oracles.central(lambda x: oracles.gradient(forward, [x], 0, dy), [x.data], [v])
    np.testing.assert_allclose(second.data, expected, atol=1e-9)


def test_with_the_mean_held_it_is_rms_norm_of_the_deviations():
    rng, x, _, _, dy = setting(seed=4)
    v, constant = rng.normal(size=x.shape), x.data.mean(-1, keepdims=True)
    for backward in ("recorded", "analytic"):
        found = []
        for y in (
            F.detach_norm(x, 6, None, None, EPS, True, False, backward),
            F.rms_norm(x - constant, 6, None, EPS),
        ):
            (d,) = tn.grad(y, x, dy, create_graph=True)
            found.append((y.data, d.data, tn.grad(d, x, v)[0].data))
        for ours, theirs in zip(*found):
            np.testing.assert_allclose(ours, theirs, atol=1e-13)


@both_ways
def test_the_authors_live_mean_inside_the_deviation_shows_at_order_two(backward):
    """They hold the mean in x − μ only. Route D is 0, so dx is the same; its derivative has r³·mean(v)·mean(g·c) more."""
    rng, x, w, _, dy = setting(seed=5)
    v = rng.normal(size=x.shape)
    m = mean(x, axis=(1,))
    r = rsqrt(mean((x - m) ** 2, axis=(1,)) + EPS)
    theirs = (x - m.detach()) * r * w
    ours = F.detach_norm(x, 6, w, None, EPS, True, False, backward)
    (a,), (c,) = (tn.grad(y, x, dy, create_graph=True) for y in (theirs, ours))
    np.testing.assert_allclose(a.data, c.data, atol=1e-13)
    more = tn.grad(a, x, v)[0].data - tn.grad(c, x, v)[0].data
    deviations = x.data - m.data
    expected = r.data**3 * v.mean(-1, keepdims=True) * (dy * w.data * deviations).mean(-1, keepdims=True)
    np.testing.assert_allclose(more, np.broadcast_to(expected, more.shape), atol=1e-13)
    assert np.abs(expected).max() > 1e-3


def test_a_rule_that_computes_what_is_held_from_x_is_wrong_at_order_two():
    """Why the constants are inputs of the node: dx = r·g with r computed in the rule is right once."""
    tempting = tn.Op(
        "tempting",
        "tempting({0})",
        lambda x: F.layer_norm(x, x.shape[-1], eps=EPS).data,
        (lambda g, out, x: g * rsqrt(mean((x - mean(x, axis=(1,))) ** 2, axis=(1,)) + EPS),),
    )
    rng, x, _, _, dy = setting(seed=6)
    y = tempting(x)
    (dx,) = tn.grad(y, x, dy, create_graph=True)
    np.testing.assert_allclose(dx.data, tn.grad(F.detach_norm(x, 6, eps=EPS), x, dy)[0].data, atol=1e-13)
    assert np.abs(tn.grad(dx, x, rng.normal(size=x.shape))[0].data).max() > 0.1  # it should be 0


@both_ways
@every_flag
def test_half_in_half_out_with_float32_parameters(mu, sigma, backward):
    _, x, w, b, _ = setting(seed=7)
    half = tn.tensor(x.data.astype("float16"), requires_grad=True)
    w, b = (tn.tensor(p.data.astype("float32"), requires_grad=True) for p in (w, b))
    y = F.detach_norm(half, 6, w, b, EPS, mu, sigma, backward)
    assert y.dtype == np.float16
    found = tn.grad(y, [half, w, b], np.ones(y.shape, "float16"))
    assert [g.dtype.name for g in found] == ["float16", "float32", "float32"]
    np.testing.assert_allclose(y.data, F.layer_norm(half, 6, w, b, EPS).data, atol=4e-3)
    large = tn.tensor(np.array([[300.0, -300.0] + [0.0] * 48], "float16"), requires_grad=True)
    y = F.detach_norm(large, 50, None, None, EPS, mu, sigma, backward)
    np.testing.assert_allclose(y.data[0, :2], [5.0, -5.0], rtol=1e-3)  # 300/60; the squares overflow float16


@both_ways
@every_flag
def test_edges(mu, sigma, backward):
    g = np.array([[1.0, 0.0, 0.0, 0.0]])
    flat = tn.tensor(np.full((1, 4), 3.0), requires_grad=True)
    (dx,) = tn.grad(F.detach_norm(flat, 4, None, None, 1e-5, mu, sigma, backward), flat, g)
    np.testing.assert_allclose(dx.data, (g - (0 if mu else 0.25)) / np.sqrt(1e-5))
    empty = tn.tensor(np.zeros((0, 4)), requires_grad=True)
    y = F.detach_norm(empty, 4, None, None, 1e-5, mu, sigma, backward)
    assert tn.grad(y, empty, np.zeros((0, 4)))[0].shape == (0, 4)
    one = tn.tensor(np.array([[1e6]]), requires_grad=True)
    y = F.detach_norm(one, 1, None, None, 0.25, mu, sigma, backward)
    assert y.item() == 0
    assert tn.grad(y, one, np.ones((1, 1)))[0].item() == (2.0 if mu else 0.0)  # 1/√ε where nothing re-centres


def test_misuse_is_named():
    x = tn.tensor(np.ones((2, 3)))
    with pytest.raises(tn.ShapeError, match=r"detach_norm: input \(2, 3\).*normalized_shape"):
        F.detach_norm(x, 4)
    with pytest.raises(tn.ShapeError, match=r"detach_norm: bias \(2,\).*must be \(3,\)"):
        F.detach_norm(x, 3, None, np.ones(2))
    with pytest.raises(tn.DTypeError, match=r"detach_norm: input.*Cast first"):
        F.detach_norm(tn.tensor([[1, 2]]), 2)
