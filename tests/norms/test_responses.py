"""GRN, FRN with its TLU, ScaleNorm and QK-norm: their definitions in plain NumPy, and what sets them apart."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

from .. import oracles

F, nn = tn.functional, tn.nn
both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])


def check(function, reference, arrays, seed=0):
    """Values by the definition, gradients by complex step."""
    leaves = [tn.tensor(a, requires_grad=True) for a in arrays]
    y = function(*leaves)
    np.testing.assert_allclose(y.data, reference(*arrays), rtol=1e-12, atol=1e-14)
    dy = np.random.default_rng(seed).normal(size=y.shape)
    for i, g in enumerate(tn.grad(y, leaves, dy)):
        np.testing.assert_allclose(g.data, oracles.gradient(reference, arrays, i, dy), atol=1e-12, err_msg=str(i))


def grn(x, w, b, eps, last):
    places, channel = ((1, 2), -1) if last else ((2, 3), 1)
    response = np.sqrt((x * x).sum(places, keepdims=True))
    spread = (-1,) if last else (-1, 1, 1)
    return w.reshape(spread) * x * response / (response.mean(channel, keepdims=True) + eps) + b.reshape(spread) + x


@both_ways
@pytest.mark.parametrize("last", [True, False])
def test_grn(last, backward):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(2, 3, 2, 4)), *rng.normal(size=(2, 4 if last else 3))]
    check(
        lambda x, w, b: F.global_response_norm(x, w, b, 0.1, backward, channels_last=last),
        lambda x, w, b: grn(x, w, b, 0.1, last),
        arrays,
    )


@both_ways
def test_a_silent_channel_of_grn_stays_silent(backward):
    """‖x‖ of zeros has no slope; 0 counts, and nothing is NaN."""
    x = np.random.default_rng(1).normal(size=(1, 3, 4))
    x[..., 2] = 0
    leaf = tn.tensor(x, requires_grad=True)
    y = F.global_response_norm(leaf, np.ones(4), backward=backward)
    (dx,) = tn.grad(y, leaf, np.ones(y.shape))
    assert not y.data[..., 2].any()
    np.testing.assert_array_equal(dx.data[..., 2], 1)


def test_grn_starts_as_the_identity():
    x = np.random.default_rng(2).normal(size=(2, 3, 3, 4)).astype("float32")
    np.testing.assert_array_equal(nn.GRN(4)(x).data, x)


def frn(x, w, b, t, eps):
    spread = (-1, *(1,) * (x.ndim - 2))
    places = tuple(range(2, x.ndim))
    y = w.reshape(spread) * x / np.sqrt((x * x).mean(places, keepdims=True) + eps) + b.reshape(spread)
    floor = np.broadcast_to(t.reshape(spread), y.shape)
    return np.where(y.real > floor.real, y, floor)


@both_ways
@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 2, 3)])
def test_frn(shape, backward):
    rng = np.random.default_rng(3)
    arrays = [rng.normal(size=shape), *rng.normal(size=(3, 3))]
    check(lambda *a: F.filter_response_norm(*a, 0.1, backward), lambda *a: frn(*a, 0.1), arrays)


def test_frn_without_a_floor_is_rms_norm_over_the_places():
    x = np.random.default_rng(4).normal(size=(2, 3, 4, 5))
    expected = F.rms_norm(x, (4, 5), eps=1e-6).data
    np.testing.assert_allclose(F.filter_response_norm(x).data, expected, rtol=1e-13)


@both_ways
@pytest.mark.parametrize("eps", [0.0, 2.5])
def test_scale_norm(eps, backward):
    rng = np.random.default_rng(5)

    def reference(x, g):
        n = np.sqrt((x * x).sum(-1, keepdims=True))
        return g * x / np.where(n.real < eps, eps, n)

    check(lambda x, g: F.scale_norm(x, g, eps, backward), reference, [rng.normal(size=(5, 6)), rng.normal(size=1)])


def test_scale_norm_is_rms_norm_with_one_gain():
    x = np.random.default_rng(6).normal(size=(4, 9))
    layer = nn.ScaleNorm(9, dtype="float64")
    np.testing.assert_allclose(layer(x).data, F.rms_norm(x, 9, eps=0.0).data, rtol=1e-13)
    assert layer.state_dict()["scale"].shape == (1,)


@both_ways
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_qk_norm(lead, backward):
    rng = np.random.default_rng(7)

    def reference(q, k, g):
        q, k = (t / np.sqrt((t * t).sum(-1, keepdims=True)) for t in (q, k))
        return g * np.einsum("...td,...sd->...ts", q, k)

    arrays = [rng.normal(size=(*lead, 3, 4)), rng.normal(size=(*lead, 5, 4)), rng.normal(size=())]
    check(lambda q, k, g: F.qk_norm(q, k, g, backward=backward), reference, arrays)


def test_no_score_is_larger_than_g_and_nothing_pulls_along_q():
    rng = np.random.default_rng(8)
    q = tn.tensor(100 * rng.normal(size=(3, 4)), requires_grad=True)
    s = F.qk_norm(q, rng.normal(size=(5, 4)), 7.0)
    assert np.abs(s.data).max() <= 7
    (dq,) = tn.grad(s, q, rng.normal(size=s.shape))
    np.testing.assert_allclose((dq.data * q.data).sum(-1), 0, atol=1e-13)
    assert nn.QKNorm(64).scale.item() == pytest.approx(np.log2(64**2 - 64))


def test_misuse_is_named():
    x = np.ones((2, 3, 4))
    with pytest.raises(tn.ShapeError, match=r"global_response_norm: input \(2, 4\).*at least 3"):
        F.global_response_norm(np.ones((2, 4)))
    with pytest.raises(tn.ShapeError, match=r"filter_response_norm: threshold .*\(4,\).*must be \(3,\)"):
        F.filter_response_norm(x, threshold=np.ones(4))
    with pytest.raises(tn.ShapeError, match=r"scale_norm: scale .*\(4,\).*one number for all"):
        F.scale_norm(x, np.ones(4))
    with pytest.raises(tn.ShapeError, match=r"qk_norm: query .* and key .*equal leading axes"):
        F.qk_norm(x, np.ones((3, 3, 4)))
