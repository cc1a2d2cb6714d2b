"""PowerNorm: PN-V is exact; PowerNorm's published backward is the paper's algorithm, and not a gradient."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import tinygrad_norm as tn
from tests.oracles import gradient

F = tn.functional
WAYS = ("recorded", "analytic")
both_ways = pytest.mark.parametrize("backward", WAYS)
every_shape = pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (3, 3, 2, 4)])


def drawn(rng, shape, dtype="float64"):
    """x, γ, β as leaves, φ and ν as arrays, dy."""
    c = shape[1]
    x = tn.tensor(rng.normal(0.5, 2.0, shape), dtype, requires_grad=True, name="x")
    w = tn.tensor(rng.normal(size=c), dtype, requires_grad=True, name="γ")
    b = tn.tensor(rng.normal(size=c), dtype, requires_grad=True, name="β")
    return (x, w, b), (rng.uniform(0.5, 3, c), rng.normal(size=c)), rng.normal(size=shape)


def spread(p, x):
    return np.reshape(p, (-1, *(1,) * (x.ndim - 2)))


def axes(x):
    return (0, *range(2, x.ndim))


# PN-V -----------------------------------------------------------------------------------------------------------


@both_ways
@every_shape
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_pn_v_against_complex_step(rng, shape, eps, backward):
    (x, w, b), _, dy = drawn(rng, shape)

    def rule(x, w, b):
        return x / np.sqrt((x * x).mean(axes(x), keepdims=True) + eps) * spread(w, x) + spread(b, x)

    arrays = [t.data for t in (x, w, b)]
    y = F.power_norm_v(x, w, b, eps, backward)
    np.testing.assert_allclose(y.data, rule(*arrays), atol=1e-14)
    for k, g in enumerate(tn.grad(y, [x, w, b], dy)):
        np.testing.assert_allclose(g.data, gradient(rule, arrays, k, dy), atol=1e-13)


@both_ways
@every_shape
def test_the_length_of_pn_vs_gradient(rng, shape, backward):
    """‖dx‖² = (‖g‖² − ⟨g, x̂⟩²/B)/ψ² at ε = 0: what lies along x̂ is taken out, nothing else."""
    (x, w, _), _, dy = drawn(rng, shape)
    (dx,) = tn.grad(F.power_norm_v(x, w, eps=0.0, backward=backward), x, dy)
    g, where, count = dy * spread(w.data, x), axes(x), x.size // 3
    psi = np.sqrt((x.data**2).mean(where))
    along = (g * x.data).sum(where) / psi
    np.testing.assert_allclose((dx.data**2).sum(where), ((g**2).sum(where) - along**2 / count) / psi**2, rtol=1e-12)
    np.testing.assert_allclose((dx.data * x.data).sum(where), 0, atol=1e-12)


def test_pn_v_is_rms_norm_over_the_batch(rng):
    x = rng.normal(size=(6, 3))
    np.testing.assert_allclose(F.power_norm_v(x).data, F.rms_norm(x.T.copy(), 6, eps=1e-5).data.T, rtol=1e-14)


# PowerNorm: values and the gradient -------------------------------------------------------------------------------


@both_ways
@every_shape
def test_values_ignore_nu(rng, shape, backward):
    (x, w, b), (phi, nu), _ = drawn(rng, shape)
    y = F.power_norm(x, phi, nu, w, b, 0.1, backward)
    expected = x.data / np.sqrt(spread(phi, x) + 0.1) * spread(w.data, x) + spread(b.data, x)
    np.testing.assert_allclose(y.data, expected, rtol=1e-13)


@every_shape
def test_the_record_holds_psi_constant(rng, shape):
    (x, w, b), (phi, nu), dy = drawn(rng, shape)

    def rule(x, w, b):
        return x / np.sqrt(spread(phi, x) + 1e-5) * spread(w, x) + spread(b, x)

    y = F.power_norm(x, phi, nu, w, b)
    for k, g in enumerate(tn.grad(y, [x, w, b], dy)):
        np.testing.assert_allclose(g.data, gradient(rule, [t.data for t in (x, w, b)], k, dy), atol=1e-13)
    of_batch = F.power_norm(x, None, nu, w, b)  # the batch's own ψ: the values of PN-V, another gradient
    exact = F.power_norm_v(x, w, b)
    np.testing.assert_allclose(of_batch.data, exact.data, rtol=1e-12, atol=1e-15)
    (held,), (moving,) = tn.grad(of_batch, x, dy), tn.grad(exact, x, dy)
    psi = np.sqrt((x.data**2).mean(axes(x), keepdims=True) + 1e-5)
    np.testing.assert_allclose(held.data, dy * spread(w.data, x) / psi, rtol=1e-12)
    assert np.abs(held.data - moving.data).max() > 0.01


@every_shape
def test_the_published_backward(rng, shape):
    (x, w, b), (phi, nu), dy = drawn(rng, shape)
    nu = tn.tensor(nu, requires_grad=True)
    y = F.power_norm(x, phi, nu, w, b, backward="analytic")
    dx, dnu, dw, db = tn.grad(y, [x, nu, w, b], dy)
    psi, g, v = np.sqrt(spread(phi, x) + 1e-5), dy * spread(w.data, x), spread(nu.data, x)
    xhat = x.data / psi
    np.testing.assert_allclose(dx.data, (g - v * xhat) / psi, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(dnu.data, (g * xhat).mean(axes(x)) - nu.data * (xhat**2).mean(axes(x)), rtol=1e-11)
    np.testing.assert_allclose(dw.data, (dy * xhat).sum(axes(x)), rtol=1e-11)
    np.testing.assert_allclose(db.data, dy.sum(axes(x)), rtol=1e-11)


def test_without_nu_the_published_backward_is_the_gradient(rng):
    (x, w, b), (phi, _), dy = drawn(rng, (4, 3, 5))
    for nu in (None, np.zeros(3)):
        found = [tn.grad(F.power_norm(x, phi, nu, w, b, backward=way), [x, w, b], dy) for way in WAYS]
        for a, c in zip(*found):
            np.testing.assert_allclose(a.data, c.data, rtol=1e-12, atol=1e-14)


def test_going_backward_changes_nothing(rng):
    """A pullback is pure: the same record twice, the same gradients twice, and no statistic has moved."""
    (x, w, b), (phi, nu), dy = drawn(rng, (6, 3))
    before = phi.copy(), nu.copy()
    y = F.power_norm(x, phi, nu, w, b, backward="analytic")
    first, second = (tn.grad(y, [x, w, b], dy) for _ in range(2))
    for a, c in zip(first, second):
        np.testing.assert_array_equal(a.data, c.data)
    np.testing.assert_array_equal([phi, nu], before)


@both_ways
def test_a_record_keeps_its_statistics(rng, backward):
    (x, w, b), (phi, nu), dy = drawn(rng, (6, 3))
    phi_t, nu_t = tn.tensor(phi), tn.tensor(nu)
    expected = tn.grad(F.power_norm(x, phi, nu, w, b, backward=backward), x, dy)[0]
    y = F.power_norm(x, phi_t, None if backward == "recorded" else nu, w, b, backward=backward)
    phi_t.data = phi + 1
    np.testing.assert_array_equal(tn.grad(y, x, dy)[0].data, expected.data)
    y = F.power_norm(x, phi, nu_t, w, b, backward="analytic")
    nu_t.data = nu + 1  # ν is an input: a record whose ν has changed refuses rather than mix two
    with pytest.raises(tn.InPlaceError, match="was given new data"):
        tn.grad(y, x, dy)


# By design ----------------------------------------------------------------------------------------------------------


def test_compare_says_that_it_differs_by_design():
    result = tn.compare("power_norm")
    assert result.ok
    assert "dx as published differs from the gradient by design: ψ is a running statistic" in result.verdict
    by_design = [p for p in result.pairs if p.by_design]
    assert {p.gradient for p in by_design} == {"dx"}
    assert all("analytic" in (p.left, p.right) and not p.close for p in by_design)
    assert sum("by design" in line for line in result.table().splitlines()) == 3
    assert all(p.close for p in result.pairs if not p.by_design)
    (judged,) = [p for p in result.pairs if (p.gradient, p.left, p.right) == ("dx", "record", "complex step")]
    assert judged.close  # the record's gradient is judged as everywhere
    assert tn.compare("power_norm_v").ok
    assert not any(p.by_design for p in tn.compare("power_norm_v").pairs)


def test_a_wrong_gradient_of_gamma_is_not_excused(monkeypatch):
    module = sys.modules["tinygrad_norm.norms.power_norm"]  # the name itself is the function
    op, rules = module.PUBLISHED, list(module.PUBLISHED.pullbacks)
    rules[3] = lambda g, out, x, psi, nu, w, b=0.0, *, axis: g * x
    monkeypatch.setattr(module, "PUBLISHED", tn.Op(op.name, op.text, op.forward, tuple(rules)))
    result = tn.compare("power_norm")
    assert not result.ok
    assert "dγ" in result.verdict


# The algorithm ------------------------------------------------------------------------------------------------------


def test_the_step_of_nu_is_that_of_the_authors_code(rng):
    """Their buffer keeps ν/(1 − α) and adds mean((g − (1 − α)·buffer·x̂)·x̂): ours is the same number, step for step."""
    alpha, shape = 0.8, (8, 3, 4)
    buffer, nu, phi = np.zeros(3), np.zeros(3), np.ones(3)
    for _ in range(30):
        (x, w, b), _, dy = drawn(rng, shape)
        psi, g = spread(np.sqrt(phi + 1e-5), x), dy * spread(w.data, x)
        z = x.data / psi
        theirs = g - (1 - alpha) * spread(buffer, x) * z
        buffer = buffer + (theirs * z).mean((0, 2))
        leaf = tn.tensor(nu, requires_grad=True)
        F.power_norm(x, phi, leaf, w, b, backward="analytic").backward(dy)
        np.testing.assert_allclose(x.grad.data, theirs / psi, rtol=1e-12, atol=1e-13)
        nu = nu + (1 - alpha) * leaf.grad.data
        np.testing.assert_allclose(nu, (1 - alpha) * buffer, rtol=1e-12, atol=1e-14)
        phi = alpha * phi + (1 - alpha) * (x.data**2).mean((0, 2))
    assert np.abs(nu).max() > 0.01


def test_on_one_batch_repeated_it_becomes_pn_v(rng):
    """φ → mean(x²) and ν → Λ/Γ: the memory then takes out what PN-V takes out."""
    (x, w, b), (phi, nu), dy = drawn(rng, (6, 3))
    (exact,) = tn.grad(F.power_norm_v(x, w, b), x, dy)
    away = []
    for _ in range(300):
        leaf = tn.tensor(nu, requires_grad=True)
        y = F.power_norm(x, phi, leaf, w, b, backward="analytic")
        dx, step = tn.grad(y, [x, leaf], dy)
        away.append(np.abs(dx.data - exact.data).max() / np.abs(exact.data).max())
        nu, phi = nu + 0.1 * step.data, 0.9 * phi + 0.1 * (x.data**2).mean(0)
    assert away[0] > 0.1
    assert away[-1] < 1e-4  # ε


# Edges ------------------------------------------------------------------------------------------------------------


@both_ways
def test_dtypes_stay_whatever_the_buffers_are(rng, backward):
    for dtype in ("float16", "float32"):
        (x, w, b), (phi, _), dy = drawn(rng, (6, 3), dtype)
        nu = tn.tensor(np.full(3, 0.5), dtype, requires_grad=True)
        y = F.power_norm(x, phi, nu, w, b, backward=backward)  # φ in float64
        assert y.dtype == dtype
        leaves = [x, w, b] + ([nu] if backward == "analytic" else [])
        assert [g.dtype for g in tn.grad(y, leaves, dy.astype(dtype))] == [np.dtype(dtype)] * len(leaves)


@both_ways
def test_float16_squares_that_overflow(backward):
    x = tn.tensor(np.array([[300.0], [-300.0], *([[0.0]] * 48)], "float16"), requires_grad=True)
    for y in (F.power_norm_v(x, backward=backward), F.power_norm(x, backward=backward)):
        np.testing.assert_allclose(y.data[:2, 0], [5.0, -5.0], rtol=1e-3)  # ψ = 60
        (g,) = tn.grad(y, x, np.arange(50, dtype="float16").reshape(50, 1))
        assert np.isfinite(g.data).all()


@both_ways
def test_an_empty_batch_is_empty(backward):
    assert F.power_norm(tn.tensor(np.zeros((0, 3))), backward=backward).shape == (0, 3)
    assert F.power_norm(tn.tensor(np.zeros((0, 3))), np.ones(3), backward=backward).shape == (0, 3)


def test_messages():
    x = tn.tensor(np.ones((4, 3)), name="x")
    with pytest.raises(tn.ShapeError, match=r"power_norm: nu \(2,\) float64 with 3 channels: its shape must be \(3,\)"):
        F.power_norm(x, np.ones(3), np.ones(2))
    with pytest.raises(tn.ShapeError, match=r"power_norm: running_phi \(4,\) float64 with 3 channels"):
        F.power_norm(x, np.ones(4))
    with pytest.raises(tn.ShapeError, match=r"power_norm_v: weight \(1, 3\) float64 with 3 channels"):
        F.power_norm_v(x, np.ones((1, 3)))
    with pytest.raises(tn.ShapeError, match=r"power_norm: input \(3,\) float64 has 1 axes; it takes \(N, C, …\)"):
        F.power_norm(np.ones(3))
    with pytest.raises(tn.DTypeError, match=r"power_norm: input .* is not floating point"):
        F.power_norm(tn.tensor([[1, 2]]))
    for function in (F.power_norm, F.power_norm_v):
        with pytest.raises(ValueError, match='"recorded", "analytic" or "compiled"'):
            function(x, backward="fused")
