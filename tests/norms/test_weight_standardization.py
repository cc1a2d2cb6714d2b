"""Weight standardization: three ideas of ε, the clamp's kink, and the codes they come from."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tests.oracles import gradient
from tinygrad_norm import functional as F

both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])
MODES = ("scaled_max", "scaled", "std")
every_mode = pytest.mark.parametrize("mode", MODES)


def leaves(shape, seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    scales = 10.0 ** rng.uniform(-1, 0.5, (shape[0], *(1,) * (len(shape) - 1)))
    w = tn.tensor(rng.normal(0.7, 1.0, shape) * scales, dtype, requires_grad=True)
    gain = tn.tensor(rng.normal(size=scales.shape), dtype, requires_grad=True)
    return w, gain, rng.normal(size=shape)


def reference(mode, eps, correction=0):
    """Over arrays, real or complex."""

    def f(w, gain):
        axis = tuple(range(1, w.ndim))
        n = w[0].size
        c = w - w.mean(axis, keepdims=True)
        v = (c * c).sum(axis, keepdims=True) / (n - correction)
        if mode == "scaled_max":
            q = 1 / np.sqrt(np.where(v.real * n > eps, v * n, eps))
        else:
            q = n**-0.5 / np.sqrt(v + eps) if mode == "scaled" else 1 / (np.sqrt(v) + eps)
        return gain * c * q

    return f


@both_ways
@pytest.mark.parametrize("shape", [(6, 5), (3, 2, 2, 3), (4, 3, 2)])
@pytest.mark.parametrize(
    ("mode", "eps", "given", "correction"),
    [
        ("scaled_max", 1e-4, None, 0),
        ("scaled_max", 2.0, None, 0),
        ("scaled_max", 2.0, 1, 1),
        ("scaled", 1e-6, None, 0),
        ("scaled", 0.3, None, 0),
        ("scaled", 0.3, 1, 1),
        ("std", 1e-5, None, 1),
        ("std", 0.3, None, 1),
        ("std", 0.3, 0, 0),
    ],
)
def test_values_and_gradients(shape, mode, eps, given, correction, backward):
    w, gain, dy = leaves(shape)
    if eps == 2.0:
        taken = np.array([r.size * r.var(ddof=correction) < eps for r in w.data])
        assert taken.any()
        assert not taken.all()
    f = reference(mode, eps, correction)
    y = F.weight_standardization(w, gain, eps, mode, backward, correction=given)
    np.testing.assert_allclose(y.data, f(w.data, gain.data), rtol=1e-12, atol=1e-14)
    for k, found in enumerate(tn.grad(y, [w, gain], dy)):
        expected = gradient(f, [w.data, gain.data], k, dy)
        np.testing.assert_allclose(found.data, expected, atol=1e-13 * np.abs(expected).max())


@both_ways
@every_mode
def test_each_mode_is_the_code_it_comes_from(mode, backward):
    torch = pytest.importorskip("torch")
    w, gain, dy = leaves((5, 3, 2, 2))
    w = tn.tensor(w.data * np.array([1, 1e-3, 1e-2, 1, 1e-4]).reshape(5, 1, 1, 1), requires_grad=True)
    theirs, scale = (torch.tensor(t.data, requires_grad=True) for t in (w, gain))
    rows = theirs.reshape(5, -1)
    if mode == "scaled_max":
        var, mean = torch.var_mean(rows, 1, correction=0, keepdim=True)
        q = torch.rsqrt(torch.maximum(var * 12, torch.tensor(1e-4, dtype=torch.float64))) * scale.reshape(5, 1)
        out = rows * q - mean * q
    elif mode == "scaled":
        weight = (scale * 12**-0.5).reshape(-1)
        out = torch.nn.functional.batch_norm(rows[None], None, None, weight=weight, training=True, eps=1e-6)
    else:
        rows = rows - rows.mean(1, keepdim=True)
        out = rows / (rows.std(1, keepdim=True) + 1e-5) * scale.reshape(5, 1)
    out = out.reshape(5, 3, 2, 2)
    out.backward(torch.tensor(dy))
    y = F.weight_standardization(w, gain, eps_mode=mode, backward=backward)
    np.testing.assert_allclose(y.data, out.detach().numpy(), rtol=1e-9, atol=1e-12)
    for ours, other in zip(tn.grad(y, [w, gain], dy), (theirs.grad, scale.grad)):
        rows = np.abs(other.numpy()).reshape(5, -1).max(1)
        difference = np.abs(ours.data - other.numpy()).reshape(5, -1).max(1)
        assert (difference <= 1e-11 * rows + 1e-14).all()


@both_ways
def test_the_kink_is_shared(backward):
    """N·σ² = ε exactly: the middle between the slopes of the two sides, as torch.maximum has it."""
    g = np.array([[0.3, -1.1]])
    w = tn.tensor([[1.0, -1.0]], requires_grad=True)  # N·σ² = 2

    def dw(eps):
        (d,) = tn.grad(F.weight_standardization(w, eps=eps, backward=backward), w, g)
        return d.data

    at, taken, free = dw(2.0), (g - g.mean()) / np.sqrt(2), np.zeros((1, 2))
    np.testing.assert_allclose(dw(np.nextafter(2, 3)), taken, rtol=1e-14)
    np.testing.assert_allclose(dw(np.nextafter(2, 1)), free, atol=1e-15)
    np.testing.assert_allclose(at, (taken + free) / 2, rtol=1e-14)
    torch = pytest.importorskip("torch")
    theirs = torch.tensor(w.data, requires_grad=True)
    c = theirs - theirs.mean(1, keepdim=True)
    (c * torch.rsqrt(torch.maximum((c**2).sum(1, keepdim=True), torch.tensor(2.0, dtype=torch.float64)))).backward(
        torch.tensor(g)
    )
    np.testing.assert_allclose(at, theirs.grad.numpy(), rtol=1e-14)


@every_mode
def test_what_it_is_for(mode):
    """No mean, and a known length: 1 where it is scaled by the fan-in."""
    w, gain, _ = leaves((5, 3, 2, 2))
    y = F.weight_standardization(w, gain, 0.0, mode).data.reshape(5, 12)
    np.testing.assert_allclose(y.sum(1), 0, atol=1e-14)
    np.testing.assert_allclose((y**2).sum(1), (11 if mode == "std" else 1) * gain.data.reshape(5) ** 2, rtol=1e-13)


@both_ways
@every_mode
def test_the_gradient_sums_to_zero_and_is_tangent(mode, backward):
    w, gain, dy = leaves((4, 9))
    (dw,) = tn.grad(F.weight_standardization(w, gain, 0.0, mode, backward), w, dy)
    np.testing.assert_allclose(dw.data.sum(1), 0, atol=1e-13)
    np.testing.assert_allclose((dw.data * w.data).sum(1), 0, atol=1e-13)


@both_ways
@every_mode
def test_a_unit_of_equal_weights(mode, backward):
    """y = 0; nothing of the variance comes back: dW = (g − mean g)·q."""
    g = np.array([[1.0, 0.0, 0.0, 0.0], [0.3, 0.1, -2.0, 0.4]])
    w = tn.tensor(np.array([[3.0] * 4, [0.1, 0.2, 0.5, 0.9]]), requires_grad=True)
    y = F.weight_standardization(w, eps_mode=mode, backward=backward)
    (dw,) = tn.grad(y, w, g)
    np.testing.assert_array_equal(y.data[0], 0)
    q = {"scaled_max": 1e2, "scaled": 0.5e3, "std": 1e5}[mode]
    np.testing.assert_allclose(dw.data[0], (g[0] - 0.25) * q)
    assert np.isfinite(dw.data).all()


@both_ways
@every_mode
def test_half_precision_squares_that_overflow(mode, backward):
    w = tn.tensor(np.array([[300.0, -300.0, 300.0, -300.0]], "float16"), requires_grad=True)
    y = F.weight_standardization(w, eps_mode=mode, backward=backward)
    size = 0.75**0.5 if mode == "std" else 0.5
    np.testing.assert_allclose(y.data, [[size, -size, size, -size]], rtol=1e-3)
    (dw,) = tn.grad(y, w, np.array([[1, 0, 0, 0]], "float16"))
    assert dw.dtype == np.float16
    np.testing.assert_allclose(dw.data, size / 300 * np.array([[0.5, 0, -0.5, 0]]), atol=2e-6)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.weight_standardization(np.ones(3)), tn.ShapeError, r"\(3,\).*at least 2"),
        (lambda: F.weight_standardization(np.ones((3, 0))), tn.ShapeError, "fan-in of 0"),
        (lambda: F.weight_standardization(np.ones((3, 1)), eps_mode="std"), tn.ShapeError, "fan-in of 1.*correction=0"),
        (lambda: F.weight_standardization(np.ones((3, 2)), np.ones(3)), tn.ShapeError, r"gain \(3,\).*must be \(3, 1\)"),
        (lambda: F.weight_standardization(np.ones((3, 2)), eps_mode="max"), ValueError, '"scaled_max", "scaled" or "std"'),
        (lambda: F.weight_standardization([[1, 2]]), tn.DTypeError, "int64.*Cast first"),
    ],
)
def test_misuse_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
