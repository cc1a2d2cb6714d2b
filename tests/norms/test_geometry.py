"""The geometry of a norm's gradient: its routes, its lengths and angles, the Jacobians and their eigenvalues, and the
closed form of the second derivative; on shapes and numbers drawn at random."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_norm as tn

from .test_identities import EPS, FAMILY, SEEDS, SHAPES, both_ways, every_member, leaf, near, numbers

F = tn.functional
SMALL = st.tuples(st.integers(1, 2), st.sampled_from([2, 4]), st.integers(1, 2), st.integers(2, 3))


def mean(a):
    return a.mean(-1, keepdims=True)


class Setting:
    """Random x, γ, β, dy for a member, and what its rows have, from NumPy alone: σ² (or mean square), r = 1/√(σ² + ε), x̂,
    and g = dy·γ."""

    def __init__(self, member, shape, eps, seed):
        rng = np.random.default_rng(seed)
        self.member, self.eps, self.rng = member, eps, rng
        self.x = leaf(numbers(rng, shape), "x")
        self.w, self.b = (leaf(rng.normal(size=shape[member.along]), n) for n in "γβ")
        self.dy = rng.normal(size=shape)
        rows = member.rows(self.x.data)
        self.n = rows.shape[1]
        c = rows - mean(rows) if member.centred else rows
        self.var = mean(c * c)
        self.r = 1 / np.sqrt(self.var + eps)
        self.xhat = c * self.r
        self.g = member.rows(self.dy * member.spread(self.w.data))

    def y(self, backward):
        return self.member.call(self.x, self.w, self.b, self.eps, backward)

    def centre(self, a):
        return a - mean(a) if self.member.centred else a

    def pull(self, t):
        """J(x)·t, row by row."""
        return self.r * (self.centre(t) - self.xhat * mean(t * self.xhat))


# dx ---------------------------------------------------------------------------------------------------------------------


@both_ways
@every_member
@settings(max_examples=20)
@given(shape=SHAPES, eps=EPS, seed=SEEDS)
def test_sum_angle_and_length_of_dx(member, backward, shape, eps, seed):
    """Σdx = 0; x̂·dx = r·ε/(σ² + ε)·(x̂·g) and x·dx = ε/(σ² + ε)·(x̂·g), zero without ε: dx is tangent to the sphere that
    x̂ lies on; ‖dx‖² = r²·(‖g − ḡ‖² − N·b²·(1 + ε·r²)) with b = mean(g·x̂). Without centring, the same without ḡ."""
    s = Setting(member, shape, eps, seed)
    y = member.call(s.x, None, None, eps, backward)
    near(member.rows(y.data), s.xhat)
    near(mean(member.rows(y.data) ** 2), s.var / (s.var + eps))  # the sphere of radius √N, for ε = 0
    dx = member.rows(tn.grad(s.y(backward), s.x, s.dy)[0].data)
    size = np.abs(s.r).max() * np.linalg.norm(s.g)
    b, kept = mean(s.g * s.xhat), eps / (s.var + eps)
    near(mean(s.xhat * dx), s.r * kept * b, size)
    near(mean(member.rows(s.x.data) * dx), kept * b, size * np.abs(s.x.data).max())
    square = mean(s.centre(s.g) ** 2) - b**2 * (1 + eps * s.r**2)
    near(mean(dx**2), s.r**2 * square, size**2)
    if member.centred:
        near(mean(dx), 0, size)
        near(tn.grad(y.sum(), s.x)[0].data, 0, np.abs(s.r))


@both_ways
@settings(max_examples=20)
@given(shape=SHAPES, eps=EPS, seed=SEEDS)
def test_santurkars_bound_is_an_equality(backward, shape, eps, seed):
    """Santurkar et al. 2018, theorem 4.1, for BatchNorm and one upstream gradient: the gradient before the norm is shorter
    by what it has along 1 and along ŷ. Without ε nothing else is lost; with it, a little more."""
    s = Setting(FAMILY["BN"], shape, eps, seed)
    dx = s.member.rows(tn.grad(s.y(backward), s.x, s.dy)[0].data)
    dy, m, gamma = s.member.rows(s.dy), s.n, s.w.data
    along_1, along_y = dy.sum(1), (dy * s.xhat).sum(1)
    scale = gamma**2 * s.r[:, 0] ** 2
    bound = scale * ((dy**2).sum(1) - along_1**2 / m - along_y**2 / m)
    more = scale * along_y**2 / m * eps * s.r[:, 0] ** 2
    near((dx**2).sum(1), bound - more, scale * (dy**2).sum(1))


# The routes of dx ---------------------------------------------------------------------------------------------------------


@every_member
@settings(max_examples=12)
@given(shape=SHAPES, eps=EPS, seed=SEEDS)
def test_the_routes_are_the_terms_of_the_formula(member, shape, eps, seed):
    """A = r·g, B = −r·mean(g), C = −r·x̂·mean(g·x̂), D = 0: each share by itself. Without centring, A and C are all."""
    s = Setting(member, shape, eps, seed)
    routes = tn.graph(s.y("recorded")).routes(s.x, s.dy)
    direct, scale = s.r * s.g, -s.r * s.xhat * mean(s.g * s.xhat)
    expected = [direct, -s.r * mean(s.g), scale, 0 * s.g] if member.centred else [direct, scale]
    assert [r.letter for r in routes] == list("ABCD")[: len(expected)]
    for r, e in zip(routes, expected):
        near(member.rows(r.share), np.broadcast_to(e, s.g.shape), np.abs(direct), 1e-13)
    near(routes.total, sum(r.share for r in routes), np.abs(direct), 1e-13)


def one_pass(x, eps=0.0):
    """The variance as mean(x²) − μ²."""
    mu = x.mean(-1, keepdims=True).named("μ")
    square = (x**2).mean(-1, keepdims=True).named("mean(x²)")
    rstd = ((square - mu**2).named("σ²") + eps).rsqrt().named("rstd")
    return (x - mu).named("c") * rstd


@settings(max_examples=20)
@given(n=st.integers(2, 8), eps=EPS, seed=SEEDS)
def test_the_routes_of_the_one_pass_variance(n, eps, seed):
    """C′ = −r³·x·mean(g·c) and D′ = r³·μ·mean(g·c): neither is what it is in two passes, together they are C + D."""
    rng = np.random.default_rng(seed)
    x, g = leaf(numbers(rng, (3, n)), "x"), rng.normal(size=(3, n))
    graph = tn.graph(one_pass(x, eps))
    shares = {}
    for route in graph.routes(x, g):
        names = {graph.nodes[i].label for i in route.nodes}
        shares["σ²" in names, "μ" in names] = route.share
    mu = mean(x.data)
    c = x.data - mu
    r = 1 / np.sqrt(mean(c * c) + eps)
    expected = {
        (False, False): r * g,
        (False, True): -r * mean(g),
        (True, False): -(r**3) * x.data * mean(g * c),
        (True, True): r**3 * mu * mean(g * c),
    }
    assert shares.keys() == expected.keys()
    for k, e in expected.items():
        near(shares[k], np.broadcast_to(e, g.shape), 1 + np.abs(x.data / c.std()) ** 2 * np.abs(r * g).max())
    through_variance = tn.graph(F.layer_norm(x, n, eps=eps)).routes(x, g)["C"].share
    near(shares[True, False] + shares[True, True], through_variance, 1 + np.abs(x.data / c.std()) ** 2 * np.abs(r * g).max())


def test_far_from_zero_the_one_pass_routes_cancel_and_take_the_digits_along():
    rng = np.random.default_rng(0)
    small = rng.integers(-2048, 2048, (1, 16)) / 1024  # with the offset, still exact
    g = rng.normal(size=(1, 16))
    x = leaf(small + 2.0**13, "x")
    (exact,) = tn.grad(F.layer_norm(leaf(small), 16, eps=0.0), at := leaf(small), g, allow_unused=True)
    assert exact is None
    (exact,) = tn.grad(F.layer_norm(at, 16, eps=0.0), at, g)
