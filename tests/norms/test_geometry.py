"""The geometry of a norm's gradient: its routes, its lengths and angles, the Jacobians and their eigenvalues, and the
closed form of the second derivative; on shapes and numbers drawn at random."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_norm as tn

from .test_identities import EPS, FAMILY, SEEDS, SHAPES, Setting, both_ways, every_member, leaf, mean, near, numbers

F = tn.functional
SMALL = st.tuples(st.integers(1, 2), st.sampled_from([2, 4]), st.integers(1, 2), st.integers(2, 3))


# dx ---------------------------------------------------------------------------------------------------------------------


@both_ways
@every_member
@settings(max_examples=30)
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
@settings(max_examples=30)
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
@settings(max_examples=20)
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


def size_of(x, c, r, g):
    """Of the terms that cancel where the variance is taken in one pass."""
    return np.abs(r * g).max() * (1 + np.abs(x).max() / np.abs(c).std()) ** 2


@settings(max_examples=30)
@given(n=st.integers(2, 8), eps=EPS, seed=SEEDS)
def test_the_routes_of_the_one_pass_variance(n, eps, seed):
    """C′ = −r³·x·mean(g·c) and D′ = r³·μ·mean(g·c): neither is what it is in two passes; together they are C."""
    rng = np.random.default_rng(seed)
    x, g = leaf(numbers(rng, (3, n)), "x"), rng.normal(size=(3, n))
    graph = tn.graph(one_pass(x, eps))
    shares = {}
    for route in graph.routes(x, g):
        passed = {graph.nodes[i].label for i in route.nodes}
        shares["σ²" in passed, "μ" in passed] = route.share
    mu = mean(x.data)
    c = x.data - mu
    r = 1 / np.sqrt(mean(c * c) + eps)
    a, b, second_c, second_d = (shares.pop(k) for k in [(False, False), (False, True), (True, False), (True, True)])
    assert not shares
    size = size_of(x.data, c, r, g)
    near(a, r * g, size)
    near(b, np.broadcast_to(-r * mean(g), g.shape), size)
    near(second_c, -(r**3) * x.data * mean(g * c), size)
    near(second_d, np.broadcast_to(r**3 * mu * mean(g * c), g.shape), size)
    near(second_c + second_d, tn.graph(F.layer_norm(x, n, eps=eps)).routes(x, g)["C"].share, size)


def test_far_from_zero_the_one_pass_routes_cancel_and_take_the_digits_along():
    """Their error grows as (μ/σ)², that of two passes as μ/σ."""
    rng = np.random.default_rng(0)
    small = rng.integers(-(2**37), 2**37, (8, 16)) / 2**36
    x, g = leaf(small + 2.0**16, "x"), rng.normal(size=(8, 16))  # no digit is lost in the sum: both have one gradient
    exact = slope(two_passes, leaf(small), g)
    error = [np.abs(slope(f, x, g) - exact).max() for f in (two_passes, one_pass)]
    assert error[0] < 1e-10
    assert error[1] > 1e-8
    length = np.linalg.norm(exact)
    assert sorted(r.norm > 1000 * length for r in tn.graph(one_pass(x)).routes(x, g)) == [False, False, True, True]
    assert all(r.norm < 10 * length for r in tn.graph(two_passes(x)).routes(x, g))


def two_passes(x):
    return F.layer_norm(x, x.shape[-1], eps=0.0)


def slope(f, x, dy):
    return tn.grad(f(x), x, dy)[0].data


# The Jacobian of one row --------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("centred", [True, False], ids=["LN", "RMS"])
@settings(max_examples=30)
@given(n=st.integers(2, 7), eps=EPS, seed=SEEDS)
def test_eigenvalues(centred, backward, n, eps, seed):
    """J = r·(I − 11ᵀ/N − x̂x̂ᵀ/N): 0 along 1, r·θ along x̂ with θ = ε/(σ² + ε), and r elsewhere. So its rank is N − 2
    without ε and N − 1 with it, it is never longer than r, and J/r is a projection without ε only. RMSNorm's has no 1."""
    member = FAMILY["LN" if centred else "RMS"]
    s = Setting(member, (1, n), eps, seed)
    r, xhat, theta = s.r.item(), s.xhat[0], (eps / (s.var + eps)).item()
    jacobian = tn.jacobian(lambda x: member.call(x, None, None, eps, backward), s.x.data[0]).data
    near(jacobian, jacobian.T, r)
    near(jacobian @ xhat, r * theta * xhat, r)
    flat = 1 if centred else 0
    free = n - 1 - flat
    near(np.linalg.eigvalsh(jacobian), np.sort([*[0.0] * flat, r * theta, *[r] * free]), r)
    assert np.linalg.matrix_rank(jacobian, tol=1e-9 * r) == free + (eps > 0)
    near(np.trace(jacobian), r * (free + theta), r)
    near(np.linalg.norm(jacobian, 2), r if free else r * theta, r)
    if centred:
        near(jacobian.sum(0), 0, r)
    else:
        assert np.abs(jacobian.sum(0)).max() > 1e-6 * r
    projection, unit = jacobian / r, xhat / np.linalg.norm(xhat)
    near(projection @ projection - projection, (theta**2 - theta) * np.outer(unit, unit))
    assert (np.abs(projection @ projection - projection).max() > 1e-9) == (eps > 0)


@both_ways
@every_member
@settings(max_examples=8)
@given(shape=SHAPES, eps=EPS, seed=SEEDS)
def test_backward_is_forward(member, backward, shape, eps, seed):
    """J is symmetric: without γ, vᵀJ = Jv. With γ, the Jacobian is diag(γ)·J: forward γ comes last, backward first."""
    s = Setting(member, shape, eps, seed)
    v, gamma = s.dy, np.broadcast_to(member.spread(s.w.data), shape)

    def push(w, v):
        return tn.jvp(lambda x: member.call(x, w, None, eps, backward), s.x.data, v)[1].data

    def pull(w, v):
        return tn.vjp(lambda x: member.call(x, w, None, eps, backward), s.x.data)[1](v)[0].data

    plain = push(None, v)
    size = np.abs(s.r).max() * np.linalg.norm(v) * (1 + np.abs(gamma).max())
    near(member.rows(plain), s.pull(member.rows(v)), size)
    near(pull(None, v), plain, size)
    near(push(s.w, v), gamma * plain, size)
    near(pull(s.w, v), push(None, gamma * v), size)


@both_ways
@pytest.mark.parametrize("eps", [1e-3, 1e-5, 1e-6, 1e-12])
def test_the_most_a_norm_can_amplify(backward, eps):
    """‖J‖ = 1/√ε, on a row of equal numbers: BERT's ε of 1e-12 makes that a million."""
    ln = tn.jacobian(lambda x: F.layer_norm(x, 5, None, None, eps, backward), np.full(5, 3.0)).data
    rms = tn.jacobian(lambda x: F.rms_norm(x, 5, None, eps, backward), np.zeros(5)).data
    np.testing.assert_allclose([np.linalg.norm(j, 2) for j in (ln, rms)], eps**-0.5, rtol=1e-12)


# Whole Jacobians: who hears of whom -------------------------------------------------------------------------------------------


def one_by_one(a):
    return a.reshape(-1, 1)


def from_family(name, shape, eps, seed):
    s = Setting(FAMILY[name], shape, eps, seed)
    gamma = np.broadcast_to(s.member.spread(s.w.data), shape).ravel()
    one = np.ones(s.n) * s.member.centred

    def block(i, k):
        return gamma[i, None] * s.r[k] * (np.eye(s.n) - np.outer(one, one) / s.n - np.outer(s.xhat[k], s.xhat[k]) / s.n)

    return s.x.data, lambda x, how: s.member.call(x, s.w, s.b, eps, how), s.member.rows, block


def others(name, shape, eps, seed):
    """What has no batch of rows of its own to normalize, or none at all."""
    rng = np.random.default_rng(seed)
    x = numbers(rng, shape)
    flat, c = x.ravel(), shape[1]
    m, w, b, last = (rng.normal(size=k) for k in (c, c, c, shape[-1]))
    v, alpha, lengths = rng.uniform(0.5, 2, c), rng.uniform(0.3, 1, 1), rng.normal(size=(shape[0], 1, 1, 1))
    slope = np.broadcast_to((w / np.sqrt(v + eps)).reshape(-1, 1, 1), shape).ravel()
    across = np.broadcast_to(last, shape).ravel()

    def tangent(i):
        u = flat[i] / np.linalg.norm(flat[i])
        return (np.eye(len(i)) - np.outer(u, u)) / np.linalg.norm(flat[i])

    def covariance(i):
        p = np.exp(flat[i] - flat[i].max())
        p /= p.sum()
        return np.diag(p) - np.outer(p, p)

    return x, *{
        "BN in inference": (
            lambda x, how: F.batch_norm(x, m, v, w, b, eps=eps, backward=how),
            one_by_one,
            lambda i, k: slope[i],
        ),
        "DyT": (
            lambda x, how: F.dynamic_tanh(x, alpha, last, None, how),
            one_by_one,
            lambda i, k: across[i] * alpha * (1 - np.tanh(alpha * flat[i]) ** 2),
        ),
        "L2": (lambda x, how: F.normalize(x, dim=-1, backward=how), FAMILY["LN"].rows, lambda i, k: tangent(i)),
        "softmax": (lambda x, how: F.softmax(x, -1, how), FAMILY["LN"].rows, lambda i, k: covariance(i)),
        "WN": (
            lambda x, how: F.weight_norm(x, lengths, 0, how),
            lambda a: a.reshape(len(a), -1),
            lambda i, k: lengths.ravel()[k] * tangent(i),
        ),
    }[name]


@both_ways
@pytest.mark.parametrize("name", [*FAMILY, "BN in inference", "DyT", "L2", "softmax", "WN"])
@settings(max_examples=6)
@given(shape=SMALL, eps=EPS, seed=SEEDS)
def test_the_whole_jacobian(name, backward, shape, eps, seed):
    """A block for each row, in closed form, and exact zeros elsewhere. LN, RMS, softmax: samples and places do not hear of
    each other; IN and GN: nor do channels or groups; BN and PN-V: channels do not, samples do, so that a sample has no
    gradient of its own; in inference and with DyT nobody does."""
    x, f, rows, block = (from_family if name in FAMILY else others)(name, shape, eps, seed)
    found = tn.jacobian(lambda x: f(x, backward), x).data.reshape(x.size, x.size)
    expected, inside = np.zeros((2, x.size, x.size))
    for k, i in enumerate(rows(np.arange(x.size).reshape(shape))):
        expected[np.ix_(i, i)], inside[np.ix_(i, i)] = block(i, k), 1
    near(found, expected, 1 + np.abs(expected))
    assert not found[inside == 0].any()
    if name in ("BN", "PN-V") and shape[0] > 1:
        heard = found.reshape(*shape, *shape)[0, :, :, :, 1].any(axis=(1, 2, 4, 5))  # by sample 0 of sample 1
        np.testing.assert_array_equal(heard, np.eye(shape[1]) > 0)


# How far x̂ can be from zero, and the shortest rows ----------------------------------------------------------------------------


@both_ways
@settings(max_examples=30)
@given(n=st.sampled_from([2, 3, 8, 100]) | st.integers(2, 40), seed=SEEDS)
def test_samuelsons_bound(backward, n, seed):
    """|x̂| ≤ √(N − 1), and a single outlier has it; without centring √N, which a single entry has."""
    rng = np.random.default_rng(seed)
    heavy = rng.standard_cauchy((4, n))
    a, b, i = rng.uniform(-2, 2), rng.choice([-1, 1]) * rng.uniform(1, 2), rng.integers(n)
    outlier = a + b * (np.arange(n) == i)
    xhat, alone = F.layer_norm(np.vstack([heavy, outlier]), n, None, None, 0.0, backward).data, np.full(n, -1 / np.sqrt(n - 1))
    alone[i] = np.sqrt(n - 1)
    assert np.abs(xhat).max() < np.sqrt(n - 1) * (1 + 1e-12)
    near(xhat[-1], np.sign(b) * alone, np.sqrt(n), 1e-11)
    xhat = F.rms_norm(np.vstack([heavy, outlier - a]), n, None, 0.0, backward).data
    assert np.abs(xhat).max() < np.sqrt(n) * (1 + 1e-12)
    near(xhat[-1], np.sign(b) * np.sqrt(n) * (np.arange(n) == i), np.sqrt(n))


@both_ways
@pytest.mark.parametrize("name", ["LN of two", "RMS of one"])
@settings(max_examples=30)
@given(eps=st.sampled_from([0.0, 1e-5, 0.3]), seed=SEEDS)
def test_the_shortest_rows_are_signs(name, backward, eps, seed):
    """Two numbers d to either side of their mean, or a single one d without centring: x̂ = d/√(d² + ε), a sign without ε,
    and then nothing is left of dx."""
    rng = np.random.default_rng(seed)
    if name == "LN of two":
        x, dy = numbers(rng, (5, 2)), rng.normal(size=(5, 2))
        d, g = (a - mean(a) for a in (x, dy))
        t = leaf(x)
        y = F.layer_norm(t, 2, None, None, eps, backward)
    else:
        x, dy = numbers(rng, (5, 1)), rng.normal(size=(5, 1))
        d, g, t = x, dy, leaf(x)
        y = F.rms_norm(t, 1, None, eps, backward)
    near(y.data, d / np.sqrt(d**2 + eps))
    near(tn.grad(y, t, dy)[0].data, g * eps / (d**2 + eps) ** 1.5, 1 + 1 / np.abs(d))


@both_ways
def test_layer_norm_of_one_number_is_its_bias(backward):
    x, w, b = (leaf(a) for a in (np.array([[3.0], [-7.0]]), np.array([1.7]), np.array([0.3])))
    y = F.layer_norm(x, 1, w, b, 0.1, backward)
    np.testing.assert_array_equal(y.data, [[0.3], [0.3]])
    np.testing.assert_array_equal(tn.jacobian(lambda x: F.layer_norm(x, 1, w, b, 0.1, backward), x.data).data, 0)
    np.testing.assert_array_equal(tn.grad(y, w, np.array([[2.0], [5.0]]))[0].data, 0)


# The second derivative ----------------------------------------------------------------------------------------------------------


@both_ways
@every_member
@settings(max_examples=30)
@given(shape=SHAPES, eps=EPS, seed=SEEDS)
def test_the_second_derivative_in_closed_form(member, backward, shape, eps, seed):
    """Of L = ⟨v, dx⟩ + ⟨u, dγ⟩ + ⟨t, dβ⟩, with a = mean(v·x̂), b = mean(g·x̂), c = mean(v·g) − mean(v)·mean(g):

    dL/dx  = −r²·(x̂·(c − 3ab) + b·(v − v̄) + a·(g − ḡ)) + J·(u·dy)
    dL/dγ  = Σ dy·Jv            dL/d(dy) = γ·Jv + u·x̂ + t            (without centring, no v̄, ḡ and mean(v)·mean(g))
    """
    s = Setting(member, shape, eps, seed)
    v, u, t = s.rng.normal(size=shape), s.rng.normal(size=s.w.shape), s.rng.normal(size=s.w.shape)
    dy = leaf(s.dy)
    first = tn.grad(s.y(backward), [s.x, s.w, s.b], dy, create_graph=True)
    by_x, by_w, by_dy = (a.data for a in tn.grad(first, [s.x, s.w, dy], [v, u, t]))

    rows, xhat, g = member.rows, s.xhat, s.g
    spread = np.broadcast_to(member.spread(u), shape)
    jv, v = s.pull(rows(v)), rows(v)
    a, b = mean(v * xhat), mean(g * xhat)
    c = mean(s.centre(v) * s.centre(g))
    d2x = -(s.r**2) * (xhat * (c - 3 * a * b) + b * s.centre(v) + a * s.centre(g)) + s.pull(rows(spread * s.dy))
    size = (1 + np.abs(s.r).max()) ** 2 * (1 + np.linalg.norm(v)) * (1 + np.linalg.norm(g)) * (1 + np.abs(u).max())
    near(rows(by_x), d2x, size, 1e-14)

    gamma, shift = (np.broadcast_to(member.spread(p), shape) for p in (s.w.data, t))
    near(rows(by_dy), rows(gamma) * jv + rows(spread) * xhat + rows(shift), size, 1e-14)
    back = np.empty(s.x.size)
    back[rows(np.arange(s.x.size).reshape(shape))] = jv
    along = tuple(k for k in range(len(shape)) if k != member.along % len(shape))
    near(by_w, (s.dy * back.reshape(shape)).sum(along), size, 1e-13)


@both_ways
@every_member
@settings(max_examples=6)
@given(shape=SHAPES, eps=EPS, seed=SEEDS)
def test_the_second_derivative_is_symmetric(member, backward, shape, eps, seed):
    """In v and g: ⟨v, J·g⟩ and ⟨g, J·v⟩ are one number, so they have one gradient."""
    s = Setting(member, shape, eps, seed)
    v, g = s.dy, s.rng.normal(size=shape)

    def derivative(one, other):
        dx = tn.grad(member.call(s.x, None, None, eps, backward), s.x, one, create_graph=True)[0]
        return tn.grad(dx, s.x, other)[0].data

    size = (1 + np.abs(s.r).max()) ** 2 * np.linalg.norm(v) * np.linalg.norm(g)
    near(derivative(v, g), derivative(g, v), size, 1e-14)


@both_ways
@settings(max_examples=30)
@given(n=st.integers(1, 7), seed=SEEDS)
def test_the_second_derivative_of_softmax(backward, n, seed):
    """With s = Σ dy·p, t = Σ v·p, q = v·dy − s·v − t·dy:  dL/dx = p·(q − Σ q·p),  dL/d(dy) = p·(v − t)."""
    rng = np.random.default_rng(seed)
    x, dy, v = leaf(rng.normal(size=(3, n))), leaf(rng.normal(size=(3, n))), rng.normal(size=(3, n))
    p = F.softmax(x, -1, backward)
    (dx,) = tn.grad(p, x, dy, create_graph=True)
    by_x, by_dy = (a.data for a in tn.grad(dx, [x, dy], v))
    p = p.data
    s, t = ((a * p).sum(-1, keepdims=True) for a in (dy.data, v))
    q = v * dy.data - s * v - t * dy.data
    near(by_x, p * (q - (q * p).sum(-1, keepdims=True)), tolerance=1e-13)
    near(by_dy, p * (v - t), tolerance=1e-13)
