"""LayerScale, SkipInit and ReZero: λ·f(x), per channel or one number, and the modules that hold λ."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

from .. import oracles

F, nn = tn.functional, tn.nn
both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])


@both_ways
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize(
    ("shape", "weight"),
    [((4, 5), (5,)), ((2, 3, 4), (4,)), ((5, 5), (5,)), ((2, 3), ()), ((2, 3), (1,)), ((3,), (3,)), ((), ()), ((0, 3), (3,))],
)
def test_against_complex_step(shape, weight, residual, backward):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s) for s in (shape, weight, *([shape] if residual else []))]
    leaves = [tn.tensor(a, requires_grad=True) for a in arrays]

    def reference(f, w, x=0.0):
        return x + w * f

    y = F.layer_scale(*leaves, backward=backward)
    np.testing.assert_allclose(y.data, reference(*arrays), atol=1e-15)
    dy = rng.normal(size=shape)
    for i, g in enumerate(tn.grad(y, leaves, dy)):
        assert g.shape == arrays[i].shape
        np.testing.assert_allclose(g.data, oracles.gradient(reference, arrays, i, dy), atol=1e-13)


@both_ways
def test_at_zero_the_block_is_the_identity_and_only_lambda_hears(backward):
    """y = x, dx = dy whatever the branch; the branch's own weights get nothing, λ gets Σ dy·f."""
    rng = np.random.default_rng(1)
    x, v = (tn.tensor(rng.normal(size=s), requires_grad=True) for s in ((3, 4), (4, 4)))
    for lam in (tn.tensor(np.zeros(4), requires_grad=True), tn.tensor(0.0, requires_grad=True)):
        f = (x @ v).tanh()
        y = F.layer_scale(f, lam, x, backward)
        dy = rng.normal(size=(3, 4))
        dx, dv, dlam = tn.grad(y, [x, v, lam], dy)
        np.testing.assert_array_equal(y.data, x.data)
        np.testing.assert_array_equal(dx.data, dy)
        np.testing.assert_array_equal(dv.data, 0)
        np.testing.assert_allclose(dlam.data, (dy * f.data).sum(0 if lam.shape else None))
        assert np.abs(dlam.data).min() > 0


@both_ways
def test_it_scales_what_leaves_the_branch(backward):
    """Not what enters it: with a branch that is not linear, x + λ·f(x) and x + f(λ·x) are two things."""
    rng = np.random.default_rng(2)
    x, lam = tn.tensor(rng.normal(size=(3, 4)), requires_grad=True), rng.normal(size=4)
    dy = rng.normal(size=(3, 4))
    (dx,) = tn.grad(F.layer_scale(x.tanh(), lam, x, backward), x, dy)
    np.testing.assert_allclose(dx.data, dy + dy * lam * (1 - np.tanh(x.data) ** 2), atol=1e-14)


def test_misuse_is_named():
    f = tn.tensor(np.ones((3, 4)))
    for shape in ((3,), (3, 4), (1, 4), (1, 1)):
        with pytest.raises(tn.ShapeError, match=r"layer_scale: weight .*input \(3, 4\).*\(4,\).*\(\)"):
            F.layer_scale(f, np.ones(shape))
    with pytest.raises(tn.ShapeError, match=r"weight \(1,\).*input \(\)"):  # the output would have an axis more
        F.layer_scale(1.0, np.ones(1))
    with pytest.raises(tn.ShapeError, match=r"residual \(4,\).*the shape it was given"):
        F.layer_scale(f, np.ones(4), np.ones(4))
    with pytest.raises(tn.DTypeError, match=r"weight.*Cast first"):
        F.layer_scale(f, np.ones(4, int))


# The modules -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "start", "shape"),
    [(nn.LayerScale(4), 1e-5, (4,)), (nn.LayerScale(4, 0.1), 0.1, (4,)), (nn.SkipInit(), 0.0, ()), (nn.ReZero(), 0.0, ())],
)
def test_modules_start_where_their_papers_do(module, start, shape):
    state = module.state_dict()
    assert list(state) == ["weight"]
    np.testing.assert_array_equal(state["weight"], np.full(shape, start, "float32"))
    assert [p.requires_grad for p in module.parameters()] == [True]
    rng = np.random.default_rng(3)
    x, f = (tn.tensor(rng.normal(size=(3, 4)).astype("float32")) for _ in range(2))
    module.load_state_dict({"weight": np.full(shape, 0.5)})
    np.testing.assert_allclose(module(f).data, 0.5 * f.data)
    y = module(f, x)
    np.testing.assert_allclose(y.data, x.data + 0.5 * f.data, rtol=1e-6)
    y.backward(np.ones((3, 4), "float32"))
    assert module.weight.grad.shape == shape
    assert y.dtype == np.float32


def test_how_much_a_deep_network_changes_its_input_at_the_start():
    """24 blocks of x + λ·f(LN(x)): with λ small the change is in proportion to it, as Touvron et al. intend."""
    rng = np.random.default_rng(4)
    weights = [tn.tensor(rng.normal(size=(16, 16)) / 4) for _ in range(24)]
    x = tn.tensor(rng.normal(size=(8, 16)))

    def change(init):
        scale, y = nn.LayerScale(16, init, np.float64), x
        for w in weights:
            y = scale(F.layer_norm(y, 16) @ w, y)
        return np.linalg.norm(y.data - x.data) / np.linalg.norm(x.data)

    assert change(1e-5) / change(1e-6) == pytest.approx(10, rel=1e-3)
    assert 1e-5 < change(1e-5) < 24e-5
    assert change(1.0) > 1
