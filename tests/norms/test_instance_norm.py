"""InstanceNorm: each channel of each sample by itself, its seldom running statistics, and what it is equal to."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

from ..oracles import gradient

F = tn.functional
WAYS = ("recorded", "analytic")
both_ways = pytest.mark.parametrize("backward", WAYS)
SHAPES = [(2, 3, 5), (2, 3, 2, 3), (1, 2, 4), (2, 2, 2, 1, 3)]


def leaves(rng, shape, dtype="float64"):
    """Every instance has a mean and a spread of its own; γ and β are random."""
    lead = (*shape[:2], *(1,) * (len(shape) - 2))
    x = rng.normal(size=shape) * rng.uniform(0.5, 3, lead) + rng.normal(0, 4, lead)
    arrays = {"x": x, "γ": rng.normal(size=shape[1]), "β": rng.normal(size=shape[1])}
    return [tn.tensor(a, dtype, requires_grad=True, name=n) for n, a in arrays.items()]


def places(x):
    return tuple(range(2, x.ndim))


def over_places(p, x):
    return p.reshape(-1, *(1,) * (x.ndim - 2))


def reference(x, w, b, eps=1e-5):
    c = x - x.mean(places(x), keepdims=True)
    return c / np.sqrt((c * c).mean(places(x), keepdims=True) + eps) * over_places(w, x) + over_places(b, x)


def by_running(x, w, b, m, v):
    m, v, w, b = (over_places(p, x) for p in (m, v, w, b))
    return (x - m) / np.sqrt(v + 1e-5) * w + b


# Values and gradients ---------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_against_complex_step(shape, eps, backward, rng):
    inputs = leaves(rng, shape)
    arrays = [t.data for t in inputs]
    dy = rng.normal(size=shape)
    y = F.instance_norm(inputs[0], None, None, *inputs[1:], eps=eps, backward=backward)
    np.testing.assert_allclose(y.data, reference(*arrays, eps), atol=1e-13)
    for k, g in enumerate(tn.grad(y, inputs, dy)):
        expected = gradient(lambda *a: reference(*a, eps), arrays, k, dy)
        np.testing.assert_allclose(g.data, expected, atol=1e-11)


@both_ways
def test_running_statistics_against_complex_step(backward, rng):
    x, w, b = leaves(rng, (3, 2, 4))
    m = tn.tensor(rng.normal(size=2), requires_grad=True)
    v = tn.tensor(rng.uniform(0.5, 2, 2), requires_grad=True)
    inputs = [x, w, b, m, v]
    arrays = [t.data for t in inputs]
    dy = rng.normal(size=(3, 2, 4))
    y = F.instance_norm(x, m, v, w, b, use_input_stats=False, backward=backward)
    np.testing.assert_allclose(y.data, by_running(*arrays), atol=1e-13)
    for k, g in enumerate(tn.grad(y, inputs, dy)):
        np.testing.assert_allclose(g.data, gradient(by_running, arrays, k, dy), atol=1e-12)


@both_ways
@pytest.mark.parametrize("buffers", ["tensors", "arrays"])
def test_the_backward_uses_the_running_statistics_of_its_own_forward(backward, buffers, rng):
    x, w, b = leaves(rng, (3, 2, 4))
    m, v = rng.normal(size=2), rng.uniform(0.5, 2, 2)
    dy = rng.normal(size=(3, 2, 4))
    expected = [gradient(lambda *a: by_running(*a, m, v), [t.data for t in (x, w, b)], k, dy) for k in range(3)]
    running = [m.copy(), v.copy()] if buffers == "arrays" else [tn.tensor(m), tn.tensor(v)]
    y = F.instance_norm(x, *running, w, b, use_input_stats=False, backward=backward)
    F.instance_norm(tn.tensor(rng.normal(20, 30, (2, 2, 9))), *running, momentum=0.9)
    assert np.abs(np.asarray(running[1]) - v).min() > 10
    for g, e in zip(tn.grad(y, [x, w, b], dy), expected):
        np.testing.assert_allclose(g.data, e, atol=1e-12)


@both_ways
def test_it_is_batch_norm_of_the_batch_folded_into_the_channels(backward, rng):
    x = leaves(rng, (2, 3, 4))[0]
    dy, u = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))
    found = []
    for y in (
        F.instance_norm(x, eps=0.1, backward=backward),
        F.batch_norm(x.reshape(1, 6, 4), training=True, eps=0.1, backward=backward).reshape(2, 3, 4),
        F.layer_norm(x, 4, eps=0.1, backward=backward),
    ):
        (dx,) = tn.grad(y, x, dy, create_graph=True)
        found.append([y.data, dx.data, tn.grad(dx, x, u)[0].data])
    for a, *same in zip(*found):
        for e in same:
            np.testing.assert_allclose(a, e, atol=1e-12)


@both_ways
def test_no_instance_feels_anothers_cotangent(backward, rng):
    x, w, b = leaves(rng, (3, 2, 4))
    y = F.instance_norm(x, None, None, w, b, backward=backward)
    dy = rng.normal(size=(3, 2, 4))
    (dx,) = tn.grad(y, x, dy)
    dy[1, 0] = rng.normal(size=4)
    (again,) = tn.grad(y, x, dy)
    changed = np.abs(again.data - dx.data).max(-1) > 1e-3
    np.testing.assert_array_equal(changed, [[False, False], [True, False], [False, False]])
    np.testing.assert_allclose(dx.data.sum(-1), 0, atol=1e-13)


# Running statistics -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("buffers", ["tensors", "arrays"])
@pytest.mark.parametrize(("momentum", "of", "share"), [(0.1, "new", 0.1), (0.9, "old", 0.1), (0.3, "new", 0.3)])
@pytest.mark.parametrize("correction", [0, 1])
def test_they_average_what_each_instance_has(buffers, momentum, of, share, correction, rng):
    x = leaves(rng, (4, 3, 2, 3))[0]
    m, v = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    running = [m.copy(), v.copy()] if buffers == "arrays" else [tn.tensor(m), tn.tensor(v)]
    y = F.instance_norm(x, *running, momentum=momentum, momentum_of=of, running_correction=correction)
    per_instance = x.data.var((2, 3), ddof=correction).mean(0)
    np.testing.assert_allclose(running[0], (1 - share) * m + share * x.data.mean((0, 2, 3)), rtol=1e-13)
    np.testing.assert_allclose(running[1], (1 - share) * v + share * per_instance, rtol=1e-13)
    assert (x.data.var((0, 2, 3)) > 1.2 * per_instance).any(), "the variance of the whole batch is another number"
    np.testing.assert_array_equal(y.data, F.instance_norm(x).data)


@both_ways
def test_normalizing_by_them_changes_them_not(backward, rng):
    m, v = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    before = m.copy(), v.copy()
    F.instance_norm(leaves(rng, (2, 3, 4))[0], m, v, use_input_stats=False, backward=backward)
    np.testing.assert_array_equal((m, v), before)


# Edges ------------------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("shape", [(2, 3, 1), (2, 3, 1, 1), (1, 3, 1)])
def test_a_single_place(backward, shape, rng):
    """However large the batch: nothing is shared with it. pytorch#45687."""
    x = tn.tensor(rng.normal(size=shape), name="h")
    m, v = np.zeros(3), np.ones(3)
    words = r"instance_norm: input h \(.*float64: Expected more than 1 spatial element when training.*layer_norm"
    with pytest.raises(tn.ShapeError, match=words):
        F.instance_norm(x, m, v, backward=backward)
    np.testing.assert_array_equal((m, v), (np.zeros(3), np.ones(3)))
    y = F.instance_norm(x, m, v, use_input_stats=False, backward=backward)
    np.testing.assert_allclose(y.data, x.data / np.sqrt(1 + 1e-5))


@both_ways
@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 3, 0)])
def test_an_empty_batch(backward, shape, rng):
    x, w, b = leaves(rng, shape)
    m, v = np.zeros(3), np.ones(3)
    y = F.instance_norm(x, m, v, w, b, backward=backward)
    dx, dw, db = tn.grad(y, [x, w, b], np.ones(shape))
    assert y.shape == dx.shape == shape
    np.testing.assert_array_equal((dw.data, db.data), np.zeros((2, 3)))
    np.testing.assert_array_equal((m, v), (np.zeros(3), np.ones(3)))


@both_ways
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_stay_in_their_instance(backward, bad, rng):
    x, w, b = leaves(rng, (2, 3, 4))
    data = x.data.copy()
    data[1, 2, 0] = bad
    x = tn.tensor(data, requires_grad=True)
    with np.errstate(invalid="ignore"):
        y = F.instance_norm(x, None, None, w, b, backward=backward)
        (dx,) = tn.grad(y, x, rng.normal(size=(2, 3, 4)))
    lost = np.zeros((2, 3, 4), bool)
    lost[1, 2] = True
    np.testing.assert_array_equal(np.isnan(y.data), lost)
    np.testing.assert_array_equal(np.isnan(dx.data), lost)


@both_ways
def test_a_constant_instance(backward, rng):
    """y = β and dx = γ·(dy − mean(dy))/√ε."""
    x, w, b = leaves(rng, (2, 3, 4))
    data = x.data.copy()
    data[0, 1] = 5.0
    x = tn.tensor(data, requires_grad=True)
    dy = rng.normal(size=(2, 3, 4))
    y = F.instance_norm(x, None, None, w, b, backward=backward)
    (dx,) = tn.grad(y, x, dy)
    np.testing.assert_array_equal(y.data[0, 1], b.data[1])
    np.testing.assert_allclose(dx.data[0, 1], w.data[1] * (dy[0, 1] - dy[0, 1].mean()) / np.sqrt(1e-5), rtol=1e-12)


# Misuse -----------------------------------------------------------------------------------------------------------

X = tn.tensor(np.ones((2, 3, 4)), name="h")
ONE, TWO = np.ones(3), np.ones(2)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.instance_norm(np.ones((2, 3))), tn.ShapeError, r"instance_norm: input \(2, 3\) float64 has 2 axes.*\(N, C, L"),
        (
            lambda: F.instance_norm(X, use_input_stats=False),
            tn.ShapeError,
            r"h \(2, 3, 4\).*no running statistics.*Give running_mean",
        ),
        (lambda: F.instance_norm(X, ONE), tn.ShapeError, "instance_norm: running_mean and running_var go together"),
        (lambda: F.instance_norm(X, TWO, TWO), tn.ShapeError, r"instance_norm: running_mean \(2,\).*3 channels.*must be \(3,\)"),
        (lambda: F.instance_norm(X, weight=TWO), tn.ShapeError, r"instance_norm: weight \(2,\)"),
        (lambda: F.instance_norm(X, bias=np.ones((3, 1))), tn.ShapeError, r"bias \(3, 1\)"),
        (lambda: F.instance_norm(np.ones((2, 3, 4), int)), tn.DTypeError, "int64.*Cast first"),
        (lambda: F.instance_norm(X, ONE.copy(), ONE.copy(), momentum_of="both"), ValueError, '"new".*"old"'),
    ],
)
def test_misuse_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_misuse_changes_no_statistics():
    m, v = np.zeros(3), np.ones(3)
    with pytest.raises(ValueError, match=r'instance_norm.*"recorded", "analytic" or "compiled"'):
        F.instance_norm(tn.tensor(np.arange(24.0).reshape(2, 3, 4)), m, v, backward="fused")
    np.testing.assert_array_equal((m, v), (np.zeros(3), np.ones(3)))
