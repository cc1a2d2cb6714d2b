"""BatchNorm: both of its ways to compute, its running statistics, and what must not leak from one into the other."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

from ..oracles import gradient

F = tn.functional
WAYS = ("recorded", "analytic")
both_ways = pytest.mark.parametrize("backward", WAYS)
SHAPES = [(5, 3), (4, 3, 2), (2, 3, 2, 3), (2, 2, 2, 1, 3)]


def leaves(rng, shape, dtype="float64"):
    """Every channel has a mean and a spread of its own; γ and β are random."""
    c = shape[1]
    spread = (c, *(1,) * (len(shape) - 2))
    x = rng.normal(size=shape) * np.linspace(0.5, 3, c).reshape(spread) + np.linspace(-4, 4, c).reshape(spread)
    arrays = {"x": x, "γ": rng.normal(size=c), "β": rng.normal(size=c)}
    return [tn.tensor(a, dtype, requires_grad=True, name=n) for n, a in arrays.items()]


def others(x):
    return (0, *range(2, x.ndim))


def over_places(p, x):
    return p.reshape(-1, *(1,) * (x.ndim - 2))


def in_training(x, w, b, eps=1e-5):
    """Written with what NumPy has, for arrays real or complex."""
    c = x - x.mean(others(x), keepdims=True)
    return c / np.sqrt((c * c).mean(others(x), keepdims=True) + eps) * over_places(w, x) + over_places(b, x)


def in_inference(x, w, b, m, v, eps=1e-5):
    m, v, w, b = (over_places(p, x) for p in (m, v, w, b))
    return (x - m) / np.sqrt(v + eps) * w + b


# Values and gradients ---------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_training_against_complex_step(shape, eps, backward, rng):
    inputs = leaves(rng, shape)
    arrays = [t.data for t in inputs]
    dy = rng.normal(size=shape)
    y = F.batch_norm(inputs[0], None, None, *inputs[1:], training=True, eps=eps, backward=backward)
    np.testing.assert_allclose(y.data, in_training(*arrays, eps), atol=1e-13)
    for k, g in enumerate(tn.grad(y, inputs, dy)):
        expected = gradient(lambda *a: in_training(*a, eps), arrays, k, dy)
        np.testing.assert_allclose(g.data, expected, atol=1e-12)


@both_ways
@pytest.mark.parametrize("shape", SHAPES)
def test_inference_against_complex_step(shape, backward, rng):
    """With respect to the running statistics, too: nobody needs dm and dv, but the formulas stand in the file's head."""
    c = shape[1]
    inputs = [*leaves(rng, shape), tn.tensor(rng.normal(size=c), requires_grad=True)]
    inputs.append(tn.tensor(rng.uniform(0.3, 3, c), requires_grad=True))
    arrays = [t.data for t in inputs]
    x, w, b, m, v = inputs
    dy = rng.normal(size=shape)
    y = F.batch_norm(x, m, v, w, b, backward=backward)
    np.testing.assert_allclose(y.data, in_inference(*arrays), atol=1e-13)
    for k, g in enumerate(tn.grad(y, inputs, dy)):
        np.testing.assert_allclose(g.data, gradient(in_inference, arrays, k, dy), atol=1e-12)


@both_ways
def test_the_one_line_form_of_the_literature(backward, rng):
    """dx = γ·rstd/M·(M·dy − dβ − x̂·dγ)."""
    x, w, b = leaves(rng, (6, 3, 2))
    dy = rng.normal(size=x.shape)
    y = F.batch_norm(x, None, None, w, b, True, backward=backward)
    dx, dw, db = (g.data for g in tn.grad(y, [x, w, b], dy))
    xhat = in_training(x.data, np.ones(3), np.zeros(3))
    rstd = 1 / np.sqrt(x.data.var((0, 2)) + 1e-5)
    w, rstd, db, dw = (over_places(p, x) for p in (w.data, rstd, db, dw))
    np.testing.assert_allclose(dx, w * rstd / 12 * (12 * dy - db - xhat * dw), atol=1e-13)


@both_ways
def test_geometry(backward, rng):
    """Per channel dx sums to 0 over the batch, the sum of y has no gradient, and no channel feels another's cotangent."""
    x, w, b = leaves(rng, (4, 3, 2))
    y = F.batch_norm(x, None, None, w, b, True, backward=backward)
    dy = rng.normal(size=x.shape)
    (dx,) = tn.grad(y, x, dy)
    np.testing.assert_allclose(dx.data.sum((0, 2)), 0, atol=1e-13)
    np.testing.assert_allclose(tn.grad(y.sum(), x)[0].data, 0, atol=1e-13)
    dy[:, 1] = rng.normal(size=(4, 2))
    (again,) = tn.grad(y, x, dy)
    np.testing.assert_allclose(again.data[:, [0, 2]], dx.data[:, [0, 2]], atol=1e-15)
    assert np.abs(again.data[:, 1] - dx.data[:, 1]).max() > 0.01


@both_ways
def test_a_constant_added_before_it_has_no_gradient(backward, rng):
    x, w, b = leaves(rng, (5, 3))
    before = tn.tensor(rng.normal(size=3), requires_grad=True)
    y = F.batch_norm(x + before, None, None, w, b, True, backward=backward)
    np.testing.assert_allclose(tn.grad(y, before, rng.normal(size=(5, 3)))[0].data, 0, atol=1e-13)


@both_ways
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
def test_every_subset_of_gradients(backward, training, wanted, rng):
    arrays = [t.data for t in leaves(rng, (4, 3, 2))]
    running, dy = (np.array([0.3, -1.0, 2.0]), np.array([0.5, 2.0, 1.0])), rng.normal(size=(4, 3, 2))
    every = [tn.tensor(a, requires_grad=True) for a in arrays]
    some = [tn.tensor(a, requires_grad=k in wanted) for k, a in enumerate(arrays)]
    copies = [a.copy() for a in running]
    whole = tn.grad(F.batch_norm(every[0], *copies, *every[1:], training, backward=backward), every, dy)
    y = F.batch_norm(some[0], *running, *some[1:], training, backward=backward)
    part = tn.grad(y, [some[k] for k in wanted], dy)
    for k, g in zip(wanted, part):
        np.testing.assert_allclose(g.data, whole[k].data, rtol=1e-14, atol=1e-14)


@both_ways
@pytest.mark.parametrize("given", [(), ("weight",), ("bias",)])
@pytest.mark.parametrize("training", [True, False])
def test_without_gamma_or_beta(backward, given, training, rng):
    x, w, b = leaves(rng, (4, 3, 2))
    m, v = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    affine = {"weight": w, "bias": b}
    kept = {n: affine[n] for n in given}
    filled = [kept.get("weight", tn.tensor(np.ones(3))).data, kept.get("bias", tn.tensor(np.zeros(3))).data]
    expected = in_training(x.data, *filled) if training else in_inference(x.data, *filled, m, v)
    y = F.batch_norm(x, None if training else m, None if training else v, training=training, backward=backward, **kept)
    np.testing.assert_allclose(y.data, expected, atol=1e-13)


# Inference: what it normalizes by -------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("buffers", ["tensors", "arrays"])
@pytest.mark.parametrize("changed_by", ["a training batch", "hand"])
def test_the_backward_of_inference_uses_the_statistics_of_its_own_forward(backward, buffers, changed_by, rng):
    """pytorch#13402: updated in between, the gradient became one of a function nobody had computed."""
    x, w, b = leaves(rng, (4, 3))
    m, v = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    dy = rng.normal(size=(4, 3))
    expected = [gradient(lambda *a: in_inference(*a, m, v), [t.data for t in (x, w, b)], k, dy) for k in range(3)]
    running = [m.copy(), v.copy()] if buffers == "arrays" else [tn.tensor(m), tn.tensor(v)]
    y = F.batch_norm(x, *running, w, b, backward=backward)
    if changed_by == "hand" and buffers == "arrays":
        running[0][:], running[1][:] = 50.0, 70.0
    elif changed_by == "hand":
        running[0].data, running[1].data = np.full(3, 50.0), np.full(3, 70.0)
    else:
        F.batch_norm(tn.tensor(rng.normal(20, 30, (9, 3))), *running, training=True, momentum=0.9)
    assert np.abs(np.asarray(running[1]) - v).min() > 10
    for g, e in zip(tn.grad(y, [x, w, b], dy), expected):
        np.testing.assert_allclose(g.data, e, atol=1e-12)


@both_ways
def test_inference_couples_nothing(backward, rng):
    """dx = γ·dy/√(v + ε), and so its derivative by x is zero, while those by γ and by dy are not."""
    x, w, b = leaves(rng, (4, 3, 2))
    m, v = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    dy, u = tn.tensor(rng.normal(size=x.shape), requires_grad=True), rng.normal(size=x.shape)
    y = F.batch_norm(x, m, v, w, b, backward=backward)
    (dx,) = tn.grad(y, x, dy, create_graph=True)
    scale = over_places(1 / np.sqrt(v + 1e-5), x)
    np.testing.assert_allclose(dx.data, over_places(w.data, x) * dy.data * scale, atol=1e-13)
    by_x, by_w, by_dy = tn.grad(dx, [x, w, dy], u, allow_unused=True)
    assert by_x is None or not by_x.data.any()
    np.testing.assert_allclose(by_w.data, (u * dy.data * scale).sum((0, 2)), atol=1e-13)
    np.testing.assert_allclose(by_dy.data, over_places(w.data, x) * u * scale, atol=1e-13)


@both_ways
def test_without_running_statistics_inference_uses_the_batch(backward, rng):
    x, w, b = leaves(rng, (4, 3, 2))
    y = F.batch_norm(x, None, None, w, b, training=False, backward=backward)
    np.testing.assert_allclose(y.data, in_training(x.data, w.data, b.data), atol=1e-13)


@both_ways
def test_inference_changes_no_statistics(backward, rng):
    m, v = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    before = m.copy(), v.copy()
    F.batch_norm(leaves(rng, (4, 3))[0], m, v, backward=backward)
    np.testing.assert_array_equal((m, v), before)


# Running statistics -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("buffers", ["tensors", "arrays"])
@pytest.mark.parametrize(
    ("momentum", "of", "share"), [(0.1, "new", 0.1), (0.9, "old", 0.1), (0.3, "new", 0.3), (0.3, "old", 0.7)]
)
@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (2, 3, 2, 3)])
def test_what_one_batch_does_to_them(buffers, momentum, of, share, correction, shape, rng):
    x = leaves(rng, shape)[0]
    m, v = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    running = [m.copy(), v.copy()] if buffers == "arrays" else [tn.tensor(m), tn.tensor(v)]
    F.batch_norm(x, *running, training=True, momentum=momentum, momentum_of=of, running_correction=correction)
    np.testing.assert_allclose(running[0], (1 - share) * m + share * x.data.mean(others(x)), rtol=1e-13)
    np.testing.assert_allclose(running[1], (1 - share) * v + share * x.data.var(others(x), ddof=correction), rtol=1e-13)


def test_they_are_float32_where_they_were(rng):
    m, v, t = np.zeros(3, "float32"), np.ones(3, "float32"), tn.tensor(np.zeros(3, "float32"))
    F.batch_norm(leaves(rng, (5, 3))[0], m, v, training=True)
    F.batch_norm(leaves(rng, (5, 3))[0], t, v, training=True)
    assert {m.dtype, v.dtype, t.dtype} == {np.dtype("float32")}


def test_the_same_batch_again_and_again(rng):
    """From 0 towards μ: after T batches 1 − (1 − momentum)ᵀ of the way."""
    x = leaves(rng, (6, 3))[0]
    m, v = np.zeros(3), np.ones(3)
    for steps in range(1, 21):
        F.batch_norm(x, m, v, training=True)
        way = 1 - 0.9**steps
        np.testing.assert_allclose(m, way * x.data.mean(0), rtol=1e-12)
        np.testing.assert_allclose(v, 1 - way + way * x.data.var(0, ddof=1), rtol=1e-12)
    assert way == pytest.approx(0.8784, abs=1e-4)


@both_ways
def test_they_are_outside_the_record(backward, rng):
    """Kept inside, dx would have two terms more; here no statistic, old or new, is part of anything."""
    inputs = leaves(rng, (5, 3))
    dy = rng.normal(size=(5, 3))
    running = [tn.tensor(np.zeros(3), name="m"), tn.tensor(np.ones(3), name="v")]
    plain = F.batch_norm(inputs[0], None, None, *inputs[1:], training=True, backward=backward)
    y = F.batch_norm(inputs[0], *running, *inputs[1:], training=True, backward=backward)
    for a, e in zip(tn.grad(y, inputs, dy), tn.grad(plain, inputs, dy)):
        np.testing.assert_array_equal(a.data, e.data)
    assert not any(t is r for t in tn.graph(y).tensors for r in running)
    assert not any(r.requires_grad or r.grad is not None or r.op for r in running)


def test_a_huge_mean_keeps_its_variance():
    """E[x²] − E[x]² in float32 gives 0 or less here."""
    x = tn.tensor(np.float32([[4094.5], [4095.5], [4096.5], [4097.5]]))
    m, v = np.zeros(1, "float32"), np.ones(1, "float32")
    y = F.batch_norm(x, m, v, training=True, momentum=1.0)
    np.testing.assert_allclose(v, [5 / 3], rtol=1e-6)
    np.testing.assert_allclose(y.data[:, 0], [-1.3416, -0.4472, 0.4472, 1.3416], atol=1e-4)


# Sums along the batch in float32 ----------------------------------------------------------------------------------
# A column added up one entry after the other stops at 2²⁴: 16777216 + 1 is 16777216 in float32.


def large_and_ones(rows=1 << 17):
    column = np.ones((rows, 3), "float32")
    column[0] = 2.0**24
    return column


def test_the_input_does_show_it():
    np.testing.assert_array_equal(large_and_ones().sum(0), np.float32(2**24))


@both_ways
@pytest.mark.parametrize("training", [True, False])
def test_sums_for_gamma_and_beta_lose_nothing(backward, training):
    rng = np.random.default_rng(0)
    dy = large_and_ones()
    x, w, b = leaves(rng, dy.shape, "float32")
    m, v = np.float32([0.1, 0.2, 0.3]), np.float32([1, 2, 3])
    y = F.batch_norm(x, m, v, w, b, training, backward=backward)
    xhat = (y.data - b.data) / w.data.astype("float64")
    dw, db = tn.grad(y, [w, b], dy)
    np.testing.assert_allclose(db.data, dy.sum(0, dtype="float64"), rtol=2e-5)
    np.testing.assert_allclose(dw.data, (dy * xhat).sum(0), rtol=2e-5, atol=20)
    x, w, b = leaves(rng, dy.shape, "float32")
    signs = np.sign(x.data - np.median(x.data, 0))
    y = F.batch_norm(x, m, v, w, b, False, backward=backward)
    (dw,) = tn.grad(y, w, dy * signs)
    xhat = (x.data - m) / np.sqrt(v + 1e-5)
    np.testing.assert_allclose(dw.data, (dy.astype("float64") * signs * xhat).sum(0), rtol=2e-5)


@both_ways
def test_what_is_left_of_a_sum_that_cancels(backward):
    """2³⁴ + 1 + 1 + … − 2³⁴: pieces summed in float32 may lose what is in the first and the last, not what lies between."""
    dy = np.ones((1 << 17, 3), "float32")
    dy[0], dy[-1] = 2.0**34, -(2.0**34)
    x, w, b = leaves(np.random.default_rng(0), dy.shape, "float32")
    (db,) = tn.grad(F.batch_norm(x, None, None, w, b, True, backward=backward), b, dy)
    np.testing.assert_allclose(db.data, len(dy) - 2, rtol=0.02)


@both_ways
def test_means_over_the_batch_lose_nothing(backward):
    """μ is 129; with a sum that stops at 2²⁴ it would be 128, and every entry but the first off by 1 of 128."""
    x = large_and_ones()
    m, v = np.zeros(3), np.ones(3)
    y = F.batch_norm(tn.from_numpy(x), m, v, training=True, momentum=1.0, backward=backward).data
    wide = x.astype("float64")
    np.testing.assert_allclose(m, wide.mean(0), rtol=1e-14)
    np.testing.assert_allclose(v, wide.var(0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(y[1:], np.broadcast_to((1 - wide.mean(0)) / wide.std(0), y[1:].shape), rtol=1e-4)


# Edges ------------------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1), (1, 3, 1, 1)])
def test_a_single_value_per_channel(backward, shape, rng):
    x = tn.tensor(rng.normal(size=shape), name="h")
    m, v = np.zeros(3), np.ones(3)
    words = r"batch_norm: input h \(1, 3.*float64: Expected more than 1 value per channel when training.*larger batch"
    with pytest.raises(tn.ShapeError, match=words):
        F.batch_norm(x, m, v, training=True, backward=backward)
    with pytest.raises(tn.ShapeError, match=words):
        F.batch_norm(x, training=False, backward=backward)
    np.testing.assert_array_equal((m, v), (np.zeros(3), np.ones(3)))
    np.testing.assert_allclose(F.batch_norm(x, m, v, backward=backward).data, x.data / np.sqrt(1 + 1e-5))


@both_ways
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2), (2, 3, 0)])
def test_an_empty_batch(backward, training, shape, rng):
    x, w, b = leaves(rng, shape)
    m, v = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    before = m.copy(), v.copy()
    y = F.batch_norm(x, m, v, w, b, training, backward=backward)
    dx, dw, db = tn.grad(y, [x, w, b], np.ones(shape))
    assert y.shape == dx.shape == shape
    np.testing.assert_array_equal((dw.data, db.data), np.zeros((2, 3)))
    np.testing.assert_array_equal((m, v), before)


@both_ways
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_stay_in_their_channel(backward, training, bad, rng):
    x, w, b = leaves(rng, (4, 3, 2))
    data = x.data.copy()
    data[2, 1, 0] = bad
    x = tn.tensor(data, requires_grad=True)
    m, v = np.zeros(3), np.ones(3)
    dy = rng.normal(size=(4, 3, 2))
    with np.errstate(invalid="ignore"):
        y = F.batch_norm(x, m, v, w, b, training, backward=backward)
        grads = [g.data for g in tn.grad(y, [x, w, b], dy)]
    rest = np.array([0, 2])
    for a in (y.data[:, rest], grads[0][:, rest], grads[1][rest], grads[2], m[rest], v[rest]):
        assert np.isfinite(a).all()
    if training:
        for a in (y.data[:, 1], grads[0][:, 1], grads[1][1], v[1]):
            assert np.isnan(a).all()
    else:  # nothing is shared: only the entry itself is lost
        assert np.argwhere(~np.isfinite(y.data)).tolist() == [[2, 1, 0]]
        assert np.isfinite(grads[0]).all()


@both_ways
@pytest.mark.parametrize("shape", [(2, 3), (1, 3, 2)])
def test_two_values_per_channel_are_a_sign(backward, shape, rng):
    """x̂ is ±1 whatever the distance, so dx is 0: what is behind the collapse at batch size 2."""
    x, w, b = leaves(rng, shape)
    y = F.batch_norm(x, None, None, w, b, True, eps=0.0, backward=backward)
    first, second = np.moveaxis(x.data, 1, -1).reshape(2, 3)
    expected = np.sign(np.stack([first - second, second - first])) * w.data + b.data
    np.testing.assert_allclose(np.moveaxis(y.data, 1, -1).reshape(2, 3), expected, atol=1e-14)
    dy = rng.normal(size=shape)
    np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, 0, atol=1e-12)
    half = (first - second) / 2  # with ε, x̂ = ±half/√(half² + ε), and what is left of the gradient is its slope
    first_dy, second_dy = np.moveaxis(dy, 1, -1).reshape(2, 3)
    slope = w.data * (first_dy - second_dy) / 2 * 0.01 / (half**2 + 0.01) ** 1.5
    (dx,) = tn.grad(F.batch_norm(x, None, None, w, b, True, eps=0.01, backward=backward), x, dy)
    np.testing.assert_allclose(np.moveaxis(dx.data, 1, -1).reshape(2, 3), [slope, -slope], atol=1e-13)


@both_ways
def test_a_constant_channel(backward, rng):
    """σ = 0: y = β and dx = γ·(dy − mean(dy))/√ε, finite because ε stands inside the root."""
    x, w, b = leaves(rng, (4, 3))
    data = x.data.copy()
    data[:, 1] = 7.0
    x = tn.tensor(data, requires_grad=True)
    dy = rng.normal(size=(4, 3))
    y = F.batch_norm(x, None, None, w, b, True, backward=backward)
    dx, dw, _ = tn.grad(y, [x, w, b], dy)
    np.testing.assert_array_equal(y.data[:, 1], b.data[1])
    np.testing.assert_allclose(dx.data[:, 1], w.data[1] * (dy[:, 1] - dy[:, 1].mean()) / np.sqrt(1e-5), rtol=1e-12)
    assert dw.data[1] == 0


@both_ways
def test_gamma_with_zeros(backward, rng):
    x, _, b = leaves(rng, (4, 3))
    w = tn.tensor([0.0, 1.5, 0.0], requires_grad=True)
    dy = rng.normal(size=(4, 3))
    dx, dw = tn.grad(F.batch_norm(x, None, None, w, b, True, backward=backward), [x, w], dy)
    np.testing.assert_allclose(dw.data, (dy * in_training(x.data, np.ones(3), np.zeros(3))).sum(0), atol=1e-13)
    assert not dx.data[:, [0, 2]].any()
    assert dx.data[:, 1].any()


@both_ways
def test_float16_squares_that_overflow(backward):
    x = tn.tensor(np.array([[300.0], [-300.0]] + [[0.0]] * 48, "float16"), requires_grad=True)
    m, v = np.zeros(1, "float32"), np.ones(1, "float32")
    y = F.batch_norm(x, m, v, training=True, momentum=1.0, backward=backward)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.data[:2, 0], [5.0, -5.0], rtol=1e-3)  # 300/60
    np.testing.assert_allclose(v, 3600 * 50 / 49, rtol=1e-6)


# Misuse -----------------------------------------------------------------------------------------------------------

X = tn.tensor(np.ones((4, 3)), name="h")
ONE, TWO = np.ones(3), np.ones(2)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.batch_norm(tn.tensor(np.ones(3))), tn.ShapeError, r"batch_norm: input \(3,\) float64 has 1 axes.*\(N, C"),
        (lambda: F.batch_norm(X, TWO, TWO), tn.ShapeError, r"running_mean \(2,\).*3 channels.*must be \(3,\)"),
        (lambda: F.batch_norm(X, ONE, TWO), tn.ShapeError, r"running_var \(2,\).*3 channels"),
        (lambda: F.batch_norm(X, ONE), tn.ShapeError, "running_mean and running_var go together"),
        (lambda: F.batch_norm(X, weight=np.ones((3, 1)), training=True), tn.ShapeError, r"weight \(3, 1\).*must be \(3,\)"),
        (lambda: F.batch_norm(X, bias=TWO, training=True), tn.ShapeError, r"bias \(2,\)"),
        (lambda: F.batch_norm(np.ones((4, 3), int)), tn.DTypeError, "int64.*Cast first"),
        (lambda: F.batch_norm(X, training=True, backward="fused"), ValueError, '"recorded", "analytic" or "compiled"'),
        (lambda: F.batch_norm(X, ONE.copy(), ONE.copy(), training=True, momentum_of="both"), ValueError, '"new".*"old"'),
    ],
)
def test_misuse_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
