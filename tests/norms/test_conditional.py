"""Norms that a condition modulates: conditional LayerNorm, AdaIN, FiLM."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

from .. import oracles

F = tn.functional
WAYS = ("recorded", "analytic")
both_ways = pytest.mark.parametrize("backward", WAYS)


def standardized(x, axis, eps):
    c = x - x.mean(axis=axis, keepdims=True)
    return c / np.sqrt((c * c).mean(axis=axis, keepdims=True) + eps)


def conditional(x, s, b, eps=0.1):
    return standardized(x, -1, eps) * (1 + s) + b


def adain(x, s, eps=0.1):
    axis = tuple(range(2, x.ndim))
    c = s - s.mean(axis=axis, keepdims=True)
    sigma = np.sqrt((c * c).mean(axis=axis, keepdims=True) + eps)
    return standardized(x, axis, eps) * sigma + s.mean(axis=axis, keepdims=True)


def holds(function, reference, *shapes, backward, seed=0):
    """Values, and every gradient against complex step, for a random cotangent."""
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(0.4, 1.3, s) for s in shapes]
    leaves = [tn.tensor(a, requires_grad=True) for a in arrays]
    y = function(*leaves, backward=backward)
    np.testing.assert_allclose(y.data, reference(*arrays), atol=1e-13)
    dy = rng.normal(size=y.shape)
    for i, g in enumerate(tn.grad(y, leaves, dy)):
        np.testing.assert_allclose(g.data, oracles.gradient(reference, arrays, i, dy), atol=1e-12)


# Conditional LayerNorm ---------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(
    ("shape", "modulation"),
    [
        ((2, 3, 5), (2, 1, 5)),
        ((2, 3, 5), (2, 3, 5)),
        ((2, 3, 5), (1, 3, 1)),
        ((2, 3, 5), (5,)),
        ((4, 6), (4, 6)),
        ((7,), (7,)),
        ((3, 1), (3, 1)),
    ],
)
def test_conditional_against_complex_step(shape, modulation, backward):
    holds(lambda *a, **k: F.conditional_layer_norm(*a, 0.1, **k), conditional, shape, modulation, modulation, backward=backward)


@both_ways
def test_scale_and_shift_may_be_spread_differently(backward):
    holds(lambda *a, **k: F.conditional_layer_norm(*a, 0.1, **k), conditional, (2, 3, 5), (2, 1, 5), (1, 3, 1), backward=backward)


@both_ways
@pytest.mark.parametrize("rules", [False, True])
def test_zero_centred_gamma(backward, rules):
    """The gain is 1 + s in dx as well. With dy·s in its place, y, ds and db stay right, and at s = 0 dx would vanish.

    Over tensors (``create_graph``) the rules themselves are read, over arrays the kernel.
    """
    rng = np.random.default_rng(1)
    x = tn.tensor(rng.normal(size=(4, 6)), requires_grad=True)
    s, b = (tn.tensor(rng.normal(size=(4, 6)) * 0.1, requires_grad=True) for _ in range(2))
    dy = rng.normal(size=(4, 6))
    dx, ds, db = tn.grad(F.conditional_layer_norm(x, s, b, backward=backward), [x, s, b], dy, create_graph=rules)
    (expected,) = tn.grad(F.layer_norm(x, 6), x, dy * (1 + s.data))
    (slip,) = tn.grad(F.layer_norm(x, 6), x, dy * s.data)
    np.testing.assert_allclose(dx.data, expected.data, atol=1e-13)
    assert np.abs(dx.data - slip.data).max() > 0.1
    np.testing.assert_allclose(ds.data, dy * F.layer_norm(x, 6).data, atol=1e-13)
    np.testing.assert_array_equal(db.data, dy)

    none = tn.tensor(np.zeros((4, 6)))
    y = F.conditional_layer_norm(x, none, none, backward=backward)
    np.testing.assert_allclose(y.data, F.layer_norm(x, 6).data, atol=1e-15)
    (dx,), (expected,) = tn.grad(y, x, dy, create_graph=rules), tn.grad(F.layer_norm(x, 6), x, dy)
    np.testing.assert_allclose(dx.data, expected.data, atol=1e-13)


@both_ways
def test_the_condition_receives_both_shares(backward):
    """s = c·Wₛ and b = c·W_b: dc = Σ(dy·x̂)·Wₛᵀ + Σdy·W_bᵀ, sums over the tokens."""
    rng = np.random.default_rng(2)
    x, c = tn.tensor(rng.normal(size=(2, 3, 5))), tn.tensor(rng.normal(size=(2, 4)), requires_grad=True)
    ws, wb = (tn.tensor(rng.normal(size=(4, 5)), requires_grad=True) for _ in range(2))
    dy = rng.normal(size=(2, 3, 5))
    y = F.conditional_layer_norm(x, (c @ ws)[:, None], (c @ wb)[:, None], backward=backward)
    dc, dws, dwb = tn.grad(y, [c, ws, wb], dy)
    xhat = standardized(x.data, -1, 1e-5)
    ds, db = (dy * xhat).sum(1), dy.sum(1)
    np.testing.assert_allclose(dc.data, ds @ ws.data.T + db @ wb.data.T, atol=1e-12)
    np.testing.assert_allclose(dws.data, c.data.T @ ds, atol=1e-12)
    np.testing.assert_allclose(dwb.data, c.data.T @ db, atol=1e-12)


@both_ways
def test_a_small_scale_in_float16_is_added_in_float32(backward):
    """1 + 0.0003 is 1 in float16."""
    x = tn.tensor(np.random.default_rng(0).normal(size=(3, 8)).astype("float32"))
    s = tn.tensor(np.full((3, 8), 3e-4, "float16"))
    y = F.conditional_layer_norm(x, s, np.zeros(8, "float32"), backward=backward)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.data / F.layer_norm(x, 8).data, 1 + float(s.data[0, 0]), rtol=1e-6)


@both_ways
def test_edges_of_conditional(backward):
    rng = np.random.default_rng(3)
    s, b = (tn.tensor(rng.normal(size=4), requires_grad=True) for _ in range(2))
    dy = rng.normal(size=(1, 4))
    flat = tn.tensor(np.full((1, 4), 2.5), requires_grad=True)
    y = F.conditional_layer_norm(flat, s, b, backward=backward)
    np.testing.assert_array_equal(y.data[0], b.data)
    g = dy * (1 + s.data)
    np.testing.assert_allclose(tn.grad(y, flat, dy)[0].data, (g - g.mean()) / np.sqrt(1e-5))
    empty = tn.tensor(np.zeros((0, 4)), requires_grad=True)
    y = F.conditional_layer_norm(empty, s, b, backward=backward)
    dx, ds = tn.grad(y, [empty, s], np.zeros((0, 4)))
    assert dx.shape == (0, 4)
    np.testing.assert_array_equal(ds.data, np.zeros(4))


def test_a_condition_of_other_rank_is_refused_even_where_it_would_broadcast():
    """(B, C) for (B, T, C): NumPy would put B on the tokens, without a word where B = T."""
    x = tn.tensor(np.ones((3, 3, 5)))
    fits = np.zeros((3, 1, 5))
    with pytest.raises(tn.ShapeError, match=r"scale \(3, 5\).*input \(3, 3, 5\).*scale\.reshape\(3, 1, 5\)"):
        F.conditional_layer_norm(x, np.zeros((3, 5)), fits)
    with pytest.raises(tn.ShapeError, match=r"shift \(3, 5\).*shift\.reshape\(3, 1, 5\)"):
        F.conditional_layer_norm(x, fits, np.zeros((3, 5)))
    with pytest.raises(tn.ShapeError, match=r"scale \(4,\).*\(5,\)"):
        F.conditional_layer_norm(x, np.zeros(4), fits)
    with pytest.raises(tn.ShapeError, match=r"scale \(2, 1, 5\)"):
        F.conditional_layer_norm(x, np.zeros((2, 1, 5)), fits)
    with pytest.raises(tn.ShapeError, match="no axis to normalize"):
        F.conditional_layer_norm(tn.tensor(1.0), 1.0, 1.0)
    with pytest.raises(tn.DTypeError, match=r"scale.*Cast first"):
        F.conditional_layer_norm(x, np.zeros(5, int), fits)
    small = tn.tensor(np.ones((1, 3, 5)))
    with pytest.raises(tn.ShapeError, match=r"scale \(2, 1, 5\)"):  # the output would be larger than the input
        F.conditional_layer_norm(small, np.zeros((2, 1, 5)), np.zeros(5))


# AdaIN -----------------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(
    ("content", "style"),
    [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (2, 3, 7)), ((1, 2, 5), (1, 2, 2)), ((2, 2, 2, 3), (2, 2, 4, 2))],
)
def test_adain_against_complex_step(content, style, backward):
    holds(lambda *a, **k: F.adaptive_instance_norm(*a, 0.1, **k), adain, content, style, backward=backward)


@both_ways
@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_adain_of_itself_is_the_identity(eps, backward):
    """The same ε in both roots: nothing changes, and the two gradients add up to dy."""
    rng = np.random.default_rng(4)
    x = tn.tensor(rng.normal(3, 2, (2, 3, 4, 5)), requires_grad=True)
    y = F.adaptive_instance_norm(x, x, eps, backward)
    np.testing.assert_allclose(y.data, x.data, atol=1e-13)
    dy = rng.normal(size=x.shape)
    np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, dy, atol=1e-12)


@both_ways
def test_adain_takes_the_statistics_of_the_style(backward):
    rng = np.random.default_rng(5)
    x = tn.tensor(rng.normal(size=(2, 3, 40)), requires_grad=True)
    s = tn.tensor(rng.normal(5, 3, (2, 3, 30)), requires_grad=True)
    y = F.adaptive_instance_norm(x, s, 0.0, backward)
    np.testing.assert_allclose(y.data.mean(-1), s.data.mean(-1))
    np.testing.assert_allclose(y.data.std(-1), s.data.std(-1))
    dy = rng.normal(size=y.shape)
    dx, ds = tn.grad(y, [x, s], dy)
    np.testing.assert_allclose(dx.data.sum(-1), 0, atol=1e-13)  # a constant added to the content is lost
    np.testing.assert_allclose(ds.data.sum(-1), dy.sum(-1))  # one added to the style arrives


@both_ways
def test_ds_divides_by_the_places_of_the_style(backward):
    """Quoted with means of dy it is right for equal sizes only: here it would be 4/2 times too small."""
    rng = np.random.default_rng(6)
    x, s = (tn.tensor(rng.normal(size=(1, 1, n)), requires_grad=True) for n in (4, 2))
    dy = rng.normal(size=(1, 1, 4))
    (ds,) = tn.grad(F.adaptive_instance_norm(x, s, 0.1, backward), s, dy)
    xhat, shat = (standardized(t.data, -1, 0.1) for t in (x, s))
    with_means = dy.mean() + shat * (dy * xhat).mean()
    np.testing.assert_allclose(ds.data, with_means * 4 / 2, atol=1e-13)


@both_ways
def test_adain_in_float16_sums_in_float32(backward):
    """Σ dy over 200 places is 100,000: more than float16 can hold. Its share, over 400 places, is not."""
    rng = np.random.default_rng(7)
    x = tn.tensor(rng.normal(size=(1, 1, 200)).astype("float16"), requires_grad=True)
    s = tn.tensor(rng.normal(size=(1, 1, 400)).astype("float16"), requires_grad=True)
    y = F.adaptive_instance_norm(x, s, backward=backward)
    (ds,) = tn.grad(y, s, np.full(y.shape, 500, "float16"))
    assert ds.dtype == np.float16
    np.testing.assert_allclose(ds.data, 250, rtol=5e-3)


def test_misuse_of_adain_is_named():
    x = tn.tensor(np.ones((2, 3, 4)))
    for style in ((2, 2, 4), (1, 3, 4), (2, 3), (2, 3, 2, 2)):
        with pytest.raises(tn.ShapeError, match=rf"input \(2, 3, 4\).*style \({', '.join(map(str, style))}\)"):
            F.adaptive_instance_norm(x, np.ones(style))
    with pytest.raises(tn.ShapeError, match="with places"):
        F.adaptive_instance_norm(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(tn.ShapeError, match=r"input.*one place.*no spread"):
        F.adaptive_instance_norm(np.ones((2, 3, 1, 1)), np.ones((2, 3, 4, 4)))
    with pytest.raises(tn.ShapeError, match=r"style.*one place"):
        F.adaptive_instance_norm(x, np.ones((2, 3, 1)))
    with pytest.raises(tn.DTypeError, match=r"style.*Cast first"):
        F.adaptive_instance_norm(x, np.ones((2, 3, 4), int))


# FiLM ------------------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(
    ("shape", "modulation"),
    [((2, 3, 4), (2, 3)), ((2, 3), (2, 3)), ((2, 3, 2, 3), (2, 1, 2, 3)), ((2, 3, 2), (1, 3, 1)), ((5,), (5,)), ((), ())],
)
def test_film_against_complex_step(shape, modulation, backward):
    def reference(x, w, b):
        w, b = (p.reshape((*p.shape, *(1,) * (x.ndim - p.ndim))) for p in (w, b))
        return w * x + b

    holds(F.film, reference, shape, modulation, modulation, backward=backward)


@both_ways
def test_conditional_layer_norm_is_film_after_the_normalization(backward):
    rng = np.random.default_rng(8)
    x, s, b = (rng.normal(size=(3, 4)) for _ in range(3))
    y = F.film(F.layer_norm(x, 4), 1 + s, b, backward)
    np.testing.assert_allclose(y.data, F.conditional_layer_norm(x, s, b).data, atol=1e-14)


def test_misuse_of_film_is_named():
    x = tn.tensor(np.ones((2, 3, 4)))
    with pytest.raises(tn.ShapeError, match=r"scale \(3,\).*input \(2, 3, 4\).*scale\.reshape\(1, 3, 1\)"):
        F.film(x, np.ones(3), np.ones((2, 3)))
    with pytest.raises(tn.ShapeError, match=r"shift \(3, 2\).*\(2, 3\)"):
        F.film(x, np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(tn.ShapeError, match=r"scale \(4,\)"):  # NumPy would have put it on the last axis
        F.film(x, np.ones(4), np.ones((2, 3)))
    with pytest.raises(tn.DTypeError, match=r"input.*Cast first"):
        F.film(np.ones((2, 3), int), np.ones((2, 3)), np.ones((2, 3)))
