"""Adaptive gradient clipping against a version written out, unit by unit."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.nn import adaptive_grad_clip_


def parameter(shape, seed, dtype="float64"):
    """Gradients from far too long to short."""
    rng = np.random.default_rng(seed)
    lengths = np.asarray(10.0 ** rng.uniform(-4, 2, (*shape[:1], *(1,) * (len(shape) - 1))))
    p = tn.tensor(rng.normal(size=shape), dtype, requires_grad=True)
    p.grad = tn.tensor(np.asarray(rng.normal(size=shape)) * lengths, dtype)
    return p


def by_hand(w, g, clipping, eps):
    def one(w, g):
        length = np.sqrt(sum(float(a) ** 2 for a in np.ravel(g)))
        longest = clipping * max(np.sqrt(sum(float(a) ** 2 for a in np.ravel(w))), eps)
        return g * (longest / max(length, 1e-6)) if length > longest else g

    if sum(n != 1 for n in w.shape) < 2:
        return one(w, g)
    return np.stack([one(w[i], g[i]) for i in range(len(w))])


@pytest.mark.parametrize("shape", [(9, 5), (8, 3, 2, 2), (8, 3, 4), (7,), (), (6, 1), (1, 6), (6, 1, 1, 1)])
@pytest.mark.parametrize(("clipping", "eps"), [(0.01, 1e-3), (0.5, 3.0)])
def test_by_hand(shape, clipping, eps):
    ps = [parameter(shape, seed) for seed in range(8)]
    before = [np.array(p.grad.data) for p in ps]
    adaptive_grad_clip_(ps, clipping, eps)
    shortened = 0
    for p, g in zip(ps, before):
        expected = by_hand(p.data, g, clipping, eps)
        np.testing.assert_allclose(p.grad.data, expected, rtol=1e-14)
        shortened += np.any(expected != g)
    assert shortened


def test_each_unit_by_its_own_weights():
    """Unit 0 is clipped to λ‖w‖, unit 1 is short enough, unit 2 weighs nothing and counts as ε."""
    w = tn.tensor([[3.0, 4.0], [3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    w.grad = tn.tensor([[0.6, 0.8], [0.03, 0.04], [0.0, -2.0]])
    adaptive_grad_clip_(w)
    np.testing.assert_allclose(w.grad.data, [[0.03, 0.04], [0.03, 0.04], [0.0, -1e-5]], rtol=1e-14)
    bias = tn.tensor([3.0, 4.0, 0.0], requires_grad=True)  # one unit: its entry 0 can still move
    bias.grad = tn.tensor([0.0, 0.0, 7.0])
    adaptive_grad_clip_(bias)
    np.testing.assert_allclose(bias.grad.data, [0, 0, 0.05], rtol=1e-14)


def test_a_short_gradient_is_left_as_it_is():
    p, without = parameter((3, 4), 0), tn.tensor([1.0], requires_grad=True)
    p.grad = kept = tn.tensor(p.data * 1e-3)
    adaptive_grad_clip_(iter([without, p]))
    assert p.grad is kept
    assert without.grad is None
    p.grad = kept = tn.tensor(np.zeros((3, 4)))
    adaptive_grad_clip_(p)
    assert p.grad is kept


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_dtype_stays_and_squares_do_not_overflow(dtype):
    p = tn.tensor(np.full((2, 300), 300.0), dtype, requires_grad=True)
    p.grad = tn.tensor(np.full((2, 300), 6e4 if dtype == "float16" else 1e30), dtype)
    adaptive_grad_clip_(p)
    assert p.grad.dtype == dtype
    np.testing.assert_allclose(p.grad.data, 3.0, rtol=1e-3)


def test_what_is_not_finite_stays_visible_in_its_unit():
    p = tn.tensor(np.ones((3, 2)), requires_grad=True)
    p.grad = tn.tensor([[np.inf, 1.0], [np.nan, 1.0], [9.0, 0.0]])
    adaptive_grad_clip_(p)
    assert np.isnan(p.grad.data[0, 0])
    assert np.isnan(p.grad.data[1, 0])
    np.testing.assert_allclose(p.grad.data[2], [0.01 * 2**0.5, 0], rtol=1e-14)


def test_misuse_is_named():
    p = tn.tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(tn.ShapeError, match=r"grad: \(3,\).*\(2, 3\).*its tensor's shape"):
        p.grad = tn.tensor(np.ones(3))
    p.grad = tn.tensor(np.ones((2, 3)))
    for bad in ({"clipping": 0.0}, {"clipping": np.nan}, {"eps": -1.0}):
        with pytest.raises(ValueError, match=r"adaptive_grad_clip_: (clipping|eps)=.*a number (above 0|from 0 on)"):
            adaptive_grad_clip_(p, **bad)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_norm_before_has_the_parameters_dtype_also_without_a_gradient(dtype):
    p = tn.tensor(np.ones(3, dtype), requires_grad=True)
    assert tn.nn.utils.clip_grad_norm_(iter([p]), 1.0).dtype == dtype
    p.grad = tn.tensor(np.full(3, 2, dtype))
    assert tn.nn.utils.clip_grad_norm_(iter([p]), 1.0).dtype == dtype
