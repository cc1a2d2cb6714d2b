"""GraphNorm and PairNorm: their definitions in plain NumPy, padding that counts for nothing, and what the papers say of them."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

from .. import oracles

F, nn = tn.functional, tn.nn
both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])


def one_graph(x, a, w, b, eps):
    c = x - a * x.mean(0)
    return w * c / np.sqrt((c**2).mean(0) + eps) + b


def pair(x, s, each, eps):
    c = x - x.mean(0)
    square = (c**2).sum(1, keepdims=True)
    return s * c / np.sqrt((square if each else square.mean()) + eps)


def padded(rng, sizes, c, most=6):
    """Graphs of several sizes in one array, with numbers in the padding that must not matter, and the mask."""
    x = rng.normal(1, 2, (len(sizes), most, c))
    return x, np.arange(most) < np.array(sizes)[:, None]


@both_ways
def test_graph_norm_of_padded_graphs_is_that_of_each(backward):
    rng = np.random.default_rng(0)
    x, mask = padded(rng, (3, 6, 2), 4)
    a, w, b = rng.normal(size=(3, 4))
    leaves = [tn.tensor(v, requires_grad=True) for v in (x, w, b, a)]
    y = F.graph_norm(*leaves, 0.1, backward, mask=mask)
    dy = rng.normal(size=y.shape)
    dx, *others = tn.grad(y, leaves, dy)
    expected = [0.0, 0.0, 0.0]
    for i, n in enumerate(mask.sum(1)):

        def whole(v, w, b, a):
            return one_graph(v, a, w, b, 0.1)

        arrays = [x[i, :n], w, b, a]
        np.testing.assert_allclose(y.data[i, :n], whole(*arrays), rtol=1e-13)
        np.testing.assert_allclose(dx.data[i, :n], oracles.gradient(whole, arrays, 0, dy[i, :n]), atol=1e-13)
        expected = [e + oracles.gradient(whole, arrays, k, dy[i, :n]) for k, e in enumerate(expected, 1)]
    for g, e in zip(others, expected):
        np.testing.assert_allclose(g.data, e, atol=1e-12)
    assert not y.data[~mask].any()
    assert not dx.data[~mask].any()


@both_ways
@pytest.mark.parametrize("each", [False, True])
def test_pair_norm_of_padded_graphs_is_that_of_each(each, backward):
    rng = np.random.default_rng(1)
    x, mask = padded(rng, (4, 2, 5), 3)
    leaf = tn.tensor(x, requires_grad=True)
    y = F.pair_norm(leaf, 1.7, each, 0.1, backward, mask=mask)
    dy = rng.normal(size=y.shape)
    (dx,) = tn.grad(y, leaf, dy)
    for i, n in enumerate(mask.sum(1)):

        def whole(v):
            return pair(v, 1.7, each, 0.1)

        np.testing.assert_allclose(y.data[i, :n], whole(x[i, :n]), rtol=1e-13)
        np.testing.assert_allclose(dx.data[i, :n], oracles.gradient(whole, [x[i, :n]], 0, dy[i, :n]), atol=1e-13)
    assert not y.data[~mask].any()
    assert not dx.data[~mask].any()


def test_pair_norm_keeps_the_mean_squared_distance_of_all_pairs():
    """2·s², however close the nodes have come."""
    rng = np.random.default_rng(2)
    for closeness in (1.0, 1e-3):
        y = F.pair_norm(1 + closeness * rng.normal(size=(7, 5)), 1.5, eps=0.0).data
        apart = ((y[:, None] - y[None]) ** 2).sum(-1)
        assert apart.mean() == pytest.approx(2 * 1.5**2, rel=1e-9)


def test_graph_norm_with_a_whole_mean_is_instance_norm_over_nodes():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 5, 3))
    expected = F.instance_norm(x.swapaxes(1, 2)).data.swapaxes(1, 2)
    np.testing.assert_allclose(F.graph_norm(x, mean_scale=np.ones(3)).data, expected, atol=1e-12)


def test_of_a_regular_graph_the_mean_is_all_there_is():
    """Equal features at every node: with α = 1 nothing is left, with α = ½ something is. The paper's reason for α."""
    x = np.broadcast_to(np.array([2.0, -3.0]), (4, 2))
    assert not F.graph_norm(x).data.any()
    np.testing.assert_allclose(F.graph_norm(x, mean_scale=[0.5, 0.5]).data, np.broadcast_to([1.0, -1.0], (4, 2)), atol=1e-4)


def test_a_mask_is_of_nodes_and_says_yes_or_no():
    x = np.ones((2, 3, 4))
    with pytest.raises(tn.ShapeError, match=r"graph_norm: mask .*\(3, 2\).*: one entry for each node, so \(2, 3\)"):
        F.graph_norm(x, mask=np.ones((3, 2), int))
    with pytest.raises(tn.DTypeError, match=r"pair_norm: mask .* True .* for a node"):
        F.pair_norm(x, mask=np.ones((2, 3)))
    with pytest.raises(tn.ShapeError, match=r"pair_norm: .* it takes \(N, C\)"):
        F.pair_norm(np.ones(3))


def test_a_graph_of_no_nodes_is_zero():
    x = tn.tensor(np.ones((2, 3, 4)), requires_grad=True)
    for y in (F.graph_norm(x, mask=np.zeros((2, 3), int)), F.pair_norm(x, mask=np.zeros((2, 3), bool))):
        assert not y.data.any()
        assert not tn.grad(y, x, np.ones(y.shape))[0].data.any()


def test_the_modules():
    layer = nn.GraphNorm(4)
    assert {n: a.shape for n, a in layer.state_dict().items()} == {"weight": (4,), "bias": (4,), "mean_scale": (4,)}
    x = np.random.default_rng(4).normal(size=(2, 3, 4)).astype("float32")
    mask = np.array([[1, 1, 0], [1, 1, 1]])
    np.testing.assert_array_equal(layer(x, mask).data, F.graph_norm(x, mask=mask).data)
    np.testing.assert_array_equal(nn.PairNorm(2.0, True)(x, mask).data, F.pair_norm(x, 2.0, True, mask=mask).data)
