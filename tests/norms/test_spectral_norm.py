"""Spectral normalization: with u and v held, with u and v converged, and the iteration itself."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tests.oracles import central, gradient
from tinygrad_norm import functional as F
from tinygrad_norm.norms.spectral_norm import power_iteration

both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])


def weight(shape, seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    return tn.tensor(rng.normal(0.2, 1.0, shape), dtype, requires_grad=True), rng.normal(size=shape), rng


@both_ways
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 4), (4, 1), (3, 2, 2, 2), (2, 3, 2)])
@pytest.mark.parametrize("steps", [1, 40])
def test_values_and_gradients(shape, steps, backward):
    w, dy, rng = weight(shape)
    u, v = power_iteration(w, rng.normal(size=shape[0]), steps)

    def f(a):
        return a / (u @ a.reshape(shape[0], -1) @ v)

    y = F.spectral_norm(w, u, v, backward)
    np.testing.assert_allclose(y.data, f(w.data), rtol=1e-13)
    (dw,) = tn.grad(y, w, dy)
    np.testing.assert_allclose(dw.data, gradient(f, [w.data], 0, dy), atol=1e-13)
    np.testing.assert_allclose(np.sum(dw.data * w.data), 0, atol=1e-13)  # twice W gives the same Ŵ


@both_ways
def test_converged_it_is_the_gradient_through_the_singular_value(backward):
    w, dy, rng = weight((4, 6))
    u, v = power_iteration(w, rng.normal(size=4), 400)

    def f(a):
        return a / np.linalg.norm(a, 2)

    y = F.spectral_norm(w, u, v, backward)
    np.testing.assert_allclose(np.linalg.svd(y.data)[1][0], 1, rtol=1e-13)
    (dw,) = tn.grad(y, w, dy)
    np.testing.assert_allclose(dw.data, gradient(f, [w.data], 0, dy, central), atol=1e-9)


@both_ways
def test_before_it_converges_u_and_v_are_constants(backward):
    """After one round the gradient is not that of W/σ₁(W), nor would anyone's be who detaches u and v."""
    w, dy, rng = weight((4, 6))
    u, v = power_iteration(w, rng.normal(size=4), 1)
    left, right = (tn.tensor(a, requires_grad=True) for a in (u, v))
    y = F.spectral_norm(w, left, right, backward)
    y.backward(dy)
    assert left.grad is None
    assert right.grad is None
    through = gradient(lambda a: a / np.linalg.norm(a, 2), [w.data], 0, dy, central)
    assert np.abs(w.grad.data - through).max() > 0.01


def test_power_iteration():
    w, _, rng = weight((5, 7), seed=3)
    left, values, right = np.linalg.svd(w.data)
    u = start = rng.normal(size=5)
    errors = []
    for _ in range(12):
        u, v = power_iteration(w, u)
        errors.append(np.sqrt(max(0, 1 - (u @ left[:, 0]) ** 2)))
    again = power_iteration(w.data, start, 12)
    np.testing.assert_allclose(np.linalg.norm(u), 1)
    np.testing.assert_allclose([*u, *v], np.concatenate(again), rtol=1e-13)
    assert errors[-1] / errors[-2] == pytest.approx((values[1] / values[0]) ** 2, rel=1e-3)
    u, v = power_iteration(w, u, 500)
    assert u @ w.data @ v == pytest.approx(values[0], rel=1e-14)
    np.testing.assert_allclose(np.abs(right[0] @ v), 1, rtol=1e-14)


@both_ways
def test_a_weight_of_zeros_is_nan(backward):
    w = tn.tensor(np.zeros((2, 3)), requires_grad=True)
    u, v = power_iteration(w, [1.0, 0.5])
    np.testing.assert_array_equal(u, 0)  # no length below ε is divided by
    with np.errstate(invalid="ignore"):
        assert np.isnan(F.spectral_norm(w, u, v, backward).data).all()


@both_ways
def test_half_precision(backward):
    w, dy, rng = weight((3, 4), dtype="float16")
    u, v = power_iteration(w, rng.normal(size=3), 50)
    assert u.dtype == v.dtype == np.float32
    y = F.spectral_norm(w, u, v, backward)
    assert y.dtype == tn.grad(y, w, dy.astype("float16"))[0].dtype == np.float16
    assert np.linalg.norm(y.data.astype("float64"), 2) == pytest.approx(1, abs=2e-3)


def test_the_buffers_dtype_does_not_change_the_weights():
    w, _, rng = weight((3, 4), dtype="float32")
    u, v = power_iteration(w.data.astype("float64"), rng.normal(size=3))
    assert F.spectral_norm(w, u, v).dtype == np.float32


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.spectral_norm(np.ones((2, 3)), np.ones(3), np.ones(3)), tn.ShapeError, r"u \(3,\).*\(2, 3\).*must be \(2,\)"),
        (lambda: F.spectral_norm(np.ones((2, 3, 2)), np.ones(2), np.ones(3)), tn.ShapeError, r"v \(3,\).*must be \(6,\)"),
        (lambda: F.spectral_norm(np.ones((2, 3)), np.ones(2), None), tn.ShapeError, "v is None.*power_iteration"),
        (lambda: F.spectral_norm(np.ones(3), np.ones(3), np.ones(1)), tn.ShapeError, "is no matrix"),
        (lambda: F.spectral_norm([[1, 2]], np.ones(1), np.ones(2)), tn.DTypeError, "int64.*Cast first"),
        (lambda: power_iteration(np.ones((2, 3)), np.ones(3)), tn.ShapeError, r"u \(3,\).*shape \(2,\)"),
        (lambda: power_iteration(np.ones((2, 3)), np.ones(2), 0), tn.OptionError, "steps=0.*from 1 on"),
    ],
)
def test_misuse_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
