"""Batch Renormalization: what is held constant, what inference computes, and how the running statistics move."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tests.oracles import gradient

F = tn.functional
WAYS = ("recorded", "analytic")
both_ways = pytest.mark.parametrize("backward", WAYS)
SHAPES = [(6, 3), (4, 3, 5), (3, 3, 2, 4)]


def drawn(rng, shape, dtype="float64"):
    """x, γ, β as leaves, m and s as arrays, dy."""
    c = shape[1]
    x = tn.tensor(rng.normal(1.0, 2.0, shape), dtype, requires_grad=True, name="x")
    w = tn.tensor(rng.normal(size=c), dtype, requires_grad=True, name="γ")
    b = tn.tensor(rng.normal(size=c), dtype, requires_grad=True, name="β")
    return (x, w, b), (rng.normal(size=c), rng.uniform(0.5, 3, c)), rng.normal(size=shape)


def spread(p, x):
    return np.reshape(p, (-1, *(1,) * (x.ndim - 2)))


def moments(x, eps):
    """μ_B and σ_B in NumPy, for arrays real or complex."""
    axis = (0, *range(2, x.ndim))
    mu = x.mean(axis, keepdims=True)
    return mu, np.sqrt(((x - mu) * (x - mu)).mean(axis, keepdims=True) + eps)


def rule(x, r, d, w, b, eps=1e-5):
    mu, sigma = moments(x, eps)
    return ((x - mu) / sigma * r + d) * spread(w, x) + spread(b, x)


def clipped(x, m, s, rmax, dmax, eps=1e-5):
    mu, sigma = moments(x, eps)
    return np.clip(sigma / spread(s, x), 1 / rmax, rmax), np.clip((mu - spread(m, x)) / spread(s, x), -dmax, dmax)


# Values -----------------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("rmax", "dmax"), [(3.0, 5.0), (1.1, 0.2), (np.inf, np.inf)])
def test_the_formula(rng, shape, rmax, dmax, backward):
    (x, w, b), (m, s), _ = drawn(rng, shape)
    r, d = clipped(x.data, m, s, rmax, dmax)
    y = F.batch_renorm(x, m.copy(), s.copy(), w, b, True, rmax=rmax, dmax=dmax, backward=backward)
    np.testing.assert_allclose(y.data, rule(x.data, r, d, w.data, b.data), atol=1e-13)


@both_ways
@pytest.mark.parametrize("shape", SHAPES)
def test_unclipped_training_computes_what_inference_does(rng, shape, backward):
    """With the statistics held *before* the update: r and d are taken first."""
    (x, w, b), (m, s), _ = drawn(rng, shape)
    expected = F.batch_renorm(x, m, s, w, b, training=False, backward=backward)
    np.testing.assert_allclose(expected.data, (x.data - spread(m, x)) / spread(s, x) * spread(w.data, x) + spread(b.data, x))
    m_after, s_after = m.copy(), s.copy()
    y = F.batch_renorm(x, m_after, s_after, w, b, True, 0.5, rmax=np.inf, dmax=np.inf, backward=backward)
    np.testing.assert_allclose(y.data, expected.data, atol=1e-13)
    after = F.batch_renorm(x, m_after, s_after, w, b, training=False, backward=backward)
    assert np.abs(after.data - y.data).max() > 0.01


@both_ways
@pytest.mark.parametrize("shape", SHAPES)
def test_without_correction_it_is_batch_norm(rng, shape, backward):
    (x, w, b), (m, s), dy = drawn(rng, shape)
    theirs = F.batch_norm(x, None, None, w, b, True)
    for given, bounds in (((m, s), {"rmax": 1.0, "dmax": 0.0}), ((None, None), {})):
        ours = F.batch_renorm(x, *given, w, b, True, backward=backward, **bounds)
        np.testing.assert_allclose(ours.data, theirs.data, atol=1e-14)
        for g, e in zip(tn.grad(ours, [x, w, b], dy), tn.grad(theirs, [x, w, b], dy)):
            np.testing.assert_allclose(g.data, e.data, atol=1e-13)
    inference = F.batch_renorm(x, weight=w, bias=b, backward=backward)  # no running statistics: the batch's
    np.testing.assert_allclose(inference.data, theirs.data, atol=1e-14)


# Gradients --------------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("rmax", "dmax"), [(3.0, 5.0), (1.1, 0.2)])
def test_the_gradient_is_that_with_r_and_d_held(rng, shape, rmax, dmax, backward):
    (x, w, b), (m, s), dy = drawn(rng, shape)
    r, d = clipped(x.data, m, s, rmax, dmax)
    y = F.batch_renorm(x, m.copy(), s.copy(), w, b, True, rmax=rmax, dmax=dmax, backward=backward)
    held = [gradient(lambda x, w, b: rule(x, r, d, w, b), [t.data for t in (x, w, b)], k, dy) for k in range(3)]
    for g, e in zip(tn.grad(y, [x, w, b], dy), held):
        np.testing.assert_allclose(g.data, e, atol=1e-12)


@both_ways
def test_the_derivative_of_the_whole_step_is_another(rng, backward):
    """Let r and d move with x, unclipped: the step is (x − m)/s, its derivative g/s, and not what flows back."""
    (x, w, b), (m, s), dy = drawn(rng, (6, 3))

    def whole(x):
        mu, sigma = moments(x, 1e-5)
        return rule(x, sigma / s, (mu - m) / s, w.data, b.data)

    moving = gradient(whole, [x.data], 0, dy)
    np.testing.assert_allclose(moving, dy * w.data / s, atol=1e-12)
    y = F.batch_renorm(x, m.copy(), s.copy(), w, b, True, rmax=np.inf, dmax=np.inf, backward=backward)
    (dx,) = tn.grad(y, x, dy)
    assert np.abs(dx.data - moving).max() > 0.1
    np.testing.assert_allclose(dx.data.sum(0), 0, atol=1e-13)  # as in BatchNorm: nothing along the mean of a channel
    assert np.abs(moving.sum(0)).max() > 0.1


def test_r_and_d_are_constants_of_the_record(rng):
    (x, w, b), (m, s), _ = drawn(rng, (6, 3))
    y = F.batch_renorm(x, m.copy(), s.copy(), w, b, True)
    held = {t.name: t for t in tn.graph(y).tensors if t.name in ("r", "d")}
    r, d = clipped(x.data, m, s, 3.0, 5.0)
    np.testing.assert_allclose(held["r"].data, r, rtol=1e-14)
    np.testing.assert_allclose(held["d"].data, d, rtol=1e-14)
    assert not any(t.requires_grad for t in held.values())
    fused = F.batch_renorm(x, m.copy(), s.copy(), w, b, True, backward="analytic")
    assert fused.op.pullbacks[1] is None
    assert fused.op.pullbacks[2] is None


@both_ways
def test_inference_gradients_with_respect_to_the_statistics(rng, backward):
    (x, w, b), (m, s), dy = drawn(rng, (4, 3, 5))
    inputs = [x, tn.tensor(m, requires_grad=True), tn.tensor(s, requires_grad=True), w, b]
    y = F.batch_renorm(*inputs, backward=backward)

    def value(x, m, s, w, b):
        return (x - m[:, None]) / s[:, None] * w[:, None] + b[:, None]

    for k, g in enumerate(tn.grad(y, inputs, dy)):
        np.testing.assert_allclose(g.data, gradient(value, [t.data for t in inputs], k, dy), atol=1e-12)


# Running statistics -----------------------------------------------------------------------------------------------


@both_ways
def test_kerass_test_of_renorm(rng, backward):
    """The case of Keras' ``test_renorm_correctness``: ε = 1e-3, 0.8 as the weight of the old statistics, no clipping."""
    x = np.array([[4.0, 6.0, 2.0], [8.0, -2.0, 5.0], [6.0, 4.0, 3.0]])
    m, s = rng.normal(0, 1, 3), np.abs(rng.normal(1, 0.5, 3))
    w, b = rng.normal(1, 0.1, 3), rng.normal(0, 0.1, 3)
    mean, std = x.mean(0), np.sqrt(x.var(0) + 1e-3)
    expected = ((x - mean) / std * (std / s) + (mean - m) / s) * w + b
    m_t, s_t = tn.tensor(m), tn.tensor(s)
    y = F.batch_renorm(tn.tensor(x), m_t, s_t, tn.tensor(w), tn.tensor(b), True, 0.2, 1e-3, np.inf, np.inf, backward)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12)
    np.testing.assert_allclose(m_t.data, 0.8 * m + 0.2 * mean, rtol=1e-14)
    np.testing.assert_allclose(s_t.data, 0.8 * s + 0.2 * std, rtol=1e-14)  # the deviation itself, biased, with ε


@both_ways
@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_a_record_of_inference_keeps_its_statistics(rng, kind, backward):
    (x, w, b), (m, s), dy = drawn(rng, (6, 3))
    before = s.copy()
    m, s = (m, s) if kind == "array" else (tn.tensor(m), tn.tensor(s))
    y = F.batch_renorm(x, m, s, w, b, backward=backward)
    F.batch_renorm(x, m, s, w, b, True, 0.9)
    assert np.abs(np.asarray(s) - before).max() > 0.1
    (dx,) = tn.grad(y, x, dy)
    np.testing.assert_allclose(dx.data, dy * w.data / before, rtol=1e-12)


@both_ways
def test_inference_changes_nothing_and_training_forgets_geometrically(rng, backward):
    (x, w, b), (m, s), _ = drawn(rng, (6, 3))
    first = m.copy(), s.copy()
    F.batch_renorm(x, m, s, w, b, backward=backward)
    np.testing.assert_array_equal([m, s], first)
    for _ in range(20):
        F.batch_renorm(x, m, s, w, b, True, 0.1, backward=backward)
    mu, sigma = moments(x.data, 1e-5)
    np.testing.assert_allclose(m, mu[0] + 0.9**20 * (first[0] - mu[0]), rtol=1e-12)
    np.testing.assert_allclose(s, sigma[0] + 0.9**20 * (first[1] - sigma[0]), rtol=1e-12)


# Edges ------------------------------------------------------------------------------------------------------------


@both_ways
def test_a_running_deviation_of_zero_counts_as_the_root_of_eps(rng, backward):
    (x, w, b), (m, _), dy = drawn(rng, (6, 3))
    zero = tn.tensor([0.0, 1.0, 2.0])
    y = F.batch_renorm(x, m, zero, w, b, eps=0.04, backward=backward)
    np.testing.assert_allclose(y.data, (x.data - m) / [0.2, 1.0, 2.0] * w.data + b.data, rtol=1e-12)
    (dx,) = tn.grad(y, x, dy)
    np.testing.assert_allclose(dx.data, dy * w.data / [0.2, 1.0, 2.0], rtol=1e-12)
    unclipped = F.batch_renorm(x, m, zero, w, b, True, eps=0.04, rmax=np.inf, dmax=np.inf, backward=backward)
    np.testing.assert_allclose(unclipped.data, y.data, rtol=1e-11)


@both_ways
@pytest.mark.parametrize("training", [True, False])
def test_dtypes_stay_whatever_the_buffers_are(rng, training, backward):
    for dtype in ("float16", "float32"):
        (x, w, b), (m, s), dy = drawn(rng, (6, 3), dtype)
        y = F.batch_renorm(x, m, s, w, b, training, backward=backward)  # float64 buffers
        assert y.dtype == dtype
        assert [g.dtype for g in tn.grad(y, [x, w, b], dy.astype(dtype))] == [np.dtype(dtype)] * 3


@both_ways
def test_float16_squares_that_overflow(backward):
    x = tn.tensor(np.array([[300.0], [-300.0], *([[0.0]] * 48)], "float16"), requires_grad=True)
    y = F.batch_renorm(x, np.zeros(1), np.full(1, 30.0), training=True, backward=backward)  # σ_B = 60
    np.testing.assert_allclose(y.data[:2, 0], [10.0, -10.0], rtol=1e-3)
    (g,) = tn.grad(y, x, np.arange(50, dtype="float16").reshape(50, 1))
    assert np.isfinite(g.data).all()


@both_ways
@pytest.mark.parametrize("given", [(True, False), (False, True), (False, False)])
def test_either_parameter_may_be_missing(rng, given, backward):
    (x, w, b), (m, s), dy = drawn(rng, (6, 3))
    w, b = (p if there else None for p, there in zip((w, b), given))
    for training in (True, False):
        y = F.batch_renorm(x, m.copy(), s.copy(), w, b, training, backward=backward)
        r, d = clipped(x.data, m, s, 3.0, 5.0)
        w_, b_ = np.ones(3) if w is None else w.data, np.zeros(3) if b is None else b.data
        expected = rule(x.data, r, d, w_, b_) if training else (x.data - m) / s * w_ + b_
        np.testing.assert_allclose(y.data, expected, atol=1e-12)
        leaves = [t for t in (x, w, b) if t is not None]
        assert [g.shape for g in tn.grad(y, leaves, dy)] == [t.shape for t in leaves]


@both_ways
def test_an_empty_batch_is_empty_and_moves_nothing(backward):
    m, s = np.ones(3), np.full(3, 2.0)
    with np.errstate(invalid="ignore"):  # the mean of nothing, as in every other norm
        y = F.batch_renorm(tn.tensor(np.zeros((0, 3))), m, s, training=True, backward=backward)
    assert y.shape == (0, 3)
    np.testing.assert_array_equal([m, s], [np.ones(3), np.full(3, 2.0)])


def test_messages():
    x = tn.tensor(np.ones((1, 3)), name="x")
    with pytest.raises(
        tn.ShapeError, match=r"batch_renorm: input x \(1, 3\) float64: Expected more than 1 value per channel.*larger batch"
    ):
        F.batch_renorm(x, np.zeros(3), np.ones(3), training=True)
    F.batch_renorm(x, np.zeros(3), np.ones(3))  # inference may
    x = tn.tensor(np.ones((4, 3)))
    with pytest.raises(tn.ShapeError, match="running_mean and running_std go together"):
        F.batch_renorm(x, np.zeros(3))
    with pytest.raises(tn.ShapeError, match=r"running_std \(2,\) float64 with 3 channels: its shape must be \(3,\)"):
        F.batch_renorm(x, np.zeros(3), np.ones(2))
    with pytest.raises(tn.ShapeError, match=r"it takes \(N, C, …\)"):
        F.batch_renorm(tn.tensor(np.ones(3)))
    with pytest.raises(tn.DTypeError, match="not floating point"):
        F.batch_renorm(tn.tensor([[1, 2], [3, 4]]))
    for wrong in ({"rmax": 0.5}, {"dmax": -1.0}, {"rmax": np.nan}):
        with pytest.raises(ValueError, match=r"(rmax|dmax)=.*; it is a number from (1|0) on"):
            F.batch_renorm(x, **wrong)
    with pytest.raises(ValueError, match='"recorded", "analytic" or "compiled"'):
        F.batch_renorm(x, np.zeros(3), np.ones(3), training=True, backward="fused")


def test_a_wrong_word_moves_no_statistics():
    x, m, s = tn.tensor(np.arange(6.0).reshape(3, 2)), np.zeros(2), np.ones(2)
    with pytest.raises(ValueError, match="fused"):
        F.batch_renorm(x, m, s, training=True, backward="fused")
    np.testing.assert_array_equal([m, s], [[0, 0], [1, 1]])
