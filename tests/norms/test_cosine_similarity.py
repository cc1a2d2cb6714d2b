"""Cosine similarity: da = (b̂ − cos·â)/‖a‖ beside PyTorch and complex step; where the length is clamped, PyTorch is off."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tests import oracles

F = tn.functional
WAYS = ("recorded", "analytic")
both_ways = pytest.mark.parametrize("backward", WAYS)

SHAPES = {
    "rows": ((3, 4), (3, 4), 1),
    "columns": ((3, 4), (3, 4), 0),
    "vectors": ((5,), (5,), 0),
    "one with many": ((1, 4), (3, 4), -1),
    "a vector with rows": ((4,), (3, 4), 1),
    "one number with vectors": ((3, 1), (3, 4), 1),
    "all pairs": ((3, 1, 4), (2, 4), -1),
    "channels": ((2, 3, 4), (2, 3, 1), 1),
}
every_shape = pytest.mark.parametrize(("sa", "sb", "dim"), SHAPES.values(), ids=SHAPES)


def random(*shape, seed=0):
    return np.random.default_rng(seed + sum(shape)).normal(0.3, 1.2, shape)


def by_definition(a, b, dim, eps):
    a, b = a + 0 * b, b + 0 * a  # the lengths are those after broadcasting
    na, nb = (np.sqrt((t * t).sum(dim, keepdims=True)) for t in (a, b))
    return (a / np.where(na.real < eps, eps, na) * (b / np.where(nb.real < eps, eps, nb))).sum(dim)


@both_ways
@every_shape
@pytest.mark.parametrize("eps", [1e-8, 2.0])
def test_against_complex_step(backward, sa, sb, dim, eps):
    arrays = random(*sa), random(*sb, seed=1)
    a, b = (tn.tensor(t, requires_grad=True) for t in arrays)
    cos = F.cosine_similarity(a, b, dim, eps, backward)
    expected = by_definition(*arrays, dim, eps)
    np.testing.assert_allclose(cos.data, expected, atol=1e-15)
    assert cos.shape == expected.shape
    dy = random(*cos.shape, 1, seed=2)[..., 0]
    for k, g in enumerate(tn.grad(cos, [a, b], dy)):
        assert g.shape == arrays[k].shape
        wanted = oracles.gradient(lambda *ab: by_definition(*ab, dim, eps), arrays, k, dy)
        np.testing.assert_allclose(g.data, wanted, atol=1e-14)


@both_ways
@every_shape
def test_beside_torch_at_three_orders(backward, sa, sb, dim):
    torch = pytest.importorskip("torch")
    from tests.engine.test_torch_parity import compare

    compare(
        lambda a, b: F.cosine_similarity(a, b, dim, backward=backward),
        lambda a, b: torch.nn.functional.cosine_similarity(a, b, dim),
        random(*sa),
        random(*sb, seed=1),
        order=3,
    )


@both_ways
def test_short_vectors_where_torch_is_off(backward):
    """The same values. But PyTorch clamps the length where autograd does not see it: its gradient of a/max(‖a‖, ε) with
    ‖a‖ < ε still takes out the part along a, though y = a/ε there. Ours is what the values do."""
    a0, b0, eps = np.array([[0.6, 0.8]]) * 0.25, np.array([[1.0, 2.0]]), 0.5
    a, b = tn.tensor(a0, requires_grad=True), tn.tensor(b0, requires_grad=True)
    cos = F.cosine_similarity(a, b, eps=eps, backward=backward)
    da, db = tn.grad(cos, [a, b], np.ones(1))
    bhat = b0 / np.linalg.norm(b0)
    np.testing.assert_allclose(da.data, bhat / eps, rtol=1e-14)
    np.testing.assert_allclose(db.data, (a0 / eps - cos.item() * bhat) / np.linalg.norm(b0), atol=1e-15)
    wanted = oracles.gradient(lambda a: by_definition(a, b0, 1, eps), [a0], 0, np.ones(1), oracles.central)
    np.testing.assert_allclose(da.data, wanted, rtol=1e-9)
    torch = pytest.importorskip("torch")
    t = torch.tensor(a0, requires_grad=True)
    theirs = torch.nn.functional.cosine_similarity(t, torch.tensor(b0), eps=eps)
    assert theirs.item() == pytest.approx(cos.item(), abs=1e-15)
    if torch.__version__.startswith("2.13"):
        (dt,) = torch.autograd.grad(theirs, t)
        unit = np.array([[0.6, 0.8]])
        np.testing.assert_allclose(dt.numpy(), (bhat - cos.item() * unit) / eps, rtol=1e-12)
        assert np.abs(dt.numpy() - wanted).max() > 0.1


@both_ways
def test_at_zero(backward):
    a, b = tn.tensor(np.zeros((1, 3)), requires_grad=True), tn.tensor([[1.0, 2.0, 2.0]], requires_grad=True)
    cos = F.cosine_similarity(a, b, backward=backward)
    da, db = tn.grad(cos, [a, b], np.array([3.0]))
    assert cos.item() == 0
    np.testing.assert_allclose(da.data, [[1e8, 2e8, 2e8]], rtol=1e-14)
    np.testing.assert_array_equal(db.data, 0)


@both_ways
def test_each_gradient_is_perpendicular_to_its_vector(backward):
    a, b = (tn.tensor(random(4, 5, seed=s), requires_grad=True) for s in (0, 1))
    for t, g in zip((a, b), tn.grad(F.cosine_similarity(a, b, backward=backward), [a, b], random(4))):
        assert np.abs((t.data * g.data).sum(1)).max() < 1e-15
    cos = F.cosine_similarity(a, b, backward=backward)
    np.testing.assert_allclose(F.cosine_similarity(a * 7.0, b * -3.0, backward=backward).data, -cos.data, rtol=1e-14)
    assert np.abs(cos.data).max() <= 1


@both_ways
def test_with_itself(backward):
    """cos(x, x) is 1, and both shares of the gradient are zero."""
    x = tn.tensor(random(2, 3), requires_grad=True)
    cos = F.cosine_similarity(x, x, backward=backward)
    np.testing.assert_allclose(cos.data, 1, atol=1e-15)
    np.testing.assert_allclose(tn.grad(cos, x, np.ones(2))[0].data, 0, atol=1e-15)


@both_ways
def test_dtypes(backward):
    small = np.array([[300, 400]], "float16"), np.array([[400, 300]], "float16")
    a, b = (tn.tensor(t, requires_grad=True) for t in small)
    cos = F.cosine_similarity(a, b, backward=backward)
    assert cos.dtype == np.float16
    assert cos.item() == pytest.approx(0.96, rel=1e-3), "squares of 300 do not fit into float16"
    assert [g.dtype for g in tn.grad(cos, [a, b], np.ones(1, "float16"))] == [np.float16] * 2
    wide = tn.tensor(small[1].astype("float32"), requires_grad=True)
    mixed = F.cosine_similarity(a, wide, backward=backward)
    assert mixed.dtype == np.float32
    assert [g.dtype for g in tn.grad(mixed, [a, wide], np.ones(1, "float32"))] == [np.float16, np.float32]


def test_what_bad_input_is_told():
    a = tn.tensor(random(2, 3), name="a")
    with pytest.raises(tn.ShapeError, match=r"cosine_similarity: x1 a \(2, 3\) float64 and x2 \(4,\) float64 do not broadcast"):
        F.cosine_similarity(a, np.ones(4))
    with pytest.raises(tn.ShapeError, match="cosine_similarity: axis 1 does not exist"):
        F.cosine_similarity(np.ones(3), np.ones(3))
    with pytest.raises(tn.ShapeError, match=r"cosine_similarity: dim=\(0, 1\).*one axis"):
        F.cosine_similarity(a, a, (0, 1))
    with pytest.raises(tn.DTypeError, match=r"cosine_similarity: x2 \(3,\) int64"):
        F.cosine_similarity(a, np.arange(3))
    with pytest.raises(ValueError, match=r'"recorded", "analytic" or "compiled"'):
        F.cosine_similarity(a, a, backward="fused")
