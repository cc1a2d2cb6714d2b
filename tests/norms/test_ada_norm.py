"""AdaNorm: a gain that depends on x̂ and that the backward pass, at every order, takes for a number."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.norms.moments import pull_standardize, standardize

from .. import oracles

F = tn.functional
both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])
K, C, EPS = 0.4, 1.5, 0.1


def standardized(x, eps=EPS):
    c = x - x.mean(-1, keepdims=True)
    return c / np.sqrt((c * c).mean(-1, keepdims=True) + eps)


def held_gradient(x, dy, phi, eps=EPS):
    """The gradient of Σ dy·φ·x̂ for a φ that does not depend on x, in NumPy."""
    c = x - x.mean(-1, keepdims=True)
    r = 1 / np.sqrt((c * c).mean(-1, keepdims=True) + eps)
    g = dy * phi
    return r * (g - g.mean(-1, keepdims=True) - c * r * (g * c * r).mean(-1, keepdims=True))


def setting(shape=(3, 6), seed=0):
    rng = np.random.default_rng(seed)
    x = tn.tensor(rng.normal(0.5, 1.4, shape), requires_grad=True)
    return rng, x, rng.normal(size=shape)


@both_ways
@pytest.mark.parametrize("detach", [True, False])
def test_against_complex_step(detach, backward):
    _, x, dy = setting()
    y = F.ada_norm(x, 6, K, C, EPS, backward, detach=detach)
    xhat = standardized(x.data)
    phi = C * (1 - K * xhat)
    np.testing.assert_allclose(y.data, phi * xhat, atol=1e-14)

    def held(x):
        return phi * standardized(x)

    def through(x):
        return C * (1 - K * standardized(x)) * standardized(x)

    expected, other = (oracles.gradient(f, [x.data], 0, dy) for f in ((held, through) if detach else (through, held)))
    (dx,) = tn.grad(y, x, dy)
    np.testing.assert_allclose(dx.data, expected, atol=1e-13)
    assert np.abs(dx.data - other).max() > 0.1


@both_ways
def test_the_gain_stays_a_constant_at_order_two(backward):
    rng, x, dy = setting(seed=1)
    v = rng.normal(size=x.shape)
    phi = C * (1 - K * standardized(x.data))
    (dx,) = tn.grad(F.ada_norm(x, 6, K, C, EPS, backward), x, dy, create_graph=True)
    (second,) = tn.grad(dx, x, v)  # the Hessian of a scalar is symmetric
    expected = oracles.complex_step(lambda x: held_gradient(x, dy, phi), [x.data], [v])
    np.testing.assert_allclose(second.data, expected, atol=1e-13)


def test_a_rule_that_computes_the_gain_from_x_is_wrong_at_order_two():
    """Why φ is an input of the node: this one agrees with the record once, and not twice."""

    def forward(x, axis, eps):
        xhat, _ = standardize(x, axis, eps)
        return C * (1 - K * xhat) * xhat

    def dx(g, out, x, axis, eps):
        xhat, rstd = standardize(x, axis, eps)
        return pull_standardize(g * C * (1 - K * xhat), xhat, rstd, axis)

    tempting = tn.Op("tempting", "tempting({0})", forward, (dx,))
    rng, x, dy = setting(seed=2)
    v = rng.normal(size=x.shape)
    found = []
    for y in (tempting(x, axis=(1,), eps=EPS), F.ada_norm(x, 6, K, C, EPS)):
        (d,) = tn.grad(y, x, dy, create_graph=True)
        found.append((d.data, tn.grad(d, x, v)[0].data))
    np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-13)
    assert np.abs(found[0][1] - found[1][1]).max() > 0.1


@both_ways
def test_without_k_it_is_layer_norm(backward):
    _, x, dy = setting(seed=3)
    for detach in (True, False):
        y, plain = F.ada_norm(x, 6, 0.0, backward=backward, detach=detach), F.layer_norm(x, 6)
        np.testing.assert_allclose(y.data, plain.data, atol=1e-14)
        np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, tn.grad(plain, x, dy)[0].data, atol=1e-13)


@both_ways
def test_the_gain_is_zero_where_xhat_is_one_over_k(backward):
    """One entry of 101 apart from the rest: x̂ = √100 = 10 = 1/k, so y is 0 there, and so is what it sends back."""
    x = tn.tensor(np.eye(1, 101), requires_grad=True)
    y = F.ada_norm(x, 101, eps=0.0, backward=backward)
    assert y.data[0, 0] == pytest.approx(0, abs=1e-13)
    np.testing.assert_allclose(tn.grad(y, x, np.eye(1, 101))[0].data, 0, atol=1e-12)


@both_ways
def test_several_axes(backward):
    _, x, dy = setting((2, 3, 4), seed=4)
    flat = tn.tensor(x.data.reshape(2, 12), requires_grad=True)
    y, expected = F.ada_norm(x, (3, 4), K, backward=backward), F.ada_norm(flat, 12, K)
    np.testing.assert_allclose(y.data.reshape(2, 12), expected.data, atol=1e-14)
    (dx,), (e,) = tn.grad(y, x, dy), tn.grad(expected, flat, dy.reshape(2, 12))
    np.testing.assert_allclose(dx.data.reshape(2, 12), e.data, atol=1e-13)


@both_ways
@pytest.mark.parametrize("detach", [True, False])
def test_edges(detach, backward):
    flat = tn.tensor(np.full((1, 4), 3.0), requires_grad=True)
    g = np.array([[1.0, 0.0, 0.0, 0.0]])
    y = F.ada_norm(flat, 4, scale=2.0, backward=backward, detach=detach)
    np.testing.assert_array_equal(y.data, 0)
    np.testing.assert_allclose(tn.grad(y, flat, g)[0].data, 2 * (g - 0.25) / np.sqrt(1e-5))  # φ = C on a constant row
    empty = tn.tensor(np.zeros((0, 4)), requires_grad=True)
    assert tn.grad(F.ada_norm(empty, 4, backward=backward, detach=detach), empty, np.zeros((0, 4)))[0].shape == (0, 4)


def test_misuse_is_named():
    with pytest.raises(tn.ShapeError, match=r"ada_norm: input \(2, 3\).*normalized_shape"):
        F.ada_norm(tn.tensor(np.ones((2, 3))), 4)
    with pytest.raises(tn.DTypeError, match=r"ada_norm: input.*Cast first"):
        F.ada_norm(tn.tensor([[1, 2]]), 2)
